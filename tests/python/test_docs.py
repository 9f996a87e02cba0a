"""The pages keep their word: files they name exist, and the layer of CONTRIBUTING.md works."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from maap import host

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "CONTRIBUTING.md"
BUILD = host.plugin_path().parent
# What a page may name although the repository does not hold it.
MADE_LATER = re.compile(r"(^|/)(NAME|CLASS|DIR|URL)|softsign|^build/|^runs/|^data/")


def named_files(text):
    """Paths in backquotes and link targets that look like files of this repository."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    words = re.findall(r"`([\w./-]+)`", prose) + re.findall(r"\]\(([\w./-]+)\)", prose)
    looks = re.compile(r"\w/|\w\.(md|py|sh|hpp|cpp|cu|toml|txt|proto|prototxt)$")
    return sorted({w for w in words if looks.search(w) and not MADE_LATER.search(w)})


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_files_a_page_names_exist(page):
    path = REPO / page
    names = named_files(path.read_text())
    assert len(names) > 2
    assert [n for n in names if not (path.parent / n).exists()] == []


def snippets():
    """{path: code} of the blocks that begin with ```cpp PATH."""
    blocks = re.findall(r"^```cpp (\S+)\n(.*?)^```$", PAGE.read_text(), flags=re.S | re.M)
    return dict(blocks)


def compile_flags():
    """How the build compiles the layers, without the file and with quick settings."""
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    command = next(e["command"] for e in entries if e["file"].endswith("enhancement_layer.cu"))
    words = shlex.split(command)
    words = words[next(i for i, w in enumerate(words) if w.endswith("c++")) :]
    cut = words.index("-o")
    return [w for w in words[:cut] if not w.startswith("-O")], entries[0]["directory"]


def test_the_layer_of_the_page_compiles_and_passes_its_test(tmp_path):
    code = snippets()
    assert len(code) == 3
    for name, text in code.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    flags, directory = compile_flags()
    program = tmp_path / "softsign_test"
    sources = [str(tmp_path / name) for name in code if not name.endswith(".hpp")]
    libraries = ["-x", "none", f"-L{BUILD}", f"-Wl,-rpath,{BUILD}", "-lmaap_layers", "-lcaffe"]
    libraries += "-lprotobuf -lglog -lgtest -lgtest_main -lpthread".split()
    includes = [f"-I{tmp_path}", f"-I{REPO / 'tests' / 'cpp'}"]
    command = [*flags, *includes, "-Werror", *sources, *libraries, "-o", str(program)]
    built = subprocess.run(command, cwd=directory, stderr=subprocess.PIPE, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], stdout=subprocess.PIPE, text=True)
    assert ran.returncode == 0, ran.stdout
    assert "[  PASSED  ] 2 tests" in ran.stdout
