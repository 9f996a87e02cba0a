"""caffe.io, Classifier, Detector: against what BVLC Caffe computes (make_golden.py), and alone."""

import caffe
import make_golden
import numpy as np
import pytest
from caffe.proto import caffe_pb2

io = caffe.io


@pytest.fixture(scope="module")
def expected():
    path = make_golden.GOLDEN / "arrays.npz"
    with np.load(path) as stored:
        return dict(stored)


@pytest.mark.parametrize(
    "kind",
    [make_golden.resized, make_golden.transformed, make_golden.oversampled],
    ids=lambda kind: kind.__name__,
)
def test_values_are_bvlcs(kind, expected):
    for name, array in kind(caffe).items():
        theirs = expected[f"{kind.__name__}/{name}"]
        assert array.dtype == theirs.dtype, name
        np.testing.assert_allclose(array, theirs, rtol=1e-5, atol=1e-4, err_msg=name)


def test_predictions_are_bvlcs(expected, monkeypatch):
    monkeypatch.setattr(io, "load_image", io.load_image)  # the golden script replaces it
    for name, array in make_golden.predicted(caffe).items():
        np.testing.assert_allclose(array, expected[f"predicted/{name}"], rtol=1e-4, err_msg=name)


def test_blobproto():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    blob = io.array_to_blobproto(values, diff=values * 2)
    np.testing.assert_array_equal(io.blobproto_to_array(blob), values)
    np.testing.assert_array_equal(io.blobproto_to_array(blob, return_diff=True), values * 2)
    assert io.blobproto_to_array(blob).dtype == np.float64
    legacy = caffe_pb2.BlobProto(num=1, channels=2, height=1, width=3, data=range(6))
    assert io.blobproto_to_array(legacy).shape == (1, 2, 1, 3)
    doubles = caffe_pb2.BlobProto(double_data=[1, 2])
    doubles.shape.dim.append(2)
    assert io.blobproto_to_array(doubles).tolist() == [1, 2]
    doubles.shape.dim[0] = 3
    with pytest.raises(ValueError, match="reshape"):
        io.blobproto_to_array(doubles)
    with pytest.raises(ValueError, match="shape 2 x 3 x 4, the diff 3 x 4"):
        io.array_to_blobproto(values, diff=values[0])


def test_blobprotovector():
    arrays = [np.ones((2, 3)), np.zeros(4), np.array(5.0)]
    text = io.arraylist_to_blobprotovector_str(arrays)
    assert isinstance(text, bytes)
    for mine, theirs in zip(io.blobprotovector_str_to_arraylist(text), arrays, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_datum(dtype):
    image = np.arange(24).reshape(2, 3, 4).astype(dtype)
    datum = io.array_to_datum(image, label=7)
    assert (datum.channels, datum.height, datum.width, datum.label) == (2, 3, 4, 7)
    assert bool(datum.data) == (dtype == np.uint8)
    np.testing.assert_array_equal(io.datum_to_array(datum), image)
    assert not io.array_to_datum(image).HasField("label")
    io.datum_to_array(datum)[...] = 0  # an array of one's own


def test_datums_that_are_wrong():
    with pytest.raises(ValueError, match="channels x height x width, not the shape 2 x 5"):
        io.array_to_datum(np.zeros((2, 5)))
    for label in ("a", "1", 1.5):  # TypeError in BVLC Caffe as well
        with pytest.raises(TypeError, match="whole number"):
            io.array_to_datum(np.zeros((1, 1, 1)), label)
    assert io.array_to_datum(np.zeros((1, 1, 1)), np.float32(3)).label == 3
    with pytest.raises(ValueError, match="encoded"):
        io.datum_to_array(caffe_pb2.Datum(encoded=True, data=b"x", channels=1, height=1, width=1))
    with pytest.raises(ValueError, match="reshape"):
        io.datum_to_array(caffe_pb2.Datum(data=b"xx", channels=3, height=2, width=2))


def test_transformer_leaves_the_image_alone():
    image = np.ones((4, 4, 3), dtype=np.float32)
    transformer = io.Transformer({"data": (1, 3, 4, 4)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_raw_scale("data", 255)
    transformer.set_mean("data", np.array([1, 2, 3]))
    transformer.set_input_scale("data", 2)
    result = transformer.preprocess("data", image)
    assert result[:, 0, 0].tolist() == [508, 506, 504]
    transformer.deprocess("data", result)
    assert result[0, 0, 0] == 508
    assert (image == 1).all()
    bytes_in = transformer.preprocess("data", np.full((8, 8, 3), 9, np.uint8))
    assert bytes_in.dtype == np.float32
    assert np.isfinite(bytes_in).all()


def test_transformer_mistakes():
    transformer = io.Transformer({"data": (1, 3, 4, 5)})
    for call in [
        lambda: transformer.preprocess("nope", np.zeros((4, 5, 3))),
        lambda: transformer.set_transpose("nope", (2, 0, 1)),
        lambda: transformer.set_transpose("data", (0, 1)),
        lambda: transformer.set_channel_swap("data", (0, 1)),
        lambda: transformer.set_mean("data", np.zeros(4)),
        lambda: transformer.set_mean("data", np.zeros((2, 4, 5))),
        lambda: transformer.set_mean("data", 3.0),
        lambda: transformer.preprocess("data", np.zeros((9, 9))),
    ]:
        with pytest.raises(ValueError):
            call()
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (0, 1, 5))
    with pytest.raises(ValueError, match=r"swap \[0, 1, 5\]: the image has 3 channels"):
        transformer.preprocess("data", np.zeros((4, 5, 3)))
    for mean in [np.zeros((3, 1, 1)), np.zeros((1, 4, 5)), np.zeros((4, 5)), np.ones((3, 7, 9))]:
        transformer.set_mean("data", mean)
    assert transformer.mean["data"].shape == (3, 4, 5)
    assert (transformer.mean["data"] == 1).all()


def test_integers_of_every_size_are_resized():
    image = np.array([[[-128], [127]], [[0], [64]]]).repeat(3, 2)
    expected = io.resize_image(image.astype(np.float64), (3, 3))
    for dtype in (np.int8, np.int16, np.int64, np.float16):
        np.testing.assert_allclose(
            io.resize_image(image.astype(dtype), (3, 3)), expected, rtol=1e-3
        )
    as_bool, as_float = (
        io.resize_image(kind(image > 0), (4, 4)) for kind in (np.array, np.float32)
    )
    np.testing.assert_allclose(as_bool, as_float)


def test_deprocess_of_a_grey_image():
    transformer = io.Transformer({"data": (2, 1, 4, 5)})
    transformer.set_transpose("data", (2, 0, 1))
    image = np.random.default_rng(0).random((4, 5, 1)).astype(np.float32)
    data = transformer.preprocess("data", image)
    for given in (data, data[np.newaxis]):
        np.testing.assert_array_equal(transformer.deprocess("data", given), image)


def test_classifier_with_odd_sizes(files):
    classifier = caffe.Classifier(*files, image_dims=np.array([6, 8]))
    assert classifier.predict([np.zeros((9, 9, 3))], oversample=False).shape == (1, 5)
    assert classifier.predict([]).shape == (0, 5)
    small = caffe.Classifier(*files, image_dims=(3, 8))
    for oversample in (True, False):
        with pytest.raises(ValueError, match="images of 3 x 8 are smaller than .* 4 x 4"):
            small.predict([np.zeros((9, 9, 3))], oversample)


def test_oversample_of_images_that_do_not_fit():
    with pytest.raises(ValueError, match="do not fit"):
        io.oversample([np.zeros((4, 4, 3))], (5, 4))
    with pytest.raises(ValueError, match="different shapes, 4 x 4 x 3 and 5 x 6 x 3"):
        io.oversample([np.zeros((4, 4, 3)), np.zeros((5, 6, 3))], (2, 2))
    with pytest.raises(ValueError, match="no image"):
        io.oversample([], (2, 2))
    with pytest.raises(ValueError, match="channels, not the shape 4 x 4$"):
        io.oversample([np.zeros((4, 4))], (2, 2))


@pytest.fixture
def files(tmp_path):
    return make_golden.classifier_files(tmp_path, caffe)


def test_context_of_a_window(files, tmp_path):
    """A window is enlarged so that context_pad pixels of the input surround it."""
    detector = caffe.Detector(*files, context_pad=1, mean=np.array([0.1, 0.2, 0.3]))
    image = np.tile(np.arange(20, dtype=np.float32)[:, None, None], (1, 20, 3))
    inside = detector.crop(image, (8, 8, 12, 12))
    assert inside.shape == (4, 4, 3)
    # 4 x 4 pixels in the middle 2 x 2 of the input: rows 6 to 14 in four steps.
    np.testing.assert_allclose(inside[1:3, 1, 0], [8.5, 10.5], atol=1.2)
    outside = detector.crop(image + 5, (0, 0, 4, 4))
    np.testing.assert_allclose(outside[0], np.tile([0.1, 0.2, 0.3], (4, 1)), rtol=1e-5)
    np.testing.assert_allclose(outside[1:, 0], np.tile([0.1, 0.2, 0.3], (3, 1)), rtol=1e-5)
    assert outside[1:, 1:].min() > 0.4
    plain = caffe.Detector(*files)
    assert plain.crop(image, (1, 2, 5, 9)).shape == (4, 7, 3)
    with pytest.raises(ValueError, match="leaves nothing of 4 x 4"):
        plain.configure_crop(2)
    plain.context_pad = 1  # as configure_crop(1)
    assert plain.crop(image, (8, 8, 12, 12)).shape == (4, 4, 3)
    with pytest.raises(ValueError, match="leaves nothing"):
        plain.context_pad = 9
    assert plain.context_pad == 1
    assert plain.detect_windows([]) == []
    with pytest.raises(ImportError):
        plain.detect_selective_search(["x.png"])


def test_detector_reads_files(files, tmp_path):
    from PIL import Image

    Image.fromarray(np.full((20, 24, 3), 50, np.uint8)).save(tmp_path / "image.png")
    name = str(tmp_path / "image.png")
    for context in (None, 1):
        found = caffe.Detector(*files, context_pad=context).detect_windows(
            [(name, np.array([[0, 0, 9, 9], [5, 5, 25, 30]]))]
        )
        assert [detection["filename"] for detection in found] == [name, name]
        assert [list(detection["window"]) for detection in found][1] == [5, 5, 25, 30]
        assert all(detection["prediction"].shape == (5,) for detection in found)
