"""Lists and names as other programs wrote them: encodings, line ends, case, blanks, backslashes."""

import os
from pathlib import Path

import numpy as np
import pytest
from maap.data.importers.aircraft import import_aircraft
from maap.data.importers.cars import WHERE as CARS_WHERE
from maap.data.importers.cars import import_cars
from maap.data.importers.cub import import_cub
from maap.data.importers.flowers import import_flowers
from maap.data.importing.layout import Expected
from maap.data.importing.lists import read_lines, read_table
from maap.errors import MaapError
from test_data_cub import CLASSES, SMALL, check_imported, make_2011, rewrite

BIRD = f"images/{CLASSES[0]}/bird_0003.jpg"
WRITTEN = {
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "windows": lambda text: text.replace("\n", "\r\n").encode(),
    "old mac": lambda text: text.replace("\n", "\r").encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 of PowerShell": lambda text: b"\xff\xfe"
    + text.replace("\n", "\r\n").encode("utf-16-le"),
    "utf-32": lambda text: text.encode("utf-32"),
    "blanks": lambda text: text.replace("\n", " \t\n\n").encode(),
    "no last line end": lambda text: text.rstrip("\n").encode(),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_cub_with_lists_of_other_programs(tmp_path, written):
    root = make_2011(tmp_path / "cub")
    for path in root.glob("*.txt"):
        path.write_bytes(WRITTEN[written](path.read_text()))
    check_imported(import_cub(root, tmp_path / "set", 64, expected=SMALL))


@pytest.mark.parametrize("written", WRITTEN)
def test_aircraft_with_lists_of_other_programs(tmp_path, written):
    pytest.importorskip("scipy.io")
    from test_data_published import VARIANTS, make_aircraft

    root = make_aircraft(tmp_path / "in")
    for path in root.rglob("*.txt"):
        path.write_bytes(WRITTEN[written](path.read_text()))
    data = import_aircraft(root, tmp_path / "set", 32, expected=Expected(3, 9, 3))
    assert data.classes == list(VARIANTS)
    assert [record.label for record in data.split("test").records] == [0, 1, 2]


def test_names_in_other_encodings(tmp_path):
    """A class and a file whose names are UTF-8 on the disk and Windows-1252 in the lists."""
    root = make_2011(tmp_path / "cub")
    os.rename(root / "images" / CLASSES[1], root / "images" / "002.Zaunkönig")
    for name in ("images.txt", "classes.txt"):
        text = (root / name).read_text().replace(CLASSES[1], "002.Zaunkönig")
        (root / name).write_bytes(text.encode("cp1252"))
    data = import_cub(root, tmp_path / "set", 64, expected=SMALL)
    assert data.classes == ["Black footed Albatross", "Zaunkönig"]
    assert len(data.split("test")) == 4


def test_paths_of_windows(tmp_path):
    root = make_2011(tmp_path / "cub")
    path = root / "images.txt"
    path.write_text(path.read_text().replace("/", "\\"))
    check_imported(import_cub(root, tmp_path / "set", 64, expected=SMALL))


def test_names_in_other_case(tmp_path, capsys):
    root = make_2011(tmp_path / "cub")
    os.rename(root / BIRD, (root / BIRD).with_suffix(".JPG"))
    os.rename(root / "images" / CLASSES[1], root / "images" / CLASSES[1].upper())
    check_imported(import_cub(root, tmp_path / "set", 64, expected=SMALL))
    said = [line for line in capsys.readouterr().out.splitlines() if "names" in line]
    assert said == [
        f"{root}: 6 images have other names than in the lists (upper and lower case, blanks or "
        "accents; the first is 'bird_0003.JPG' for 'bird_0003.jpg'); they are used"
    ]


def test_two_files_of_nearly_one_name_are_not_guessed_between(tmp_path):
    root = make_2011(tmp_path / "cub")
    for suffix in (".JPG", ".Jpg"):
        (root / BIRD).with_suffix(suffix).write_bytes((root / BIRD).read_bytes())
    (root / BIRD).unlink()
    with pytest.raises(MaapError, match="1 of 10 images are missing, the first is .*bird_0003.jpg"):
        import_cub(root, tmp_path / "set", 64, expected=SMALL)


@pytest.mark.parametrize("way", ["../bird_0003.jpg", "/etc/bird_0003.jpg", "C:\\bird_0003.jpg"])
def test_paths_that_lead_out_are_refused(tmp_path, way):
    root = make_2011(tmp_path / "cub")
    rewrite(root, "images.txt", f"{CLASSES[0]}/bird_0003.jpg", way)
    with pytest.raises(MaapError) as error:
        import_cub(root, tmp_path / "set", 64, expected=SMALL)
    assert f"images.txt names {way!r}, which is outside of the set's folder; get" in str(
        error.value
    )


def test_ids_given_twice_are_named_with_both_lines(tmp_path):
    root = make_2011(tmp_path / "cub")
    rewrite(root, "image_class_labels.txt", "7 2\n", "7 2\n3 2\n")
    with pytest.raises(MaapError) as error:
        import_cub(root, tmp_path / "set", 64, expected=SMALL)
    assert str(error.value).startswith(
        f"{root}/image_class_labels.txt, line 8 has 3 again, which line 3 has already: remove one "
        "of them; get CUB_200_2011.tgz from https://data.caltech.edu/records/65de6-vp158"
    )


@pytest.mark.parametrize(
    "name, old, new, words",
    [
        ("variants.txt", "F/A-18\n", "F/A-18\n707-320\n", "variants.txt has variant '707-320' twi"),
        ("images_box.txt", "1025002 ", "1025001 ", "line 2 has 1025001 again, which line 1 has"),
        ("images_variant_train.txt", "1025002 ", "1025001 ", "line 2 has 1025001 again, which li"),
        ("images_variant_test.txt", "1025004 ", "1025001 ", "1025001.jpg more than once|lacks"),
    ],
)
def test_repetitions_in_the_lists_of_aircraft(tmp_path, name, old, new, words):
    pytest.importorskip("scipy.io")
    from test_data_published import change, make_aircraft

    root = make_aircraft(tmp_path / "in")
    change(root / "data" / name, old, new)
    with pytest.raises(MaapError, match=words):
        import_aircraft(root, tmp_path / "set", 32, expected=Expected(3, 9, 3))


def test_lines_and_tables(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffa  b\u0085c d \r\n\r\n x y\r".encode())
    assert read_lines(path, "get it") == ["a  b\u0085c d", "", "x y", ""]
    assert read_table(path, 1, "get it") == {"a": ["b\u0085c d"], "x": ["y"]}
    with pytest.raises(MaapError, match="x.txt, line 1 is damaged: 'a  b.*get it"):
        read_table(path, 5, "get it")
    path.write_bytes(b"a\0b\0")
    with pytest.raises(MaapError, match="is not a text file .it holds null characters.; get it"):
        read_lines(path, "get it")
    with pytest.raises(MaapError, match="cannot read .*: Is a directory; get it"):
        read_lines(tmp_path, "get it")


# ---- folders in folders -------------------------------------------------------------------------


@pytest.fixture
def cars(tmp_path):
    """Stanford Cars in the folders of Kaggle's copy."""
    pytest.importorskip("scipy.io")
    from test_data_published import make_cars

    root = make_cars(tmp_path / "stanford")
    for part in ("cars_train", "cars_test"):
        os.rename(root / part, root / "moved")
        (root / part).mkdir()
        os.rename(root / "moved", root / part / part)
    (root / "car_devkit").mkdir()
    os.rename(root / "devkit", root / "car_devkit" / "devkit")
    return root


def test_cars_in_folders_of_the_same_name(tmp_path, cars):
    data = import_cars(cars, tmp_path / "set", 32, expected=Expected(3, 6, 3))
    assert sorted(record.path for record in data.split("train").records) == [
        f"cars_train/{i:05d}.jpg" for i in range(1, 7)
    ]
    labels = cars / "cars_test_annos_withlabels.mat"
    os.rename(labels, cars / "car_devkit" / "devkit" / "cars_test_annos_withlabels (1).mat")
    (cars.parent / "above").mkdir()
    os.rename(cars, cars.parent / "above" / "stanford_cars")
    again = import_cars(tmp_path / "above", tmp_path / "set2", 32, expected=Expected(3, 6, 3))
    assert again.split("test").records == data.split("test").records


def test_cars_without_the_devkit_and_with_the_lists_of_the_other_release(tmp_path, cars):
    """As Kaggle's copy is before anything is added to it."""
    os.rename(cars / "car_devkit", tmp_path / "car_devkit")
    (cars / "cars_annos.mat").write_bytes(b"")
    with pytest.raises(MaapError, match="has neither devkit/ nor car_devkit.tgz; the original"):
        import_cars(cars, tmp_path / "set", 32)


def test_cars_with_any_counts(tmp_path, cars, capsys):
    data = import_cars(cars, tmp_path / "set", 32, expected=None)
    assert [len(data.split(name)) for name in ("train", "test")] == [6, 3] and data.note == ""
    assert "warning" not in capsys.readouterr().out


def test_cars_name_addresses_that_exist(tmp_path, cars):
    (cars / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(MaapError) as error:
        import_cars(cars, tmp_path / "set", 32)
    assert str(error.value) == (
        f"{cars} lacks cars_test_annos_withlabels.mat: the devkit's own test annotations have no "
        f"classes; {CARS_WHERE}"
    )
    assert CARS_WHERE == (
        "the original address (ai.stanford.edu/~jkrause/cars) is gone; get the images from "
        "www.kaggle.com/datasets/jessicali9530/stanford-cars-dataset; "
        "github.com/pytorch/vision/issues/7545 says where car_devkit.tgz and "
        "cars_test_annos_withlabels.mat are"
    )


def test_cars_with_names_of_windows_and_blanks(tmp_path, cars):
    from test_data_published import edit_mat, scipy_io

    path = cars / "car_devkit" / "devkit" / "cars_train_annos.mat"
    table = scipy_io.loadmat(path)["annotations"]
    for i in range(table.size):
        table[0, i]["fname"] = np.array([f"{i + 1:05d}.JPG "])
    edit_mat(path, annotations=table)
    data = import_cars(cars, tmp_path / "set", 32, expected=Expected(3, 6, 3))
    assert len(data.split("train")) == 6


def wrap(root: Path, *names: str) -> Path:
    """The folder ``root`` inside folders of these names; returns the outermost."""
    above = root.parent / "wrapped"
    (above.joinpath(*names)).parent.mkdir(parents=True)
    (above / "__MACOSX").mkdir()
    os.rename(root, above.joinpath(*names))
    return above


def test_other_sets_in_folders_of_the_same_name(tmp_path):
    pytest.importorskip("scipy.io")
    from maap.data.importer import recognise
    from test_data_published import make_aircraft, make_flowers

    for name, make, take, counts, top in (
        ("aircraft", make_aircraft, import_aircraft, Expected(3, 9, 3), "fgvc-aircraft-2013b"),
        ("flowers", make_flowers, import_flowers, Expected(3, 9, 3), "flowers-102"),
        ("cub", make_2011, import_cub, SMALL, "CUB_200_2011"),
    ):
        source = wrap(make(tmp_path / top / "x"), top, top)
        assert recognise(source)[0] == name
        take(source, tmp_path / f"{top}-set", 32, expected=counts)


def test_flowers_with_images_in_two_folders(tmp_path):
    pytest.importorskip("scipy.io")
    from test_data_published import make_flowers

    root = make_flowers(tmp_path / "in")
    os.rename(root / "jpg", root / "moved")
    (root / "jpg").mkdir()
    os.rename(root / "moved", root / "jpg" / "jpg")
    import_flowers(root, tmp_path / "set", 32, expected=Expected(3, 9, 3))


# ---- the old names of the modules ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["aircraft", "cars", "cub", "demo", "flowers", "folder"])
def test_importers_have_short_names(name):
    import importlib

    short = importlib.import_module(f"maap.data.{name}")
    long = importlib.import_module(f"maap.data.importers.{name}")
    assert short.__all__ and all(getattr(short, n) is getattr(long, n) for n in short.__all__)
    assert long.IMPORTER.make.__name__ in ("make", f"import_{name}", "make_demo")
