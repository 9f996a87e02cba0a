"""Tests of pycaffe, the programs and maap in GPU mode; where Caffe finds no GPU they are left out.

`./maap test --host shadow` runs them on the shadow device, a GPU made of CPU threads
(tests/shadow).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
sys.path += [str(REPO / "tests" / "gpu"), str(REPO / "tests" / "python" / "engine")]


def _finds_a_gpu() -> bool:
    """Asked of another process: this one may still fork, which a GPU's user may not."""
    if not shutil.which("caffe"):
        return False
    return (
        subprocess.run(["caffe", "device_query", "-gpu", "0"], capture_output=True).returncode == 0
    )


if not _finds_a_gpu():
    if os.environ.get("MAAP_ENGINE_BUILD", "").endswith("shadow"):
        raise RuntimeError("Caffe does not find the shadow device")
    collect_ignore_glob = ["test_*.py"]
else:
    import caffe

    caffe.init_log(1)  # of this process alone


@pytest.fixture
def gpu():
    """GPU mode while the test runs; pycaffe."""
    caffe.set_device(0)
    caffe.set_mode_gpu()
    yield caffe
    caffe.set_mode_cpu()


@pytest.fixture
def on_both():
    """on_both(call): what `call` returns in CPU mode, and in GPU mode."""

    def both(call):
        caffe.set_mode_cpu()
        on_cpu = call()
        caffe.set_device(0)
        caffe.set_mode_gpu()
        return on_cpu, call()

    yield both
    caffe.set_mode_cpu()


@pytest.fixture(scope="session")
def training_data(tmp_path_factory):
    """The folder of tests/gpu's training: net, solver and data in HDF5."""
    import make_inputs

    folder = tmp_path_factory.mktemp("training")
    make_inputs.write_data(folder)
    for name in ("train_net.prototxt", "train_solver.prototxt"):
        shutil.copy(REPO / "tests" / "gpu" / name, folder)
    return folder
