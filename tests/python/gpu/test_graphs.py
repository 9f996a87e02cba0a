"""Solvers with cuda_graph: true in pycaffe: the same numbers, whatever a script does in between."""

from __future__ import annotations

import caffe
import numpy as np
import pytest

NOT_RECORDED = "cuda_graph: iterations are not recorded: "

NET = """
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 } } }
%s
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }
%s
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
INPUT = """layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 4 dim: 2 dim: 8 dim: 8 } } }"""


class Images(caffe.Layer):
    """Other images in each pass."""

    def setup(self, bottom, top):
        self.passes = 0

    def reshape(self, bottom, top):
        top[0].reshape(4, 2, 8, 8)

    def forward(self, bottom, top):
        self.passes += 1
        top[0].data[...] = np.random.default_rng(self.passes).normal(size=top[0].data.shape)

    def backward(self, top, propagate_down, bottom):
        pass


class Growing(Images):
    """Four images or, in every third iteration of two passes, three."""

    def reshape(self, bottom, top):
        self.images = 3 if self.passes // 2 % 3 == 2 else 4
        top[0].reshape(self.images, 2, 8, 8)


class Same(caffe.Layer):
    """y = x."""

    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff


def python_layer(name, bottoms, top):
    return (
        f'layer {{ name: "{name}" type: "Python" {bottoms} top: "{top}" '
        f'python_param {{ module: "test_graphs" layer: "{name}" }} }}'
    )


@pytest.fixture
def train(tmp_path, gpu):
    """train(net, graph, between): what 12 iterations show, and the weights after them."""

    def run(net, graph, between=lambda solver, step: None):
        file = tmp_path / "solver.prototxt"
        (tmp_path / "net.prototxt").write_text(net)
        file.write_text(
            f'net: "{tmp_path}/net.prototxt" type: "Adam" base_lr: 0.01 lr_policy: "step" '
            f"gamma: 0.5 stepsize: 3 momentum: 0.9 random_seed: 3 iter_size: 2 "
            f"cuda_graph: {str(graph).lower()} "
            f'snapshot_prefix: "{tmp_path}/s"'
        )
        solver = caffe.get_solver(str(file))
        shown = []
        for step in range(12):
            if "Growing" not in net:
                solver.net.blobs["label"].data[...] = [step % 3, 1, 2, 0]
            if "Python" not in net or "Same" in net:
                random = np.random.default_rng(step)
                solver.net.blobs["data"].data[...] = random.normal(size=(4, 2, 8, 8))
            between(solver, step)
            solver.step(1)
            shown += [solver.net.blobs[name].data.copy() for name in ("loss", "ip", "conv")]
            shown.append(solver.net.blobs["ip"].diff.copy())
        return shown + [b.data.copy() for v in solver.net.params.values() for b in v]

    return run


def expect_same(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b):
        np.testing.assert_array_equal(one, other)


def test_a_script_that_reads_and_writes_between_steps(train, capfd):
    def change(solver, step):
        if step == 7:
            solver.net.params["conv"][0].data[0] += 0.25
        if step == 9:
            solver.net.forward()
            solver.net.backward()

    net = NET % (INPUT, "")
    plain = train(net, False, change)
    expect_same(train(net, True, change), plain)
    assert NOT_RECORDED not in capfd.readouterr().err


def test_a_data_layer_in_python_is_no_hindrance(train, capfd):
    net = NET % (python_layer("Images", "", "data"), "")
    expect_same(train(net, True), train(net, False))
    assert NOT_RECORDED not in capfd.readouterr().err


def test_a_data_layer_may_change_its_shape(train):
    def label(solver, step):
        images = 3 if step % 3 == 2 else 4
        solver.net.blobs["label"].reshape(images)
        solver.net.blobs["label"].data[...] = [step % 3, 1, 2, 0][:images]

    net = NET % (python_layer("Growing", "", "data"), "")
    expect_same(train(net, True, label), train(net, False, label))


def test_another_layer_in_python_is_one(train, capfd):
    net = NET % (INPUT, python_layer("Same", 'bottom: "conv"', "same"))
    net = net.replace('bottom: "conv" top: "ip"', 'bottom: "same" top: "ip"')
    expect_same(train(net, True), train(net, False))
    reason = "layer 'Same' (Python) is not the engine's own"
    assert capfd.readouterr().err.count(NOT_RECORDED + reason) == 1


def test_a_callback_is_one(train, capfd):
    seen = []

    def add(solver, step):
        if step == 0:
            solver.add_callback(lambda: None, lambda: seen.append(solver.iter))

    net = NET % (INPUT, "")
    expect_same(train(net, True, add), train(net, False, add))
    assert len(seen) == 24
    assert NOT_RECORDED + "the solver has callbacks" in capfd.readouterr().err
