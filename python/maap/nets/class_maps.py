"""The map of one class, as two questions about a net: which map does its classifier average, and
how is the net cut at a layer so that a gradient can be taken there?

Everything here takes plain LayerParameters from the images to the scores, in the order of the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from maap.nets.shapes import Shape
from maap.util.schema import LayerParameter, NetParameter, PoolingParameter, caffe_pb2

_POINT = (1, 1)
_SAME_VALUES = ("Dropout", "Flatten", "Reshape")  # while testing


@dataclass(frozen=True)
class Averaged:
    """A map F (N,C,h,w) whose mean over the places gives the scores by a linear function.

    classifier: the layer whose weights (K,C) make the K scores of the C means; None: the means are
    the scores. transposed: its weights are (C,K). bias: where the means are the scores, the
    convolution whose bias is in F, if it has one.
    """

    blob: str
    classifier: Optional[str] = None
    transposed: bool = False
    bias: Optional[str] = None


def averaged(
    path: Sequence[LayerParameter], scores: str, shapes: Mapping[str, Shape]
) -> Optional[Averaged]:
    """The map that the classifier averages; None where the scores depend on the places, or on the
    channels in another way than a linear one (hidden layers between)."""
    blob = scores
    classifier: Optional[LayerParameter] = None
    for number in reversed(range(len(path))):
        layer = path[number]
        if blob not in layer.top:
            continue
        if _averages(layer, shapes):
            return _described(path[:number], layer.bottom[0], classifier)
        point = bool(layer.bottom) and _places(shapes[layer.bottom[0]]) == _POINT
        if point and classifier is None and _weighs_channels(layer):
            classifier = layer
        elif not point or layer.type not in _SAME_VALUES:
            return None
        blob = layer.bottom[0]
    return None


def _described(
    before: Sequence[LayerParameter], blob: str, classifier: Optional[LayerParameter]
) -> Averaged:
    if classifier is not None:
        inner = classifier.inner_product_param
        transposed = classifier.type == "InnerProduct" and inner.transpose
        return Averaged(blob, classifier.name, transposed)
    maker = next((layer for layer in reversed(before) if blob in layer.top), None)
    biased = maker is not None and maker.type == "Convolution" and maker.convolution_param.bias_term
    return Averaged(blob, bias=maker.name if biased else None)


def _averages(layer: LayerParameter, shapes: Mapping[str, Shape]) -> bool:
    """Whether a layer makes one number of each channel: the mean of all of it."""
    param = layer.pooling_param
    if layer.type != "Pooling" or param.pool != PoolingParameter.AVE:
        return False
    before = _places(shapes[layer.bottom[0]])
    if param.global_pooling:
        return True
    kernel = (param.kernel_h or param.kernel_size, param.kernel_w or param.kernel_size)
    padded = param.pad or param.pad_h or param.pad_w
    return kernel == before and not padded and _places(shapes[layer.top[0]]) == _POINT


def _weighs_channels(layer: LayerParameter) -> bool:
    """Whether a layer is a matrix that is applied to the channels of a 1x1 map."""
    if layer.type != "Convolution":
        return layer.type == "InnerProduct"
    param = layer.convolution_param
    sides = [*param.kernel_size, param.kernel_h, param.kernel_w]
    return param.group == 1 and max(sides) == 1


def _places(shape: Shape) -> tuple[int, ...]:
    return tuple(shape[2:]) or _POINT


# ---- a net in two parts -------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A net up to a layer and what comes after it. features: the blob F of that layer; crossing:
    the blobs that the second part reads from the first, F among them."""

    trunk: list[LayerParameter]
    head: list[LayerParameter]
    features: str
    crossing: list[str]


def cut_after(path: Sequence[LayerParameter], after: str) -> Cut:
    """The layers of ``path`` in two parts, the first of which ends with the layer ``after``."""
    at = [layer.name for layer in path].index(after) + 1
    trunk, head = list(path[:at]), list(path[at:])
    made: set[str] = set()
    crossing: list[str] = []
    for layer in head:
        crossing += [blob for blob in layer.bottom if blob not in {*made, *crossing}]
        made |= set(layer.top)
    return Cut(trunk, head, trunk[-1].top[0], list(dict.fromkeys(crossing)))


def head_net(cut: Cut, shapes: Mapping[str, Sequence[int]], name: str) -> NetParameter:
    """The second part as a net that runs backward to its inputs, the crossing blobs, of these
    shapes."""
    net = caffe_pb2.NetParameter(name=name, force_backward=True)
    for blob in cut.crossing:  # a layer of the blob's name may have weights in the file
        source = net.layer.add(name=f"input of {blob}", type="Input", top=[blob])
        source.input_param.shape.add(dim=list(shapes[blob]))
    net.layer.extend(cut.head)
    return net


def net_of(path: Sequence[LayerParameter], name: str) -> NetParameter:
    """Layers as a net."""
    net = caffe_pb2.NetParameter(name=name)
    net.layer.extend(path)
    return net
