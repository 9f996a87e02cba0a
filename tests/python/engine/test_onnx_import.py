"""python -m caffe.onnx --to-caffe: ONNX classifiers as nets; what does not fit names its node."""

import subprocess
import sys

import caffe
import numpy as np
import onnx
import pytest
from caffe import onnx as caffe_onnx
from caffe.onnx import main
from onnx import TensorProto, helper, numpy_helper
from onnx_nets import inputs, layer, saved

CLOSE = 3e-6


def values(name, *shape, seed=0, least=None):
    random = np.random.default_rng([seed, *map(ord, name)])
    array = random.standard_normal(shape).astype(np.float32) * 0.5
    return numpy_helper.from_array(np.abs(array) + least if least else array, name)


def number(value, name):
    return numpy_helper.from_array(np.float32(value), name)


def integers(name, *numbers):
    return numpy_helper.from_array(np.array(numbers, np.int64), name)


def model(tmp_path, nodes, constants=(), shape=("N", 3, 12, 12), outputs=("y",), opset=17):
    """A file of these nodes on the input x."""
    infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, ()) for o in outputs]
    data = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "made", [data], infos, list(constants))
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    proto.ir_version = 8
    path = tmp_path / "made.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def node(op, *names, out="y", name="tested", **attributes):
    return helper.make_node(op, names or ["x"], [out], name=name, **attributes)


def imported(tmp_path, path, batch=2):
    return caffe_onnx.to_caffe(path, tmp_path / "n.prototxt", tmp_path / "n.caffemodel", batch)


W = values("w", 4, 3, 3, 3)
B = values("b", 4)
BN = [values("s", 3), values("o", 3), values("m", 3), values("v", 3, least=0.5)]
POOL = {"kernel_shape": [3, 3], "strides": [2, 2]}
NODES = [
    ("conv", [node("Conv", "x", "w", "b", pads=[1, 1, 1, 1], strides=[2, 1])], [W, B]),
    ("conv-no-bias", [node("Conv", "x", "w", dilations=[2, 2])], [W]),
    ("conv-group", [node("Conv", "x", "g", group=3)], [values("g", 6, 1, 2, 2)]),
    ("conv-valid", [node("Conv", "x", "w", auto_pad="VALID")], [W]),
    ("deconv", [node("ConvTranspose", "x", "t", strides=[2, 2], pads=[1, 1, 1, 1])],
     [values("t", 3, 5, 4, 4)]),
    ("batch-norm", [node("BatchNormalization", "x", "s", "o", "m", "v", epsilon=0.01)], BN),
    ("relu", [node("Relu")], []),
    ("leaky", [node("LeakyRelu", alpha=0.2)], []),
    ("prelu", [node("PRelu", "x", "p")], [values("p", 3, 1, 1)]),
    ("prelu-shared", [node("PRelu", "x", "p")], [values("p", 1)]),
    ("elu", [node("Elu", alpha=0.5)], []),
    ("sigmoid", [node("Sigmoid")], []),
    ("tanh", [node("Tanh")], []),
    ("clip", [node("Clip", "x", "low", "high")],
     [number(0, "low"), number(6, "high")]),
    ("clip-above", [node("Clip", "x", "", "high")],
     [number(0.5, "high")]),
    ("max-pool", [node("MaxPool", **POOL)], []),
    ("max-pool-up", [node("MaxPool", ceil_mode=1, **POOL)], []),
    ("max-pool-padded", [node("MaxPool", pads=[1, 1, 1, 1], **POOL)], []),
    ("max-pool-end", [node("MaxPool", pads=[0, 0, 1, 1], **POOL)], []),
    ("mean-pool", [node("AveragePool", **POOL)], []),
    ("mean-pool-up", [node("AveragePool", ceil_mode=1, **POOL)], []),
    ("mean-pool-padded",
     [node("AveragePool", pads=[1, 1, 1, 1], count_include_pad=1, **POOL)], []),
    ("global-mean", [node("GlobalAveragePool")], []),
    ("global-max", [node("GlobalMaxPool")], []),
    ("reduce-mean", [node("ReduceMean", axes=[2, 3])], []),
    ("reduce-mean-flat", [node("ReduceMean", axes=[-1, -2], keepdims=0)], []),
    ("add", [node("Add", "x", "x")], []),
    ("sub", [node("Sigmoid", out="a", name="a"), node("Sub", "x", "a")], []),
    ("add-channels", [node("Add", "x", "c")], [values("c", 3, 1, 1)]),
    ("sub-channels", [node("Sub", "x", "c")], [values("c", 1, 3, 1, 1)]),
    ("mul-channels", [node("Mul", "c", "x")], [values("c", 3, 1, 1)]),
    ("div-columns", [node("Div", "x", "c")], [values("c", 12, least=1)]),
    ("add-number", [node("Add", "x", "c")], [values("c", 1)]),
    ("div-number", [node("Div", "x", "c")], [values("c", least=1)]),
    ("mul", [node("Tanh", out="a", name="a"), node("Mul", "x", "a")], []),
    ("max", [node("Tanh", out="a", name="a"), node("Max", "x", "a")], []),
    ("gate", [node("GlobalAveragePool", out="a", name="a"), node("Mul", "a", "x")], []),
    ("concat", [node("Tanh", out="a", name="a"), node("Concat", "x", "a", axis=-3)], []),
    ("softmax", [node("Softmax", axis=1)], []),
    ("log-softmax", [node("LogSoftmax", axis=-1)], []),
    ("lrn", [node("LRN", size=3, alpha=0.5, beta=0.6, bias=2.0)], []),
    ("dropout", [node("Dropout")], []),
    ("identity", [node("Identity", out="a", name="a"), node("Relu", "a")], []),
    ("flatten", [node("Flatten")], []),
    ("flatten-rows", [node("Flatten", axis=2)], []),
    ("reshape", [node("Reshape", "x", "r")], [integers("r", 0, -1)]),
    ("reshape-part", [node("Reshape", "x", "r")], [integers("r", 0, 9, -1, 4)]),
    ("squeeze", [node("GlobalAveragePool", out="a", name="a"), node("Squeeze", "a", "r")],
     [integers("r", 2, 3)]),
]  # fmt: skip


@pytest.mark.parametrize("nodes, constants", [n[1:] for n in NODES], ids=[n[0] for n in NODES])
def test_a_node_becomes_a_layer(tmp_path, nodes, constants):
    found = imported(tmp_path, model(tmp_path, nodes, constants))
    assert {d.blob: d.relative for d in found if d.relative > CLOSE} == {}
    assert {d.blob for d in found} == {name for n in nodes for name in n.output}


def test_products_of_matrices(tmp_path):
    nodes = [
        node("Gemm", "x", "w1", "b1", out="a", name="a", alpha=0.5, beta=2.0, transB=1),
        node("Gemm", "a", "w2", out="b", name="b"),
        node("MatMul", "b", "w3", out="c", name="c"),
        node("Add", "c", "b3"),
    ]
    constants = [
        values("w1", 6, 5), values("b1", 6), values("w2", 6, 7), values("w3", 7, 4),
        values("b3", 4),
    ]  # fmt: skip
    found = imported(tmp_path, model(tmp_path, nodes, constants, ("N", 5)))
    assert max(d.relative for d in found) < CLOSE and len(found) == 4


def test_the_shape_of_a_reshape_that_is_computed(tmp_path):
    """What PyTorch writes for x.view(x.size(0), -1)."""
    nodes = [
        node("Shape", "x", out="shape", name="shape"),
        node("Gather", "shape", "zero", out="n", name="gather", axis=0),
        node("Unsqueeze", "n", "first", out="n1", name="unsqueeze"),
        node("Concat", "n1", "rest", out="target", name="concat", axis=0),
        node("Reshape", "x", "target"),
    ]
    zero = numpy_helper.from_array(np.int64(0), "zero")
    constants = [zero, integers("first", 0), integers("rest", -1)]
    found = imported(tmp_path, model(tmp_path, nodes, constants))
    assert [(d.blob, d.shape, d.relative) for d in found] == [("y", (2, 432), 0)]
    net = (tmp_path / "n.prototxt").read_text()
    assert 'type: "Flatten"' in net


def test_an_old_clip(tmp_path):
    path = model(tmp_path, [node("Clip", min=0.0, max=0.5)], opset=9)
    assert imported(tmp_path, path)[0].relative == 0


RESIDUAL = (
    inputs((2, 3, 32, 32))
    + layer("Convolution", "convolution_param { num_output: 8 kernel_size: 7 pad: 3 stride: 2 }",
            tops=["c1"], name="c1")
    + layer("BatchNorm", "", ["c1"], ["c1"], "bn1")
    + layer("Scale", "scale_param { bias_term: true }", ["c1"], ["c1"], "scale1")
    + layer("ReLU", "", ["c1"], ["c1"], "relu1")
    + layer("Enhancement", "", ["c1"], ["c1"], "enhance1")
    + layer("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", ["c1"], ["p1"], "p1")
    + layer("Convolution", "convolution_param { num_output: 8 kernel_size: 3 pad: 1 }",
            ["p1"], ["c2"], "c2")
    + layer("ReLU", "", ["c2"], ["c2"], "relu2")
    + layer("Eltwise", "", ["p1", "c2"], ["sum"], "sum")
    + layer("LRN", "", ["sum"], ["norm"], "norm")
    + layer("Concat", "", ["norm", "c2"], ["both"], "both")
    + layer("Pooling", "pooling_param { pool: AVE global_pooling: true }", ["both"], ["p2"], "p2")
    + layer("InnerProduct", "inner_product_param { num_output: 5 }", ["p2"], ["fc"], "fc")
    + layer("Softmax", "", ["fc"], ["prob"], "prob")
)  # fmt: skip


def program(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "caffe.onnx", *map(str, arguments)], capture_output=True, text=True
    )


def test_there_and_back(tmp_path):
    files = saved(tmp_path, RESIDUAL)
    out = tmp_path / "net.onnx"
    main.write(caffe_onnx.export(*files, batch="dynamic"), out)
    again = tmp_path / "again.prototxt", tmp_path / "again.caffemodel"
    done = program("--to-caffe", out, *again, "--batch", 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{again[0]}, {again[1]}: written"
    assert again[0].read_text().count('type: "Enhancement"') == 1
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    first, second = (
        caffe.Net(str(net), caffe.TEST, weights=str(weights)).forward(data=images)["prob"].copy()
        for net, weights in (files, again)
    )
    assert first == pytest.approx(second, abs=1e-6) and np.ptp(first) > 0.1


def enhancement(one=1.0, axes=(1,)):
    """The nodes of an Enhancement, and its constant."""
    nodes = [
        node("ReduceMean", "x", out="m", name="m", axes=axes),
        node("Sigmoid", "m", out="a", name="a"),
        node("Add", "one", "a", out="f", name="f"),
        node("Mul", "f", "x"),
    ]
    return nodes, [number(one, "one")]


def test_an_attention_map_that_others_read(tmp_path):
    nodes, constants = enhancement()
    nodes.append(node("Relu", "a", out="z", name="z"))
    path = model(tmp_path, nodes, constants, outputs=("y", "z"))
    found = imported(tmp_path, path)
    assert {d.blob for d in found} == {"y", "a", "z"} and max(d.relative for d in found) < CLOSE
    nodes.append(node("Relu", "m", out="u", name="u"))  # then it is no Enhancement
    with pytest.raises(caffe_onnx.CannotRead, match="'m' of type ReduceMean"):
        imported(tmp_path, model(tmp_path, nodes, constants, outputs=("y", "z", "u")))


REFUSED = [
    (*enhancement(one=2.0), "node 'm' of type ReduceMean: a mean over other axes", 17),
    (*enhancement(axes=(1, 2)), "node 'm' of type ReduceMean: a mean over other axes", 17),
    ([node("Gelu")], [], "node 'tested' of type Gelu: caffe.onnx has no layer", 20),
    ([node("InstanceNormalization", "x", "s", "o")], BN[:2],
     "node 'tested' of type InstanceNormalization: caffe.onnx has no layer", 17),
    ([node("Conv", "x", "w", pads=[0, 0, 1, 1])], [W],
     "node 'tested' of type Conv: pads [0, 0, 1, 1] differ between the two ends", 17),
    ([node("Conv", "x", "w", auto_pad="SAME_UPPER")], [W],
     "node 'tested' of type Conv: auto_pad SAME_UPPER", 17),
    ([node("AveragePool", pads=[1, 1, 1, 1], **POOL)], [],
     "node 'tested' of type AveragePool: it divides by another number of pixels", 17),
    ([node("MaxPool", dilations=[2, 2], **POOL)], [],
     "node 'tested' of type MaxPool: dilations have no layer", 17),
    ([node("Add", "x", "c")], [values("c", 2, 3, 12, 12)],
     "node 'tested' of type Add: a constant of the shape", 17),
    ([node("Sub", "c", "x")], [values("c", 1)],
     "node 'tested' of type Sub: a constant on the left", 17),
    ([node("MatMul", "x", "x")], [], "its matrix (input 1) is not a constant", 17),
    ([node("ReduceMean", axes=[1])], [], "a mean over other axes than height and width", 17),
    ([node("LRN", size=4)], [], "node 'tested' of type LRN: a size of 4", 17),
    ([node("Softmax", axis=1)], [], "before opset 13 it sums over all axes", 11),
    ([node("Dropout", "x", "r", "t")],
     [number(0.5, "r"), numpy_helper.from_array(np.array(True), "t")],
     "it drops values in testing", 17),
]  # fmt: skip


@pytest.mark.parametrize(
    "nodes, constants, why, opset", REFUSED, ids=[f"{i}-{r[2][:30]}" for i, r in enumerate(REFUSED)]
)
def test_what_does_not_fit_names_its_node(tmp_path, nodes, constants, why, opset):
    path = model(tmp_path, nodes, constants, opset=opset)
    with pytest.raises(caffe_onnx.CannotRead) as error:
        imported(tmp_path, path)
    assert why in str(error.value)
    assert not (tmp_path / "n.prototxt").exists()


def test_wrong_files(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    relu = model(tmp_path, [node("Relu")], shape=("N", 3, "H", "W"))
    out = tmp_path / "n.prototxt", tmp_path / "n.caffemodel"
    for path, why in [
        (tmp_path / "text.onnx", "text.onnx is no valid ONNX model"),
        (tmp_path / "missing.onnx", "missing.onnx: No such file"),
        (relu, "input 'x': only the batch may have a free length"),
    ]:
        done = program("--to-caffe", path, *out)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert done.stderr.startswith("error: ") and why in done.stderr, done.stderr
    done = program("--to-caffe", relu, *out, "--batch", "dynamic")
    assert "a Caffe net has a size of batch" in done.stderr


@pytest.mark.parametrize(
    "kind, names, constants",
    [
        ("Range", "abc", [np.int64(0), np.int64(1 << 40), np.int64(1)]),
        ("Range", "abc", [np.float32(0), np.float32(1), np.float32(1e-30)]),
        ("ConstantOfShape", "a", [np.array([1 << 20, 1 << 20], np.int64)]),
        ("Expand", "ab", [np.ones(1, np.float32), np.array([1 << 35], np.int64)]),
    ],
)
def test_a_constant_that_no_memory_holds(tmp_path, kind, names, constants):
    arrays = [numpy_helper.from_array(np.asarray(c), n) for c, n in zip(constants, names)]
    nodes = [node(kind, *names, out="made"), node("Relu", name="r")]
    with pytest.raises(caffe_onnx.CannotRead, match=f"'tested' of type {kind}: a constant of"):
        imported(tmp_path, model(tmp_path, nodes, arrays))


def test_a_node_of_constants_that_cannot_be_computed(tmp_path):
    """A step of 0: the reference of ONNX divides by it."""
    arrays = [numpy_helper.from_array(np.int64(v), n) for v, n in ((0, "a"), (5, "b"), (0, "c"))]
    nodes = [node("Range", "a", "b", "c", out="d"), node("Relu", name="r")]
    with pytest.raises(caffe_onnx.CannotRead, match="'tested' of type Range: its value cannot"):
        imported(tmp_path, model(tmp_path, nodes, arrays))


def test_a_model_that_computes_nothing(tmp_path):
    with pytest.raises(caffe_onnx.CannotRead, match="computes nothing"):
        imported(tmp_path, model(tmp_path, [], outputs=("x",)))


def test_a_constant_of_no_known_type(tmp_path):
    path = model(tmp_path, [node("Conv", "x", "w")], [W])
    proto = onnx.load(path)
    proto.graph.initializer[0].data_type = 48
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(caffe_onnx.CannotRead, match="made.onnx|the constant 'w' is damaged"):
        imported(tmp_path, path)


@pytest.mark.parametrize(
    "nodes, constants, why",
    [
        ([node("MaxPool", kernel_shape=[30, 30])], [], "kernel_size 30 is larger"),
        ([node("Relu", out="a"), node("Tanh", "a")], [], "two nodes with same node name"),
    ],
)
def test_no_files_are_left_that_were_not_compared(tmp_path, nodes, constants, why):
    """The engine, or ONNX Runtime, refuses the net."""
    path = model(tmp_path, nodes, constants)
    with pytest.raises((caffe.CaffeError, ValueError), match=why):
        imported(tmp_path, path)
    assert list(tmp_path.iterdir()) == [path]


def test_wrong_values_are_marked(tmp_path, monkeypatch):
    from caffe.onnx import importing

    path = model(tmp_path, [node("Conv", "x", "w")], [W])
    honest = importing.write

    def dishonest(made, *files):
        made.weights["tested"][0] = made.weights["tested"][0] * 1.01
        return honest(made, *files)

    monkeypatch.setattr(importing, "write", dishonest)
    with pytest.raises(main.WrongValues, match="n.prototxt.failed: the difference is above"):
        main.main(["--to-caffe", str(path), str(tmp_path / "n.prototxt"), str(tmp_path / "n.c")])
    assert not (tmp_path / "n.prototxt").exists()
