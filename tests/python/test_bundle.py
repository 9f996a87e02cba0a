"""tools/bundle, on a build that only looks like one of the engine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MAAP_ENGINE_BUILD", REPO / "build/fork"))

pytestmark = [
    pytest.mark.skipif(
        not shutil.which("cc") or not shutil.which("xz") or not (BUILD / "python").exists(),
        reason="no compiler, no xz, or no pycaffe",
    ),
    pytest.mark.skipif(
        os.environ.get("MAAP_HOST") == "bvlc", reason="a bundle is of this repository's engine"
    ),
]

READER = "int XML_Parse(void); int read_image(void) { return XML_Parse(); }"
ENGINE = "int read_image(void); int caffe(void) { return read_image(); }"
PROGRAM = "int caffe(void); int main(void) { return caffe(); }"
#: Functions that glibc has since 2.36.
NEW = "unsigned arc4random(void); int caffe(void) { return arc4random() != 0; }"


def compiled(code: str, output: Path, *more: str) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    source = output.with_suffix(".c")
    source.write_text(code)
    folder = f"-Wl,-rpath,{output.parents[1] / 'lib'}"
    command = ["cc", str(source), "-o", str(output), folder, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    source.unlink()
    if done.returncode and "arc4random" in done.stderr:
        pytest.skip("this glibc is older than 2.36")
    assert done.returncode == 0, done.stderr


def library(code: str, output: Path, *more: str) -> None:
    compiled(code, output, "-shared", "-fPIC", f"-Wl,-soname,{output.name}", *more)


def build_of(folder: Path, engine: str) -> Path:
    """A build whose engine reads images with a library that asks Expat and the resolver."""
    build = folder / "build"
    expat, reader = build / "lib/libexpat.so.1", build / "lib/libreader.so"
    library("int XML_Parse(void) { return 7; }", expat)
    # A stand-in, by which the linker does not see what the bundle must leave out.
    library(READER, reader, str(expat), "-Wl,--no-as-needed", "-lresolv")
    library(engine, build / "lib/libcaffe.so", "-Wl,--no-as-needed", str(reader))
    compiled(PROGRAM, build / "bin/caffe", str(build / "lib/libcaffe.so"))
    (build / "tests").mkdir()
    (build / "python").symlink_to((BUILD / "python").resolve())
    return build


def pack(folder: Path, engine: str) -> "subprocess.CompletedProcess[str]":
    build = build_of(folder, engine)
    compiler = build / "CMakeFiles/3.25/CMakeCUDACompiler.cmake"
    compiler.parent.mkdir(parents=True)
    compiler.write_text('set(CMAKE_CUDA_COMPILER_VERSION "13.0.88")\n')
    (folder / "cudnn_version.h").write_text(
        "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 19\n#define CUDNN_PATCHLEVEL 0\n"
        "#define CUDNN_VERSION (CUDNN_MAJOR * 10000)\n"
    )
    (build / "CMakeCache.txt").write_text(
        f"CMAKE_CUDA_ARCHITECTURES:UNINITIALIZED=75;90\nCudnn_INCLUDE_DIR:PATH={folder}\n"
    )
    command = [str(REPO / "tools/bundle"), str(build), str(folder / "bundle.tar.xz")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_expat_is_a_stub_and_parts_of_glibc_are_left_out(tmp_path):
    done = pack(tmp_path, ENGINE)
    assert done.returncode == 0, done.stderr
    subprocess.run(["tar", "-xf", "bundle.tar.xz"], cwd=tmp_path, check=True)
    shutil.rmtree(tmp_path / "build")
    bundle = tmp_path / "bundle"
    commit, _, rest = (bundle / "built.txt").read_text().partition(", ")
    assert re.fullmatch(r"commit (\w{12}( with changes)?|unknown)", commit)
    assert rest == "CUDA 13.0.88, cuDNN 9.19.0, architectures 75;90\n"
    libraries = {path.name for path in (bundle / "lib").iterdir()}
    assert libraries == {"libcaffe.so", "libreader.so", "libexpat.so.1"}
    environment = {**os.environ, "LD_LIBRARY_PATH": str(bundle / "lib"), "LD_BIND_NOW": "1"}
    program = subprocess.run([bundle / "bin/caffe"], env=environment, check=False)
    assert program.returncode == 0  # XML_Parse, which gives 7 in the build, gives 0 here


def test_a_library_that_needs_a_newer_glibc_is_an_error(tmp_path):
    done = pack(tmp_path, NEW)
    assert done.returncode == 1
    assert "error: libcaffe.so needs glibc 2.36; the bundle must start with 2.34" in done.stderr
    assert not (tmp_path / "bundle.tar.xz").exists()
