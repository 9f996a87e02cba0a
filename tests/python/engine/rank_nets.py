"""Small nets and data for trainings with several ranks."""

import re
from pathlib import Path

import caffe
import lmdb
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format

NET = """
name: "small_lenet"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.00390625 }
  data_param { source: "%(source)s" batch_size: %(batch)d backend: LMDB } }
layer { name: "test" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.00390625 }
  data_param { source: "%(source)s" batch_size: 8 backend: LMDB } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 }
  param { lr_mult: 2 } convolution_param { num_output: 8 kernel_size: 5
  weight_filler { type: "xavier" } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2" param { lr_mult: 1 }
  param { lr_mult: 2 } convolution_param { num_output: 16 kernel_size: 3
  weight_filler { type: "xavier" } } }
layer { name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1" inner_product_param {
  num_output: 500 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" inner_product_param {
  num_output: 10 weight_filler { type: "xavier" } } }
%(more)s
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
"""


def write_images(path: Path, count: int = 100, side: int = 20) -> Path:
    """A data base of grey images whose brightest row is near the label's."""
    random = np.random.default_rng(3)
    with lmdb.open(str(path), map_size=1 << 24) as base, base.begin(write=True) as write:
        for i in range(count):
            label = int(random.integers(10))
            image = random.integers(0, 120, (side, side)).astype(np.uint8)
            image[2 * label : 2 * label + 2] += 130
            datum = caffe_pb2.Datum(channels=1, height=side, width=side, label=label)
            datum.data = image.tobytes()
            write.put(b"%06d" % i, datum.SerializeToString())
    return path


def write_solver(folder: Path, source: Path, name: str, batch: int, more: str = "", **settings):
    """Writes NAME_net.prototxt and NAME.prototxt; snapshots begin with the name."""
    folder.mkdir(exist_ok=True)
    net = folder / f"{name}_net.prototxt"
    net.write_text(NET % dict(source=source, batch=batch, more=more))
    common = dict(base_lr=0.01, lr_policy="fixed", max_iter=50, display=10, random_seed=5)
    param = caffe_pb2.SolverParameter(
        net=str(net),
        snapshot_prefix=str(folder / name),
        solver_mode=caffe_pb2.SolverParameter.CPU,
        **{**common, **settings},
    )
    path = folder / f"{name}.prototxt"
    path.write_text(text_format.MessageToString(param))
    return path


def weights(path: Path) -> dict[str, np.ndarray]:
    """A caffemodel's blobs: {"conv1 0": values}."""
    net = caffe.io.read_weights(path)
    return {
        f"{layer.name} {i}": np.array(blob.data, np.float64)
        for layer in net.layer
        for i, blob in enumerate(layer.blobs)
    }


def difference(one: Path, other: Path) -> float:
    """The largest difference between weights of two caffemodels; of all, the same names."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys() and left
    return max(float(np.abs(left[name] - right[name]).max()) for name in left)


def losses(log: str) -> list[float]:
    return [float(loss) for loss in re.findall(r"Iteration \d+ \(.*loss = (\S+)", log)]
