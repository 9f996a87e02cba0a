"""The six modified images D* of the paper (equations 4 to 8, and the cropped region), on stored
images.

The Elimination layer makes D* at the network's input; the alternating training wants it on the
stored image, so that phase 2 can crop and mirror as usual. The layer's region R and attention A
therefore come here at the resolution of the network's input (the whole stored image was resized to
it) and are carried back:

- R: edges scaled, left and top rounded down, right and bottom up (`regions.scale_box`); half-open.
- A: resized bilinearly, half-pixel centres, edge pixels repeated outside.

ROI stays in grey levels; the five others multiply the image less the mean, so that what they
remove becomes the mean colour (0), and return float32 with the mean still off.
"""

from typing import Optional, Union

import cv2
import numpy as np

from maap.errors import MaapError
from maap.images.boxes import Box
from maap.nets.resolve import A_STARS

_NEED_ATTENTION = ("ENHANCE", "REDUCE", "ALLSOFT", "ALLSOFT_PLUS_ONE")

Mean = Union[None, float, np.ndarray]


def check_a_star(a_star: str) -> str:
    """`a_star` in the layer's spelling (ROI, UNCORRELATED, ...); MaapError when it is none of the
    six."""
    name = a_star.upper().replace("-", "_")
    if name not in A_STARS:
        raise MaapError(f"a_star {a_star!r} is unknown; use one of {', '.join(A_STARS)}")
    return name


def needs_attention(a_star: str) -> bool:
    """True when D* depends on the attention map itself and not on the region alone."""
    return a_star in _NEED_ATTENTION


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, half-pixel centres, edges repeated; (H,W) or (H,W,3), dtype kept."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def mean_image(mean: Mean, height: int, width: int) -> np.ndarray:
    """A transform's mean as (H,W,3) or (1,1,3) float32, ready to subtract from an (H,W,3) BGR
    image.

    `mean` is None (0), one number, (3,) BGR, or (3,h,w) as a mean file holds it,
    which is resized to (height, width); (3,1,1) is one colour.
    """
    if mean is None:
        return np.zeros((1, 1, 3), np.float32)
    mean = np.asarray(mean, np.float32)
    if mean.ndim <= 1:
        return np.broadcast_to(mean, (3,)).reshape(1, 1, 3)
    planes = np.ascontiguousarray(mean.transpose(1, 2, 0))
    return planes if planes.shape[:2] == (1, 1) else resize(planes, height, width)


def attention_factor(
    a_star: str, attention: Optional[np.ndarray], region: Box, shape
) -> np.ndarray:
    """A* (H,W) float32 for the five definitions that multiply.

    UNCORRELATED: 1 inside R, 0 outside. ENHANCE: A+1 inside, 0 outside. REDUCE: 1 inside, A
    outside. ALLSOFT: A. ALLSOFT_PLUS_ONE: A+1. `attention` is A at any resolution, `region` in
    pixels of `shape` (H,W).
    """
    height, width = shape
    inside = (slice(region[1], region[3]), slice(region[0], region[2]))
    if a_star == "UNCORRELATED":
        factor = np.zeros((height, width), np.float32)
        factor[inside] = 1
        return factor
    soft = resize(np.asarray(attention, np.float32), height, width)
    if a_star == "ALLSOFT":
        return soft
    if a_star == "ALLSOFT_PLUS_ONE":
        return soft + 1
    if a_star == "ENHANCE":
        factor = np.zeros((height, width), np.float32)
        factor[inside] = soft[inside] + 1
        return factor
    factor = soft.copy()  # REDUCE
    factor[inside] = 1
    return factor


def render(
    image: np.ndarray,
    region: Box,
    attention: Optional[np.ndarray],
    a_star: str,
    mean: Mean = None,
) -> np.ndarray:
    """D* of one stored image.

    image: (H,W,3) BGR in grey levels, uint8 (or float32 with its mean already off: then give
    mean=None). region: R in pixels of `image`. attention: A (h,w), any resolution; None for ROI
    and UNCORRELATED. mean: see `mean_image`; not used by ROI.

    Returns (H,W,3): ROI in the image's own dtype, the crop resized to the whole size; the others
    float32, A* times (image - mean). Raises MaapError for an a_star that does not exist.
    """
    height, width = image.shape[:2]
    if check_a_star(a_star) == "ROI":
        x1, y1, x2, y2 = region
        return resize(np.ascontiguousarray(image[y1:y2, x1:x2]), height, width)
    factor = attention_factor(a_star, attention, region, (height, width))
    base = mean_image(mean, height, width)
    planes = np.empty((image.shape[2], height, width), np.float32)  # the order a Datum has
    for c, plane in enumerate(planes):
        np.subtract(image[:, :, c], base[:, :, c], out=plane)
        plane *= factor
    return planes.transpose(1, 2, 0)
