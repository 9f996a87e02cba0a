"""import caffe where it cannot work says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import caffe
import pytest

BUILT = Path(caffe.__file__).parent
EXTENSION = next(BUILT.glob("_caffe*.so"))


@pytest.fixture
def package(tmp_path):
    """A copy of pycaffe's Python files, without what the build adds."""
    unbuilt = shutil.ignore_patterns("*.so", "schema.bin", "__pycache__")
    return Path(shutil.copytree(BUILT, tmp_path / "python/caffe", ignore=unbuilt))


def failure(package, statement="import caffe", **environment):
    """The last line that Python says."""
    done = subprocess.run(
        [sys.executable, "-c", statement],
        cwd=package.parent,
        env={**os.environ, "PYTHONPATH": str(package.parent), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    return done.stderr.splitlines()[-1]


def test_not_built(package):
    said = failure(package)
    assert said.startswith(f"ImportError: pycaffe is not built in {package}: ")
    assert "pip install ." in said
    assert failure(package, "import caffe.io") == said
    assert failure(package, "from caffe.proto import caffe_pb2") == said


def test_not_built_in_a_checkout(package):
    checkout = package.parents[1]
    (checkout / "maap").write_text("")
    assert f"build it with {checkout}/maap setup" in failure(package)
    built = checkout / "build/fork/python/caffe"
    built.mkdir(parents=True)
    (built / EXTENSION.name).write_text("")
    assert failure(package).endswith(f"{checkout}/maap python, or PYTHONPATH={built.parent}")


def test_another_python(package):
    (package / "_caffe.cpython-38-x86_64-linux-gnu.so").write_text("")
    said = failure(package)
    assert "is built for Python 3.8, and this is Python {}.{}".format(*sys.version_info) in said


def test_without_the_schema(package):
    shutil.copy(EXTENSION, package)
    assert f"{package}/proto/schema.bin is missing: " in failure(package)


@pytest.fixture
def moved(package):
    """All of pycaffe, but away from libcaffe.so."""
    shutil.copy(EXTENSION, package)
    shutil.copy(BUILT / "proto/schema.bin", package / "proto")
    return package


def test_without_libcaffe(moved):
    said = failure(moved)
    assert "libcaffe.so: cannot open shared object file" in said
    assert "Add the folder of libcaffe.so to LD_LIBRARY_PATH" in said


def test_another_libcaffe(moved):
    other = moved.parent / "libcaffe.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-x", "c", "/dev/null", "-o", str(other)]
    subprocess.run(command, check=True)
    said = failure(moved, LD_LIBRARY_PATH=str(other.parent))
    assert "undefined symbol" in said
    assert "another libcaffe.so than pycaffe's was found" in said


def test_a_broken_extension(moved):
    (moved / EXTENSION.name).write_bytes(b"no library")
    assert "pycaffe needs cannot be loaded" in failure(moved)


@pytest.mark.parametrize("module, package_name", [("numpy", "numpy"), ("google", "protobuf")])
def test_without_a_package(moved, module, package_name):
    said = failure(moved, f"import sys; sys.modules[{module!r}] = None; import caffe")
    assert f"pycaffe needs {package_name}: pip install {package_name}" in said
