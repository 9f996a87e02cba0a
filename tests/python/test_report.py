"""The report: what stands in it, that it needs nothing else, and what it does with half a run."""

import html
import json
import re
from html.parser import HTMLParser

import jinja2
import numpy as np
import pytest
from maap.config.check import to_yaml
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.images import draw, pixels
from maap.report import charts
from maap.report import html as page
from maap.report import page as report
from maap.util import text

CLASSES = ["Crow", "Owl <grey> & white", "Hen"]


def evaluation():
    def phase(number, top1):
        per_class = [{"class": name, "count": 20, "top1": top1} for name in CLASSES]
        confusion = [[18, 1, 1], [2, 17, 1], [0, 0, 20]]
        return {
            "phase": f"phase{number}", "title": f"after phase {number}", "iterations": 1234,
            "seconds": 75.0, "count": 60, "top1": top1, "top5": 1.0, "per_class": per_class,
            "confusion": confusion,
        }  # fmt: skip

    def quality(iou, centre, area):
        return {"mean_iou": iou, "centre_hit": centre, "area_kept": area}

    regions = {
        "phase": "phase1", "title": "after phase 1", "n": 58, "images": 60, "fallbacks": 3,
        **quality(0.5432, 0.876, 0.321), "whole": quality(0.3003, 1.0, 1.0),
        "centred_half": quality(0.6012, 0.9, 0.5),
    }  # fmt: skip
    return {
        "format": 1,
        "data": {
            "name": "demo", "kind": "demo", "note": "It says <nothing> about CUB.",
            "classes": CLASSES, "size": [256, 256], "train": 120, "test": 60,
        },
        "chance": 1 / 3,
        "phases": [phase(1, 0.4567), phase(2, 0.9876)],
        "regions": [regions],
        "rewrites": [],
        "seconds": {"total": 150.0},
    }  # fmt: skip


def state():
    def train(number, status="done"):
        return dict(name=f"phase{number}", kind="train", number=number, title=f"phase {number}",
                    status=status, seconds=75.0, iteration=40, stopped="converged",
                    loss=0.1234)  # fmt: skip

    rewrite = dict(name="rewrite1", kind="rewrite", title="rewriting", status="done", seconds=5.0)
    ends = [
        dict(name=name, kind=name, title=name, status="done", seconds=1.0)
        for name in ("evaluation", "report")
    ]
    stages = [train(1), rewrite, train(2), *ends]
    return dict(stages=stages, data=dict(seconds=20.0), note="trained for a moment only")


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "my <run>"
    (folder / "samples").mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(TrainConfig(batch=16, base_lr=0.01, seed=3)))
    (folder / "state.json").write_text(json.dumps(state()))
    (folder / "evaluation.json").write_text(json.dumps(evaluation()))
    for number in (1, 2):
        (folder / f"phase{number}").mkdir()
        rows = [f"{n},{2.0 / (n + 1)},0.01" for n in range(40)]
        text = "iteration,loss,lr\n" + "\n".join(rows) + "\n40,0.0"  # the last row is torn
        (folder / f"phase{number}" / "metrics.csv").write_text(text)
    image = pixels.to_jpeg(np.random.RandomState(0).randint(0, 255, (40, 80, 3)).astype(np.uint8))
    entry = {"file": "00_best.jpg", "group": "best", "key": "k", "path": "p", "class": CLASSES[1],
             "region": [0, 0, 9, 9], "box": [0, 0, 9, 9], "iou": 0.777,
             "predicted": {"phase1": "Hen", "phase2": CLASSES[1]}}  # fmt: skip
    (folder / "samples" / "samples.json").write_text(json.dumps([entry]))
    (folder / "samples" / "00_best.jpg").write_bytes(image)
    (folder / "rewrite1").mkdir()
    (folder / "rewrite1" / "contact_sheet.jpg").write_bytes(image)
    made = {"records": 120, "a_star": "ROI", "fallbacks": 4}
    (folder / "rewrite1" / "manifest.json").write_text(json.dumps({"rewritten": made}))
    return folder


class Page(HTMLParser):
    """Text and tags of a page; every opened tag must be closed in order."""

    def __init__(self, source):
        super().__init__()
        self.open, self.words, self.links, self.images = [], [], [], 0
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.images += tag == "img"
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_everything_is_in_it(run_folder):
    path = report.write_report(run_folder)
    source = path.read_text(encoding="utf-8")
    shown = Page(source)
    words = " ".join(" ".join(shown.words).split())
    for wanted in (
        "my <run>", "45.7%", "98.8%", "33.3%", "0.543", "87.6%", "32.1%", "0.300", "0.601",
        "3 of 60 maps were flat", "above that of the whole image (0.300)",
        "not above that of the centred box (0.601)", "It says <nothing> about CUB.", "IoU 0.78",
        "trained for a moment only",
        "taken for Hen", CLASSES[1], "1 234", "1 min 15 s", "base_lr", "0.01", "convergence",
        "120 training images rewritten as ROI; 4 of them kept whole", "3.0 × chance",
    ):  # fmt: skip
        assert wanted in words, wanted
    assert shown.images == 4  # two curves, a sample, a contact sheet
    assert "<grey>" not in source and html.escape(CLASSES[1]) in source


def test_regions_by_the_size_of_the_object_where_they_were_measured(run_folder):
    assert "By the share of the image" not in report.write_report(run_folder).read_text()
    found = evaluation()
    best = {"mean_iou": 0.789, "centre_hit": 0.654, "area_kept": 0.2}
    other = {"mean_iou": 0.222, "centre_hit": 1.0, "area_kept": 0.5}
    none = dict.fromkeys(best)
    found["regions"][0]["by_size"] = [
        {"from": 0.0, "to": 0.1, "n": 58, **best, "whole": other, "centred_half": other},
        {"from": 0.1, "to": 0.25, "n": 0, **none, "whole": none, "centred_half": none},
    ]
    (run_folder / "evaluation.json").write_text(json.dumps(found))
    shown = Page(report.write_report(run_folder).read_text(encoding="utf-8"))
    words = " ".join(" ".join(shown.words).split())
    assert "after phase 1, less than 10% of the image 58 0.789 0.222 0.222 65.4%" in words
    assert "10% to 25%" not in words


def test_the_boxes_that_images_were_cut_by(run_folder):
    assert "as ROI, cut by" not in report.write_report(run_folder).read_text(encoding="utf-8")
    made = {"records": 120, "a_star": "ROI", "fallbacks": 0, "regions": "random"}
    path = run_folder / "rewrite1" / "manifest.json"
    path.write_text(json.dumps({"rewritten": made}))
    shown = Page(report.write_report(run_folder).read_text(encoding="utf-8"))
    words = " ".join(" ".join(shown.words).split())
    assert "rewritten as ROI, cut by random boxes of the regions' sizes;" in words
    path.write_text(json.dumps({"rewritten": dict(made, regions="square")}))
    with pytest.raises(MaapError, match="manifest.json is damaged"):
        report.write_report(run_folder)


def test_it_needs_nothing_from_outside(run_folder):
    source = report.write_report(run_folder).read_text(encoding="utf-8")
    assert all(link.startswith("data:image/") for link in Page(source).links)
    assert not re.search(r"https?://|<script|@import|url\(", source)


def test_the_same_run_gives_the_same_page(run_folder):
    first = report.write_report(run_folder).read_bytes()
    assert report.write_report(run_folder).read_bytes() == first
    assert not list(run_folder.glob(".partial*"))


def test_half_a_run_has_half_a_report(run_folder):
    (run_folder / "evaluation.json").unlink()
    (run_folder / "samples" / "samples.json").unlink()
    (run_folder / "rewrite1" / "manifest.json").unlink()
    shown = Page(report.write_report(run_folder).read_text(encoding="utf-8"))
    assert "Not evaluated yet" in shown.words and shown.images == 2


def test_a_run_without_regions_has_no_region_table(run_folder):
    found = evaluation()
    found["regions"] = []
    (run_folder / "evaluation.json").write_text(json.dumps(found))
    words = Page(report.write_report(run_folder).read_text(encoding="utf-8")).words
    assert "How well the regions sit" not in words and "Accuracy" in words
    legend = " ".join(" ".join(words).split())
    assert "Left: the image with region; right: its attention map" in legend


def test_the_inside_of_a_few_samples(run_folder):
    image = (run_folder / "samples" / "00_best.jpg").read_bytes()
    (run_folder / "samples" / "inside_00_best.jpg").write_bytes(image)
    rated = {"group": "best", "path": "p", "class": CLASSES[1], "iou": 0.654}
    entries = [{"file": "inside_00_best.jpg", **rated}, {"file": "gone.jpg", **rated}]
    (run_folder / "samples" / "inside.json").write_text(json.dumps(entries))
    page = Page(report.write_report(run_folder).read_text(encoding="utf-8"))
    assert page.images == 5 and f"{CLASSES[1]} · best · IoU 0.65" in page.words
    assert "Inside the network" in page.words


def test_what_cutting_to_boxes_is_worth(run_folder):
    found = evaluation()
    share = {"top1": 0.4321, "top5": 1.0}
    cropped = {"n": 58, "whole": share, "region": None, "true_box": {"top1": 0.8129, "top5": 1.0}}
    found["phases"][1]["cropped"] = cropped
    found["regions"][0]["true_box"] = {"mean_iou": 1.0, "centre_hit": 1.0, "area_kept": 0.2468}
    (run_folder / "evaluation.json").write_text(json.dumps(found))
    words = " ".join(Page(report.write_report(run_folder).read_text(encoding="utf-8")).words)
    assert "43.2%" in words and "81.3%" in words and "cut to the region" in words
    assert "the true box itself" in words and "24.7%" in words


@pytest.mark.parametrize("name", ["evaluation.json", "samples/samples.json", "state.json"])
def test_a_damaged_file_is_named_and_the_old_report_stays(run_folder, name):
    before = report.write_report(run_folder).read_bytes()
    (run_folder / name).write_text('{"format": 1, "phases": [')
    with pytest.raises(MaapError, match=name):
        report.write_report(run_folder)
    assert (run_folder / "report.html").read_bytes() == before


def test_a_missing_figure_is_an_error(run_folder):
    found = evaluation()
    del found["phases"][0]["top5"]
    (run_folder / "evaluation.json").write_text(json.dumps(found))
    with pytest.raises(MaapError, match="top5"):
        report.write_report(run_folder)


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(MaapError, match="no run folder"):
        report.write_report(tmp_path)


def test_many_classes_show_the_ten_best_and_worst(run_folder):
    found = evaluation()
    names = [f"class {n:03d}" for n in range(200)]
    found["data"]["classes"] = names
    for phase in found["phases"]:
        phase["per_class"] = [
            {"class": name, "count": 5, "top1": n / 200} for n, name in enumerate(names)
        ]
        phase["confusion"] = np.eye(200, dtype=int).tolist()
    (run_folder / "evaluation.json").write_text(json.dumps(found))
    words = Page(report.write_report(run_folder).read_text(encoding="utf-8")).words
    assert "class 199" in words and "class 000" in words and "class 100" not in words


def test_settings_are_words(run_folder):
    config = TrainConfig(stepvalue=[10, 20], tensorboard=True)
    (run_folder / "config.yaml").write_text(to_yaml(config))
    words = Page(report.write_report(run_folder).read_text(encoding="utf-8")).words
    assert "10, 20 iterations" in words and "true" in words
    assert not [word for word in words if "[" in word and "stepvalue" in word]


def test_a_template_without_its_values_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="about"):
        page.page("visualize.html", weights="w", images=[])


def test_columns_of_numbers_stand_right():
    table = page.Table(["name", "share", "either"], [["a", "12.0%", "1"], ["b", "–", "x"]])
    assert table.numeric == [False, True, False]


def test_a_curve_is_smoothed_and_thinned():
    x, y = charts.smoothed(np.arange(50.0), 100)
    assert charts.window(50) == 2 and list(x[:2]) == [101, 102] and list(y[:2]) == [0.5, 1.5]
    few = charts.thinned(x, y, 10)
    assert len(few[0]) == len(few[1]) == 13 and few[0][1] == 105


def test_iterations_are_marked_at_whole_numbers():
    axes = charts.new_figure(9, 3).add_subplot()
    axes.plot([0, 1, 2], [3, 2, 1])
    charts.label(axes, "loss", "loss")
    axes.set_xlim(0, 2.1)
    assert [tick for tick in axes.get_xticks() if tick != int(tick)] == []


def test_durations():
    assert [text.duration(s) for s in (3.21, 45, 59.7, 200, 3599.6, 7500)] == [
        "3.2 s", "45 s", "1 min 00 s", "3 min 20 s", "1 h 00 min", "2 h 05 min",
    ]  # fmt: skip


def test_pictures():
    image = np.zeros((20, 30, 3), np.uint8)
    drawn = draw.draw_box(image, (0, 0, 30, 20), (0, 255, 0))
    assert drawn.any() and not image.any()
    heat = draw.overlay(image, np.eye(4, dtype=np.float32))
    assert heat.shape == image.shape and heat[0, 0].sum() > heat[0, -1].sum()
    assert draw.overlay(image, np.ones((4, 4))).shape == image.shape
    rows = np.arange(600.0).reshape(20, 30)  # the same colours over an image as alone
    assert np.array_equal(draw.overlay(image, rows, strength=1.0), draw.heat(rows, 20, 30))
    sheet = draw.contact_sheet([image] * 5, columns=2, gap=6)
    assert sheet.shape == (3 * 26 + 6, 2 * 36 + 6, 3)
    grey = draw.to_grey_levels(np.full((2, 2, 3), -200.0, np.float32), 104.0)
    assert grey.dtype == np.uint8 and not grey.any()
