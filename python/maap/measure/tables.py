"""What was measured, as CSV tables for a spreadsheet and as lines for a person."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from maap.data.store import Split
from maap.images import boxes as geometry
from maap.measure.classify import Prediction
from maap.measure.result import Measured
from maap.runs.evaluation import (
    EVALUATION,
    FORMAT,
    Accuracy,
    RegionFigures,
    SizeQuality,
    shown_shares,
)
from maap.util.files import write_atomically

PREDICTION_COLUMNS = ["phase", "key", "label", "predicted", "score", "rank"]


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The text of a CSV file (a heading, commas). None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file (UTF-8), written whole or not at all. Raises MaapError when it cannot be
    written."""
    text = table_text(columns, rows)
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    write_atomically(path, clean)


def write_phase_predictions(path: Path, predictions: Mapping[str, Sequence[Prediction]]) -> None:
    """A row per phase and image: the predictions of each phase, by its name."""
    rows = [
        (phase, p.key, p.label, p.predicted, f"{p.score:.6g}", p.rank)
        for phase, all_of_it in predictions.items()
        for p in all_of_it
    ]
    write_table(path, PREDICTION_COLUMNS, rows)


def write_predictions(path: Path, found: Measured, split: Split) -> None:
    """A row per image: key, path, true class and predicted class by number and by name, the
    prediction's score, and the rank of the true class (0: it scored highest)."""
    names = split.classes
    columns = ["key", "path", "label", "class", "predicted", "predicted_class", "score", "rank"]
    rows = (
        (p.key, record.path, p.label, names[p.label], p.predicted, names[p.predicted],
         f"{p.score:.6g}", p.rank)
        for record, p in zip(split.records, found.predictions)
    )  # fmt: skip
    write_table(path, columns, rows)


def write_tables(folder: Path, found: Measured, split: Split) -> list[str]:
    """predictions.csv, per_class.csv, confusion.csv, regions.csv (with regions), region_sizes.csv
    (with true boxes) and evaluation.json (Measured's accuracy and regions) in an existing folder;
    their names."""
    names, accuracy = split.classes, found.accuracy
    write_predictions(folder / "predictions.csv", found, split)
    rows = [
        (label, entry.name, entry.count, entry.top1)
        for label, entry in enumerate(accuracy.per_class)
    ]
    write_table(folder / "per_class.csv", ["label", "class", "count", "top1"], rows)
    matrix = [(name, *counts) for name, counts in zip(names, accuracy.confusion)]
    write_table(folder / "confusion.csv", ["true \\ predicted", *names], matrix)
    written = ["predictions.csv", "per_class.csv", "confusion.csv"]
    if found.found is not None:
        _write_regions(folder / "regions.csv", found.found, split)
        written.append("regions.csv")
    if found.regions is not None and found.regions.by_size is not None:
        _write_sizes(folder / "region_sizes.csv", found.regions.by_size)
        written.append("region_sizes.csv")
    regions = None if found.regions is None else found.regions.to_json()
    summary = {"format": FORMAT, "accuracy": accuracy.to_json(), "regions": regions}
    write_atomically(folder / EVALUATION, json.dumps(summary, indent=1) + "\n")
    return [*written, EVALUATION]


def _write_regions(path: Path, found: Sequence[geometry.Box], split: Split) -> None:
    corners = ["x1", "y1", "x2", "y2"]
    columns = ["key", "path", *corners, *(f"true_{c}" for c in corners)]
    rows = []
    for record, box in zip(split.records, found):
        row = [record.key, record.path, *box, *(record.box or [None] * 4)]
        kept = geometry.share(box, split.size)
        if record.box is None:
            rows.append([*row, None, None, f"{kept:.6g}", None])
            continue
        share = geometry.share(record.box, split.size)
        hit = int(geometry.holds_centre(box, record.box))
        rows.append(
            [*row, f"{geometry.iou(box, record.box):.6g}", hit, f"{kept:.6g}", f"{share:.6g}"]
        )
    write_table(path, [*columns, "iou", "centre_hit", "area_kept", "true_area"], rows)


def _write_sizes(path: Path, by_size: Sequence[SizeQuality]) -> None:
    """A row for each size of object and kind of box; sizes and areas are shares of the image."""
    columns = ["size_from", "size_to", "images", "boxes", "mean_iou", "centre_hit", "area_kept"]
    rows = []
    for size in by_size:
        kinds = dict(region=size, whole=size.whole, centred_half=size.centred_half)
        for kind, figures in kinds.items():
            values = (figures.mean_iou, figures.centre_hit, figures.area_kept)
            shown = [None if value is None else f"{value:.6g}" for value in values]
            rows.append([size.start, size.end, size.n, kind, *shown])
    write_table(path, columns, rows)


# ---- for a person -------------------------------------------------------------------------------


def lines(found: Measured, split: Split) -> list[str]:
    """The figures as lines to print."""
    accuracy, chance = found.accuracy, 1 / len(split.classes)
    how = "centre crop" if accuracy.crops == 1 else f"mean of {accuracy.crops} crops"
    text = [
        f"{shown_shares(accuracy.top1, accuracy.top5, len(split.classes))} ({how}; chance "
        f"{chance:.1%})",
        *_class_lines(accuracy, split),
    ]
    quality, cropped = found.regions, accuracy.cropped
    if quality is not None and quality.n:
        references = {
            "true box": quality.true_box,
            "whole image": quality.whole,
            "centred half": quality.centred_half,
        }
        text.append(_region_line("regions", quality))
        text += [_region_line(name, figures) for name, figures in references.items() if figures]
        text += [_size_line(size) for size in quality.by_size or () if size.n]
    if quality is not None:
        text.append(f"{quality.fallbacks} regions are the whole image: flat attention maps")
    if cropped is not None:
        parts = {
            "whole": cropped.whole,
            "cut to the region": cropped.region,
            "cut to the true box": cropped.true_box,
        }
        shown = [f"{name} {shares.top1:.1%}" for name, shares in parts.items() if shares]
        text.append(f"top-1 on the {cropped.n} images with a true box: {', '.join(shown)}")
    return text


def _class_lines(accuracy: Accuracy, split: Split) -> list[str]:
    """The mean over classes, the worst of them, and the commonest mistakes."""
    rated = [(entry.top1, entry.name) for entry in accuracy.per_class if entry.top1 is not None]
    mean = sum(top1 for top1, _ in rated) / len(rated)
    worst = sorted(rated, key=lambda entry: entry[0])[:3]
    shown = ", ".join(f"{name} {top1:.0%}" for top1, name in worst)
    text = [f"mean of the classes {mean:.1%}; lowest: {shown}"]
    mistakes = [
        (count, split.classes[true], split.classes[taken])
        for true, row in enumerate(accuracy.confusion)
        for taken, count in enumerate(row)
        if taken != true and count
    ]
    mistakes.sort(key=lambda mistake: -mistake[0])
    if mistakes:
        shown = ", ".join(f"{true} for {taken} ({n})" for n, true, taken in mistakes[:3])
        text.append(f"most often mistaken: {shown}")
    return text


def _region_line(name: str, found: RegionFigures) -> str:
    return (
        f"{name}: mean IoU with the true box {found.mean_iou:.3f}, holds its centre "
        f"{found.centre_hit:.1%}, keeps {found.area_kept:.1%} of the image"
    )


def _size_line(found: SizeQuality) -> str:
    return (
        f"{found.n} objects that cover {found.title}: mean IoU {found.mean_iou:.3f} (whole image "
        f"{found.whole.mean_iou:.3f}, centred half {found.centred_half.mean_iou:.3f}), holds the "
        f"centre {found.centre_hit:.1%}"
    )
