"""What messages, comments and pages advise to build with are options that the build has."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
FOLDERS = ["caffe", "caffe_layers", "cmake", "docs", "kernels", "python", "tools"]
ENDINGS = {".cpp", ".cu", ".hpp", ".cmake", ".md", ".py", ".txt", ".sh", ""}
ADVISED = re.compile(r"-D([A-Za-z]\w*)=")
DECLARED = re.compile(
    r"^\s*(?:option|find_path|find_library)\((\w+)|^\s*set\((\w+) .*\bCACHE\b", re.M
)
FOUND = re.compile(r"^\s*find_package\((\w+)", re.M)
# Variables of scripts that the build itself calls.
SCRIPTS = {"FROM", "TO", "NAMES", "INCLUDE_DIRECTORIES"}


def texts() -> "dict[Path, str]":
    paths = [path for path in REPO.iterdir() if path.is_file()]
    for folder in FOLDERS:
        paths += [path for path in (REPO / folder).rglob("*") if path.is_file()]
    return {path: path.read_text() for path in paths if path.suffix in ENDINGS}


def options(files: "dict[Path, str]") -> "set[str]":
    names = set()
    for path, text in files.items():
        if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
            names |= {name for pair in DECLARED.findall(text) for name in pair if name}
            for package in FOUND.findall(text):
                names |= {f"{package}_DIR", f"{package}_EXECUTABLE"}
    return names


def test_advised_options_exist():
    files = texts()
    known = options(files) | SCRIPTS
    assert {"USE_CUDA", "MAAP_TESTS", "Caffe_LIBRARY", "Python_EXECUTABLE"} <= known
    assert "MAAP_CUDA" not in known
    unknown = [
        f"{path.relative_to(REPO)}: -D{name}"
        for path, text in files.items()
        for name in ADVISED.findall(text)
        if name not in known and not name.startswith("CMAKE_")
    ]
    assert not unknown
    advised = {name for text in files.values() for name in ADVISED.findall(text)}
    assert "USE_CUDA" in advised  # it finds them


@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")
@pytest.mark.parametrize(
    "numbers, found",
    [((2, 28, 9), "ON"), ((2, 19, 1), "ON"), ((2, 18, 5), "2.18.5"), ((), "unknown")],
)
def test_an_old_nccl_is_not_taken(tmp_path, numbers, found):
    names = [f"#define NCCL_{n} {v}\n" for n, v in zip(("MAJOR", "MINOR", "PATCH"), numbers)]
    (tmp_path / "nccl.h").write_text("".join(names) + "#define NCCL_VERSION_CODE 1\n")
    module = REPO / "cmake/MaapNccl.cmake"
    (tmp_path / "script.cmake").write_text(
        f"include({module})\nmaap_check_nccl({tmp_path})\n"
        'message("found ${Nccl_FOUND}, install ${Nccl_PACKAGE}.")\n'
    )
    done = subprocess.run(
        ["cmake", "-P", str(tmp_path / "script.cmake")], capture_output=True, text=True, check=True
    )
    wanted = "libnccl-dev, version 2.19.1 or newer"
    if found == "ON":
        assert done.stderr == f"found ON, install {wanted}.\n"
    else:
        said = f"(found: {found}, in {tmp_path})"
        assert f"found OFF, install {wanted} {said}." in done.stderr
        assert f"NCCL is too old: 2.19.1 or newer is needed {said}" in done.stdout
