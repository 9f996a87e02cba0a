"""RA-CNN's files, and examples/racnn.py on a few made-up images."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest
from examples_support import load_example, write_cut_outs
from google.protobuf import text_format
from maap.data.importers.demo import make_demo

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "prototxt" / "squeezenet" / "racnn"
CLASSES = 3


@pytest.fixture(scope="module")
def generator():
    return load_example(FOLDER / "generate.py")


@pytest.fixture(scope="module")
def example():
    return load_example(ROOT / "examples" / "racnn.py")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six images of 256 x 256 for training, three for the test: a disc of its own colour each."""
    folder = tmp_path_factory.mktemp("racnn")
    discs = np.zeros((CLASSES, 120, 120, 4), np.uint8)
    for number, disc in enumerate(discs):
        colour = [30, 30, 30, 255]
        colour[number] = 230
        cv2.circle(disc, (60, 60), 50, colour, -1)
    write_cut_outs(folder / "cache", discs)
    return make_demo(
        folder / "set",
        folder / "cache",
        species=CLASSES,
        per_species_train=2,
        per_species_test=1,
        size=256,
    )


@pytest.fixture(scope="module")
def weights(generator, tmp_path_factory):
    """A SqueezeNet that knows nothing."""
    folder = tmp_path_factory.mktemp("weights")
    caffe.set_random_seed(4)
    caffe.Net(FOLDER.parent / "deploy.prototxt", caffe.TEST).save(str(folder / "net.caffemodel"))
    return folder / "net.caffemodel"


def settings_for(generator, data, **changes):
    made = generator.Settings(
        classes=CLASSES,
        data=str(data.folder),
        hidden=8,
        batch=2,
        test_batch=2,
        test_images=3,
        start_iterations=40,
        iterations=1,
        attention_iterations=2,
        attention_rate=0.02,
    )
    return replace(made, **changes)


def test_the_files_are_the_generators():
    command = [sys.executable, FOLDER / "generate.py", "--check"]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == 0


def test_the_files_differ_where_a_setting_does(generator):
    texts = generator.texts(generator.Settings(), "x")
    other = generator.texts(generator.Settings(gradient="MASK", zoom=2), "x")
    assert {name for name in texts if texts[name] != other[name]} == {
        name for name in texts if not name.startswith("solver")
    }
    net = text_format.Parse(other["deploy.prototxt"], caffe.proto.caffe_pb2.NetParameter())
    (crop,) = [layer for layer in net.layer if layer.type == "AttentionCrop"]
    assert crop.attention_crop_param.output_size == 227
    assert list(net.layer[0].input_param.shape[0].dim) == [10, 3, 454, 454]


def learnt(net):
    return {name: [blob.data.copy() for blob in blobs] for name, blobs in net.params.items()}


@pytest.mark.parametrize(
    "name, learns",
    [("start", ("apn",)), ("attention", ("apn",)), ("classifiers", ("conv", "fire", "fine_"))],
)
@pytest.mark.parametrize("gradient", ["EXACT", "MASK"])
def test_what_learns_in_a_turn(generator, data, tmp_path, name, learns, gradient):
    """All of it, and nothing else. Ranking needs squares that a loss depends on: a margin of 1."""
    settings = settings_for(generator, data, gradient=gradient, margin=1.0, prefix=f"{tmp_path}/")
    for file, text in generator.texts(settings, str(tmp_path)).items():
        (tmp_path / file).write_text(text)
    trained = caffe.get_solver(str(tmp_path / f"solver_{name}.prototxt"))
    before = learnt(trained.net)
    trained.step(2)
    after = learnt(trained.net)
    changed = {
        layer
        for layer in before
        if any((a != b).any() for a, b in zip(before[layer], after[layer]))
    }
    assert changed == {layer for layer in before if layer.startswith(learns)}


def test_both_scales_start_from_the_same_weights(generator, data, weights, tmp_path):
    out = tmp_path / "start.caffemodel"
    command = [sys.executable, FOLDER / "start_weights.py", weights, out]
    subprocess.run(command, check=True)
    settings = settings_for(generator, data, classes=200)
    (tmp_path / "deploy.prototxt").write_text(generator.texts(settings, "x")["deploy.prototxt"])
    net = caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST, weights=str(out))
    single = caffe.Net(str(FOLDER.parent / "deploy.prototxt"), caffe.TEST, weights=str(weights))
    for name, blobs in single.params.items():
        for mine, fine, blob in zip(net.params[name], net.params[f"fine_{name}"], blobs):
            assert (mine.data == blob.data).all() and (fine.data == blob.data).all()
    # A square around the whole image shows the second scale what the first one sees.
    net.params["apn2"][0].data[...] = 0
    net.params["apn2"][1].data[...] = 0, 0, 20
    images = np.random.RandomState(3).uniform(-100, 100, (2, 3, 227, 227))
    net.blobs["data"].reshape(*images.shape)
    found = net.forward(data=images)
    assert np.abs(net.blobs["crop"].data - images).max() < 1e-2
    assert found["prob"].shape == (2, 200, 1, 1)
    assert np.abs(net.blobs["prob1"].data - net.blobs["prob2"].data).max() < 1e-4


def test_overlaps(example):
    squares = np.array([[50, 50, 10], [50, 50, 10], [2, 98, 10], [50, 50, 20.0]])
    boxes = np.array([[50, 50, 70, 70], [70, 70, 90, 90], [10, 98, 22, 110], [30, 30, 90, 90.0]])
    # Squares begin at 40 + 10; the third is cut to 12 x 12 pixels at (10, 98).
    expected = [1, 0, 1, 40 * 40 / 60**2]
    assert np.allclose(example.overlaps(squares, boxes, 10, 100), expected)


def start_loss(training):
    """How far the attention is from the found regions' squares, over the test images."""
    net = training.test_net("start_test")
    return sum(float(net.forward()["start_loss"]) for _ in range(3))


def test_the_example(example, generator, data, weights, tmp_path):
    """Start and a turn, from weights of another classifier; the start learns the regions."""
    net = caffe.io.read_weights(weights)
    for layer in net.layer:
        layer.name = layer.name.replace("conv10_cub", "conv10")
    weights = tmp_path / "published.caffemodel"
    weights.write_bytes(net.SerializeToString())
    settings = settings_for(generator, data, prefix=f"{tmp_path}/")
    (tmp_path / "start").mkdir()
    start = example.doubled(weights, tmp_path)
    started = example.Training(tmp_path / "start", settings, data, start)
    before = start_loss(started)
    started.train("start", settings.start_iterations)
    assert start_loss(started) < 0.8 * before  # 0.58 times
    after = learnt(started.test_net("test"))  # the start's net has no second scale
    for name in set(after) - {"conv10_cub"}:
        for fine, blob in zip(after.get(f"fine_{name}", []), after[name]):
            assert (fine == blob).all(), name
    row = example.one_seed(tmp_path, settings, data, start, turns=1)
    assert row["seed"] == 1 and [r["turn"] for r in row["rows"]] == [0, 1]
    assert 0 <= row["IoU of the found regions' squares"] <= 1
    for found in row["rows"]:
        assert 0 <= found["IoU"] <= 1 and 0.1 <= found["half side, share"] <= 0.5
        assert {found["scale 1"], found["scale 2"]} <= {0, 33.33, 66.67, 100}
    assert json.loads(json.dumps(row)) == row
