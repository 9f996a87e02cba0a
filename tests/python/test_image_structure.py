"""Image files of every format that is read: whole ones pass, cut ones are errors."""

import struct

import cv2
import numpy as np
import pytest
from data_fakes import picture
from maap.errors import MaapError
from maap.images import pixels
from maap.images.structure import check_complete, what_else

TIFF = {
    "none": [cv2.IMWRITE_TIFF_COMPRESSION, 1],
    "lzw": [cv2.IMWRITE_TIFF_COMPRESSION, 5],
    "deflate": [cv2.IMWRITE_TIFF_COMPRESSION, 8],
}
KINDS = [
    (".jpg", []),
    (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    (".png", []),
    (".bmp", []),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    *((".tif", how) for how in TIFF.values()),
]


@pytest.mark.parametrize("suffix, how", KINDS)
@pytest.mark.parametrize("grey", [False, True])
def test_cut_files_are_errors(tmp_path, suffix, how, grey):
    image = picture(1, 60, 45)
    data = cv2.imencode(suffix, image[..., 0] if grey else image, how)[1].tobytes()
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    assert pixels.read(path).shape == (60, 45, 3)
    path.write_bytes(data + b"what a camera appends")
    assert pixels.read(path).shape == (60, 45, 3)
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(MaapError, match=f"x{suffix} is truncated or damaged .* fetch the file"):
            pixels.read(path)


def test_a_bitmap_upside_down_and_one_with_compression(tmp_path):
    data = bytearray(cv2.imencode(".bmp", picture(1, 20, 20))[1].tobytes())
    struct.pack_into("<i", data, 22, -20)
    check_complete(bytes(data), "x")
    with pytest.raises(MaapError):
        check_complete(bytes(data[:-1]), "x")
    struct.pack_into("<II", data, 30, 1, 5)  # run-length, five bytes
    check_complete(bytes(data[:59]), "x")
    with pytest.raises(MaapError):
        check_complete(bytes(data[:58]), "x")
    with pytest.raises(MaapError):
        check_complete(b"BM", "x")


def test_damaged_directories_of_tiff_are_errors_not_crashes():
    data = cv2.imencode(".tif", picture(1, 30, 30), TIFF["none"])[1].tobytes()
    random = np.random.RandomState(1)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(4):
            damaged[random.randint(4, len(data))] = random.randint(256)
        try:
            check_complete(bytes(damaged), "x")
        except MaapError as error:
            assert "truncated or damaged" in str(error)
    with pytest.raises(MaapError):
        check_complete(b"II*\0" + b"\xff" * 20, "x")


def tiff_of_floats(image: np.ndarray) -> bytes:
    """A grey (H, W) image as the simplest TIFF of 32-bit floats."""
    height, width = image.shape
    data = image.astype("<f4").tobytes()
    tags = {
        256: width, 257: height, 258: 32, 259: 1, 262: 1, 273: 8, 277: 1, 278: height,
        279: len(data), 339: 3,
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return head + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_floats_in_a_tiff_are_refused(tmp_path):
    path = tmp_path / "x.tif"
    path.write_bytes(tiff_of_floats(picture(1)[..., 0] / 255))
    with pytest.raises(MaapError) as error:
        pixels.read(path)
    assert str(error.value) == (
        f"{path} holds floats, whose range of brightness is not known; save it with 8 bits"
    )
    assert cv2.imwrite(str(path), picture(1).astype(np.uint16) * 257)
    np.testing.assert_array_equal(pixels.read(path), picture(1))


@pytest.mark.parametrize(
    "data, what",
    [
        (b"GIF89a...", "is a GIF, which not every OpenCV reads; save it as JPEG or PNG"),
        (b"\0\0\0\x1cftypavif", "is an AVIF; save it as JPEG or PNG"),
        (b"\0\0\0\x1cftypmp42", "is a film, not an image"),
        (b"%PDF-1.4", "is a PDF, not an image"),
        (b"PK\3\4", "is a zip archive, not an image"),
        (b"\n <svg xmlns", "is a web page or SVG, no pixels"),
        (b"", "is not an image that OpenCV can decode"),
    ],
)
def test_what_else_a_file_may_be(data, what):
    assert what_else(data) == what
