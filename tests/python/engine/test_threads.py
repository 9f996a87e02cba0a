"""Other threads, signals and long calls."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import caffe
import engine_layers
import nets
import numpy as np
import pytest
from waiting import PATIENCE

# A forward of some 50 ms and more on any machine.
HEAVY = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1024 dim: 1024 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 4096 weight_filler { type: "xavier" } } }
"""


class Ticker:
    """Counts in a thread of Python while the caller does something else.

    It waits between two counts, so that each needs Python's lock once more.
    """

    def __enter__(self):
        self.count = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.stopping.wait(0.001):
            self.count += 1

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def test_a_forward_lets_other_threads_run(make_net):
    net = make_net(HEAVY)
    net.forward()
    most = 0
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # Python takes the lock from no thread that does not give it back
    try:
        with Ticker() as ticker:
            for _ in range(1000):
                before = ticker.count
                net._forward(0, 1)
                most = max(most, ticker.count - before)
                if most > 1:
                    break
    finally:
        sys.setswitchinterval(interval)
    # While Python's lock is held there is at most one tick in a forward, where it is taken.
    assert most > 1


def test_training_lets_other_threads_run(make_solver):
    solver = make_solver(nets.TRAIN)
    with Ticker() as ticker:
        before = ticker.count
        solver.step(20000)
        assert ticker.count - before > 10


def test_two_threads_with_a_net_each(make_net):
    both = [make_net(nets.CHAIN) for _ in range(2)]
    barrier = threading.Barrier(2)
    outputs = [None, None]

    def run(number):
        barrier.wait()
        for i in range(300):
            outputs[number] = both[number].forward(data=np.full((2, 3), i + number))["prob"].copy()

    threads = [threading.Thread(target=run, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        alone = both[number].forward(data=np.full((2, 3), 299 + number))["prob"]
        np.testing.assert_array_equal(alone, outputs[number])


def test_threads_with_one_net_wait_for_each_other(make_net):
    """Layers of Python in a net that four threads use never overlap."""
    running, most = [0], [0]

    class Watched(engine_layers.Double):
        def forward(self, bottom, top):
            running[0] += 1
            most[0] = max(most[0], running[0])
            time.sleep(0.001)
            running[0] -= 1

    engine_layers.Watched = Watched
    try:
        net = make_net(nets.python_net("Watched"))
        errors = []

        def run():
            try:
                for _ in range(20):
                    net.forward()
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        del engine_layers.Watched
    assert not errors
    assert most[0] == 1


def test_a_python_layer_runs_in_the_thread_that_calls(make_net):
    net = make_net(nets.python_net("Double"))
    result = []
    thread = threading.Thread(
        target=lambda: result.append(net.forward(data=np.ones((2, 3)))["y"].sum())
    )
    thread.start()
    thread.join()
    assert result == [12]


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("call", ["step(10**9)", "solve()"])
def test_control_c_ends_a_training(make_solver, tmp_path, call):
    make_solver(nets.TRAIN, max_iter=10**9, display=1000)
    program = f"""
        import caffe
        solver = caffe.get_solver({str(next(tmp_path.glob("solver*")))!r})
        try:
            solver.{call}
        except KeyboardInterrupt:
            before = solver.iter
            solver.step(3)
            print("interrupted", solver.iter - before, before > 0)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert any(b"] Iteration 1000 " in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert out.split() == [b"interrupted", b"3", b"True"], err.decode()


def test_another_signal_handler_runs_during_a_training(solver_and_alarm):
    solver, seen = solver_and_alarm
    with pytest.raises(TimeoutError):
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        solver.step(10**9)
    assert seen == [signal.SIGALRM]


@pytest.fixture
def solver_and_alarm(make_solver):
    seen = []

    def handle(number, frame):
        seen.append(number)
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, handle)
    yield make_solver(nets.TRAIN), seen
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("usual_signals")
def test_control_c_in_forward_all(make_net, monkeypatch):
    forwards = []

    class Interrupted(engine_layers.Double):
        def forward(self, bottom, top):
            forwards.append(1)
            if len(forwards) == 3:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(engine_layers, "Interrupted", Interrupted, raising=False)
    net = make_net(nets.python_net("Interrupted"))
    with pytest.raises(KeyboardInterrupt):
        net.forward_all(data=np.zeros((2000, 3)))  # 1000 forwards
    assert len(forwards) == 3


def test_control_c_tests_where_signals_are_ignored():
    """As under nohup; what is ignored is handed down to the process that runs these tests."""
    command = [sys.executable, "-m", "pytest", "-q", __file__, "-p", "no:cacheprovider"]
    ignore = "import os, signal, sys; [signal.signal(n, signal.SIG_IGN) for n in (1, 2)]"
    done = subprocess.run(
        [sys.executable, "-c", f"{ignore}; os.execv(sys.argv[1], sys.argv[1:])", *command]
        + ["-k", "control_c_in_forward_all or control_c_ends_a_training"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout


def test_a_process_ends_with_nets_and_threads_alive(make_net, tmp_path):
    make_net(nets.python_net("Double"))
    program = f"""
        import sys, threading
        sys.path.append({os.path.dirname(__file__)!r})
        import caffe
        net = caffe.Net({str(next(tmp_path.glob("net*")))!r}, caffe.TEST)
        net.before_forward(lambda layer: None)
        def run():
            while True:
                net.forward()
        threading.Thread(target=run, daemon=True).start()
        keep = net.blobs["y"].data
        import time; time.sleep(0.2)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        env={**os.environ, "GLOG_minloglevel": "2"},
    )
    assert done.returncode == 0, done.stderr.decode()


def test_python_goes_on_after_a_fork(make_net):
    """A child that leaves the engine alone, and one that uses a net for the first time there."""
    net = make_net(nets.CHAIN)
    child = os.fork()
    if child == 0:
        code = 0 if net.blobs["data"].data.sum() == 0 else 1
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert caffe.layer_type_list()
