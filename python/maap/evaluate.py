"""What a trained network is worth: accuracy on test images, and how well its regions sit.

`evaluation.json`, the file of a run folder that the report reads, is written by `write_evaluation`:

    {"format": 1,
     "data": {"name", "kind", "note", "classes": [names], "train": images, "test": images},
     "chance": 1 / number of classes,
     "phases": [{"phase": "phase1", "title": "after phase 1", "iterations": n, "seconds": s,
                 "count": images, "top1": share, "top5": share,
                 "per_class": [{"class", "count", "top1"}, ...],
                 "confusion": [[images of class i taken for class j]]}, ...],      as trained
     "regions": [{"phase": whose weights found them, "title",
                  "n": images with a true box, "images": all of them,
                  "fallbacks": regions that are the whole image for want of another,
                  "mean_iou", "centre_hit", "area_kept": of the regions found,
                  "whole": {the same three for the whole image},
                  "centred_half": {... for a centred box of half the area}}, ...],
                 empty for a net without Elimination; the first made the first rewritten images
     "rewrites": [{"phase": "rewrite1", "a_star", "count", "fallbacks", "seconds"}, ...],
     "seconds": {"data": s, "phase1": s, "rewrite1": s, ..., "total": s}}

Shares are 0 to 1. `samples/` beside it holds the example pictures (`save_samples`),
`predictions.csv` a row per test image and phase.
"""

import csv
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from maap import regions as geometry
from maap.data.store import Split
from maap.errors import MaapError
from maap.files import write_atomically
from maap.progress import track
from maap.region_net import NotFinite, RegionNet, load_net
from maap.rewrite import Pool, batches_of, default_workers
from maap.rewrite_worker import Job
from maap.samples import Samples

if TYPE_CHECKING:
    from maap.data.feeder import Transform

FORMAT = 1
PREDICTION_COLUMNS = ["phase", "key", "label", "predicted", "score", "rank"]


# ---- accuracy -----------------------------------------------------------------------------------


class Classifier:
    """A resolved deploy prototxt with weights, loaded into the host's Caffe.

    Raises MaapError when a file is missing or the net does not end in one blob of class scores.
    """

    def __init__(self, net: Path, weights: Path, batch: int, gpu: Optional[int] = None):
        self.net = load_net(net, weights, batch, gpu)
        ends = [n for n in self.net.outputs if self.net.blobs[n].data.ndim in (2, 4)]
        if len(self.net.outputs) != 1 or not ends:
            raise MaapError(
                f"{net} has the outputs {', '.join(self.net.outputs)}; a deploy net takes `data` "
                "and ends in one blob of class scores"
            )
        self.output = ends[0]
        self.weights = weights
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


def evaluate(
    net: Path,
    weights: Path,
    split: Split,
    transform: "Transform",
    batch: int,
    *,
    gpu: Optional[int] = None,
    title: str = "evaluating",
) -> dict[str, Any]:
    """Accuracy on a split, from the centre crop of each image.

    net: a resolved deploy prototxt. Returns count, top1 and top5 (shares, 0 to 1), per_class (a
    dict class, count, top1 each), confusion (row: true class, column: predicted) and predictions
    (rows key, label, predicted, score, rank: how many classes scored higher than the true one).
    """
    from maap.data.feeder import Feeder

    classifier = Classifier(net, weights, batch, gpu)
    if transform.output_size(split.size) != classifier.size:
        raise MaapError(
            f"{net} takes images of {classifier.size}, the transform gives "
            f"{transform.output_size(split.size)}; use the net's own crop_size"
        )
    collected: list[np.ndarray] = []
    feeding = Feeder(split, transform, batch, seed=0, train=False)
    with track(title, total=len(split)) as progress, feeding as feeder:
        for _ in range(math.ceil(len(split) / batch)):
            feeder.next(classifier.input)
            collected.append(classifier.scores()[: feeder.valid])
            progress.advance(feeder.valid)
    labels = np.array([record.label for record in split.records])
    scores = np.concatenate(collected)
    if scores.shape[1] != len(split.classes):
        raise MaapError(
            f"{net} scores {scores.shape[1]} classes, {split.folder} has {len(split.classes)}; "
            "evaluate on the data set the net was trained for"
        )
    return accuracy(scores, labels, split)


def accuracy(scores: np.ndarray, labels: np.ndarray, split: Split) -> dict[str, Any]:
    """What `evaluate` returns, from scores (N, classes) and labels (N,). A tie goes to the lower
    class."""
    order = np.argsort(-scores, axis=1, kind="stable")
    rank = np.argmax(order == labels[:, None], axis=1)
    predicted = order[:, 0]
    classes = len(split.classes)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    counts = confusion.sum(axis=1)
    per_class = [
        {"class": name, "count": int(n), "top1": float(confusion[k, k] / n) if n else None}
        for k, (name, n) in enumerate(zip(split.classes, counts))
    ]
    return {
        "count": len(labels),
        "top1": float(np.mean(rank < 1)),
        "top5": float(np.mean(rank < 5)),
        "per_class": per_class,
        "confusion": confusion.tolist(),
        "predictions": [
            (record.key, int(label), int(guess), float(score), int(place))
            for record, label, guess, score, place in zip(
                split.records, labels, predicted, scores.max(axis=1), rank
            )
        ],
    }


# ---- regions ------------------------------------------------------------------------------------


def region_quality(
    net: Path,
    weights: Path,
    split: Split,
    transform: "Transform",
    batch: int,
    *,
    gpu: Optional[int] = None,
    samples: Optional[Samples] = None,
    title: str = "finding regions",
) -> dict[str, Any]:
    """How well the regions of a resolved rewrite net sit on the images' true boxes.

    The whole stored image is resized to the net's input, as in rewriting, and R carried back.
    Returns n (images with a true box), images, fallbacks, and mean_iou, centre_hit, area_kept (see
    `regions.quality`); the three again under "whole" and "centred_half", for the whole image and
    for a centred box of half its area. With n = 0 the figures are None. `samples` takes what it
    wants of every image. Raises MaapError naming the image whose map holds a NaN.
    """
    finder = RegionNet(net, weights, batch, gpu)
    job = Job.of(split, finder.size, transform, batch)
    batches = batches_of(0, len(split), batch)
    found: list[Any] = []
    fallbacks = 0
    loading = Pool(job, batches, min(default_workers(), len(batches)))
    with track(title, total=len(split)) as progress, loading as pool:
        for number, indices in enumerate(batches):
            result = _find(finder, pool.loaded(number).images, split, indices)
            for n, index in enumerate(indices):
                box = geometry.scale_box(result.regions[n], finder.size, split.size)
                found.append(box)
                fallbacks += bool(result.stats[n, 4])
                if samples is not None:
                    samples.offer(index, box, result.attention[n])
            progress.advance(len(indices))
    return {"images": len(split), "fallbacks": fallbacks, **_beside_references(found, split)}


def _find(finder: Any, images: np.ndarray, split: Split, indices: list[int]) -> Any:
    try:
        return finder.find(images)
    except NotFinite as error:
        record = split.records[indices[min(error.index, len(indices) - 1)]]
        raise MaapError(
            f"the attention map of image {record.key} is not finite ({error}); use weights of an "
            "earlier snapshot"
        ) from None


def _beside_references(found: list[Any], split: Split) -> dict[str, Any]:
    """The figures of the regions and of the two references, over the images with a true box."""
    with_box = [n for n, record in enumerate(split.records) if record.box is not None]
    boxes = [split.records[n].box for n in with_box]
    sizes = [split.size] * len(boxes)

    def figures(candidates: list[Any]) -> dict[str, Any]:
        if not boxes:
            return dict.fromkeys(("mean_iou", "centre_hit", "area_kept"))
        return geometry.quality(candidates, boxes, sizes)

    return {
        "n": len(boxes),
        **figures([found[n] for n in with_box]),
        "whole": figures([geometry.whole(split.size)] * len(boxes)),
        "centred_half": figures([geometry.centred_half(split.size)] * len(boxes)),
    }


# ---- a run --------------------------------------------------------------------------------------


def evaluate_run(work: Any) -> dict[str, Any]:
    """Evaluates every phase of a run and its regions; writes evaluation.json, predictions.csv and
    samples/ into the run folder. Returns the content of evaluation.json.

    `work` has run.folder, config (batch, gpu), state (stages), data (a Dataset), test_transform and
    weights(phase number) -> Path.
    """
    folder, data = Path(work.run.folder), work.data
    split = data.split("test")
    how = (split, work.test_transform, int(work.config.batch or 1))
    gpu = work.config.gpu
    trained = [stage for stage in work.state["stages"] if stage["kind"] == "train"]
    phases, rows, quality = [], [], []
    for stage in trained:
        weights, title = work.weights(stage["number"]), f"after {stage['title']}"
        result = evaluate(
            folder / "deploy.prototxt", weights, *how, gpu=gpu, title=f"accuracy {title}"
        )
        rows += [(stage["name"], *row) for row in result.pop("predictions")]
        times = {"iterations": stage.get("iteration"), "seconds": stage["seconds"]}
        phases.append({"phase": stage["name"], "title": title, **times, **result})
    rewriter = folder / "rewrite.prototxt"
    samples = Samples(split)
    for stage in trained if rewriter.is_file() else []:
        weights, title = work.weights(stage["number"]), f"after {stage['title']}"
        wanted = samples if stage is trained[0] else None  # the net that rewrote the images
        result = region_quality(
            rewriter, weights, *how, gpu=gpu, samples=wanted, title=f"regions {title}"
        )
        quality.append({"phase": stage["name"], "title": title, **result})
    samples.save(folder / "samples", rows)
    evaluation = {
        "format": FORMAT,
        "data": _about(data),
        "chance": 1.0 / len(split.classes),
        "phases": phases,
        "regions": quality,
        "rewrites": _rewrites(work.state["stages"], work.config),
        "seconds": _times(work.state),
    }
    _write(folder, evaluation, rows)
    return evaluation


def _about(data: Any) -> dict[str, Any]:
    counts = {name: data.manifest["splits"][name]["count"] for name in ("train", "test")}
    about = {"name": data.name, "kind": data.kind, "note": data.note}
    return {**about, "classes": list(data.classes), "size": list(data.size), **counts}


def _rewrites(stages: list[dict[str, Any]], config: Any) -> list[dict[str, Any]]:
    return [
        {
            "phase": stage["name"],
            "a_star": config.a_star,
            **{key: stage.get(key) for key in ("count", "fallbacks", "seconds")},
        }
        for stage in stages
        if stage["kind"] == "rewrite"
    ]


def _times(state: dict[str, Any]) -> dict[str, float]:
    times = {"data": float(state.get("data", {}).get("seconds", 0.0))}
    times.update({stage["name"]: float(stage.get("seconds", 0.0)) for stage in state["stages"]})
    times = {name: seconds for name, seconds in times.items() if seconds > 0}
    return {**times, "total": sum(times.values())}


def _write(folder: Path, evaluation: dict[str, Any], rows: list[Any]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(PREDICTION_COLUMNS)
    writer.writerows([*row[:4], f"{row[4]:.6g}", row[5]] for row in rows)
    table = text.getvalue().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    write_atomically(folder / "predictions.csv", table)
    write_atomically(folder / "evaluation.json", json.dumps(evaluation, indent=1) + "\n")
