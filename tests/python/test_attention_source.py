"""Where attention comes from: rewrite nets made for it, settings, trainings, what is refused."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import class_map_nets
import maap as package
import numpy as np
import pytest
from class_map_nets import BATCH, NETS, images, make, parsed, plain_rewrite
from maap.attention import figure
from maap.attention.class_net import ClassNet, open_finder
from maap.attention.inside import Inside, Source
from maap.config.check import validate
from maap.config.fields import TrainConfig
from maap.data.feeder import Transform
from maap.errors import MaapError
from maap.host import loader
from maap.images import render
from maap.images.boxes import scale_box
from maap.measure.command import evaluate
from maap.nets.attention_source import (
    AttentionSource,
    attended,
    class_map_of,
    layer_looked_at,
)
from maap.nets.folder import find_net
from maap.nets.online import online_net
from maap.nets.prototxt import read_net, to_text, write_text
from maap.nets.resolve import resolve_deploy, resolve_rewrite, resolve_train
from maap.rewrite.output import read_findings
from maap.rewrite.request import Request as RewriteRequest
from maap.rewrite.rewrite import rewrite
from maap.runs.feed import open_data
from maap.runs.request import Request
from maap.runs.run import FINDER, Run
from maap.runs.subject import resolve
from maap.training import prepare
from rewrite_fakes import MEAN, TRANSFORM, make_source, photo
from test_cli import TINY, maap
from test_rewrite import records_of, same_files

# ---- the nets -----------------------------------------------------------------------------------


def source(kind="mean", layer=None):
    return AttentionSource(kind, layer)


@pytest.mark.parametrize(
    "layer, last", [("conv1", "relu1"), ("relu1", "relu1"), ("conv2", "relu2")]
)
def test_another_layer_is_the_net_that_ends_behind_it(layer, last, tmp_path):
    made = make(tmp_path, NETS["hidden"], "mean", layer)
    net = read_net(made.rewrite)
    assert [each.name for each in net.layer][-2:] == [last, f"eliminate_{last}"]
    by_hand = plain_rewrite(NETS["hidden"], blob=last.replace("relu", "conv"), until=last)
    write_text(by_hand, tmp_path / "by_hand.prototxt")
    one, two = (
        open_finder(path, made.weights, BATCH).find(images())
        for path in (made.rewrite, tmp_path / "by_hand.prototxt")
    )
    for ours, wanted in zip(one, two):
        assert np.array_equal(ours, wanted)


def test_the_usual_source_is_the_net_itself():
    net = plain_rewrite(NETS["maps"])
    assert attended(net, parsed(NETS["maps"]), source()) is net


@pytest.mark.parametrize("kind", ["cam", "grad_cam"])
def test_a_net_with_a_class_map_says_so_and_keeps_eliminations_settings(kind, tmp_path):
    made = make(tmp_path, NETS["maps"], kind, settings="a_star: REDUCE threshold_at: MAP")
    net = read_net(made.rewrite)
    end = net.layer[-1]
    assert end.python_param.param_str == "a_star: REDUCE threshold_at: MAP"
    assert list(end.bottom) == ["class_map", "data"]
    about = class_map_of(net)
    assert about == (kind, "relu2" if kind == "grad_cam" else None, "class_map")
    assert list(net.layer[-2].input_param.shape[0].dim) == [BATCH, 1, 6, 6]
    caffe = loader.load()
    whole = caffe.Net(str(made.rewrite), caffe.TEST)  # a Caffe net like any other
    whole.forward()
    assert whole.blobs["stats"].data[:, 4].tolist() == [1, 1]  # its map is 0: flat


def test_blobs_of_the_names_of_eliminations_tops_are_renamed(tmp_path):
    text = NETS["means"].replace('"conv2"', '"attention"').replace('"fc"', '"region"')
    net = attended(plain_rewrite(NETS["means"]), parsed(text), source("grad_cam"))
    write_text(net, tmp_path / "net.prototxt")
    caffe = loader.load()
    loaded = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    assert loaded.blobs["attention"].data.shape == (BATCH, 1, 20, 20)
    loaded.save(str(tmp_path / "weights.caffemodel"))
    finder = ClassNet(tmp_path / "net.prototxt", tmp_path / "weights.caffemodel", BATCH)
    assert np.isfinite(finder.find(images()).attention).all()


@pytest.mark.parametrize(
    "kind, layer, net, words",
    [
        ("mean", "conv22", "maps", ["no layer 'conv22'", "did you mean conv2"]),
        ("grad_cam", "rely1", "maps", ["no layer 'rely1'", "relu1"]),
        ("mean", "fc6", "hidden", ["layer fc6 gives 9 numbers", "no map"]),
        ("mean", "pool5", "means", ["map of layer pool5 is 1x1"]),
        ("mean", "conv10", "maps", ["layer conv10 belongs to the classifier (conv10)"]),
        ("grad_cam", "data", "maps", ["layer data brings the images"]),
        ("grad_cam", "prob", "maps", ["layer prob does not lead to the scores"]),
        ("cam", None, "hidden", ["no linear function of the mean", "--attention grad_cam"]),
        ("cam", "conv2", "maps", ["--attention-layer conv2", "leave the layer out"]),
    ],
)
def test_what_cannot_be_looked_at(kind, layer, net, words):
    with pytest.raises(MaapError) as caught:
        attended(plain_rewrite(NETS[net]), parsed(NETS[net]), source(kind, layer))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "change, words",
    [
        (("kernel_size: 6 stride: 1", "kernel_size: 5 stride: 1"), "linear"),  # 2 x 2 means
        (("pool: AVE", "pool: MAX"), "linear"),
        (('bottom: "pool5" top: "fc"', 'bottom: "conv2" top: "fc"'), "linear"),
    ],
)
def test_cam_wants_an_average_of_the_whole_map(change, words):
    text = NETS["means"].replace(*change)
    assert text != NETS["means"]
    with pytest.raises(MaapError, match=words):
        attended(plain_rewrite(text), parsed(text), source("cam"))


@pytest.mark.parametrize(
    "net, after, side", [("squeezenet", "fire9/concat", 14), ("alexnet", "relu5", 13)]
)
def test_the_papers_nets_and_squeezenet(net, after, side):
    """Grad-CAM at the net folder's layer for both; CAM for the one that averages."""
    files = find_net(net)
    rewriting, deploy = resolve_rewrite(files, False, 2), resolve_deploy(files, False, 7, 2)
    found = attended(rewriting, deploy, source("grad_cam"))
    assert class_map_of(found).after == layer_looked_at(rewriting) == after
    assert list(found.layer[-2].input_param.shape[0].dim) == [2, 1, side, side]
    if net == "squeezenet":
        assert class_map_of(attended(rewriting, deploy, source("cam"))).kind == "cam"
    else:
        with pytest.raises(MaapError, match="grad_cam"):
            attended(rewriting, deploy, source("cam"))


def test_online_training_looks_at_the_layer_that_is_named(tmp_path):
    files = find_net(TINY)
    rewriting = resolve_rewrite(files, True, 2)
    other = attended(rewriting, resolve_deploy(files, True, 4, 2), source("mean", "conv1"))
    net = online_net(resolve_train(files, True, 4, 2, True), other)
    (end,) = [layer for layer in net.layer if layer.type == "Elimination"]
    assert end.bottom[0] == "attention/conv1"
    write_text(net, tmp_path / "net.prototxt")
    caffe = loader.load()
    assert np.isfinite(caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN).forward()["loss"])


# ---- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(attention="cam", attention_layer="conv5"), "leave the layer out"),
        (dict(attention="cam", haap_mode="online"), "leave one of the two out"),
        (dict(attention="grad_cam", haap_mode="online"), "--attention grad_cam takes a pass"),
        (dict(attention="gradcam"), "did you mean grad_cam"),
    ],
)
def test_settings_that_do_not_go_together(settings, words):
    with pytest.raises(MaapError, match=words):
        validate(TrainConfig(**settings))


def test_settings_that_do():
    for settings in (
        dict(attention="grad-cam", attention_layer="conv3"),
        dict(attention_layer="conv3", haap_mode="online"),
        dict(attention="cam"),
    ):
        assert validate(TrainConfig(**settings)).attention in ("grad_cam", "cam", "mean")


def test_a_misspelt_layer_leaves_nothing_behind(tmp_path, mini_images):
    words = ["train", TINY, "--data", mini_images, "--image-size", 64]
    said = maap(*words, "--attention-layer", "conv22", cwd=tmp_path)
    assert "no layer 'conv22'; did you mean conv2" in said
    assert not (tmp_path / "runs").exists()
    said = maap(*words, "--attention", "cam", cwd=tmp_path)
    assert "give --attention grad_cam" in said and not (tmp_path / "runs").exists()


# ---- rewriting ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("photos") / "data", 150)


def rewritten(photos, out, made, a_star="REDUCE"):
    return rewrite(
        photos, out, made.rewrite, made.weights, a_star, TRANSFORM, BATCH, worker_count=2
    )


@pytest.mark.parametrize("kind", ["cam", "grad_cam"])
def test_images_are_rewritten_by_the_map_of_their_label(photos, tmp_path, kind):
    made = make(tmp_path, NETS["means"], kind)
    rewritten(photos, tmp_path / "out", made)
    finder = open_finder(made.rewrite, made.weights, BATCH)
    others = 0
    for number, found in enumerate(read_findings(tmp_path / "out" / "regions.csv")[:30]):
        pixels = render.resize(photos.read(number)[0], 20, 20).astype(np.float32)
        image = ((pixels - MEAN) * np.float32(TRANSFORM.scale)).transpose(2, 0, 1)
        boxes = [finder.find(np.stack([image] * BATCH), [k]).regions[0].copy() for k in range(3)]
        boxes = [scale_box(box, (20, 20), photos.size) for box in boxes]
        assert found.box == boxes[found.label]
        others += len(set(boxes)) > 1
    assert others > 10  # the class matters


def test_a_rewriting_that_was_killed_continues_to_the_same_bytes(photos, tmp_path):
    made = make(tmp_path, NETS["maps"], "grad_cam")
    rewritten(photos, tmp_path / "whole", made)
    words = [photos.folder, tmp_path / "killed", made.rewrite, made.weights, 100]
    script = Path(class_map_nets.__file__)
    done = subprocess.run([sys.executable, script, *map(str, words)], timeout=600)
    assert done.returncode == -signal.SIGKILL and not (tmp_path / "killed").exists()
    assert (tmp_path / ".partial-killed" / "regions.csv").stat().st_size > 0
    assert rewritten(photos, tmp_path / "killed", made).count == 150
    assert records_of(tmp_path / "killed") == records_of(tmp_path / "whole")
    same_files(tmp_path / "killed", tmp_path / "whole")


def test_the_request_of_a_rewriting_has_the_source(photos, tmp_path):
    requests = []
    for kind, layer in (("mean", None), ("mean", "conv1"), ("cam", None), ("grad_cam", None)):
        made = make(tmp_path / f"{kind}{layer}", NETS["maps"], kind, layer)
        about = (photos, made.rewrite, made.weights, "ROI", TRANSFORM, BATCH)
        requests.append(RewriteRequest.of(*about))
    noted = [request.found_from for request in requests]
    assert noted == [None, None, "CAM", "Grad-CAM of relu2"]
    for n, one in enumerate(requests):
        assert [one.makes_the_same_as(other) for other in requests] == [k == n for k in range(4)]


@pytest.mark.parametrize(
    "kind, name", [("grad_cam", "Grad-CAM"), ("scaled_mean", "the scaled mean")]
)
def test_what_is_shown_is_what_was_found(tmp_path, kind, name):
    """The picture's A is the class map's, its mask that of A."""
    made = make(tmp_path, NETS["hidden"], kind)
    transform = Transform(crop_size=20, mean=MEAN, scale=0.02)
    about = (made.deploy, made.weights, transform, (20, 20))
    seen = Inside(Source(*about, rewrite=made.rewrite)).look("x", photo(3)[0])
    assert seen.attention.map.min() >= 0.5 and seen.attention.map.max() <= 0.7311
    assert np.array_equal(seen.attention.mask > 0, seen.attention.map > seen.attention.threshold)
    notes = {one.blob: one.note for _, maps in seen.rows for one in maps}
    assert notes["conv2"] == f"{name}'s map"
    headings = [heading for heading, _ in figure.sections(seen)]
    assert f"High-level attention: what Elimination finds in {name} of relu2" in headings


# ---- a training ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory, mini_images, cache_folder):
    """A finished run of grad_cam."""
    folder = tmp_path_factory.mktemp("trained")
    config = TrainConfig(net=TINY, data=str(mini_images), image_size=64, name="classy", batch=8)
    config = dataclasses.replace(config, runs_dir=str(folder), max_iter=8, phase2_iter=4)
    config = dataclasses.replace(config, base_lr=0.01, threads=1, attention="grad_cam")
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache_folder)
    try:
        package.train(config)
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before
    return Run(folder / "classy")


def test_a_training_by_grad_cam(trained):
    rewriting = read_net(trained.folder / "rewrite.prototxt")
    assert class_map_of(rewriting).after == "relu2"
    found = read_findings(trained.folder / "rewrite1" / "regions.csv")
    assert len(found) == 48
    highest = [row.map_max for row in found if not row.fallback]
    assert min(highest) > 0.7 and max(highest) <= 1 / (1 + np.exp(-1)) + 1e-6
    page = (trained.folder / "report.html").read_text(encoding="utf-8")
    assert "regions from Grad-CAM" in page
    assert trained.config().attention == "grad_cam"


def test_a_resume_with_another_source_is_refused(trained):
    words = ["--resume", "classy", "--runs-dir", trained.folder.parent]
    said = maap("train", *words, "--attention", "mean", cwd=trained.folder.parent)
    assert "--attention is mean, the run has grad_cam" in said


def test_a_run_with_another_source_than_its_own(trained, tmp_path):
    """The net that is made is the one that a training with those settings would have."""
    files = find_net(TINY)
    whole, deploy = resolve_rewrite(files, True, 8), read_net(trained.folder / "deploy.prototxt")
    for number, (kind, layer) in enumerate([("mean", None), ("mean", "conv1"), (None, "conv1")]):
        request = Request(run=str(trained.folder), attention=kind, attention_layer=layer)
        (tmp_path / str(number)).mkdir()
        subject = resolve(request, tmp_path / str(number), with_data=False)
        found = read_net(subject.rewrite)
        if kind is None:
            assert class_map_of(found).after == "enhance1"
        else:
            wanted = attended(whole, deploy, source(kind, layer or "relu2"))
            assert to_text(found) == to_text(wanted)
        assert subject.attention == subject.rewrite
    with pytest.raises(MaapError, match="give --attention grad_cam"):
        resolve(Request(run=str(trained.folder), attention="cam"), tmp_path, with_data=False)


def test_a_source_and_how_regions_are_found_go_together(trained, tmp_path):
    request = Request(run=str(trained.folder), attention_layer="conv1", padding=0.25)
    subject = resolve(request, tmp_path, with_data=False)
    net = read_net(subject.finder)
    assert class_map_of(net).after == "enhance1"
    assert net.layer[-1].python_param.param_str == "a_star: ROI threshold_at: INPUT padding: 0.25"


@pytest.mark.parametrize("settings", [dict(attention="grad_cam"), dict(attention_layer="conv1")])
def test_a_run_that_rewrites_nothing_is_measured_by_its_source(trained, tmp_path, settings):
    """Where its regions would be, for the accuracy on images cut to them."""
    config = dataclasses.replace(
        trained.config(), **{**dict(variant="baseline", attention="mean"), **settings}
    )
    run = Run(tmp_path / "plain")
    run.folder.mkdir()
    prepare.set_up(run, dataclasses.replace(config, name="plain"), open_data(trained.state()), 0.0)
    assert not (run.folder / "rewrite.prototxt").exists()
    net = read_net(run.folder / FINDER)
    after = "relu2" if "attention" in settings else None
    assert (class_map_of(net).after if after else class_map_of(net)) == after
    assert layer_looked_at(net) == ("class_map" if after else "relu1")


def test_evaluate_finds_the_regions_of_a_source(trained, tmp_path, private_cache):
    found = {}
    for kind in (None, "mean", "grad_cam"):
        out = tmp_path / str(kind)
        evaluate(Request(run=str(trained.folder), attention=kind), 1, None, out)
        found[kind] = (out / "regions.csv").read_text()
    assert found[None] == found["grad_cam"] != found["mean"]


def test_the_commands_take_a_source(trained, tmp_path):
    where = ["--runs-dir", trained.folder.parent]
    words = ["--attention", "mean", "--attention-layer", "conv1"]
    said = maap("rewrite", "classy", *where, *words, "--out", "out", cwd=tmp_path, status=0)
    assert "48 images in out" in said
    image = next(Path(trained.config().data).glob("test/*/*.png"))
    maap("visualize", image, "--run", "classy", *where, *words, cwd=tmp_path, status=0)
    assert list((tmp_path / "visualize").glob("*.png"))


def test_weights_of_any_number_of_classes_are_looked_into(trained, tmp_path):
    """Without a data set the weights say how many classes there are: 200 in the file, 4 here."""
    shutil.copytree(TINY, tmp_path / "net")
    path = tmp_path / "net" / "deploy_laap.prototxt"
    text = path.read_text().replace("num_output: 4\n", "num_output: 200\n")
    path.write_text(text)
    assert "num_output: 200" in text
    weights = trained.folder / "phase1" / "final.caffemodel"
    request = Request(net=str(tmp_path / "net"), weights=str(weights), attention="grad_cam")
    subject = resolve(request, tmp_path, with_data=False)
    assert class_map_of(read_net(subject.attention)).after == "relu2"
    finder = open_finder(subject.attention, weights, 1)
    assert finder.find(np.ones((1, 3, 56, 56), np.float32)).stats.shape == (1, 5)
