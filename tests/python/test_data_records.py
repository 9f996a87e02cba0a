"""Datums and image files: what goes in comes out, and a damaged one is an error that names it."""

import cv2
import numpy as np
import pytest
from data_fakes import picture, save
from maap.data import records
from maap.errors import MaapError
from maap.images import pixels
from maap.util.schema import caffe_pb2


def test_raw_pixels_round_trip():
    image = picture(1)
    back, label = records.decode(records.encode_pixels(image, 7))
    assert label == 7 and back.dtype == np.uint8
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("label", [0, 1, 300, 70000])
def test_floats_round_trip_and_protobuf_reads_the_same(label):
    image = picture(2).astype(np.float32) - 117.5
    data = records.encode_pixels(image, label)
    back, found = records.decode(data)
    np.testing.assert_array_equal(back, image)
    assert found == label and back.dtype == np.float32
    datum = caffe_pb2.Datum.FromString(data)
    assert (datum.channels, datum.height, datum.width, datum.label) == (3, 48, 64, label)
    np.testing.assert_array_equal(
        np.array(datum.float_data, np.float32).reshape(3, 48, 64), image.transpose(2, 0, 1)
    )
    again, _ = records.decode(datum.SerializeToString())  # and what protobuf writes
    np.testing.assert_array_equal(again, image)


def test_float_datum_in_another_layout_is_read_by_protobuf():
    image = picture(2, 4, 5).astype(np.float32)
    datum = caffe_pb2.Datum(channels=3, height=4, width=5, label=2, encoded=False)
    datum.float_data.extend(image.transpose(2, 0, 1).ravel().tolist())
    back, label = records.decode(datum.SerializeToString())
    np.testing.assert_array_equal(back, image)
    assert label == 2


def test_jpeg_datum_has_quality_95_and_grey_gets_three_channels():
    image = picture(3)
    back, label = records.decode(records.encode_jpeg(image, 1))
    assert label == 1 and back.shape == image.shape
    expected = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    np.testing.assert_array_equal(back, cv2.imdecode(expected, cv2.IMREAD_COLOR))
    datum = caffe_pb2.Datum(channels=1, height=2, width=2, data=bytes([1, 2, 3, 4]))
    grey, _ = records.decode(datum.SerializeToString())
    assert grey.shape == (2, 2, 3) and grey[1, 0].tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: b"\xff\xff\xff" + d,
        lambda d: caffe_pb2.Datum(channels=3, height=9, width=9, data=b"abc").SerializeToString(),
        lambda d: caffe_pb2.Datum(label=1).SerializeToString(),
        lambda d: caffe_pb2.Datum(encoded=True, data=d[:40]).SerializeToString(),
    ],
)
def test_damaged_datum_names_the_record(damage):
    with pytest.raises(MaapError, match="record 17"):
        records.decode(damage(records.encode_jpeg(picture(1), 0)), "record 17")


def test_long_and_odd_paths_make_keys_that_sort_by_index():
    keys = [records.key_bytes(records.key_for(i, "ä" * 400)) for i in range(12)]
    assert keys == sorted(keys) and max(map(len, keys)) <= 511 and len(set(keys)) == 12
    odd = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert records.key_bytes(records.key_for(3, odd)) == b"00000003_caf\xe9.jpg"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_truncated_file_is_an_error_that_names_it(tmp_path, suffix, share):
    path = save(tmp_path / f"bird{suffix}", picture(4, 200, 300))
    data = path.read_bytes()
    pixels.read(path)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MaapError, match=f"bird{suffix}"):
        pixels.read(path)


def test_every_truncation_of_a_small_jpeg_is_found(tmp_path):
    data = cv2.imencode(".jpg", picture(5, 24, 24))[1].tobytes()
    pixels.check_complete(data, "x")
    pixels.check_complete(data + b"trailing bytes of a camera", "x")
    for length in range(2, len(data) - 1):
        with pytest.raises(MaapError):
            pixels.check_complete(data[:length], "x")


def test_thumbnail_inside_a_segment_does_not_count_as_the_end():
    data = cv2.imencode(".jpg", picture(5, 24, 24))[1].tobytes()
    segment = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
    whole = data[:2] + segment + data[2:]
    pixels.check_complete(whole, "x")
    with pytest.raises(MaapError):
        pixels.check_complete(whole[: 2 + len(segment) + 60], "x")


def test_progressive_and_restart_jpegs_are_whole():
    image = picture(6, 100, 100)
    for flag, value in ((cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)):
        data = cv2.imencode(".jpg", image, [flag, value])[1].tobytes()
        pixels.check_complete(data, "x")
        with pytest.raises(MaapError):
            pixels.check_complete(data[:-2], "x")


def test_grey_image_file_becomes_three_channels(tmp_path):
    path = save(tmp_path / "grey.png", picture(1)[:, :, 0])
    image = pixels.read(path)
    assert image.shape == (48, 64, 3) and (image[..., 0] == image[..., 2]).all()


def test_warp_and_crop_carry_the_box():
    image = np.zeros((100, 200, 3), np.uint8)
    image[20:60, 50:150] = 255
    box = (50.0, 20.0, 150.0, 60.0)
    warped, at = pixels.fit(image, (50, 50), "warp", box)
    assert warped.shape == (50, 50, 3) and at == (12.5, 10.0, 37.5, 30.0)
    cropped, at = pixels.fit(image, (50, 50), "short_side", box)
    assert cropped.shape == (50, 50, 3) and at == (0.0, 10.0, 50.0, 30.0)
    assert cropped[20, 1].tolist() == [255] * 3 and cropped[5, 25].tolist() == [0] * 3
    assert pixels.fit(image, (50, 50), "short_side", (0.0, 0.0, 10.0, 10.0))[1] is None
    with pytest.raises(MaapError, match="squash"):
        pixels.fit(image, (50, 50), "squash")
