"""What maap knows of each type of layer: the one table that the questions about nets go to.

A row answers, for every layer of a type: what becomes of the height and width of a map, how many
blobs of weights or statistics it holds, whether it works on each value alone, whether it finishes
the map of a convolution, whether it leaves classes where they are, whether its gradient reads its
own output, whether something follows it. To teach maap a type, add its row here; only a map size
that follows a new rule needs a function beside it, in `map_sizes`.

A type without a row is somebody's own. Where a question has a safe answer, it gets that (not
elementwise; its gradient may read its output). The number of its blobs and its map's size have
none, so asking raises NotForNet with the layer's name and type.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Union

from maap.errors import NotForNet
from maap.util.schema import ConvolutionParameter, InnerProductParameter, LayerParameter, caffe_pb2
from maap.util.text import nearest

Blobs = Union[int, Callable[[LayerParameter], int], None]
Rule = Callable[[LayerParameter], bool]


class Size(Enum):
    """How the height and width of a layer's tops follow from its bottoms (see `map_sizes`)."""

    SAME = "those of the first bottom"
    SECOND = "those of the second bottom"
    EACH = "each top has those of the bottom of its number"
    POINT = "no map: one row of numbers for an image, for a bottom of any size"
    WINDOWS = "as many as windows fit, rounded down (convolution_param)"
    POOLING = "as many as windows fit, rounded up (pooling_param), or 1 x 1"
    DECONVOLUTION = "those that a convolution would make the bottom of"
    CROP = "those of the second bottom, from an axis on"
    CONCAT = "summed along its axis, if that is one of the two"
    SLICE = "divided along its axis, if that is one of the two"
    TILE = "repeated along its axis, if that is one of the two"
    RESIZED = "larger or smaller by a factor, or a size, of its own parameters (`resized`)"
    RESHAPE = "the first bottom's, if the two axes stay or are flattened"
    ARGMAX = "no map, or with axis: 1 the first bottom's"
    REGIONS = "the bins of each region, as many as the layer's parameters say"
    GRID = "st_param's output_H and output_W, or those of the first bottom"
    DISPLACED = "as many displaced windows as fit, rounded up (correlation_param)"
    TRANSPOSE = "the first bottom's, if its two axes stay or are swapped"
    IMAGES = "the second bottom's for the first and third top (Elimination)"
    SOURCE = "given by the layer's own parameters"
    UNKNOWN = "only the layer itself knows"


def _always(_: LayerParameter) -> bool:
    return True


def _never(_: LayerParameter) -> bool:
    return False


@dataclass(frozen=True)
class LayerType:
    """What is known of a type of layer."""

    size: Size
    # Blobs of weights or statistics; None: only the layer itself knows.
    blobs: Blobs = 0
    # Whether it makes each value of its map of that value, perhaps normalised. Dropout does not
    # count: it is not there while testing.
    elementwise: bool = False
    # Whether it is a normalisation or an activation that belongs to the convolution before it.
    finishes: bool = False
    # Whether it leaves the classes on the axis where the layer before it put them.
    keeps_classes: bool = False
    # Whether the blob it makes is a new view of the image, which `blocks` may show.
    makes_map: bool = False
    # Whether its outputs can be the classes; `learnt` finds its num_output and its fillers.
    classifies: bool = False
    # Whether its gradient does without the values it wrote, or needs their signs alone, which
    # Enhancement keeps. False: it reads them, or that is not known.
    top_unread: Rule = _never
    # Whether it is where a net ends: a loss, a measure, an output.
    ends: bool = False
    # Whether two layers may share its blobs by name (`online`).
    shares: bool = True
    # Whether it is one of the two layers that this project adds.
    attention: bool = False


# ---- rules that depend on a layer's parameters --------------------------------------------------


def in_place(layer: LayerParameter) -> bool:
    """Whether a layer overwrites the blob it reads."""
    return bool(layer.top and layer.bottom) and layer.top[0] == layer.bottom[0]


def _convolution_blobs(layer: LayerParameter) -> int:
    return 1 + int(layer.convolution_param.bias_term)


def _scale_blobs(layer: LayerParameter) -> int:
    return int(len(layer.bottom) == 1) + int(layer.scale_param.bias_term)


def _batch_norm_blobs(layer: LayerParameter) -> int:
    """3, or 5 with the scale and bias of NVIDIA's fork, whose fields BVLC Caffe lacks."""
    param = layer.batch_norm_param
    set_fields = {field.name for field, _ in param.ListFields()}
    scaled = getattr(param, "scale_bias", False) or getattr(layer, "dialect", "") == "nv015"
    return 5 if scaled or set_fields & {"scale_filler", "bias_filler"} else 3


def _normalize_blobs(layer: LayerParameter) -> int:
    """SSD's has a scale; happynear's, with its own parameters, none."""
    if layer.dialect:
        return int(layer.dialect != "happynear")
    return int(layer.HasField("norm_param") or not layer.HasField("normalize_param"))


def _bn_blobs(layer: LayerParameter) -> int:
    """2 for SegNet's BN, 4 for PSPNet's, which is also what the engine takes a bare BN for, unless
    the rest of the net is SegNet's."""
    if layer.dialect:
        return 2 if layer.dialect in ("segnet", "enet", "deconvnet", "synopsys") else 4
    param = layer.bn_param
    fields = ("scale_filler", "shift_filler", "bn_mode")
    segnet = any(param.HasField(field) for field in fields) or len(layer.top) > 1
    return 2 if segnet or len(layer.blobs) == 2 else 4


def _recurrent_blobs(hidden: int, plain: int) -> Callable[[LayerParameter], int]:
    """``plain`` blobs, and one more for a static input. That is a third bottom; the ``hidden``
    states, which are bottoms with expose_hidden, do not count."""

    def count(layer: LayerParameter) -> int:
        states = hidden if layer.recurrent_param.expose_hidden else 0
        return plain + int(len(layer.bottom) - states > 2)

    return count


def _sum_or_max(layer: LayerParameter) -> bool:
    return layer.eltwise_param.operation != caffe_pb2.EltwiseParameter.PROD


def _out_of_place(layer: LayerParameter) -> bool:
    return not in_place(layer)


def _keeps_signs(layer: LayerParameter) -> bool:
    return layer.relu_param.negative_slope >= 0


# ---- the table ----------------------------------------------------------------------------------


def _end(size: Size = Size.POINT) -> LayerType:
    return LayerType(size, ends=True)


_ELEMENTWISE = LayerType(Size.SAME, elementwise=True, keeps_classes=True)
_ACTIVATION = replace(_ELEMENTWISE, finishes=True)

TYPES: dict[str, LayerType] = {
    # Sources
    "AnnotatedData": LayerType(Size.SOURCE),
    "ContinuationIndicator": LayerType(Size.POINT),
    "Data": LayerType(Size.SOURCE),
    "DummyData": LayerType(Size.SOURCE),
    "HDF5Data": LayerType(Size.UNKNOWN),  # as the file has it
    "ImageData": LayerType(Size.SOURCE),
    "Input": LayerType(Size.SOURCE),
    "MemoryData": LayerType(Size.SOURCE),
    "Parameter": LayerType(Size.SOURCE, blobs=1, shares=False),
    "WindowData": LayerType(Size.SOURCE),
    # Each value alone, or normalised
    "AbsVal": _ELEMENTWISE,
    "BNLL": _ACTIVATION,
    "BatchNorm": replace(
        _ACTIVATION, blobs=_batch_norm_blobs, top_unread=in_place
    ),  # in place it keeps a copy
    "Bias": replace(
        _ACTIVATION, blobs=lambda layer: int(len(layer.bottom) == 1), top_unread=_always
    ),
    "Clip": _ACTIVATION,
    "Dropout": LayerType(Size.SAME, keeps_classes=True, top_unread=_always),
    "ELU": _ACTIVATION,
    "Exp": _ELEMENTWISE,
    "Log": _ELEMENTWISE,
    "PReLU": replace(_ACTIVATION, blobs=1, top_unread=_always),
    "Power": _ELEMENTWISE,
    "ReLU": replace(_ACTIVATION, top_unread=_keeps_signs),
    "Scale": replace(_ACTIVATION, blobs=_scale_blobs, top_unread=_always),
    "Sigmoid": _ACTIVATION,
    "Swish": _ACTIVATION,
    "TanH": _ACTIVATION,
    "Threshold": _ELEMENTWISE,
    # Over a neighbourhood or an axis
    "LRN": LayerType(Size.SAME),
    "MVN": LayerType(Size.SAME),
    "Softmax": LayerType(Size.SAME),
    # Weights
    "Convolution": LayerType(
        Size.WINDOWS, blobs=_convolution_blobs, makes_map=True, classifies=True, top_unread=_always
    ),
    "Deconvolution": LayerType(
        Size.DECONVOLUTION, blobs=_convolution_blobs, makes_map=True, top_unread=_always
    ),
    "Embed": LayerType(Size.POINT, blobs=lambda layer: 1 + int(layer.embed_param.bias_term)),
    "InnerProduct": LayerType(
        Size.POINT,
        blobs=lambda layer: 1 + int(layer.inner_product_param.bias_term),
        classifies=True,
        top_unread=_always,
    ),
    "LSTM": LayerType(Size.POINT, blobs=_recurrent_blobs(2, 3), shares=False),
    "LSTMUnit": LayerType(Size.POINT),
    "RNN": LayerType(Size.POINT, blobs=_recurrent_blobs(1, 5), shares=False),
    # Windows
    "Im2col": LayerType(Size.WINDOWS),
    "Pooling": LayerType(Size.POOLING, keeps_classes=True, top_unread=_always),
    "SPP": LayerType(Size.POINT),
    # Several blobs into one, one into several, the same in another form
    "BatchReindex": LayerType(Size.SAME),
    "Concat": LayerType(Size.CONCAT, makes_map=True, top_unread=_always),
    "Crop": LayerType(Size.CROP),
    "Eltwise": LayerType(Size.SAME, makes_map=True, top_unread=_sum_or_max),
    "Filter": LayerType(Size.EACH),
    "Flatten": LayerType(Size.SAME, keeps_classes=True),  # as many points, now in one row
    "Reduction": LayerType(Size.POINT),
    "Reshape": LayerType(Size.RESHAPE, keeps_classes=True),
    "Reverse": LayerType(Size.SAME, top_unread=_always),
    "ReverseTime": LayerType(Size.SAME, top_unread=_always),
    "Slice": LayerType(Size.SLICE),
    "Split": LayerType(Size.SAME, keeps_classes=True),
    "Tile": LayerType(Size.TILE),
    "Transpose": LayerType(Size.TRANSPOSE, top_unread=_always),
    # SSD's
    "DetectionOutput": _end(),
    "MultiBoxLoss": _end(),
    "Normalize": LayerType(Size.SAME, blobs=_normalize_blobs, top_unread=_always),
    "Permute": LayerType(Size.TRANSPOSE, top_unread=_always),
    "PriorBox": LayerType(Size.POINT, top_unread=_always),
    "SmoothL1Loss": _end(),
    # Regions, and places that are computed
    "AttentionCrop": LayerType(Size.RESIZED, top_unread=_always),
    "BoxAnnotatorOHEM": LayerType(Size.SAME, top_unread=_always),
    "Correlation": LayerType(Size.DISPLACED, top_unread=_always),
    "PSROIPooling": LayerType(Size.REGIONS, top_unread=_always),
    "Proposal": LayerType(Size.POINT, top_unread=_always),
    "ROIPooling": LayerType(Size.REGIONS, top_unread=_always),
    "SpatialTransformer": LayerType(Size.GRID, top_unread=_always),
    # Ends
    "Accuracy": _end(),
    "ArgMax": _end(Size.ARGMAX),
    "CTCLoss": _end(),
    "CenterLoss": replace(_end(), blobs=1),
    "ContrastiveLoss": _end(),
    "CtcLoss": _end(),
    "DetectionEvaluate": _end(),
    "EuclideanLoss": _end(),
    "FocalLoss": _end(),
    "HDF5Output": _end(),
    "HingeLoss": _end(),
    "InfogainLoss": _end(),
    "L1Loss": _end(),
    "LabelsequenceAccuracy": _end(),
    "MultinomialLogisticLoss": _end(),
    "ScaleRankLoss": _end(),
    "SigmoidCrossEntropyLoss": _end(),
    "Silence": _end(),
    "SmoothL1LossOHEM": _end(),
    "SoftmaxWithLoss": _end(),
    "SoftmaxWithLossOHEM": _end(),
    "TripletLoss": _end(),
    "WarpCTCLoss": _end(),
    # Other forks': each value alone, or normalised
    "Axpy": LayerType(Size.SECOND, makes_map=True, top_unread=_always),
    "BN": replace(_ACTIVATION, blobs=_bn_blobs, top_unread=_always),  # in place it keeps a copy
    "ChannelShuffle": LayerType(Size.SAME, top_unread=_always),
    "HSwish": replace(_ACTIVATION, top_unread=_always),
    "HardSwish": replace(_ACTIVATION, top_unread=_always),
    "Mish": replace(_ACTIVATION, top_unread=_always),
    "ReLU6": replace(_ACTIVATION, top_unread=_out_of_place),
    "ShuffleChannel": LayerType(Size.SAME, top_unread=_always),
    # Other forks': weights
    "ConvolutionDepthwise": LayerType(
        Size.WINDOWS, blobs=_convolution_blobs, makes_map=True, top_unread=_always
    ),
    "DepthwiseConvolution": LayerType(
        Size.WINDOWS, blobs=_convolution_blobs, makes_map=True, top_unread=_always
    ),
    # Other forks': maps of another size
    "Interp": LayerType(Size.RESIZED, makes_map=True, top_unread=_always),
    "PixelShuffle": LayerType(Size.RESIZED, makes_map=True, top_unread=_always),
    "Reorg": LayerType(Size.RESIZED, makes_map=True, top_unread=_always),
    "Unpooling": LayerType(Size.RESIZED, makes_map=True, top_unread=_always),
    "Upsample": LayerType(Size.RESIZED, makes_map=True, top_unread=_always),
    # This project's own
    "Enhancement": replace(_ELEMENTWISE, attention=True),
    "Elimination": LayerType(Size.IMAGES, attention=True),
    # Somebody's code
    "Python": LayerType(Size.UNKNOWN, blobs=None, shares=False),
}

_OWN = LayerType(Size.UNKNOWN, blobs=None)  # a type without a row


# ---- questions ----------------------------------------------------------------------------------


def of(layer: LayerParameter) -> LayerType:
    """The row of a layer's type; for a type without one, the row that claims nothing."""
    return TYPES.get(layer.type, _OWN)


def blob_count(layer: LayerParameter) -> int:
    """How many blobs of weights or statistics a layer holds.

    Raises NotForNet when only the layer itself knows: Python, or a type of somebody's own.
    """
    blobs = of(layer).blobs
    if blobs is None:
        raise unknown(layer, "how many blobs of weights it holds")
    return blobs(layer) if callable(blobs) else blobs


def learnt(layer: LayerParameter) -> Union[ConvolutionParameter, InnerProductParameter]:
    """The ConvolutionParameter or InnerProductParameter of a layer that `classifies`: both have
    num_output, bias_term and the fillers."""
    return layer.inner_product_param if layer.type == "InnerProduct" else layer.convolution_param


def unknown(layer: LayerParameter, what: str) -> NotForNet:
    """The error for a layer of which maap does not know ``what``."""
    near = "" if layer.type in TYPES else nearest(layer.type, TYPES, "it is not one of BVLC")
    why = f"layer {layer.name}: of type {layer.type}, so maap cannot tell {what}"
    return NotForNet(why, near)
