"""Is a training dead? Signs that a net learns nothing, and what to try then.

- The loss sits at that of guessing, ln(classes), or above, and does not fall.
- A layer's outputs are 0 for every image: no gradient passes its ReLU any more.
- The accuracy on the test images is that of guessing.

None of them is looked at before a net could have learnt something (`window_of`). A phase warns
once. The layers' outputs are looked at in a net of its own that shares the weights, with a few
images: the training net does not keep them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from maap.host.types import Caffe, CaffeNet
from maap.nets import graph, layer_types
from maap.nets.prototxt import read_net
from maap.runs.snapshots import working_in
from maap.util.schema import LayerParameter, NetParameter

IMAGES = 8  # at most, that the layers' outputs are looked at for
# Iterations, and images a class, after which a net has left the loss of guessing. From random
# weights AlexNet takes 60 to 100 iterations for ten classes (the demo set), that is 160 images a
# class; published weights are ahead of that from the first iterations.
_RANDOM = (200, 320)
_TRAINED = (100, 20)
_SITS = 0.99  # of the loss of guessing: less has been learnt than 1 %
_FALLS = 0.97  # a second half of a window with less than this share of the first falls
_ABOVE = 1.2  # times the loss of guessing: the net is surer than guessing, and wrong


@dataclass(frozen=True)
class Chance:
    """What guessing has: the loss, summed over a net's losses as Caffe does; and the classes."""

    loss: float
    classes: int


def window_of(classes: int, batch: int, trained: bool) -> int:
    """Iterations after which a net should have learnt something; ``trained``: it starts from
    trained weights. ``batch`` is the images in an iteration."""
    iterations, images = _TRAINED if trained else _RANDOM
    return max(iterations, math.ceil(images * classes / batch))


def top1_of_guessing(classes: int, images: int) -> float:
    """The top-1 share that guessing does not exceed: its mean and two standard deviations."""
    share = 1 / classes
    return share + 2 * math.sqrt(share * (1 - share) / max(images, 1))


class Watch:
    """Looks at a phase in ``folder``, which has net.prototxt, while its ``net`` is trained.

    ``rate_option`` is the option that sets the phase's learning rate.
    """

    def __init__(self, folder: Path, net: CaffeNet, window: int, rate_option: str) -> None:
        self.folder, self.window, self.rate_option = folder, window, rate_option
        self.text: NetParameter = read_net(folder / "net.prototxt")
        self.chance = chance_of(self.text, net)

    def due(self, done: int) -> bool:
        """Whether to look, after ``done`` iterations."""
        return done > 0 and done % self.window == 0

    def look(
        self, losses: Sequence[float], caffe: Caffe, net: CaffeNet, images: np.ndarray
    ) -> Optional[str]:
        """What is wrong and what to try; None: nothing. Called where `due`, or at the end of a
        shorter phase. ``losses`` are those of all iterations, ``images`` (N,3,H,W) some input."""
        sits = self._sits(losses)
        if len(losses) > self.window and sits is None:
            return None  # the outputs are looked at once, and again where the loss sits
        dead = self.dead_layers(caffe, net, images)
        if dead:
            return " ".join([*filter(None, [sits]), self._about_dead(dead, len(images))])
        return f"{sits} {what_to_try(self.rate_option)}" if sits else None

    def _sits(self, losses: Sequence[float]) -> Optional[str]:
        if self.chance is None or len(losses) < self.window:
            return None
        half = self.window // 2
        first, last = _mean(losses[-2 * half : -half]), _mean(losses[-half:])
        chance = self.chance
        if last < _SITS * chance.loss or last < _FALLS * first:
            return None
        than = f"guessing one of {chance.classes} classes has {chance.loss:.3f}"
        if last > _ABOVE * chance.loss:
            return f"the loss stays at {last:.3f}, {than}: the training has diverged."
        return f"the loss sits at {last:.3f}, {than}: nothing is learnt."

    def dead_layers(self, caffe: Caffe, trained: CaffeNet, images: np.ndarray) -> list[str]:
        """The activations and classifiers whose outputs are all 0 for ``images`` while testing,
        with the weights of ``trained``; in the net's order."""
        with working_in(self.folder):
            net = caffe.Net("net.prototxt", caffe.TEST)
        net.share_with(trained)
        count = len(images)
        net.blobs["data"].reshape(*images.shape)
        net.blobs["label"].reshape(count, *net.blobs["label"].shape[1:])
        net.blobs["data"].data[...] = images
        net.blobs["label"].data[...] = 0
        net.forward()
        last = {  # of those that write a blob, in place, the last one made what is in it
            layer.top[0]: layer.name
            for layer in self.text.layer
            if _can_be_dead(layer) and graph.active(layer, "TEST")
        }
        return [name for blob, name in last.items() if not net.blobs[blob].data.any()]

    def _about_dead(self, dead: list[str], images: int) -> str:
        name, more = dead[0], len(dead) - 1
        others = f" (and of {more} more)" if more else ""
        said = (
            f"Every output of layer {name} is 0 for {images} images{others}: no gradient passes "
            "it, and what is in front of it learns nothing by it."
        )
        classifier = self._classifier_before(name)
        if classifier is not None:
            return (
                f"{said} It is the ReLU behind the classifier {classifier}: take it out of the net "
                f"folder's prototxts, or start a new run with a smaller {self.rate_option} "
                "(a tenth)."
            )
        return (
            f"{said} Start a new run with a smaller {self.rate_option} (a tenth), or another "
            "weight_filler (msra) in front of it."
        )

    def _classifier_before(self, name: str) -> Optional[str]:
        """The classifier whose scores layer ``name``, an activation, changes; None: it does not."""
        at = next(n for n, layer in enumerate(self.text.layer) if layer.name == name)
        layer = self.text.layer[at]
        if not graph.can_die(layer):
            return None
        found = graph.scorer(self.text.layer[:at], layer.bottom[0])
        named = [each.layer.name for each in graph.classifiers(self.text) if each.layer is not None]
        return found.name if found is not None and found.name in named else None


def about_accuracy(top1: float, classes: int, rate_option: str) -> str:
    """The warning that the accuracy on the test images is that of guessing."""
    return (
        f"top-1 on the test images is {top1:.1%}; guessing one of {classes} classes has "
        f"{1 / classes:.1%}. {what_to_try(rate_option)}"
    )


def what_to_try(rate_option: str) -> str:
    """Where no layer is known to be dead."""
    return (
        f"Start a new run with another {rate_option}: a tenth where the loss rose at first, ten "
        "times where it never moved; look at the weight_filler of new layers, and whether images "
        "and labels belong together."
    )


def chance_of(text: NetParameter, net: CaffeNet) -> Optional[Chance]:
    """What guessing has in a training net; None where a loss is not SoftmaxWithLoss, or counts in
    its own way."""
    total, classes = 0.0, 0
    weights = {name: weight for name, weight in net.blob_loss_weights.items() if weight}
    for layer in text.layer:
        name = layer.top[0] if layer.top else ""
        if name not in weights or not graph.active(layer, "TRAIN"):
            continue
        if layer.type != "SoftmaxWithLoss" or _counts_otherwise(layer):
            return None
        scores = net.blobs[layer.bottom[0]].shape
        classes = int(scores[layer.softmax_param.axis])
        total += weights.pop(name) * math.log(classes)
    return Chance(total, classes) if classes > 1 and not weights else None


def _counts_otherwise(layer: LayerParameter) -> bool:
    """Whether a loss is a sum over the images, not a mean."""
    param = layer.loss_param
    return param.HasField("normalization") and param.normalization not in (
        param.VALID,
        param.BATCH_SIZE,
    )


def _can_be_dead(layer: LayerParameter) -> bool:
    return graph.can_die(layer) or layer_types.of(layer).classifies


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
