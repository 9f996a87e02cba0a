"""The pages keep their word: files they name exist, and the layer of CONTRIBUTING.md works."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "CONTRIBUTING.md"
BUILD = REPO / "build" / "fork"
# What a page may name although the repository does not hold it.
MADE_LATER = re.compile(r"(^|/)(NAME|CLASS|DIR|URL)|softsign|^build/|^runs/|^data/")


def named_files(text):
    """Paths in backquotes and link targets that look like files of this repository."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    words = re.findall(r"`([\w./-]+)`", prose) + re.findall(r"\]\(([\w./-]+)\)", prose)
    looks = re.compile(r"\w/|\w\.(md|py|sh|hpp|cpp|cu|toml|txt|proto|prototxt)$")
    return sorted({w for w in words if looks.search(w) and not MADE_LATER.search(w)})


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/pictures.md"])
def test_files_a_page_names_exist(page):
    path = REPO / page
    names = named_files(path.read_text())
    assert len(names) > 2
    assert [n for n in names if not (path.parent / n).exists()] == []


def snippets():
    """{path: code} of the blocks that begin with ```cpp PATH."""
    blocks = re.findall(r"^```cpp (\S+)\n(.*?)^```$", PAGE.read_text(), flags=re.S | re.M)
    return dict(blocks)


def compile_flags(source):
    """How the build compiles a source, without the file itself and its precompiled header."""
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    entry = next(e for e in entries if e["file"].endswith(source))
    words = shlex.split(entry["command"])
    words = words[next(i for i, w in enumerate(words) if w.endswith("c++")) : words.index("-o")]
    kept = [w for w in words if not w.startswith("-O") and "cmake_pch" not in w]
    return [w for w in kept if w not in ("-include", "-Winvalid-pch")], entry["directory"]


@pytest.mark.skipif(os.environ.get("MAAP_HOST") != "fork", reason="the page is about the engine")
def test_the_layer_of_the_page_compiles_and_passes_its_test(tmp_path):
    code = snippets()
    assert len(code) == 3
    for name, text in code.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    flags, directory = compile_flags("layers/relu_layer.cu")
    program = tmp_path / "softsign_test"
    sources = [str(tmp_path / name) for name in code if not name.endswith(".hpp")]
    libraries = ["-x", "none", f"-L{BUILD}/lib", f"-Wl,-rpath,{BUILD}/lib", "-lcaffe"]
    libraries += "-lprotobuf -lglog -lgtest -lgtest_main -lpthread".split()
    includes = [f"-I{tmp_path}", f"-I{REPO / 'tests' / 'cpp' / 'engine'}"]
    command = [*flags, *includes, "-Werror", *sources, *libraries, "-o", str(program)]
    built = subprocess.run(command, cwd=directory, stderr=subprocess.PIPE, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], stdout=subprocess.PIPE, text=True)
    assert ran.returncode == 0, ran.stdout
    assert "[  PASSED  ] 4 tests" in ran.stdout
