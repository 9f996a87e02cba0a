"""LSTM and RNN from Python: what they learn, their parameters, files, programs that list them."""

import subprocess
from pathlib import Path

import caffe
import h5py
import numpy as np
import pytest
from caffe import layers as L

BIN = Path(caffe.__file__).parents[2] / "bin"
STEPS, STREAMS, SYMBOLS, BACK = 8, 16, 4, 3
FILLER = dict(type="xavier")
BLOBS = {
    "LSTM": [(16, 5), (16,), (16, 4)],
    "RNN": [(4, 5), (4,), (4, 4), (4, 4), (4,)],
}


def recurrent(kind, *bottoms, **param):
    param.setdefault("num_output", 4)
    return getattr(L, kind)(*bottoms, recurrent_param=dict(weight_filler=FILLER, **param))


def small(kind, tmp_path, static=False, phase=caffe.TRAIN):
    """A net of one layer, "r", with 3 steps of 2 streams, and the name of its file."""
    n = caffe.NetSpec()
    n.x = L.Input(shape=dict(dim=[3, 2, 5]))
    n.cont = L.Input(shape=dict(dim=[3, 2]))
    bottoms = [n.x, n.cont]
    if static:
        n.still = L.Input(shape=dict(dim=[2, 6]))
        bottoms.append(n.still)
    n.r = recurrent(kind, *bottoms)
    path = tmp_path / f"{kind}{static}.prototxt"
    path.write_text(f"force_backward: true\n{n.to_proto()}")
    return caffe.Net(str(path), phase), path


def run(net, seed=3):
    """Forward and backward from random input; copies of the top and of all gradients."""
    random = np.random.RandomState(seed)
    net.blobs["x"].data[...] = random.uniform(-1, 1, (3, 2, 5))
    net.blobs["cont"].data[...] = [[0, 0], [1, 1], [0, 1]]
    net.clear_param_diffs()
    net.forward()
    net.blobs["r"].diff[...] = 1
    net.backward()
    gradients = [blob.diff.copy() for blob in net.params["r"]]
    return [net.blobs["r"].data.copy(), net.blobs["x"].diff.copy(), *gradients]


def assert_equal(found, expected):
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a, b)


# ---- learning


def recall(kind, tmp_path):
    """A solver whose net names, at each step, the symbol that was shown BACK steps before."""
    n = caffe.NetSpec()
    n.x = L.Input(shape=dict(dim=[STEPS, STREAMS, SYMBOLS]))
    n.cont = L.Input(shape=dict(dim=[STEPS, STREAMS]))
    n.label = L.Input(shape=dict(dim=[STEPS, STREAMS]))
    n.r = recurrent(kind, n.x, n.cont, num_output=32)
    n.scores = L.InnerProduct(n.r, num_output=SYMBOLS, axis=2, weight_filler=FILLER)
    n.loss = L.SoftmaxWithLoss(
        n.scores, n.label, softmax_param=dict(axis=2), loss_param=dict(ignore_label=-1)
    )
    net = tmp_path / "net.prototxt"
    net.write_text(str(n.to_proto()))
    solver = tmp_path / "solver.prototxt"
    solver.write_text(
        f'net: "{net}" type: "Adam" base_lr: 0.01 momentum: 0.9 momentum2: 0.999 '
        'lr_policy: "fixed" clip_gradients: 5 random_seed: 7'
    )
    return caffe.get_solver(str(solver))


def show(net, random, remembers=True):
    """Fills the net's inputs with new sequences; without ``remembers`` each step is a new one."""
    symbols = random.randint(SYMBOLS, size=(STEPS, STREAMS))
    net.blobs["x"].data[...] = np.eye(SYMBOLS)[symbols]
    net.blobs["cont"].data[...] = remembers
    net.blobs["cont"].data[0] = 0
    net.blobs["label"].data[...] = -1
    net.blobs["label"].data[BACK:] = symbols[:-BACK]


def accuracy(net, random, remembers=True):
    right = []
    for _ in range(10):
        show(net, random, remembers)
        net.forward()
        named = net.blobs["scores"].data.argmax(axis=2)
        right.append(named[BACK:] == net.blobs["label"].data[BACK:])
    return np.mean(right)


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_learns_to_remember(kind, tmp_path):
    """Without memory nothing is better than 1 in 4."""
    solver = recall(kind, tmp_path)
    random = np.random.RandomState(1)
    assert accuracy(solver.net, random) < 0.5
    for _ in range(250):
        show(solver.net, random)
        solver.step(1)
    assert accuracy(solver.net, random) > 0.97
    assert accuracy(solver.net, random, remembers=False) < 0.5


# ---- parameters and files


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("static", [False, True])
def test_parameters(kind, static, tmp_path):
    net, _ = small(kind, tmp_path, static)
    shapes = list(BLOBS[kind])
    if static:
        shapes.insert(2, (shapes[0][0], 6))
    assert [tuple(blob.shape) for blob in net.params["r"]] == shapes
    layer = net.layer_dict["r"]
    assert layer.type == kind and list(net.params) == ["r"]
    assert len(net._layer_names) == (4 if static else 3) and set(net.blobs) >= {"x", "cont", "r"}
    for own, parameter in zip(layer.blobs, net.params["r"]):
        assert np.shares_memory(own.data, parameter.data)
        assert np.shares_memory(own.diff, parameter.diff)


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("form", ["caffemodel", "h5"])
def test_weights_come_back(kind, form, tmp_path):
    net, path = small(kind, tmp_path)
    expected = run(net)
    weights = str(tmp_path / f"w.{form}")
    if form == "h5":
        net.save_hdf5(weights)
        with h5py.File(weights, "r") as file:
            assert list(file["data"]["r"]) == [str(i) for i in range(len(BLOBS[kind]))]
    else:
        net.save(weights)
        stored = caffe.proto.caffe_pb2.NetParameter()
        stored.ParseFromString(Path(weights).read_bytes())
        assert [layer.name for layer in stored.layer] == ["x", "cont", "r"]
        assert stored.layer[2].recurrent_param.num_output == 4
    assert_equal(run(caffe.Net(str(path), caffe.TRAIN, weights=weights)), expected)


def test_weights_with_and_without_a_static_input(tmp_path):
    net, path = small("LSTM", tmp_path)
    _, with_static = small("LSTM", tmp_path, static=True)
    net.save(str(tmp_path / "w.caffemodel"))
    with pytest.raises(caffe.CaffeError, match="layer 'r' .LSTM.: has 4 parameter blobs.* have 3"):
        caffe.Net(str(with_static), caffe.TRAIN, weights=str(tmp_path / "w.caffemodel"))


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_share_with(kind, phase, tmp_path):
    """The steps after the first see the other net's weights too, also when they change."""
    net, path = small(kind, tmp_path)
    other = caffe.Net(str(path), phase)
    other.share_with(net)
    for blob in net.params["r"]:
        blob.data[...] *= 1.5
    assert_equal(run(other), run(net))


def test_assigned_weights_count_at_every_step(tmp_path):
    net, path = small("LSTM", tmp_path)
    other, _ = small("LSTM", tmp_path)
    assert not np.array_equal(run(net)[0], run(other)[0])
    for mine, theirs in zip(other.params["r"], net.params["r"]):
        mine.data[...] = theirs.data
    assert_equal(run(other), run(net))


# ---- programs that list layers


def test_caffe_time(tmp_path):
    _, path = small("LSTM", tmp_path)
    command = [str(BIN / "caffe"), "time", "-model", str(path), "-iterations", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split("] ", 1)[-1].split() for line in done.stderr.splitlines()]
    timed = [line[:2] for line in lines if line[1:2] in (["forward:"], ["backward:"])]
    assert timed.count(["r", "forward:"]) == 1 and timed.count(["r", "backward:"]) == 1
    assert {name for name, _ in timed} == {"x", "cont", "r"}


def test_loss_weight_of_a_top(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(
        str(small_proto()).replace('type: "LSTM"', 'type: "LSTM" loss_weight: 2')
        + "force_backward: true"
    )
    net = caffe.Net(str(path), caffe.TRAIN)
    net.blobs["x"].data[...] = 1
    assert net.forward()["r"].shape == (3, 2, 4)
    np.testing.assert_array_equal(net.blobs["r"].diff, 2)
    net.backward()
    assert np.abs(net.params["r"][0].diff).sum() > 0


def small_proto():
    n = caffe.NetSpec()
    n.x = L.Input(shape=dict(dim=[3, 2, 5]))
    n.cont = L.Input(shape=dict(dim=[3, 2]))
    n.r = recurrent("LSTM", n.x, n.cont)
    return n.to_proto()
