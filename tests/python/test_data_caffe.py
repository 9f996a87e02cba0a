"""Caffe itself reads our LMDBs: its Data layer gives the pixels that Split and Transform give."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_fakes import make_dataset
from maap.data.feeder import Feeder, Transform
from maap.data.store import Split

NET = """
name: "data"
layer {{
  name: "data" type: "Data" top: "data" top: "label"
  transform_param {{ {transform} }}
  data_param {{ source: "{source}" batch_size: 4 backend: LMDB }}
}}
"""
RUN = """
import sys
import caffe, numpy as np
caffe.set_random_seed(1)
net = caffe.Net(sys.argv[1], caffe.TEST)
data, labels = [], []
for _ in range(int(sys.argv[3])):
    net.forward()
    data.append(net.blobs["data"].data.copy())
    labels.append(net.blobs["label"].data.copy())
np.savez(sys.argv[2], data=np.concatenate(data), label=np.concatenate(labels).ravel())
"""


def caffe_reads(folder: Path, transform: str, batches: int, work: Path) -> tuple:
    """Data and labels of the first batches of the training LMDB through Caffe's Data layer."""
    (work / "net.prototxt").write_text(
        NET.format(transform=transform, source=folder / "train_lmdb")
    )
    command = [sys.executable, "-c", RUN, work / "net.prototxt", work / "out.npz", str(batches)]
    environment = dict(os.environ, GLOG_minloglevel="2")
    done = subprocess.run(command, stderr=subprocess.PIPE, env=environment, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    out = np.load(work / "out.npz")
    return out["data"], out["label"]


@pytest.mark.parametrize("kind", ["jpeg", "raw", "float"])
def test_data_layer_gives_the_same_pixels(tmp_path, kind):
    folder = make_dataset(tmp_path / "set", kind=kind, size=41)
    mean = "" if kind == "float" else "mean_value: 104 mean_value: 117 mean_value: 123"
    text = f"crop_size: 28 mirror: false scale: 0.017 {mean}"
    data, labels = caffe_reads(folder, text, 3, tmp_path)
    split = Split.open(folder, "train")
    values = None if kind == "float" else np.array([104, 117, 123], np.float32)
    transform = Transform(28, False, values, 0.017)
    for i in range(12):
        image, label = split.read(i)
        assert labels[i] == label
        np.testing.assert_array_equal(data[i], transform.apply(image))
    with Feeder(split, transform, 4, seed=1, train=False) as feeder:
        batches = list(feeder)
    np.testing.assert_array_equal(data, np.concatenate([batch for batch, _ in batches]))
    np.testing.assert_array_equal(labels, np.concatenate([label for _, label in batches]))


def test_mean_file_and_mirror_as_in_caffe(tmp_path):
    from maap.util.schema import caffe_pb2

    folder = make_dataset(tmp_path / "set", kind="raw", size=41)
    mean = (np.random.RandomState(0).rand(3, 41, 41) * 200).astype(np.float32)
    blob = caffe_pb2.BlobProto(channels=3, height=41, width=41, num=1, data=mean.ravel().tolist())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    text = f'crop_size: 28 mirror: true mean_file: "{tmp_path}/mean.binaryproto"'
    data, _ = caffe_reads(folder, text, 3, tmp_path)
    split = Split.open(folder, "train")
    transform = Transform(28, True, mean)
    flipped = 0
    for i in range(12):
        image, _ = split.read(i)
        straight, mirrored = (transform.apply(image, flip=flip) for flip in (False, True))
        assert (data[i] == straight).all() or (data[i] == mirrored).all(), i
        flipped += bool((data[i] == mirrored).all())
    assert 0 < flipped < 12
