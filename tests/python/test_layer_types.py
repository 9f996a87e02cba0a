"""The table of layer types against the facts on BVLC Caffe and against the host's Caffe."""

import re

import net_facts
import pytest
from google.protobuf import text_format
from maap.errors import MaapError
from maap.host import loader
from maap.nets import graph, layer_types, online
from maap.nets.layer_types import TYPES, Size
from maap.nets.map_sizes import map_sizes
from maap.nets.prototxt import write_text
from maap.util.schema import caffe_pb2

FACTS = {row["type"]: row for row in net_facts.rows("layer_types")}


@pytest.fixture(scope="module")
def caffe():
    return loader.load()


# ---- the facts ----------------------------------------------------------------------------------


def test_every_type_of_caffe_has_a_row():
    assert len(FACTS) > 55
    assert set(FACTS) | {"Enhancement", "Elimination"} <= set(TYPES)


def test_every_type_of_this_host_has_a_row(caffe):
    there = set(caffe.layer_type_list())
    assert len(there) > 50 and there <= set(TYPES)
    if loader.name_of(caffe) == "fork":  # a row that is neither's has its name wrong
        assert set(TYPES) <= there | set(FACTS)
        assert set(FACTS) <= there


@pytest.mark.parametrize("name", FACTS)
def test_the_number_of_blobs_is_that_of_the_facts(name):
    """The plain form of each type: one bottom unless its own checks ask for more."""
    row = FACTS[name]
    count = row["exact_bottoms"] or row["min_bottoms"].split("|")[0] or "0"
    layer = caffe_pb2.LayerParameter(name="x", type=name, bottom=["b"] * int(count))
    if row["param_blobs"] == "user":
        with pytest.raises(MaapError, match=f"layer x: of type {name}"):
            layer_types.blob_count(layer)
        return
    least, most = re.match(r"(\d+)(?:-(\d+))?", row["param_blobs"]).groups()
    assert int(least) <= layer_types.blob_count(layer) <= int(most or least)


def test_a_source_takes_its_size_from_itself():
    sources = {name for name, row in FACTS.items() if row["bottoms"] == "0"}
    kinds = {name for name, known in TYPES.items() if known.size == Size.SOURCE}
    assert sources - kinds == {"HDF5Data"}  # the file says it
    assert kinds & set(FACTS) <= sources


def test_a_layer_that_reads_its_output_for_its_gradient_is_not_overwritten():
    reading = [
        name
        for name, row in FACTS.items()
        if "backward uses top data" in row["in_place_note"] and name != "ELU"
    ]
    assert {"Sigmoid", "TanH", "Softmax", "Exp"} <= set(reading)
    for name in [*reading, "ELU", "LRN", "MVN"]:
        layer = caffe_pb2.LayerParameter(type=name, bottom=["b"], top=["t"])
        assert not layer_types.of(layer).top_unread(layer), name


def test_losses_and_measures_end_a_net():
    losses = {name for name in FACTS if "Loss" in name}
    none = {name for name, row in FACTS.items() if row["tops"] == "0"}
    ends = {name for name in FACTS if TYPES[name].ends}
    assert ends == losses | none | {"Accuracy", "ArgMax"}


# ---- the host's Caffe ---------------------------------------------------------------------------

# Text of the layers behind an input `data` of 2 x 4 x 12 x 10, and a `small` one of 2 x 4 x 5 x 7.
HEAD = """
layer { name: "data" type: "Input" top: "data" top: "small" top: "row"
        input_param { shape { dim: 2 dim: 4 dim: 12 dim: 10 } shape { dim: 2 dim: 4 dim: 5 dim: 7 }
                      shape { dim: 2 dim: 6 } } }
layer { name: "gate" type: "Input" top: "gate" input_param { shape { dim: 2 dim: 4 } } }
"""
CONVOLUTION = "convolution_param { num_output: 2 "


def one(kind, text="", bottoms=("data",), tops=("t",)):
    blobs = "".join(f'bottom: "{blob}" ' for blob in bottoms)
    blobs += "".join(f'top: "{blob}" ' for blob in tops)
    return f'layer {{ name: "x" type: "{kind}" {blobs} {text} }}'


LAYERS = [
    one("Convolution", CONVOLUTION + "kernel_size: 3 stride: 2 pad: 1 }"),
    one("Convolution", CONVOLUTION + "kernel_h: 3 kernel_w: 2 dilation: 2 bias_term: false }"),
    one("Convolution", CONVOLUTION + "kernel_size: 3 }", ("data", "data"), ("t", "u")),
    one("Deconvolution", CONVOLUTION + "kernel_size: 4 stride: 2 pad: 1 }"),
    one("Deconvolution", CONVOLUTION + "kernel_size: [3, 2] dilation: 3 bias_term: false }"),
    one("Im2col", CONVOLUTION + "kernel_size: 3 stride: 2 }"),
    one("Pooling", "pooling_param { kernel_size: 3 stride: 2 }"),
    one("Pooling", "pooling_param { kernel_size: 2 stride: 4 pad: 1 pool: AVE }"),
    one("Pooling", "pooling_param { global_pooling: true }"),
    one("Pooling", "pooling_param { kernel_size: 3 stride: 3 }", tops=("t", "mask")),
    one("SPP", "spp_param { pyramid_height: 2 }"),
    one("Crop", "crop_param { offset: 1 }", ("data", "small")),
    one("Crop", "crop_param { axis: 3 }", ("data", "small")),
    one("Crop", "crop_param { axis: -2 }", ("data", "small")),
    one("Concat", bottoms=("data", "data")),
    one("Concat", "concat_param { axis: 2 }", ("data", "data")),
    one("Concat", "concat_param { axis: -1 }", ("data", "data")),
    one("Slice", tops=("t", "u")),
    one("Slice", "slice_param { axis: 2 slice_point: 5 }", tops=("t", "u")),
    one("Slice", "slice_param { axis: -1 }", tops=("t", "u")),
    one("Tile", "tile_param { axis: 1 tiles: 2 }"),
    one("Tile", "tile_param { axis: 3 tiles: 3 }"),
    one("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 0 dim: 0 } }"),
    one("ArgMax", "argmax_param { axis: 1 }"),
    one("ArgMax"),
    one("Reduction", "reduction_param { axis: 1 }"),
    one("Filter", bottoms=("data", "small", "pick"), tops=("t", "u")),
    one("BatchReindex", bottoms=("data", "pick")),
    one("Eltwise", bottoms=("data", "data")),
    one("Split", tops=("t", "u")),
    one("Softmax"),
    one("LRN"),
    one("MVN"),
    one("Dropout"),
    *[one(kind) for kind in ("AbsVal", "BNLL", "ELU", "Exp", "Log", "Power", "ReLU", "Sigmoid")],
    one("TanH"),
    one("Threshold"),
    one("PReLU"),
    one("BatchNorm"),
    one("BatchNorm", "batch_norm_param { scale_bias: true }"),
    one("BatchNorm", 'dialect: "nv015"'),
    one("Scale"),
    one("Scale", "scale_param { bias_term: true }"),
    one("Scale", "scale_param { axis: 0 bias_term: true }", ("data", "data")),
    one("Bias"),
    one("Bias", "bias_param { axis: 0 }", ("data", "data")),
    one("InnerProduct", "inner_product_param { num_output: 3 }"),
    one("InnerProduct", "inner_product_param { num_output: 3 bias_term: false }"),
    one("Embed", "embed_param { num_output: 3 input_dim: 9 }", ("row",)),
    one("Embed", "embed_param { num_output: 3 input_dim: 9 bias_term: false }", ("row",)),
    one("Parameter", "parameter_param { shape { dim: 1 dim: 2 dim: 3 dim: 4 } }", ()),
    one("DummyData", "dummy_data_param { shape { dim: 1 dim: 2 dim: 3 dim: 4 } }", (), ("t", "u")),
    one("Enhancement"),
    one("Elimination", bottoms=("small", "data"), tops=("t", "r", "a", "s")),
    one("LSTM", "recurrent_param { num_output: 3 }", ("data", "cont")),
    one("LSTM", "recurrent_param { num_output: 3 }", ("data", "cont", "still")),
    one("RNN", "recurrent_param { num_output: 3 }", ("data", "cont")),
    one(
        "RNN",
        "recurrent_param { num_output: 5 expose_hidden: true }",
        ("data", "cont", "still", "state"),
        ("t", "u"),
    ),
    one("LSTMUnit", bottoms=("state", "gates", "continues"), tops=("t", "u")),
    one("ROIPooling", "roi_pooling_param { pooled_h: 3 pooled_w: 2 }", ("data", "rois")),
    one(
        "PSROIPooling",
        "psroi_pooling_param { spatial_scale: 1 output_dim: 1 group_size: 2 }",
        ("data", "rois"),
    ),
    one("Proposal", "proposal_param { ratio: 1 scale: [1, 2] }", ("data", "deltas", "sizes")),
    one(
        "BoxAnnotatorOHEM",
        "box_annotator_ohem_param { roi_per_img: 1 }",
        ("rois", "losses", "losses", "rois"),
        ("t", "u"),
    ),
    one("AttentionCrop", "attention_crop_param { mean_value: 9 }", ("data", "centres")),
    one(
        "AttentionCrop",
        "attention_crop_param { output_size: 5 gradient: EXACT }",
        ("data", "centres"),
    ),
    one("SpatialTransformer", bottoms=("data", "row")),
    one("SpatialTransformer", "st_param { output_H: 5 output_W: 3 }", ("data", "row")),
    one(
        "Correlation",
        "correlation_param { pad: 3 kernel_size: 3 max_displacement: 2 stride_1: 4 stride_2: 2 }",
        ("data", "data"),
    ),
    one("Permute", "permute_param { order: [0, 1, 3, 2] }"),
    one("Permute", "permute_param { order: 1 }"),
    one("Permute"),
    one("Normalize"),
    one("Normalize", "norm_param { across_spatial: false channel_shared: false }"),
    one("Normalize", "normalize_param { bp_norm: true }", tops=("t", "norm")),
    one("PriorBox", "prior_box_param { min_size: 3 }", ("small", "data")),
    one("SmoothL1Loss", bottoms=("data", "data")),
    one("EuclideanLoss", bottoms=("data", "data")),
    one("Reverse", "reverse_param { axis: 2 }"),
    one("ReverseTime", bottoms=("data", "continues")),
    one("Transpose", "transpose_param { dim: [1, 0, 3, 2] }"),
    one("Transpose", "transpose_param { dim: [1, 0] }", ("row",)),
    one("ContinuationIndicator", "continuation_indicator_param { time_step: 3 batch_size: 2 }", ()),
    one("CenterLoss", "center_loss_param { num_output: 3 }", ("data", "pick")),
    one("L1Loss", bottoms=("data",)),
    one("TripletLoss", bottoms=("row", "row", "row")),
    one("FocalLoss", bottoms=("row", "pick"), tops=("t", "u")),
    one("ScaleRankLoss", bottoms=("row", "row", "pick")),
    # Other forks'
    one("Axpy", bottoms=("gate", "data", "data")),
    *[one("BN", f"bn_param {{ {text} }}") for text in ("frozen: true", "bn_mode: LEARN")],
    *[one("BN", f'dialect: "{name}"') for name in ("pspnet", "segnet")],
    one("BN", "param { } param { } param { } param { }"),
    one("BN"),
    one("ChannelShuffle", "channel_shuffle_param { group: 2 }"),
    one("ConvolutionDepthwise", "convolution_param { kernel_size: 3 stride: 2 }"),
    one("DepthwiseConvolution", CONVOLUTION + "kernel_size: 3 group: 2 bias_term: false }"),
    *[one(kind) for kind in ("HSwish", "HardSwish", "Mish", "PixelShuffle", "ReLU6")],
    one("PixelShuffle", "pixelshuffle_param { upscale_factor: 2 }"),
    one("ShuffleChannel", "shuffle_channel_param { group: 2 }"),
    one("Reorg", "reorg_param { stride: 2 }"),
    one("Reorg", "reorg_param { stride: 2 reverse: true }"),
    *[
        one("Interp", f"interp_param {{ {text} }}")
        for text in (
            "zoom_factor: 8",
            "shrink_factor: 4",
            "height: 3 width: 9 zoom_factor: 2",
            "height: 3 width: 9",
            "shrink_factor: 2 zoom_factor: 3 pad_beg: -1 pad_end: -2",
        )
    ],
    one("Interp", bottoms=("data", "small")),
    one("Upsample"),
    one("Upsample", "upsample_param { scale: 3 }"),
    *[
        one("Upsample", f"upsample_param {{ {text} }}", ("small", "small"))
        for text in (
            "",
            "scale: 3",
            "pad_out_w: true",
            "scale_h: 2 scale_w: 3 pad_out_h: true",
            "upsample_h: 9 upsample_w: 13",
        )
    ],
    one("Unpooling", "unpooling_param { unpool_size: 30 stride: 2 }"),
    one("Unpooling", "unpooling_param { unpool: AVE kernel_size: 2 unpool_h: 30 unpool_w: 20 }"),
]
# For layers of regions.
REGIONS = """
layer { name: "regions" type: "Input" top: "rois" top: "losses" top: "deltas"
        top: "sizes" top: "centres" input_param { shape { dim: 3 dim: 5 } shape { dim: 3 dim: 1 }
        shape { dim: 2 dim: 8 dim: 12 dim: 10 } shape { dim: 1 dim: 3 } shape { dim: 2 dim: 3 } } }
"""
PICK = 'layer { name: "pick" type: "Input" top: "pick" input_param { shape { dim: 2 } } }'
# For layers of 2 steps and 4 streams, the first axes of `data`.
STEPS = """
layer { name: "steps" type: "Input" top: "cont" top: "still" top: "state" top: "gates"
        top: "continues" input_param { shape { dim: 2 dim: 4 } shape { dim: 4 dim: 3 }
        shape { dim: 1 dim: 4 dim: 5 } shape { dim: 1 dim: 4 dim: 20 } shape { dim: 1 dim: 4 } } }
"""


@pytest.mark.parametrize(
    "text", LAYERS, ids=lambda t: " ".join(re.sub('["{}:]', "", t).split())[:90]
)
def test_sizes_and_blobs_are_those_of_caffe(caffe, tmp_path, text):
    kind = re.search(r'type: "(\w+)"', text).group(1)
    if kind not in caffe.layer_type_list():
        pytest.skip(f"this host has no {kind}")
    if loader.name_of(caffe) != "fork" and ("scale_bias" in text or "dialect" in text):
        pytest.skip("BVLC Caffe's schema lacks the fields of other forks")
    head = HEAD + PICK + STEPS + REGIONS
    net = text_format.Parse(head + text, caffe_pb2.NetParameter(name="n"))
    write_text(net, tmp_path / "net.prototxt")
    loaded = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    layer = net.layer[-1]
    assert layer_types.blob_count(layer) == len(loaded.params.get("x", []))
    found = map_sizes(net)
    for top in layer.top:
        shape = tuple(loaded.blobs[top].data.shape)
        wanted = shape[2:] if len(shape) == 4 else (1, 1)
        assert found[top] == wanted, top


@pytest.mark.parametrize(
    "kind, bottoms, tops, hidden, blobs",
    [("LSTM", 2, 1, False, 3), ("LSTM", 3, 1, False, 4), ("RNN", 2, 1, False, 5),
     ("RNN", 3, 1, False, 6), ("LSTM", 4, 3, True, 3), ("LSTM", 5, 3, True, 4),
     ("RNN", 3, 2, True, 5), ("RNN", 4, 2, True, 6)],
)  # fmt: skip
def test_blobs_of_recurrent_layers(kind, bottoms, tops, hidden, blobs):
    """The numbers of the facts: 3 and 5, one more with a static input."""
    layer = caffe_pb2.LayerParameter(type=kind, bottom=["b"] * bottoms, top=["t"] * tops)
    layer.recurrent_param.expose_hidden = hidden
    assert layer_types.blob_count(layer) == blobs


# ---- what cannot be told ------------------------------------------------------------------------


def own(kind="MyOwn", **kwargs):
    return caffe_pb2.LayerParameter(name="mine", type=kind, bottom=["data"], top=["t"], **kwargs)


@pytest.mark.parametrize(
    "kind, hint",
    [
        ("MyOwn", "; it is not one of BVLC"),
        ("Convolutoin", "; did you mean Convolution"),
        ("Python", ""),
    ],
)
def test_an_unknown_type_is_an_error_with_layer_and_type(kind, hint):
    with pytest.raises(MaapError, match=f"layer mine: of type {kind}, .* how many blobs.*{hint}"):
        layer_types.blob_count(own(kind))
    net = text_format.Parse(HEAD, caffe_pb2.NetParameter(name="n"))
    net.layer.add().CopyFrom(own(kind))
    with pytest.raises(MaapError, match=f"layer mine: of type {kind}, .* the size of its output"):
        map_sizes(net)
    with pytest.raises(MaapError, match=f"layer mine: .*{kind}.*--haap rewrite"):
        online.shared_blobs(own(kind))


def test_an_unknown_type_gets_the_safe_answers():
    known = layer_types.of(own())
    assert not (known.elementwise or known.finishes or known.keeps_classes or known.ends)
    assert not known.top_unread(own()) and not known.classifies and not known.attention


@pytest.mark.parametrize(
    "text, said",
    [
        (
            one("Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: 20 dim: 6 } }"),
            "axes of the map change",
        ),
        (one("Reshape", "reshape_param { axis: 2 shape { dim: -1 } }"), "axes of the map change"),
        (one("Permute", "permute_param { order: [0, 2, 3, 1] }"), "axes of the map change"),
        (one("ArgMax", "argmax_param { axis: 2 }"), "axis is not the channels"),
        (one("Transpose", "transpose_param { dim: [0, 2, 3, 1] }"), "axes of the map change"),
        (one("Data", bottoms=()), "no crop_size"),
        (one("HDF5Data", bottoms=()), "size of its output"),
    ],
)
def test_a_size_that_cannot_be_told_is_an_error(text, said):
    of_forks = [name for name in ("permute_param", "transpose_param") if name in text]
    if set(of_forks) - set(caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name):
        pytest.skip("BVLC Caffe's schema lacks the layer's parameters")
    net = text_format.Parse(HEAD + text, caffe_pb2.NetParameter(name="n"))
    with pytest.raises(MaapError, match=f"layer x: .*{said}"):
        map_sizes(net)


def test_flattened_maps_keep_their_number_of_points():
    for kind, text in (("Flatten", ""), ("Reshape", "reshape_param { shape { dim: 0 dim: -1 } }")):
        net = text_format.Parse(HEAD + one(kind, text), caffe_pb2.NetParameter(name="n"))
        assert map_sizes(net)["t"] == (12, 10)


@pytest.mark.parametrize(
    "kind, text, wanted",
    [
        ("Data", "transform_param { crop_size: 9 }", (9, 9)),
        ("ImageData", "image_data_param { new_height: 8 new_width: 7 }", (8, 7)),
        ("MemoryData", "memory_data_param { height: 6 width: 5 }", (6, 5)),
        ("WindowData", "window_data_param { crop_size: 4 }", (4, 4)),
    ],
)
def test_sources_say_the_size_of_their_images(kind, text, wanted):
    text = one(kind, text, (), ("t", "label"))
    sizes = map_sizes(text_format.Parse(text, caffe_pb2.NetParameter(name="n")))
    assert sizes == {"t": wanted, "label": (1, 1)}


def test_a_loss_may_take_up_the_probabilities():
    text = (
        HEAD
        + """
        layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" }
        layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }"""
    )
    for kind, ends in (("MultinomialLogisticLoss", True), ("Accuracy", True), ("ReLU", False)):
        reader = one(kind, bottoms=("prob", "row"))
        net = text_format.Parse(text + reader, caffe_pb2.NetParameter(name="n"))
        assert bool(graph.classifiers(net)) == ends, kind
