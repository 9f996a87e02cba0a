"""A net's layers as a graph: who made a blob, who works on it in place, what leads to the scores.

Everything here takes plain LayerParameters in the order of the file, as Caffe does: a layer reads
the blob that the last layer before it wrote under that name.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Union

from maap.errors import MaapError
from maap.nets import layer_types
from maap.nets.layer_types import in_place
from maap.nets.prototxt import parse_file
from maap.util.schema import LayerParameter, NetParameter, NetStateRule, caffe_pb2

# ---- reading ------------------------------------------------------------------------------------


def read_upgraded(path: Union[str, Path]) -> NetParameter:
    """The NetParameter in a text file, in today's form: an older one is converted.

    Networks of before 2014 (`layers {`) and inputs given as `input:` go through Caffe's own
    `upgrade_net_proto_text`. Raises MaapError: no file, bad text, no layers, no such tool on PATH.
    """
    net = parse_file(path, caffe_pb2.NetParameter())
    if net.layers or net.input:
        net = _upgraded(Path(path))
    if not net.layer:
        raise MaapError(f"{path}: no layer in it; is it a solver, not a net?")
    return net


def _upgraded(path: Path) -> NetParameter:
    tool = shutil.which("upgrade_net_proto_text")
    if tool is None:
        raise MaapError(
            f"{path}: written for an older Caffe, and upgrade_net_proto_text, which converts it, "
            "is not on PATH; start through ./maap"
        )
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "net.prototxt"
        done = subprocess.run([tool, str(path), str(new)], stderr=subprocess.PIPE)
        if done.returncode != 0 or not new.is_file():
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            last = said[-1] if said else "it does not say why"
            last = next((line for line in said if "] Check failed" in line), last).split("] ")[-1]
            raise MaapError(f"{path}: upgrade_net_proto_text cannot convert it ({last})")
        return parse_file(new, caffe_pb2.NetParameter())


# ---- layers -------------------------------------------------------------------------------------


def is_source(layer: LayerParameter) -> bool:
    """Whether a layer brings blobs in from outside: Data, Input ..."""
    return not layer.bottom and bool(layer.top) and layer.type != "Parameter"


def active(layer: LayerParameter, phase: str, stages: Sequence[str] = ()) -> bool:
    """Whether a layer is in the net at ``phase`` ("TRAIN" or "TEST"), by its include and exclude
    rules; ``stages`` are those that the net is loaded with."""
    number = caffe_pb2.Phase.Value(phase)

    def met(rule: NetStateRule) -> bool:
        right_phase = not rule.HasField("phase") or rule.phase == number
        right_stages = all(stage in stages for stage in rule.stage)
        return right_phase and right_stages and not any(s in stages for s in rule.not_stage)

    if layer.include:
        return any(met(rule) for rule in layer.include)
    return not any(met(rule) for rule in layer.exclude)


def ancestors(layers: Sequence[LayerParameter], blob: str) -> list[LayerParameter]:
    """The layers that ``blob``, as it is at the end of ``layers``, is computed from, in order."""
    wanted, kept = {blob}, []
    for layer in reversed(layers):
        if wanted & set(layer.top):
            kept.append(layer)
            if not in_place(layer):
                wanted -= set(layer.top)
            wanted |= set(layer.bottom)
    return kept[::-1]


def rename_blob(layers: Sequence[LayerParameter], old: str, new: str) -> None:
    """Give the blob ``old`` the name ``new`` in all of ``layers``."""
    for layer in layers:
        for names in (layer.bottom, layer.top):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def unused_name(wanted: str, taken: Sequence[str]) -> str:
    """``wanted``, or ``wanted`` with the first number that makes it a name not in ``taken``."""
    names = [wanted] + [f"{wanted}_{n}" for n in range(2, len(taken) + 3)]
    return next(name for name in names if name not in taken)


# ---- classifiers --------------------------------------------------------------------------------


class Classifier(NamedTuple):
    """A classifier: the layer that ends it (a loss or a softmax), the blob of scores which that
    layer reads, and the layer whose outputs are the classes (None: there is no such layer)."""

    end: LayerParameter
    scores: str
    layer: Optional[LayerParameter]


def classifiers(net: NetParameter) -> list[Classifier]:
    """The classifiers of a net, auxiliary ones included, the main one last.

    With losses, the main one has the greatest loss_weight, of equal ones it is the last; without,
    it is the last softmax whose probabilities no further layer uses.
    """
    layers = list(net.layer)
    losses = [n for n, layer in enumerate(layers) if layer.type == "SoftmaxWithLoss"]
    if losses:
        ends = sorted(losses, key=lambda n: (_loss_weight(layers[n]), n))
    else:
        ends = [n for n, layer in enumerate(layers) if _ends_in_softmax(layers, n, layer)]
    return [
        Classifier(layers[n], layers[n].bottom[0], scorer(layers[:n], layers[n].bottom[0]))
        for n in ends
        if layers[n].bottom
    ]


def _loss_weight(layer: LayerParameter) -> float:
    return layer.loss_weight[0] if layer.loss_weight else 1.0


def _ends_in_softmax(layers: list[LayerParameter], number: int, layer: LayerParameter) -> bool:
    readers = [other for other in layers[number + 1 :] if set(layer.top) & set(other.bottom)]
    return layer.type == "Softmax" and all(layer_types.of(reader).ends for reader in readers)


def scorer(layers: Sequence[LayerParameter], blob: str) -> Optional[LayerParameter]:
    """The layer that has an output for each class of the scores ``blob``, as it is at the end of
    ``layers``: also a convolution that a global pooling, an activation or the like follows."""
    for layer in reversed(layers):
        if blob not in layer.top:
            continue
        known = layer_types.of(layer)
        if known.classifies:
            return layer
        if not known.keeps_classes or not layer.bottom:
            return None
        blob = layer.bottom[0]
    return None


def can_die(layer: LayerParameter) -> bool:
    """Whether a layer passes no gradient where its output is 0, and can be 0 everywhere."""
    return layer.type == "ReLU6" or layer.type == "ReLU" and layer.relu_param.negative_slope == 0
