"""Training in the math mode BF16, and bench/math_modes.py."""

import sys
from pathlib import Path

import caffe
import numpy as np
import pytest
from maap.host import loader

REPO = Path(__file__).resolve().parents[3]
sys.path.append(str(REPO / "bench"))

import math_modes  # noqa: E402

NET = """
name: 'small'
layer { name: 'data' type: 'Input' top: 'data' top: 'label'
        input_param { shape { dim: 8 dim: 3 dim: 24 dim: 24 } shape { dim: 8 } } }
layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1'
        convolution_param { num_output: 16 kernel_size: 5 weight_filler { type: 'msra' } } }
layer { name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' }
layer { name: 'enhance1' type: 'Enhancement' bottom: 'conv1' top: 'conv1' }
layer { name: 'norm1' type: 'LRN' bottom: 'conv1' top: 'norm1' }
layer { name: 'pool1' type: 'Pooling' bottom: 'norm1' top: 'pool1'
        pooling_param { kernel_size: 2 stride: 2 } }
layer { name: 'conv2' type: 'Convolution' bottom: 'pool1' top: 'conv2'
        convolution_param { num_output: 32 kernel_size: 3 weight_filler { type: 'msra' } } }
layer { name: 'relu2' type: 'ReLU' bottom: 'conv2' top: 'conv2' }
layer { name: 'fc' type: 'InnerProduct' bottom: 'conv2' top: 'fc'
        inner_product_param { num_output: 8 weight_filler { type: 'xavier' } } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' top: 'loss' }
"""


@pytest.fixture
def modes():
    yield caffe.set_math_mode
    caffe.set_math_mode("FLOAT")


@pytest.fixture
def bf16(modes, tmp_path):
    """Sets BF16; skips where the CPU does not have it. Returns the path of NET."""
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    modes("BF16")
    try:
        caffe.Net(str(path), caffe.TEST)
    except caffe.CaffeError as error:
        pytest.skip(str(error))
    return path


def test_names(modes):
    assert caffe.math_mode() == "FLOAT"
    modes("bf16")
    assert caffe.math_mode() == "BF16"
    with pytest.raises(caffe.CaffeError, match="must be FLOAT, TF32, FP16 or BF16"):
        modes("half")
    assert caffe.math_mode() == "BF16"


def test_maap_sets_it_for_a_stage_of_a_run(modes):
    with pytest.raises(ValueError), loader.math_mode(caffe, "bf16"):
        assert caffe.math_mode() == "BF16"
        with loader.math_mode(caffe, "float"):
            assert caffe.math_mode() == "FLOAT"
        assert caffe.math_mode() == "BF16"
        raise ValueError
    assert caffe.math_mode() == "FLOAT"


def test_a_mode_that_the_cpu_lacks(modes, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    modes("FP16")
    with pytest.raises(caffe.CaffeError, match="math mode FP16: a CPU computes in FLOAT or BF16"):
        caffe.Net(str(path), caffe.TEST)


def test_trains_as_float_does(bf16):
    """The mean of three seeds' losses stays within the spread of float's seeds."""
    training = math_modes.Training(NET, 60, 0.003)
    found = {
        mode: [math_modes.windows(math_modes.losses(training, mode, seed)) for seed in (1, 2, 3)]
        for mode in ("FLOAT", "BF16")
    }
    assert math_modes.beyond(found["FLOAT"], found["BF16"]) == []
    assert found["FLOAT"] != found["BF16"], "nothing was rounded"
    first, last = np.mean(found["BF16"], axis=0)[[0, -1]]
    assert last < 0.8 * first, "nothing was learnt"


def test_curves_that_differ_are_found():
    floats = [[2.0, 1.0], [2.2, 1.1]]
    assert math_modes.beyond(floats, [[2.1, 1.0], [2.3, 1.1]]) == []
    assert math_modes.beyond(floats, [[2.1, 1.3], [2.1, 1.3]]) == [
        "window 2: 0.2500 apart, the seeds' spread is 0.1000"
    ]


def test_weights_and_blobs_are_float(bf16, tmp_path):
    caffe.set_random_seed(1)
    net = caffe.Net(str(bf16), caffe.TEST)
    images, _ = math_modes.squares(np.random.RandomState(1), net.blobs["data"].shape)
    net.blobs["data"].data[...] = images
    net.forward(end="conv1")  # by itself: what follows may convert it, by oneDNN's choice of layout
    found = net.blobs["conv1"].data
    assert found.dtype == np.float32
    assert not np.any(found.view(np.uint32) & 0xFFFF), "stored with 8 bits of precision"
    net.save(str(tmp_path / "weights.caffemodel"))
    caffe.set_math_mode("FLOAT")
    again = caffe.Net(str(bf16), caffe.TEST, weights=str(tmp_path / "weights.caffemodel"))
    for name, blobs in net.params.items():
        for mine, theirs in zip(blobs, again.params[name]):
            assert np.array_equal(mine.data, theirs.data), name
    assert np.any(again.params["conv1"][0].data.view(np.uint32) & 0xFFFF)
