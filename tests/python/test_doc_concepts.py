"""The scripts of docs/concepts compute what their pages say and what the real layers compute."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from maap.host import loader

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "concepts"
NET = """
force_backward: true
layer {{ name: "f" type: "Input" top: "f"
  input_param {{ shape {{ dim: 1 dim: {f[0]} dim: {f[1]} dim: {f[2]} }} }} }}
layer {{ name: "d" type: "Input" top: "d"
  input_param {{ shape {{ dim: 1 dim: {d[0]} dim: {d[1]} dim: {d[2]} }} }} }}
layer {{ name: "enhance" type: "Enhancement" bottom: "f" top: "enhanced" top: "attention" }}
layer {{ name: "eliminate" type: "Elimination" bottom: "f" bottom: "d"
  top: "dstar" top: "r" top: "a" top: "s" python_param {{ param_str: "a_star: {a_star}" }} }}
"""


def script(name):
    return runpy.run_path(str(FOLDER / f"{name}.py"))


def make_net(tmp_path, f, d, a_star="ROI"):
    caffe = loader.load()
    path = tmp_path / "net.prototxt"
    path.write_text(NET.format(f=f.shape, d=d.shape, a_star=a_star))
    net = caffe.Net(str(path), caffe.TEST)
    net.blobs["f"].data[0], net.blobs["d"].data[0] = f, d
    net.forward()
    return net


def inputs():
    """(F, D): the pages' own, then random ones with places that stand out."""
    page = script("elimination")
    yield page["F"], page["D"]
    for seed, shape, size in ((1, (8, 13, 13), (61, 50)), (2, (3, 6, 9), (40, 40))):
        rng = np.random.RandomState(seed)
        f = rng.rand(*shape)
        f[:, 2:5, 3:6] += 3
        yield f, rng.randint(0, 256, (3, *size)).astype(float)


@pytest.mark.parametrize("case", range(3))
def test_enhancement_is_the_layers(tmp_path, case):
    f, d = list(inputs())[case]
    page, net = script("enhancement"), make_net(tmp_path, f, d)
    a, enhanced = page["enhance"](f)
    np.testing.assert_allclose(net.blobs["attention"].data[0, 0], a, rtol=1e-5)
    np.testing.assert_allclose(net.blobs["enhanced"].data[0], enhanced, rtol=1e-5)
    g = np.random.RandomState(3).randn(*f.shape)
    net.blobs["enhanced"].diff[0] = g
    net.blobs["attention"].diff[...] = 0
    net.backward()
    np.testing.assert_allclose(net.blobs["f"].diff[0], page["gradient"](f, g), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(page["by_differences"](f, g), page["gradient"](f, g), atol=1e-7)


@pytest.mark.parametrize("case", range(3))
def test_elimination_is_the_layers(tmp_path, case):
    f, d = list(inputs())[case]
    a, threshold, box, stars = script("elimination")["eliminate"](f, d)
    assert len(stars) == 6
    for name, star in stars.items():
        net = make_net(tmp_path, f, d, name)
        assert net.blobs["r"].data[0].tolist() == list(box)
        np.testing.assert_allclose(net.blobs["a"].data[0, 0], a, rtol=1e-5)
        assert net.blobs["s"].data[0, 0] == pytest.approx(threshold, rel=1e-5)
        np.testing.assert_allclose(net.blobs["dstar"].data[0], star, atol=2e-3)


def test_a_flat_map_is_the_whole_image(tmp_path):
    d = np.arange(12.0).reshape(1, 3, 4)
    _, _, box, stars = script("elimination")["eliminate"](np.ones((2, 2, 2)), d)
    assert box == (0, 0, 4, 3)
    np.testing.assert_array_equal(stars["ROI"], d)
    net = make_net(tmp_path, np.ones((2, 2, 2)), d)
    assert net.blobs["r"].data[0].tolist() == [0, 0, 4, 3]


@pytest.mark.parametrize("name", ["enhancement", "elimination"])
def test_the_page_shows_what_its_script_prints(name):
    path = FOLDER / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 60
    printed = subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, check=True)
    blocks = re.findall(r"^```text\n(.*?)^```$", path.with_suffix(".md").read_text(), re.S | re.M)
    assert printed.stdout.decode() in blocks
