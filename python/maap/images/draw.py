"""Pictures for people: attention maps over images, regions and true boxes drawn on them, contact
sheets.

Images are (H,W,3) uint8 BGR throughout; `pixels.to_jpeg` and `pixels.to_png` make files of them.
"""

from collections.abc import Sequence
from typing import Optional

import cv2
import numpy as np

from maap.images import render

REGION_COLOUR = (60, 200, 255)  # amber: what the network found
BOX_COLOUR = (90, 220, 90)  # green: the true box
COLOUR_MAP = cv2.COLORMAP_INFERNO  # of every map, dark to bright
_GAP = 6  # pixels between pictures
_LINE = 22  # pixels of a line of text


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


def heat(attention: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map (h,w), stretched between its own minimum and maximum, in colour: (height,width,3).

    A flat map has the colour of the minimum.
    """
    full = render.resize(np.asarray(attention, np.float32), height, width)
    low, high = float(full.min()), float(full.max())
    scale = 255.0 / (high - low) if high > low else 0.0
    levels = np.clip((full - low) * scale + 0.5, 0, 255).astype(np.uint8)
    return cv2.applyColorMap(levels, COLOUR_MAP)


def overlay(image: np.ndarray, attention: np.ndarray, strength: float = 0.55) -> np.ndarray:
    """The attention map (h,w) in the colours of `heat` over the image."""
    colours = heat(attention, *image.shape[:2])
    return cv2.addWeighted(image, 1 - strength, colours, strength, 0)


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


def titled(image: np.ndarray, title: str) -> np.ndarray:
    """An image with a line of text (ASCII) on white above it."""
    above = np.full((_LINE, image.shape[1], 3), 255, np.uint8)
    at = (_GAP, _LINE - _GAP)
    cv2.putText(above, title, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([above, image])


def shrink(image: np.ndarray, longest: int) -> np.ndarray:
    """The image with its longer side at most `longest` pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
