"""Rows of a table can be compared: trainings that should differ in one thing differ in nothing
else, and the same is measured of each."""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path
from unittest import mock

import maap
import numpy as np
import pytest
from maap.config.fields import TrainConfig
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.host import loader
from maap.measure.command import evaluate
from maap.nets.folder import find_net, names
from maap.nets.prototxt import read_net
from maap.report.compare import compare_runs
from maap.rewrite.command import rewrite_images
from maap.runs.listing import run_lines
from maap.runs.request import Request
from maap.runs.run import FINDER, REWRITE, Run, finder_of
from maap.runs.snapshots import working_in
from maap.study import plan
from maap.training.prepare import set_up
from maap.util.schema import caffe_pb2
from test_tables import request

TINY = Path(__file__).resolve().parents[1] / "nets" / "tiny"
pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.fixture
def config(tmp_path, boxed):
    """A training of a second, in a folder of its own."""
    return small_config(tmp_path, boxed)


def small_config(folder, data):
    return TrainConfig(
        net=str(TINY), data=str(data), runs_dir=str(folder / "runs"), batch=8, max_iter=3,
        phase2_iter=4, base_lr=0.01, threads=1,
    )  # fmt: skip


def trained(config, name, **settings):
    return maap.train(dataclasses.replace(config, name=name, **settings))


@pytest.fixture(scope="module")
def rows(tmp_path_factory, boxed, cache_folder):
    """rows(name): a run of _ROWS, trained when it is first asked for; tests only look at it."""
    config, done = small_config(tmp_path_factory.mktemp("rows"), boxed), {}

    def row(name):
        if name not in done:
            with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(cache_folder)):
                if "phase1_from" in _ROWS[name]:
                    row(_ROWS[name]["phase1_from"])
                done[name] = trained(config, name, **_ROWS[name])
        return done[name]

    return row


_ROWS = {
    "baseline-control": dict(variant="baseline", control=True),
    "haap": dict(variant="haap"),
    "haap-whole": dict(variant="haap", regions="whole", phase1_from="baseline-control"),
    "haap-true": dict(variant="haap", regions="true", phase1_from="baseline-control"),
    "laap-control": dict(variant="laap", control=True),
    "maap": dict(variant="maap"),
    "maap-whole": dict(variant="maap", regions="whole", phase1_from="laap-control"),
}


def weights_of(result, phase):
    """{layer: its blobs' bytes} at the end of a phase."""
    net = caffe_pb2.NetParameter()
    net.ParseFromString((result.folder / f"phase{phase}" / "final.caffemodel").read_bytes())
    return {
        layer.name: [np.array(blob.data, np.float32).tobytes() for blob in layer.blobs]
        for layer in net.layer
        if layer.blobs
    }


def file_of(result, name):
    return (result.folder / name).read_bytes()


# ---- a phase 2 that changes nothing -------------------------------------------------------------


@pytest.mark.parametrize("plain, changed", [("baseline", "haap"), ("laap", "maap")])
def test_a_phase_2_on_whole_regions_is_the_control(rows, plain, changed):
    """The weights of a phase 2 whose regions are whole images are the control's, bit for bit: the
    way through the attention, the rewriting and its data base changes nothing by itself."""
    control, whole, found = rows(f"{plain}-control"), rows(f"{changed}-whole"), rows(changed)
    for name in ("phase2/final.caffemodel", "phase2/metrics.csv"):
        assert file_of(whole, name) == file_of(control, name) != file_of(found, name)
    tested = [
        dataclasses.replace(each.evaluation.last, title="", seconds=0.0)
        for each in (whole, control)
    ]
    assert tested[0] == tested[1]


def test_the_report_and_the_lists_say_what_was_cut_by(rows):
    result, runs_dir = rows("haap-true"), rows("haap").folder.parent
    page = result.report.read_text(encoding="utf-8")
    assert "cut by true boxes" in page and "rewritten as ROI, cut by true boxes;" in page
    assert "cut by true boxes" not in rows("haap").report.read_text(encoding="utf-8")
    lines = run_lines(runs_dir)
    assert any(line.startswith("haap-true:") and "haap (true regions) on" in line for line in lines)
    compared = compare_runs(["haap-true", "haap"], runs_dir, runs_dir / "c.html")
    assert any("haap roi true regions" in line for line in compared)


@pytest.mark.parametrize("asked, used", [(None, "true"), ("random", "random"), ("found", None)])
def test_rewrite_cuts_by_the_run_s_boxes_or_those_asked_for(rows, tmp_path, asked, used):
    request = Request(run=str(rows("haap-true").folder), regions=asked)
    assert rewrite_images(request, tmp_path / "out").startswith("24 images in")
    made = json.loads((tmp_path / "out" / "manifest.json").read_text())["rewritten"]
    assert made.get("regions") == used


def test_true_boxes_that_are_not_there_are_missed_before_the_training(config, mini_images):
    wanting = dataclasses.replace(config, data=str(mini_images), image_size=64, regions="true")
    with pytest.raises(MaapError, match="of the 48 train images .* have no true box"):
        trained(wanting, "a")
    assert not Path(config.runs_dir).exists()


# ---- the same is measured of each ---------------------------------------------------------------


@pytest.mark.parametrize("plain, changed", [("baseline", "haap"), ("laap", "maap")])
def test_every_variant_is_tested_on_images_cut_to_its_regions(rows, plain, changed):
    """After phase 1 both variants have the same weights, so all that is measured is equal."""
    alone, other = rows(f"{plain}-control"), rows(changed)
    assert weights_of(alone, 1) == weights_of(other, 1)
    assert alone.evaluation.phases[0].cropped == other.evaluation.phases[0].cropped
    assert alone.evaluation.regions[0] == other.evaluation.regions[0]
    assert [each.phase for each in alone.evaluation.regions] == ["phase1", "phase2"]
    for phase in alone.evaluation.phases:
        assert phase.cropped.n == 24 and 0 <= phase.cropped.region.top1 <= 1
    assert file_of(alone, FINDER) == file_of(other, REWRITE)
    assert finder_of(alone.folder).name == FINDER and finder_of(other.folder).name == REWRITE
    page = alone.report.read_text(encoding="utf-8")
    assert "How well the regions sit" in page and "Rewritten training images" not in page
    assert (alone.folder / "samples" / "samples.json").read_text() != "[]\n"


def test_evaluate_finds_the_regions_of_a_baseline(rows, tmp_path):
    request = Request(run=str(rows("baseline-control").folder))
    lines = evaluate(request, 1, None, tmp_path / "out")
    assert any(line.startswith("regions: mean IoU") for line in lines)
    assert any("cut to the region" in line for line in lines)
    assert (tmp_path / "out" / "regions.csv").is_file()


def test_a_run_of_an_older_version_is_evaluated_as_before(rows, config):
    """It has no net that finds regions."""
    older = Path(config.runs_dir) / "older"
    shutil.copytree(rows("baseline-control").folder, older)
    for name in (FINDER, "evaluation.json"):
        (older / name).unlink()
    found = trained(config, "older", resume=True).evaluation
    assert found.regions == [] and found.last.cropped.region is None
    assert found.last.top1 == rows("baseline-control").top1


def test_images_without_boxes_are_not_looked_at_for_regions(config, mini_images):
    some = dict(data=str(mini_images), image_size=64, max_iter=1)
    found = trained(config, "boxless", variant="baseline", **some).evaluation
    assert found.regions == [] and found.last.cropped is None


@pytest.mark.parametrize("gone", [True, False])
def test_a_net_folder_without_a_net_that_finds_regions(config, boxed, tmp_path, capsys, gone):
    """There is none, or one of another network: a baseline is trained all the same."""
    net, run = tmp_path / "net", Run(tmp_path / "run")
    shutil.copytree(TINY, net)
    run.folder.mkdir()
    for path in net.glob("rewrite*.prototxt"):
        path.write_text(path.read_text().replace('"conv2"', '"convolution2"'))
        if gone:
            path.unlink()
    given = dataclasses.replace(config, name="run", net=str(net), variant="baseline")
    set_up(run, given, Dataset.open(boxed), 0.0)
    assert run.exists and finder_of(run.folder) is None
    said = "no regions will be measured: Tiny: the training net lacks layer convolution2"
    assert (said in capsys.readouterr().out) == (not gone)


def test_runs_keep_their_names(config, monkeypatch):
    """A run's name in a table is that of a version that neither finds regions for every variant
    nor has settings for them."""
    asked = request([1], dict(data=config.data, runs_dir="runs"), [str(TINY)])
    ours = [cell.config.name for cell in plan.planned(asked).cells]
    young = plan.in_group("region")
    assert "regions" in young
    older = {name: field for name, field in plan.FIELDS.items() if name not in young}
    monkeypatch.setattr(plan, "FIELDS", older)
    monkeypatch.setattr(plan, "in_group", lambda _: [])
    monkeypatch.setattr("maap.training.prepare._finder", lambda *_: None)
    assert [cell.config.name for cell in plan.planned(asked).cells] == ours


def test_what_a_test_depends_on_is_in_the_name(config):
    """The regions that a baseline is tested on depend on where the threshold is."""

    def named(**settings):
        values = dict(data=config.data, runs_dir="runs", **settings)
        found = plan.planned(request([1], values, [str(TINY)])).cells
        return [cell.config.name for cell in found]

    assert not set(named()) & set(named(threshold_at="map"))


# ---- attention that changes nothing -------------------------------------------------------------


def with_laap(folder, change):
    """A copy of the tests' net whose Enhancement layers went through ``change``."""
    shutil.copytree(TINY, folder)
    layer = re.compile(r'layer \{\n  name: "enhance1"\n.*?\n\}\n', re.S)
    for path in folder.glob("*_laap*.prototxt"):
        path.write_text(layer.sub(lambda found: change(found.group()), path.read_text()))
    return str(folder)


def test_an_enhancement_layer_without_attention_trains_to_the_baseline(config, tmp_path):
    """Where A is 0, Enhancement is F' = F and dF = g. With a layer in its place that computes just
    this (a ReLU of slope 1; BVLC Caffe's Power overwrites the gradient it reads where it works in
    place), and with no layer at all, ten iterations of LAAP end with the baseline's bytes: its
    name, place and random numbers change nothing by being there."""
    config = dataclasses.replace(config, max_iter=10)
    baseline = trained(config, "baseline", variant="baseline")
    laap = trained(config, "laap", variant="laap")
    assert weights_of(laap, 1) != weights_of(baseline, 1)
    slope = 'ReLU" relu_param { negative_slope: 1 }'
    changes = dict(unit=lambda layer: layer.replace('Enhancement"', slope), gone=lambda _: "")
    for name, change in changes.items():
        net = with_laap(tmp_path / name, change)
        result = trained(config, name, variant="laap", net=net)
        text = file_of(result, "phase1/net.prototxt").decode()
        assert ("negative_slope: 1" in text) == (name == "unit")
        assert weights_of(result, 1) == weights_of(baseline, 1)
        metrics = "phase1/metrics.csv"
        assert file_of(result, metrics) == file_of(baseline, metrics) != file_of(laap, metrics)
    assert file_of(result, "phase1/final.caffemodel") == file_of(
        baseline, "phase1/final.caffemodel"
    )


@pytest.mark.parametrize("from_scratch", [True, False])
def test_both_variants_start_from_the_same_random_weights(config, tmp_path, from_scratch):
    """A difference of two runs with the same seed is one of their method, not of their start."""

    def start(variant, seed):
        run = Run(tmp_path / f"{variant}{seed}")
        run.folder.mkdir()
        settings = dict(name=run.name, variant=variant, seed=seed, from_scratch=from_scratch)
        given = dataclasses.replace(config, **settings)
        set_up(run, given, Dataset.open(Path(config.data)), 0.0)
        with working_in(run.folder / "phase1"):
            solver = loader.load().get_solver("solver.prototxt")
        return {
            name: [blob.data.tobytes() for blob in blobs]
            for name, blobs in solver.net.params.items()
        }

    baseline = start("baseline", 1)
    assert start("laap", 1) == baseline != start("laap", 2)
    assert list(baseline) == ["conv1", "conv2", "fc3", "fc4"]


@pytest.mark.parametrize("net", names())
def test_the_shipped_nets_draw_their_weights_in_one_order(net):
    """Fillers draw from one generator in the order of the layers; Enhancement draws nothing."""

    def fillers(laap):
        layers = read_net(find_net(net).train_val(laap)).layer
        learnt = [each for each in layers if each.type in ("Convolution", "InnerProduct")]
        params = [(each.convolution_param, each.inner_product_param) for each in learnt]
        return [
            (each.name, *(part.SerializeToString() for part in parts))
            for each, parts in zip(learnt, params)
        ]

    assert fillers(True) == fillers(False) and len(fillers(True)) > 5
