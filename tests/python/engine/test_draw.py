"""Drawing nets; the graph itself only where pydot is installed."""

import sys
import types

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
    assert draw.get_edge_label(convolution) == "5"
    pooling = layer('name: "p" type: "Pooling" pooling_param { pool: AVE kernel_size: 2 }')
    assert draw.get_layer_label(pooling, "TB") == (
        '"p (Pooling AVE) kernel size: 2 stride: 1 pad: 0"'
    )
    assert draw.get_layer_label(layer('name: "r" type: "ReLU"')) == '"r\\n(ReLU)"'
    assert draw.get_edge_label(layer('type: "Data" data_param { batch_size: 7 }')) == "Batch 7"
    assert draw.choose_color_by_layertype("Pooling") != draw.choose_color_by_layertype("ReLU")


# What BVLC Caffe's get_layer_lr_mult says of the same layers.
LR_MULTS = [
    ('type: "Convolution"', (1, 1)),
    ('type: "Convolution" param { lr_mult: 0 }', (0, 1)),
    ('type: "Convolution" param { name: "shared" } param { lr_mult: 7 }', (1, 7)),
    ('type: "Deconvolution" param { lr_mult: 2 } param { lr_mult: 3 }', (2, 3)),
    ('type: "InnerProduct" param { lr_mult: 2.5 } param { lr_mult: 0 }', (2.5, 0)),
]


@pytest.mark.parametrize("text, multipliers", LR_MULTS)
def test_learning_rate_multipliers(text, multipliers):
    assert draw.get_layer_lr_mult(layer(text)) == multipliers


@pytest.mark.parametrize("kind", ["Pooling", "ReLU", "Scale", "BatchNorm", "Embed", "PReLU"])
def test_layers_without_learning_rate_multiplier(kind):
    thing = layer(f'name: "x" type: "{kind}" param {{ lr_mult: 4 }}')
    with pytest.raises(ValueError, match=f"{kind} layers do not have a learning rate multiplier"):
        draw.get_layer_lr_mult(thing)
    assert draw.get_layer_label(thing, "LR", True) == draw.get_layer_label(thing, "LR")


def test_labels_with_multipliers():
    ip = layer('name: "ip" type: "InnerProduct" param { lr_mult: 0.1 } param { lr_mult: 10 }')
    assert draw.get_layer_label(ip, "LR", True) == '"ip\\n(InnerProduct)\\nlr mult: 0.1, 10.0"'
    assert draw.get_layer_label(ip, "TB", display_lrm=True) == (
        '"ip (InnerProduct) lr mult: 0.1, 10.0"'
    )
    ip.param[0].lr_mult = 0.001  # BVLC Caffe rounds it to 0.0
    assert "lr mult: 0.001, 10.0" in draw.get_layer_label(ip, "LR", True)
    convolution = layer('name: "c" type: "Convolution" convolution_param { kernel_size: 3 }')
    assert draw.get_layer_label(convolution, "LR", True) == (
        '"c\\n(Convolution)\\nkernel size: 3\\nstride: 1\\npad: 0\\nlr mult: 1.0, 1.0"'
    )


def test_global_pooling_has_no_sizes():
    thing = layer('name: "p" type: "Pooling" pooling_param { global_pooling: true }')
    assert draw.get_layer_label(thing) == '"p\\n(Pooling MAX)\\nkernel size: global"'


class Graph:
    """As much of pydot.Dot as the module draw uses."""

    def __init__(self, name, **attributes):
        self.nodes, self.edges = {}, []
        self.name, self.attributes = name, attributes

    def add_node(self, node):
        self.nodes[node[0].strip('"')] = node[1]

    def add_edge(self, edge):
        self.edges.append(edge)

    def create(self, format):
        return f"{format} of {self.nodes}".encode()


@pytest.fixture
def fake_pydot(monkeypatch):
    def node(name, **attributes):
        return name, attributes

    def edge(start, end, label):
        return start.strip('"'), end.strip('"'), label.strip('"')

    module = types.SimpleNamespace(Dot=Graph, Node=node, Edge=edge)
    monkeypatch.setitem(sys.modules, "pydot", module)


def test_graph_with_multipliers(fake_pydot, tmp_path):
    net = caffe_pb2.NetParameter()
    net.layer.extend(
        [
            layer('name: "d" type: "Data" top: "x" data_param { batch_size: 4 }'),
            layer('name: "ip" type: "InnerProduct" bottom: "x" top: "y" param { lr_mult: 2 }'),
            layer('name: "s" type: "Scale" bottom: "y" top: "y" param { lr_mult: 0.5 }'),
            layer('name: "t" type: "Silence" bottom: "y" include { phase: TEST }'),
        ]
    )
    graph = draw.get_pydot_graph(net, "LR", True, None, True)
    assert graph.nodes["layer_1_ip"]["label"].endswith('lr mult: 2.0, 1.0"')
    assert graph.nodes["layer_1_ip"]["tooltip"] == '"lr_mult: 2.0, 1.0"'
    assert graph.nodes["layer_2_s"]["tooltip"] == '"lr_mult: 0.5"'
    assert "tooltip" not in graph.nodes["layer_0_d"]
    assert ("layer_0_d", "blob_x", "Batch 4") in graph.edges
    plain = draw.get_pydot_graph(net, "LR", label_edges=False, phase=caffe_pb2.TRAIN)
    assert "layer_3_t" not in plain.nodes
    assert not [node for node in plain.nodes.values() if "tooltip" in node]
    assert {label for _, _, label in plain.edges} == {""}
    draw.draw_net_to_file(net, tmp_path / "n.svg", "LR", caffe_pb2.TEST, True)
    written = (tmp_path / "n.svg").read_text()
    assert written.startswith("svg of") and "lr mult: 2.0, 1.0" in written


def test_without_pydot(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match="python.* -m pip install pydot"):
        draw.get_pydot_graph(caffe_pb2.NetParameter(), "LR")


def test_graph():
    pytest.importorskip("pydot")
    net = specs.lenet()
    text = draw.get_pydot_graph(net, "LR").to_string()
    for name in ("conv1", "relu1", "accuracy"):
        assert name in text
    assert "accuracy" not in draw.get_pydot_graph(net, "LR", phase=caffe_pb2.TRAIN).to_string()
