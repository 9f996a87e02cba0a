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
    make_inputs.write_sequences(folder)
    for path in (REPO / "tests" / "gpu").glob("*.prototxt"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder with LMDBs of images that can be learnt, the small AlexNet and its solver."""
    import numpy as np
    from test_caffe_command import make_lmdb

    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for name, count in (("train", 40), ("test", 12)):
        make_lmdb(folder / name, count, 60)
        add_noise(folder / name, random)
    for path in (REPO / "tests" / "nets" / "small_alexnet").iterdir():
        shutil.copy(path, folder)
    return folder


def add_noise(folder, random):
    """Flat images have flat attention maps; a bright spot and noise make them ordinary ones."""
    import lmdb
    import numpy as np
    from maap.util.schema import caffe_pb2

    with lmdb.open(str(folder), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for key, value in list(txn.cursor()):
            datum = caffe_pb2.Datum.FromString(value)
            pixels = np.frombuffer(datum.data, np.uint8).reshape(3, 64, 64)[:, :36, :36].astype(int)
            pixels = pixels // 2 + random.integers(0, 40, pixels.shape)
            y, x = random.integers(4, 24, 2)
            pixels[datum.label % 3, y : y + 9, x : x + 9] += 90
            datum.height = datum.width = 36
            datum.data = np.clip(pixels, 0, 255).astype(np.uint8).tobytes()
            txn.put(key, datum.SerializeToString())
