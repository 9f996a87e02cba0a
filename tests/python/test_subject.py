"""Which net, weights, data and transform a run or a weights file stands for."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from maap.config.fields import TrainConfig
from maap.data.importers.folder import import_folder
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.host import loader
from maap.images.region_options import RegionOptions
from maap.measure.command import region_qualities, region_quality
from maap.measure.regions import measure_regions
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net, write_text
from maap.nets.resolve import resolve_rewrite
from maap.report.compare import chosen
from maap.runs.request import Request
from maap.runs.run import Run, find_run, run_at
from maap.runs.subject import of_run, resolve
from maap.training import prepare
from maap.training.train import train
from rewrite_fakes import make_source
from test_cli import TINY, maap

pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.fixture(scope="module")
def run(tmp_path_factory, mini_images):
    """The run `birds` with random weights, whose images were resized by short_side."""
    folder = tmp_path_factory.mktemp("subject")
    import_folder(Path(mini_images), folder / "data", size=64, policy="short_side")
    made = Run(folder / "runs" / "birds")
    made.folder.mkdir(parents=True)
    runs_dir = str(folder / "runs")
    config = TrainConfig(net=TINY, name="birds", runs_dir=runs_dir, resize="short_side")
    config = dataclasses.replace(config, image_size=64, input_scale=0.5)
    prepare.set_up(made, config, Dataset.open(folder / "data"), 0.0)
    net = loader.load().Net(str(made.folder / "deploy.prototxt"), loader.load().TEST)
    net.save(str(made.folder / "phase1" / "final.caffemodel"))
    return made


@pytest.fixture
def wide_images(mini_images, tmp_path):
    """The miniature set, each image stretched to twice its width."""
    shutil.copytree(mini_images, tmp_path / "wide")
    for path in (tmp_path / "wide").rglob("*.png"):
        image = cv2.imread(str(path))
        cv2.imwrite(str(path), cv2.resize(image, (2 * image.shape[1], image.shape[0])))
    return tmp_path / "wide"


def test_other_data_are_resized_as_the_run_resized_its_own(run, wide_images, tmp_path):
    request = Request(run="birds", runs_dir=str(run.folder.parent), data=str(wide_images))
    subject = resolve(request, tmp_path)
    assert subject.dataset.manifest["source"]["policy"] == subject.policy == "short_side"
    assert tuple(subject.dataset.size) == subject.stored == (64, 64)
    first = subject.dataset.split("test").records[0]
    original = cv2.imread(str(wide_images / "test" / first.path.split("test/")[-1]))
    stored, centre = subject.dataset.split("test").read(0)[0], original[:, 32:96]
    squeezed = cv2.resize(original, (64, 64))
    smooth = [cv2.blur(image, (9, 9)).astype(int) for image in (stored, centre, squeezed)]
    assert 2 * np.abs(smooth[0] - smooth[1]).mean() < np.abs(smooth[0] - smooth[2]).mean()


def test_the_data_of_the_run_itself(run, tmp_path):
    subject = resolve(Request(run=str(run.folder)), tmp_path)
    assert subject.dataset.folder == run.folder.parents[1] / "data"
    assert (subject.title, subject.transform.scale) == ("birds after phase 1", 0.5)
    assert subject.rewrite == subject.attention == run.folder / "rewrite.prototxt"


def test_without_its_data_set_the_settings_say_how_images_are_stored(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "birds")
    state = tmp_path / "birds" / "state.json"
    state.write_text(state.read_text().replace(str(run.folder.parents[1] / "data"), "/nowhere"))
    moved = Run(tmp_path / "birds")
    assert (of_run(moved).stored, of_run(moved).policy) == ((64, 64), "short_side")
    with pytest.raises(MaapError, match="/nowhere"):
        of_run(moved, with_data=True)


def test_a_run_by_name_and_by_path(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run.folder.parents[1])
    for word in ("birds", "birds/", "runs/birds", "./runs/birds/", str(run.folder)):
        found = find_run(Path("runs"), word)
        assert (found.name, found.folder.resolve()) == ("birds", run.folder.resolve()), word
    for word in ("", "runs", "data", "runs/brids"):
        assert run_at(Path("runs"), word) is None
    with pytest.raises(MaapError, match="did you mean birds"):
        find_run(Path("runs"), "brids")
    monkeypatch.chdir(run.folder)
    assert find_run(Path("elsewhere"), ".").name == "birds"


@pytest.mark.parametrize("command", ["evaluate", "rewrite", "visualize"])
@pytest.mark.parametrize(
    "option, value", [("--net", TINY), ("--variant", "laap"), ("--input-scale", "0.5")]
)
def test_what_a_run_has_of_its_own_is_refused(run, tmp_path, command, option, value):
    named = ["x.png", "--run", "birds"] if command == "visualize" else ["birds"]
    where = ["--runs-dir", run.folder.parent, "--out", "x"]
    said = maap(command, *named, option, value, *where, cwd=tmp_path)
    assert f"{option}: run birds has its own; give either" in said
    assert not list(tmp_path.iterdir())


def test_commands_take_the_path_of_a_run(run, tmp_path):
    path = os.path.relpath(run.folder, tmp_path)
    text = maap("rewrite", path, "--out", "x", cwd=tmp_path, status=0)
    assert "48 images in x" in text
    assert "on 20 test images" in maap("evaluate", path, cwd=tmp_path, status=0)
    shutil.copytree(run.folder, tmp_path / "runs" / "others")
    assert [
        each.folder
        for each in chosen([str(run.folder), "others", str(run.folder)], tmp_path / "runs")
    ] == [
        run.folder,
        tmp_path / "runs" / "others",
    ]
    with pytest.raises(MaapError, match="at least two"):
        chosen([str(run.folder), f"{run.folder}/"], tmp_path / "runs")


@pytest.fixture(scope="module")
def attentive(run, tmp_path_factory):
    """Weights of the run's net whose maps are neither flat nor at A = 1, as --weights."""
    net = loader.load().Net(str(run.folder / "deploy.prototxt"), loader.load().TEST)
    random = np.random.RandomState(2)
    scale = 1 / 60  # of the first layer, which gets grey levels
    for layer in net.layers:
        if layer.type == "Convolution":
            weights = layer.blobs[0].data
            weights[...] = scale * random.uniform(-3, 5, weights.shape) / weights[0].size
            scale = 1
    path = tmp_path_factory.mktemp("attentive") / "attentive.caffemodel"
    net.save(str(path))
    return str(path)


OTHER = dict(component="strongest", threshold="fraction", threshold_fraction=0.25, padding=0.1)
SAID = "threshold_at: INPUT threshold: FRACTION fraction: 0.25 component: STRONGEST padding: 0.1"


def test_other_regions_than_the_runs_own(run, tmp_path):
    """The run's net with another Elimination layer; the run's folder stays as it is."""
    before = (run.folder / "rewrite.prototxt").read_bytes()
    subject = resolve(Request(run=str(run.folder), **OTHER), tmp_path)
    assert subject.rewrite == subject.attention == tmp_path / "rewrite.prototxt"
    own, changed = read_net(run.folder / "rewrite.prototxt"), read_net(subject.rewrite)
    assert own.layer[-1].python_param.param_str == "a_star: ROI threshold_at: INPUT"
    assert changed.layer[-1].python_param.param_str == f"a_star: ROI {SAID}"
    del own.layer[-1], changed.layer[-1]
    assert own == changed
    assert (run.folder / "rewrite.prototxt").read_bytes() == before
    weights = run.folder / "phase1" / "final.caffemodel"
    subject = resolve(Request(weights=str(weights), net=TINY, **OTHER), tmp_path, with_data=False)
    assert f"a_star: ROI {SAID}" in subject.rewrite.read_text()


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(connectivity=6), "connectivity: 6 is none of 4, 8"),
        (dict(threshold_fraction=0.3), "threshold_fraction is for threshold fraction"),
        (dict(border=20), "border: 20 is too large for the map of"),
    ],
)
def test_regions_that_cannot_be(run, tmp_path, options, words):
    weights = str(run.folder / "phase1" / "final.caffemodel")
    for where in (dict(run=str(run.folder)), dict(weights=weights, net=TINY)):
        with pytest.raises(MaapError, match=words):
            resolve(Request(**where, **options), tmp_path, with_data=False)


def test_region_quality_of_other_regions(run, attentive, tmp_path):
    """On images with true boxes; nothing is trained, and no image classified."""
    make_source(tmp_path / "boxes", count=12, splits=("train", "test"))
    request = Request(run=str(run.folder), weights=attentive, data=str(tmp_path / "boxes"))
    own = region_quality(request)
    other = region_quality(dataclasses.replace(request, **OTHER))
    subject = resolve(request, tmp_path)
    options = RegionOptions(**OTHER)
    net = resolve_rewrite(find_net(TINY), True, subject.batch, options=options)
    write_text(net, tmp_path / "other.prototxt")
    how = (subject.weights, subject.dataset.split("test"), subject.transform, subject.batch)
    assert other == measure_regions(tmp_path / "other.prototxt", *how).quality
    assert own == measure_regions(run.folder / "rewrite.prototxt", *how).quality
    assert own.n == other.n == 11 and own.mean_iou != other.mean_iou


@pytest.mark.parametrize("source", [{}, {"attention": "scaled_mean"}, {"attention": "grad_cam"}])
def test_several_ways_in_one_pass_are_those_alone(run, attentive, tmp_path, source):
    """To the same numbers, whatever the maps are; the last batch has only some of its images."""
    make_source(tmp_path / "boxes", count=11, splits=("train", "test"))
    of = dict(run=str(run.folder), weights=attentive, data=str(tmp_path / "boxes"), batch=4)
    ways = [{}, OTHER, {"threshold_at": "map"}, {"threshold": "mean", "padding": 0.2}]
    requests = [Request(**of, **source, **way) for way in ways]
    together = region_qualities(requests)
    assert together == [region_quality(request) for request in requests]
    assert len({quality.mean_iou for quality in together}) >= 3
    with pytest.raises(ValueError, match="more than the region's options"):
        region_qualities([requests[0], dataclasses.replace(requests[1], batch=5)])
    with pytest.raises(MaapError, match="border: 20 is too large for the map of"):
        region_qualities([requests[0], dataclasses.replace(requests[1], border=20)])


def test_evaluate_measures_other_regions(run, attentive, tmp_path):
    said = {}
    for options in ((), ("--component", "strongest", "--padding", "0.5")):
        out = tmp_path / f"out{len(options)}"
        maap("evaluate", run.folder, "--weights", attentive, *options, "--out", out, status=0)
        said[options] = (out / "regions.csv").read_text()
    assert len(set(said.values())) == 2
    assert "--phase names weights" in maap(
        "evaluate", run.folder, "--weights", attentive, "--phase", "1", cwd=tmp_path
    )


def test_a_run_is_rewritten_by_other_regions(run, attentive, tmp_path):
    for name, options in (("own", ()), ("other", ("--component", "strongest", "--padding", "0.5"))):
        how = ("--weights", attentive, *options, "--out", name)
        maap("rewrite", run.folder, *how, cwd=tmp_path, status=0)
    own, other = (
        [row.split(",")[2:6] for row in (tmp_path / name / "regions.csv").read_text().split()[1:]]
        for name in ("own", "other")
    )
    assert len(own) == len(other) == 48 and own != other
    said = [
        json.loads((tmp_path / name / "manifest.json").read_text())["rewritten"].get("found_by")
        for name in ("own", "other")
    ]
    assert said == [None, "threshold_at: INPUT component: STRONGEST padding: 0.5"]
    how = ("--weights", attentive, "--component", "strongest", "--out", "own")
    refused = maap("rewrite", run.folder, *how, cwd=tmp_path)
    assert "own exists and was made from other weights, settings or data" in refused


def test_phase_1_of_a_run_at_a_path(run, tmp_path, monkeypatch):
    """The run is noted so that a resume in another folder finds it."""
    seen = []
    monkeypatch.setattr("maap.training.train.call", lambda _, config, *a, **b: seen.append(config))
    monkeypatch.chdir(run.folder.parents[1])
    for runs_dir in ("runs", str(tmp_path)):
        train(TrainConfig(net=TINY, runs_dir=runs_dir, phase1_from="runs/birds/"))
    assert [config.phase1_from for config in seen] == ["birds", str(run.folder.resolve())]


def test_a_built_in_net_wins_over_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TINY, tmp_path / "alexnet")
    built_in = find_net("alexnet").folder
    assert built_in != tmp_path / "alexnet" and (built_in / "generate.py").is_file()
    for word in ("./alexnet", "alexnet/", str(tmp_path / "alexnet")):
        assert find_net(word).folder == (tmp_path / "alexnet").resolve()
