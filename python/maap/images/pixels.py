"""Image files: reading them so that a damaged one is an error, and fitting them to the stored size.

OpenCV decodes a truncated JPEG without a word and leaves the rest grey, and training on such an
image goes unnoticed. So the file's structure is walked to its end marker first
(`images.structure`), and what libjpeg prints while it decodes is read (``decode_watched``).
"""

import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Callable, Optional, Protocol, TypeVar

import cv2
import numpy as np

from maap.errors import MaapError
from maap.images.structure import check_complete, holds_floats, what_else
from maap.util.text import times

# By the ending of a file's name, in lower case: what every OpenCV from 4.5 on reads.
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff")
POLICIES = ("warp", "short_side")

_LARGE = 16 << 20  # bytes of a file; such files are decoded one at a time, to save memory
_one_large = threading.Lock()
_FATAL_WARNINGS = (
    "premature end",
    "bad Huffman",
    "Corrupt JPEG data: bad",
    "Invalid",
    "libpng error",
)

Result = TypeVar("Result")
Item = TypeVar("Item", bound="HasPath")


class HasPath(Protocol):
    """An image file with whatever else is known of it."""

    @property
    def path(self) -> Path: ...


def stored_size(crop: int) -> int:
    """Pixels a side at which images are stored for a net whose input has ``crop`` (0: unknown).

    Published nets take crops of 224 or 227 from 256; another input keeps that proportion.
    """
    return 256 if crop == 0 or 192 <= crop <= 256 else -(-crop * 8 // 7)


def decode(data: bytes, name: str, orient: bool = True) -> np.ndarray:
    """An image file's bytes as (H, W, 3) uint8 BGR; grey and palette images get three channels.

    ``orient`` applies the EXIF orientation. Raises MaapError when it is no image OpenCV reads, or
    has more pixels than OpenCV decodes.
    """
    flags = cv2.IMREAD_COLOR if orient else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    if holds_floats(data):
        raise MaapError(f"{name} {what_else(data)}")
    try:
        with _one_large if len(data) >= _LARGE else nullcontext():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise MaapError(f"{name} {_refusal(error)}") from None
    if image is None:
        what = "is empty" if not data else what_else(data)
        raise MaapError(f"{name} {what}: fetch the file again or remove it")
    return image


def _refusal(error: cv2.error) -> str:
    if "CV_IO_MAX_IMAGE" in str(error):
        return "has more pixels than OpenCV decodes (2^30): make it smaller or remove it"
    reason = " ".join(str(getattr(error, "err", "") or error).split())
    return f"cannot be decoded by OpenCV ({reason}): fetch the file again or remove it"


def load(path: Path) -> bytes:
    """The content of the image file ``path``. Raises MaapError naming it when it is missing,
    cannot be read or is truncated."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MaapError(f"cannot read the image {path}: {error.strerror}") from None
    check_complete(data, str(path))
    return data


def read(path: Path, orient: bool = True) -> np.ndarray:
    """The image file ``path`` as (H, W, 3) uint8 BGR. Raises MaapError naming it when it is
    missing, truncated or no image."""
    return decode(load(path), str(path), orient)


class quiet:
    """Collects in ``text`` what native code writes to file descriptor 2 inside a ``with`` block."""

    def __enter__(self) -> "quiet":
        sys.stderr.flush()
        self.text = ""
        self._saved = os.dup(2)
        self._file = os.memfd_create("stderr")
        os.dup2(self._file, 2)
        return self

    def __exit__(self, *_: object) -> None:
        os.dup2(self._saved, 2)
        os.close(self._saved)
        size = os.lseek(self._file, 0, os.SEEK_END)
        self.text = os.pread(self._file, size, 0).decode("utf-8", "replace").strip()
        os.close(self._file)


def decode_watched(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    pool: ThreadPoolExecutor,
    warn: Optional[Callable[[str], None]] = None,
) -> list[Result]:
    """``work(item)``, which calls ``read`` on ``item.path``, for every item on the pool's
    threads.

    When the decoder complained about one of them they are decoded again one by one to learn which.
    A complaint that means lost pixels (premature end, bad Huffman code) is a MaapError naming the
    file; a harmless one (extraneous bytes) goes to ``warn``."""
    with quiet() as log:
        results = list(pool.map(work, items))
    if not log.text:
        return results
    for item in items:
        with quiet() as one:
            read(item.path)
        if any(fatal in one.text for fatal in _FATAL_WARNINGS):
            raise MaapError(
                f"{item.path} is damaged ({one.text}): fetch the file again or remove it"
            )
        if one.text and warn is not None:
            warn(f"warning: {item.path}: {one.text}")
    return results


def to_jpeg(image: np.ndarray, quality: int = 85) -> bytes:
    """A JPEG file of an (H, W, 3) uint8 BGR image. Raises MaapError when OpenCV cannot make one."""
    return _encoded(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def to_png(image: np.ndarray) -> bytes:
    """A PNG file of an (H, W, 3) uint8 BGR image. Raises MaapError when OpenCV cannot make one."""
    return _encoded(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _encoded(image: np.ndarray, suffix: str, how: list[int]) -> bytes:
    try:
        done, data = cv2.imencode(suffix, image, how)
    except cv2.error:
        done = False
    if not done:
        raise MaapError(
            f"OpenCV cannot encode an image of {times(image.shape)} values as {suffix[1:]}"
        )
    return data.tobytes()


def fit(
    image: np.ndarray,
    size: tuple[int, int],
    policy: str,
    box: Optional[tuple[float, float, float, float]] = None,
) -> tuple[np.ndarray, Optional[tuple[float, float, float, float]]]:
    """Bring an image, and the box on it, to ``size`` = (height, width) with bilinear interpolation.

    ``warp`` changes the aspect ratio and loses nothing; ``short_side`` scales until the shorter
    side fits (the image covers the size) and keeps the centre. The box (x1, y1, x2, y2, half-open,
    pixels) is carried along and clipped to the image.
    """
    height, width = size
    if policy == "warp":
        scale_x, scale_y = width / image.shape[1], height / image.shape[0]
        left = top = 0
        whole = (width, height)
    elif policy == "short_side":
        scale = max(width / image.shape[1], height / image.shape[0])
        whole = (
            max(width, int(round(image.shape[1] * scale))),
            max(height, int(round(image.shape[0] * scale))),
        )
        scale_x, scale_y = whole[0] / image.shape[1], whole[1] / image.shape[0]
        left, top = (whole[0] - width) // 2, (whole[1] - height) // 2
    else:
        raise MaapError(f"resize policy {policy!r} is unknown; use one of {', '.join(POLICIES)}")
    if image.shape[:2] != (whole[1], whole[0]):
        image = cv2.resize(image, whole, interpolation=cv2.INTER_LINEAR)
    image = np.ascontiguousarray(image[top : top + height, left : left + width])
    if box is None:
        return image, None
    x1, x2 = (min(max(x * scale_x - left, 0.0), width) for x in (box[0], box[2]))
    y1, y2 = (min(max(y * scale_y - top, 0.0), height) for y in (box[1], box[3]))
    return image, ((x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None)
