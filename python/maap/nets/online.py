"""Training with the Elimination layer inside the net: ``maap train --haap online``.

The rewriting mode attends once, with the net of the phase before, and writes a data set. Here every
batch is attended to as it comes, with the weights as they are, and nothing is written:

    data -> attention branch (to the Elimination layer) -> D* -> classification branch -> loss

The attention branch is the rewrite net, its layers and blobs called ``attention/...``; the
classification branch is the training net with D* for its images. Layers of the same name share
their weights by parameter name (``NAME/0``, ``NAME/1`` ...), so there is one set of weights, and
one gradient: A and R are constants (docs/design.md, 4), so none passes the Elimination layer and
the attention branch is not run backward.

The attention branch looks as the net looks when it is tested and when images are rewritten:

- Dropout is left out of it, or scales where other forks' fields say so;
- its BatchNorm normalises with the stored statistics, which it shares and never changes. So the
  statistics are those of D* alone, and as up to date as the weights.

Both nets come resolved (`resolve_train`, `resolve_rewrite`); a trained caffemodel holds
the classification branch under the plain layer names, so that it loads into the deploy net.
"""

import copy
from collections.abc import Sequence
from typing import Optional

from maap.errors import NotForNet
from maap.nets import graph, layer_types
from maap.util.schema import LayerParameter, NetParameter, caffe_pb2

BRANCH = "attention/"
STATS = BRANCH + "stats"  # the Elimination layer's statistics, (N,5); see docs/design.md, 4


def online_net(train: NetParameter, rewrite: NetParameter) -> NetParameter:
    """The net that trains on D* of its own attention, from a resolved training net and a resolved
    rewrite net of the same network (NetParameters; neither is changed).

    Raises NotForNet: a layer of the rewrite net that the training net lacks or has as another
    type, a type of layer whose weights cannot be shared.
    """
    main = copy.deepcopy(train)
    inputs = [layer for layer in main.layer if layer.type == "Input"]
    classify = [layer for layer in main.layer if layer.type != "Input"]
    branch = _as_tested([layer for layer in rewrite.layer if layer.type != "Input"])
    own = {layer.name: layer for layer in classify}
    for layer in branch:
        if shared_blobs(layer):
            _share(layer, own.get(layer.name), rewrite.name)
        if layer.type == "BatchNorm":
            layer.batch_norm_param.use_global_stats = True
    dstar = graph.unused_name("dstar", [blob for layer in classify for blob in layer.top])
    graph.rename_blob(classify, "data", dstar)
    net = caffe_pb2.NetParameter(name=f"{main.name}, online")
    net.layer.extend([*inputs, *_renamed(branch, dstar), *classify])
    return net


def shared_blobs(layer: LayerParameter) -> int:
    """How many blobs of weights or statistics the two branches share in a layer.

    Raises NotForNet for a type whose blobs cannot be shared by name, or are not known.
    """
    if not layer_types.of(layer).shares:
        raise NotForNet(
            f"layer {layer.name}: the weights of a {layer.type} layer cannot be shared between the "
            "two branches",
            "train with --haap rewrite",
        )
    try:
        return layer_types.blob_count(layer)
    except NotForNet as error:
        raise NotForNet(str(error), "train with --haap rewrite") from None


def _as_tested(layers: Sequence[LayerParameter]) -> list[LayerParameter]:
    """A copy of ``layers`` as they are while testing: Dropout passes its bottom on. Without
    scale_train it scales; with sample_weights_test it does in testing what it does in training."""
    kept = []
    layers = copy.deepcopy(list(layers))
    for number, layer in enumerate(layers):
        param = layer.dropout_param
        if layer.type != "Dropout" or getattr(param, "sample_weights_test", False):
            kept.append(layer)
        elif not getattr(param, "scale_train", True):
            scale = caffe_pb2.LayerParameter(
                name=layer.name, type="Power", bottom=layer.bottom, top=layer.top
            )
            scale.power_param.scale = 1 - param.dropout_ratio
            kept.append(scale)
        elif not graph.in_place(layer):
            graph.rename_blob(layers[number + 1 :], layer.top[0], layer.bottom[0])
    return kept


def _share(layer: LayerParameter, own: Optional[LayerParameter], name: str) -> None:
    """Give a layer of the attention branch and ``own``, the classification branch's layer of that
    name, the same parameters: names, rates, fillers."""
    if own is None or own.type != layer.type:
        found = "lacks it" if own is None else f"has one of type {own.type}"
        raise NotForNet(
            f"layer {layer.name} ({layer.type}) of {name}'s rewrite net: the training net {found}, "
            "so there is nothing to share",
            "the two files are not of the same network",
        )
    count = shared_blobs(own)
    while len(own.param) < count:
        spec = own.param.add()
        # Statistics, which no solver may change: Caffe checks that.
        if own.type == "BatchNorm" and len(own.param) <= 3:
            spec.lr_mult = spec.decay_mult = 0
    for number, spec in enumerate(own.param):
        spec.name = spec.name or f"{own.name}/{number}"
    bottom, top = list(layer.bottom), list(layer.top)
    layer.CopyFrom(own)
    for names, blobs in ((layer.bottom, bottom), (layer.top, top)):
        del names[:]
        names.extend(blobs)
    layer.ClearField("include")
    layer.ClearField("exclude")


def _renamed(branch: Sequence[LayerParameter], dstar: str) -> list[LayerParameter]:
    """The attention branch under its own names, its unused tops silenced."""
    blobs = {blob for layer in branch for blob in (*layer.bottom, *layer.top)} - {"data"}
    layers = list(branch)
    elimination = layers[-1]
    for blob in sorted(blobs):
        graph.rename_blob(layers, blob, BRANCH + blob)
    elimination.top[0] = dstar
    elimination.ClearField("propagate_down")
    elimination.propagate_down.extend([False, False])
    for layer in layers:
        layer.name = BRANCH + layer.name
    silence = caffe_pb2.LayerParameter(
        name=BRANCH + "unused", type="Silence", bottom=elimination.top[1:]
    )
    return [*layers, silence]
