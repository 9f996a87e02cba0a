"""The Elimination layer in a real net, against a NumPy and scikit-image rendering of the paper's
equations 4 to 8, and of the attention drop, that shares no code with it."""

import numpy as np
import pytest
from maap.host import loader
from maap.images.a_star import NAMES
from maap.images.region_options import RegionOptions
from paper_render import factor
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.transform import resize

NET = """
layer {{ name: "f" type: "Input" top: "f"
  input_param {{ shape {{ dim: {n} dim: {c} dim: {h} dim: {w} }} }} }}
layer {{ name: "d" type: "Input" top: "d"
  input_param {{ shape {{ dim: {n} dim: 3 dim: {H} dim: {W} }} }} }}
layer {{ name: "elim" type: "Elimination" bottom: "f" bottom: "d"
  top: "dstar" top: "r" top: "a" top: "s" python_param {{ param_str: "{param}" }} }}
"""
SIZES = [
    dict(n=4, c=256, h=13, w=13, H=227, W=227),
    dict(n=3, c=8, h=14, w=10, H=61, W=90),
    dict(n=2, c=3, h=20, w=20, H=9, W=7),
]


def make_net(tmp_path, param, size, header=""):
    caffe = loader.load()
    path = tmp_path / "net.prototxt"
    path.write_text(header + NET.format(param=param, **size))
    return caffe.Net(str(path), caffe.TEST)


def features(size, seed):
    """Channels that fire around a few common places, on some noise."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[: size["h"], : size["w"]]
    f = np.zeros((size["n"], size["c"], size["h"], size["w"]), np.float32)
    for image in f:
        cy, cx = rng.rand(2) * [size["h"], size["w"]]
        bump = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 + 10 * rng.rand()))
        image[...] = np.maximum(0, bump * rng.rand(size["c"], 1, 1) * 6 + rng.randn(*image.shape))
    return f


def as_the_paper_says(f, d, a_star, at):
    """(D*, box) of one image, in double.

    f (C, h, w), d (K, H, W).
    """
    size = d.shape[1:]
    small = 1 / (1 + np.exp(-f.astype(np.float64).mean(axis=0)))
    attention = bilinear(small, size)
    plane = attention if at == "INPUT" else small
    threshold = threshold_otsu(plane, 256)
    components = regionprops(label(plane > threshold, connectivity=2))
    y1, x1, y2, x2 = max(components, key=lambda component: component.area).bbox
    if at == "MAP":
        scale_y, scale_x = size[0] / small.shape[0], size[1] / small.shape[1]
        y1, x1 = int(np.floor(y1 * scale_y)), int(np.floor(x1 * scale_x))
        y2, x2 = int(np.ceil(y2 * scale_y - 1e-9)), int(np.ceil(x2 * scale_x - 1e-9))
    inside = np.zeros(size, bool)
    inside[y1:y2, x1:x2] = True
    if a_star == "ROI":
        rendered = np.stack([bilinear(channel[y1:y2, x1:x2], size) for channel in d])
    else:
        rendered = factor(a_star, inside, attention, threshold) * d
    return rendered, [x1, y1, x2, y2]


def bilinear(plane, size):
    plane = plane.astype(np.float64)
    return resize(plane, size, order=1, mode="edge", anti_aliasing=False, preserve_range=True)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size['h']}x{size['w']}")
@pytest.mark.parametrize("at", ["INPUT", "MAP"])
@pytest.mark.parametrize("a_star", NAMES)
def test_rendering_is_the_papers(tmp_path, a_star, at, size):
    net = make_net(tmp_path, f"a_star: {a_star} threshold_at: {at}", size)
    f = features(size, seed=len(a_star))
    d = np.random.RandomState(1).randint(0, 256, (size["n"], 3, size["H"], size["W"]))
    net.blobs["f"].data[...] = f
    net.blobs["d"].data[...] = d
    net.forward()
    for n in range(size["n"]):
        expected, box = as_the_paper_says(f[n], d[n].astype(float), a_star, at)
        assert net.blobs["r"].data[n].astype(int).tolist() == box
        assert net.blobs["s"].data[n, 4] == 0
        made = net.blobs["dstar"].data[n]
        if a_star == "DROP":  # a pixel at the threshold may be rounded to either side
            clear = np.abs(net.blobs["a"].data[n, 0] - net.blobs["s"].data[n, 0]) > 1e-6
            assert clear.mean() > 0.99
            made, expected = made[:, clear], expected[:, clear]
        np.testing.assert_allclose(made, expected, atol=0.05)


def test_attention_statistics_and_regions_agree_with_find_regions(tmp_path):
    size = SIZES[0]
    net = make_net(tmp_path, "", size)
    f = features(size, seed=7)
    net.blobs["f"].data[...] = f
    net.forward()
    maps = 1 / (1 + np.exp(-f.astype(np.float64).mean(axis=1)))
    found = loader.find_regions(maps, (size["H"], size["W"]))
    np.testing.assert_array_equal(net.blobs["r"].data, found.boxes)
    np.testing.assert_allclose(net.blobs["a"].data[:, 0], found.maps, atol=1e-6)
    np.testing.assert_allclose(net.blobs["s"].data[:, :3], found.stats[:, :3], atol=1e-6)


def test_roi_of_the_whole_image_is_the_image(tmp_path):
    size = SIZES[1]
    net = make_net(tmp_path, "a_star: ROI", size)
    d = np.random.RandomState(2).rand(*net.blobs["d"].data.shape)
    net.blobs["d"].data[...] = d
    net.forward()  # F is 0: a flat map
    assert (net.blobs["s"].data[:, 4] == 1).all()
    np.testing.assert_array_equal(net.blobs["dstar"].data, net.blobs["d"].data)


RULE = (
    "threshold: FRACTION fraction: 0.25 component: STRONGEST connectivity: 4 padding: 0.1 border: 2"
)


def test_a_net_finds_regions_by_any_rule(tmp_path):
    size = SIZES[0]
    net = make_net(tmp_path, f"a_star: DROP threshold_at: MAP {RULE}", size)
    f = features(size, seed=7)
    net.blobs["f"].data[...] = f
    net.blobs["d"].data[...] = np.random.RandomState(4).rand(*net.blobs["d"].data.shape)
    net.forward()
    maps = 1 / (1 + np.exp(-f.astype(np.float64).mean(axis=1)))
    options = RegionOptions.read(f"threshold_at: MAP {RULE}")
    found = loader.find_regions(maps, (size["H"], size["W"]), options)
    np.testing.assert_array_equal(net.blobs["r"].data, found.boxes)
    np.testing.assert_allclose(net.blobs["a"].data[:, 0], found.maps, atol=1e-6)
    np.testing.assert_allclose(net.blobs["s"].data[:, :3], found.stats[:, :3], atol=1e-6)
    kept = net.blobs["a"].data <= net.blobs["s"].data[:, :1, None, None]
    np.testing.assert_array_equal(net.blobs["dstar"].data, kept * net.blobs["d"].data)
    assert 0.1 < kept.mean() < 0.99


@pytest.mark.parametrize(
    "param, message",
    [
        ("threshold: MEDIAN", r"threshold: OTSU \| MEAN \| FRACTION; fraction: NUMBER"),
        ("connectivity: 6", r"'elim' \(Elimination\): connectivity is 6; give 8"),
        ("fraction: 1", r"'elim' .*fraction is 1; give a number of at least 0 and less than 1"),
        ("border: 5", "'elim' .*border is 5 for a map of 14x10; .* at most 4"),
    ],
)
def test_rules_that_cannot_be_are_errors_of_the_layer(tmp_path, param, message):
    with pytest.raises(RuntimeError, match=message):
        make_net(tmp_path, param, SIZES[1])


@pytest.mark.parametrize("a_star", NAMES)
def test_backward_is_the_adjoint(tmp_path, a_star):
    """D* is linear in D, so <D*(d), g> = <d, dD(g)>."""
    size = SIZES[1]
    net = make_net(tmp_path, f"a_star: {a_star}", size, "force_backward: true\n")
    rng = np.random.RandomState(3)
    net.blobs["f"].data[...] = features(size, seed=11)
    net.blobs["d"].data[...] = rng.randn(*net.blobs["d"].data.shape)
    net.forward()
    net.blobs["dstar"].diff[...] = rng.randn(*net.blobs["dstar"].data.shape)
    net.backward()
    for n in range(size["n"]):
        forward = np.vdot(net.blobs["dstar"].data[n].astype(float), net.blobs["dstar"].diff[n])
        backward = np.vdot(net.blobs["d"].data[n].astype(float), net.blobs["d"].diff[n])
        assert forward == pytest.approx(backward, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_is_named(tmp_path, bad):
    size = SIZES[1]
    net = make_net(tmp_path, "", size)
    net.blobs["f"].data[...] = features(size, seed=13)
    net.blobs["f"].data[2, 5, 13, 9] = bad
    with pytest.raises(RuntimeError, match="'elim' .*image 2 in the batch holds a NaN or an inf"):
        net.forward()


def test_a_wrong_parameter_is_named_with_the_choices(tmp_path):
    with pytest.raises(RuntimeError, match=r"'elim' .*CROP.*ROI \| UNCORRELATED"):
        make_net(tmp_path, "a_star: CROP", SIZES[1])
