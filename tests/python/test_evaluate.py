"""Accuracy and region quality on a small net in the host's Caffe, against one image after the
other and NumPy."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from evaluate_fakes import TRANSFORM, centre_input, forward_alone, make_run
from maap.data.feeder import Transform
from maap.data.store import Dataset
from maap.data.views import View
from maap.errors import MaapError
from maap.host import loader
from maap.images import boxes as box_geometry
from maap.images import render
from maap.measure import classify, regions
from maap.measure.samples import Samples
from maap.nets.folder import find_net
from maap.nets.resolve import resolve_rewrite
from maap.rewrite.output import read_findings
from maap.rewrite.rewrite import rewrite
from rewrite_fakes import MEAN, SIZE


@pytest.fixture(scope="module")
def caffe():
    return loader.load()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def split(run_folder):
    return Dataset.open(run_folder / "data").split("test")


def test_accuracy_is_that_of_one_image_after_the_other(caffe, run_folder, split):
    weights = run_folder / "phase1" / "final.caffemodel"
    result = classify.measure_accuracy(run_folder / "deploy.prototxt", weights, split, TRANSFORM, 8)
    images = [centre_input(split.read(n)[0]) for n in range(len(split))]
    guesses, confusion = [], np.zeros((3, 3), int)
    for n, blobs in enumerate(
        forward_alone(caffe, run_folder / "deploy.prototxt", weights, images)
    ):
        guesses.append(int(blobs["prob"][0].argmax()))
        confusion[split.records[n].label, guesses[-1]] += 1
    assert [row.predicted for row in result.predictions] == guesses
    found = result.accuracy
    assert found.confusion == confusion.tolist()
    assert found.count == 50 and found.top5 == 1.0
    assert found.top1 == pytest.approx(np.trace(confusion) / 50)
    assert 0 < found.top1 < 1 and len(set(guesses)) > 1
    assert [c.count for c in found.per_class] == confusion.sum(axis=1).tolist()


def test_ten_crops_are_the_mean_of_ten_forward_passes(caffe, run_folder, split):
    net, weights = run_folder / "deploy.prototxt", run_folder / "phase1" / "final.caffemodel"
    classifier = classify.Classifier(net, weights, 7)
    scores = classify.class_scores(classifier, split, TRANSFORM, view=View(10))
    assert scores.shape == (50, 3)
    for n in (0, 31, 49):
        image = split.read(n)[0].astype(np.float32) - MEAN
        crops = caffe.io.oversample([image], (40, 40)).transpose(0, 3, 1, 2) * 0.02
        probs = [blobs["prob"][0] for blobs in forward_alone(caffe, net, weights, crops)]
        assert scores[n] == pytest.approx(np.mean(probs, axis=0, dtype=np.float64), rel=1e-5)
    centre = classify.class_scores(classifier, split, TRANSFORM)
    assert np.abs(centre - scores).max() > 1e-3


def test_accuracy_on_cut_images_is_that_of_images_cut_by_hand(caffe, run_folder, split):
    net, weights = run_folder / "deploy.prototxt", run_folder / "phase1" / "final.caffemodel"
    classifier = classify.Classifier(net, weights, 8)
    whole = classify.class_scores(classifier, split, TRANSFORM)
    found = [(n % 9, n % 5, n % 9 + 33, n % 5 + 28) for n in range(50)]
    result = regions.cropped_accuracy(classifier, split, TRANSFORM, whole, found)
    true = [[int(v) for v in r.box] if r.box else [0, 0, *SIZE[::-1]] for r in split.records]
    everything = [[0, 0, *SIZE[::-1]]] * 50
    for key, boxes in dict(region=found, true_box=true, whole=everything).items():
        images = []
        for n, (x1, y1, x2, y2) in enumerate(boxes):
            part = np.ascontiguousarray(split.read(n)[0][y1:y2, x1:x2])
            images.append(centre_input(render.resize(part, *SIZE)))
        guesses = [b["prob"][0].argmax() for b in forward_alone(caffe, net, weights, images)]
        right = [g == r.label for g, r in zip(guesses, split.records) if r.box is not None]
        shares = getattr(result, key)
        assert shares.top1 == pytest.approx(np.mean(right)) and shares.top5 == 1
    assert result.n == 49
    assert len({getattr(result, key).top1 for key in ("region", "true_box", "whole")}) > 1
    alone = regions.cropped_accuracy(classifier, split, TRANSFORM, whole, None)
    assert alone == dataclasses.replace(result, region=None)


def test_ranks_and_ties():
    split = SimpleNamespace(
        classes=list("abcdefg"),
        records=[SimpleNamespace(key=str(n), label=label) for n, label in enumerate((5, 1, 4))],
    )
    scores = np.array([[9, 8, 7, 6, 5, 4, 3], [1, 1, 0, 0, 0, 0, 0], [0, 5, 5, 5, 5, 5, 6]], float)
    result = classify.rate_scores(scores, split)
    assert [row.rank for row in result.predictions] == [5, 1, 4]
    assert result.accuracy.top1 == 0 and result.accuracy.top5 == pytest.approx(2 / 3)
    assert result.accuracy.per_class[0].top1 is None


def test_regions_are_those_of_one_image_after_the_other(caffe, run_folder, split):
    weights = run_folder / "phase1" / "final.caffemodel"
    net = run_folder / "rewrite.prototxt"
    samples = Samples(split)
    measured = regions.measure_regions(net, weights, split, TRANSFORM, 8, samples=samples)
    result = measured.quality
    images = []
    for n in range(len(split)):
        resized = render.resize(split.read(n)[0], 40, 40).astype(np.float32)
        images.append(((resized - MEAN) * 0.02).transpose(2, 0, 1))
    ious, hits, kept, whole = [], 0, [], []
    for record, blobs in zip(split.records, forward_alone(caffe, net, weights, images)):
        if record.box is None:
            continue
        box = box_geometry.scale_box(blobs["region"][0], (40, 40), SIZE)
        ious.append(box_geometry.iou(box, record.box))
        hits += box_geometry.holds_centre(box, record.box)
        kept.append(box_geometry.area(box) / (SIZE[0] * SIZE[1]))
        whole.append(box_geometry.area(record.box) / (SIZE[0] * SIZE[1]))
    assert result.n == 49 and result.images == 50 and result.fallbacks == 0
    assert result.mean_iou == pytest.approx(np.mean(ious)) and 0 < result.mean_iou < 1
    assert result.centre_hit == pytest.approx(hits / 49)
    assert result.area_kept == pytest.approx(np.mean(kept))
    assert result.whole.to_json() == pytest.approx(
        {"mean_iou": np.mean(whole), "centre_hit": 1.0, "area_kept": 1.0}
    )
    assert result.centred_half.area_kept == pytest.approx(0.5)
    assert result.true_box.to_json() == pytest.approx(
        {"mean_iou": 1.0, "centre_hit": 1.0, "area_kept": np.mean(whole)}
    )
    assert len(measured.boxes) == 50


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
        assert findings[n].box == box_geometry.scale_box(blobs["region"][0], (40, 40), SIZE)
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
        regions.measure_regions(*arguments, split, TRANSFORM, 8)
    source = Dataset.open(run_folder / "data").split("train")
    with pytest.raises(MaapError, match=source.records[0].key):
        rewrite(source, tmp_path / "out", *arguments, "ROI", TRANSFORM, 8)
    net = caffe.Net(str(run_folder / "deploy.prototxt"), caffe.TEST)
    net.params["fc"][1].data[0] = np.nan
    net.save(str(tmp_path / "nan.caffemodel"))
    with pytest.raises(MaapError, match="nan.caffemodel.*NaN"):
        classify.measure_accuracy(
            run_folder / "deploy.prototxt", tmp_path / "nan.caffemodel", split, TRANSFORM, 8
        )


def test_wrong_nets_and_files_are_errors(run_folder, split, tmp_path):
    weights = run_folder / "phase1" / "final.caffemodel"
    deploy, rewriter = run_folder / "deploy.prototxt", run_folder / "rewrite.prototxt"
    with pytest.raises(MaapError, match="no blob region"):
        regions.measure_regions(deploy, weights, split, TRANSFORM, 8)
    with pytest.raises(MaapError, match="one blob of class scores"):
        classify.measure_accuracy(rewriter, weights, split, TRANSFORM, 8)
    with pytest.raises(MaapError, match="none.caffemodel"):
        classify.measure_accuracy(deploy, tmp_path / "none.caffemodel", split, TRANSFORM, 8)
    with pytest.raises(MaapError, match="crop_size"):
        classify.measure_accuracy(deploy, weights, split, Transform(crop_size=32, mean=MEAN), 8)
    (tmp_path / "junk.caffemodel").write_bytes(b"junk" * 100)
    with pytest.raises(MaapError, match="junk.caffemodel"):
        classify.measure_accuracy(deploy, tmp_path / "junk.caffemodel", split, TRANSFORM, 8)
    with pytest.raises(MaapError, match="junk.caffemodel"):
        regions.measure_regions(rewriter, tmp_path / "junk.caffemodel", split, TRANSFORM, 8)


def test_the_real_nets_have_what_is_needed():
    files = find_net("alexnet")
    net = resolve_rewrite(files, True, 16, "REDUCE")
    assert list(net.layer[-1].top) == ["dstar", "region", "attention", "stats"]
