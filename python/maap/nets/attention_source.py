"""Where the attention of a rewrite net comes from: settings ``attention``, ``attention_layer``.

    mean        the mean over the channels of the map F of a layer (the paper)
    scaled_mean the same, divided by its greatest value: sigma(8) and sigma(40) are nearly equal,
                and the mean of features that were trained on raw pixels may be as large
    cam         the map of one class, which the classifier averages
                (Zhou et al. 2016, "Learning deep features for discriminative localization")
    grad_cam    the channels of F, each weighted by the mean of the gradient of one class's score
                (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2)

With ``mean``, a rewrite net ends in an Elimination layer that looks at F. With the others, it is
the whole deploy net and an Elimination layer that looks at an input of its own, the class map (of
``scaled_mean``, one map for all classes):

    layer { name: "class_map" type: "Input" top: "class_map"
            input_param { shape { dim: 16 dim: 1 dim: 13 dim: 13 } }
            python_param { param_str: "attention: GRAD_CAM after: relu5" } }

So the file says how its regions are found, and whoever finds regions reads it there
(`maap.attention.class_net`).
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Optional

from maap.config.check import check_attention
from maap.config.fields import TrainConfig
from maap.errors import MaapError, NotForNet
from maap.nets import class_maps, graph
from maap.nets.attention_layers import REWRITE_TOPS, elimination_of, with_elimination
from maap.nets.placement import Route, named
from maap.nets.shapes import Shape, shapes_of
from maap.util.schema import LayerParameter, NetParameter, caffe_pb2
from maap.util.text import nearest

CLASS_MAP = "class_map"
_NOTE = re.compile(r"attention: (\w+)(?: after: (.*))?")


@dataclass(frozen=True)
class AttentionSource:
    """What the Elimination layer looks at. layer: the net folder's where it is None."""

    kind: str = "mean"
    layer: Optional[str] = None

    @classmethod
    def of(cls, config: TrainConfig) -> "AttentionSource":
        """That of a training."""
        return cls(config.attention, config.attention_layer)

    @property
    def usual(self) -> bool:
        """Whether it is the paper's, at the place that the net folder's rewrite net has."""
        return self == AttentionSource()

    @property
    def name(self) -> str:
        """Its kind, for people: Grad-CAM."""
        names = {"mean": "the mean", "scaled_mean": "the scaled mean", "cam": "CAM"}
        return names.get(self.kind, "Grad-CAM")

    @property
    def title(self) -> str:
        """For people: Grad-CAM of relu5; nothing for the usual one."""
        if self.usual:
            return ""
        return f"{self.name} of {self.layer}" if self.layer else self.name


class Scorer(NamedTuple):
    """The layers from the images to the scores (N,K) or (N,K,1,1), the blob of the scores, and
    the name of the layer whose outputs are the classes."""

    path: list[LayerParameter]
    scores: str
    classifier: str


class ClassMap(NamedTuple):
    """What a rewrite net says of its class map. kind: scaled_mean, cam or grad_cam; after: the
    layer whose map scaled_mean and grad_cam take; blob: the input of the Elimination layer."""

    kind: str
    after: Optional[str]
    blob: str

    @property
    def source(self) -> AttentionSource:
        """The same as settings."""
        return AttentionSource(self.kind, self.after)


def attended(rewrite: NetParameter, deploy: NetParameter, source: AttentionSource) -> NetParameter:
    """The rewrite net whose attention comes from ``source``; both nets are resolved and not
    changed.

    It takes the parameters of its Elimination layer from ``rewrite``, and the place, where none is
    named, if that is a rewrite net of the net folder. Raises NotForNet: no such layer, one without
    a map, cam for a net whose classifier averages no map.
    """
    if source.usual:
        return rewrite
    check_attention(source.kind, source.layer)
    scorer, shapes = scorer_of(deploy), shapes_of(deploy)
    eliminate = elimination_of(rewrite)
    if source.kind == "cam":
        return _with_class_map(deploy, eliminate, "CAM", _averaged_shape(deploy, scorer, shapes))
    after, shape = _place(rewrite, deploy, scorer, shapes, source.layer)
    if source.kind != "mean":
        note = f"{source.kind.upper()} after: {after}"
        return _with_class_map(deploy, eliminate, note, shape)
    net = caffe_pb2.NetParameter(name=rewrite.name)
    taken = [layer.name for layer in scorer.path]
    name = graph.unused_name(f"eliminate_{after}", taken)
    net.layer.extend(with_elimination(scorer.path, after, name))
    made = copy.deepcopy(eliminate)
    made.name, made.bottom[0] = name, net.layer[-1].bottom[0]
    net.layer[-1].CopyFrom(made)
    return net


def layer_looked_at(rewrite: NetParameter) -> str:
    """The layer that finishes the map which the Elimination layer of a rewrite net looks at."""
    end = elimination_of(rewrite)
    blob = end.bottom[0]
    makers = [layer.name for layer in rewrite.layer if blob in layer.top and layer != end]
    if not makers:
        raise MaapError(f"net {rewrite.name}: no layer makes the blob {blob}")
    return makers[-1]


def class_map_of(rewrite: NetParameter) -> Optional[ClassMap]:
    """What a rewrite net says of its class map; None where its attention is a mean."""
    for layer in rewrite.layer:
        note = _NOTE.fullmatch(layer.python_param.param_str) if layer.type == "Input" else None
        if note is not None:
            return ClassMap(note.group(1).lower(), note.group(2), layer.top[0])
    return None


def scorer_of(net: NetParameter) -> Scorer:
    """How the scores of a deploy net, or of a rewrite net with a class map, are computed.

    Raises NotForNet for a net without a classifier."""
    layers = list(net.layer)
    found = graph.classifiers(net)
    if not found or found[-1].layer is None:
        raise NotForNet(f"net {net.name}: no Softmax behind a classifier, so there are no scores")
    end, scores, classifier = found[-1]
    path = graph.ancestors(layers[: layers.index(end)], scores)
    return Scorer(path, scores, classifier.name)


def check_layer(deploy: NetParameter, name: str) -> None:
    """Raises NotForNet, with the nearest names, where a deploy net has no such layer."""
    names = [layer.name for layer in deploy.layer]
    if name not in names:
        raise NotForNet(f"net {deploy.name}: no layer {name!r}", nearest(name, names))


# ---- where ---------------------------------------------------------------------------------------


def _place(
    rewrite: NetParameter,
    deploy: NetParameter,
    scorer: Scorer,
    shapes: dict[str, Shape],
    name: Optional[str],
) -> tuple[str, Shape]:
    """The layer that finishes the map to look at, and the map's (C, h, w)."""
    layers = [layer for layer in scorer.path if not graph.is_source(layer)]
    if name in [layer.name for layer in scorer.path if graph.is_source(layer)]:
        raise NotForNet(
            f"net {deploy.name}: layer {name} brings the images in", "choose a layer behind it"
        )
    if name is not None:
        others = [layer.name for layer in deploy.layer]
        route = Route(f"net {deploy.name}", layers, scorer.classifier, others)
        place = named(route, shapes, name)
        return place.after, place.shape
    looked_at = layer_looked_at(rewrite)
    here = {layer.name: layer for layer in layers}
    if looked_at not in here:
        raise NotForNet(
            f"net {deploy.name}: the layer that its rewrite net looks at, {looked_at}, does not "
            "lead to the scores",
            "name one with --attention-layer",
        )
    return looked_at, shapes[here[looked_at].top[0]][1:]


def _averaged_shape(deploy: NetParameter, scorer: Scorer, shapes: dict[str, Shape]) -> Shape:
    found = class_maps.averaged(scorer.path, scorer.scores, shapes)
    if found is None:
        raise NotForNet(
            f"net {deploy.name}: its scores are no linear function of the mean of a map, so there "
            "is no class activation map",
            "give --attention grad_cam, which works for any net",
        )
    return shapes[found.blob][1:]


# ---- a class map as what is looked at ------------------------------------------------------------


def _with_class_map(
    deploy: NetParameter, eliminate: LayerParameter, note: str, shape: Sequence[int]
) -> NetParameter:
    """The deploy net, an input for the class map, and the Elimination layer that looks at it."""
    net = caffe_pb2.NetParameter(name=deploy.name)
    net.layer.extend(deploy.layer)
    taken = [name for layer in deploy.layer for name in (layer.name, *layer.top)]
    for top in REWRITE_TOPS:
        graph.rename_blob(net.layer, top, graph.unused_name(f"{top}_map", taken))
    batch = next(layer for layer in deploy.layer if layer.type == "Input").input_param.shape[0]
    name = graph.unused_name(CLASS_MAP, taken)
    source = net.layer.add(name=name, type="Input", top=[name])
    source.input_param.shape.add(dim=[batch.dim[0], 1, *shape[1:]])
    source.python_param.param_str = f"attention: {note}"
    end = net.layer.add()
    end.CopyFrom(eliminate)
    end.bottom[0] = name
    if end.name in taken:
        end.name = graph.unused_name("eliminate", taken)
    return net
