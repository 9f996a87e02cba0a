"""caffe.ranks with processes that mpirun starts, and what happens when one of them fails."""

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import caffe
import mpi_runs
import pytest
from caffe import ranks

pytestmark = mpi_runs.needs_mpi


THREADS = {"OMP_NUM_THREADS": 2, "CAFFE_DEFAULT_THREADS": 1}  # as a script sets it, not a user


def succeed(done):
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_process_without_a_launcher_is_alone():
    assert ranks.world() is None


def test_one_rank_is_alone(tmp_path):
    program = mpi_runs.python(tmp_path, "assert group is None\nprint('alone')")
    assert "alone" in succeed(mpi_runs.run(1, *program))


def test_can_be_switched_off(tmp_path):
    program = mpi_runs.python(tmp_path, "assert group is None")
    succeed(mpi_runs.run(2, *program, CAFFE_RANKS="off"))


def test_what_a_rank_knows(tmp_path):
    text = """
    assert group.size == 3 and group.local_size == 3 and group.rank == group.local_rank
    assert group is ranks.world()
    assert caffe.solver_count() == 3 and caffe.solver_rank() == group.rank
    assert os.environ["CAFFE_RANKS"] == "off"
    print("I am", group.rank)
    """
    out = succeed(mpi_runs.run(3, *mpi_runs.python(tmp_path, text)))
    assert sorted(re.findall(r"I am (\d)", out)) == ["0", "1", "2"]


def test_one_rank_may_ask_again(tmp_path):
    """It waits for nobody, and shares the cores once; another thread is this rank as well."""
    text = """
    import threading
    if group.rank == 0:
        for _ in range(3): assert ranks.world() is group
    seen = []
    def ask():
        assert ranks.world() is group
        seen.extend([caffe.solver_count(), caffe.solver_rank()])
    if group.rank == 1:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert seen == [2, 1], seen
    group.barrier()
    """
    program = mpi_runs.python(tmp_path, text)
    out = succeed(mpi_runs.run(2, *program, **THREADS))
    assert len(re.findall(r"2 ranks, \d+ threads each", out)) == 1, out


@pytest.mark.parametrize("size", [2, 5])
def test_calls(tmp_path, size):
    """In small parts, too."""
    text = """
    me, n = group.rank, group.size
    texts = [bytes([65 + i]) * (1000 * i) for i in range(n)]
    assert group.gather(texts[me]) == texts
    assert group.gather(b"") == [b""] * n
    for root in range(n):
        assert group.broadcast(texts[root] if me == root else None, root) == texts[root]
    for dtype in (np.float32, np.float64):
        for count in (0, 1, 7, 999, 1000, 1001, 12345):
            values = np.arange(count, dtype=dtype) * (me + 1)
            group.sum(values)
            assert (values == np.arange(count) * (n * (n + 1) // 2)).all()
    group.barrier()
    image = np.ones((2, 3, 4), np.float32)
    group.sum(image)
    assert (image == n).all()
    """
    program = mpi_runs.python(tmp_path, text)
    succeed(mpi_runs.run(size, *program))
    succeed(mpi_runs.run(size, *program, CAFFE_MPI_PART=1000))


def test_a_barrier_waits(tmp_path):
    text = """
    asked = f"{sys.argv[1]}/asked"
    group.barrier()
    if group.rank == 1:
        time.sleep(2)
        open(asked, "w").close()
    group.barrier()
    assert os.path.exists(asked)
    """
    succeed(mpi_runs.run(2, *mpi_runs.python(tmp_path, text), tmp_path))


def test_who_waits_does_not_spin(tmp_path):
    text = """
    group.barrier()
    start = time.process_time()
    if group.rank == 1: time.sleep(3)
    group.sum(np.ones(1000, np.float32))
    assert time.process_time() - start < 0.3, time.process_time() - start
    """
    succeed(mpi_runs.run(2, *mpi_runs.python(tmp_path, text)))


@pytest.mark.parametrize("size", [2, 3, 4, 7])
def test_every_rank_gets_the_same_bits(tmp_path, size):
    """Of values whose sum depends on the order; the algorithm depends on the number of values."""
    text = """
    import hashlib
    random = np.random.default_rng(group.rank)
    for dtype in (np.float32, np.float64):
        for count in (1, 3, 100, 4097, 65537, 1_000_003):
            values = (random.standard_normal(count) * 10.0 ** random.integers(-6, 6, count))
            values = values.astype(dtype)
            again = values.copy()
            group.sum(values)
            hashes = group.gather(hashlib.sha256(values).digest())
            assert len(set(hashes)) == 1, (dtype, count)
            group.sum(again)
            assert (again == values).all(), (dtype, count)
    """
    succeed(mpi_runs.run(size, *mpi_runs.python(tmp_path, text)))


def test_wrong_arguments(tmp_path):
    text = """
    def raised(kind, words, call, *arguments):
        try:
            call(*arguments)
        except kind as error:
            assert words in str(error), error
        else:
            raise AssertionError("no error")
    raised(TypeError, "float32 or float64", group.sum, np.zeros(3, np.int32))
    raised(ValueError, "contiguous", group.sum, np.zeros((4, 4), np.float32)[:, 1])
    frozen = np.zeros(3, np.float32)
    frozen.flags.writeable = False
    raised(ValueError, "", group.sum, frozen)
    raised(ValueError, "there is no rank 2: the ranks are 0 to 1", group.broadcast, b"", 2)
    if group.rank == 0: raised(ValueError, "not None", group.broadcast, None)
    group.barrier()
    """
    succeed(mpi_runs.run(2, *mpi_runs.python(tmp_path, text)))


def run_without_threads(count, program, **variables):
    """With no number of threads in the environment but these variables'."""
    chosen = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CAFFE_DEFAULT_THREADS")
    clean = {k: v for k, v in mpi_runs.environment().items() if k not in chosen}
    return succeed(mpi_runs.finish(mpi_runs.command(count, *program), {**clean, **variables}))


def test_ranks_share_the_cores(tmp_path):
    cores = len(os.sched_getaffinity(0))
    program = mpi_runs.python(tmp_path, "")

    def threads(**variables):
        out = run_without_threads(4, program, **variables)
        return re.findall(r"4 ranks, (\d+) thread", out)

    assert threads() == [str(max(1, cores // 4))]
    assert threads(OMP_NUM_THREADS="8", CAFFE_DEFAULT_THREADS="1") == [str(max(1, cores // 4))]
    assert threads(OMP_NUM_THREADS="3") == []  # the user's choice stays


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_all_ranks_have_the_smallest_share(tmp_path):
    """Rank 1 may use one core; rank 0, which logs, has more of its own."""
    script = tmp_path / "bound.py"
    script.write_text(
        "import os\n"
        "if os.environ['OMPI_COMM_WORLD_RANK'] == '1': os.sched_setaffinity(0, {0})\n"
        "from caffe import ranks\n"
        "ranks.world()\n"
    )
    out = run_without_threads(2, (sys.executable, script))
    assert re.findall(r"2 ranks, (\d+) threads each", out) == ["1"], out


def test_a_child_of_a_rank_is_no_rank(tmp_path):
    text = """
    import subprocess
    code = "from caffe import ranks; assert ranks.world() is None"
    subprocess.run([sys.executable, "-c", code], check=True)
    child = os.fork()
    if child == 0:
        try:
            group.barrier()
        except caffe.CaffeError as error:
            os._exit(7 if "forked child" in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    group.barrier()
    """
    succeed(mpi_runs.run(2, *mpi_runs.python(tmp_path, text)))


def test_a_rank_may_end_before_the_others(tmp_path):
    text = """
    group.barrier()
    if group.rank == 0: time.sleep(2)
    print("end of", group.rank)
    """
    assert succeed(mpi_runs.run(3, *mpi_runs.python(tmp_path, text))).count("end of") == 3


def test_a_rank_that_has_ended_does_not_wait_for_ever(tmp_path):
    """Rank 0 is stopped when the other has left, and only waits to end."""
    text = """
    group.barrier()
    print("end of", group.rank, flush=True)
    if group.rank == 0: time.sleep(600)
    """
    program = mpi_runs.python(tmp_path, text)
    job = mpi_runs.Job(tmp_path, 2, *program, CAFFE_RANKS_TIMEOUT=3)
    job.wait_for("end of 1")
    job.wait_for("end of 0")
    time.sleep(1)
    os.kill(job.rank_process(0), signal.SIGSTOP)
    status = job.end()  # rank 1 ends, and mpirun then the other
    assert status != 0


# ---- launchers that do not fit


def without_launcher(program, **variables):
    return mpi_runs.finish(program, mpi_runs.environment(**variables))


def test_another_launcher_is_an_error(tmp_path):
    """As when another MPI's mpirun starts it: the library finds itself alone."""
    program = mpi_runs.python(tmp_path, "")
    done = without_launcher(program, PMI_RANK=1, PMI_SIZE=4)
    assert done.returncode == 1
    assert "MPICH started this process as rank 1 of 4" in done.stdout
    assert "MPI finds 1 rank" in done.stdout and "its own mpirun" in done.stdout
    assert "CAFFE_RANKS=off" in done.stdout


def test_no_plugin_is_an_error(tmp_path):
    """A copy of the package without the library, as a wheel is."""
    package = tmp_path / "python/caffe"
    shutil.copytree(Path(caffe.__file__).parent, package, symlinks=True)
    (tmp_path / "lib").mkdir()
    shutil.copy(mpi_runs.PLUGIN.with_name("libcaffe.so"), tmp_path / "lib")
    paths = [str(tmp_path / "python"), *sys.path]
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    program = mpi_runs.python(tmp_path, "")
    done = mpi_runs.run(2, *program, **variables)
    assert done.returncode != 0
    assert "this build cannot join the others" in done.stdout
    assert "apt-get install libopenmpi-dev" in done.stdout
    succeed(mpi_runs.run(1, *program, **variables))


# ---- faults


# Longer than mpi_runs.LIMIT, if nothing ends it.
WORK = """
group.barrier()
if group.rank == 0: print("all are here", flush=True)
values = np.ones(10000, np.float32)
for i in range(6000):
    time.sleep(0.1)
    %s
    group.sum(values)
"""


def test_an_abort_ends_all_with_its_text(tmp_path):
    text = WORK % "if i == 3 and group.rank == 2: group.abort('rank 2 of 4: the disk is on fire')"
    done = mpi_runs.run(4, *mpi_runs.python(tmp_path, text))
    assert done.returncode != 0
    errors = re.findall(r"^caffe\.CaffeError: (.*)$", done.stdout, re.M)
    assert errors == ["rank 2 of 4: the disk is on fire"] * 4, done.stdout


def test_a_complete_sum_counts_on_all_ranks_however_soon_one_fails(tmp_path):
    text = """
    for count in (10, 1_000_000):
        values = np.ones(count, np.float32)
        group.sum(values)
        assert (values == group.size).all()
    if group.rank == 1: group.abort("rank 1 of 4: that is enough")
    said = "nothing"
    try:
        group.barrier()
    except caffe.CaffeError as error:
        said = str(error)
    # In files: the launcher ends all ranks when the first one ends.
    folder = sys.argv[1]
    with open(f"{folder}.{group.rank}", "w") as file: file.write(said)
    os.rename(f"{folder}.{group.rank}", f"{folder}/{group.rank}")
    while len(os.listdir(folder)) < 4: time.sleep(0.01)
    """
    program = mpi_runs.python(tmp_path, text)
    for i in range(3):
        folder = tmp_path / f"ended{i}"
        folder.mkdir()
        done = mpi_runs.run(4, *program, folder)
        said = {path.name: path.read_text() for path in folder.iterdir()}
        assert said == dict.fromkeys("0123", "rank 1 of 4: that is enough"), done.stdout


def test_a_rank_that_ends_too_early_is_named(tmp_path):
    text = WORK % "if i == 3 and group.rank == 1: raise ValueError('not today')"
    done = mpi_runs.run(3, *mpi_runs.python(tmp_path, text))
    assert done.returncode != 0
    assert "ValueError: not today" in done.stdout
    assert re.search(r"CaffeError: rank 1 of 3 \(process \d+ on .*\) has ended", done.stdout)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_killed_rank_ends_the_job(tmp_path, rank):
    job = mpi_runs.Job(tmp_path, 3, *mpi_runs.python(tmp_path, WORK % ""))
    job.wait_for("all are here")
    os.kill(job.rank_process(rank), signal.SIGKILL)
    assert job.end() != 0
    assert f"process rank {rank} " in job.text()  # mpirun's message


@pytest.mark.parametrize("rank", [0, 2])
def test_a_stopped_rank_ends_the_job(tmp_path, rank):
    job = mpi_runs.Job(tmp_path, 3, *mpi_runs.python(tmp_path, WORK % ""), CAFFE_RANKS_TIMEOUT=5)
    job.wait_for("all are here")
    os.kill(job.rank_process(rank), signal.SIGSTOP)
    assert job.end() != 0
    silent = rf"rank {rank} of 3 \(process \d+ on .*\) has not answered for (\d+) s"
    found = re.search(silent, job.text())
    assert found and 5 <= int(found[1]) < 15, job.text()  # 15 s without the variable


def test_a_slow_rank_is_waited_for_and_named(tmp_path):
    """It comes only when rank 0 has said that it waits for it."""
    named = tmp_path / "named"
    text = """
    group.barrier()
    if group.rank == 1:
        while not os.path.exists(sys.argv[1]): time.sleep(0.1)
    group.barrier()
    """
    program = mpi_runs.python(tmp_path, text)
    variables = dict(CAFFE_RANKS_TIMEOUT=5, GLOG_logtostderr=1)
    job = mpi_runs.Job(tmp_path, 3, *program, named, **variables)
    job.wait_for("Waiting for rank")
    named.touch()
    assert job.end() == 0, job.text()
    assert re.search(r"Waiting for rank 1 of 3 \(process \d+ on .*\) since \d\d s", job.text())
    assert "rank 2" not in job.text()
