"""Which blobs of a classification net show what it sees: the ends of its stages.

A *block* ends in the blob of a Convolution, Eltwise or Concat layer after everything that follows
it elementwise: batch normalisation, scale, ReLU and, where there is one, Enhancement; before
pooling, LRN and dropout. A net of at most `MOST` blocks shows them all (AlexNet: conv1 to conv5).
A deeper one shows its *stages*, the last block at each map size, that is, the one before the maps
get smaller (VGG19: conv1_2, conv2_2, conv3_4, conv4_4, conv5_4; ResNet-152: conv1, res2c, res3b7,
res4b35, res5c), and the blobs that its attention layers work on.
"""

import copy
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Optional

from maap.errors import MaapError
from maap.nets import layer_types
from maap.util.schema import NetParameter, caffe_pb2
from maap.util.text import nearest

MOST = 8


def blocks(net: NetParameter) -> list[str]:
    """The blobs at the ends of a NetParameter's blocks, in the net's order.

    Raises MaapError when the net has none: nothing in it is an image.
    """
    found: list[str] = []
    for layer in net.layer:
        known = layer_types.of(layer)
        if known.elementwise and layer.bottom and layer.bottom[0] in found:
            if layer.top[0] != layer.bottom[0]:
                found.remove(layer.bottom[0])
                found.append(layer.top[0])
        elif known.makes_map and layer.top[0] not in found:
            found.append(layer.top[0])
    if not found:
        raise MaapError(f"net {net.name}: no convolution in it, so there are no maps to show")
    return found


def stages(
    names: Sequence[str], sizes: Mapping[str, tuple[int, int]], always: Sequence[str] = ()
) -> list[str]:
    """Those of the blocks to show. ``sizes``: (h, w) of each block's maps; 1 x 1 are left out.
    ``always``: blobs that are shown in any case."""
    names = [name for name in names if min(sizes[name]) > 1]
    if len(names) <= MOST:
        return list(names)
    last = {list(group)[-1] for _, group in groupby(names, key=lambda name: sizes[name])}
    return [name for name in names if name in last or name in always]


def trunk(net: NetParameter, wanted: Sequence[str]) -> NetParameter:
    """A copy of a NetParameter that ends with the layers that make or change ``wanted``.

    Raises MaapError for a blob that the net has not, with the nearest name.
    """
    tops = [top for layer in net.layer for top in layer.top]
    for name in wanted:
        if name not in tops:
            known = nearest(name, tops, f"its blocks: {', '.join(blocks(net))}")
            raise MaapError(f"net {net.name} has no blob {name}; {known}")
    end = max(n for n, layer in enumerate(net.layer) if set(layer.top) & set(wanted))
    short = caffe_pb2.NetParameter(name=net.name)
    short.layer.extend(copy.deepcopy(layer) for layer in net.layer[: end + 1])
    return short


def enhanced(net: NetParameter) -> list[str]:
    """The blobs that a net's Enhancement layers make."""
    return [layer.top[0] for layer in net.layer if layer.type == "Enhancement"]


def eliminated(net: NetParameter) -> Optional[str]:
    """The blob that a rewrite net's Elimination layer looks at."""
    found = [layer.bottom[0] for layer in net.layer if layer.type == "Elimination"]
    return found[0] if found else None


def without_enhancement(net: NetParameter) -> NetParameter:
    """A copy of a NetParameter with its Enhancement layers left out: the baseline.

    Raises MaapError when something takes such a layer's attention map.
    """
    plain = caffe_pb2.NetParameter()
    plain.CopyFrom(net)
    del plain.layer[:]
    renamed: dict[str, str] = {}
    lost: set[str] = set()
    for layer in net.layer:
        taken = [renamed.get(name, name) for name in layer.bottom]
        if lost & set(taken):
            raise MaapError(
                f"net {net.name}: layer {layer.name} takes {', '.join(lost & set(taken))}, an "
                "attention map of Enhancement, so there is no net without that layer"
            )
        if layer.type == "Enhancement":
            renamed[layer.top[0]] = taken[0]
            lost |= set(layer.top[1:])
            continue
        kept = plain.layer.add()
        kept.CopyFrom(layer)
        del kept.bottom[:]
        kept.bottom.extend(taken)
        if layer.top and list(layer.top) == list(layer.bottom):  # in place stays in place
            del kept.top[:]
            kept.top.extend(taken)
    return plain
