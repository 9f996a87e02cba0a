"""Trainings with the caffe command, on the CPU and on the GPU."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from maap.util.schema import caffe_pb2
from programs import losses, run_caffe


def copied(folder, to):
    shutil.copytree(folder, to)
    return to


def weights(path):
    """Every parameter of a caffemodel, in its order."""
    net = caffe_pb2.NetParameter.FromString(path.read_bytes())
    return [np.array(blob.data) for layer in net.layer for blob in layer.blobs]


def compare(cpu, gpu, most=1e-3):
    """Rounding differs and grows from iteration to iteration; more than `most` is a fault."""
    assert len(cpu) == len(gpu) >= 50
    apart = [abs(a - b) / max(abs(a), 1e-3) for a, b in zip(cpu, gpu)]
    assert max(apart) < most, apart
    assert cpu[-1] < cpu[0]


def test_fifty_iterations_are_those_of_the_cpu(images, tmp_path):
    """An AlexNet-like net with both layers, from an LMDB, with crops and mirror images."""
    cpu, gpu = (copied(images, tmp_path / name) for name in ("cpu", "gpu"))
    on_cpu = run_caffe(cpu, "train", "-solver", "solver.prototxt")
    on_gpu = run_caffe(gpu, "train", "-solver", "solver.prototxt", "-gpu", "0")
    assert "Use CPU." in on_cpu and "Use GPU with device ID 0" in on_gpu
    compare(losses(on_cpu), losses(on_gpu))
    accuracies = [re.findall(r"accuracy = (\S+)", log) for log in (on_cpu, on_gpu)]
    assert accuracies[0] == accuracies[1] and len(accuracies[0]) == 3
    for a, b in zip(*(weights(f / "trained_iter_50.caffemodel") for f in (cpu, gpu))):
        np.testing.assert_allclose(b, a, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("mode", ["TF32", "FP16", "BF16"])
def test_the_command_trains_in_a_math_mode(images, tmp_path, mode):
    """The loss falls as float's does; a snapshot holds floats, which float continues."""
    with_float, other = (copied(images, tmp_path / name) for name in ("float", "other"))
    command = ["train", "-solver", "solver.prototxt", "-gpu", "0"]
    in_float = losses(run_caffe(with_float, *command))
    log = run_caffe(other, *command, "-math", mode)
    found = losses(log)
    assert f"Math mode: {mode}" in log
    assert found != in_float
    # No nearer than the rounding of an operand, no further than float's own way from start to end.
    start, end = np.mean(in_float[:10]), np.mean(in_float[-10:])
    assert abs(np.mean(found[-10:]) - end) < 0.1 * (start - end)
    part, whole = (weights(f / "trained_iter_30.caffemodel") for f in (other, with_float))
    assert [w.shape for w in part] == [w.shape for w in whole]
    assert any((w.astype(np.float32) != w.astype(np.float16)).any() for w in part)
    run_caffe(other, *command, "-snapshot", "trained_iter_30.solverstate")


def test_fifty_iterations_of_the_net_of_the_gpus_own_tests(training_data, tmp_path):
    """What tests/gpu/run compares where there is a GPU: BatchNorm, Scale and Eltwise too."""
    cpu, gpu = (copied(training_data, tmp_path / name) for name in ("cpu", "gpu"))
    on_cpu = run_caffe(cpu, "train", "-solver", "train_solver.prototxt")
    on_gpu = run_caffe(gpu, "train", "-solver", "train_solver.prototxt", "-gpu", "0")
    compare(losses(on_cpu), losses(on_gpu))


RECORDED = "cuda_graph: an iteration was recorded"


@pytest.mark.parametrize("mode", ["FLOAT", "FP16"])
def test_recorded_iterations_give_the_same_bytes(images, tmp_path, mode):
    """From an LMDB, whose batches lie elsewhere in GPU memory each time; with tests in between."""
    plain, graph = (copied(images, tmp_path / name) for name in ("plain", "graph"))
    command = ["train", "-solver", "solver.prototxt", "-gpu", "0", "-math", mode]
    without = run_caffe(plain, *command)
    counts = tmp_path / "counts.json"
    log = run_caffe(graph, *command, "-cuda_graph", SHADOW_COUNTS=str(counts))
    assert RECORDED in log and RECORDED not in without
    assert json.loads(counts.read_text())["graph_launches"] >= 45  # of 50 iterations
    assert losses(log) == losses(without)
    assert re.findall(r"accuracy = (\S+)", log) == re.findall(r"accuracy = (\S+)", without)
    for file in ("trained_iter_30.caffemodel", "trained_iter_50.solverstate"):
        assert (graph / file).read_bytes() == (plain / file).read_bytes()


@pytest.mark.parametrize("solver", ["train_solver.prototxt", "recurrent_solver.prototxt"])
def test_so_do_those_of_the_gpus_own_tests(training_data, tmp_path, solver):
    logs = []
    for more in ([], ["-cuda_graph"]):
        folder = copied(training_data, tmp_path / str(len(logs)))
        logs.append(run_caffe(folder, "train", "-solver", solver, "-gpu", "0", *more))
    assert RECORDED in logs[1]
    assert losses(logs[0]) == losses(logs[1])


def test_what_the_streams_leave_open_changes_nothing(images, tmp_path):
    """The shadow device chooses the order of operations and threads by a seed: all give the same
    bytes, and so does a second run with the same."""
    made = []
    for seed in ("1", "2", "1"):
        folder = copied(images, tmp_path / str(len(made)))
        run_caffe(folder, "train", "-solver", "solver.prototxt", "-gpu", "0", SHADOW_SEED=seed)
        made.append((folder / "trained_iter_30.caffemodel").read_bytes())
    assert made[0] == made[2]
    assert made[0] == made[1]


def test_a_training_continues_from_a_snapshot(training_data, tmp_path):
    """After 8 iterations the 64 images have been used once: both go on with the first."""
    whole = copied(training_data, tmp_path / "whole")
    solver = (whole / "train_solver.prototxt").read_text().replace("max_iter: 50", "max_iter: 14")
    (whole / "train_solver.prototxt").write_text(solver + "snapshot: 8\n")
    command = ["train", "-solver", "train_solver.prototxt", "-gpu", "0"]
    run_caffe(whole, *command)
    part = copied(whole, tmp_path / "part")
    (part / "trained_iter_14.caffemodel").unlink()
    run_caffe(part, *command, "-snapshot", "trained_iter_8.solverstate")
    first, second = ((f / "trained_iter_14.caffemodel").read_bytes() for f in (whole, part))
    assert first == second


def test_the_command_tests_and_times(images, tmp_path):
    folder = copied(images, tmp_path / "run")
    run_caffe(folder, "train", "-solver", "solver.prototxt")
    words = ["test", "-model", "net.prototxt", "-weights", "trained_iter_50.caffemodel"]
    cpu, gpu = (run_caffe(folder, *words, "-iterations", "4", *on) for on in ([], ["-gpu", "0"]))
    values = [
        [float(v) for v in re.findall(r"\] (?:accuracy|loss) = ([\d.e+-]+)", log)]
        for log in (cpu, gpu)
    ]
    assert len(values[0]) >= 2
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4)
    log = run_caffe(folder, "time", "-model", "net.prototxt", "-iterations", "2", "-gpu", "0")
    assert re.search(r"enhance1\s+backward: [\d.]+ ms", log)
    assert "Average Forward-Backward" in log


def test_what_the_device_is():
    assert "Device id" in run_caffe(Path(), "device_query", "-gpu", "0")
