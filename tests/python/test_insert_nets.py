"""Inserted nets in the host's Caffe: without attention they are the baseline, and they train.

"Attention is zero" is made true in two ways. Behind a convolution without an activation a large
negative bias makes the mean map so low that A = logistic(mean) is 0 in float: then F' = F bit for
bit, and so is everything behind it and every gradient. Behind a ReLU A is at least a half; there
F' = (1 + A) F is divided by 1 + A where it stands, and the rest of the net must be the baseline's.
"""

import dataclasses
import json
import re
import subprocess
import sys

import maap as package
import numpy as np
import other_nets
import pytest
from maap.config.fields import TrainConfig
from maap.data import find
from maap.host import loader
from maap.images.region_options import RegionOptions
from maap.nets import attention_layers
from maap.nets.folder import find_net
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_deploy, resolve_rewrite, resolve_train
from maap.runs.run import Run

CLASSES, BATCH = 4, 3

# Network, the layer named, whether Enhancement must get a blob of its own.
PLACES = [
    ("squeeze", "conv1", False),
    ("squeeze", "fire2/concat", True),
    ("squeeze", "fire2/squeeze1x1", False),  # read by two layers
    ("inception", "conv1/7x7_s2", False),
    ("inception", "pool1/norm1", True),
    ("inception", "inception_3a/scale_1x1", True),
    ("inception", "inception_3a/output", False),  # the auxiliary classifier reads it, too
    ("lenet", "pool1", False),
    ("residual", "conv1", False),  # behind BatchNorm and Scale in place
    ("residual", "res2a", False),  # the next block's shortcut reads it, too
    ("residual", "res2b_branch2b", False),
]
IDS = [f"{name}-{after}".replace("/", "_") for name, after, _ in PLACES]


@pytest.fixture(scope="module")
def caffe():
    return loader.load()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """(network, layer) -> net folder with Enhancement behind that layer, made once."""
    made, root = {}, tmp_path_factory.mktemp("inserted")

    def folder(name, after=None):
        if (name, after) not in made:
            out = root / str(len(made))
            other_nets.folder_of(name, out, enhance_after=after)
            made[name, after] = find_net(out)
        return made[name, after]

    return folder


def load(caffe, net, path, phase="TEST"):
    write_text(net, path)
    caffe.set_random_seed(1)
    return caffe.Net(str(path), getattr(caffe, phase))


def pair(caffe, folders, tmp_path, name, after, resolve, phase="TEST"):
    """The net with and without Enhancement, with the same weights and the same input."""
    files, two = folders(name, after), []
    for laap in (False, True):
        net = load(caffe, resolve(files, laap), tmp_path / f"{laap}.prototxt", phase)
        random = np.random.RandomState(7)
        for layer in sorted(net.params):
            for blob in net.params[layer]:
                blob.data[...] = random.uniform(-0.2, 0.4, blob.data.shape)
        for kind in net.layers:
            if kind.type == "BatchNorm":
                kind.blobs[1].data[...] = 0.5  # variances
                kind.blobs[2].data[...] = 1  # how often they were added up
        random = np.random.RandomState(8)
        net.blobs["data"].data[...] = random.uniform(-1, 1, net.blobs["data"].data.shape)
        if "label" in net.blobs:
            net.blobs["label"].data[...] = np.arange(BATCH) % CLASSES
        two.append(net)
    return two


def deploy(files, laap):
    return resolve_deploy(files, laap, CLASSES, BATCH)


def train(files, laap):
    """Without dropout: its masks would differ between the two nets."""
    net = resolve_train(files, laap, CLASSES, BATCH, False)
    for layer in net.layer:
        if layer.type == "Dropout":
            layer.dropout_param.dropout_ratio = 0
    return net


def logistic(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("name, after, own_blob", PLACES, ids=IDS)
def test_divided_by_its_attention_the_net_is_the_baseline(
    caffe, folders, tmp_path, name, after, own_blob
):
    plain, laap = pair(caffe, folders, tmp_path, name, after, deploy)
    names = list(laap._layer_names)
    at = next(n for n, layer in enumerate(laap.layers) if layer.type == "Enhancement")
    (top,) = laap.top_names[names[at]]
    (bottom,) = laap.bottom_names[names[at]]
    assert (top != bottom.split("_split_")[0]) == own_blob
    plain.forward()
    laap.forward(end=names[at - 1])
    features = laap.blobs[bottom].data.astype(np.float64)
    laap.forward(start=names[at], end=names[at])
    attention = logistic(features.mean(axis=1, keepdims=True))
    expected = (1 + attention) * features
    np.testing.assert_allclose(laap.blobs[top].data, expected, rtol=1e-5, atol=1e-6)
    assert abs(expected - features).max() > 1e-2  # there is something to take away
    laap.blobs[top].data[...] = features
    laap.forward(start=names[at + 1])
    compared = 0
    for blob in plain.blobs:
        if blob in laap.blobs and names[at] not in blob:
            expected, found = plain.blobs[blob].data, laap.blobs[blob].data
            if not own_blob or blob not in (bottom, top):
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=blob)
                compared += 1
    assert compared >= 5 and plain.outputs == laap.outputs


@pytest.mark.parametrize("phase", ["deploy", "train"])
def test_with_attention_at_zero_the_net_is_the_baseline_to_the_bit(caffe, folders, tmp_path, phase):
    resolve, kind = (deploy, "TEST") if phase == "deploy" else (train, "TRAIN")
    plain, laap = pair(caffe, folders, tmp_path, "lenet", "conv1", resolve, kind)
    for net in (plain, laap):
        net.params["conv1"][1].data[...] = -300
        random = np.random.RandomState(9)
        for name in ("conv2", "ip1", "ip2_new"):  # weights at which not all ends in one class
            weights = net.params[name][0].data
            weights[...] = random.uniform(-0.02, 0.02, weights.shape)
        net.forward()
    assert "Enhancement" in [layer.type for layer in laap.layers]
    for blob in plain.blobs:
        np.testing.assert_array_equal(laap.blobs[blob].data, plain.blobs[blob].data, err_msg=blob)
    if phase == "deploy":
        return
    for net in (plain, laap):
        net.backward()
    for layer, blobs in plain.params.items():
        for number, blob in enumerate(blobs):
            assert abs(blob.diff).max() > 0, layer
            np.testing.assert_array_equal(laap.params[layer][number].diff, blob.diff, layer)


@pytest.mark.parametrize("name, after, own_blob", PLACES, ids=IDS)
def test_gradients_are_those_of_a_net_that_never_works_in_place(
    caffe, folders, tmp_path, monkeypatch, name, after, own_blob
):
    """In place or not, Enhancement's gradient and those before it are the same."""
    _, laap = pair(caffe, folders, tmp_path, name, after, train, "TRAIN")
    monkeypatch.setattr(attention_layers, "safe_in_place", lambda layers, at: False)
    apart = tmp_path / "apart"
    other_nets.folder_of(name, apart, enhance_after=after)
    monkeypatch.undo()
    found = gradients(laap)
    other = pair(caffe, lambda *_: find_net(apart), tmp_path, name, after, train, "TRAIN")[1]
    expected = gradients(other)
    assert expected.keys() == found.keys()
    for layer, values in expected.items():
        np.testing.assert_allclose(found[layer], values, rtol=1e-4, atol=1e-6, err_msg=layer)


def test_in_place_behind_a_normalisation_would_be_wrong(caffe, folders, tmp_path, monkeypatch):
    """What `safe_in_place` is there for: the gradient of Caffe's LRN reads what LRN wrote. (The
    engine's own for the CPU does not.)"""

    def plain(files, laap):
        net = train(files, laap)
        for layer in net.layer:
            if layer.type == "LRN":
                layer.lrn_param.engine = layer.lrn_param.CAFFE
        return net

    place = ("inception", "pool1/norm1", plain, "TRAIN")
    _, laap = pair(caffe, folders, tmp_path, *place)
    monkeypatch.setattr(attention_layers, "safe_in_place", lambda layers, at: True)
    wrong = tmp_path / "wrong"
    other_nets.folder_of("inception", wrong, enhance_after="pool1/norm1")
    monkeypatch.undo()
    other = pair(caffe, lambda *_: find_net(wrong), tmp_path, *place)[1]
    right, spoilt = gradients(laap)["conv1/7x7_s2"], gradients(other)["conv1/7x7_s2"]
    assert abs(right - spoilt).max() > 1e-5 * abs(right).max()


def gradients(net):
    net.forward()
    net.backward()
    return {
        layer: np.concatenate([blob.diff.ravel() for blob in blobs])
        for layer, blobs in net.params.items()
    }


@pytest.mark.parametrize("name", other_nets.FILES)
@pytest.mark.parametrize("laap", [False, True])
def test_rewrite_nets_run(caffe, folders, tmp_path, name, laap):
    net = resolve_rewrite(folders(name), laap, BATCH, "ALLSOFT", RegionOptions("map"))
    net = load(caffe, net, tmp_path / "net.prototxt")
    images = np.random.RandomState(3).uniform(-90, 90, net.blobs["data"].data.shape)
    net.blobs["data"].data[...] = images
    out = net.forward()
    assert set(out) == {"dstar", "region", "attention", "stats"}
    np.testing.assert_allclose(out["dstar"], out["attention"] * images, rtol=1e-4, atol=1e-4)


def test_elimination_behind_enhancement_takes_its_map(caffe, folders, tmp_path):
    """Both behind LeNet's conv1: the map that is looked at is F'."""
    plain, laap = (
        load(
            caffe,
            resolve_rewrite(folders("lenet"), laap, BATCH),
            tmp_path / f"{laap}.prototxt",
        )
        for laap in (False, True)
    )
    images = np.random.RandomState(3).uniform(-1, 1, plain.blobs["data"].data.shape)
    for net in (plain, laap):
        net.params["conv1"][0].data[...] = plain.params["conv1"][0].data
        net.blobs["data"].data[...] = images
        net.forward()
    mean = plain.blobs["conv1"].data.mean(axis=1)
    highest = logistic((1 + logistic(mean)) * mean).max(axis=(1, 2))
    assert (laap.blobs["stats"].data[:, 2] <= highest + 1e-5).all()  # the upsampled map's maximum
    assert (laap.blobs["stats"].data[:, 2] > plain.blobs["stats"].data[:, 2]).any()


# ---- training -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("private_cache")
@pytest.mark.parametrize("name", ["squeeze", "inception"])
def test_a_whole_run_of_two_iterations(folders, tmp_path, mini_images, name):
    config = TrainConfig(
        net=str(folders(name).folder), data=str(mini_images), runs_dir=str(tmp_path), name="run",
        image_size=64, batch=4, max_iter=2, phase2_iter=2, base_lr=1e-3, threads=1,
    )  # fmt: skip
    result = package.train(config)
    assert [phase.iterations for phase in result.evaluation.phases] == [2, 2]
    assert result.evaluation.rewrites[0].count == 48
    assert result.report.is_file()
    state = json.loads((result.folder / "state.json").read_text())
    assert state["input"]["TRAIN"]["crop_size"] == other_nets.read(name).size


@pytest.mark.usefixtures("private_cache")
def test_the_verbs_take_a_net_folder(folders, tmp_path, mini_images):
    def verb(*words):
        command = [sys.executable, "-m", "maap", *map(str, words), "--threads", "1"]
        kind = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        done = subprocess.run(command, **kind)
        assert done.returncode == 0, done.stderr
        return done.stdout

    net = ("--net-dir", folders("lenet").folder)
    sizes = "--batch 4 --max-iter 2 --phase2-iter 2 --base-lr 0.001 --name run".split()
    data = ("--data", mini_images)
    trained = verb("train", *net, *data, *sizes, "--runs-dir", tmp_path)
    found = re.search(r"top-1 \S+ ", trained).group().strip()
    assert Run(tmp_path / "run").config().image_size == 32  # for an input of 28
    weights = ("--weights", tmp_path / "run" / "phase2" / "final.caffemodel")
    assert found in verb("evaluate", *net, *data, *weights)
    assert "48 images in" in verb("rewrite", *net, *data, *weights, "--out", tmp_path / "out")


@pytest.mark.parametrize("size, stored", [(28, 32), (56, 64), (224, 256), (227, 256), (448, 512)])
def test_images_are_stored_a_little_larger_than_the_input(tmp_path, size, stored):
    other_nets.folder_of("lenet", tmp_path / "net", input_size=size)
    config = TrainConfig(net=str(tmp_path / "net"))
    assert find.stored_size(config) == stored
    assert find.stored_size(dataclasses.replace(config, image_size=99)) == 99
