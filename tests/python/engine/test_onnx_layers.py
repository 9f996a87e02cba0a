"""Each layer type that caffe.onnx writes: ONNX Runtime gives what the engine gives."""

import numpy as np
import pytest
from caffe import onnx as caffe_onnx
from caffe.onnx import examples, main
from onnx_nets import inputs, layer, saved

IMAGE = (2, 4, 7, 9)
CLOSE = 2e-6


# The message of a type's settings, and what all settings of a type begin with.
FIELDS = {
    "ArgMax": "argmax_param", "BatchNorm": "batch_norm_param", "Convolution": "convolution_param",
    "Deconvolution": "convolution_param", "ELU": "elu_param", "Im2col": "convolution_param",
    "InnerProduct": "inner_product_param", "LRN": "lrn_param", "LSTM": "recurrent_param",
    "MVN": "mvn_param", "PReLU": "prelu_param", "RNN": "recurrent_param", "ReLU": "relu_param",
    "SPP": "spp_param",
}  # fmt: skip
BEGIN = {
    "Convolution": "num_output: 6", "Deconvolution": "num_output: 6",
    "InnerProduct": "num_output: 5", "LSTM": "num_output: 3", "RNN": "num_output: 3",
}  # fmt: skip


def case(name, kind, settings="", shapes=(IMAGE,), tops=("y",), fixed=False):
    """A net of one layer; fixed: its batch cannot be free."""
    bottoms = ("data", "second", "third", "fourth")[: len(shapes)]
    settings = f"{BEGIN.get(kind, '')} {settings}".strip()
    field = FIELDS.get(kind, kind.lower() + "_param")
    text = layer(kind, f"{field} {{ {settings} }}" if settings else "", bottoms, tops)
    return pytest.param(inputs(*shapes) + text, fixed, id=name)


CASES = [
    case("conv", "Convolution", "kernel_size: 3"),
    case("conv-groups", "Convolution", "kernel_size: 3 group: 2 pad: 1 stride: 2"),
    case("conv-dilated", "Convolution", "kernel_size: 3 dilation: 2 pad: 2 bias_term: false"),
    case("conv-uneven", "Convolution", "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_w: 1"),
    case("conv-lists", "Convolution", "kernel_size: 3 kernel_size: 2 pad: 0 pad: 1"),
    case("conv-1-axis", "Convolution", "kernel_size: 3", [(2, 4, 9)]),
    case("conv-3-axes", "Convolution", "kernel_size: 3 pad: 1", [(2, 4, 5, 6, 7)]),
    case("conv-axis-2", "Convolution", "kernel_size: 3 axis: 2", [(2, 3, 4, 6, 7)]),
    case("conv-two", "Convolution", "kernel_size: 3", [IMAGE, IMAGE], ("y", "z")),
    case("deconv", "Deconvolution", "kernel_size: 4 stride: 2 pad: 1"),
    case("deconv-groups", "Deconvolution", "kernel_size: 3 stride: 3 group: 2 dilation: 2"),
    case("deconv-bilinear", "Deconvolution", "kernel_size: 4 group: 2 stride: 2 bias_term: false"),
    case("im2col", "Im2col", "kernel_size: 3 pad: 1 stride: 2"),
    case("pool-max", "Pooling", "kernel_size: 2 stride: 2"),
    case("pool-max-edge", "Pooling", "kernel_size: 3 stride: 3 pad: 1"),
    case("pool-max-mask", "Pooling", "kernel_size: 3 stride: 2", tops=("y", "z")),
    case("pool-max-mask-padded", "Pooling", "kernel_size: 3 stride: 2 pad: 1", tops=("y", "z")),
    case("pool-ave", "Pooling", "pool: AVE kernel_size: 3 stride: 2"),
    case("pool-ave-edge", "Pooling", "pool: AVE kernel_size: 4 stride: 3"),
    case("pool-ave-padded", "Pooling", "pool: AVE kernel_size: 3 stride: 2 pad: 1"),
    case("pool-ave-padded-edge", "Pooling", "pool: AVE kernel_size: 3 stride: 3 pad: 2"),
    case("pool-ave-floor", "Pooling", "pool: AVE kernel_size: 4 stride: 3 round_mode: FLOOR"),
    case("pool-floor", "Pooling", "kernel_size: 4 stride: 3 round_mode: FLOOR pad: 1"),
    case("pool-hw", "Pooling", "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0"),
    case("pool-large", "Pooling", "pool: AVE kernel_size: 8 stride: 4"),
    case("pool-global", "Pooling", "pool: AVE global_pooling: true"),
    case("pool-global-max", "Pooling", "global_pooling: true"),
    case("spp", "SPP", "pyramid_height: 3", [(2, 4, 12, 13)]),
    case("spp-ave", "SPP", "pyramid_height: 2 pool: AVE", [(2, 4, 9, 7)]),
    case("ip", "InnerProduct"),
    case("ip-matrix", "InnerProduct", "bias_term: false", [(3, 8)]),
    case("ip-transposed", "InnerProduct", "transpose: true"),
    case("ip-axis-2", "InnerProduct", "axis: 2"),
    case("ip-axis-last", "InnerProduct", "axis: -1 transpose: true"),
    case("ip-axis-0", "InnerProduct", "axis: 0", fixed=True),
    case("lrn", "LRN", "local_size: 3 alpha: 0.7 beta: 0.6 k: 2"),
    case("lrn-wide", "LRN", "local_size: 7 alpha: 2"),
    case("lrn-within", "LRN", "local_size: 3 alpha: 0.7 norm_region: WITHIN_CHANNEL k: 3"),
    case("batch-norm", "BatchNorm", "eps: 0.01"),
    case("batch-norm-2-axes", "BatchNorm", "", [(5, 4)]),
    case("batch-norm-own", "BatchNorm", "use_global_stats: false"),
    case("batch-norm-scaled", "BatchNorm", "scale_bias: true"),
    case("scale", "Scale", "bias_term: true"),
    case("scale-axis-0", "Scale", "axis: 1 num_axes: 2"),
    case("scale-one-value", "Scale", "num_axes: 0 bias_term: true"),
    case("scale-all", "Scale", "axis: 1 num_axes: -1 bias_term: true"),
    case("scale-by-second", "Scale", "axis: 0", [IMAGE, (2, 4)]),
    case("scale-by-second-bias", "Scale", "axis: 1 bias_term: true", [IMAGE, (4,)], fixed=True),
    case("bias", "Bias"),
    case("bias-by-second", "Bias", "axis: 0", [IMAGE, (2, 4, 7)]),
    case("eltwise-sum", "Eltwise", "", [IMAGE, IMAGE, IMAGE]),
    case("eltwise-coeff", "Eltwise", "coeff: 2 coeff: -0.5", [IMAGE, IMAGE]),
    case("eltwise-prod", "Eltwise", "operation: PROD", [IMAGE, IMAGE, IMAGE]),
    case("eltwise-max", "Eltwise", "operation: MAX", [IMAGE, IMAGE]),
    case("concat", "Concat", "", [IMAGE, (2, 1, 7, 9)]),
    case("concat-last", "Concat", "axis: -1", [IMAGE, (2, 4, 7, 2)]),
    case("concat-old", "Concat", "concat_dim: 2", [IMAGE, IMAGE]),
    case("concat-one", "Concat"),
    case("concat-batch", "Concat", "axis: 0", [IMAGE, IMAGE]),
    case("slice", "Slice", "slice_point: 1 slice_point: 3", tops=("y", "z", "w")),
    case("slice-equal", "Slice", tops=("y", "z")),
    case("slice-axis", "Slice", "axis: -1 slice_point: 4", tops=("y", "z")),
    case("slice-one", "Slice"),
    case("flatten", "Flatten"),
    case("flatten-part", "Flatten", "axis: 2"),
    case("flatten-inner", "Flatten", "axis: 1 end_axis: 2"),
    case("flatten-batch", "Flatten", "axis: 0 end_axis: 1"),
    case("reshape", "Reshape", "shape { dim: 0 dim: 2 dim: -1 dim: 9 }"),
    case("reshape-inner", "Reshape", "shape { dim: 3 dim: 3 } axis: 3"),
    case("reshape-insert", "Reshape", "shape { dim: 1 } axis: 1 num_axes: 0"),
    case("softmax", "Softmax"),
    case("softmax-axis", "Softmax", "axis: -1"),
    case("crop", "Crop", "offset: 1", [IMAGE, (2, 4, 5, 6)]),
    case("crop-offsets", "Crop", "axis: 1 offset: 1 offset: 0 offset: 2", [IMAGE, (2, 3, 5, 6)]),
    case("tile", "Tile", "tiles: 3"),
    case("tile-axis", "Tile", "axis: -1 tiles: 2"),
    case("reduction-sum", "Reduction", "axis: 1 coeff: 0.5"),
    case("reduction-asum", "Reduction", "operation: ASUM axis: 2"),
    case("reduction-sumsq", "Reduction", "operation: SUMSQ axis: -1"),
    case("reduction-mean", "Reduction", "operation: MEAN coeff: -2"),
    case("argmax", "ArgMax", "top_k: 2"),
    case("argmax-values", "ArgMax", "top_k: 3 out_max_val: true"),
    case("argmax-axis", "ArgMax", "axis: 1 top_k: 2"),
    case("argmax-axis-values", "ArgMax", "axis: -1 out_max_val: true"),
    case("argmax-2-axes", "ArgMax", "", [(3, 8)]),
    case("relu", "ReLU"),
    case("relu-slope", "ReLU", "negative_slope: 0.2"),
    case("prelu", "PReLU"),
    case("prelu-shared", "PReLU", "channel_shared: true"),
    case("prelu-2-axes", "PReLU", "", [(3, 8)]),
    case("elu", "ELU", "alpha: 0.7"),
    case("power", "Power", "power: 3 scale: 0.5 shift: 2"),
    case("power-1", "Power", "scale: 2 shift: -1"),
    case("power-identity", "Power"),
    case("power-0", "Power", "power: 0"),
    case("power-2", "Power", "power: 2"),
    case("exp", "Exp", "scale: 0.5 shift: 1"),
    case("exp-base", "Exp", "base: 2 scale: 0.5 shift: 1"),
    case("log", "Log", "scale: 0.01 shift: 5"),
    case("log-base", "Log", "base: 10 scale: 0.01 shift: 5"),
    case("absval", "AbsVal"),
    case("bnll", "BNLL"),
    case("sigmoid", "Sigmoid"),
    case("tanh", "TanH"),
    case("swish", "Swish", "beta: 1.5"),
    case("clip", "Clip", "min: -0.5 max: 0.7"),
    case("threshold", "Threshold", "threshold: 0.3"),
    case("dropout", "Dropout"),
    case("dropout-scaled", "Dropout", "dropout_ratio: 0.3 scale_train: false"),
    case("mvn", "MVN"),
    case("mvn-across", "MVN", "across_channels: true eps: 0.1"),
    case("mvn-mean", "MVN", "normalize_variance: false"),
    case("embed", "Embed", "num_output: 3 input_dim: 6", [(4, 2)]),
    case("embed-no-bias", "Embed", "num_output: 3 input_dim: 6 bias_term: false", [(4,)]),
    case("batch-reindex", "BatchReindex", "", [IMAGE, (5,)]),
    case("filter", "Filter", "", [IMAGE, (2,)]),
    case("enhancement", "Enhancement"),
    case("enhancement-map", "Enhancement", tops=("y", "a")),
    case("lstm", "LSTM", "", [(5, 2, 4), (5, 2)]),
    case("lstm-static", "LSTM", "", [(5, 2, 2, 2), (5, 2), (2, 3)], fixed=True),
    case(
        "lstm-states", "LSTM", "expose_hidden: true",
        [(5, 2, 4), (5, 2), (1, 2, 3), (1, 2, 3)], ("y", "h", "c"),
    ),
    case("rnn", "RNN", "", [(5, 2, 4), (5, 2)]),
    case("rnn-static", "RNN", "", [(5, 2, 4), (5, 2), (2, 3)], fixed=True),
    case(
        "rnn-states", "RNN", "expose_hidden: true",
        [(5, 2, 4), (5, 2), (1, 2, 3)], ("y", "h"),
    ),
    case("lstm-unit", "LSTMUnit", "", [(1, 2, 3), (1, 2, 12), (1, 2)], ("c", "h"), fixed=True),
]  # fmt: skip


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("text, fixed", CASES)
def test_a_layer_gives_the_same_in_onnx_runtime(tmp_path, text, fixed, opset):
    files = saved(tmp_path, text)
    exported = caffe_onnx.export(*files, batch=None if fixed else "dynamic", opset=opset)
    assert exported.model.opset_import[0].version == opset
    found = main.compare(exported)
    assert [d.blob for d in found] == [
        top for la in exported.source.layers if la.bottom for top in la.top
    ]
    assert {d.blob: d.relative for d in found if d.relative > CLOSE} == {}
    last = exported.model.graph.output[0].type.tensor_type.shape.dim
    assert len(last) == len(exported.source.shapes["y" if "y" in exported.tensors else "c"])
    if not fixed:
        first = exported.model.graph.input[0].type.tensor_type.shape.dim
        assert first[exported.source.batch_axis].dim_param == "N"


def test_the_examples_are_not_zero(tmp_path):
    source = caffe_onnx.export(*saved(tmp_path, inputs(IMAGE) + layer("ReLU"))).source
    values = examples.random_inputs(source)["data"]
    assert values.std() > 0.5


A_STARS = ["ROI", "UNCORRELATED", "ENHANCE", "REDUCE", "ALLSOFT", "ALLSOFT_PLUS_ONE", "DROP"]
RULES = [
    "ROI threshold: MEAN padding: 0.1",
    "DROP threshold: FRACTION fraction: 0.7",
    "ROI component: STRONGEST connectivity: 4",
    "REDUCE border: 2",
    "DROP threshold: MEAN component: STRONGEST connectivity: 4 padding: 0.3 border: 1",
]


@pytest.mark.parametrize("where", ["INPUT", "MAP"])
@pytest.mark.parametrize("a_star", A_STARS + RULES)
def test_elimination(tmp_path, a_star, where):
    """Smooth maps and noise; the region, the statistics and D* are those of the engine."""
    settings = f"elimination_param {{ a_star: {a_star} threshold_at: {where} }}"
    text = inputs((3, 4, 9, 13), (3, 3, 40, 52)) + layer(
        "Elimination", settings, ["data", "second"], ["y", "region", "map", "statistics"]
    )
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    random = np.random.default_rng(1)
    smooth = np.stack(
        [np.add.outer(np.sin(np.arange(9) + k), np.cos(np.arange(13))) for k in range(4)]
    )
    maps = smooth + 0.1 * random.standard_normal((3, 4, 9, 13))
    maps[2] = 0.25  # flat
    arrays = {"data": maps, "second": random.standard_normal((3, 3, 40, 52))}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    found = main.compare(exported, [arrays])
    assert {d.blob: d.relative for d in found if d.relative > 5e-6} == {}
    boxes = exported.source.net.blobs["region"].data
    assert boxes[2].tolist() == [0, 0, 52, 40] and boxes[0].tolist() != [0, 0, 52, 40]


def test_elimination_by_attention_alone(tmp_path):
    """Without a region the file is a few operators; python_param says the same as the field."""
    settings = 'python_param { param_str: "a_star: ALLSOFT" }'
    text = inputs((1, 4, 9, 13), (1, 3, 40, 52)) + layer(
        "Elimination", settings, ["data", "second"]
    )
    exported = caffe_onnx.export(*saved(tmp_path, text), opset=13)
    assert {node.op_type for node in exported.model.graph.node} <= {
        "Add", "Gather", "Mul", "ReduceMean", "Sigmoid", "Sub",
    }  # fmt: skip
    assert max(d.relative for d in main.compare(exported)) < CLOSE
