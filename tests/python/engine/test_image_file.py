"""caffe.io.load_image: every kind of file becomes H x W x 3, or H x W x 1 in grey."""

import caffe
import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

load = caffe.io.load_image
RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = COLOUR[:, :, 0]
ALPHA = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
OTHER = 255 - COLOUR
PALETTE = Image.fromarray(COLOUR).quantize(16)
LUMA = COLOUR / 255 @ [0.2125, 0.7154, 0.0721]


def pil(image, **options):
    made = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return lambda path: made.save(path, **options)


def opencv(image):
    order = [2, 1, 0, 3][: image.shape[2]]
    return lambda path: cv2.imwrite(str(path), np.ascontiguousarray(image[:, :, order]))


def pages(image, *others):
    return pil(image, save_all=True, append_images=[Image.fromarray(other) for other in others])


def floats(image):
    """Not by OpenCV, some versions of which write another kind."""
    return lambda path: tifffile.imwrite(path, image.astype(np.float32), photometric="rgb")


WITH_ALPHA = np.dstack([COLOUR, ALPHA])
DEEP = COLOUR.astype(np.uint16) * 200 + 7
COLOUR_FILES = {  # name: (how it is written, what is read)
    "rgb.png": (pil(COLOUR), COLOUR / 255),
    "rgb.bmp": (pil(COLOUR), COLOUR / 255),
    "rgb.tif": (pil(COLOUR), COLOUR / 255),
    "rgb.webp": (pil(COLOUR, lossless=True), COLOUR / 255),
    "alpha.png": (pil(WITH_ALPHA), COLOUR / 255),
    "alpha.tif": (pil(WITH_ALPHA), COLOUR / 255),
    "palette.png": (pil(PALETTE), np.asarray(PALETTE.convert("RGB")) / 255),
    "palette.gif": (pil(PALETTE), np.asarray(PALETTE.convert("RGB")) / 255),
    "palette.tif": (pil(PALETTE), np.asarray(PALETTE.convert("RGB")) / 255),
    "see-through.png": (pil(PALETTE, transparency=3), np.asarray(PALETTE.convert("RGB")) / 255),
    "animated.gif": (pages(PALETTE, OTHER), np.asarray(PALETTE.convert("RGB")) / 255),
    "animated.png": (pages(Image.fromarray(COLOUR), OTHER), COLOUR / 255),
    "pages.tif": (pages(Image.fromarray(COLOUR), OTHER, OTHER), COLOUR / 255),
    "cmyk.tif": (pil(Image.fromarray(COLOUR).convert("CMYK")), COLOUR / 255),
    "deep.png": (opencv(DEEP), DEEP / 65535),
    "deep.tif": (opencv(DEEP), DEEP / 65535),
    "deep-alpha.png": (opencv(np.dstack([DEEP, DEEP[:, :, :1]])), DEEP / 65535),
    "floats.tif": (floats(COLOUR / 255), COLOUR / 255),
    "thin.png": (pil(COLOUR[:, :1]), COLOUR[:, :1] / 255),
    "three-rows.png": (pil(COLOUR[:3]), COLOUR[:3] / 255),
}


@pytest.mark.parametrize("name", COLOUR_FILES)
def test_colours(name, tmp_path):
    write, expected = COLOUR_FILES[name]
    write(tmp_path / name)
    image = load(str(tmp_path / name))
    assert (image.dtype, image.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_allclose(image, expected, atol=1e-6)
    grey = load(tmp_path / name, color=False)
    assert grey.shape == (*expected.shape[:2], 1) and grey.dtype == np.float32
    np.testing.assert_allclose(grey[:, :, 0], expected @ [0.2125, 0.7154, 0.0721], atol=1e-5)
    image *= 255  # as scripts do
    grey -= 0.5


GREY_FILES = {
    "grey.png": (pil(GREY), GREY / 255),
    "grey.bmp": (pil(GREY), GREY / 255),
    "grey.gif": (pil(GREY), GREY / 255),
    "grey-alpha.png": (pil(np.dstack([GREY, ALPHA])), GREY / 255),
    "grey-alpha.tif": (pil(np.dstack([GREY, ALPHA])), GREY / 255),
    "bits.png": (pil(GREY > 100), GREY > 100),
    "bits.tif": (pil(GREY > 100), GREY > 100),
    "deep.png": (pil(DEEP[:, :, 0].copy()), DEEP[:, :, 0] / 65535),
    "deep.tif": (pil(DEEP[:, :, 0].copy()), DEEP[:, :, 0] / 65535),
    "deep.pgm": (lambda path: cv2.imwrite(str(path), DEEP[:, :, 0]), DEEP[:, :, 0] / 65535),
    "floats.tif": (pil((GREY / 255).astype(np.float32)), GREY / 255),
    "pages.tif": (pages(Image.fromarray(GREY), 255 - GREY, GREY // 2, GREY), GREY / 255),
}


@pytest.mark.parametrize("name", GREY_FILES)
def test_grey(name, tmp_path):
    write, expected = GREY_FILES[name]
    write(tmp_path / name)
    colour, grey = load(tmp_path / name), load(tmp_path / name, False)
    np.testing.assert_allclose(grey, expected[:, :, np.newaxis], atol=1e-6)
    np.testing.assert_allclose(colour, expected[:, :, np.newaxis].repeat(3, 2), atol=1e-6)
    assert colour.flags.writeable and grey.flags.writeable


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "RGB", "L"])
def test_jpeg(mode, tmp_path):
    smooth = cv2.resize(COLOUR, (64, 48), interpolation=cv2.INTER_CUBIC)
    if mode == "L":
        smooth = smooth[:, :, :1].repeat(3, 2)
    Image.fromarray(smooth).convert(mode).save(tmp_path / "a.jpg", quality=95)
    image = load(tmp_path / "a.jpg")
    assert image.shape == (48, 64, 3)
    assert np.abs(image - smooth / 255).mean() < 0.02
    assert load(tmp_path / "a.jpg", False).shape == (48, 64, 1)


def test_lab(tmp_path):
    rgb = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128], [200, 100, 50]]])
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(Image.fromarray(rgb), *profiles, outputMode="LAB").save(
        tmp_path / "lab.tif"
    )
    np.testing.assert_allclose(load(tmp_path / "lab.tif"), rgb / 255, atol=0.1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_images_are_upright(orientation, suffix, tmp_path):
    """As OpenCV turns them, which the data layers read with."""
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(COLOUR).save(tmp_path / f"a.{suffix}", exif=exif)
    Image.fromarray(COLOUR).resize((64, 48)).save(tmp_path / "a.jpg", exif=exif, quality=100)
    by_opencv = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_COLOR)[:, :, ::-1] / 255
    image = load(tmp_path / "a.jpg")
    assert image.shape == by_opencv.shape
    assert np.abs(image - by_opencv).max() < 0.02
    small = load(tmp_path / f"a.{suffix}")
    assert small.shape == ((5, 7, 3) if orientation < 5 else (7, 5, 3))
    turned = {1: COLOUR, 3: COLOUR[::-1, ::-1], 6: np.rot90(COLOUR, -1), 8: np.rot90(COLOUR)}
    if orientation in turned:
        np.testing.assert_allclose(small, turned[orientation] / 255, atol=1e-6)


def test_sources(tmp_path):
    path = tmp_path / "a b.png"
    Image.fromarray(COLOUR).save(path)
    with path.open("rb") as stream:
        np.testing.assert_allclose(load(stream), COLOUR / 255, atol=1e-6)
    np.testing.assert_allclose(load(path.as_uri()), COLOUR / 255, atol=1e-6)


def test_more_pixels_than_pillow_takes(tmp_path, monkeypatch):
    Image.fromarray(COLOUR).save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(OSError, match=r"big\.png: .*MAX_IMAGE_PIXELS = None takes any"):
        load(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert load(tmp_path / "big.png").shape == (5, 7, 3)


def test_what_is_no_image(tmp_path):
    text = tmp_path / "text.png"
    broken_header = b"P5 1\xd0 16 255\n", b"P6 4 4 255\nfew"
    for content in (b"", b"bad", b"\x89PNG\r\n\x1a\n", b"GIF89a", *broken_header):
        text.write_bytes(content)
        with pytest.raises(OSError, match=r"text\.png"):
            load(text)
    Image.fromarray(COLOUR).resize((64, 64)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-300])
    with pytest.raises(OSError, match=r"cut\.jpg cannot be read: .*truncated"):
        load(tmp_path / "cut.jpg")
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        load(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(TypeError):
        load(None)
