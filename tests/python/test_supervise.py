"""Whatever happens in the working process, its parent has a sentence for it."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from maap.errors import MaapError
from maap.host.crew import Crew
from maap.host.supervise import Stopped, call, fatal_message, stop_wanted, stopping_deferred
from waiting import PATIENCE, has_ended, wait_until

HERE = Path(__file__).resolve().parent
ME = "test_supervise"


@pytest.fixture(autouse=True)
def findable(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


# ---- what the child is told to do ----


def double(value):
    print("to the terminal")
    return 2 * value


def fail():
    raise MaapError("layer conv1: no")


def bug():
    raise KeyError("x")


def caffe_check():
    text = (
        "F1123 07:09:40.652591 27756 io.cpp:72] Check failed: proto.SerializeToOstream(&output) \n"
    )
    os.write(2, text.encode() + b"*** Check failure stack trace: ***\n    @ 0x7f google::Log()\n")
    os.abort()


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def threads():
    return os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]


def write(path):
    Path(path).write_text("done")


def wait(path, how):
    """Write this process's id to a file, then wait for a signal."""
    if how == "deferred":
        with stopping_deferred():
            Path(path).write_text(str(os.getpid()))
            while stop_wanted() is None:
                time.sleep(0.01)
        raise Stopped("stopped at iteration 5")
    Path(path).write_text(str(os.getpid()))
    time.sleep(10 * PATIENCE)


# ---- what comes of it ----


def test_returns_what_the_function_returns(capfd):
    assert call(f"{ME}:double", 21) == 42
    assert "to the terminal" in capfd.readouterr().out


def test_a_users_error_arrives_as_it_is():
    with pytest.raises(MaapError, match="^layer conv1: no$"):
        call(f"{ME}:fail")


def test_a_bug_is_one_line_and_a_log_with_the_traceback(tmp_path):
    log = tmp_path / "log"
    log.touch()
    with pytest.raises(MaapError) as caught:
        call(f"{ME}:bug", log=log)
    assert "unexpected KeyError: 'x'" in str(caught.value) and str(log) in str(caught.value)
    assert "Traceback" not in str(caught.value) and "Traceback" in log.read_text()
    with pytest.raises(MaapError, match="Traceback"):
        call(f"{ME}:bug", debug=True)


def test_a_caffe_check_becomes_its_message(tmp_path):
    log = tmp_path / "log"
    log.touch()
    with pytest.raises(MaapError) as caught:
        call(f"{ME}:caffe_check", log=log)
    assert "Check failed: proto.SerializeToOstream(&output) (a file could not be" in str(
        caught.value
    )
    assert str(log) in str(caught.value) and "0x7f" not in str(caught.value)


def test_a_killed_process():
    with pytest.raises(MaapError, match="killed from outside"):
        call(f"{ME}:killed")


def test_threads_reach_the_child():
    assert call(f"{ME}:threads", threads=3) == ("3", "3")


def test_messages_of_glog_and_of_the_runtime():
    log = "I1123 net.cpp:1] F is fine\nF1123 07:09:40.6 27 net.cpp:9] one\ntwo\n*** Check failure"
    assert fatal_message(log) == "one two"
    thrown = "terminate called after throwing an instance of 'std::bad_alloc'\n"
    thrown += "  what():  std::bad_alloc\n"
    assert fatal_message(thrown) == "std::bad_alloc: std::bad_alloc"
    assert fatal_message("I1123 a.cpp:1] all well\n") is None


# ---- signals ----


@pytest.mark.parametrize("size", [1, 2])
def test_a_signal_before_there_is_a_process_stops_it_before_its_job(tmp_path, size):
    if size > 1 and shutil.which("mpirun") is None:
        pytest.skip("needs mpirun")
    log, done = tmp_path / "log", tmp_path / "done"
    log.touch()
    crew = Crew(size, 1, log)
    crew.send(signal.SIGINT)
    with pytest.raises(Stopped, match="stopped at once") as caught:
        crew.start((f"{ME}:write", (str(done),), False))
    assert caught.value.signal_number == signal.SIGINT
    assert crew._process.poll() is not None and not done.exists()


_PARENT = """
import signal, sys
signal.signal(signal.SIGHUP, signal.Handlers({hangups}))
sys.path[:0] = {here!r}
from maap.host.supervise import Stopped, call
try:
    call("test_supervise:wait", {path!r}, {how!r})
except Stopped as stopped:
    print(stopped, stopped.signal_number)
"""


def start(tmp_path, how, hangups=signal.SIG_DFL):
    """A parent whose child waits for a signal; both process ids. ``hangups``: what SIGHUP does."""
    path = tmp_path / "pid"
    script = textwrap.dedent(_PARENT).format(
        here=[str(HERE), str(HERE.parent)], path=str(path), how=how, hangups=int(hangups)
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, universal_newlines=True
    )
    wait_until(lambda: path.is_file() and path.read_text(), parent)
    return parent, int(path.read_text())


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "how, words", [("deferred", "stopped at iteration 5"), ("at once", "stopped")]
)
def test_a_signal_stops_in_good_order(tmp_path, number, how, words):
    parent, _ = start(tmp_path, how)
    parent.send_signal(number)
    assert parent.communicate(timeout=PATIENCE)[0] == f"{words} {int(number)}\n"


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("hangups, number", [(signal.SIG_DFL, 15), (signal.SIG_IGN, 2)])
def test_a_closed_terminal_stops_the_work_but_not_under_nohup(tmp_path, hangups, number):
    parent, _ = start(tmp_path, "deferred", hangups)
    parent.send_signal(signal.SIGHUP)
    if hangups == signal.SIG_IGN:
        parent.send_signal(signal.SIGINT)
    assert parent.communicate(timeout=PATIENCE)[0] == f"stopped at iteration 5 {number}\n"


def test_the_child_dies_with_its_parent(tmp_path):
    parent, child = start(tmp_path, "at once")
    parent.kill()
    parent.communicate()
    wait_until(lambda: has_ended(child))
