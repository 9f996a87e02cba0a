"""One small net for each type of layer, for caffe.torch: text, inputs, which have a gradient."""

from dataclasses import dataclass

import caffe
import numpy as np

MAP = (2, 4, 7, 6)
SMALL = (2, 4, 3, 4)
FILL = 'weight_filler { type: "xavier" }'


@dataclass(frozen=True)
class Case:
    """A layer of type ``kind``. inputs: {blob: shape, array or function of a RandomState}; the
    first ones are the bottoms in this order. gradient: the inputs that have one."""

    kind: str
    text: str = ""
    inputs: tuple = (("x", MAP),)
    gradient: tuple = ("x",)
    tops: tuple = ("y",)
    phase: int = caffe.TEST
    extra: str = ""  # further layers behind it

    def __str__(self):
        words = "".join(c for c in self.text if c not in '{}:"').split()
        return "-".join([self.kind, *words, *(("TRAIN",) if self.phase == caffe.TRAIN else ())])

    def values(self, seed=3):
        random = np.random.RandomState(seed)
        return {name: value(random) if callable(value) else random.randn(*value)
                if isinstance(value, tuple) else value for name, value in self.inputs}  # fmt: skip


def labels(shape, classes):
    return lambda random: random.randint(0, classes, shape)


def positive(*shape):
    return lambda random: random.uniform(0.1, 2, shape)


def distinct(*shape):
    """Values that differ by more than rounding."""
    return lambda random: (random.permutation(int(np.prod(shape))).reshape(shape) - 20) / 17.0


def shares(*shape):
    return lambda random: random.uniform(0.05, 1, shape)


def bits(*shape):
    return lambda random: random.randint(0, 2, shape)


def two(first, second, *others):
    return tuple(zip("xyzuv", (first, second, *others)))


def conv(text, kind="Convolution", **more):
    return Case(kind, f"convolution_param {{ {text} {FILL} }}", **more)


def pool(text, **more):
    inputs = more.pop("inputs", (("x", distinct(2, 3, 8, 9)),))
    return Case("Pooling", f"pooling_param {{ {text} }}", inputs, **more)


def loss(kind, scores, target, text="", gradient=("x",), tops=("t",)):
    return Case(kind, text, two(scores, target), gradient, tops)


TRAIN = caffe.TRAIN
WINDOWS = [
    conv("num_output: 6 kernel_size: 3 pad: 1 stride: 2"),
    conv("num_output: 6 kernel_size: 3 group: 2 dilation: 2 pad: 2 bias_term: false"),
    conv("num_output: 3 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1"),
    conv("num_output: 2 kernel_size: [3, 2] pad: [1, 0]"),
    conv("num_output: 2 kernel_size: 3", inputs=(("x", (2, 3, 8)),)),
    conv("num_output: 2 kernel_size: 2 stride: 2", inputs=(("x", (2, 3, 4, 4, 5)),)),
    conv("num_output: 2 kernel_size: 2 axis: 2", inputs=(("x", (2, 2, 3, 4, 5)),)),
    conv("num_output: 3 kernel_size: 3", inputs=two(MAP, MAP), tops=("s", "t"),
         gradient=("x", "y")),
    conv("num_output: 6 kernel_size: 4 stride: 2 pad: 1", "Deconvolution"),
    conv("num_output: 4 kernel_size: 3 group: 4 dilation: 2 bias_term: false", "Deconvolution"),
    conv("kernel_size: 3 stride: 2 pad: 1", "Im2col"),
    pool("kernel_size: 3 stride: 2"),
    pool("kernel_size: 3 stride: 2 pad: 1"),
    pool("kernel_size: 3 stride: 2 round_mode: FLOOR"),
    pool("kernel_size: 2 stride: 3"),
    pool("kernel_size: 2 stride: 2 pad: 1"),
    pool("kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0"),
    pool("global_pooling: true"),
    pool("kernel_size: 3 stride: 2", tops=("y", "mask")),
    pool("kernel_size: 3 stride: 2 pad: 1", tops=("y", "mask")),
    pool("pool: AVE kernel_size: 3 stride: 2"),
    pool("pool: AVE kernel_size: 3 stride: 2 pad: 1"),
    pool("pool: AVE kernel_size: 4 stride: 3 pad: 2"),
    pool("pool: AVE kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR"),
    pool("pool: AVE global_pooling: true"),
    pool("pool: STOCHASTIC kernel_size: 3 stride: 2", inputs=(("x", positive(2, 3, 8, 9)),),
         gradient=()),
    Case("SPP", "spp_param { pyramid_height: 3 }", (("x", distinct(2, 3, 8, 9)),)),
    Case("SPP", "spp_param { pyramid_height: 1 pool: AVE }", (("x", distinct(2, 3, 8, 9)),)),
    Case("LRN"),
    Case("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }"),
    Case("LRN", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }"),
]  # fmt: skip
DENSE = [
    Case("InnerProduct", "inner_product_param { num_output: 5 }"),
    Case("InnerProduct", "inner_product_param { num_output: 5 axis: 2 bias_term: false }"),
    Case("InnerProduct", "inner_product_param { num_output: 5 transpose: true axis: -1 }"),
    Case("Embed", "embed_param { num_output: 3 input_dim: 9 }",
         (("x", labels((2, 6), 9)),), ()),
    Case("Embed", "embed_param { num_output: 3 input_dim: 9 bias_term: false }",
         (("x", labels((2, 3, 2), 9)),), ()),
    Case("Scale"),
    Case("Scale", "scale_param { bias_term: true axis: 0 num_axes: 2 }"),
    Case("Scale", "scale_param { axis: -3 num_axes: -1 }"),
    Case("Scale", "scale_param { axis: 0 bias_term: true }", two(MAP, (2, 4)), ("x", "y"),
         ("z",)),
    Case("Bias"),
    Case("Bias", "bias_param { axis: 2 num_axes: -1 }"),
    Case("Bias", "bias_param { axis: 1 }", two(MAP, (4, 7)), ("x", "y"), ("z",)),
    Case("BatchNorm"),
    Case("BatchNorm", phase=TRAIN),
    Case("BatchNorm", "batch_norm_param { use_global_stats: true eps: 0.01 }", phase=TRAIN),
    Case("BatchNorm", inputs=(("x", (5, 3)),), phase=TRAIN),
    Case("BatchNorm", "batch_norm_param { scale_bias: true eps: 0.01 }"),
    Case("BatchNorm", "batch_norm_param { scale_filler { value: 2 } }", phase=TRAIN),
    Case("BatchNorm", 'dialect: "nv015"', inputs=(("x", (5, 3)),), phase=TRAIN),
    Case("BatchNorm", 'dialect: "nv017"', phase=TRAIN),
    Case("MVN"),
    Case("MVN", "mvn_param { across_channels: true }"),
    Case("MVN", "mvn_param { normalize_variance: false }"),
    Case("Parameter", "parameter_param { shape { dim: 2 dim: 4 dim: 7 dim: 6 } }", (),
         extra='layer { name: "sum" type: "Eltwise" bottom: "y" bottom: "x" top: "s" }'),
]  # fmt: skip
POINTWISE = [
    Case("ReLU"),
    Case("ReLU", "relu_param { negative_slope: 0.1 }"),
    Case("PReLU"),
    Case("PReLU", "prelu_param { channel_shared: true }"),
    Case("ELU"),
    Case("ELU", "elu_param { alpha: 0.5 }"),
    Case("Sigmoid"),
    Case("TanH"),
    Case("Swish", "swish_param { beta: 1.5 }"),
    Case("AbsVal"),
    Case("BNLL"),
    Case("Clip", "clip_param { min: -0.5 max: 0.7 }"),
    Case("Threshold", "threshold_param { threshold: 0.2 }", gradient=()),
    Case("Power", "power_param { power: 2 scale: 0.5 shift: 0.1 }"),
    Case("Power", "power_param { power: 0.5 scale: 2 shift: 1 }", (("x", positive(*MAP)),)),
    Case("Power", "power_param { power: -1.5 }", (("x", positive(*MAP)),)),
    Case("Power", "power_param { scale: -0.5 shift: 3 }"),
    Case("Exp"),
    Case("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }"),
    Case("Log", inputs=(("x", positive(*MAP)),)),
    Case("Log", "log_param { base: 10 scale: 2 shift: 0.5 }", (("x", positive(*MAP)),)),
    Case("Dropout"),
    Case("Dropout", "dropout_param { dropout_ratio: 0.3 scale_train: false }"),
    Case("Softmax"),
    Case("Softmax", "softmax_param { axis: -1 }"),
]
SHAPES = [
    Case("Split", tops=("y", "z")),
    Case("Concat", inputs=two(MAP, MAP), gradient=("x", "y"), tops=("z",)),
    Case("Concat", "concat_param { axis: -1 }", two(MAP, MAP), ("x", "y"), ("z",)),
    Case("Slice", tops=("y", "z")),
    Case("Slice", "slice_param { axis: 2 slice_point: [2, 3] }", tops=("y", "z", "u")),
    Case("Flatten"),
    Case("Flatten", "flatten_param { axis: 2 end_axis: -1 }"),
    Case("Reshape", "reshape_param { shape { dim: 0 dim: 2 dim: -1 } }"),
    Case("Reshape", "reshape_param { axis: 1 num_axes: 2 shape { dim: 4 dim: 7 } }"),
    Case("Reshape", "reshape_param { axis: -1 num_axes: 0 shape { dim: 1 } }"),
    Case("Crop", "crop_param { offset: [1, 2] }", two(MAP, SMALL), ("x",), ("z",)),
    Case("Crop", "crop_param { axis: -1 }", two(MAP, SMALL), ("x",), ("z",)),
    Case("Tile", "tile_param { axis: 1 tiles: 3 }"),
    Case("Tile", "tile_param { axis: -1 tiles: 2 }"),
    Case("Reduction"),
    Case("Reduction", "reduction_param { axis: 1 operation: ASUM coeff: 2 }"),
    Case("Reduction", "reduction_param { axis: 2 operation: SUMSQ }"),
    Case("Reduction", "reduction_param { axis: -1 operation: MEAN coeff: 0.5 }"),
    Case("Eltwise", inputs=two(MAP, MAP, MAP), gradient=("x", "y", "z"), tops=("t",)),
    Case("Eltwise", "eltwise_param { coeff: [0.5, -2] }", two(MAP, MAP), ("x", "y"), ("t",)),
    Case("Eltwise", "eltwise_param { operation: PROD }", two(MAP, MAP), ("x", "y"), ("t",)),
    Case("Eltwise", "eltwise_param { operation: MAX }", two(MAP, MAP, MAP), ("x", "y", "z"),
         ("t",)),
    Case("Eltwise", "eltwise_param { operation: MAX }",  # many equal values
         two(labels(MAP, 3), labels(MAP, 3), labels(MAP, 3)), ("x", "y", "z"), ("t",)),
    Case("ArgMax", gradient=()),
    Case("ArgMax", "argmax_param { top_k: 3 }", (("x", labels((2, 9), 4)),), ()),
    Case("ArgMax", "argmax_param { top_k: 2 out_max_val: true }", gradient=()),
    Case("ArgMax", "argmax_param { axis: 2 top_k: 2 }", (("x", labels(MAP, 4)),), ()),
    Case("ArgMax", "argmax_param { axis: 1 out_max_val: true }", gradient=()),
    Case("BatchReindex", inputs=two(MAP, labels((5,), 2)), tops=("t",)),
    Case("Filter", inputs=two(MAP, (2, 3), np.array([0, 1])), gradient=("x", "y"),
         tops=("s", "t")),
    Case("Accuracy", "", two((6, 5), labels((6,), 5)), (), ("a",)),
    Case("Accuracy", "accuracy_param { top_k: 2 }", two((6, 5), labels((6,), 5)), (),
         ("a", "b")),
    Case("Accuracy", "accuracy_param { ignore_label: 1 }",
         two(labels((2, 3, 4, 4), 3), labels((2, 4, 4), 3)), (), ("a", "b")),
    Case("Silence", inputs=two(MAP, MAP), gradient=(), tops=(),
         extra='layer { name: "r" type: "ReLU" bottom: "x" top: "r" }'),
]  # fmt: skip
_MAPS = ((2, 5, 3, 4), labels((2, 3, 4), 5))
LOSSES = [
    loss("SoftmaxWithLoss", (6, 5), labels((6,), 5)),
    loss("SoftmaxWithLoss", lambda r: 90 * r.randn(6, 5), labels((6,), 5)),
    loss("SoftmaxWithLoss", *_MAPS, "loss_weight: 0.5 loss_param { ignore_label: 2 }"),
    loss("SoftmaxWithLoss", *_MAPS, "loss_param { normalization: FULL ignore_label: 2 }"),
    loss("SoftmaxWithLoss", *_MAPS, "loss_param { normalization: BATCH_SIZE }"),
    loss("SoftmaxWithLoss", *_MAPS, "loss_param { normalization: NONE }"),
    loss("SoftmaxWithLoss", *_MAPS, "loss_param { normalize: false }"),
    loss("SoftmaxWithLoss", (6, 5), labels((6,), 5), tops=("t", "p")),
    Case("InfogainLoss", "", two((6, 5), labels((6,), 5), positive(5, 5)), (), ("t",)),
    Case("InfogainLoss", "loss_param { ignore_label: 1 }",
         two(*_MAPS, positive(1, 1, 5, 5)), (), ("t", "p")),
    loss("MultinomialLogisticLoss", shares(6, 5), labels((6,), 5)),
    loss("HingeLoss", (6, 5), labels((6,), 5)),
    loss("HingeLoss", (6, 5), labels((6,), 5), "hinge_loss_param { norm: L2 }"),
    loss("SigmoidCrossEntropyLoss", (6, 5), shares(6, 5)),
    loss("SigmoidCrossEntropyLoss", MAP, bits(*MAP), "loss_param { ignore_label: 0 }"),
    loss("SigmoidCrossEntropyLoss", MAP, bits(*MAP),
         "loss_param { ignore_label: 0 normalization: VALID }"),
    loss("EuclideanLoss", (6, 5), (6, 5), gradient=("x", "y")),
    Case("ContrastiveLoss", "contrastive_loss_param { margin: 3 }",
         two((6, 5), (6, 5), bits(6)), ("x", "y"), ("t",)),
    Case("ContrastiveLoss", "contrastive_loss_param { margin: 12 legacy_version: true }",
         two((6, 5), (6, 5), bits(6)), ("x", "y"), ("t",)),
]  # fmt: skip
_STEPS, _CONT = (4, 3, 5), np.array([[0, 0, 0], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
RECURRENT = [
    Case("LSTM", "recurrent_param { num_output: 4 }", two(_STEPS, _CONT), tops=("t",)),
    Case("LSTM", "recurrent_param { num_output: 4 }", two(_STEPS, _CONT, (3, 2)), ("x", "z"),
         ("t",)),
    Case("LSTM", "recurrent_param { num_output: 4 expose_hidden: true }",
         two(_STEPS, _CONT, (1, 3, 4), (1, 3, 4)), ("x",), ("t", "h", "c")),
    Case("RNN", "recurrent_param { num_output: 4 }", two(_STEPS, _CONT), tops=("t",)),
    Case("RNN", "recurrent_param { num_output: 4 expose_hidden: true }",
         two(_STEPS, _CONT, (3, 2), (1, 3, 4)), ("x", "z"), ("t", "h")),
    Case("LSTMUnit", "", two((1, 3, 4), (1, 3, 16), np.array([[1, 0, 1]])), ("x", "y"),
         ("c", "h")),
]  # fmt: skip


def _elimination(text):
    return Case("Elimination", f"elimination_param {{ {text} }}", two((2, 5, 6, 6), (2, 3, 12, 9)),
                ("y",), ("d", "r", "a", "s"))  # fmt: skip


ATTENTION = [
    Case("Enhancement"),
    Case("Enhancement", tops=("y", "a")),
    *(
        _elimination(text)
        for text in ("", "threshold_at: MAP", "a_star: UNCORRELATED", "a_star: ENHANCE",
                     "a_star: REDUCE", "a_star: ALLSOFT", "a_star: ALLSOFT_PLUS_ONE",
                     "a_star: DROP", "a_star: DROP threshold: FRACTION fraction: 0.3 border: 1",
                     "threshold: MEAN component: STRONGEST connectivity: 4 padding: 0.2")
    ),
]  # fmt: skip
_ROIS = np.array([[0, 3, 2, 40, 30], [1, 0, 5, 12, 60], [0, 50, 50, 20, 20], [1, 70, 70, 99, 99]])
# Bins of a seventh of these have edges on whole numbers, but for the rounding of floats.
_WHOLE_ROIS = np.array(
    [[0, 16 * x, 16 * y, 16 * (x + side - 1), 16 * (y + side - 1)]
     for x, y, side in [(1, 0, 29), (0, 2, 57), (2, 1, 58), (3, 3, 7), (5, 9, 21), (1, 6, 35)]]
    + [[0, 9, 100, 373, 415], [0, 25, 41, 600, 521], [0, 101, 3, 467, 700], [0, 7, 14, 21, 28]]
)  # fmt: skip
FORKS = [
    Case("Permute", "permute_param { order: [0, 2, 3, 1] }"),
    Case("Permute", "permute_param { order: 3 }"),
    Case("Transpose", "transpose_param { dim: [2, 0, 1, 3] }"),
    Case("Reverse", "reverse_param { axis: 1 }"),
    Case("Normalize", "norm_param { across_spatial: false channel_shared: false }"),
    Case("Normalize"),
    Case("Normalize", 'normalize_param { normalize_type: "L2" }'),
    Case("Normalize", 'normalize_param { normalize_type: "L1" }'),
    Case("PriorBox", "prior_box_param { min_size: 8 max_size: 20 aspect_ratio: [2, 3] clip: true "
         "variance: [0.1, 0.1, 0.2, 0.2] }", two(MAP, (2, 3, 60, 48)), (), ("t",)),
    Case("PriorBox", "prior_box_param { min_size: [8, 13] aspect_ratio: 2 flip: false step: 8 }",
         two(MAP, (2, 3, 60, 48)), (), ("t",)),
    Case("Interp", "interp_param { height: 9 width: 13 }"),
    Case("Interp", "interp_param { zoom_factor: 3 pad_beg: -1 }"),
    Case("Interp", "interp_param { shrink_factor: 2 }"),
    Case("Interp", "interp_param { shrink_factor: 2 zoom_factor: 3 }"),
    Case("BN", "bn_param { momentum: 0.9 }"),
    Case("BN", "bn_param { momentum: 0.9 }", phase=TRAIN),
    Case("BN", "bn_param { frozen: true }", phase=TRAIN),
    Case("BN", "bn_param { bn_mode: LEARN }"),
    Case("BN", "bn_param { bn_mode: INFERENCE }"),
    Case("BN", tops=("y", "mean", "variance"), phase=TRAIN),
    Case("Mish"),
    Case("HardSwish", inputs=(("x", lambda r: 3 * r.randn(*MAP)),)),
    Case("HSwish"),
    Case("ChannelShuffle", "channel_shuffle_param { group: 2 }"),
    Case("ChannelShuffle", "channel_shuffle_param { group: 2 shuffle_channel_num: 2 }",
         (("x", (2, 8, 3, 2)),)),
    Case("ChannelShuffle", "channel_shuffle_param { shuffle_pattern: 0 }"),
    Case("ReverseTime", "", two((5, 3, 2), np.array([2, 0, 5])), ("x",), ("t",)),
    Case("ReverseTime", "reverse_time_param { copy_remaining: true }",
         two((5, 3, 2), np.array([2, 1, 5])), ("x",), ("t",)),
    Case("ContinuationIndicator",
         "continuation_indicator_param { time_step: 3 batch_size: 2 }", gradient=()),
    Case("Upsample", "upsample_param { scale: 3 }"),
    Case("Upsample", "upsample_param { scale: 2 }",
         two((2, 3, 2, 2), lambda r: np.stack([r.permutation(16)[:4] for _ in range(6)])
             .reshape(2, 3, 2, 2)), ("x",), ("t",)),
    Case("ReLU6", inputs=(("x", lambda r: 6 * r.randn(*MAP)),)),
    Case("ShuffleChannel", "shuffle_channel_param { group: 2 }"),
    Case("PixelShuffle", "pixelshuffle_param { upscale_factor: 2 }"),
    Case("Reorg", "reorg_param { stride: 2 }", (("x", (2, 8, 4, 6)),)),
    Case("Reorg", "reorg_param { stride: 2 reverse: true }", (("x", (2, 8, 4, 6)),)),
    Case("Axpy", "", two((2, 4, 1, 1), MAP, MAP), ("x", "y", "z"), ("t",)),
    conv("num_output: 4 kernel_size: 3 pad: 1 stride: 2", "ConvolutionDepthwise"),
    conv("num_output: 4 group: 4 kernel_size: 3 pad: 1 stride: 1", "DepthwiseConvolution"),
    Case("ROIPooling", "roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.125 }",
         two(distinct(*MAP), _ROIS), ("x",), ("t",)),
    Case("PSROIPooling", "psroi_pooling_param { output_dim: 2 group_size: 3 spatial_scale: 0.125 }",
         two((2, 18, 7, 6), _ROIS), ("x",), ("t",)),
    Case("ROIPooling", "roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 }",
         two(distinct(1, 1, 60, 64), _WHOLE_ROIS), ("x",), ("t",)),
    Case("PSROIPooling", "psroi_pooling_param { output_dim: 1 group_size: 7 "
         "spatial_scale: 0.0625 }", two((1, 49, 60, 64), _WHOLE_ROIS), ("x",), ("t",)),
    Case("Proposal", "proposal_param { feat_stride: 8 base_size: 8 min_size: 4 nms_thresh: 0.6 "
         "pre_nms_topn: 60 post_nms_topn: 9 ratio: [0.5, 1, 2] scale: [1, 3] }",
         two((2, 12, 5, 6), lambda r: 0.3 * r.randn(2, 24, 5, 6), np.array([[40, 48, 1.5]])),
         (), ("t", "s")),
    Case("Proposal", "proposal_param { feat_stride: 8 base_size: 8 ratio: 1 scale: 2 }",
         two((1, 2, 4, 4), lambda r: 0.3 * r.randn(1, 4, 4, 4), np.array([[32, 30, 1, 2]])),
         (), ("t",)),
    loss("SmoothL1Loss", MAP, MAP, gradient=("x", "y"), tops=("t",)),
    Case("SmoothL1Loss", "", two(MAP, MAP, shares(*MAP)), ("x", "y"), ("t",)),
    Case("SmoothL1Loss", "smooth_l1_loss_param { sigma: 3 }",
         two(MAP, MAP, shares(*MAP), shares(*MAP)), ("x", "y"), ("t",)),
]  # fmt: skip
FORK_LOSSES = [
    loss("L1Loss", MAP, MAP, gradient=("x", "y")),
    loss("L1Loss", MAP, MAP, "l1_loss_param { plateau: 0.3 }", ("x", "y")),
    loss("L1Loss", MAP, MAP, "l1_loss_param { l2_per_location: true plateau: 1.5 "
         "l2_prescale_by_channels: true normalize_by_num_entries: true }", ("x", "y")),
    Case("L1Loss", tops=("t",)),
    Case("TripletLoss", "triplet_loss_param { margin: 2 }", two((6, 3), (6, 3), (6, 3)),
         ("x", "y", "z"), ("t",)),
    loss("FocalLoss", (6, 5), labels((6,), 5)),
    loss("FocalLoss", *_MAPS, "focal_loss_param { alpha: 0.5 gamma: 1.5 } "
         "loss_param { ignore_label: 1 }"),
    loss("FocalLoss", (6, 5), labels((6,), 5), "focal_loss_param { type: ONEADDP }",
         tops=("t", "p")),
    loss("FocalLoss", (6, 5), labels((6,), 5), 'dialect: "happynear"'),
    loss("CenterLoss", (6, 5), labels((6,), 4), "center_loss_param { num_output: 4 "
         'center_filler { type: "gaussian" } }'),
    loss("SmoothL1LossOHEM", MAP, MAP, gradient=("x", "y"), tops=("t", "each")),
    Case("SmoothL1LossOHEM", "loss_param { normalization: BATCH_SIZE }",
         two(MAP, MAP, shares(*MAP)), ("x", "y"), ("t",)),
    loss("SoftmaxWithLossOHEM", *_MAPS, "loss_param { ignore_label: 2 }",
         tops=("t", "p", "each")),
]  # fmt: skip


def priors(random):
    """(1, 2, 4 x 12): boxes of several sizes, then variances."""
    low = random.uniform(0, 0.6, (12, 2))
    boxes = np.concatenate([low, low + random.uniform(0.1, 0.4, (12, 2))], 1)
    return np.stack([boxes.ravel(), np.tile([0.1, 0.1, 0.2, 0.2], 12)])[None]


def _detections(text, offsets=(2, 48)):
    """Of 12 priors and 3 classes, in 2 images."""
    text = f"detection_output_param {{ num_classes: 3 {text} }}"
    inputs = two(offsets, lambda r: r.uniform(0, 1, (2, 36)), priors)
    return Case("DetectionOutput", text, inputs, (), ("t",))


_ENDS = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 1], [1, 0, 1]])
_SAID = np.array([[1, 2, 3], [1, 0, -1], [3, -1, -1]])
FORK_OTHERS = [
    _detections("nms_param { nms_threshold: 0.45 top_k: 9 } code_type: CENTER_SIZE "
                "keep_top_k: 7 confidence_threshold: 0.2"),
    _detections("share_location: false background_label_id: 1", (2, 144)),
    _detections("code_type: CORNER_SIZE variance_encoded_in_target: true "
                "nms_param { nms_threshold: 0.8 eta: 0.7 }"),
    _detections("confidence_threshold: 2"),
    Case("CTCLoss", "ctc_loss_param { preprocess_collapse_repeated: true }",
         two((6, 3, 5), _ENDS, _SAID), ("x",), ("t",)),
    Case("CTCLoss", "ctc_loss_param { blank_index: 4 }", two((6, 3, 5), _ENDS, _SAID), ("x",),
         ("t",)),
    loss("CtcLoss", (6, 3, 5), np.array([[1, 2, 0], [3, 3, 4], [0, 0, 0]]),
         "ctc_loss_param { time_step: 6 alphabet_size: 5 }"),
    loss("WarpCTCLoss", (4, 3, 5), np.array([[1, 2, 0], [3, 3, 3], [4, 0, 0]])),
    Case("SpatialTransformer", "", two(MAP, lambda r: 0.7 * r.randn(2, 6)), ("x", "y"), ("t",)),
    Case("SpatialTransformer", "st_param { output_H: 5 output_W: 4 theta_1_2: 0.1 theta_2_1: 0 }",
         two(MAP, lambda r: 0.7 * r.randn(2, 4)), ("x", "y"), ("t",)),
    Case("Correlation", "correlation_param { pad: 3 kernel_size: 3 max_displacement: 2 stride_2: 2 "
         "}", two((2, 3, 7, 8), (2, 3, 7, 8)), ("x", "y"), ("t",)),
    Case("Correlation", "correlation_param { pad: 2 kernel_size: 1 max_displacement: 2 stride_1: 2 "
         "correlation_type: SUBTRACT }", two((2, 3, 7, 8), (2, 3, 7, 8)), ("x", "y"), ("t",)),
    Case("Unpooling", "unpooling_param { kernel_size: 2 stride: 2 unpool_size: 7 }",
         (("x", SMALL),)),
    Case("Unpooling", "unpooling_param { kernel_size: 2 stride: 2 unpool_h: 6 unpool_w: 8 }",
         two((2, 3, 2, 2), lambda r: np.stack([r.permutation(48)[:4] for _ in range(6)])
             .reshape(2, 3, 2, 2)), ("x",), ("t",)),
    Case("Unpooling", "unpooling_param { unpool: AVE kernel_size: 3 stride: 2 unpool_size: 8 }",
         (("x", SMALL),)),
    Case("Unpooling", "unpooling_param { unpool: TILE kernel_h: 2 kernel_w: 3 stride: 2 "
         "unpool_size: 6 }", (("x", SMALL),)),
]  # fmt: skip
CASES = [*WINDOWS, *DENSE, *POINTWISE, *SHAPES, *LOSSES, *RECURRENT, *ATTENTION]
CASES += [*FORKS, *FORK_LOSSES, *FORK_OTHERS]
