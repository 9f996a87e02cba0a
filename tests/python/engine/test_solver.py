"""Solvers from Python."""

import gc
import weakref

import caffe
import nets
import numpy as np
import pytest


@pytest.fixture
def solver(make_solver):
    return make_solver(nets.TRAIN)


def weights(solver):
    return solver.net.params["ip"][0].data


def test_step(solver):
    before = weights(solver).copy()
    assert solver.iter == 0
    solver.step(3)
    assert solver.iter == 3
    assert not np.array_equal(before, weights(solver))
    solver.step(0)
    assert solver.iter == 3
    for wrong in ["3", None, 2.5]:
        with pytest.raises(TypeError):
            solver.step(wrong)
    with pytest.raises(ValueError, match="-1"):
        solver.step(-1)


def test_what_there_is(make_solver):
    solver = make_solver(nets.TRAIN, test_iter=[2], test_interval=100, gamma=0.5)
    assert solver.net is solver.net
    assert isinstance(solver.net, caffe.Net)
    assert len(solver.test_nets) == 1
    assert list(solver.test_nets[0].blobs) == ["data", "label", "ip", "loss"]
    assert solver.lr == pytest.approx(0.1)
    assert solver.type == "SGD"
    assert (solver.param.max_iter, solver.param.gamma) == (20, 0.5)
    assert solver.param.base_lr == pytest.approx(0.1)
    assert type(solver) is caffe.SGDSolver


def test_learning_rate_follows_the_policy(make_solver):
    solver = make_solver(nets.TRAIN, lr_policy="step", gamma=0.5, stepsize=2)
    rates = []
    for _ in range(5):
        solver.step(1)
        rates.append(solver.lr)
    assert rates == pytest.approx([0.1, 0.05, 0.05, 0.025, 0.025])


@pytest.mark.parametrize("name", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
def test_every_type(name, make_solver):
    settings = {"AdaDelta": dict(momentum=0.9), "RMSProp": dict(rms_decay=0.9)}.get(name, {})
    cls = getattr(caffe, f"{name}Solver")
    assert issubclass(cls, caffe.SGDSolver)
    found = make_solver(nets.TRAIN, type=name, **settings)
    assert type(found) is cls
    for solver in [found, make_solver(nets.TRAIN, cls=cls, **settings)]:
        assert solver.type == name
        before = weights(solver).copy()
        solver.step(4)
        assert not np.array_equal(before, weights(solver))


def test_solve(make_solver, tmp_path):
    solver = make_solver(nets.TRAIN, max_iter=5, snapshot=3)
    solver.solve()
    assert solver.iter == 5
    names = sorted(path.name for path in tmp_path.glob("snap_*"))
    assert names == [
        f"snap_iter_{number}.{kind}" for number in (3, 5) for kind in ("caffemodel", "solverstate")
    ]
    again = make_solver(nets.TRAIN, max_iter=5)
    again.solve(tmp_path / "snap_iter_3.solverstate")
    assert again.iter == 5


def test_snapshot_and_restore(make_solver, tmp_path):
    net = nets.TRAIN.replace('type: "gaussian"', 'type: "constant" value: 0.3')
    solver = make_solver(net, momentum=0.9)
    solver.step(2)
    solver.snapshot()
    solver.step(2)
    other = make_solver(net, momentum=0.9)
    other.restore(tmp_path / "snap_iter_2.solverstate")
    assert other.iter == 2
    other.step(2)
    np.testing.assert_array_equal(weights(solver), weights(other))
    with pytest.raises(caffe.CaffeError, match="nowhere"):
        other.restore("/nowhere/x.solverstate")
    with pytest.raises(caffe.CaffeError, match="train"):
        other.restore(next(tmp_path.glob("train*")))


def test_a_damaged_history_is_refused_as_a_whole(make_solver, tmp_path):
    """The second stored blob is wrong; the first must not be taken over either."""
    net = nets.TRAIN.replace('type: "gaussian"', 'type: "constant" value: 0.3')
    solver, other = make_solver(net, momentum=0.9), make_solver(net, momentum=0.9)
    for each in (solver, other):
        each.step(2)
    solver.snapshot()
    path = tmp_path / "snap_iter_2.solverstate"
    state = caffe.proto.caffe_pb2.SolverState.FromString(path.read_bytes())
    state.history[0].data[:] = [9] * len(state.history[0].data)
    state.history[1].diff.append(1)
    (tmp_path / "damaged.solverstate").write_bytes(state.SerializeToString())
    with pytest.raises(caffe.CaffeError, match="damaged.solverstate.*diff"):
        solver.restore(tmp_path / "damaged.solverstate")
    for each in (solver, other):
        each.step(1)
    np.testing.assert_array_equal(weights(solver), weights(other))


def test_apply_update_and_share_weights(make_solver):
    solver, other = make_solver(nets.TRAIN), make_solver(nets.TRAIN)
    before = weights(solver).copy()
    solver.net.params["ip"][0].diff[...] = 1
    solver.apply_update()
    np.testing.assert_allclose(weights(solver), before - 0.1, rtol=1e-5)
    solver.share_weights(other.net)
    assert np.shares_memory(weights(solver), weights(other))
    with pytest.raises(TypeError):
        solver.share_weights(None)


def test_callbacks(solver):
    calls = []
    solver.add_callback(
        lambda: calls.append(("start", solver.iter)), lambda: calls.append(("ready", solver.iter))
    )
    solver.step(2)
    assert calls == [("start", 0), ("ready", 0), ("start", 1), ("ready", 1)]
    with pytest.raises(TypeError):
        solver.add_callback(1, 2)


def test_an_error_in_a_callback_ends_the_training(solver):
    def fail():
        if solver.iter == 2:
            raise ConnectionError("from the callback")

    solver.add_callback(lambda: None, fail)
    with pytest.raises(ConnectionError, match="from the callback"):
        solver.step(9)
    assert solver.iter == 2


def test_a_loss_that_is_not_finite_is_an_error(solver):
    weights(solver)[...] = np.nan
    with pytest.raises(caffe.CaffeError, match="finite|nan|NaN"):
        solver.step(1)


def test_files_that_are_wrong(tmp_path, make_solver):
    for make in (caffe.get_solver, caffe.SGDSolver):
        with pytest.raises(caffe.CaffeError, match="/nowhere/solver.prototxt"):
            make("/nowhere/solver.prototxt")
        with pytest.raises(TypeError):
            make(3)
    with pytest.raises(caffe.CaffeError, match="did you mean 'Adam'"):
        make_solver(nets.TRAIN, type="Adm")
    path = tmp_path / "wrong.prototxt"
    path.write_text("no_such_field: 1")
    with pytest.raises(caffe.CaffeError, match="wrong.prototxt.*no_such_field"):
        caffe.get_solver(path)
    with pytest.raises(caffe.CaffeError):
        make_solver("layer {")


def test_solver_net_and_callback_are_freed(make_solver):
    solver = make_solver(nets.TRAIN, test_iter=[1], test_interval=100)
    gone, net = weakref.ref(solver), solver.net
    view = weights(solver)
    solver.add_callback(lambda: None, lambda: None)
    solver.step(1)
    del solver
    gc.collect()
    assert gone() is None
    net.forward()
    net.backward()
    del net
    gc.collect()
    view[...] = 0


@pytest.mark.parametrize("cls", [caffe.SGDSolver, caffe.AdamSolver, caffe.get_solver])
def test_callbacks_may_refer_to_their_solver(make_solver, cls):
    """And all are freed nevertheless."""

    def watch(solver, seen):
        solver.add_callback(lambda: seen.append(solver.iter), lambda: None)
        solver.net.after_forward(lambda layer: seen.append(solver.iter))

    solver, seen = make_solver(nets.TRAIN, cls=cls), []
    watch(solver, seen)
    gc.collect()
    solver.step(2)
    assert seen[0] == 0 and len(seen) > 4
    gone = weakref.ref(solver)
    del solver
    gc.collect()
    assert gone() is None


def test_the_nets_of_a_solver_run_by_themselves(make_solver):
    solver = make_solver(nets.TRAIN, test_iter=[1], test_interval=100)
    solver.net.forward()
    solver.net.backward()
    solver.step(1)
    solver.net.backward()
    assert float(solver.test_nets[0].forward()["loss"]) > 0
