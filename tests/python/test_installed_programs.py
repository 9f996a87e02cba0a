"""The commands by which pip starts Caffe's programs, which it installs as files of the package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
RUN = "import sys; sys.argv[0] = '/anywhere/' + sys.argv.pop(1); "
RUN += "from maap.host.installed import run; run()"


@pytest.fixture
def start(tmp_path):
    """Start a command beside a package caffe with one program, `caffe`."""
    programs = tmp_path / "site" / "caffe" / "bin"
    programs.mkdir(parents=True)
    (programs.parent / "__init__.py").write_text("raise ImportError('not to be imported')")
    (programs / "caffe").write_text('#!/bin/sh\nprintf \'%s\\n\' "$0" "$@"\nexit 7\n')
    (programs / "caffe").chmod(0o755)

    def run(*command):
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}:{REPO / 'python'}"}
        return subprocess.run(
            [sys.executable, "-c", RUN, *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )

    return run


def test_a_program_gets_its_arguments_and_its_status_comes_back(start):
    done = start("caffe", "train", "-solver", "a b.prototxt", "")
    program, *arguments = done.stdout.splitlines()
    assert Path(program).parts[-3:] == ("caffe", "bin", "caffe")
    assert arguments == ["train", "-solver", "a b.prototxt", ""] and done.returncode == 7


def test_openblas_threads_of_a_program_sleep_soon(start, monkeypatch, tmp_path):
    """Unless somebody has set how long they spin."""
    program = tmp_path / "site" / "caffe" / "bin" / "caffe"
    program.write_text('#!/bin/sh\necho "$OPENBLAS_THREAD_TIMEOUT"\n')
    monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT", raising=False)
    assert start("caffe").stdout == "16\n"
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "20")
    assert start("caffe").stdout == "20\n"


def test_pycaffe_and_the_launcher_say_the_same_of_openblas_threads():
    launcher = (REPO / "tools" / "engine" / "run").read_text()
    assert "OPENBLAS_THREAD_TIMEOUT=${OPENBLAS_THREAD_TIMEOUT:-16}\n" in launcher
    pycaffe = (REPO / "python" / "caffe" / "__init__.py").read_text()
    default = pycaffe.index('os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")')
    assert default < pycaffe.index("from .")  # OpenBLAS reads it when it is loaded


def test_a_program_that_is_not_there(start):
    done = start("convert_imageset")
    assert done.returncode == 1
    assert done.stderr == (
        "error: the program convert_imageset is not installed with this Python's pycaffe\n"
    )


def test_every_program_has_its_command():
    """pyproject.toml names those that tools/ builds."""
    text = (REPO / "pyproject.toml").read_text()
    commands = set(re.findall(r'^(\w+) = "maap\.host\.installed:run"$', text, re.M))
    built = (REPO / "tools" / "CMakeLists.txt").read_text()
    assert len(commands) == 11 and all(re.search(rf"\b{name}\b", built) for name in commands)
    checked = (REPO / "tests" / "wheel_check.py").read_text()
    listed = re.search(r'PROGRAMS = """(.*?)"""', checked, re.S).group(1).split()
    assert set(listed) == commands
