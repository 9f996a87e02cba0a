"""Accuracy of a trained network on a split, from one centre crop of each image or from ten."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from maap.attention.region_net import load_net
from maap.data.feeder import Feeder, Transform
from maap.data.store import Split
from maap.data.views import View
from maap.errors import MaapError
from maap.host import loader, ranks
from maap.runs.evaluation import Accuracy, ClassAccuracy
from maap.util.progress import track
from maap.util.text import times


class Prediction(NamedTuple):
    """What a net says of one image. ``rank``: how many classes scored higher than the true one."""

    key: str
    label: int
    predicted: int
    score: float
    rank: int


@dataclass(frozen=True)
class Rated:
    """Accuracy on a split, and the prediction for each of its records."""

    accuracy: Accuracy
    predictions: list[Prediction]


class Classifier:
    """A resolved deploy prototxt with weights, loaded into the host's Caffe.

    Raises MaapError when a file is missing or the net does not end in one blob of class scores.
    """

    def __init__(self, net: Path, weights: Path, batch: int, gpu: Optional[int] = None):
        self.net = load_net(net, weights, batch, gpu)
        ends = [n for n in self.net.outputs if len(self.net.blobs[n].shape) in (2, 4)]
        if len(self.net.outputs) != 1 or not ends:
            raise MaapError(
                f"{net} has the outputs {', '.join(self.net.outputs)}; a deploy net takes `data` "
                "and ends in one blob of class scores"
            )
        self.output = ends[0]
        loader.keep_only(self.net)
        self.path, self.weights, self.batch = net, weights, batch
        self.size = tuple(self.input.shape[2:])

    def scores(self) -> np.ndarray:
        """(N, classes) float32 for what `input` holds. Raises MaapError when one is not finite."""
        self.net.forward()
        scores = self.net.blobs[self.output].data
        if not np.isfinite(scores).all():
            raise MaapError(
                f"{self.weights}: the scores hold a NaN or an infinity; the training has diverged, "
                "use an earlier snapshot"
            )
        return scores.reshape(len(scores), -1).copy()

    @property
    def input(self) -> np.ndarray:
        """The input blob, (N,3,H,W) float32; to be filled in place."""
        return self.net.blobs["data"].data


def measure_accuracy(
    net: Path,
    weights: Path,
    split: Split,
    transform: Transform,
    batch: int,
    *,
    view: Optional[View] = None,
    gpu: Optional[int] = None,
    title: str = "evaluating",
) -> Rated:
    """Accuracy on a split, from the centre crop of each image unless ``view`` says otherwise.

    net: a resolved deploy prototxt. Raises MaapError as `Classifier` and `class_scores` do.
    """
    classifier = Classifier(net, weights, batch, gpu)
    scores = class_scores(classifier, split, transform, view=view, title=title)
    return rate_scores(scores, split, 1 if view is None else view.crops)


def class_scores(
    classifier: Classifier,
    split: Split,
    transform: Transform,
    *,
    view: Optional[View] = None,
    title: str = "evaluating",
) -> np.ndarray:
    """(N, classes) scores of a split's images; with ten crops the mean of their scores (float64),
    as Caffe's ``Classifier.predict`` takes it. Several ranks share the batches out; each returns
    all scores.

    Raises MaapError when the crop is not the net's input or the net scores other classes.
    """
    if transform.output_size(split.size) != classifier.size:
        raise MaapError(
            f"{classifier.path} takes images of {times(classifier.size)}, the transform gives "
            f"{times(transform.output_size(split.size))}; use the net's own crop_size"
        )
    view = view or View()
    mine: list[np.ndarray] = []
    group = ranks.here()
    part = dict(rank=group.rank, ranks=group.size)
    feeding = Feeder(split, transform, classifier.batch, seed=0, train=False, view=view, **part)
    with track(title, total=feeding.plan.slots) as progress, feeding as feeder:
        for _ in range(feeder.plan.batches()):
            feeder.next(classifier.input)
            mine.append(classifier.scores()[: feeder.valid])
            progress.advance(min(feeder.valid * group.size, feeding.plan.slots - progress.done))
    scores = np.concatenate(ranks.in_turn(ranks.gathered(mine)))
    if scores.shape[1] != len(split.classes):
        raise MaapError(
            f"{classifier.path} scores {scores.shape[1]} classes, {split.folder} has "
            f"{len(split.classes)}; evaluate on the data set the net was trained for"
        )
    if view.crops == 1:
        return scores
    return scores.reshape(len(split), view.crops, -1).mean(axis=1, dtype=np.float64)


def rate_scores(scores: np.ndarray, split: Split, crops: int = 1) -> Rated:
    """The accuracy that scores (N, classes) of a split's images give. A tie goes to the lower
    class. ``crops`` is only noted."""
    labels = np.array([record.label for record in split.records])
    order = np.argsort(-scores, axis=1, kind="stable")
    rank = np.argmax(order == labels[:, None], axis=1)
    predicted = order[:, 0]
    classes = len(split.classes)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    counts = confusion.sum(axis=1)
    accuracy = Accuracy(
        crops=crops,
        count=len(labels),
        top1=float(np.mean(rank < 1)),
        top5=float(np.mean(rank < 5)),
        per_class=[
            ClassAccuracy(name, int(n), float(confusion[k, k] / n) if n else None)
            for k, (name, n) in enumerate(zip(split.classes, counts))
        ],
        confusion=confusion.tolist(),
        cropped=None,
    )
    predictions = [
        Prediction(record.key, int(label), int(guess), float(score), int(place))
        for record, label, guess, score, place in zip(
            split.records, labels, predicted, scores.max(axis=1), rank
        )
    ]
    return Rated(accuracy, predictions)
