"""Importers declare themselves: a module in the package is a command, a kind and its marks."""

import subprocess
import sys

import pytest
from maap.data import importer as registry
from maap.data import importers as package
from maap.data.store import Dataset
from maap.errors import MaapError

NEW = """
from maap.data.importer import Importer, published_maker
from maap.data.importing.layout import Expected, Item, Layout, Published

STONES = Published("Stones-2", Expected(2, 4, 2), "get it from the hills", "stones")

def read(source, unpacked):
    items = [Item(path, path.name, int(path.name[0])) for path in sorted(source.glob("*.jpg"))]
    return Layout(items[:2] + items[3:5], [items[2], items[5]], ["granite", "marble"])

IMPORTER = Importer(
    name="stones", title=STONES.title, help="Stones: SOURCE is the folder.", counted=True,
    make=published_maker(STONES, read), marks=("stones.txt",),
)
"""


@pytest.fixture
def stones(tmp_path, monkeypatch):
    """A new importer's module in the package, and a folder of its kind."""
    from data_fakes import picture, save

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "stones.py").write_text(NEW)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "code")])
    registry.importers.cache_clear()
    for number in range(6):
        save(tmp_path / "in" / f"{number // 3}-{number}.jpg", picture(number))
    (tmp_path / "in" / "stones.txt").write_text("")
    yield tmp_path / "in"
    registry.importers.cache_clear()
    sys.modules.pop(f"{package.__name__}.stones", None)


def test_one_module_is_all_that_a_new_data_set_takes(stones, tmp_path, monkeypatch):
    assert registry.recognise(stones) == ("stones", stones)
    with pytest.raises(MaapError, match="Flowers-102, .*Stones-2.* as published"):
        from maap.data.find import check_data_name

        check_data_name("nowhere")
    registry.make_data("stones", [str(stones)], str(tmp_path / "new" / "set"), (32, None), {})
    dataset = Dataset.open(tmp_path / "new" / "set")
    assert dataset.kind == "stones" and dataset.name == "Stones-2" and dataset.size == (32, 32)
    monkeypatch.delitem(sys.modules, "maap.cli.data", raising=False)
    from maap.cli.data import data

    options = {option for parameter in data.commands["stones"].params for option in parameter.opts}
    assert {"source", "--policy", "--allow-partial", "--crop-size"} <= options
    sys.modules.pop("maap.cli.data")


def test_the_importers():
    found = registry.importers()
    assert {"aircraft", "cars", "cub", "flowers"} <= set(found)
    built_in = ["demo", "demo_hard"]
    between = list(found)[2:-1]  # the built-in ones first, the one for any folder last
    assert list(found) == [*built_in, *between, "folder"] and between == sorted(between)
    assert [name for name in found if found[name].built_in] == built_in
    assert [name for name in found if found[name].any_folder] == ["folder"]
    assert [name for name in found if found[name].any_archive] == ["folder"]
    for name, importer in found.items():
        assert importer.name == name and callable(importer.make) and importer.title


def test_listing_them_loads_no_heavy_library():
    code = "import sys, maap.cli.data; print({'numpy', 'cv2', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_commands_say_what_each_is(capsys):
    from maap.cli.main import main

    def said(*words):
        with pytest.raises(SystemExit) as end:
            main(["data", *words, "--help"])
        assert end.value.code in (0, None)
        return " ".join(capsys.readouterr().out.split())

    every = said()
    for name in registry.importers():
        text = said(name)
        assert name in every and "--size PIXELS" in text and "--out DIR" in text
        assert ("--allow-partial" in text) == registry.importers()[name].counted
        assert ("SOURCE" in text and "--policy" in text) == (
            not registry.importers()[name].built_in
        )
    assert "--species INTEGER" in said("demo")


def test_a_part_of_a_set_through_the_command_line(tmp_path, monkeypatch, capfd):
    from maap.cli.main import main
    from test_data_cub import make_2011

    monkeypatch.chdir(tmp_path)
    make_2011(tmp_path / "birds")
    with pytest.raises(SystemExit) as end:
        main(["data", "cub", "birds", "--size", "32"])
    assert end.value.code == 1
    assert "maap data cub birds --allow-partial" in capfd.readouterr().err
    try:
        main(["data", "cub", "birds", "--size", "32", "--allow-partial"])
    except SystemExit as end:
        assert end.code in (0, None)
    said = capfd.readouterr().out
    assert "warning: birds: Not the whole CUB-200-2011" in said and "data set: data/cub" in said
    assert Dataset.open(tmp_path / "data" / "cub").size == (32, 32)
