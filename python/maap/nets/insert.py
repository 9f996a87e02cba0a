"""``maap insert``: the two attention layers for any Caffe classification network.

From a train_val or deploy prototxt it writes a net folder like prototxt/alexnet: train_val, deploy,
rewrite and the solvers, each with and without Enhancement (`write.py`), which
``maap train --net-dir`` trains.

Where a layer goes. ``after`` names a layer:

- one that makes a blob (a convolution): the attention layer comes behind the layers that finish
  that blob in place (ReLU, BatchNorm, Scale ...; a Dropout is not waited for);
- one that works in place: right behind it.

Enhancement takes the blob over: everything later reads F'. It works in place where that is safe;
where a later layer changes the same blob in place (Enhancement's gradient recovers F from F'), or
an earlier one needs its own output for its gradient (Sigmoid, LRN ...), F' is a blob of its own.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from maap.errors import MaapError
from maap.nets import graph, layer_types
from maap.nets.imported import Network, read_network
from maap.util.schema import caffe_pb2
from maap.util.text import nearest

ROOMY = 13  # pixels a side: the smallest map the paper takes attention from, AlexNet's conv5


@dataclass(frozen=True)
class Place:
    """Where an attention layer goes: behind the layer ``after``, whose blob is the map."""

    after: str
    shape: tuple[int, int, int]  # C, h, w


@dataclass(frozen=True)
class Plan:
    """A network, the shapes of its blobs for one image, and the two places."""

    network: Network
    shapes: dict[str, tuple[int, ...]]  # blob -> shape
    enhance: Place
    eliminate: Place
    recommended: Optional[tuple[Place, Place]]  # None: no convolution has a roomy map

    def layer_names(self) -> tuple[str, str]:
        """The names of the Enhancement and of the Elimination layer."""
        taken = [layer.name for layer in (*self.network.train, *self.network.path)]
        return (
            graph.unused_name(f"enhance_{self.enhance.after}", taken),
            graph.unused_name(f"eliminate_{self.eliminate.after}", taken),
        )


# ---- from outside -------------------------------------------------------------------------------


def insert(file: Path, settings: dict[str, Any], debug: bool = False) -> list[str]:
    """Write the net folder of ``file`` (or, with ``dry_run``, nothing); lines that say what is in
    it.

    ``settings``: enhance_after, eliminate_after (layer names), dry_run, out (folder), input_size
    (pixels), mean (B, G, R), solver (file), keep_classifier; all may be missing. The work happens
    in a child process. Raises MaapError.
    """
    from maap.host.supervise import call

    return call("maap.nets.insert:work", str(file), dict(settings), threads=1, debug=debug)


def work(file: str, settings: dict[str, Any]) -> list[str]:
    """`insert`, in this process."""
    network = read_network(Path(file), settings.get("input_size"))
    wanted = settings.get("enhance_after"), settings.get("eliminate_after")
    if settings.get("dry_run"):
        return dry_run(network, blob_shapes(network), *wanted)
    if not settings.get("out"):
        raise MaapError("say where the net folder goes: --out DIR (or look first: --dry-run)")
    from maap.nets.write import write_folder

    return write_folder(plan(network, blob_shapes(network), *wanted), settings)


# ---- shapes -------------------------------------------------------------------------------------


def blob_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """The shape of every blob from `data` to the scores for one image, from the host's Caffe."""
    import tempfile

    from maap.host import loader
    from maap.nets.prototxt import write_text

    net = caffe_pb2.NetParameter(name=network.name)
    source = net.layer.add(name="data", type="Input", top=["data"])
    source.input_param.shape.add(dim=[1, 3, network.size, network.size])
    for layer in network.path:
        added = net.layer.add()
        added.CopyFrom(layer)
        for param in (added.convolution_param, added.inner_product_param):
            param.ClearField("weight_filler")  # to fill millions of numbers takes time
        if added.type not in ("Convolution", "Deconvolution"):
            added.ClearField("convolution_param")
        if added.type != "InnerProduct":
            added.ClearField("inner_product_param")
    caffe = loader.load()
    caffe.set_mode_cpu()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.prototxt"
        write_text(net, path)
        loaded = caffe.Net(str(path), caffe.TEST)
    return {name: tuple(blob.shape) for name, blob in loaded.blobs.items()}


# ---- places -------------------------------------------------------------------------------------


def plan(
    network: Network,
    shapes: dict[str, tuple[int, ...]],
    enhance_after: Optional[str] = None,
    eliminate_after: Optional[str] = None,
) -> Plan:
    """Where the two layers go; what is not named is recommended.

    Raises MaapError: no such layer (the nearest is named), one that does not lead to the scores,
    one whose output is no map or a single point, nothing to recommend.
    """
    recommended = recommend(network, shapes)
    if recommended is None and None in (enhance_after, eliminate_after):
        largest = max((min(m[1:]) for _, m in maps(network, shapes)), default=0)
        raise MaapError(
            f"{network.file}: no convolution has a map of {ROOMY} x {ROOMY} or more (the largest "
            f"map: {largest}), so none is recommended; name layers with --enhance-after and "
            "--eliminate-after (--dry-run lists them)"
        )
    places = []
    for number, name in enumerate((enhance_after, eliminate_after)):
        asked = None if name is None else _place(network, shapes, name)
        places.append(asked or recommended[number])  # type: ignore[index]
    return Plan(network, shapes, places[0], places[1], recommended)


def maps(network: Network, shapes: dict[str, tuple[int, ...]]) -> list[tuple[Any, tuple]]:
    """(layer, (C, h, w)) of the layers before the classifier that make a map of several points."""
    found = []
    for layer in _features(network):
        shape = shapes[layer.top[0]] if len(layer.top) == 1 else ()
        if len(shape) == 4 and shape[2] * shape[3] > 1:
            found.append((layer, shape[1:]))
    return found


def recommend(
    network: Network, shapes: dict[str, tuple[int, ...]]
) -> Optional[tuple[Place, Place]]:
    """The first and the last convolution with a map of ROOMY pixels a side, each with the
    activation that finishes it; None where there is no such convolution."""
    layers = _features(network)
    roomy = [
        _follow(layers, layer)
        for layer, shape in maps(network, shapes)
        if layer.type == "Convolution" and min(shape[1:]) >= ROOMY
    ]
    if not roomy:
        return None
    ends = (roomy[0], roomy[-1])
    first, last = (Place(end.name, shapes[end.top[0]][1:]) for end in ends)
    return first, last


def _features(network: Network) -> list[Any]:
    """The layers before the classifier's."""
    names = [layer.name for layer in network.path]
    return network.path[: names.index(network.classifier)]


def _follow(layers: Sequence[Any], layer: Any) -> Any:
    """The layer that finishes ``layer``'s map: behind its in-place layers, and behind an
    activation or normalisation that is all that reads it."""
    at = finished(layers, list(layers).index(layer))
    while True:
        blob = layers[at].top[0]
        readers = [n for n in range(at + 1, len(layers)) if blob in layers[n].bottom]
        if len(readers) != 1 or not layer_types.of(layers[readers[0]]).finishes:
            return layers[at]
        at = finished(layers, readers[0])


def finished(layers: Sequence[Any], at: int) -> int:
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


def _place(network: Network, shapes: dict[str, tuple[int, ...]], name: str) -> Place:
    layers = network.path
    names = [layer.name for layer in layers]
    if name not in names:
        if name in [layer.name for layer in network.train]:
            raise MaapError(
                f"{network.file}: layer {name} does not lead to the scores of the main classifier, "
                f"{network.classifier}; choose one that does (--dry-run lists them)"
            )
        raise MaapError(f"{network.file}: no layer {name!r}; {nearest(name, names)}")
    layer = layers[names.index(name)]
    if layer not in _features(network):
        raise MaapError(
            f"{network.file}: layer {name} belongs to the classifier ({network.classifier}); its "
            "channels are the classes, so choose a layer before it"
        )
    if len(layer.top) != 1:
        raise MaapError(
            f"{network.file}: layer {name} has {len(layer.top)} tops; choose one with a single top"
        )
    shape = shapes[layer.top[0]]
    if len(shape) != 4:
        raise MaapError(
            f"{network.file}: layer {name} gives {' x '.join(map(str, shape[1:]))} numbers for an "
            "image, no map; attention needs places to choose from: take a layer before it"
        )
    if shape[2] * shape[3] == 1:
        raise MaapError(
            f"{network.file}: the map of layer {name} is 1x1: with a single point there is nothing "
            "to attend to; take a layer before the map is pooled to a point (--dry-run lists them)"
        )
    after = layers[finished(layers, names.index(name))]
    return Place(after.name, shape[1:])


# ---- inserting ----------------------------------------------------------------------------------


def with_enhancement(layers: Sequence[Any], after: str, name: str) -> list[Any]:
    """A copy of ``layers`` with an Enhancement layer ``name`` behind the layer ``after``, which
    takes over its blob."""
    layers = copy.deepcopy(list(layers))
    at = [layer.name for layer in layers].index(after)
    blob = layers[at].top[0]
    top = blob
    if not safe_in_place(layers, at):
        taken = [b for layer in layers for b in (*layer.bottom, *layer.top)]
        top = graph.unused_name(f"{blob}_enhanced", taken)
        graph.rename_blob(layers[at + 1 :], blob, top)
    made = caffe_pb2.LayerParameter(name=name, type="Enhancement", bottom=[blob], top=[top])
    return [*layers[: at + 1], made, *layers[at + 1 :]]


def safe_in_place(layers: Sequence[Any], at: int) -> bool:
    """Whether the blob of layer ``at`` may be changed in place behind it: no later layer changes it
    in place, and no layer that wrote it needs what it wrote for its gradient."""
    blob = layers[at].top[0]
    writers = [layer for layer in layers[: at + 1] if blob in layer.top]
    later = any(blob in layer.top for layer in layers[at + 1 :])
    return not later and all(layer_types.of(writer).top_unread(writer) for writer in writers)


# ---- a look beforehand --------------------------------------------------------------------------


def dry_run(
    network: Network,
    shapes: dict[str, tuple[int, ...]],
    enhance_after: Optional[str] = None,
    eliminate_after: Optional[str] = None,
) -> list[str]:
    """The candidates with their maps, and where the layers would go, as lines to print."""
    candidates = maps(network, shapes)
    try:
        made = plan(network, shapes, enhance_after, eliminate_after)
    except MaapError:
        if enhance_after or eliminate_after:
            raise
        made = None
    wide = max((len(layer.name) for layer, _ in candidates), default=5)
    kind = max((len(layer.type) for layer, _ in candidates), default=4)
    lines = [
        f"{network.name}: input 3 x {network.size} x {network.size}, "
        f"classifier {network.classifier}",
        f"{'layer':{wide}}  {'type':{kind}}  map (C x h x w)",
    ]
    for layer, (channels, height, width) in candidates:
        marks = _marks(layer.name, made)
        text = f"{layer.name:{wide}}  {layer.type:{kind}}  {channels} x {height} x {width}"
        lines.append(f"{text}{'  <- ' + ', '.join(marks) if marks else ''}")
    return lines + _summary(network, made, enhance_after, eliminate_after)


def _marks(name: str, made: Optional[Plan]) -> list[str]:
    if made is None:
        return []
    places = (("Enhancement", made.enhance), ("Elimination", made.eliminate))
    return [what for what, place in places if place.after == name]


def _summary(network: Network, made: Optional[Plan], *asked: Optional[str]) -> list[str]:
    if made is None:
        return [
            f"no convolution has a map of {ROOMY} x {ROOMY} or more, so none is recommended; name "
            "layers with --enhance-after and --eliminate-after"
        ]
    return describe(made, *asked)


def describe(made: Plan, *asked: Optional[str]) -> list[str]:
    """Where the two layers go, and why there, as lines to print; ``asked``: the layers named."""
    lines = []
    why = (
        f"recommended: the first convolution with a map of {ROOMY} x {ROOMY} or more",
        f"recommended: the last convolution with a map of {ROOMY} x {ROOMY} or more",
    )
    for number, (what, place) in enumerate(
        (("Enhancement", made.enhance), ("Elimination", made.eliminate))
    ):
        reason = why[number]
        if asked[number] is not None:
            same = asked[number] == place.after
            reason = "as asked" if same else f"it finishes the map of {asked[number]}"
        shape = " x ".join(map(str, place.shape))
        lines.append(f"{what} after {place.after}, map {shape} ({reason})")
    return lines
