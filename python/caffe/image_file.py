"""Image files as arrays of H x W x 3, or x 1 for grey, whatever the file holds.

The first image of an animation or of several pages; palettes looked up; CMYK, YCbCr, HSV and Lab
converted to RGB; transparency dropped, not blended with a background; upright, as EXIF data says.
Integers of any depth are divided by their largest value; floats are taken as they are.
"""

from __future__ import annotations

import io
import os
import urllib.request
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

EXIF_ORIENTATION = 0x112
# How an image becomes upright from each of EXIF's orientations (CIPA DC-008, section 4.6.4).
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}
LUMA = np.array([0.2125, 0.7154, 0.0721], np.float32)  # of R, G, B, as scikit-image's rgb2gray
# How Pillow opens a file and what it is converted to; alpha comes last and is dropped.
CONVERTED = {
    "1": "L",
    "P": "RGBA",
    "PA": "RGBA",
    "La": "LA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}


def _opened(source: Any) -> BinaryIO:
    """The file, the address or the open file that ``source`` is, for reading."""
    if hasattr(source, "read"):
        return io.BytesIO(source.read())
    if isinstance(source, str) and source.startswith(("http://", "https://", "ftp://", "file://")):
        with urllib.request.urlopen(source) as stream:
            return io.BytesIO(stream.read())
    return open(os.fspath(source), "rb")


def _lab_to_rgb(image: Any) -> Any:
    from PIL import ImageCms

    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")


def _unit(values: np.ndarray, largest: float | None = None) -> np.ndarray:
    """float32: integers over their largest value, floats as they are."""
    if values.dtype.kind not in "ui":
        return values.astype(np.float32)
    return np.true_divide(values, largest or np.iinfo(values.dtype).max, dtype=np.float32)


def _of_pillow(image: Any) -> np.ndarray:
    if image.mode == "LAB":
        image = _lab_to_rgb(image)
    if image.mode == "I":  # 32 bits, in which Pillow also gives the 16 of these
        return _unit(np.asarray(image), 65535 if image.format in ("PNG", "PPM") else None)
    if image.mode in CONVERTED:
        image = image.convert(CONVERTED[image.mode])
    return _unit(np.asarray(image))


def _of_opencv(content: bytes) -> np.ndarray | None:
    """What OpenCV reads in all its depth, in the order R, G, B; None if it cannot."""
    try:
        import cv2
    except ImportError:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if image is None:
        return None
    if image.ndim == 3 and image.shape[2] >= 3:
        image = image[:, :, [2, 1, 0]]
    return _unit(image)


def _is_deep(image: Any) -> bool:
    """Whether an image just opened has colours of 16 bits, of which Pillow keeps 8."""
    if image.mode not in ("RGB", "RGBA"):
        return False
    how = [tile[3] if isinstance(tile[3], tuple) else (tile[3],) for tile in image.tile]
    return any(";16" in str(layout) or 65535 in rest for layout, *rest in how)


def _decoded(file: BinaryIO) -> np.ndarray | None:
    """The image, H x W or H x W x channels; None if the file is no image that can be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            is_deep = _is_deep(image)  # not known any more once the image is loaded
            found = _of_pillow(image)  # upright already if it is of a TIFF: then no longer said
            if is_deep:
                file.seek(0)
                deep = _of_opencv(file.read())
                found = found if deep is None else deep
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
            return UPRIGHT.get(orientation, lambda array: array)(found)
    except UnidentifiedImageError:
        file.seek(0)
        return _of_opencv(file.read())


def read_image(source: Any, color: bool) -> np.ndarray:
    """An image file, an open file or an address as float32, H x W x 3, or H x W x 1 in grey.

    Raises OSError that names the file if it cannot be opened, or is no image.
    """
    from PIL import Image

    with _opened(source) as file:
        try:
            image = _decoded(file)
        except Image.DecompressionBombError as error:
            limit = "PIL.Image.MAX_IMAGE_PIXELS = None takes any"
            raise OSError(f"{source}: {error} ({limit})") from None
        except (OSError, SyntaxError, ValueError) as error:  # Pillow's, of a damaged file
            raise OSError(f"{source} cannot be read: {error}") from None
    if image is None:
        raise OSError(f"{source} is not an image, or of a kind that cannot be read")
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    image = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1]
    if color:
        image = np.broadcast_to(image, (*image.shape[:2], 3))
    elif image.shape[2] == 3:
        image = (image @ LUMA)[:, :, np.newaxis]
    return np.require(image, requirements=["C", "W"])  # a caller may compute in place
