"""Whole tables with the tests' small net: shared phases, killed and broken ones, six data sets."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
from maap.data.store import Split
from maap.host import loader
from maap.images.a_star import PAPERS
from maap.nets.prototxt import read_net, read_solver
from maap.runs import feed
from maap.runs.run import Run, all_runs
from paper_render import attention_and_region, enlarged, paper
from study_fakes import BEFORE, CONTROL
from waiting import wait_until

REPO = Path(__file__).resolve().parents[2]
A_STARS = [each.name for each in PAPERS]
TINY = str(REPO / "tests" / "nets" / "tiny")
pytestmark = pytest.mark.usefixtures("private_cache")


def command(images, runs, *words):
    """`maap table WORDS` with the small net and few iterations."""
    settings = "--image-size 64 --batch 8 --max-iter 6 --phase2-iter 3 --base-lr 0.01 --threads 1"
    where = ["--nets", TINY, "--data", str(images), "--runs-dir", str(runs), "--seeds", "1"]
    return [sys.executable, "-m", "maap", "table", *words, *where, *settings.split()]


def table(images, runs, *words, status=0):
    """Run it; its output, errors after it."""
    done = subprocess.run(command(images, runs, *words), capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory, mini_images, cache_folder):
    """The runs folder of table 3, and what was said; tests only look at it."""
    runs = tmp_path_factory.mktemp("whole") / "runs"
    with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(cache_folder)):
        return runs, table(mini_images, runs, "3")


def named(runs, words):
    """The run whose name holds some words."""
    (found,) = [run for run in all_runs(runs) if f"-{words}-" in run.name]
    return found


def test_what_the_rows_have_in_common_is_done_once(whole):
    runs, said = whole
    every = all_runs(runs)
    assert len(every) == 7 and all(run.finished() for run in every)
    first, control = named(runs, "maap-roi"), named(runs, "baseline-control")
    trained = {run.name for run in every if (run.folder / "phase1/snapshots").exists()}
    assert trained == {first.name, control.name}
    assert said.count("phase 1, iterations (6) ...") == 2
    every = [run for run in every if run.name != control.name]
    weights = (first.folder / "phase1/final.caffemodel").read_bytes()
    notes = []
    for run in every:
        assert (run.folder / "phase1/final.caffemodel").read_bytes() == weights
        stage = run.state().stages[0]
        assert stage.iteration == 6
        notes += [stage.shared_from.to_json()] if run.name != first.name else []
    assert [note["run"] for note in notes] == 5 * [first.name]
    assert len({note["settings"] for note in notes}) == 1


def test_the_rows_of_another_table_share_with_it(whole, mini_images):
    """Table 1's MAAP is table 3's ROI; its LAAP takes that run's phase 1; HAAP the baseline's."""
    said = table(mini_images, whole[0], "1", "--plan")
    assert "5 runs in" in said and "2 of them finished" in said
    lines = {line.split(":")[0].strip(): line for line in said.splitlines()}
    (laap,) = [line for name, line in lines.items() if name.startswith("tiny-laap-")]
    (haap,) = [line for name, line in lines.items() if name.startswith("tiny-haap-")]
    (baseline,) = [line for name, line in lines.items() if name.startswith("tiny-baseline-")]
    control = named(whole[0], "baseline-control").name
    assert f"phase 1 from {named(whole[0], 'maap-roi').name}; evaluation" in laap
    assert f"phase 1 from {control}; rewriting of 48 images" in haap
    assert f"phase 1 from {control}; evaluation" in baseline
    assert "timed just now: tiny, " in said and "together about " in said


def test_the_control_trains_as_long_on_the_original_images(whole, mini_images, tmp_path):
    """Its phase 2 is that of HAAP but for the images, which are the data set's own."""
    control = named(whole[0], "baseline-control")
    phases = json.loads((control.folder / "evaluation.json").read_text())["phases"]
    rewritten = json.loads((named(whole[0], "maap-roi").folder / "evaluation.json").read_text())
    assert [p["iterations"] for p in phases] == [6, 3]
    assert [p["iterations"] for p in rewritten["phases"]] == [6, 3]
    assert not list(control.folder.glob("rewrite*"))
    report = (control.folder / "report.html").read_text()
    assert "the plain network with a phase 2 on the original images" in report
    one = (control.folder / "phase1/final.caffemodel").read_bytes()
    assert (control.folder / "phase2/final.caffemodel").read_bytes() != one
    solvers = [
        read_solver(named(whole[0], name).folder / "phase2/solver.prototxt")
        for name in ("baseline-control", "maap-roi")
    ]
    assert solvers[0] == solvers[1]
    row = [line for line in whole[1].splitlines() if line.startswith("| control: ")]
    assert row == [f"| {CONTROL} | not in the paper | {100 * phases[-1]['top1']:.1f}% |"]


def test_the_plan_of_a_control_has_no_rewriting(mini_images, tmp_path):
    said = table(mini_images, tmp_path, "1", "--plan")
    (line,) = [line for line in said.splitlines() if "tiny-baseline-control-" in line]
    assert re.search(r"phase 1 from tiny-baseline-\S+; phase 2, original images, 3 iter", line)
    assert "rewriting" not in line


def test_a_page_of_what_has_run_so_far(whole, mini_images, tmp_path):
    runs = tmp_path / "runs"
    for name in ("maap-roi", "maap-reduce"):
        source = named(whole[0], name).folder
        shutil.copytree(source, runs / source.name)
    table(mini_images, runs, "3", "--page-only")
    lines = (runs / "table3.md").read_text().splitlines()
    shown = {line.split(" | ")[0]: line for line in lines if line.startswith("| ")}
    assert sum("not run |" in line for line in shown.values()) == 5
    assert "not run" in shown[f"| {CONTROL}"] and "not run" not in shown[f"| {BEFORE}"]
    assert len(all_runs(runs)) == 2
    said = table(mini_images, tmp_path / "none", "3", "--page-only", status=1)
    assert "error: table3: none of its runs is finished" in said


def test_the_page_has_what_the_runs_found(whole):
    runs, said = whole
    page = (runs / "table3.md").read_text()
    assert "## Table 3" in page and "not in the paper" in page
    found = json.loads((named(runs, "maap-reduce").folder / "evaluation.json").read_text())
    share = f"{100 * found['phases'][-1]['top1']:.1f}%"
    row = next(line for line in page.splitlines() if line.startswith("| reduce: "))
    assert f"| {share} |" in row and row in said
    assert (runs / "table3" / "table3.png").read_bytes().startswith(b"\x89PNG")
    rows = (runs / "table3/table3_runs.csv").read_text().splitlines()
    assert len(rows) == 8 and ",6+3,,maap train " in rows[-1]
    assert all(f",{named(runs, 'maap-roi').name},maap train " in row for row in rows[2:-1])


def test_asked_again_nothing_is_run(whole, mini_images):
    runs, said = whole
    before = (runs / "table3.md").read_text()
    again = table(mini_images, runs, "3")
    assert "7 runs, 7 of them finished" in again and "iterations (" not in again
    assert (runs / "table3.md").read_text() == before
    ends = [text.split("Table 3:")[1] for text in (said, again)]
    assert ends[0] == ends[1]


# ---- the six data sets --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expected(whole):
    """Attention and region of every training image of table 3, from the features of phase 1's net
    alone: [(image, A at the net's input, R in stored pixels)], and the mean."""
    runs, _ = whole
    run = named(runs, "maap-roi")
    state, caffe = run.state(), loader.load()
    source = feed.open_data(state).split("train")
    how = feed.transform(run, state, "TEST")
    path = run.folder / "rewrite.prototxt"
    high = next(layer for layer in read_net(path).layer if layer.type == "Elimination")
    weights = str(run.folder / "phase1/final.caffemodel")
    net = caffe.Net(str(path), caffe.TEST, weights=weights)
    size = net.blobs["data"].data.shape[2:]
    found = []
    for index in range(len(source)):
        image = source.read(index)[0]
        resized = cv2.resize(image, size[::-1]).astype(np.float32)
        net.blobs["data"].data[...] = ((resized - how.mean) * how.scale).transpose(2, 0, 1)
        net.forward()
        features = net.blobs[high.bottom[0]].data[0].copy()
        attention, region = attention_and_region(features, size)
        found.append((image, attention, enlarged(region, size, image.shape[:2])))
    return found, np.asarray(how.mean, np.float64)


@pytest.mark.parametrize("a_star", A_STARS)
def test_a_row_trains_on_what_the_equations_say(whole, expected, a_star):
    images, mean = expected
    written = Split.open(named(whole[0], f"maap-{a_star.lower()}").folder / "rewrite1", "train")
    assert len(written) == len(images) == 48
    assert written.mean_subtracted == (a_star != "ROI")
    for index, (image, attention, region) in enumerate(images):
        pixels = written.read(index)[0]
        assert pixels.dtype == (np.uint8 if a_star == "ROI" else np.float32)
        wanted = paper(image, region, attention, a_star, mean)
        assert np.abs(pixels.astype(np.float64) - wanted).max() <= 1.0, (index, region)


def test_the_six_data_sets_differ(whole, expected):
    """In every image but those whose R is all of it, where some definitions are one."""
    part = [
        tuple(region) != (0, 0, image.shape[1], image.shape[0]) for image, _, region in expected[0]
    ]
    assert sum(part) > 24
    images = {}
    for a_star in A_STARS:
        folder = named(whole[0], f"maap-{a_star.lower()}").folder / "rewrite1"
        split = Split.open(folder, "train")
        images[a_star] = np.stack([split.read(n)[0].astype(np.float64) for n in range(len(split))])
    for a, b in itertools.combinations(A_STARS, 2):
        different = np.abs(images[a] - images[b]).max(axis=(1, 2, 3)) > 1.0
        assert different[part].all(), (a, b)


# ---- killed, broken -----------------------------------------------------------------------------


def contents(run):
    """What two equal runs have in common, by file."""
    names = ["phase1/final.caffemodel", "phase1/metrics.csv", "phase2/final.caffemodel"]
    names += ["phase2/metrics.csv", "rewrite1/regions.csv", "predictions.csv"]
    return {name: (run.folder / name).read_bytes() for name in names}


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(whole, mini_images, tmp_path):
    runs = tmp_path / "runs"
    for run in all_runs(whole[0]):
        if "-maap-reduce-" not in run.name:
            shutil.copytree(run.folder, runs / run.name)
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command(mini_images, runs, "3"), stdout=output, stderr=output, start_new_session=True
        )
    target = runs / named(whole[0], "maap-reduce").name / "phase2" / "metrics.csv"
    wait_until(lambda: target.is_file() and target.read_text().count("\n") >= 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run = Run(target.parents[1])
    assert not run.finished() and not (run.folder / "evaluation.json").exists()
    said = table(mini_images, runs, "3")
    assert "7 runs, 6 of them finished" in said and f"run {run.name}: resuming" in said
    assert "phase 1, iterations" not in said
    assert contents(run) == contents(named(whole[0], "maap-reduce"))


def broken(whole, tmp_path, words, *gone):
    """A copy of one run of the whole table without some of its files."""
    source = named(whole[0], words).folder
    folder = tmp_path / "runs" / source.name
    shutil.copytree(source, folder)
    for name in gone:
        (folder / name).unlink()
    return Run(folder)


def test_a_half_deleted_run_is_named_with_what_repairs_it(whole, mini_images, tmp_path):
    gone = ("evaluation.json", "phase2/final.caffemodel")
    run = broken(whole, tmp_path, "maap-reduce", *gone)
    said = table(mini_images, run.folder.parent, "3", status=1)
    assert said.splitlines()[-1].startswith(f"error: run {run.name} is incomplete: ")
    for name in gone:
        assert name in said
    repair = said.strip().rsplit("repair it with: ", 1)[1]
    assert repair == f"maap train --resume {run.name} --runs-dir {run.folder.parent}"
    words = [sys.executable, "-m", *repair.split()]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    assert contents(run) == contents(named(whole[0], "maap-reduce"))
    assert "1 of them finished" in table(mini_images, run.folder.parent, "3", "--plan")
