"""A whole study with the tests' small net: shared runs, its page, killed and started again."""

import csv
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from maap.runs.run import Run, all_runs
from waiting import wait_until

REPO = Path(__file__).resolve().parents[2]
TINY = REPO / "tests" / "nets" / "tiny"
pytestmark = pytest.mark.usefixtures("private_cache")

STUDY = """
title: A small study
about: What it is about.
seeds: [1, 2]
settings:
  {image_size: 64, batch: 8, max_iter: 6, phase2_iter: 3, base_lr: 0.01, threads: 1}
parts:
  - title: Longer training
    rows:
      - {label: baseline, settings: {variant: baseline}}
      - {label: longer, settings: {variant: baseline, control: true}, against: baseline}
  - title: Enhancement
    rows:
      - {label: without, settings: {variant: baseline}}
      - {label: with, settings: {variant: laap}, against: without}
      - {label: made, script: {file: made.py}, against: without}
      - {label: cam, settings: {variant: maap, attention: cam}, against: without}
"""

SCRIPT = """
def study_row(data, weights, seed):
    return {"top1": 0.1 * seed}
"""


def command(images, folder, *words):
    where = ["--nets", str(TINY), "--data", str(images), "--runs-dir", str(folder / "runs")]
    file = str(folder / "small.yaml")
    return [sys.executable, "-m", "maap", "study", file, *where, *words]


def write_study(folder):
    """The study, and the script that one of its rows is made by."""
    (folder / "made.py").write_text(SCRIPT)
    (folder / "small.yaml").write_text(STUDY.replace("made.py", str(folder / "made.py")))


def study(images, folder, *words):
    """Run it; its output."""
    folder.mkdir(exist_ok=True)
    write_study(folder)
    done = subprocess.run(command(images, folder, *words), capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory, mini_images, cache_folder):
    """The folder of the finished study, and what was said; tests only look at it."""
    folder = tmp_path_factory.mktemp("study")
    with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(cache_folder)):
        return folder, study(mini_images, folder)


def test_equal_runs_are_one_and_phase_1_is_trained_once(whole):
    folder, said = whole
    runs = all_runs(folder / "runs")
    assert len(runs) == 6 and all(run.finished() for run in runs)  # 3 settings, 2 seeds
    trained = [run.name for run in runs if (run.folder / "phase1/snapshots").exists()]
    assert len(trained) == 4  # a baseline and a LAAP a seed
    assert "[1 of 6] small2, without, tiny, seed 1" in said
    assert "script [1 of 2]: made, seed 1" in said
    assert 'left out: small2, row "cam", tiny: ' in said


def test_the_page_and_its_files(whole):
    folder, said = whole
    page = (folder / "runs" / "small.md").read_text()
    assert page.startswith("# A small study\n") and "\nWhat it is about.\n" in page
    for words in (
        '"longer" is ',
        '"with" is ',
        "over 2 seeds",
        "## Time and machine",
        "The 6 runs and 2 trainings by scripts",
        "| made | 15.0 ± 7.1% |",
        "| cam | not for this net: net Tiny",
    ):
        assert words in page
    assert page.index('"longer" is ') < page.index("## Longer training")
    files = {path.name for path in (folder / "runs" / "small").iterdir()}
    stems = [f"small{n}{more}" for n in (1, 2) for more in ("", "_differences")]
    assert files == {f"{s}.png" for s in stems} | {
        f"small{n}{more}.csv" for n in (1, 2) for more in ("", "_differences", "_runs")
    }
    for name in files:
        if name.endswith(".png"):
            assert f"(small/{name})" in page
    assert [line for line in page.splitlines() if line.startswith("|")][0] in said


def test_the_command_of_a_cell_makes_the_same_bytes(whole, tmp_path):
    rows = list(csv.DictReader((whole[0] / "runs/small/small1_runs.csv").open()))
    assert len(rows) == 4
    row = rows[-1]  # the longer training of seed 2, whose phase 1 is another run's in the study
    assert row["phase1_from"] and row["run"] in row["command"]
    words = shlex.split(row["command"])
    words[words.index("--runs-dir") + 1] = str(tmp_path)
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    for name in ("phase1/final.caffemodel", "phase2/final.caffemodel", "predictions.csv"):
        ours = (tmp_path / row["run"] / name).read_bytes()
        assert ours == (whole[0] / "runs" / row["run"] / name).read_bytes()


def test_asked_again_nothing_is_run_and_the_page_is_the_same(whole, mini_images, tmp_path):
    folder = whole[0]
    before = (folder / "runs" / "small.md").read_text()
    again = study(mini_images, folder)
    assert "6 runs, 6 of them finished" in again and "script [" not in again
    assert (folder / "runs" / "small.md").read_text() == before
    said = study(mini_images, folder, "--plan", "--seeds", "1,3")
    assert "6 runs in" in said and "3 of them finished" in said
    assert "1 trainings by scripts, whose time is not estimated" in said
    assert 'left out: small2, row "cam", tiny: ' in said and "no class activation map" in said


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(whole, mini_images, tmp_path):
    for run in all_runs(whole[0] / "runs"):
        if not ("control" in run.name and "-s2-" in run.name):
            shutil.copytree(run.folder, tmp_path / "runs" / run.name)
    write_study(tmp_path)
    process = subprocess.Popen(
        command(mini_images, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    (missing,) = [
        r for r in all_runs(whole[0] / "runs") if "control" in r.name and "-s2-" in r.name
    ]
    run = Run(tmp_path / "runs" / missing.name)
    metrics = run.folder / "phase2" / "metrics.csv"
    wait_until(lambda: metrics.is_file() and metrics.read_text().count("\n") >= 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    said = study(mini_images, tmp_path)
    assert "6 runs, 5 of them finished" in said and f"run {run.name}: resuming" in said
    for name in ("phase2/final.caffemodel", "phase2/metrics.csv", "predictions.csv"):
        assert (run.folder / name).read_bytes() == (missing.folder / name).read_bytes()
    ours, theirs = ((f / "runs/small/small1.csv").read_text() for f in (tmp_path, whole[0]))
    assert ours == theirs
