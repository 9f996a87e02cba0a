"""Pictures for people: attention maps over images, regions and true boxes drawn on them, contact
sheets.

Images are (H,W,3) uint8 BGR throughout; files are small JPEGs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Optional

import cv2
import numpy as np

from maap.data.store import Split
from maap.errors import MaapError
from maap.images import render

REGION_COLOUR = (60, 200, 255)  # amber: what the network found
BOX_COLOUR = (90, 220, 90)  # green: the true box
SHEET_PAIRS = 24  # image pairs on a contact sheet
_GAP = 6  # pixels between pictures


def to_grey_levels(image: np.ndarray, mean: render.Mean = None) -> np.ndarray:
    """A stored image as one can look at it: uint8 stays; float32 gets its mean back and is clipped
    to 0-255."""
    if image.dtype == np.uint8:
        return image
    return np.clip(image + render.mean_image(mean, *image.shape[:2]) + 0.5, 0, 255).astype(np.uint8)


def draw_box(
    image: np.ndarray, box: Optional[Sequence[float]], colour: tuple[int, int, int]
) -> np.ndarray:
    """A copy of the image with a half-open box outlined just inside its edges; None draws
    nothing."""
    image = np.ascontiguousarray(image).copy()
    if box is not None:
        x1, y1, x2, y2 = (int(round(v)) for v in box)
        cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), (0, 0, 0), 3, cv2.LINE_AA)
        cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), colour, 2, cv2.LINE_AA)
    return image


def overlay(image: np.ndarray, attention: np.ndarray, strength: float = 0.55) -> np.ndarray:
    """The attention map (h,w), stretched between its own minimum and maximum, in colour over the
    image."""
    height, width = image.shape[:2]
    full = render.resize(np.asarray(attention, np.float32), height, width)
    low, high = float(full.min()), float(full.max())
    levels = np.zeros((height, width), np.uint8)
    if high > low:
        levels = ((full - low) * (255.0 / (high - low))).astype(np.uint8)
    heat = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
    return cv2.addWeighted(image, 1 - strength, heat, strength, 0)


def side_by_side(images: Sequence[np.ndarray], gap: int = _GAP) -> np.ndarray:
    """Images of one height in a row on white."""
    height = images[0].shape[0]
    white = np.full((height, gap, 3), 255, np.uint8)
    parts: list[np.ndarray] = []
    for image in images:
        parts += [image, white]
    return np.concatenate(parts[:-1], axis=1)


def contact_sheet(images: Sequence[np.ndarray], columns: int, gap: int = _GAP) -> np.ndarray:
    """Images of one size in rows of `columns` on white, row by row."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for n, image in enumerate(images):
        y, x = gap + n // columns * (height + gap), gap + n % columns * (width + gap)
        sheet[y : y + height, x : x + width] = image
    return sheet


def shrink(image: np.ndarray, longest: int) -> np.ndarray:
    """The image with its longer side at most `longest` pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def jpeg(image: np.ndarray, quality: int = 85) -> bytes:
    """The image as a JPEG file's bytes. Raises MaapError when OpenCV cannot."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise MaapError(f"OpenCV cannot encode an image of shape {image.shape} as JPEG")
    return data.tobytes()


def rewrite_sheet(
    source: Split,
    findings: Sequence[Any],
    read: Callable[[int], np.ndarray],
    path: Path,
    mean: render.Mean = None,
) -> None:
    """A contact sheet of a rewriting: source images with region (amber) and true box (green), each
    beside its D*.

    `findings` has a row with a `.box` per record, read(index) is a rewritten image; the pictures
    are spread evenly over the records. `path` is the JPEG to write.
    """
    count = len(findings)
    chosen = np.unique(np.linspace(0, count - 1, min(count, SHEET_PAIRS)).round().astype(int))
    pairs = []
    for index in map(int, chosen):
        image = to_grey_levels(source.read(index)[0], mean)
        image = draw_box(image, source.records[index].box, BOX_COLOUR)
        image = draw_box(image, findings[index].box, REGION_COLOUR)
        after = to_grey_levels(read(index), mean)
        pairs.append(side_by_side([shrink(image, 160), shrink(after, 160)], 2))
    path.write_bytes(jpeg(contact_sheet(pairs, columns=4)))
