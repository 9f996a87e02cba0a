"""The nets of tests/nets/forks, in the styles of other forks, as ONNX without their losses."""

from pathlib import Path

import caffe
import pytest
from caffe import onnx as caffe_onnx
from caffe.onnx import main
from test_onnx_nets import CLOSE, moderate

NETS = sorted((Path(__file__).resolve().parents[2] / "nets/forks").glob("*.prototxt"))
FIXED = {"caffe_ocr", "crnn"}  # ContinuationIndicator has a batch of its own
NOTHING = {"faster_rcnn"}  # Silence reads all that it computes
SAMPLES = "sample_weights_test: true"  # ONNX cannot say it: each pass drops other values


def test_there_are_nets():
    assert len(NETS) >= 20
    assert {path.stem for path in NETS} >= FIXED | NOTHING
    assert any(SAMPLES in path.read_text() for path in NETS)


@pytest.mark.parametrize("path", NETS, ids=[path.stem for path in NETS])
def test_a_net_of_a_fork(path, tmp_path):
    net = caffe.Net(str(path), caffe.TEST)
    moderate(net)
    net.save(str(tmp_path / "net.caffemodel"))
    if SAMPLES in path.read_text():
        with pytest.raises(ValueError, match="it drops values in testing"):
            caffe_onnx.export(path, tmp_path / "net.caffemodel", without_losses=True)
        without = tmp_path / path.name
        without.write_text(path.read_text().replace(SAMPLES, ""))
        path = without
    batch = None if path.stem in FIXED else "dynamic"
    if path.stem in NOTHING:
        with pytest.raises(ValueError, match="layers of type Silence read all of it"):
            caffe_onnx.export(path, tmp_path / "net.caffemodel", without_losses=True)
        return
    exported = caffe_onnx.export(
        path, tmp_path / "net.caffemodel", batch=batch, without_losses=True
    )
    found = main.compare(exported)
    assert {d.blob: d.relative for d in found if d.relative > CLOSE} == {}
    assert len(found) >= 2
