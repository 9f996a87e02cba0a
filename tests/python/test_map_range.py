"""examples/map_range.py: how large the map is that a net attends to."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluate_fakes import NET, REWRITE, TRANSFORM, forward_alone, make_run
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.host import loader
from maap.rewrite.rewrite import Pool
from maap.rewrite.worker import Job

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example():
    sys.path.append(str(ROOT / "examples"))
    try:
        import map_range
    finally:
        sys.path.remove(str(ROOT / "examples"))
    return map_range


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


def test_every_map_is_the_mean_over_the_channels(example, run_folder):
    """Fifty images in batches of eight, so that the last batch has two."""
    split = Dataset.open(run_folder / "data").split("test")
    files = (run_folder / "rewrite.prototxt", run_folder / "phase1" / "final.caffemodel")
    maps = example.mean_maps(*files, split, TRANSFORM, 8)
    job = Job.of(split, (40, 40), TRANSFORM, 50)
    with Pool(job, [list(range(50))], 1) as pool:
        images = pool.loaded(0).images.copy()
    alone = forward_alone(loader.load(), run_folder / "deploy.prototxt", files[1], images)
    wanted = np.stack([blobs["conv"][0].mean(axis=0) for blobs in alone])
    assert maps.shape == wanted.shape == (50, 12, 12)
    assert np.allclose(maps, wanted, atol=1e-5) and maps.std() > 0


def test_what_is_said_of_maps(example):
    maps = np.zeros((2, 2, 2), np.float32)
    maps[0] = [[9, 0], [0, 1]]
    assert example.lines(maps) == [
        "2 maps of 2 x 2: 0.0 to 9.0",
        "quantiles of the values: 5 %: 0.0, 50 %: 0.0, 95 %: 6.2",
        "greatest value of a map: 0.0 to 9.0",
        "values above 8: 12.5%; maps with any: 50.0%",
    ]


def test_a_class_map_is_refused(example, run_folder, tmp_path):
    source = 'layer { name: "class_map" type: "Input" top: "map" input_param { shape { dim: 4 '
    source += 'dim: 1 dim: 12 dim: 12 } } python_param { param_str: "attention: CAM" } }'
    rewrite = REWRITE.replace('bottom: "conv"', 'bottom: "map"')
    (tmp_path / "net.prototxt").write_text(NET + source + rewrite)
    split = Dataset.open(run_folder / "data").split("test")
    with pytest.raises(MaapError, match="its attention is no mean"):
        example.mean_maps(tmp_path / "net.prototxt", run_folder, split, TRANSFORM, 8)


def test_no_such_run_is_one_line(tmp_path):
    command = [sys.executable, ROOT / "examples" / "map_range.py", "nope", "--runs-dir", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "nope" in done.stderr
