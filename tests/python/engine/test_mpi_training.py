"""`caffe train` and solvers in Python as ranks of mpirun."""

import os
import re
import signal
import sys

import mpi_runs
import pytest
import rank_nets
import small_disk

pytestmark = mpi_runs.needs_mpi

SOLVERS = {
    "SGD": dict(momentum=0.9, weight_decay=0.0005),
    "Nesterov": dict(momentum=0.9, weight_decay=0.0005),
    "AdaGrad": {},
    "RMSProp": dict(rms_decay=0.98, base_lr=0.001),
    "AdaDelta": dict(momentum=0.95, base_lr=1, delta=1e-6),
    "Adam": dict(momentum=0.9, momentum2=0.999, base_lr=0.001),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return rank_nets.write_images(tmp_path_factory.mktemp("ranks") / "images")


def train(solver, *flags, ranks=1, **variables):
    """`caffe train`, which succeeds; its log."""
    program = [mpi_runs.CAFFE, "train", "-solver", solver, *flags]
    if ranks == 1:
        done = mpi_runs.finish(program, mpi_runs.environment(**variables))
    else:
        done = mpi_runs.run(ranks, *program, **variables)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("kind", SOLVERS)
def test_four_ranks_are_one_with_four_times_the_batch(tmp_path, images, kind):
    """The same images in each iteration, in the same order; sums in another order."""
    settings = dict(type=kind, **SOLVERS[kind])
    one = rank_nets.write_solver(tmp_path, images, "one", 8, **settings)
    four = rank_nets.write_solver(tmp_path, images, "four", 2, **settings)
    alone, together = train(one), train(four, ranks=4)
    files = [tmp_path / f"{name}_iter_50.caffemodel" for name in ("one", "four")]
    assert rank_nets.difference(*files) < 1e-5
    first = rank_nets.losses(alone), rank_nets.losses(together)
    assert first[0] == pytest.approx(first[1], abs=1e-4) and len(first[0]) == 5
    assert first[0][-1] < first[0][0]  # it does learn


def test_rank_0_alone_logs_tests_and_snapshots(tmp_path, images):
    solver = rank_nets.write_solver(
        tmp_path, images, "net", 2, max_iter=20, test_iter=[2], test_interval=10, snapshot=10
    )
    log = train(solver, ranks=3)
    assert log.count("Iteration 10 (") == 1 and log.count("Optimization Done") == 2
    assert log.count("Iteration 20, Testing net") == 1
    assert "3 ranks x batch 2 = 6 images an iteration" in log
    names = {path.name for path in tmp_path.glob("*_iter_*")}
    assert names == {
        f"net_iter_{i}.{end}" for i in (10, 20) for end in ("caffemodel", "solverstate")
    }


def test_resumes_with_another_number_of_ranks(tmp_path, images):
    """What is left is what one rank does with the batch of all."""
    one = rank_nets.write_solver(tmp_path, images, "one", 4, max_iter=10, momentum=0.9)
    two = rank_nets.write_solver(tmp_path, images, "two", 2, max_iter=20, momentum=0.9)
    again = rank_nets.write_solver(tmp_path, images, "again", 4, max_iter=20, momentum=0.9)
    train(one)
    state = tmp_path / "one_iter_10.solverstate"
    train(two, "-snapshot", state, ranks=2)
    train(again, "-snapshot", state)
    files = [tmp_path / f"{name}_iter_20.caffemodel" for name in ("two", "again")]
    assert rank_nets.difference(*files) < 1e-5


@pytest.mark.parametrize("verb", ["test", "time", "device_query"])
def test_other_verbs_run_as_one_process(tmp_path, images, verb):
    solver = rank_nets.write_solver(tmp_path, images, "net", 2)
    del solver
    done = mpi_runs.run(2, mpi_runs.CAFFE, verb, "-model", tmp_path / "net_net.prototxt")
    assert done.returncode != 0
    assert done.stdout.count(f"'{verb}' runs as one: start it without the launcher") == 1


def test_without_mpirun_nothing_changes(tmp_path, images):
    solver = rank_nets.write_solver(tmp_path, images, "net", 2, max_iter=10)
    assert " ranks" not in train(solver)


# ---- faults


def error_lines(log):
    return re.findall(r"\] error: (.*)", log)


def test_a_missing_file_is_told_with_the_rank(tmp_path, images):
    solver = rank_nets.write_solver(tmp_path, images, "net", 2)
    solver.write_text(solver.read_text() + 'weights: "nowhere.caffemodel"')
    done = mpi_runs.run(2, mpi_runs.CAFFE, "train", "-solver", solver)
    assert done.returncode != 0
    errors = error_lines(done.stdout)
    assert errors and all(re.match(r"rank [01] of 2: .*nowhere.caffemodel", e) for e in errors)


def test_a_loss_that_is_not_finite_ends_all(tmp_path, images):
    solver = rank_nets.write_solver(tmp_path, images, "net", 2, base_lr=1e30, max_iter=200)
    done = mpi_runs.run(3, mpi_runs.CAFFE, "train", "-solver", solver)
    assert done.returncode != 0
    errors = error_lines(done.stdout)
    assert errors and all("the training loss is" in error for error in errors), done.stdout
    assert not list(tmp_path.glob("*_iter_*"))


def start_training(folder, images, ranks, timeout=15, **settings):
    """A training that runs until it is ended, with a snapshot every 10 iterations."""
    solver = rank_nets.write_solver(
        folder, images, "net", 2, max_iter=1_000_000, snapshot=10, **settings
    )
    job = mpi_runs.Job(
        folder, ranks, mpi_runs.CAFFE, "train", "-solver", solver, CAFFE_RANKS_TIMEOUT=timeout
    )
    job.wait_for("net_iter_20.solverstate")
    return job


def resume_last(folder, images, ranks):
    """From the last snapshot, 5 iterations."""
    states = folder.glob("net_iter_*.solverstate")
    last = max(int(path.stem.split("_")[-1]) for path in states)
    solver = rank_nets.write_solver(folder, images, "more", 2, max_iter=last + 5)
    train(solver, "-snapshot", folder / f"net_iter_{last}.solverstate", ranks=ranks)
    assert (folder / f"more_iter_{last + 5}.caffemodel").exists()


def test_a_killed_rank_ends_the_training(tmp_path, images):
    job = start_training(tmp_path, images, 3)
    os.kill(job.rank_process(1), signal.SIGKILL)
    assert job.end() != 0 and "process rank 1 " in job.text()
    resume_last(tmp_path, images, 2)


def test_a_stopped_rank_ends_the_training(tmp_path, images):
    job = start_training(tmp_path, images, 3, timeout=5)
    os.kill(job.rank_process(2), signal.SIGSTOP)
    assert job.end() != 0
    errors = error_lines(job.text())
    assert errors and all("rank 2 of 3 (process " in error for error in errors)
    resume_last(tmp_path, images, 3)


def test_a_request_to_one_rank_stops_all(tmp_path, images):
    job = start_training(tmp_path, images, 3)
    os.kill(job.rank_process(1), signal.SIGINT)
    assert job.end() == 0
    assert "Optimization stopped early" in job.text()
    resume_last(tmp_path, images, 3)


@pytest.mark.skipif(small_disk.WAY is None, reason="needs root and unshare")
def test_a_full_disk_ends_the_training(tmp_path, images):
    disk = tmp_path / "disk"
    disk.mkdir()
    solver = rank_nets.write_solver(tmp_path, images, "net", 2, max_iter=1000, snapshot=5)
    solver.write_text(
        solver.read_text().replace(str(tmp_path / "net") + '"', str(disk / "net") + '"')
    )
    command = mpi_runs.command(2, mpi_runs.CAFFE, "train", "-solver", solver)
    done = small_disk.run(disk, "3m", command)
    assert done.returncode != 0
    errors = error_lines(done.stderr)
    assert errors and all(f"{disk}/net_iter_" in error for error in errors), done.stderr
    assert all(re.match(r"rank [01] of 2: ", error) for error in errors)
    assert "rank 0 " in "".join(errors)


# ---- in Python

SCRIPT = """
import caffe
solver = caffe.get_solver(sys.argv[1])
solver.train_together(group)
%s
"""


def test_a_solver_in_python(tmp_path, images):
    one = rank_nets.write_solver(tmp_path, images, "one", 4, max_iter=20, momentum=0.9)
    two = rank_nets.write_solver(tmp_path, images, "two", 2, max_iter=20, momentum=0.9)
    train(one)
    program = mpi_runs.python(tmp_path, SCRIPT % "solver.step(5); solver.solve()")
    done = mpi_runs.run(2, *program, two)
    assert done.returncode == 0, done.stdout
    files = [tmp_path / f"{name}_iter_20.caffemodel" for name in ("one", "two")]
    assert rank_nets.difference(*files) < 1e-5


def test_a_solver_made_too_early_is_an_error(tmp_path, images):
    """Its data layers would read the same records in all ranks."""
    solver = rank_nets.write_solver(tmp_path, images, "net", 2, max_iter=2)
    script = tmp_path / "early.py"
    script.write_text(
        "import sys, caffe\nfrom caffe import ranks\nsolver = caffe.get_solver(sys.argv[1])\n"
        "solver.train_together(ranks.world())\n"
    )
    done = mpi_runs.run(2, sys.executable, script, solver)
    assert done.returncode != 0
    assert "the solver was made as rank 0 of 1" in done.stdout
    assert "caffe.ranks.world()) before the solver is made" in done.stdout


LAYER = """
import os
import time
import caffe

class Nap(caffe.Layer):
    def setup(self, bottom, top): self.calls = 0
    def reshape(self, bottom, top): top[0].reshape(1)
    def forward(self, bottom, top):
        self.calls += 1
        top[0].data[...] = 0
        if caffe.solver_rank() == 1: %s
    def backward(self, top, propagate_down, bottom): pass
"""
NAP = 'layer { name: "nap" type: "Python" top: "nap" python_param { module: "nap" layer: "Nap" } }'


def run_with_layer(folder, images, act, ranks, **settings):
    (folder / "nap.py").write_text(LAYER % act)
    solver = rank_nets.write_solver(folder, images, "net", 2, more=NAP, **settings)
    program = mpi_runs.python(folder, SCRIPT % "solver.solve()")
    paths = [str(folder), *filter(None, sys.path)]
    return mpi_runs.run(ranks, *program, solver, PYTHONPATH=os.pathsep.join(paths))


def test_an_exception_in_a_layer_ends_all(tmp_path, images):
    done = run_with_layer(tmp_path, images, "assert self.calls < 5, 'enough'", 3)
    assert done.returncode != 0
    assert "AssertionError: enough" in done.stdout
    assert len(re.findall(r"CaffeError: rank 1 .*enough", done.stdout)) == 2, done.stdout


def test_the_log_names_a_slow_rank(tmp_path, images):
    done = run_with_layer(tmp_path, images, "time.sleep(0.5)", 3, max_iter=11, display=5)
    assert done.returncode == 0, done.stdout
    lines = re.findall(r"waited (\S+) s of the last (\S+) s for rank (\d)", done.stdout)
    assert len(lines) >= 2, done.stdout  # at iterations 5 and 10, and mostly at 0
    for waited, total, rank in lines[-2:]:
        assert rank == "1" and 2 < float(waited) <= float(total) + 0.1
