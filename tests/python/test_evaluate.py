"""Accuracy and region quality on a small net in the host's Caffe, and the files a run gets."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from maap import evaluate, host, nets, regions, render
from maap.data.feeder import Transform
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.rewrite import rewrite
from maap.rewrite_output import read_findings
from maap.samples import PER_GROUP, Samples
from rewrite_fakes import MEAN, SIZE, make_source

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 4 dim: 3 dim: 40 dim: 40 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 5 kernel_size: 7 stride: 3
                            weight_filler { type: "gaussian" std: 0.02 } } }
"""
DEPLOY = """
layer { name: "relu" type: "ReLU" bottom: "conv" top: "relu" }
layer { name: "fc" type: "InnerProduct" bottom: "relu" top: "fc"
        inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.05 } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
REWRITE = """
layer { name: "eliminate" type: "Elimination" bottom: "conv" bottom: "data"
        top: "dstar" top: "region" top: "attention" top: "stats"
        python_param { param_str: "a_star: ROI" } }
"""
TRANSFORM = Transform(crop_size=40, mean=MEAN, scale=0.02)


@pytest.fixture(scope="module")
def caffe():
    return host.load()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, caffe):
    """A folder with a data set (train and test the same 50 images), two nets and weights."""
    folder = tmp_path_factory.mktemp("run")
    make_source(folder / "data", 50, splits=("train", "test"))
    (folder / "deploy.prototxt").write_text(NET + DEPLOY)
    (folder / "rewrite.prototxt").write_text(NET + REWRITE)
    caffe.set_random_seed(3)
    net = caffe.Net(str(folder / "deploy.prototxt"), caffe.TEST)
    for number in (1, 2):
        (folder / f"phase{number}").mkdir()
        net.save(str(folder / f"phase{number}" / "final.caffemodel"))
        net.params["fc"][0].data[...] *= -1
    return folder


@pytest.fixture(scope="module")
def split(run_folder):
    return Dataset.open(run_folder / "data").split("test")


def forward_alone(caffe, net, weights, images):
    """Every blob of a net for a list of inputs, one image a pass."""
    network = caffe.Net(str(net), caffe.TEST, weights=str(weights))
    network.blobs["data"].reshape(1, 3, 40, 40)
    network.reshape()
    for image in images:
        network.blobs["data"].data[0] = image
        network.forward()
        yield {name: blob.data.copy() for name, blob in network.blobs.items()}


def test_accuracy_is_that_of_one_image_after_the_other(caffe, run_folder, split):
    weights = run_folder / "phase1" / "final.caffemodel"
    result = evaluate.evaluate(run_folder / "deploy.prototxt", weights, split, TRANSFORM, 8)
    top, left = (SIZE[0] - 40) // 2, (SIZE[1] - 40) // 2
    images = []
    for n in range(len(split)):
        crop = split.read(n)[0][top : top + 40, left : left + 40].astype(np.float32)
        images.append(((crop - MEAN) * 0.02).transpose(2, 0, 1))
    guesses, confusion = [], np.zeros((3, 3), int)
    for n, blobs in enumerate(
        forward_alone(caffe, run_folder / "deploy.prototxt", weights, images)
    ):
        guesses.append(int(blobs["prob"][0].argmax()))
        confusion[split.records[n].label, guesses[-1]] += 1
    assert [row[2] for row in result["predictions"]] == guesses
    assert result["confusion"] == confusion.tolist()
    assert result["count"] == 50 and result["top5"] == 1.0
    assert result["top1"] == pytest.approx(np.trace(confusion) / 50)
    assert 0 < result["top1"] < 1 and len(set(guesses)) > 1
    assert [c["count"] for c in result["per_class"]] == confusion.sum(axis=1).tolist()


def test_ranks_and_ties():
    split = SimpleNamespace(
        classes=list("abcdefg"), records=[SimpleNamespace(key=str(n)) for n in range(3)]
    )
    scores = np.array([[9, 8, 7, 6, 5, 4, 3], [1, 1, 0, 0, 0, 0, 0], [0, 5, 5, 5, 5, 5, 6]], float)
    result = evaluate.accuracy(scores, np.array([5, 1, 4]), split)
    assert [row[4] for row in result["predictions"]] == [5, 1, 4]
    assert result["top1"] == 0 and result["top5"] == pytest.approx(2 / 3)
    assert result["per_class"][0]["top1"] is None


def test_regions_are_those_of_one_image_after_the_other(caffe, run_folder, split):
    weights = run_folder / "phase1" / "final.caffemodel"
    net = run_folder / "rewrite.prototxt"
    samples = Samples(split)
    result = evaluate.region_quality(net, weights, split, TRANSFORM, 8, samples=samples)
    images = []
    for n in range(len(split)):
        resized = render.resize(split.read(n)[0], 40, 40).astype(np.float32)
        images.append(((resized - MEAN) * 0.02).transpose(2, 0, 1))
    ious, hits, kept, whole = [], 0, [], []
    for record, blobs in zip(split.records, forward_alone(caffe, net, weights, images)):
        if record.box is None:
            continue
        box = regions.scale_box(blobs["region"][0], (40, 40), SIZE)
        ious.append(regions.iou(box, record.box))
        hits += regions.holds_centre(box, record.box)
        kept.append(regions.area(box) / (SIZE[0] * SIZE[1]))
        whole.append(regions.area(record.box) / (SIZE[0] * SIZE[1]))
    assert result["n"] == 49 and result["images"] == 50 and result["fallbacks"] == 0
    assert result["mean_iou"] == pytest.approx(np.mean(ious)) and 0 < result["mean_iou"] < 1
    assert result["centre_hit"] == pytest.approx(hits / 49)
    assert result["area_kept"] == pytest.approx(np.mean(kept))
    assert result["whole"] == pytest.approx(
        {"mean_iou": np.mean(whole), "centre_hit": 1.0, "area_kept": 1.0}
    )
    assert result["centred_half"]["area_kept"] == pytest.approx(0.5)


def test_rewriting_with_the_real_layer(caffe, run_folder, tmp_path):
    """The region of every record is the one the Elimination layer gives for it."""
    source = Dataset.open(run_folder / "data").split("train")
    weights, net = run_folder / "phase1" / "final.caffemodel", run_folder / "rewrite.prototxt"
    result = rewrite(source, tmp_path / "out", net, weights, "ALLSOFT", TRANSFORM, 8)
    assert result.count == 50
    out = Dataset.open(tmp_path / "out").split("train")
    images = []
    for n in range(50):
        resized = render.resize(source.read(n)[0], 40, 40).astype(np.float32)
        images.append(((resized - MEAN) * 0.02).transpose(2, 0, 1))
    findings = read_findings(tmp_path / "out" / "regions.csv")
    for n, blobs in enumerate(forward_alone(caffe, net, weights, images)):
        assert findings[n].box == regions.scale_box(blobs["region"][0], (40, 40), SIZE)
        assert findings[n].threshold == pytest.approx(blobs["stats"][0, 0], rel=1e-5)
        soft = render.resize(blobs["attention"][0, 0], *SIZE)
        wanted = (source.read(n)[0] - MEAN) * soft[:, :, None]
        assert np.abs(out.read(n)[0] - wanted).max() < 1


def test_nan_in_a_map_names_the_image(caffe, run_folder, split, tmp_path):
    net = caffe.Net(str(run_folder / "rewrite.prototxt"), caffe.TEST)
    net.params["conv"][1].data[2] = np.nan
    net.save(str(tmp_path / "nan.caffemodel"))
    arguments = (run_folder / "rewrite.prototxt", tmp_path / "nan.caffemodel")
    with pytest.raises(MaapError, match=split.records[0].key):
        evaluate.region_quality(*arguments, split, TRANSFORM, 8)
    source = Dataset.open(run_folder / "data").split("train")
    with pytest.raises(MaapError, match=source.records[0].key):
        rewrite(source, tmp_path / "out", *arguments, "ROI", TRANSFORM, 8)
    net = caffe.Net(str(run_folder / "deploy.prototxt"), caffe.TEST)
    net.params["fc"][1].data[0] = np.nan
    net.save(str(tmp_path / "nan.caffemodel"))
    with pytest.raises(MaapError, match="nan.caffemodel.*NaN"):
        evaluate.evaluate(
            run_folder / "deploy.prototxt", tmp_path / "nan.caffemodel", split, TRANSFORM, 8
        )


def test_wrong_nets_and_files_are_errors(run_folder, split, tmp_path):
    weights = run_folder / "phase1" / "final.caffemodel"
    deploy, rewriter = run_folder / "deploy.prototxt", run_folder / "rewrite.prototxt"
    with pytest.raises(MaapError, match="no blob region"):
        evaluate.region_quality(deploy, weights, split, TRANSFORM, 8)
    with pytest.raises(MaapError, match="one blob of class scores"):
        evaluate.evaluate(rewriter, weights, split, TRANSFORM, 8)
    with pytest.raises(MaapError, match="none.caffemodel"):
        evaluate.evaluate(deploy, tmp_path / "none.caffemodel", split, TRANSFORM, 8)
    with pytest.raises(MaapError, match="crop_size"):
        evaluate.evaluate(deploy, weights, split, Transform(crop_size=32, mean=MEAN), 8)
    (tmp_path / "junk.caffemodel").write_bytes(b"junk" * 100)
    with pytest.raises(MaapError, match="junk.caffemodel"):
        evaluate.evaluate(deploy, tmp_path / "junk.caffemodel", split, TRANSFORM, 8)
    with pytest.raises(MaapError, match="junk.caffemodel"):
        evaluate.region_quality(rewriter, tmp_path / "junk.caffemodel", split, TRANSFORM, 8)


def a_run(run_folder):
    """What evaluate_run needs of a run."""
    stages = [
        dict(name="phase1", kind="train", number=1, title="phase 1", iteration=7, seconds=2.0),
        dict(name="rewrite1", kind="rewrite", number=1, count=50, fallbacks=0, seconds=1.0),
        dict(name="phase2", kind="train", number=2, title="phase 2", iteration=5, seconds=1.5),
    ]
    return SimpleNamespace(
        run=SimpleNamespace(folder=run_folder),
        config=SimpleNamespace(batch=8, gpu=None, a_star="roi"),
        state=dict(stages=stages, data=dict(seconds=4.0)),
        data=Dataset.open(run_folder / "data"),
        test_transform=TRANSFORM,
        weights=lambda number: run_folder / f"phase{number}" / "final.caffemodel",
    )


def test_a_run_gets_its_files(run_folder, split):
    made = evaluate.evaluate_run(a_run(run_folder))
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


def test_samples_are_best_worst_and_spread(run_folder, split):
    evaluate.evaluate_run(a_run(run_folder))
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


def test_the_real_nets_have_what_is_needed():
    files = nets.find_net("alexnet")
    net = nets.resolve_rewrite(files, True, 16, "REDUCE")
    assert list(net.layer[-1].top) == ["dstar", "region", "attention", "stats"]
