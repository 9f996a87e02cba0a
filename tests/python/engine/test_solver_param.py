"""solver.param: what is written to it reaches the solver, or is an error."""

import copy
import pickle
import threading

import caffe
import nets
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format


@pytest.fixture
def solver(make_solver):
    return make_solver(nets.TRAIN)


def updated(solver):
    """How far one update with a gradient of 1 moves a weight of 1."""
    weights = solver.net.params["ip"][0]
    solver.net.clear_param_diffs()
    weights.data[...], weights.diff[...] = 1, 1
    solver.apply_update()
    return 1 - weights.data[0, 0]


def test_the_learning_rate(solver):
    assert updated(solver) == pytest.approx(0.1)
    solver.param.base_lr = 0.5
    assert solver.lr == solver.param.base_lr == 0.5
    assert updated(solver) == pytest.approx(0.5)
    solver.param.momentum, solver.param.clip_gradients = 0, 0.01
    assert updated(solver) < 0.01


def test_the_number_of_iterations(solver):
    solver.param.max_iter = 3
    solver.param.snapshot_after_train = False
    solver.solve()
    assert solver.iter == 3


@pytest.mark.parametrize("when", ["start", "gradients", "layer"])
def test_changes_from_callbacks_take_effect_in_the_same_iteration(solver, when):
    def change(*_):
        solver.param.base_lr = 0.25

    def nothing():
        pass

    if when == "layer":
        solver.net.after_forward(change)
    else:
        solver.add_callback(*[(change, nothing), (nothing, change)][when == "gradients"])
    weights = solver.net.params["ip"][0]
    before = weights.data.copy()
    solver.step(1)
    gradient = weights.diff / 0.25  # the diffs hold what was subtracted
    np.testing.assert_allclose(before - weights.data, 0.25 * gradient, rtol=1e-5, atol=1e-7)
    assert solver.lr == 0.25
    after = weights.data.copy()
    solver.net.forward()
    solver.net.clear_param_diffs()
    solver.net.backward()
    gradient = weights.diff.copy()
    solver.apply_update()
    np.testing.assert_allclose(after - weights.data, 0.25 * gradient, rtol=1e-5, atol=1e-7)


def test_lists(make_solver):
    solver = make_solver(nets.TRAIN, lr_policy="multistep", gamma=0.1, stepvalue=[2, 4])
    assert list(solver.param.stepvalue) == [2, 4] == solver.param.stepvalue[:]
    solver.step(3)
    assert solver.lr == pytest.approx(0.01)
    solver.param.stepvalue[0] = 8  # as if the file had said so
    assert solver.lr == pytest.approx(0.1)
    solver.param.stepvalue.append(9)
    solver.param.stepvalue[0] = 1
    del solver.param.stepvalue[1]
    assert list(solver.param.stepvalue) == [1, 9]
    assert solver.lr == pytest.approx(0.01)
    solver.param.stepvalue[:] = [1, 2, 3]
    assert solver.lr == pytest.approx(0.0001)
    assert 2 in solver.param.stepvalue and len(solver.param.stepvalue) == 3
    assert solver.param.stepvalue.pop() == 3
    assert solver.param.stepvalue == [1, 2]
    with pytest.raises(TypeError):
        solver.param.stepvalue.append("x")
    with pytest.raises(AttributeError):
        solver.param.stepvalue = [1]  # as messages do


def test_policies(solver):
    solver.param.gamma, solver.param.stepsize = 0.5, 2
    solver.param.lr_policy = "step"
    solver.step(5)
    assert solver.lr == pytest.approx(0.1 * 0.5**2)


FIXED = {
    "net": lambda param: setattr(param, "net", "other.prototxt"),
    "type": lambda param: setattr(param, "type", "Adam"),
    "random_seed": lambda param: setattr(param, "random_seed", 5),
    "solver_mode": lambda param: setattr(param, "solver_mode", 0),
    "weights": lambda param: param.weights.append("x.caffemodel"),
    "train_state": lambda param: setattr(param.train_state, "level", 3),
    "test_state": lambda param: param.test_state.add(),
    "net_param": lambda param: param.net_param.layer.add(name="x"),
    "layer_wise_reduce": lambda param: setattr(param, "layer_wise_reduce", False),
}


@pytest.mark.parametrize("field", FIXED)
def test_what_a_solver_reads_only_once(solver, field):
    before = str(solver.param)
    with pytest.raises(AttributeError, match=rf"^solver.param.{field} cannot be changed"):
        FIXED[field](solver.param)
    assert str(solver.param) == before
    solver.step(1)


IMPOSSIBLE = [
    ("SGD", dict(lr_policy="Step"), "policy"),
    ("SGD", dict(regularization_type="L3"), "L3"),
    ("SGD", dict(iter_size=0), "iter_size is 0"),
    ("SGD", dict(average_loss=0), "average_loss is 0"),
    ("AdaGrad", dict(momentum=0.9), "no momentum"),
    ("RMSProp", dict(rms_decay=1), "rms_decay is 1"),
    ("SGD", dict(snapshot=5, snapshot_prefix="/nowhere/x"), "/nowhere/x"),
]


@pytest.mark.parametrize("kind, settings, message", IMPOSSIBLE)
def test_what_would_make_an_update_impossible(make_solver, kind, settings, message):
    solver = make_solver(nets.TRAIN, type=kind)
    wanted = copy.copy(solver.param)
    for name, value in settings.items():
        setattr(wanted, name, value)
    with pytest.raises(caffe.CaffeError, match=message):
        solver.param.CopyFrom(wanted)
    for name in settings:
        assert getattr(solver.param, name) != getattr(wanted, name)
    solver.step(1)


def test_one_test_iter_for_each_test_net(make_solver):
    solver = make_solver(nets.TRAIN, test_iter=[2], test_interval=100)
    solver.param.test_iter[0] = 3
    assert list(solver.param.test_iter) == [3]
    with pytest.raises(caffe.CaffeError, match="test_iter has 2 values for 1 test nets"):
        solver.param.test_iter.append(1)


def test_it_reads_as_a_message(make_solver):
    solver = make_solver(nets.TRAIN, train_state=dict(level=2), display=5)
    param = solver.param
    assert isinstance(param, caffe_pb2.SolverParameter)
    assert param.display == 5 and param.train_state.level == 2
    assert param.HasField("display") and not param.HasField("clip_gradients")
    text = text_format.MessageToString(param)
    assert text == str(param) and "display: 5" in text
    assert caffe_pb2.SolverParameter.FromString(param.SerializeToString()) == param
    assert copy.deepcopy(param) == param == pickle.loads(pickle.dumps(param))
    own = copy.copy(param)
    own.display = 7
    assert param.display == 5
    for name in ("no_such_field", "bas_lr"):
        with pytest.raises(AttributeError, match=name):
            getattr(param, name)
        with pytest.raises(AttributeError, match=name):
            setattr(param, name, 1)
    with pytest.raises(TypeError):
        param.base_lr = "fast"
    param.ClearField("display")
    assert not solver.param.display
    with pytest.raises(AttributeError, match="ClearField"):
        del param.base_lr


def test_from_another_thread(solver):
    """The change waits for the step that runs."""
    seen, reader = [], []

    def change():
        solver.param.base_lr = 0.75
        seen.append(solver.lr)

    def on_start():
        if solver.iter == 0:
            reader.append(threading.Thread(target=change))
            reader[0].start()

    solver.add_callback(on_start, lambda: None)
    solver.step(3)
    reader[0].join(60)
    assert seen == [0.75]
