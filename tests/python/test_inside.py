"""What is shown of an image: maps against pycaffe and NumPy, the region against scikit-image."""

import cv2
import numpy as np
import pytest
from evaluate_fakes import make_run
from maap.attention import figure
from maap.attention.inside import Inside, Source
from maap.data.feeder import Transform
from maap.errors import MaapError
from maap.host import loader
from maap.images import boxes, draw, pixels
from maap.images.a_star import NAMES
from maap.images.region_options import RegionOptions
from maap.nets.folder import NetFiles
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_rewrite
from paper_render import factor
from rewrite_fakes import MEAN, SIZE, photo
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.transform import resize

FOLDER = NetFiles(loader.repo_root() / "tests" / "nets" / "tiny")
TRANSFORM = Transform(crop_size=56, mean=MEAN, scale=0.02)
IMAGE = cv2.resize(photo(3)[0], (90, 60))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    caffe = loader.load()
    caffe.set_random_seed(5)
    net = caffe.Net(str(FOLDER.deploy(True)), caffe.TEST)
    path = tmp_path_factory.mktemp("weights") / "tiny.caffemodel"
    net.save(str(path))
    return path


@pytest.fixture(scope="module")
def source(weights):
    files = (FOLDER.deploy(True), weights, TRANSFORM, (64, 64))
    return Source(*files, rewrite=FOLDER.rewrite(True))


@pytest.fixture(scope="module")
def seen(source):
    return Inside(source).look("a bird", IMAGE, (9.5, 12, 45, 42))


def input_by_hand():
    stored = cv2.resize(IMAGE, (64, 64))
    return ((cv2.resize(stored, (56, 56)) - MEAN) * np.float32(0.02)).transpose(2, 0, 1)


def forward(path, weights):
    caffe = loader.load()
    net = caffe.Net(str(path), caffe.TEST, weights=str(weights))
    net.blobs["data"].reshape(1, *net.blobs["data"].data.shape[1:])
    net.reshape()
    net.blobs["data"].data[0] = input_by_hand()
    net.forward()
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


def test_maps_are_means_over_the_channels(seen, weights):
    (plain_title, plain), (own_title, own) = seen.rows
    assert "without" in plain_title and own_title == "with Enhancement"
    for maps, laap in ((plain, False), (own, True)):
        blobs = forward(FOLDER.deploy(laap), weights)
        assert [one.blob for one in maps] == ["conv1", "conv2"]
        for one in maps:
            assert one.channels == blobs[one.blob].shape[1]
            wanted = blobs[one.blob][0].mean(axis=0)
            assert one.map == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert [one.note for one in own] == ["after Enhancement", "Elimination's map"]
    mean = plain[0].map.astype(np.float64)  # equations 1 to 3: F' = (1 + A) F
    assert own[0].map == pytest.approx((1 + 1 / (1 + np.exp(-mean))) * mean, rel=1e-5)


def test_the_region_is_scikit_images(seen):
    found = seen.attention
    threshold = threshold_otsu(found.map)
    assert found.threshold == pytest.approx(threshold, rel=1e-5)
    labels = label(found.map > threshold, connectivity=2)
    largest = max(regionprops(labels), key=lambda part: part.area)
    assert np.array_equal(found.mask == 2, labels == largest.label)
    assert np.array_equal(found.mask > 0, labels > 0)
    y1, x1, y2, x2 = largest.bbox
    assert found.region == boxes.scale_box((x1, y1, x2, y2), (56, 56), seen.image.shape[:2])
    assert not found.fallback


def test_the_images_by_equation(seen):
    """The image is shown as it is (it is small), so the equations hold on its own pixels."""
    found, image = seen.attention, IMAGE.astype(np.float64)
    assert np.array_equal(seen.image, IMAGE) and list(found.d_stars) == list(NAMES)
    x1, y1, x2, y2 = found.region
    inside = np.zeros((60, 90, 1), bool)
    inside[y1:y2, x1:x2] = True
    soft = cv2.resize(found.map, (90, 60))[:, :, None]
    for name in NAMES[1:]:
        star = factor(name, inside, soft, found.threshold)
        wanted = np.clip(star * (image - MEAN) + MEAN, 0, 255)
        assert np.abs(found.d_stars[name] - wanted).max() <= 0.51, name
    crop = cv2.resize(np.ascontiguousarray(IMAGE[y1:y2, x1:x2]), (90, 60))
    assert np.array_equal(found.d_stars["ROI"], crop)


def test_a_threshold_on_the_map_itself(source, weights, tmp_path):
    rewrite = resolve_rewrite(FOLDER, True, 1, options=RegionOptions(threshold_at="map"))
    write_text(rewrite, tmp_path / "rewrite.prototxt")
    at_map = Source(
        source.deploy, weights, TRANSFORM, (64, 64), rewrite=tmp_path / "rewrite.prototxt"
    )
    found = Inside(at_map).look("x", IMAGE).attention
    features = forward(FOLDER.rewrite(True), weights)["conv2"][0].mean(axis=0)
    soft = 1 / (1 + np.exp(-features.astype(np.float64)))
    assert found.mask.shape == soft.shape
    assert np.array_equal(found.mask > 0, soft > threshold_otsu(soft.astype(np.float32)))
    ys, xs = np.nonzero(found.mask == 2)
    corners = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    on_input = boxes.scale_box(corners, soft.shape, (56, 56))
    assert found.region == boxes.scale_box(on_input, (56, 56), (60, 90))


@pytest.mark.parametrize("at", ["input", "map"])
def test_other_options_of_the_region(source, weights, tmp_path, at):
    options = RegionOptions(at, "fraction", 0.25, "strongest", 4, 0.1, 2)
    write_text(resolve_rewrite(FOLDER, True, 1, options=options), tmp_path / "rewrite.prototxt")
    other = Source(
        source.deploy, weights, TRANSFORM, (64, 64), rewrite=tmp_path / "rewrite.prototxt"
    )
    seen = Inside(other).look("x", IMAGE)
    found = seen.attention
    features = forward(FOLDER.rewrite(True), weights)["conv2"][0].mean(axis=0)
    soft = np.pad(1 / (1 + np.exp(-features[2:-2, 2:-2].astype(np.float64))), 2, mode="edge")
    upsampled = resize(soft, (56, 56), order=1, mode="edge", anti_aliasing=False)
    assert np.abs(found.map - upsampled).max() < 1e-6
    judged = soft if at == "map" else found.map.astype(np.float64)
    threshold = judged.min() + 0.25 * (judged.max() - judged.min())
    labels = label(judged > threshold, connectivity=1)
    assert found.threshold == pytest.approx(threshold, rel=1e-6)
    strongest = labels == labels.ravel()[judged.argmax()]
    assert np.array_equal(found.mask == 2, strongest)
    assert found.options == options
    words = [tile.small for _, tiles in figure.sections(seen) for tile in tiles]
    assert any("0.25 of the range" in word for word in words)
    assert "the strongest component" in figure.legend(seen)[-1][0]


def test_a_cropped_image_is_shown_as_it_is_stored(weights):
    cropping = Source(FOLDER.deploy(True), weights, TRANSFORM, (64, 64), policy="short_side")
    seen = Inside(cropping).look("x", IMAGE, (0, 0, 90, 60))
    assert seen.image.shape == (64, 64, 3) and seen.box == (0, 0, 64, 64)
    assert seen.attention is None and len(seen.rows) == 2


def test_a_net_without_attention_has_one_row(tmp_path):
    folder = make_run(tmp_path / "run")
    weights = folder / "phase1" / "final.caffemodel"
    plain = Source(folder / "deploy.prototxt", weights, Transform(40, mean=MEAN), SIZE)
    rows = Inside(plain).look("x", IMAGE).rows
    assert [(title, [one.blob for one in maps]) for title, maps in rows] == [("", ["relu"])]
    both = Inside(plain, baseline=("other", plain), blobs=["conv"]).look("x", IMAGE).rows
    assert [title for title, _ in both] == ["the baseline, other", ""]
    assert both[0][1][0].blob == "conv" and np.array_equal(both[0][1][0].map, both[1][1][0].map)
    for blob, message in (("cnov", "did you mean conv"), ("fc", "maps have four axes")):
        with pytest.raises(MaapError, match=message):
            Inside(plain, blobs=[blob])


def test_maps_that_are_not_finite_are_an_error(source, weights, tmp_path):
    caffe = loader.load()
    net = caffe.Net(str(FOLDER.deploy(True)), caffe.TEST, weights=str(weights))
    net.params["conv2"][1].data[3] = np.inf
    net.save(str(tmp_path / "inf.caffemodel"))
    broken = Source(source.deploy, tmp_path / "inf.caffemodel", TRANSFORM, (64, 64))
    with pytest.raises(MaapError, match="inf.caffemodel: blob conv2 is not finite"):
        Inside(broken).look("x", IMAGE)


def test_the_picture(seen):
    rows = figure.sections(seen)
    captions = [[tile.caption for tile in tiles] for _, tiles in rows]
    assert captions[0] == captions[1] == ["image", "conv1  26×26", "conv2  13×13"]
    assert captions[2] == ["attention A", "A over the image", "binarised A", "region R"]
    assert captions[3] == list(NAMES)
    assert {tile.image.shape for _, tiles in rows for tile in tiles} == {(117, 176, 3)}
    picture = figure.draw(seen)
    again = cv2.imdecode(np.frombuffer(pixels.to_png(picture), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(again, picture)
    for _, tiles in rows:  # every tile stands in the picture as it is
        for tile in tiles:
            found = cv2.matchTemplate(picture, tile.image, cv2.TM_SQDIFF)
            assert found.min() <= 1e-3 * np.square(tile.image.astype(float)).sum()
    assert figure.draw(seen, only=[3]).shape[0] < picture.shape[0] / 2
    odd = figure.compose(r"$\frac{1$ \\ %_^", [("$a\tb$", [figure.Tile(IMAGE, "x^2$_", "$")])])
    assert odd.shape[1] > 6 * IMAGE.shape[1]


def test_heat_is_stretched_and_a_flat_map_is_dark():
    ramp = draw.heat(np.linspace(-5, 9, 12).reshape(3, 4), 3, 4).astype(int).sum(axis=2)
    assert ramp[0, 0] < 20 and ramp[2, 3] > 500
    assert np.ptp(draw.heat(np.full((2, 2), 7.0), 4, 4).reshape(-1, 3), axis=0).tolist() == [0] * 3
