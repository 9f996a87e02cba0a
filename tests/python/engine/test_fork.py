"""Forked processes: multiprocessing on Linux, servers that load a net and fork, data loaders.

Time limits only end what hangs.
"""

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading

import caffe
import children
import data_nets
import engine_layers
import nets
import numpy as np
import pytest
from children import LIMIT, in_child, start_child
from waiting import PATIENCE

# Layers that compute with OpenMP, oneDNN and OpenBLAS, each large enough for several threads.
LAYERS = """
force_backward: true
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 8 dim: 3 dim: 67 dim: 67 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
        convolution_param { num_output: 32 kernel_size: 5 stride: 2
                            weight_filler { type: "xavier" } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "n" type: "LRN" bottom: "c" top: "n" }
layer { name: "e" type: "Enhancement" bottom: "n" top: "e" }
layer { name: "b" type: "BatchNorm" bottom: "e" top: "b" }
layer { name: "t" type: "TanH" bottom: "b" top: "t" }
layer { name: "d" type: "Elimination" bottom: "t" bottom: "data" top: "d" }
layer { name: "p" type: "Convolution" bottom: "d" top: "p"
        convolution_param { num_output: 8 kernel_size: 3 engine: CAFFE
                            weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "p" top: "ip"
        inner_product_param { num_output: 50 weight_filler { type: "xavier" } } }
layer { name: "sum" type: "Reduction" bottom: "ip" top: "sum" loss_weight: 1 }
"""
IMAGES = np.random.RandomState(1).rand(8, 3, 67, 67).astype(np.float32)
ENOUGH_CORES = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one core: no threads to lose"
)


@pytest.fixture
def large_net(make_net):
    def make():
        caffe.set_random_seed(3)
        return make_net(LAYERS, caffe.TRAIN)

    return make


def compute(net):
    """The loss and the gradient of the data, both ways through the net."""
    net.clear_param_diffs()
    net.forward(data=IMAGES)
    net.backward()
    return float(net.blobs["sum"].data), net.blobs["data"].diff.copy()


def assert_equal(found, expected):
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("parent_first", [False, True])
def test_a_child_computes_what_its_parent_does(large_net, parent_first):
    """With a net of its own and with its parent's."""
    shared = large_net()
    if parent_first:
        compute(shared)
    own = in_child(lambda: compute(large_net()))
    inherited = in_child(lambda: compute(shared))
    expected = compute(shared)
    assert_equal(own, expected)
    assert_equal(inherited, expected)


@ENOUGH_CORES
def test_a_child_has_as_many_threads(large_net):
    """OpenMP's and OpenBLAS's are made again."""

    def threads():
        compute(large_net())
        return len(os.listdir("/proc/self/task"))

    alone = in_child(threads)
    assert alone > 1
    compute(large_net())
    assert in_child(threads) == alone
    compute(large_net())


def test_a_child_of_a_child(large_net):
    net = large_net()
    expected = compute(net)

    def child():
        first = compute(net)
        return first, in_child(lambda: compute(net)), compute(net)

    for found in in_child(child):
        assert_equal(found, expected)


def test_a_pool_of_workers(large_net, monkeypatch):
    net = large_net()
    expected = compute(net)
    monkeypatch.setattr(children, "work", lambda: compute(net))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for found in pool.map_async(children.do_work, range(4)).get(LIMIT):
            assert_equal(found, expected)
    assert_equal(compute(net), expected)


def test_a_fork_by_another_thread(large_net):
    """The thread that forks has computed, and so has the main one."""
    net = large_net()
    expected, found = compute(net), []

    def run():
        found.append(compute(net))
        found.append(in_child(lambda: compute(net)))
        found.append(compute(net))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(found) == 3
    for each in found:
        assert_equal(each, expected)


class InBackground:
    """Calls a function again and again in a thread."""

    def __init__(self, function):
        self.function, self.stop, self.errors = function, threading.Event(), []
        self.begun = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        assert self.begun.wait(PATIENCE)
        return self

    def run(self):
        try:
            while not self.stop.is_set():
                self.function()
                self.begun.set()
        except Exception as error:  # noqa: BLE001
            self.errors.append(error)
            self.begun.set()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        assert not self.errors


def test_forks_while_another_thread_computes(large_net):
    mine, other = large_net(), large_net()
    expected = compute(mine)
    with InBackground(lambda: compute(other)):
        for _ in range(8):
            assert_equal(in_child(lambda: compute(mine)), expected)
            assert_equal(in_child(lambda: compute(large_net())), expected)


def test_forks_while_another_thread_trains_and_logs(make_solver):
    """The log's lock is free in the child, whatever the thread was doing."""
    solver = make_solver(nets.TRAIN, max_iter=10**9, display=1)
    other = make_solver(nets.TRAIN)

    def log_and_train():
        caffe.log("here")
        other.step(2)
        return other.iter

    caffe.init_log(0)
    silent = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        with InBackground(lambda: solver.step(100)):
            for _ in range(20):
                batch = [start_child(log_and_train) for _ in range(5)]
                assert [result() for result in batch] == [2] * 5
    finally:
        os.dup2(silent, 2)
        os.close(silent)
        os.close(null)
        caffe.init_log(1)


def test_forks_while_another_thread_writes_weights(make_net, tmp_path):
    """HDF5 has one lock for everything."""
    net = make_net(nets.CHAIN)
    other = make_net(nets.CHAIN)
    other.save_hdf5(tmp_path / "other.h5")

    def child():
        other.load_hdf5(tmp_path / "other.h5")
        other.save(tmp_path / "other.caffemodel")
        return True

    with InBackground(lambda: net.save_hdf5(tmp_path / "net.h5")):
        for _ in range(8):
            results = [start_child(child) for _ in range(5)]
            assert all(result() for result in results)


def test_a_net_that_another_thread_was_using(make_net, monkeypatch):
    inside, go_on = threading.Event(), threading.Event()

    class Waits(engine_layers.Double):
        def forward(self, bottom, top):
            if threading.current_thread() is not threading.main_thread():
                inside.set()
                go_on.wait(PATIENCE)
            super().forward(bottom, top)

    monkeypatch.setattr(engine_layers, "Waits", Waits, raising=False)
    net, other = make_net(nets.python_net("Waits")), make_net(nets.python_net("Double"))

    def child():
        with pytest.raises(caffe.CaffeError, match="another thread was computing with this net"):
            net.forward()
        with pytest.raises(caffe.CaffeError, match="create a new one in this process"):
            net.save(os.devnull)
        return float(other.forward(data=np.ones((2, 3)))["y"].sum())

    thread = threading.Thread(target=net.forward)
    thread.start()
    assert inside.wait(PATIENCE)
    try:
        assert in_child(child) == 12
    finally:
        go_on.set()
        thread.join()
    assert float(net.forward(data=np.ones((2, 3)))["y"].sum()) == 12
    assert in_child(lambda: float(net.forward()["y"].sum())) == 12


def test_a_fork_in_the_middle_of_a_forward(make_net, large_net):
    """A callback that forks: the child may use that net and others."""
    net, other = make_net(nets.CHAIN), large_net()
    expected, results = compute(other), []

    def fork(layer):
        if layer != 1 or results:
            return
        results.append(None)

        def child():
            first = net.forward(end="relu", data=np.ones((2, 3)))["ip"].copy()
            return compute(other), first

        results.append(in_child(child))

    net.before_forward(fork)
    ip = net.forward(data=np.ones((2, 3)), blobs=["ip"])["ip"]
    found, first = results[1]
    assert_equal(found, expected)
    np.testing.assert_array_equal(first, ip)


@pytest.mark.parametrize("seeded", [False, True])
def test_random_numbers(make_net, seeded):
    """Without a seed every process draws its own, with one all draw the same."""
    drawn = []

    def draw():
        return make_net(nets.CHAIN).params["ip"][0].data.tolist()

    def run():
        if seeded:
            caffe.set_random_seed(7)
        draw()
        drawn.extend([in_child(draw), in_child(draw), draw()])

    thread = threading.Thread(target=run)  # no other test has given it a seed
    thread.start()
    thread.join()
    first, second, parents = drawn
    if seeded:
        assert first == second == parents
    else:
        assert first != second and first != parents and second != parents


@pytest.fixture
def folder(tmp_path):
    where = tmp_path / "data"
    where.mkdir()
    return data_nets.write(where)


def labels(net):
    return net.forward()["y"][:, 0, 0, 0].tolist()


@pytest.mark.parametrize("kind", data_nets.PREFETCHING)
def test_a_data_layer_of_the_parent(make_net, folder, kind):
    """It says that it has no thread here; a net made here has one."""
    text = data_nets.net(kind, folder)
    net = make_net(text)
    first = labels(net)

    def child():
        for _ in range(2):
            with pytest.raises(caffe.CaffeError, match=f"'data' .{kind}.*a thread, which a forked"):
                net.forward()
        assert net.forward(start="y")["y"].shape == (2, 3, 6, 6)
        own = make_net(text)
        return labels(own), labels(own)

    found = in_child(child)
    if kind != "WindowData":  # it draws its windows
        assert first == [0, 20] and found == ([0, 20], [40, 60])
        assert labels(net) == [40, 60]
    assert set(found[0]) <= {0, 20, 40, 60}


@pytest.mark.parametrize("kind", data_nets.PREFETCHING)
def test_a_child_deletes_its_parents_data_layer(make_net, folder, kind):
    """While the thread waits and while it reads."""
    net = [make_net(data_nets.net(kind, folder))]
    for _ in range(5):
        labels(net[0])

        def child():
            net.clear()
            return gc.collect() >= 0

        assert in_child(child)
    labels(net[0])


def test_a_child_leaves_its_parents_place_in_the_table_of_readers(make_net, folder):
    """Without it, the records that the parent still reads could be overwritten."""

    net = [make_net(data_nets.net("Data", folder))]
    labels(net[0])

    def table():
        program = (
            f"import lmdb; print(lmdb.open({str(folder / 'lmdb')!r}, readonly=True).readers())"
        )
        return subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, text=True
        ).stdout

    before = table()
    assert str(os.getpid()) in before

    def child():
        net.clear()
        gc.collect()
        return labels(make_net(data_nets.net("Data", folder)))

    assert in_child(child) == [0, 20]
    assert str(os.getpid()) in table()


def test_layers_without_a_thread_read_on(make_net, folder):
    net = make_net(data_nets.net("HDF5Data", folder))
    assert labels(net) == [0, 20]
    assert in_child(lambda: (labels(net), labels(net))) == ([40, 60], [0, 20])
    assert labels(net) == [40, 60]


def test_a_solver_of_the_parent(make_solver):
    solver = make_solver(nets.TRAIN)
    solver.step(2)

    def child():
        solver.step(3)
        return solver.iter, solver.net.params["ip"][0].data.tolist()

    found = in_child(child)
    solver.step(3)
    assert found == (5, solver.net.params["ip"][0].data.tolist())


def test_forks_while_data_layers_read(make_net, folder):
    with InBackground(lambda: labels(make_net(data_nets.net("ImageData", folder)))):
        for kind in data_nets.PREFETCHING * 6:
            text = data_nets.net(kind, folder)
            found = in_child(lambda text=text: labels(make_net(text)))
            assert set(found) <= {0, 20, 40, 60}


def test_a_child_ends_while_threads_of_its_parent_compute(make_net, tmp_path, folder):
    """At its exit it does not wait for the threads that it does not have."""
    make_net(nets.CHAIN)
    layers = [data_nets.net(kind, folder, suffix=kind) for kind in data_nets.PREFETCHING]
    (tmp_path / "data.prototxt").write_text("".join(layers))
    program = f"""
        import os, signal, sys, threading
        import caffe
        data_net = caffe.Net({str(tmp_path / "data.prototxt")!r}, caffe.TEST)
        data_net.forward()
        net = caffe.Net({str(next(tmp_path.glob("net*")))!r}, caffe.TEST)
        stop = threading.Event()
        started = threading.Event()
        def wait(layer):
            started.set()
            stop.wait()
        net.before_forward(wait)
        thread = threading.Thread(target=net.forward)
        thread.start()
        started.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            sys.exit(5)
        status = os.waitpid(child, 0)[1]
        stop.set()
        thread.join()
        print(os.waitstatus_to_exitcode(status))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        env={**os.environ, "GLOG_minloglevel": "2"},
    )
    assert done.stdout.split() == [b"5"]
