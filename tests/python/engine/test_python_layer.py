"""Layers written in Python."""

import gc
import sys
import traceback
import weakref

import caffe
import engine_layers
import nets
import numpy as np
import pytest

X = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)


def test_forward_and_backward(make_net):
    net = make_net(nets.python_net("Double", param_str="2.5"))
    np.testing.assert_allclose(net.forward(data=X)["y"], 2.5 * X)
    np.testing.assert_allclose(net.backward(y=X)["data"], 2.5 * X)
    layer = net.layer_dict["py"]
    assert type(layer) is engine_layers.Double
    assert layer.type == "Python"
    assert layer.calls == ["forward", ("backward", [True])]
    assert (layer.phase, layer.param_str) == (caffe.TEST, "2.5")
    assert net.layers[1] is layer


def test_what_is_learnt(make_net, tmp_path):
    net = make_net(nets.python_net("Affine"))
    np.testing.assert_allclose(net.forward(data=X)["y"], 3 * X + 0.5)
    net.backward(y=np.ones((2, 3)))
    assert float(net.params["py"][0].diff[0]) == X.sum()
    assert float(net.params["py"][1].diff[0]) == 6
    blobs = net.params["py"]
    assert len(blobs) == 2
    assert list(blobs)[1] is blobs[1]
    assert blobs[0] in blobs
    assert blobs[-1] is blobs[1]
    assert [blob.shape for blob in blobs[:]] == [(1,), (1,)]
    net.params["py"][0].data[...] = 7
    net.save(tmp_path / "w.caffemodel")
    loaded = make_net(nets.python_net("Affine"), weights=tmp_path / "w.caffemodel")
    assert float(loaded.params["py"][0].data[0]) == 7


def test_training(make_solver):
    layer = (
        'layer { name: "py" type: "Python" bottom: "data" top: "py" '
        'python_param { module: "engine_layers" layer: "Affine" } } layer { name: "ip"'
    )
    net = nets.TRAIN.replace('bottom: "data" top: "ip"', 'bottom: "py" top: "ip"')
    solver = make_solver(net.replace('layer { name: "ip"', layer))
    before = float(solver.net.params["py"][1].data[0])
    solver.step(3)
    assert float(solver.net.params["py"][1].data[0]) != before


TARGETS = """
layer {{ name: "data" type: "DummyData" top: "data" dummy_data_param {{ shape {{ dim: 4 dim: 3 }}
        data_filler {{ type: "gaussian" }} }} }}
layer {{ name: "proposals" type: "InnerProduct" bottom: "data" top: "proposals"
        inner_product_param {{ num_output: 5 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "targets" type: "Python" bottom: "proposals" {tops}
        python_param {{ module: "engine_layers" layer: "Targets" param_str: "{count}" }} }}
layer {{ name: "boxes" type: "InnerProduct" bottom: "data" top: "boxes"
        inner_product_param {{ num_output: 5 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "{kind}" bottom: "boxes" {bottoms} top: "loss" {param} }}
"""


@pytest.mark.parametrize(
    "kind, names, param",
    [
        ("SmoothL1Loss", ("target", "inside"), ""),
        ("SmoothL1Loss", ("target", "inside", "outside"), "smooth_l1_loss_param { sigma: 3 }"),
        ("SmoothL1LossOHEM", ("target", "weight"), ""),
        ("EuclideanLoss", ("target",), ""),
    ],
)
def test_training_with_targets_of_a_layer_behind_learnt_ones(make_solver, kind, names, param):
    """End-to-end training of Faster R-CNN: regions, targets and weights follow from what the net
    proposes, so the loss is asked for the gradients of them all."""
    tops = " ".join(f'top: "{name}"' for name in names)
    text = TARGETS.format(
        tops=tops, bottoms=tops.replace("top", "bottom"), count=len(names), kind=kind, param=param
    )
    solver = make_solver(text)
    before = solver.net.params["boxes"][0].data.copy()
    solver.step(3)
    assert not np.array_equal(solver.net.params["boxes"][0].data, before)
    for name in names[1:]:
        assert not solver.net.blobs[name].diff.any()


@pytest.mark.parametrize(
    "layer, exception, text",
    [
        ("FailsInSetup", KeyError, "no such setting"),
        ("FailsInReshape", ZeroDivisionError, "in reshape"),
        ("FailsInForward", LookupError, "in forward"),
        ("FailsInBackward", OSError, "in backward"),
        ("NoForward", NotImplementedError, r"layer 'py' \(Python\).*forward"),
        ("NoReshape", NotImplementedError, "reshape"),
        ("WithoutBaseInit", TypeError, "__init__"),
        ("NotALayer", caffe.CaffeError, "no subclass of caffe.Layer"),
        ("NOT_A_CLASS", TypeError, "not callable"),
        ("Missing", AttributeError, r"layer 'py' \(Python\).*Missing"),
        ("Exits", SystemExit, "3"),
    ],
)
def test_errors_arrive_as_they_were_raised(make_net, layer, exception, text):
    with pytest.raises(exception, match=text):
        net = make_net(nets.python_net(layer))
        net.forward(data=X)
        net.backward(y=X)


def test_the_traceback_shows_the_layer(make_net):
    net = make_net(nets.python_net("FailsInForward"))
    try:
        net.forward()
    except LookupError as error:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames[-1] == "forward"
    assert frames[0] == "test_the_traceback_shows_the_layer"


def test_modules_that_are_wrong(make_net):
    for module in ("no_such_module", "no_such_package.module"):
        with pytest.raises(ModuleNotFoundError, match=rf"layer 'py' .*{module}.*PYTHONPATH"):
            make_net(nets.python_net("X", module=module))
    with pytest.raises(caffe.CaffeError, match="python_param must name a module"):
        make_net(nets.python_net("", module=""))


def test_a_top_of_another_shape(make_net):
    net = make_net(
        nets.python_net("Grows") + 'layer { name: "r" type: "ReLU" bottom: "y" top: "r" }'
    )
    assert net.forward()["r"].shape == (4, 3)
    net.blobs["data"].reshape(7, 3)
    assert net.forward()["r"].shape == (14, 3)


def test_a_layer_may_run_a_net(make_net):
    engine_layers.Nested.inner = make_net(nets.python_net("Double"))
    try:
        net = make_net(nets.python_net("Nested"))
        np.testing.assert_allclose(net.forward(data=X)["y"], 2 * X)
    finally:
        engine_layers.Nested.inner = None


def test_layers_live_as_long_as_net_or_reference(make_net):
    net = make_net(nets.python_net("Double"))
    layer = net.layer_dict["py"]
    gone = weakref.ref(layer)
    blobs = layer.blobs
    del net
    gc.collect()
    assert layer.type == "Python"
    del layer
    gc.collect()
    assert gone() is None
    assert len(blobs) == 0


def test_no_reference_leaks(make_net):
    net = make_net(nets.python_net("Double"))
    net.forward(data=X)

    def objects():
        for _ in range(20):
            net.forward(data=X)
            net.backward(y=X)
            _ = net.blobs["y"].data, net.params, net.layers, net._blob_names
            net.layer_dict["py"].calls.clear()
        gc.collect()
        return len(gc.get_objects()), sys.getrefcount(engine_layers.Double)

    objects()
    before = objects()
    after = objects()
    assert after[0] <= before[0] + 5
    assert after[1] == before[1]


def test_failed_nets_do_not_leak(make_net):
    def fail():
        with pytest.raises(ZeroDivisionError):
            make_net(nets.python_net("FailsInReshape"))
        gc.collect()
        return sys.getrefcount(engine_layers.FailsInReshape)

    fail()
    assert fail() == fail()


def test_layers_of_c_do_not_run_by_hand(make_net):
    layer = make_net(nets.CHAIN).layers[1]
    with pytest.raises(NotImplementedError):
        layer.forward([], [])
    with pytest.raises(TypeError):
        layer.blobs.append(None)
    assert len(layer.blobs) == 2
