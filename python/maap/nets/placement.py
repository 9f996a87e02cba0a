"""Where the two attention layers go in a network.

Named, by a layer:

- one that makes a blob (a convolution): the attention layer comes behind the layers that finish
  that blob in place (ReLU, BatchNorm, Scale ...; a Dropout is not waited for);
- one that works in place: right behind it.

Not named: Enhancement behind the first, Elimination behind the last map of `ROOMY` pixels a side
or more that *every* path from the images to the classifier passes through. In a Fire or Inception
module that is the Concat behind the branches, in a residual net the sum behind a block: attention
to one branch would leave the others as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Optional

from maap.errors import MaapError, NotForNet
from maap.nets import graph, layer_types
from maap.nets.imported import Network
from maap.nets.shapes import Shape
from maap.util.schema import LayerParameter
from maap.util.text import nearest

ROOMY = 13  # pixels a side: the smallest map the paper takes attention from, AlexNet's conv5


@dataclass(frozen=True)
class Place:
    """Where an attention layer goes: behind the layer ``after``, whose blob is the map."""

    after: str
    shape: Shape  # C, h, w


class Recommendation(NamedTuple):
    """The two places that are taken when none is named."""

    enhance: Place
    eliminate: Place


@dataclass(frozen=True)
class Plan:
    """A network, the shapes of its blobs for one image, and the two places."""

    network: Network
    shapes: dict[str, Shape]  # blob -> shape
    enhance: Place
    eliminate: Place

    def layer_names(self) -> tuple[str, str]:
        """The names of the Enhancement and of the Elimination layer."""
        taken = [layer.name for layer in (*self.network.train, *self.network.path)]
        return (
            graph.unused_name(f"enhance_{self.enhance.after}", taken),
            graph.unused_name(f"eliminate_{self.eliminate.after}", taken),
        )


def plan(
    network: Network,
    shapes: dict[str, Shape],
    enhance_after: Optional[str] = None,
    eliminate_after: Optional[str] = None,
) -> Plan:
    """Where the two layers go; what is not named is recommended.

    Raises MaapError: no such layer (the nearest is named), one that does not lead to the scores,
    one whose output is no map or a single point, nothing to recommend.
    """
    recommended = recommend(network, shapes)
    places = []
    for number, name in enumerate((enhance_after, eliminate_after)):
        if name is not None:
            places.append(_named(network, shapes, name))
        elif recommended is not None:
            places.append(recommended[number])
        else:
            raise MaapError(f"{network.file}: {nothing_to_recommend(network, shapes)}")
    return Plan(network, shapes, *places)


# ---- what is recommended ------------------------------------------------------------------------


def recommend(network: Network, shapes: dict[str, Shape]) -> Optional[Recommendation]:
    """The first and the last roomy map that every path passes through, each with the activation
    that finishes it; None where there is no such map."""
    layers = features(network)
    found = [
        Place(end.name, shapes[end.top[0]][1:])
        for at, end in ((at, _follow(layers, at)) for at in _roomy(network, shapes))
        if passed_by_all(network.path, at)
    ]
    return Recommendation(found[0], found[-1]) if found else None


def nothing_to_recommend(network: Network, shapes: dict[str, Shape]) -> str:
    """Why `recommend` gives None, and what to do."""
    largest = max((min(shape[1:]) for _, shape in maps(network, shapes)), default=0)
    if _roomy(network, shapes):
        why = f"no map of {ROOMY} x {ROOMY} or more lies on every path to {network.classifier}"
    else:
        why = f"no convolution has a map of {ROOMY} x {ROOMY} or more (the largest map: {largest})"
    return (
        f"{why}, so none is recommended; name layers with --enhance-after and --eliminate-after "
        "(--dry-run lists them)"
    )


def maps(network: Network, shapes: dict[str, Shape]) -> list[tuple[LayerParameter, Shape]]:
    """(layer, (C, h, w)) of the layers before the classifier that make a map of several points."""
    found: list[tuple[LayerParameter, Shape]] = []
    for layer in features(network):
        shape: Shape = shapes[layer.top[0]] if len(layer.top) == 1 else ()
        if len(shape) == 4 and shape[2] * shape[3] > 1:
            found.append((layer, shape[1:]))
    return found


def passed_by_all(layers: Sequence[LayerParameter], at: int) -> bool:
    """Whether every path from the images (`data`) to the end of ``layers`` passes layer ``at``.

    ``layers`` all lead to the end and stand in the order in which they run. So layer ``at`` is
    passed by all paths when no later layer reads a blob that was made of the images before it.
    """
    before = {"data"}  # blobs made of the images, as they are before layer `at`
    for layer in layers[:at]:
        if before & set(layer.bottom):
            before |= set(layer.top)
        else:
            before -= set(layer.top)
    if not before & set(layers[at].bottom):
        return False
    old = before - set(layers[at].top)
    for layer in layers[at + 1 :]:
        if old & set(layer.bottom):
            return False
        old -= set(layer.top)
    return True


def features(network: Network) -> list[LayerParameter]:
    """The layers before the classifier's."""
    names = [layer.name for layer in network.path]
    return network.path[: names.index(network.classifier)]


def _roomy(network: Network, shapes: dict[str, Shape]) -> list[int]:
    """The numbers of the layers that make a map of `ROOMY` pixels a side or more."""
    roomy = [layer.name for layer, shape in maps(network, shapes) if min(shape[1:]) >= ROOMY]
    return [
        number
        for number, layer in enumerate(features(network))
        if layer.name in roomy and layer_types.of(layer).makes_map
    ]


def _follow(layers: Sequence[LayerParameter], at: int) -> LayerParameter:
    """The layer that finishes the map of layer ``at``: behind its in-place layers, and behind an
    activation or normalisation that is all that reads it."""
    at = finished(layers, at)
    while True:
        blob = layers[at].top[0]
        readers = [n for n in range(at + 1, len(layers)) if blob in layers[n].bottom]
        if len(readers) != 1 or not layer_types.of(layers[readers[0]]).finishes:
            return layers[at]
        at = finished(layers, readers[0])


def finished(layers: Sequence[LayerParameter], at: int) -> int:
    """Where the blob that layer ``at`` makes is finished: the last of the layers that change it in
    place directly afterwards. A layer that is in place itself stays, and Dropout is left out."""
    if graph.in_place(layers[at]):
        return at
    blob = layers[at].top[0]
    for number in range(at + 1, len(layers)):
        layer = layers[number]
        if blob not in layer.bottom:
            continue
        if not graph.in_place(layer) or layer.type == "Dropout":
            break
        at = number
    return at


# ---- what is named ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Route:
    """The layers from the images to the scores, among which one is named.

    ``where``: what errors begin with. ``classifier``: the name of the layer whose outputs are the
    classes. ``others``: names of layers of the net that do not lead to it. ``listed``: where a
    person finds the names.
    """

    where: str
    layers: Sequence[LayerParameter]
    classifier: str
    others: Sequence[str] = ()
    listed: str = ""


def _named(network: Network, shapes: dict[str, Shape], name: str) -> Place:
    others = [layer.name for layer in network.train]
    listed = " (--dry-run lists them)"
    where = str(network.file)
    return named(Route(where, network.path, network.classifier, others, listed), shapes, name)


def named(route: Route, shapes: dict[str, Shape], name: str) -> Place:
    """The place behind the layer of that name, and behind those that finish its map in place.

    Raises NotForNet: no such layer (the nearest is named), one that does not lead to the scores or
    belongs to the classifier, one whose output is no map or a single point.
    """
    layers, where = route.layers, route.where
    names = [layer.name for layer in layers]
    if name not in names:
        if name in route.others:
            raise NotForNet(
                f"{where}: layer {name} does not lead to the scores of the main classifier, "
                f"{route.classifier}",
                f"choose one that does{route.listed}",
            )
        raise NotForNet(f"{where}: no layer {name!r}", nearest(name, names))
    layer = layers[names.index(name)]
    if names.index(name) >= names.index(route.classifier):
        raise NotForNet(
            f"{where}: layer {name} belongs to the classifier ({route.classifier})",
            "its channels are the classes, so choose a layer before it",
        )
    if len(layer.top) != 1:
        raise NotForNet(
            f"{where}: layer {name} has {len(layer.top)} tops", "choose one with a single top"
        )
    shape = shapes[layer.top[0]]
    if len(shape) != 4:
        raise NotForNet(
            f"{where}: layer {name} gives {' x '.join(map(str, shape[1:]))} numbers for an "
            "image, no map",
            "attention needs places to choose from: take a layer before it",
        )
    if shape[2] * shape[3] == 1:
        raise NotForNet(
            f"{where}: the map of layer {name} is 1x1: with a single point there is nothing "
            "to attend to",
            f"take a layer before the map is pooled to a point{route.listed}",
        )
    after = layers[finished(layers, names.index(name))]
    return Place(after.name, shape[1:])
