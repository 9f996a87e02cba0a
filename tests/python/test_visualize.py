"""``maap visualize``: files for images, from a run and from weights, and one line for a mistake."""

import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from maap.config.fields import TrainConfig
from maap.data.importers.folder import import_folder
from maap.data.store import Dataset
from maap.host import loader
from maap.runs.request import Request
from maap.runs.run import Run
from maap.runs.subject import of_run
from maap.training import prepare
from test_cli import TINY, maap
from test_report import Page

pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, mini_images):
    """A folder of runs whose weights are random: `both` and `plain`, and `new` without weights."""
    folder = tmp_path_factory.mktemp("runs")
    import_folder(Path(mini_images), folder / "data", size=64)
    dataset = Dataset.open(folder / "data")
    for name, variant in (("new", "maap"), ("plain", "baseline"), ("both", "maap")):
        run = Run(folder / "runs" / name)
        run.folder.mkdir(parents=True)
        config = TrainConfig(net=TINY, variant=variant, name=name, runs_dir=str(folder / "runs"))
        prepare.set_up(run, config, dataset, 0.0)
        if name != "new":
            net = loader.load().Net(str(run.folder / "deploy.prototxt"), loader.load().TEST)
            net.save(str(run.folder / "phase1" / "final.caffemodel"))
    return folder / "runs"


@pytest.fixture
def pictures(mini_images, tmp_path):
    """Three images of different sizes, two of one name."""
    for number, size in enumerate([(64, 64), (50, 90), (120, 40)]):
        path = tmp_path / f"in{number % 2}" / f"a bird{number // 2}.png"
        path.parent.mkdir(exist_ok=True)
        image = cv2.imread(str(Path(mini_images) / "test" / f"class{number}" / "0.png"))
        cv2.imwrite(str(path), cv2.resize(image, size[::-1]))
    return sorted(tmp_path.glob("in*/*.png"))


def test_images_with_a_run(runs, pictures, tmp_path):
    text = maap("visualize", *pictures, "--run", "both", "--runs-dir", runs, cwd=tmp_path, status=0)
    assert "both after phase 1" in text and "3 pictures" in text
    out = tmp_path / "visualize"
    names = [path.name for path in sorted(out.iterdir())]
    assert names == ["01_a_bird0.png", "02_a_bird1.png", "03_a_bird0.png", "index.html"]
    shapes = [cv2.imread(str(path)).shape for path in sorted(out.glob("*.png"))]
    assert all(height > 400 and width > 1000 for height, width, _ in shapes)
    source = (out / "index.html").read_text(encoding="utf-8")
    page = Page(source)
    assert page.images == 3 and all(link.startswith("data:image/jpeg") for link in page.links)
    assert not re.search(r"https?://|<script|@import|url\(", source)
    assert str(pictures[1]) in page.words


def test_a_run_beside_the_baseline_and_chosen_blobs(runs, pictures, tmp_path):
    words = ["visualize", pictures[0], "--runs-dir", runs, "--blobs", "pool1,conv2"]
    alone = maap(*words, "--run", "both", "--out", "a", cwd=tmp_path, status=0)
    maap(*words, "--run", "both", "--baseline", "plain", "--out", "b", cwd=tmp_path, status=0)
    a, b = (cv2.imread(str(tmp_path / out / "01_a_bird0.png")) for out in "ab")
    assert "both after phase 1" in alone and a.shape == b.shape and not np.array_equal(a, b)


def test_a_run_whose_data_set_is_gone(runs, pictures, tmp_path):
    shutil.copytree(runs / "both", tmp_path / "runs" / "moved")
    state = tmp_path / "runs" / "moved" / "state.json"
    state.write_text(state.read_text().replace(str(runs.parent / "data"), "/nowhere/data"))
    assert "/nowhere/data" in state.read_text()
    maap("visualize", pictures[0], "--out", "a", cwd=tmp_path, status=0)  # the only run there is
    maap("visualize", pictures[0], "--runs-dir", runs, "--run", "both", cwd=tmp_path, status=0)
    moved, whole = (tmp_path / out / "01_a_bird0.png" for out in ("a", "visualize"))
    assert cv2.imread(str(moved)).shape == cv2.imread(str(whole)).shape


def test_a_name_that_is_no_text(runs, pictures, tmp_path):
    odd = tmp_path / os.fsdecode(b"b\xffrd $1.png")
    pictures[0].rename(odd)
    maap("visualize", odd, "--runs-dir", runs, "--run", "both", cwd=tmp_path, status=0)
    assert "b\ufffdrd $1.png" in (tmp_path / "visualize" / "index.html").read_text("utf-8")
    assert (tmp_path / "visualize" / "01_b_rd__1.png").is_file()


def test_images_with_weights_from_elsewhere(runs, pictures, tmp_path):
    weights = runs / "both" / "phase1" / "final.caffemodel"
    words = ["visualize", pictures[0], "--net", TINY, "--weights", weights]
    assert "tiny with final.caffemodel" in maap(*words, cwd=tmp_path, status=0)
    maap(*words, "--variant", "baseline", "--out", "plain", cwd=tmp_path, status=0)
    both, plain = (
        cv2.imread(str(tmp_path / out / "01_a_bird0.png")) for out in ("visualize", "plain")
    )
    assert plain.shape[0] < both.shape[0]  # one row of maps less


def test_a_net_folder_without_elimination_shows_its_maps(runs, pictures, tmp_path):
    shutil.copytree(TINY, tmp_path / "net")
    for path in (tmp_path / "net").glob("rewrite*"):
        path.unlink()
    weights = runs / "both" / "phase1" / "final.caffemodel"
    maap("visualize", pictures[0], "--net", "net", "--weights", weights, cwd=tmp_path, status=0)


@pytest.mark.parametrize(
    "words, expected",
    [
        ([], "IMAGE"),
        (["nothere.jpg", "--run", "both"], "nothere.jpg"),
        (["in0", "--run", "both"], "in0 is a folder: give image files, such as in0/*.png"),
        (["two words", "--run", "both"], "give image files, such as 'two words/a b'/*.JPG"),
        (["empty", "--run", "both"], "empty is a folder: give image files; there is none in it"),
        (["in0/a bird0.png", "text.png", "--run", "both"], "text.png"),
        (["in0/a bird0.png", "cut.jpg", "--run", "both"], "cut.jpg"),
        (["in0/a bird0.png", "--run", "bth"], "did you mean both"),
        (["in0/a bird0.png", "--run", "new"], "new has no weights"),
        (["in0/a bird0.png", "--run", "both", "--phase", 7], "no weights of phase 7"),
        (["in0/a bird0.png", "--run", "both", "--blobs", "cnov1"], "did you mean conv1"),
        (["in0/a bird0.png", "--run", "both", "--baseline", "plian"], "did you mean plain"),
        (["in0/a bird0.png", "--run", "both", "--weights", "w"], "give either"),
        (["in0/a bird0.png", "--run", "both", "--variant", "maap"], "--variant: run both has its"),
        (["in0/a bird0.png", "--input-scale", "2"], "--input-scale: give --weights"),
        (["in0/a bird0.png", "--weights", "w", "--phase", 1], "--phase is for a run"),
        (["in0/a bird0.png", "--net", TINY], "--weights"),
        (["in0/a bird0.png", "--net", TINY, "--weights", "no.caffemodel"], "no.caffemodel"),
        (["in0/a bird0.png", "--run", "both", "--out", "text.png"], "text.png"),
    ],
)
def test_mistakes(runs, pictures, tmp_path, words, expected):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "two words" / "a b").mkdir(parents=True)
    (tmp_path / "two words" / "a b" / "x.JPG").write_bytes(b"")
    data = cv2.imencode(".jpg", cv2.imread(str(pictures[0])))[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    assert expected in maap("visualize", *words, "--runs-dir", runs, cwd=tmp_path)
    assert not (tmp_path / "visualize").exists()


def test_no_runs_at_all(pictures, tmp_path):
    assert "no runs in runs" in maap("visualize", pictures[0], cwd=tmp_path)


def test_a_run_may_be_given_as_the_path_that_a_shell_completes(runs, pictures, tmp_path):
    (tmp_path / "runs").symlink_to(runs)
    words = ["visualize", pictures[0], "--baseline", "runs/plain/", "--run"]
    assert "both after phase 1" in maap(*words, "runs/both", "--out", "a", cwd=tmp_path, status=0)
    maap(*words, "both", "--out", "b", cwd=tmp_path, status=0)
    a, b = ((tmp_path / out / "01_a_bird0.png").read_bytes() for out in "ab")
    assert a == b


def test_phase_10_comes_after_phase_2(runs, tmp_path):
    shutil.copytree(runs / "both", tmp_path / "runs" / "long")
    run = Run(tmp_path / "runs" / "long")
    for number in (2, 9, 10):
        shutil.copytree(run.folder / "phase1", run.folder / f"phase{number}", dirs_exist_ok=True)
    shutil.copytree(run.folder / "phase1", run.folder / "phase1 (old)")
    assert [path.parent.name for path in run.weights()] == ["phase1", "phase2", "phase9", "phase10"]
    assert of_run(run).weights == run.folder / "phase10" / "final.caffemodel"
    assert of_run(run, Request(phase=2)).title == "long after phase 2"
