"""Drawing nets; the graph itself only where pydot is installed."""

import pytest
import specs
from caffe import draw
from caffe.proto import caffe_pb2


def layer(text):
    from google.protobuf import text_format

    return text_format.Parse(text, caffe_pb2.LayerParameter())


def test_labels():
    convolution = layer(
        'name: "c" type: "Convolution" convolution_param { num_output: 5 kernel_size: 3 '
        "kernel_size: 5 stride_h: 2 stride_w: 1 }"
    )
    assert draw.get_layer_label(convolution) == (
        '"c\\n(Convolution)\\nkernel size: 3x5\\nstride: 2x1\\npad: 0"'
    )
    assert draw.get_edge_label(convolution) == '"5"'
    pooling = layer('name: "p" type: "Pooling" pooling_param { pool: AVE kernel_size: 2 }')
    assert draw.get_layer_label(pooling, "TB") == (
        '"p (AVE Pooling) kernel size: 2 stride: 1 pad: 0"'
    )
    assert draw.get_layer_label(layer('name: "r" type: "ReLU"')) == '"r\\n(ReLU)"'
    assert draw.get_edge_label(layer('type: "Data" data_param { batch_size: 7 }')) == '"Batch 7"'
    assert draw.choose_color_by_layertype("Pooling") != draw.choose_color_by_layertype("ReLU")


def test_without_pydot(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match="pip install pydot"):
        draw.get_pydot_graph(caffe_pb2.NetParameter(), "LR")


def test_graph():
    pytest.importorskip("pydot")
    net = specs.lenet()
    text = draw.get_pydot_graph(net, "LR").to_string()
    for name in ("conv1", "relu1", "accuracy"):
        assert name in text
    assert "accuracy" not in draw.get_pydot_graph(net, "LR", phase=caffe_pb2.TRAIN).to_string()
