"""Layers keep converted weights between passes; no change of the weights may be missed."""

import caffe
import numpy as np
import pytest

# In channels of 16, so that oneDNN's layouts are used; all behind a convolution can be folded.
NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 16 dim: 9 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 32 kernel_size: 3 pad: 1
                            weight_filler { type: "xavier" } } }
layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "one" type: "Convolution" bottom: "conv" top: "one"
        convolution_param { num_output: 16 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "one_relu" type: "ReLU" bottom: "one" top: "one" }
"""

# (layer, index): every learnt blob that the first convolution's result depends on, and the second's
BLOBS = [("conv", 0), ("conv", 1), ("norm", 0), ("norm", 1), ("norm", 2)]
BLOBS += [("scale", 0), ("scale", 1), ("one", 0), ("one", 1)]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "net.prototxt"
    file.write_text(NET)
    return file


def new_net(path):
    net = caffe.Net(str(path), caffe.TEST)
    net.params["norm"][1].data[...] = 1.5
    net.params["norm"][2].data[...] = 1
    net.params["scale"][0].data[...] = 0.75
    rng = np.random.RandomState(1)
    net.blobs["data"].data[...] = rng.uniform(-1, 1, net.blobs["data"].data.shape)
    net.forward()
    return net


def expect_fresh(net, path):
    """A pass gives what a new net with the same weights gives."""
    other = caffe.Net(str(path), caffe.TEST)
    for name, blobs in net.params.items():
        for blob, to in zip(blobs, other.params[name]):
            to.data[...] = blob.data
    other.blobs["data"].data[...] = net.blobs["data"].data
    other.forward()
    for _ in range(2):
        net.forward()
        np.testing.assert_array_equal(net.blobs["one"].data, other.blobs["one"].data)


def add(array, value=0.25):
    array += value


def add_to(net, layer, index, value=0.25):
    net.params[layer][index].data[...] += value


def changed(net, path, change, *args):
    """Whether `change(*args)` changes the output; checks it."""
    before = net.blobs["one"].data.copy()
    change(*args)
    expect_fresh(net, path)
    return not np.array_equal(before, net.blobs["one"].data)


@pytest.mark.parametrize(("layer", "index"), BLOBS)
def test_an_array_that_is_held_is_read_anew(path, layer, index):
    net = new_net(path)
    held = net.params[layer][index].data
    part = held.reshape(-1)[:1]
    for array in (held, part):
        for _ in range(2):
            assert changed(net, path, add, array)
    del held, array
    assert changed(net, path, add, part)
    add(part)
    del part
    assert changed(net, path, add_to, net, layer, index)


def test_weights_that_are_loaded_count(path, tmp_path):
    net, other = new_net(path), new_net(path)
    for layer, index in BLOBS:
        add_to(other, layer, index)
    other.forward()
    other.save(str(tmp_path / "other.caffemodel"))
    assert changed(net, path, net.copy_from, str(tmp_path / "other.caffemodel"))
    np.testing.assert_array_equal(net.blobs["one"].data, other.blobs["one"].data)


def test_nets_that_share_weights(path):
    owner, net = new_net(path), new_net(path)
    net.share_with(owner)
    expect_fresh(net, path)
    for layer, index in BLOBS:
        assert changed(net, path, add_to, owner, layer, index)
        expect_fresh(owner, path)
        assert changed(owner, path, add_to, net, layer, index, 0.5)
        expect_fresh(net, path)


TRAIN = (
    NET
    + """
layer { name: "loss" type: "Reduction" bottom: "one" top: "loss"
        reduction_param { operation: SUMSQ } loss_weight: 0.001 }
"""
)


def test_a_solvers_test_net_follows_the_training(make_solver, path):
    solver = make_solver(TRAIN, base_lr=0.01, test_iter=[1], test_interval=100)
    net = solver.test_nets[0]
    net.share_with(solver.net)
    net.params["norm"][1].data[...] = 1.5
    rng = np.random.RandomState(1)
    for each in (solver.net, net):
        each.blobs["data"].data[...] = rng.uniform(-1, 1, each.blobs["data"].data.shape)
    net.forward()
    for _ in range(3):
        assert changed(net, path, solver.step, 1)


def test_backward_behind_a_pass_of_joined_layers(path, tmp_path):
    """Gradients of a TEST net, against central differences."""
    file = tmp_path / "gradients.prototxt"
    file.write_text("force_backward: true\n" + NET)
    net = new_net(file)
    top = np.random.RandomState(2).uniform(-1, 1, net.blobs["one"].data.shape)

    def value():
        net.forward()
        return float((net.blobs["one"].data * top).sum(dtype=np.float64))

    for layer, index in [("conv", 0), ("conv", 1), ("scale", 0), ("scale", 1), ("one", 0)]:
        net.clear_param_diffs()
        value()
        net.blobs["one"].diff[...] = top
        net.backward()
        found = net.params[layer][index].diff.reshape(-1).copy()
        k = int(np.abs(found).argmax())
        for_k = net.params[layer][index].data.reshape(-1)
        step, old = 1e-3, float(for_k[k])
        for_k[k] = old + step
        high = value()
        for_k[k] = old - step
        low = value()
        for_k[k] = old
        assert found[k] == pytest.approx((high - low) / (2 * step), rel=0.03), (layer, index)
