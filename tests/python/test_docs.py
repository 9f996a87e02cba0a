"""The pages keep their word: their commands run, what they link to exists, and the layer of
CONTRIBUTING.md works."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import doc_commands
import pytest
from doc_commands import INSTEAD, NEEDS, NOT_RUN, ONLY_PARSED, PAGES, Workplace
from maap.errors import MaapError

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "CONTRIBUTING.md"
BUILD = REPO / "build" / "fork"
sys.path.append(str(REPO / "tools"))

from reference.pages import PAGES as FROM_CODE  # noqa: E402

# What a page may name although the repository does not hold it.
MADE_LATER = re.compile(
    r"(^|/)(NAME|CLASS|DIR|URL)|softsign|smallnet|feeder|^images/|^build/|^runs/|^data/|^~|^photos/|^index.html"
)


def named_files(text):
    """Paths in backquotes and link targets that look like files of this repository."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    words = re.findall(r"`([\w./-]+)`", prose) + re.findall(r"\]\(([\w./-]+)\)", prose)
    looks = re.compile(r"\w/|\w\.(md|py|sh|hpp|cpp|cu|toml|txt|proto|prototxt)$")
    return sorted({w for w in words if looks.search(w) and not MADE_LATER.search(w)})


MARKDOWN = sorted(
    str(path.relative_to(REPO)) for path in [*REPO.glob("*.md"), *REPO.glob("docs/**/*.md")]
)

WITH_FILES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/pictures.md"]
WITH_FILES += [
    page for page in MARKDOWN if re.match("docs/(install|benchmarks|concepts/[ae])", page)
]
engine_only = pytest.mark.skipif(
    os.environ.get("MAAP_HOST") != "fork", reason="the pages are about the engine"
)


# ---- commands -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def workplace(tmp_path_factory, cache_folder):
    return Workplace(tmp_path_factory.mktemp("checkout"))


@engine_only
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(page, workplace, private_cache):
    said = ""
    for block in doc_commands.blocks(page):
        if block.title:
            workplace.write(block)
        elif block.language == "text":  # what the command before it says
            assert block.text == said
        for command in doc_commands.commands(block) if block.language == "sh" else ():
            if command not in ONLY_PARSED and command not in NOT_RUN:
                said = workplace.run(command)


def parse(words):
    """What click makes of the words of a command, without running it."""
    from maap.cli.main import cli

    command, context = cli, None
    while hasattr(command, "resolve_command"):
        context = command.make_context("maap", list(words), parent=context)
        rest = [*getattr(context, "protected_args", ()), *context.args]
        _, command, words = command.resolve_command(context, rest)
    return command.make_context(command.name, list(words), parent=context)


@pytest.mark.parametrize("command", ONLY_PARSED)
def test_the_command_line_takes_what_is_not_run(command):
    program, *words = shlex.split(command)
    assert program == "./maap"
    given = {k: v for k, v in parse(words).params.items() if v not in (None, False, ())}
    if words[0] == "train":
        from maap.config.check import check_settings

        names = {k: v for k, v in given.items() if k not in ("net", "net_dir", "file", "debug")}
        assert check_settings(names)["data"] == given["data"]
    assert set(given) >= {w[2:].replace("-", "_") for w in words if w.startswith("--")}


def test_a_wrong_option_would_be_found():
    import click

    with pytest.raises(click.UsageError, match="--wieghts"):
        parse(["train", "alexnet", "--wieghts", "published"])


@pytest.mark.parametrize("table", [INSTEAD, NEEDS, ONLY_PARSED, NOT_RUN])
def test_the_pages_still_show_the_commands_of_the_tables(table):
    assert [command for command in table if command not in doc_commands.all_commands()] == []


def test_commands_stand_in_blocks_that_are_tested():
    for page in PAGES:
        for block in doc_commands.blocks(page):
            if block.language != "sh":
                assert not re.search(r"^ *(\./maap|caffe) ", block.text, re.M), (page, block.text)


@pytest.mark.parametrize("page", MARKDOWN)
def test_blocks_begin_as_the_site_reads_them(page):
    """A language and a title; anything else behind the fence would be shown as text."""
    fences = re.findall(r"^ *```.*$", (REPO / page).read_text(), flags=re.M)
    for opening in fences[::2]:
        assert re.fullmatch(r' *```\w*( title="\S+")?', opening), opening
    assert {fence.strip() for fence in fences[1::2]} <= {"```"}


# ---- files and links ----------------------------------------------------------------------------


def test_the_readme_is_short():
    lines = (REPO / "README.md").read_text().splitlines()
    assert len(lines) <= 90 and max(map(len, lines)) <= 100


def anchors(path):
    """The anchors of a page's headings, as mkdocs and the hosts of repositories make them."""
    prose = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.S | re.M)
    headings = re.findall(r"^#+ +(.*)$", prose, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", MARKDOWN)
def test_links_lead_somewhere(page):
    path = REPO / page
    prose = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.S | re.M)
    for target in re.findall(r"\]\(<?([^)>\s]+)>?\)", prose):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        from_code = os.path.relpath(there, REPO / "docs") in FROM_CODE
        assert there.exists() or from_code, f"{page}: {target}"
        if anchor:
            shown = REPO / "CONTRIBUTING.md" if there.name == "contributing.md" else there
            assert anchor in anchors(shown), f"{page}: {target}"


@pytest.mark.parametrize("page", MARKDOWN)
def test_a_command_that_makes_it_stands_under_every_picture(page):
    lines = (REPO / page).read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"!\[.*\]\(", line):
            below = " ".join(lines[number + 1 : number + 6])
            made = re.search(r"Made by\s+`(.+?)`", below)
            assert made, f"{page}:{number + 1}"
            tool = re.search(r"tools/\w+\.py", made.group(1))
            assert tool is None or (REPO / tool.group(0)).is_file(), made.group(1)


@pytest.mark.parametrize("page", WITH_FILES)
def test_files_a_page_names_exist(page):
    path = REPO / page
    names = named_files(path.read_text())
    assert names
    assert [n for n in names if not (path.parent / n).exists() and not (REPO / n).exists()] == []


# ---- the layer of CONTRIBUTING.md ---------------------------------------------------------------


def snippets(language, beginning=""):
    """{path: code} of the blocks of CONTRIBUTING.md that begin with ```LANGUAGE title="PATH"."""
    blocks = re.findall(
        rf'^```{language} title="(\S+)"\n(.*?)^```$', PAGE.read_text(), flags=re.S | re.M
    )
    return {path: code for path, code in blocks if beginning in path}


def compile_flags():
    """How the build compiles a layer, without the file itself and its precompiled header."""
    alone_or_in_group = ("layers/relu_layer.cu", "Unity/unity_layers_m-r_cxx.cxx")
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    entry = next(e for e in entries if e["file"].endswith(alone_or_in_group))
    words = shlex.split(entry["command"])
    words = words[next(i for i, w in enumerate(words) if w.endswith("c++")) : words.index("-o")]
    kept = [w for w in words if not w.startswith("-O") and "cmake_pch" not in w]
    return [w for w in kept if w not in ("-include", "-Winvalid-pch")], entry["directory"]


@engine_only
def test_the_layer_of_the_page_compiles_and_passes_its_test(tmp_path):
    code = snippets("cpp")
    assert len(code) == 3
    for name, text in code.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    flags, directory = compile_flags()
    program = tmp_path / "softsign_test"
    sources = [str(tmp_path / name) for name in code if not name.endswith(".hpp")]
    libraries = ["-x", "none", f"-L{BUILD}/lib", f"-Wl,-rpath,{BUILD}/lib", "-lcaffe"]
    libraries += "-lprotobuf -lglog -lgtest -lgtest_main -lpthread".split()
    includes = [f"-I{tmp_path}", f"-I{REPO / 'tests' / 'cpp' / 'engine'}"]
    command = [*flags, *includes, "-Werror", "-x", "c++", *sources, *libraries, "-o", str(program)]
    built = subprocess.run(command, cwd=directory, stderr=subprocess.PIPE, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], stdout=subprocess.PIPE, text=True)
    assert ran.returncode == 0, ran.stdout
    assert "[  PASSED  ] 4 tests" in ran.stdout


# ---- the data set and the network of CONTRIBUTING.md --------------------------------------------


def test_the_data_set_of_the_page_is_imported(tmp_path, mini_images, monkeypatch):
    from maap.data import importer, importers

    (name, code), *more = snippets("python", "maap/data/importers/").items()
    assert not more
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / Path(name).name).write_text(code)
    source = tmp_path / "feeder-birds"
    (source / "images").mkdir(parents=True)
    lines = ["image,class,split"]
    for path in sorted(mini_images.glob("*/*/*.png")):
        split, kind = path.parts[-3:-1]
        shutil.copy(path, source / "images" / f"{split}-{kind}-{path.name}")
        lines.append(f"{split}-{kind}-{path.name},{kind},{split}")
    (source / "labels.csv").write_text("\n".join(lines) + "\n")

    monkeypatch.setattr(importers, "__path__", [*importers.__path__, str(tmp_path / "code")])
    importer.importers.cache_clear()
    try:
        assert importer.recognise(source) == ("feeder", source)
        found = importer.importers()["feeder"].make(source, tmp_path / "set", size=64)
        assert (len(found.split("train").records), len(found.split("test").records)) == (48, 20)
        assert found.classes == ["class0", "class1", "class2", "class3"]
        (source / "images" / "test-class0-0.png").unlink()
        with pytest.raises(MaapError, match="test-class0-0.png"):
            importer.importers()["feeder"].make(source, tmp_path / "damaged", size=64)
    finally:
        importer.importers.cache_clear()
        sys.modules.pop("maap.data.importers.feeder", None)


def test_the_network_of_the_page_trains(tmp_path, mini_images, private_cache):
    from maap.config.fields import TrainConfig
    from maap.training.train import train

    (name, code), *more = snippets("python", "prototxt/").items()
    assert not more
    script = tmp_path / name
    (script.parent / "snapshots").mkdir(parents=True)
    script.write_text(code)
    shutil.copy(REPO / "prototxt" / "recipe.py", tmp_path / "prototxt")
    for words in ([], ["--check"]):
        subprocess.run([sys.executable, str(script), *words], check=True)
    quick = dict(batch=4, max_iter=2, phase2_iter=1, snapshot=2, runs_dir=str(tmp_path / "runs"))
    result = train(TrainConfig(net=str(script.parent), data=str(mini_images), **quick))
    assert 0 <= result.top1 <= 1 and result.report.is_file()
