"""The files that an evaluation leaves: in a run folder, and as tables for a spreadsheet."""

import csv
import dataclasses
import json
import os
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from evaluate_fakes import TRANSFORM, make_run
from maap.attention.inside import Inside, Source
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.measure import evaluation, tables
from maap.measure import regions as regions_module
from maap.measure.samples import PER_GROUP, Samples
from maap.runs.state import DataNote, RunState, Stage
from rewrite_fakes import SIZE


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def split(run_folder):
    return Dataset.open(run_folder / "data").split("test")


@pytest.fixture(scope="module")
def made(run_folder):
    """evaluation.json of the run, as it was returned."""
    return evaluation.evaluate_run(a_run(run_folder)).to_json()


def a_run(run_folder):
    """What evaluate_run needs of a run."""
    stages = [
        Stage("phase1", "train", 1, "phase 1", iteration=7, seconds=2.0),
        Stage("rewrite1", "rewrite", 1, "rewriting", count=50, fallbacks=0, seconds=1.0),
        Stage("phase2", "train", 2, "phase 2", iteration=5, seconds=1.5),
    ]
    return SimpleNamespace(
        run=SimpleNamespace(folder=run_folder),
        config=SimpleNamespace(batch=8, gpu=None, a_star="roi"),
        state=RunState(stages=stages, data=DataNote(seconds=4.0)),
        data=Dataset.open(run_folder / "data"),
        test_transform=TRANSFORM,
        weights=lambda number: run_folder / f"phase{number}" / "final.caffemodel",
    )


def test_a_run_gets_its_files(run_folder, split, made):
    assert json.loads((run_folder / "evaluation.json").read_text()) == made
    assert [p["title"] for p in made["phases"]] == ["after phase 1", "after phase 2"]
    assert made["phases"][0]["top1"] != made["phases"][1]["top1"]
    assert [q["phase"] for q in made["regions"]] == ["phase1", "phase2"]
    assert made["chance"] == pytest.approx(1 / 3) and made["seconds"]["total"] == 8.5
    assert made["data"]["note"] == "made up" and made["rewrites"][0]["fallbacks"] == 0
    with (run_folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100 and rows[0]["key"] == split.records[0].key
    right = [row["label"] == row["predicted"] for row in rows if row["phase"] == "phase2"]
    assert made["phases"][1]["top1"] == pytest.approx(np.mean(right))


def test_samples_are_best_worst_and_spread(run_folder, made):
    entries = json.loads((run_folder / "samples" / "samples.json").read_text())
    assert [e["group"] for e in entries] == sum(
        ([name] * PER_GROUP for name in ("best", "worst", "spread")), []
    )
    assert len({e["key"] for e in entries}) == len(entries)
    best, worst = ([e["iou"] for e in entries if e["group"] == g] for g in ("best", "worst"))
    assert best == sorted(best, reverse=True) and worst == sorted(worst)
    assert worst[-1] <= best[-1]
    for entry in entries:
        assert (run_folder / "samples" / entry["file"]).stat().st_size > 1000
        assert set(entry["predicted"]) == {"phase1", "phase2"}


def test_a_few_samples_show_the_inside(run_folder, made):
    folder = run_folder / "samples"
    entries = json.loads((folder / "samples.json").read_text())
    shown = json.loads((folder / "inside.json").read_text())
    assert [e["group"] for e in shown] == ["best", "best", "worst", "worst", "spread", "spread"]
    by_path = {entry["path"]: entry for entry in entries}
    for entry in shown:
        assert by_path[entry["path"]]["iou"] == entry["iou"]
        image = cv2.imread(str(folder / entry["file"]))
        assert image.shape[0] > 500 and (folder / entry["file"]).stat().st_size < 300_000


def test_a_run_without_regions_shows_the_inside_of_two(run_folder, split, tmp_path):
    samples = Samples(split)
    weights = run_folder / "phase1" / "final.caffemodel"
    source = Source(run_folder / "deploy.prototxt", weights, TRANSFORM, split.size)
    samples.save_inside(tmp_path, Inside(source))
    shown = json.loads((tmp_path / "inside.json").read_text())
    assert [entry["path"] for entry in shown] == [split.records[n].path for n in (0, 49)]


def test_a_run_knows_what_cutting_to_boxes_is_worth(made):
    for phase, quality in zip(made["phases"], made["regions"]):
        cropped = phase["cropped"]
        assert cropped["n"] == quality["n"] == 49 and phase["crops"] == 1
        assert cropped["whole"]["top1"] == pytest.approx(phase["top1"], abs=1 / 49)
        assert 0 <= cropped["region"]["top1"] <= 1 and cropped["true_box"]["top5"] == 1
        assert "found" not in quality
    assert made["phases"][0]["cropped"] != made["phases"][1]["cropped"]


@pytest.fixture(scope="module")
def measured(run_folder, split):
    nets = (run_folder / "deploy.prototxt", run_folder / "rewrite.prototxt")
    weights = run_folder / "phase1" / "final.caffemodel"
    return evaluation.measure_weights(*nets, weights, split, TRANSFORM, 8, crops=10)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_agree_with_each_other(measured, split, tmp_path):
    files = tables.write_tables(tmp_path, measured, split)
    assert sorted(files) == sorted(path.name for path in tmp_path.iterdir())
    rows = rows_of(tmp_path / "predictions.csv")
    assert [row["path"] for row in rows] == [record.path for record in split.records]
    confusion = np.zeros((3, 3), int)
    for row in rows:
        confusion[int(row["label"]), int(row["predicted"])] += 1
        assert (row["rank"] == "0") == (row["label"] == row["predicted"])
        assert row["class"] == "abc"[int(row["label"])]
        assert row["predicted_class"] == "abc"[int(row["predicted"])]
    with (tmp_path / "confusion.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0][1:] == [row[0] for row in table[1:]] == ["a", "b", "c"]
    assert np.array_equal(np.array([row[1:] for row in table[1:]], int), confusion)
    per_class = rows_of(tmp_path / "per_class.csv")
    for n, row in enumerate(per_class):
        assert int(row["count"]) == confusion[n].sum()
        assert float(row["top1"]) == pytest.approx(confusion[n, n] / confusion[n].sum())
    summary = json.loads((tmp_path / "evaluation.json").read_text())
    assert summary["accuracy"]["crops"] == 10
    assert summary["accuracy"]["top1"] == pytest.approx(np.trace(confusion) / 50)


def test_the_table_of_regions_by_hand(measured, split, tmp_path):
    tables.write_tables(tmp_path, measured, split)
    rows = rows_of(tmp_path / "regions.csv")
    overlaps = []
    for row, record in zip(rows, split.records):
        x1, y1, x2, y2 = (int(row[name]) for name in ("x1", "y1", "x2", "y2"))
        found, true = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
        found[y1:y2, x1:x2] = True
        assert float(row["area_kept"]) == pytest.approx(found.mean(), rel=1e-5)
        if record.box is None:
            assert row["iou"] == row["true_x1"] == row["centre_hit"] == ""
            continue
        a, b, c, d = map(int, record.box)
        true[b:d, a:c] = True
        overlaps.append((found & true).sum() / (found | true).sum())
        assert float(row["iou"]) == pytest.approx(overlaps[-1], rel=1e-5)
        assert row["centre_hit"] == str(int(found[(b + d) // 2, (a + c) // 2]))
    assert measured.regions.mean_iou == pytest.approx(np.mean(overlaps))


def test_regions_by_the_size_of_the_object(measured, split, tmp_path):
    """Against the rows of regions.csv, which another test compares with counted pixels."""
    tables.write_tables(tmp_path, measured, split)
    regions = [row for row in rows_of(tmp_path / "regions.csv") if row["iou"]]
    sizes = rows_of(tmp_path / "region_sizes.csv")
    by_size = measured.regions.by_size
    assert [(each.start, each.end) for each in by_size] == [(0, 0.2), (0.2, 0.35), (0.35, 1)]
    assert [each.n for each in by_size] == [49, 0, 0]  # every patch covers 8.2 % of its image
    assert by_size[0].mean_iou == measured.regions.mean_iou
    assert by_size[0].whole == measured.regions.whole
    assert by_size[1].mean_iou is None and by_size[2].centred_half.centre_hit is None
    assert {row["true_area"] for row in regions} == {"0.0820312"}
    assert [row["boxes"] for row in sizes] == ["region", "whole", "centred_half"] * 3
    assert float(sizes[0]["mean_iou"]) == pytest.approx(
        np.mean([float(row["iou"]) for row in regions]), rel=1e-5
    )
    assert (sizes[1]["area_kept"], sizes[3]["mean_iou"]) == ("1", "")


def test_each_object_counts_once_by_the_share_of_its_box(split):
    """Boxes of 5, 19.9, 20, 34, 35 and 80 % of an image; regions that are the box, or are not."""
    wide, high = 100, 100
    shares = (5, 19.9, 20, 34, 35, 80)
    true = [(0.0, 0.0, share, 100.0) for share in shares]
    found = [(0, 0, 100, 50) if share in (19.9, 35) else box for share, box in zip(shares, true)]
    records = [SimpleNamespace(box=box) for box in [*true, None]]
    some = dataclasses.replace(split, records=records, size=(high, wide))
    quality = regions_module._beside_references([*found, (0, 0, 9, 9)], 2, some)
    assert [each.n for each in quality.by_size] == [2, 2, 2] and quality.n == 6
    iou = 19.9 * 50 / (19.9 * 100 + 100 * 50 - 19.9 * 50)
    assert quality.by_size[0].mean_iou == pytest.approx((1 + iou) / 2)
    assert quality.by_size[1].mean_iou == pytest.approx(1)
    whole = [each.whole.mean_iou for each in quality.by_size]
    assert whole == pytest.approx([(0.05 + 0.199) / 2, 0.27, 0.575])
    assert [each.title for each in quality.by_size] == [
        "less than 20% of the image", "20% to 35% of the image", "35% of the image or more",
    ]  # fmt: skip
    weighed = sum(each.n * each.mean_iou for each in quality.by_size) / quality.n
    assert quality.mean_iou == pytest.approx(weighed)
    records[:] = [SimpleNamespace(box=None)]
    assert regions_module._beside_references([(0, 0, 9, 9)], 0, some).by_size is None


def test_lines_for_a_person(measured, split):
    text = "\n".join(tables.lines(measured, split))
    assert f"top-1 {measured.accuracy.top1:.1%}" in text and "mean of 10 crops" in text
    assert "true box: mean IoU with the true box 1.000" in text
    assert "49 objects that cover less than 20% of the image: mean IoU" in text
    assert "20% to 35%" not in text  # there is none
    assert "top-1 on the 49 images with a true box: whole" in text and "cut to the region" in text
    uncropped = dataclasses.replace(measured.accuracy, cropped=None)
    bare = evaluation.Measured(uncropped, [], None, None)
    assert "cut to" not in "\n".join(tables.lines(bare, split))


def test_odd_names_and_places_that_cannot_be_written(tmp_path):
    tables.write_table(tmp_path / "t.csv", ["a"], [["x,\n\udcff"], [None]])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["a"], ["x,\n\ufffd"], [""]]
    with pytest.raises(MaapError, match="nowhere"):
        tables.write_table(tmp_path / "nowhere" / "t.csv", ["a"], [])
    assert os.listdir(tmp_path) == ["t.csv"]
