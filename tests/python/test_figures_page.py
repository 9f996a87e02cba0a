"""tools/figures.py on a small run: pictures, page, and one line for what cannot be."""

import subprocess
import sys
from types import SimpleNamespace

import cv2
import pytest
from data_fakes import make_dataset
from maap.config.fields import TrainConfig
from maap.data.store import Dataset
from maap.host import loader
from maap.measure import evaluation
from maap.runs import feed
from maap.runs.run import Run
from maap.training import prepare
from test_cli import TINY

SCRIPT = loader.repo_root() / "tools" / "figures.py"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of random weights: `both`, evaluated on 12 test images with true boxes, and `plain`."""
    folder = tmp_path_factory.mktemp("runs")
    dataset = Dataset.open(make_dataset(folder / "data", test=12, size=64))
    for name, variant in (("plain", "baseline"), ("both", "maap")):
        run = Run(folder / name)
        run.folder.mkdir()
        config = TrainConfig(net=TINY, variant=variant, name=name, runs_dir=str(folder))
        config = prepare.set_up(run, config, dataset, 0.0)
        net = loader.load().Net(str(run.folder / "deploy.prototxt"), loader.load().TEST)
        for phase in run.folder.glob("phase*"):
            net.save(str(phase / "final.caffemodel"))
    work = SimpleNamespace(
        run=run,
        config=config,
        state=run.state(),
        data=dataset,
        test_transform=feed.transform(run, run.state(), "TEST"),
        weights=lambda number: run.folder / f"phase{number}" / "final.caffemodel",
    )
    evaluation.evaluate_run(work)
    return folder


def figures(*words, status=0):
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("baseline", [[], ["--baseline", "plain"]])
def test_pictures_and_page(runs, tmp_path, baseline):
    text = figures("both", "--runs-dir", runs, "--out", tmp_path / "docs", *baseline)
    assert "pictures.md" in text and "stages.png" in text
    page = (tmp_path / "docs" / "pictures.md").read_text()
    for name in ("stages", "attention", "dstar"):
        path = tmp_path / "docs" / "figures" / f"{name}.png"
        assert f"](figures/{name}.png)" in page
        assert path.stat().st_size < 300_000 and min(cv2.imread(str(path)).shape[:2]) > 300
    assert "Over the 12 test images with a true box" in page and "| true box | 1.000 |" in page
    assert ("the baseline run's net" in page) == bool(baseline)
    assert f"tools/figures.py both {' '.join(baseline)}".strip() in page


@pytest.mark.parametrize(
    "words, expected",
    [
        (["bth"], "error: no run bth"),
        (["plain"], "plain/evaluation.json is not there"),
        (["both", "--baseline", "plian"], "did you mean plain"),
    ],
)
def test_mistakes(runs, tmp_path, words, expected):
    assert expected in figures(*words, "--runs-dir", runs, "--out", tmp_path / "docs", status=1)
    assert not (tmp_path / "docs").exists()
