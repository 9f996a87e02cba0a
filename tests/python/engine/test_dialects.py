"""Which fork's rules hold: set_dialect, and the dialect that a net's log names."""

import subprocess
import sys

import caffe
import pytest
from google.protobuf.message import DecodeError
from hostile_forks import bytes_field

NET = """
name: 'normalise'
layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 1 dim: 2 dim: 1 dim: 1 } } }
layer { name: 'y' type: 'ReLU' bottom: 'x' top: 'y' relu_param { engine: MKLDNN }
        forward_type: FLOAT }
"""


@pytest.fixture
def by_hand():
    yield caffe.set_dialect
    caffe.set_dialect("")


def test_set_dialect(by_hand):
    assert caffe.dialect() == ""
    by_hand("segnet")
    assert caffe.dialect() == "segnet"
    with pytest.raises(caffe.CaffeError, match=r"unknown dialect 'sgd'.*known: ssd, faster_rcnn"):
        by_hand("sgd")
    assert caffe.dialect() == "segnet"


def test_a_net_with_fields_of_forks(tmp_path, capfd):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    net = caffe.Net(str(path), caffe.TEST)
    net.forward()
    log = capfd.readouterr().err
    assert "'forward_type' is a field of LayerParameter in nv017 and nv016; it has no effect" in log
    assert "engine MKLDNN is one of intel and sophgo; it has no effect here" in log


@pytest.mark.parametrize("begin, end", [("{ a ", "}"), ("< a ", ">"), ("[", "]")])
def test_a_skipped_field_of_any_depth(tmp_path, begin, end):
    """An error; the parser calls itself for each message in another. A process of its own."""
    path = tmp_path / "net.prototxt"
    depth = 100_000
    inside = begin * depth + end * depth
    path.write_text(f"layer {{ name: 'y' type: 'ReLU' quantization_param: {inside} }}")
    code = f"import caffe; caffe.io.read_net({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "CaffeError" in done.stderr and "Message is too deep" in done.stderr


def test_read_net_and_read_weights(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    net = caffe.io.read_net(path)
    assert [layer.type for layer in net.layer] == ["Input", "ReLU"]
    path.write_text("nam: 'x'")
    with pytest.raises(caffe.CaffeError, match=r'net.prototxt:1:4: .*no field named "nam"'):
        caffe.io.read_net(path)
    # 143 is input_param here and no message; 9 is Intel's engine of the net.
    blob = bytes_field(7, bytes_field(5, bytes(4)))
    layer = bytes_field(1, b"ip") + bytes_field(143, b"\xff") + blob
    model = tmp_path / "fork.caffemodel"
    model.write_bytes(bytes_field(9, b"MKLDNN") + bytes_field(100, layer))
    weights = caffe.io.read_weights(model)
    assert [(one.name, list(one.blobs[0].data)) for one in weights.layer] == [("ip", [0.0])]
    with pytest.raises(DecodeError):
        caffe.proto.caffe_pb2.NetParameter.FromString(model.read_bytes())
    with pytest.raises(caffe.CaffeError, match="net.prototxt: is not a binary caffe.NetParameter"):
        caffe.io.read_weights(path)


def test_a_type_that_is_not_built(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET.replace("'ReLU'", "'Yolov3'"))
    with pytest.raises(caffe.CaffeError, match="'Yolov3': it is a layer of yolo_eric612 and troy"):
        caffe.Net(str(path), caffe.TEST)
