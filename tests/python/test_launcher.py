"""What ./maap says before its first set-up. The set-up, the build and the command are stand-ins."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READY = """#!/bin/bash
folder=$(dirname "$0")
if [ "${1:-}" = --path ] && [ ! -e "$folder/ready" ]; then exit 1; fi
[ -e "$folder/ready" ] || touch "$folder/ready"
echo "$folder"
"""
RUN = """#!/bin/bash
if [ "$1" = cmake ]; then
  echo "$*" >>"$(dirname "$0")/../../cmake.log"
  echo "-- CUDA: a GPU is here"
  echo "--   cuDNN        OFF: slow"
  if [ -n "${FAKE_FAILURE:-}" ]; then
    printf 'CMake Error at cmake/X.cmake:3 (message):\n  no nvcc\n'
    exit 1
  fi
  exit
fi
echo "ran: $*"
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder with the launcher in it, for which nothing is set up."""
    repo = tmp_path / "repo"
    for name in ("maap", "tools/host/common.sh"):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, repo / name)
    programs = {"engine/prepare": READY, "engine/run": RUN, "host/make_root": READY}
    for name, text in {**programs, "host/bvlc": RUN}.items():
        path = repo / "tools" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return repo


def start(repo: Path, *words: str, **variables: str) -> tuple[list[str], str]:
    """What ./maap said (lines), and what it ran."""
    environment = {**os.environ, "MAAP_USE_CUDA": "OFF", "MAAP_CACHE": str(repo.parent / "cache")}
    environment.update(variables)
    command = ["bash", str(repo / "maap"), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stderr.splitlines(), done.stdout


@pytest.mark.parametrize(
    ("host", "parts"),
    [("fork", ["a Python environment", "about 3 minutes"]), ("bvlc", ["a Debian 11", "2 minutes"])],
)
def test_the_first_start_says_at_once_what_comes(checkout, host, parts):
    said, ran = start(checkout, "--host", host, "train", "alexnet")
    assert said[0].startswith("maap: the first start sets this machine up")
    assert said[0].endswith("then it runs: maap train")
    assert all(part in said[0] for part in parts)
    assert "ran: python3 -m maap train alexnet" in ran


def test_later_starts_say_nothing(checkout):
    start(checkout, "--host", "fork", "train")
    said, ran = start(checkout, "--host", "fork", "runs")
    assert said == [] and "ran: python3 -m maap runs" in ran


def test_an_environment_without_a_build_is_a_first_start_too(checkout):
    (checkout / "tools/engine/ready").touch()
    said, _ = start(checkout, "--host", "fork", "runs")
    assert said[0].startswith("maap: the first start")
    assert any("building for the host fork" in line for line in said)


def configured(repo: Path, option: str) -> list[str]:
    """An option's values in the calls of CMake so far."""
    said = (repo / "cmake.log").read_text(encoding="utf-8")
    return re.findall(rf"-D{option}=(\w+)", said)


def test_a_choice_of_gpu_methods_is_made_at_once_and_stays(checkout):
    start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="")
    assert configured(checkout, "USE_CUDA")[0] in ("OFF", "AUTO")
    start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="ON")
    start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="")
    start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="ON")
    assert configured(checkout, "USE_CUDA")[1:] == ["ON"]
    (checkout / "CMakeLists.txt").touch()  # a newer source
    start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="")
    start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="OFF")
    assert configured(checkout, "USE_CUDA")[1:] == ["ON", "ON", "OFF"]


def test_what_cmake_says_of_gpu_methods_is_shown(checkout):
    said, _ = start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="ON")
    assert "maap: CUDA: a GPU is here" in said and "maap: cuDNN        OFF: slow" in said
    said, _ = start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="OFF")
    assert not any("GPU is here" in line for line in said)


def test_a_choice_that_cmake_refuses_changes_nothing(checkout):
    start(checkout, "--host", "fork", "setup")
    with pytest.raises(subprocess.CalledProcessError) as failure:
        start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="ON", FAKE_FAILURE="1")
    assert "CMake Error" in failure.value.stderr and "no nvcc" in failure.value.stderr
    assert "MAAP_USE_CUDA=OFF" in failure.value.stderr
    before = configured(checkout, "USE_CUDA")
    start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="")
    assert configured(checkout, "USE_CUDA") == before  # the old build is still good


def test_cmake_decides_where_nvidia_smi_names_a_gpu(checkout):
    smi = checkout.parent / "bin/nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho 'GPU 0: Fake (UUID: 0)'\necho 'GPU 1: Fake (UUID: 1)'\n")
    smi.chmod(0o755)
    path = f"{smi.parent}:{os.environ['PATH']}"
    start(checkout, "--host", "fork", "setup", MAAP_USE_CUDA="", PATH=path)
    assert configured(checkout, "USE_CUDA") == ["AUTO"]


def test_cmake_gets_more_options(checkout):
    start(checkout, "--host", "fork", "setup", MAAP_CMAKE_OPTIONS="-DUSE_NCCL=ON -DUSE_CUDNN=OFF")
    assert configured(checkout, "USE_NCCL") == ["ON"]
    assert configured(checkout, "USE_CUDNN") == ["OFF"]


def test_a_shell_has_the_launcher_on_its_path(checkout):
    (checkout / "tools/engine/run").write_text('#!/bin/bash\n[ "$1" = cmake ] || exec "$@"\n')
    _, said = start(checkout, "--host", "fork", "shell", "-c", "command -v maap")
    assert said.strip() == str(checkout / "maap")
