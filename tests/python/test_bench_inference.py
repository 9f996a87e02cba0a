"""bench/inference.py: its nets, its table and what it calls a miss."""

import os
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "bench"))

import inference  # noqa: E402
import inference_nets  # noqa: E402
import machine  # noqa: E402

engine_only = pytest.mark.skipif(
    os.environ.get("MAAP_HOST") != "fork", reason="the engine makes the nets"
)


class Done:
    """A program that has been timed."""

    def __init__(self, name, median, difference=0.0):
        self.name, self.median, self.difference = name, median, difference
        self.times = [0.9 * median, median, 2 * median]


def programs(**medians):
    names = dict(py="pycaffe", dnn="caffe.dnn", cv="OpenCV dnn", torch="PyTorch contiguous")
    names.update(ort="ONNX Runtime", bvlc="BVLC Caffe")
    return [Done(names[short], median) for short, median in medians.items()]


@pytest.fixture
def processor(monkeypatch):
    """Makes this machine one with AVX-512."""
    cpu = machine.Processor("a processor", frozenset({"avx2", "avx512f"}))
    monkeypatch.setattr(machine, "processor", lambda: cpu)
    monkeypatch.delenv("CAFFE_CPU_ISA", raising=False)


def test_targets_hold_for_the_faster_of_the_engines_ways(processor):
    assert inference.misses(programs(py=2.0, dnn=1.0, cv=1.1, torch=1.2, ort=0.9)) == []
    found = inference.misses(programs(py=1.5, dnn=2.0, cv=1.1, torch=1.6, ort=1.2, bvlc=0.1))
    assert [text.split(" time")[0] for text in found] == ["1.36", "1.25"]
    assert "OpenCV dnn" in found[0] and "at most 1" in found[0] and "at most 1.2" in found[1]


def test_outputs_that_differ_are_misses(processor):
    both = [Done("pycaffe", 1.0), Done("OpenCV dnn", 2.0, 0.1), Done("BVLC Caffe", 1, float("nan"))]
    assert len(inference.misses(both)) == 2 and "differs" in inference.misses(both)[0]


def test_onnx_runtime_is_not_judged_where_avx512_is_hidden_from_the_others(processor, monkeypatch):
    slow = programs(py=2.0, dnn=2.0, ort=1.0)
    assert len(inference.misses(slow)) == 1
    monkeypatch.setenv("CAFFE_CPU_ISA", "AVX2")
    assert inference.misses(slow) == []
    assert inference.cells(slow, "ONNX Runtime").endswith("¹")
    monkeypatch.setattr(machine, "processor", lambda: machine.Processor("", frozenset({"avx2"})))
    assert len(inference.misses(slow)) == 1


def test_cells(processor):
    some = programs(py=0.002, dnn=0.001, torch=0.003)
    assert inference.cells(some, "pycaffe") == "2.0 (1.8)"
    assert inference.cells(some, "PyTorch") == "3.0 (2.7) 3.00×"
    assert inference.cells(some, "OpenCV dnn") == "-"


@engine_only
def test_squeezenet_has_the_published_number_of_weights(tmp_path):
    import caffe
    import numpy as np

    path = tmp_path / "net.prototxt"
    path.write_text(inference_nets.prototxt("squeezenet", 2))
    net = caffe.Net(str(path), caffe.TEST)
    # Of SqueezeNet 1.1 for 1,000 classes.
    assert sum(blob.data.size for blobs in net.params.values() for blob in blobs) == 1_235_496
    assert net.blobs["conv10_cub"].data.shape == (2, 1000, 14, 14)
    inference_nets.fill(net)
    images = np.random.RandomState(0).randn(*net.blobs["data"].data.shape)
    scores = net.forward(data=images)["prob"]
    assert np.isfinite(scores).all() and scores.max() < 0.5  # neither vanished nor saturated
