"""What caffe.onnx writes of other forks' layer types, and nets made of them."""

import re

import numpy as np
import pytest
from caffe import onnx as caffe_onnx
from caffe.onnx import examples, main
from onnx_nets import inputs, layer, saved

IMAGE = (2, 8, 6, 10)
CLOSE = 3e-6
NAMES = ("data", "second", "third", "fourth")


def case(name, kind, settings="", shapes=(IMAGE,), tops=("y",), fixed=False):
    text = inputs(*shapes) + layer(kind, settings, NAMES[: len(shapes)], tops)
    return pytest.param(text, fixed, id=name)


def roi(kind, settings, shape=IMAGE, rois=5):
    return case(f"{kind}-{shape[0]}-{rois}", kind, settings, [shape, (rois, 5)], fixed=True)


CORRELATED = [(2, 3, 8, 9), (2, 3, 8, 9)]
CASES = [
    case("permute", "Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"),
    case("permute-part", "Permute", "permute_param { order: 2 }", fixed=True),
    case("transpose", "Transpose", "transpose_param { dim: 1 dim: 0 dim: 3 dim: 2 }"),
    case("normalize", "Normalize"),
    case("normalize-channels", "Normalize",
         "norm_param { across_spatial: false channel_shared: false eps: 0.01 }"),
    case("normalize-happynear", "Normalize", "normalize_param { }", tops=("y", "norm")),
    case("normalize-happynear-l1", "Normalize", 'normalize_param { normalize_type: "L1" }'),
    case("prior-box", "PriorBox",
         "prior_box_param { min_size: 4 max_size: 9 aspect_ratio: 2 aspect_ratio: 3 clip: true "
         "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }", [IMAGE, (2, 3, 60, 90)]),
    case("interp", "Interp", "interp_param { height: 13 width: 7 }"),
    case("interp-to-a-row", "Interp", "interp_param { height: 1 width: 5 }"),
    case("interp-zoom", "Interp", "interp_param { zoom_factor: 3 }"),
    case("interp-shrink", "Interp", "interp_param { shrink_factor: 2 }"),
    case("interp-pad", "Interp", "interp_param { zoom_factor: 2 pad_beg: -1 pad_end: -2 }"),
    case("interp-both", "Interp", "interp_param { shrink_factor: 3 zoom_factor: 2 }"),
    case("bn-running", "BN",
         'bn_param { slope_filler { type: "constant" value: 1 } frozen: true eps: 0.01 }'),
    case("bn-inference", "BN", "bn_param { bn_mode: INFERENCE }"),
    case("bn-batch", "BN",
         'bn_param { bn_mode: LEARN scale_filler { type: "constant" value: 1 } }'),
    case("bn-batch-statistics", "BN",
         'bn_param { bn_mode: LEARN scale_filler { type: "constant" value: 1 } }',
         tops=("y", "mean", "variance")),
    case("interp-like", "Interp", "", [IMAGE, (2, 1, 11, 15)]),
    case("unpooling-max", "Unpooling", "unpooling_param { kernel_size: 2 stride: 2 unpool_h: 12 "
         "unpool_w: 19 }"),
    case("unpooling-ave", "Unpooling", "unpooling_param { unpool: AVE kernel_size: 3 stride: 2 "
         "unpool_h: 12 unpool_w: 23 }"),
    case("unpooling-tile", "Unpooling", "unpooling_param { unpool: TILE kernel_h: 2 kernel_w: 3 "
         "stride_h: 3 stride_w: 2 unpool_h: 20 unpool_w: 20 }"),
    case("channel-shuffle", "ChannelShuffle",
         "channel_shuffle_param { group: 2 shuffle_channel_num: 2 }"),
    case("channel-shuffle-places", "ChannelShuffle",
         "channel_shuffle_param { shuffle_pattern: 0 }"),
    case("upsample", "Upsample", "upsample_param { scale: 3 }"),
    case("reorg", "Reorg", "reorg_param { stride: 2 }"),
    case("reorg-back", "Reorg", "reorg_param { stride: 2 reverse: true }"),
    case("pixel-shuffle", "PixelShuffle", "pixelshuffle_param { upscale_factor: 2 }"),
    case("depthwise", "ConvolutionDepthwise",
         "convolution_param { kernel_size: 3 pad: 1 stride: 2 }"),
    case("depthwise-grouped", "DepthwiseConvolution",
         "convolution_param { num_output: 8 group: 8 kernel_size: 3 pad: 1 stride: 1 }"),
    case("relu6", "ReLU6"),
    case("relu6-threshold", "ReLU6", "relu6_param { threshold: 0.5 }"),
    case("relu6-slope", "ReLU6", "relu6_param { negative_slope: 0.1 }"),
    case("hard-swish", "HardSwish"),
    case("h-swish", "HSwish"),
    case("mish", "Mish"),
    case("shuffle", "ShuffleChannel", "shuffle_channel_param { group: 4 }"),
    case("axpy", "Axpy", "", [(2, 8, 1, 1), IMAGE, IMAGE]),
    case("axpy-2-axes", "Axpy", "", [(2, 8), IMAGE, IMAGE]),
    roi("ROIPooling", "roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.25 }"),
    roi("PSROIPooling", "psroi_pooling_param { output_dim: 2 group_size: 2 spatial_scale: 0.25 }",
        (1, 8, 6, 10)),
    roi("PSROIPooling", "psroi_pooling_param { output_dim: 2 group_size: 2 spatial_scale: 0.25 }",
        (3, 8, 6, 10)),
    # Sevenths: of many regions some have a bin's edge on a whole number, but for rounding.
    roi("ROIPooling", "roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 }",
        (1, 2, 40, 60), 200),
    roi("PSROIPooling", "psroi_pooling_param { output_dim: 1 group_size: 7 "
        "spatial_scale: 0.0625 }", (1, 49, 14, 20), 200),
    case("reverse", "Reverse", "reverse_param { axis: 2 }"),
    case("reverse-batch", "Reverse"),
    case("reverse-time", "ReverseTime", "", [(5, 3, 4), (3,)], fixed=True),
    case("reverse-time-copied", "ReverseTime", "reverse_time_param { copy_remaining: true }",
         [(5, 3), (3,)], fixed=True),
    case("transformer", "SpatialTransformer", "st_param { output_H: 5 output_W: 7 }",
         [(2, 3, 6, 8), (2, 6)]),
    case("transformer-part", "SpatialTransformer",
         "st_param { theta_1_2: 0.3 theta_2_1: -0.2 theta_1_1: 1.1 }", [(2, 3, 6, 8), (2, 3)]),
    case("correlation", "Correlation",
         "correlation_param { pad: 2 kernel_size: 1 max_displacement: 2 }", CORRELATED),
    case("correlation-windows", "Correlation",
         "correlation_param { pad: 3 kernel_size: 3 max_displacement: 2 stride_1: 2 stride_2: 2 }",
         CORRELATED),
    case("correlation-difference", "Correlation", "correlation_param { pad: 1 kernel_size: 3 "
         "max_displacement: 1 correlation_type: SUBTRACT }", CORRELATED),
]  # fmt: skip


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("text, fixed", CASES)
def test_a_layer_gives_the_same_in_onnx_runtime(tmp_path, text, fixed, opset):
    files, batch = saved(tmp_path, text), None if fixed else "dynamic"
    if opset < 16 and "SpatialTransformer" in text:
        with pytest.raises(caffe_onnx.CannotSay, match="it needs opset 16 or later"):
            caffe_onnx.export(*files, batch=batch, opset=opset)
        return
    exported = caffe_onnx.export(*files, batch=batch, opset=opset)
    found = main.compare(exported)
    assert {d.blob: d.relative for d in found if d.relative > CLOSE} == {}
    assert len(found) == len(exported.source.layers[-1].top)


@pytest.mark.parametrize("pool", ["kernel_size: 2 stride: 2", "kernel_size: 3 stride: 2"])
def test_upsample_by_the_places_of_a_pool(tmp_path, pool):
    text = (
        inputs((2, 4, 8, 8))
        + layer("Pooling", f"pooling_param {{ {pool} }}", tops=["p", "mask"], name="pool")
        + layer("Power", "power_param { scale: 2 }", ["p"], ["p2"], "twice")
        + layer("Upsample", "upsample_param { scale: 2 }", ["p2", "mask"], ["y"], "up")
    )
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    assert max(d.relative for d in main.compare(exported)) < CLOSE


def test_a_recurrent_net_in_both_directions(tmp_path):
    lstm = "recurrent_param { num_output: 3 }"
    text = (
        inputs((6, 2, 4))
        + layer("ContinuationIndicator",
                "continuation_indicator_param { time_step: 6 batch_size: 2 }", [], ["cont"], "cont")
        + layer("LSTM", lstm, ["data", "cont"], ["forth"], "forth")
        + layer("Reverse", "", ["data"], ["turned"], "turn")
        + layer("LSTM", lstm, ["turned", "cont"], ["back"], "back")
        + layer("Reverse", "", ["back"], ["backward"], "turn_back")
        + layer("Concat", "concat_param { axis: 2 }", ["forth", "backward"], ["both"], "both")
    )  # fmt: skip
    exported = caffe_onnx.export(*saved(tmp_path, text))
    assert [x.name for x in exported.model.graph.input] == ["data"]
    assert max(d.relative for d in main.compare(exported)) < CLOSE
    assert len([note for note in exported.notes if "starts with state 0" in note]) == 2


def test_unpooling_by_the_places_of_a_pool(tmp_path):
    text = (
        inputs((2, 4, 8, 8))
        + layer("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", tops=["p", "mask"],
                name="pool")
        + layer("Unpooling", "unpooling_param { kernel_size: 3 stride: 2 unpool_size: 8 }",
                ["p", "mask"], ["y"], "up")
    )  # fmt: skip
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    assert max(d.relative for d in main.compare(exported)) < CLOSE


def proposal(images, info=(1, 3), height=9, width=11):
    shapes = [(images, 12, height, width), (images, 24, height, width), info]
    return inputs(*shapes) + layer(
        "Proposal",
        "proposal_param { ratio: 0.5 ratio: 1 ratio: 2 scale: 2 scale: 4 pre_nms_topn: 300 "
        "post_nms_topn: 40 min_size: 8 }",
        NAMES[:3],
        ("rois", "scores"),
    )


SIZES = [[140, 170, 1.5]]
TWO_SIZES = [[140, 170, 1.5, 1.2], [120, 100, 2, 1]]


@pytest.mark.parametrize("images, sizes", [(1, SIZES), (2, SIZES), (2, TWO_SIZES)])
def test_proposal(tmp_path, images, sizes):
    text = proposal(images, (len(sizes), len(sizes[0])))
    exported = caffe_onnx.export(*saved(tmp_path, text))
    assert max(d.relative for d in main.compare(exported)) < CLOSE
    random = np.random.default_rng(3)
    arrays = {
        "data": random.uniform(0, 1, (images, 12, 9, 11)).astype(np.float32),
        "second": (random.standard_normal((images, 24, 9, 11)) * 0.3).astype(np.float32),
        "third": np.array(sizes, np.float32),
    }
    found = caffe_onnx.check(exported, [arrays])
    assert {d.blob: d.relative for d in found if d.relative > CLOSE} == {}
    assert found[0].shape[0] > 10 * images


CODES = ["CORNER", "CENTER_SIZE", "CORNER_SIZE"]


def detection(images, priors, classes, settings, share=True):
    groups = 1 if share else classes
    shapes = [(images, priors * groups * 4), (images, priors * classes), (1, 2, priors * 4)]
    text = inputs(*shapes) + layer(
        "DetectionOutput",
        f"detection_output_param {{ num_classes: {classes} share_location: {str(share).lower()} "
        f"{settings} }}",
        NAMES[:3],
    )
    random = np.random.default_rng(7)
    centres = random.uniform(0.1, 0.9, (priors, 2))
    sizes = random.uniform(0.1, 0.4, (priors, 2))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1).reshape(-1)
    variances = np.tile([0.1, 0.1, 0.2, 0.2], priors)
    scores = random.uniform(0, 1, (images, priors, classes)) ** 4
    arrays = {
        "data": random.standard_normal(shapes[0]) * 0.5,
        "second": scores.reshape(shapes[1]),
        "third": np.stack([boxes, variances])[None],
    }
    return text, {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.mark.parametrize("images, opset", [(1, 16), (3, 17), (2, 21)])
@pytest.mark.parametrize(
    "settings, share",
    [
        ("code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.05 "
         "nms_param { nms_threshold: 0.45 top_k: 30 }", True),
        ("code_type: CORNER keep_top_k: 7 nms_param { nms_threshold: 0.3 }", True),
        ("code_type: CORNER_SIZE confidence_threshold: 0.1 keep_top_k: 15", True),
        ("code_type: CENTER_SIZE keep_top_k: 12 confidence_threshold: 0.2 "
         "nms_param { nms_threshold: 0.45 top_k: 25 }", False),
        ("code_type: CENTER_SIZE variance_encoded_in_target: true background_label_id: 2 "
         "keep_top_k: 9 confidence_threshold: 0.3", True),
        ("code_type: CENTER_SIZE confidence_threshold: 0.5 nms_param { top_k: 10 }", True),
    ],
)  # fmt: skip
def test_detection_output(tmp_path, images, settings, share, opset):
    text, arrays = detection(images, 50, 4, settings, share)
    exported = caffe_onnx.export(*saved(tmp_path, text), batch=None, opset=opset)
    (found,) = caffe_onnx.check(exported, [arrays])
    assert found.relative < CLOSE
    assert found.shape[2] > 3 * images


def test_detection_output_without_detections(tmp_path):
    text, arrays = detection(
        3, 20, 3, "code_type: CENTER_SIZE confidence_threshold: 2 keep_top_k: 5"
    )
    exported = caffe_onnx.export(*saved(tmp_path, text))
    (found,) = caffe_onnx.check(exported, [arrays])
    assert found.relative == 0 and found.shape == (1, 1, 3, 7)


REFUSED = [
    ("DetectionOutput", "nms_param { eta: 0.9 }", "nms_param.eta below 1 has no operator"),
    ("DetectionOutput", "keep_top_k: 0", "it keeps no detections"),
]


@pytest.mark.parametrize("kind, settings, why", REFUSED)
def test_what_cannot_be_said(tmp_path, kind, settings, why):
    text, _ = detection(1, 20, 3, f"code_type: CENTER_SIZE {settings}")
    with pytest.raises(caffe_onnx.CannotSay, match=re.escape(f"'tested' of type {kind}: {why}")):
        caffe_onnx.export(*saved(tmp_path, text))


def test_examples_for_regions_lie_on_the_map(tmp_path):
    settings = "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 }"
    text = inputs((2, 4, 8, 12), (200, 5)) + layer("ROIPooling", settings, NAMES[:2])
    net = caffe_onnx.export(*saved(tmp_path, text)).source
    rois = examples.random_inputs(net)["second"]
    assert set(rois[:, 0]) == {0, 1}
    assert (rois[:, 1:3] <= rois[:, 3:5]).all() and (rois[:, 1:3] < [24, 16]).mean() > 0.8
    assert rois[:, 3].max() > 24 and rois[:, 4].max() > 16
