"""What a trained network is worth, in files: a run's evaluation.json, and tables as CSV.

`evaluation.json`, the file of a run folder that the report reads, is written by `evaluate_run`:

    {"format": 1,
     "data": {"name", "kind", "note", "classes": [names], "train": images, "test": images},
     "chance": 1 / number of classes,
     "phases": [{"phase": "phase1", "title": "after phase 1", "iterations": n, "seconds": s,
                 "crops": 1 (the centre) or 10, "count": images, "top1": share, "top5": share,
                 "per_class": [{"class", "count", "top1"}, ...],
                 "confusion": [[images of class i taken for class j]],
                 "cropped": null without true boxes, else accuracy on the same images when cut:
                            {"n": images with a true box,
                             "whole": {"top1", "top5"} of the images as they are,
                             "true_box": ... cut to the true box,
                             "region": ... cut to the region found, null without Elimination}
                }, ...],      as trained
     "regions": [{"phase": whose weights found them, "title",
                  "n": images with a true box, "images": all of them,
                  "fallbacks": regions that are the whole image for want of another,
                  "mean_iou", "centre_hit", "area_kept": of the regions found,
                  "true_box": {the same three for the true box},
                  "whole": {... for the whole image},
                  "centred_half": {... for a centred box of half the area}}, ...],
                 empty for a net without Elimination; the first made the first rewritten images
     "rewrites": [{"phase": "rewrite1", "a_star", "count", "fallbacks", "seconds"}, ...],
     "haap": "rewrite" or "online" (the Elimination layer in phase 2's net); null without HAAP,
     "seconds": {"data": s, "phase1": s, "rewrite1": s, ..., "total": s}}

Shares are 0 to 1. "crops", "cropped" and "true_box" are missing in files of older versions.
`samples/` beside it holds the example pictures (`samples.py`), `predictions.csv` a row per test
image and phase.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from maap.data.store import Split
from maap.data.views import View
from maap.errors import MaapError
from maap.images import boxes as geometry
from maap.measure.classify import Classifier, accuracy, class_scores
from maap.measure.regions import cropped_accuracy, region_quality
from maap.measure.samples import Samples
from maap.util.files import write_atomically
from maap.util.progress import say

FORMAT = 1
PREDICTION_COLUMNS = ["phase", "key", "label", "predicted", "score", "rank"]


@dataclass(frozen=True)
class Measured:
    """What one set of weights is worth on a split."""

    accuracy: dict[str, Any]  # crops, count, top1, top5, per_class, confusion, cropped
    predictions: list[tuple]  # key, label, predicted, score, rank: one row per record
    regions: Optional[dict[str, Any]]  # an entry of "regions" but for phase and title
    found: Optional[list[geometry.Box]]  # per record the region in stored pixels


def measure(
    deploy: Path,
    rewrite: Optional[Path],
    weights: Path,
    split: Split,
    transform: Any,
    batch: int,
    *,
    crops: int = 1,
    gpu: Optional[int] = None,
    samples: Optional[Samples] = None,
    title: str = "",
) -> Measured:
    """Accuracy and, where there is a rewrite net, regions; both nets resolved, one loaded at a
    time. Raises MaapError as `evaluate` and `region_quality` do."""
    how = (weights, split, transform, batch)
    regions, found = None, None
    if rewrite is not None:
        named = f"regions {title}".rstrip()
        regions = region_quality(rewrite, *how, gpu=gpu, samples=samples, title=named)
        found = regions.pop("found")
    classifier = Classifier(deploy, weights, batch, gpu)
    named, view = f"accuracy {title}".rstrip(), View(crops)
    scores = class_scores(classifier, split, transform, view=view, title=named)
    result = accuracy(scores, split)
    predictions = result.pop("predictions")
    cropped = cropped_accuracy(
        classifier, split, transform, scores, found, crops=crops, title=title
    )
    return Measured({"crops": crops, **result, "cropped": cropped}, predictions, regions, found)


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
    rewrite: Optional[Path] = folder / "rewrite.prototxt"
    rewrite = rewrite if rewrite.is_file() else None
    samples = Samples(split)
    phases, rows, quality = [], [], []
    wanted: Optional[Samples] = samples  # of the net that rewrote the images first
    for stage in (stage for stage in work.state["stages"] if stage["kind"] == "train"):
        weights, title = work.weights(stage["number"]), f"after {stage['title']}"
        nets = (folder / "deploy.prototxt", rewrite, weights)
        found = measure(*nets, *how, gpu=work.config.gpu, samples=wanted, title=title)
        wanted = None
        named = {"phase": stage["name"], "title": title}
        times = {"iterations": stage.get("iteration"), "seconds": stage["seconds"]}
        phases.append({**named, **times, **found.accuracy})
        rows += [(stage["name"], *row) for row in found.predictions]
        if found.regions is not None:
            quality.append({**named, **found.regions})
    samples.save(folder / "samples", rows)
    _save_inside(samples, work, rewrite)
    evaluation = {
        "format": FORMAT,
        "data": _about(data),
        "chance": 1.0 / len(split.classes),
        "phases": phases,
        "regions": quality,
        "rewrites": _rewrites(work.state["stages"], work.config),
        "haap": _haap_mode(work.state["stages"]),
        "seconds": _times(work.state),
    }
    table = [(*row[:4], f"{row[4]:.6g}", row[5]) for row in rows]
    write_table(folder / "predictions.csv", PREDICTION_COLUMNS, table)
    write_atomically(folder / "evaluation.json", json.dumps(evaluation, indent=1) + "\n")
    return evaluation


def _save_inside(samples: Samples, work: Any, rewrite: Optional[Path]) -> None:
    """Pictures of what phase 1's net sees; a net that has no maps to show goes without."""
    from maap.attention.inside import Inside, Source

    folder = Path(work.run.folder)
    about = (work.test_transform, samples.split.size)
    source = Source(folder / "deploy.prototxt", work.weights(1), *about, rewrite=rewrite)
    try:
        inside = Inside(source, gpu=work.config.gpu)
    except MaapError as error:
        say(f"no pictures of the net's maps: {error}")
        return
    samples.save_inside(folder / "samples", inside)


def _about(data: Any) -> dict[str, Any]:
    counts = {name: data.manifest["splits"][name]["count"] for name in ("train", "test")}
    about = {"name": data.name, "kind": data.kind, "note": data.note}
    return {**about, "classes": list(data.classes), "size": list(data.size), **counts}


def _haap_mode(stages: list[dict[str, Any]]) -> Optional[str]:
    if any("online" in stage for stage in stages):
        return "online"
    return "rewrite" if any(stage["kind"] == "rewrite" for stage in stages) else None


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


# ---- tables -------------------------------------------------------------------------------------


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file (UTF-8, a heading, commas), written whole or not at all. None becomes an empty
    cell. Raises MaapError when it cannot be written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    clean = text.getvalue().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    write_atomically(path, clean)


def write_predictions(path: Path, found: Measured, split: Split) -> None:
    """A row per image: key, path, true class and predicted class by number and by name, the
    prediction's score, and the rank of the true class (0: it scored highest)."""
    names = split.classes
    columns = ["key", "path", "label", "class", "predicted", "predicted_class", "score", "rank"]
    rows = (
        (key, record.path, label, names[label], guess, names[guess], f"{score:.6g}", rank)
        for record, (key, label, guess, score, rank) in zip(split.records, found.predictions)
    )
    write_table(path, columns, rows)


def write_tables(folder: Path, found: Measured, split: Split) -> list[str]:
    """predictions.csv, per_class.csv, confusion.csv, regions.csv (with regions) and
    evaluation.json (Measured's accuracy and regions) in an existing folder; their names."""
    names, result = split.classes, found.accuracy
    write_predictions(folder / "predictions.csv", found, split)
    rows = [
        (label, entry["class"], entry["count"], "" if entry["top1"] is None else entry["top1"])
        for label, entry in enumerate(result["per_class"])
    ]
    write_table(folder / "per_class.csv", ["label", "class", "count", "top1"], rows)
    matrix = [(name, *counts) for name, counts in zip(names, result["confusion"])]
    write_table(folder / "confusion.csv", ["true \\ predicted", *names], matrix)
    written = ["predictions.csv", "per_class.csv", "confusion.csv"]
    if found.found is not None:
        _write_regions(folder / "regions.csv", found.found, split)
        written.append("regions.csv")
    summary = {"format": FORMAT, "accuracy": result, "regions": found.regions}
    write_atomically(folder / "evaluation.json", json.dumps(summary, indent=1) + "\n")
    return [*written, "evaluation.json"]


def _write_regions(path: Path, found: list[geometry.Box], split: Split) -> None:
    corners = ["x1", "y1", "x2", "y2"]
    columns = ["key", "path", *corners, *(f"true_{c}" for c in corners)]
    rows = []
    for record, box in zip(split.records, found):
        row = [record.key, record.path, *box, *(record.box or [None] * 4)]
        kept = geometry.area(box) / geometry.area(geometry.whole(split.size))
        if record.box is None:
            rows.append([*row, None, None, f"{kept:.6g}"])
            continue
        hit = int(geometry.holds_centre(box, record.box))
        rows.append([*row, f"{geometry.iou(box, record.box):.6g}", hit, f"{kept:.6g}"])
    write_table(path, [*columns, "iou", "centre_hit", "area_kept"], rows)


# ---- for a person -------------------------------------------------------------------------------


def lines(found: Measured, split: Split) -> list[str]:
    """The figures as lines to print."""
    result, chance = found.accuracy, 1 / len(split.classes)
    how = "centre crop" if result["crops"] == 1 else f"mean of {result['crops']} crops"
    text = [
        f"top-1 {result['top1']:.1%}, top-5 {result['top5']:.1%} ({how}; chance {chance:.1%})",
        *_class_lines(result, split),
    ]
    quality, cropped = found.regions, result["cropped"]
    if quality is not None and quality["n"]:
        names = dict(true_box="true box", whole="whole image", centred_half="centred half")
        text.append(_region_line("regions", quality))
        text += [_region_line(name, quality[key]) for key, name in names.items()]
    if quality is not None:
        text.append(f"{quality['fallbacks']} regions are the whole image: flat attention maps")
    if cropped is not None:
        parts = dict(whole="whole", region="cut to the region", true_box="cut to the true box")
        shown = [f"{p} {cropped[k]['top1']:.1%}" for k, p in parts.items() if cropped[k]]
        text.append(f"top-1 on the {cropped['n']} images with a true box: {', '.join(shown)}")
    return text


def _class_lines(result: dict[str, Any], split: Split) -> list[str]:
    """The mean over classes, the worst of them, and the commonest mistakes."""
    rated = [entry for entry in result["per_class"] if entry["count"]]
    mean = sum(entry["top1"] for entry in rated) / len(rated)
    worst = sorted(rated, key=lambda entry: entry["top1"])[:3]
    shown = ", ".join(f"{entry['class']} {entry['top1']:.0%}" for entry in worst)
    text = [f"mean of the classes {mean:.1%}; lowest: {shown}"]
    mistakes = [
        (count, split.classes[true], split.classes[taken])
        for true, row in enumerate(result["confusion"])
        for taken, count in enumerate(row)
        if taken != true and count
    ]
    mistakes.sort(key=lambda mistake: -mistake[0])
    if mistakes:
        shown = ", ".join(f"{true} for {taken} ({n})" for n, true, taken in mistakes[:3])
        text.append(f"most often mistaken: {shown}")
    return text


def _region_line(name: str, found: dict[str, Any]) -> str:
    return (
        f"{name}: mean IoU with the true box {found['mean_iou']:.3f}, holds its centre "
        f"{found['centre_hit']:.1%}, keeps {found['area_kept']:.1%} of the image"
    )
