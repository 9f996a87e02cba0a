"""USE_CUDA=AUTO with programs that pretend to be nvcc and nvidia-smi."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
CMAKE = shutil.which("cmake")
SCRIPT = f"""
cmake_minimum_required(VERSION 3.18)
set(USE_CUDA AUTO)
include({REPO}/cmake/MaapCuda.cmake)
message("MAAP_CUDA=${{MAAP_CUDA}} architectures=${{CMAKE_CUDA_ARCHITECTURES}}.")
"""
NVCC = """#!/bin/sh
case $1 in
  --version) echo "Cuda compilation tools, release {release}, V{release}.88" ;;
  --list-gpu-arch) printf 'compute_%s\\n' 75 80 86 87 89 90 ;;
esac
"""

pytestmark = pytest.mark.skipif(CMAKE is None, reason="no CMake")


def program(file: Path, code: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(code)
    file.chmod(0o755)


def choose(folder: Path, capabilities: str, release: str = "13.0", *more: str) -> tuple[str, str]:
    """What AUTO makes of GPUs with these capabilities: its result, and what it says."""
    smi = f"#!/bin/sh\nprintf '%s\\n' {capabilities}\n" if capabilities else "#!/bin/sh\nexit 9\n"
    program(folder / "bin/nvidia-smi", smi)
    program(folder / "bin/nvcc", NVCC.format(release=release))
    (folder / "auto.cmake").write_text(SCRIPT)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
    environment.pop("CUDAARCHS", None)
    environment["CUDACXX"] = str(folder / "bin/nvcc")
    command = [str(CMAKE), *more, "-P", str(folder / "auto.cmake")]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    said = done.stdout + done.stderr
    found = re.search(r"MAAP_CUDA=(\w+) architectures=(.*)\.", said)
    assert found, said
    return f"{found[1]} {found[2]}".strip(), " ".join(said.split())


def test_the_gpus_architectures_are_chosen(tmp_path):
    result, said = choose(tmp_path, "9.0 8.6 9.0")
    assert result == "ON 90;86"
    assert "GPU methods are built" in said


def test_gpus_that_are_too_old_are_left_out(tmp_path):
    assert choose(tmp_path, "6.1 8.6")[0] == "ON 86"


def test_without_a_gpu_that_is_new_enough_it_builds_for_the_cpu(tmp_path):
    result, said = choose(tmp_path, "6.1 7.0")
    assert result == "OFF"
    assert "no GPU has compute capability 7.5 or higher: this builds for the CPU alone" in said


@pytest.mark.parametrize("release, why", [("11.8", "it is not CUDA 12 or newer"), ("", "version")])
def test_an_old_toolkit_builds_for_the_cpu(tmp_path, release, why):
    result, said = choose(tmp_path, "8.6", release)
    assert result == "OFF"
    assert why in said and "CPU alone" in said


def configure(folder: Path, use: str, **environment: str) -> tuple[int, str]:
    """CMake's status and what it says, with a GPU and, in the environment, perhaps an nvcc."""
    program(folder / "bin/nvidia-smi", "#!/bin/sh\necho 8.6\n")
    (folder / "use.cmake").write_text(SCRIPT.replace("USE_CUDA AUTO", f"USE_CUDA {use}"))
    own = {k: v for k, v in os.environ.items() if k not in ("CUDACXX", "CUDAARCHS")}
    own.update(PATH=f"{folder / 'bin'}:/usr/bin:/bin", **environment)
    nowhere = "-DCMAKE_FIND_ROOT_PATH=/nowhere -DMAAP_NVCC= -DPython_EXECUTABLE=/bin/false"
    command = [str(CMAKE), *nowhere.split(), "-P", str(folder / "use.cmake")]
    done = subprocess.run(command, env=own, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_gpu_without_a_toolkit_is_told_of(tmp_path):
    status, said = configure(tmp_path, "AUTO")
    assert status == 0 and "a GPU is here, but no nvcc" in said
    status, said = configure(tmp_path, "ON")
    assert status != 0 and "USE_CUDA is ON, but there is no nvcc" in said


def test_a_build_folder_keeps_its_toolkit(tmp_path):
    """However it is written."""
    nvcc = tmp_path / "bin/nvcc"
    for path in (nvcc, tmp_path / "other/nvcc"):
        program(path, NVCC.format(release="12.4"))
    (tmp_path / "link").symlink_to(nvcc)
    compiler = tmp_path / "CMakeFiles/3.25.1/CMakeCUDACompiler.cmake"
    program(tmp_path / "bin/nvidia-smi", "#!/bin/sh\necho 8.6\n")
    (tmp_path / "use.cmake").write_text(
        SCRIPT.replace("set(USE_CUDA AUTO)", f"set(USE_CUDA ON)\nset(CMAKE_CUDA_COMPILER {nvcc})")
    )
    refused = {}
    for made in (False, True):
        if made:
            compiler.parent.mkdir(parents=True)
            compiler.touch()
        for asked in ("nvcc", str(nvcc), str(tmp_path / "link"), str(tmp_path / "other/nvcc")):
            own = {**os.environ, "CUDACXX": asked, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
            done = subprocess.run(
                [str(CMAKE), "-P", "use.cmake"],
                env=own,
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            refused[made, asked] = "remove the folder first" in " ".join(done.stderr.split())
    assert [key for key, is_so in refused.items() if is_so] == [
        (True, str(tmp_path / "other/nvcc"))
    ]


def test_on_demands_a_toolkit_that_is_new_enough(tmp_path):
    program(tmp_path / "bin/nvcc", NVCC.format(release="11.8"))
    status, said = configure(tmp_path, "ON", CUDACXX=str(tmp_path / "bin/nvcc"))
    assert status != 0 and "is CUDA 11; CUDA 12 or 13 is needed" in said
    program(tmp_path / "bin/nvcc", NVCC.format(release="12.4"))
    assert configure(tmp_path, "ON", CUDACXX=str(tmp_path / "bin/nvcc"))[0] == 0


def test_a_gpu_that_nvcc_does_not_know_gets_the_default_list(tmp_path):
    assert choose(tmp_path, "12.0")[0] == "ON"
    assert choose(tmp_path, "8.6 12.0")[0] == "ON"


def test_a_choice_of_the_users_stays(tmp_path):
    assert choose(tmp_path, "9.0", "12.4", "-DCMAKE_CUDA_ARCHITECTURES=80")[0] == "ON 80"


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="there is a GPU")
def test_without_a_gpu_it_builds_for_the_cpu(tmp_path):
    result, said = choose(tmp_path, "")
    assert result == "OFF"
    assert "but no GPU" in said


def test_an_installed_library_looks_in_folders_that_no_linker_knows(tmp_path):
    paths = ["/usr/local/cuda/lib64", "/usr/local/cuda/lib64/libcudnn.so", "/opt/nccl/libnccl.so.2"]
    system = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib64/libcudnn.so.9",
        "/lib",
        "Nccl_LIBRARY-NOTFOUND",
    ]
    script = tmp_path / "folders.cmake"
    call = f"maap_other_folders(_folders {' '.join([*paths, *system])})"
    script.write_text(f"set(USE_CUDA OFF)\ninclude({REPO}/cmake/MaapCuda.cmake)\n{call}\n")
    with script.open("a") as file:
        file.write('message("folders: ${_folders}")\n')
    done = subprocess.run(
        [str(CMAKE), "-P", str(script)], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "folders: /usr/local/cuda/lib64;/opt/nccl"
