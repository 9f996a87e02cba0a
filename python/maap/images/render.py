"""The modified images D* (`images.a_star`: the paper's equations 4 to 8, the cropped region, the
attention drop), on stored images.

The Elimination layer makes D* at the network's input; the alternating training needs it on the
stored image, so that phase 2 can crop and mirror as usual. The layer's region R and attention A
arrive at the resolution of the network's input (the whole stored image was resized to it) and are
carried back:

- R: edges scaled, left and top rounded down, right and bottom up (`boxes.scale_box`); half-open.
- A: resized bilinearly, half-pixel centres, edge pixels repeated outside.

A cropped image stays in grey levels. The other definitions multiply the image less the mean, so
that what they remove becomes the mean colour (0), and return float32 with the mean still off.
"""

from typing import Optional, Union

import cv2
import numpy as np

from maap.images.a_star import Factor, find_a_star
from maap.images.boxes import Box

Mean = Union[None, float, np.ndarray]


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, half-pixel centres, edges repeated; (H,W) or (H,W,3), dtype kept."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def crop(image: np.ndarray, region: Box) -> np.ndarray:
    """The part of an image (H,W,3) that lies in a region, resized to the whole size."""
    x1, y1, x2, y2 = region
    return resize(np.ascontiguousarray(image[y1:y2, x1:x2]), *image.shape[:2])


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
    inside: Factor,
    outside: Factor,
    attention: Optional[np.ndarray],
    region: Box,
    shape: tuple[int, int],
) -> np.ndarray:
    """A* (H,W) float32 of a definition that multiplies with ``inside`` in the region and with
    ``outside`` elsewhere.

    `attention` is A at any resolution, None where neither factor has it; `region` in pixels of
    `shape` (H,W).
    """
    soft = None
    if attention is not None and (inside.plus_attention or outside.plus_attention):
        soft = resize(np.asarray(attention, np.float32), *shape)
    factor = _values(outside, soft, shape)
    if inside != outside:
        x1, y1, x2, y2 = region
        within = None if soft is None else soft[y1:y2, x1:x2]
        factor[y1:y2, x1:x2] = _values(inside, within, (y2 - y1, x2 - x1))
    return factor


def kept_factor(
    attention: Optional[np.ndarray], threshold: float, shape: tuple[int, int]
) -> np.ndarray:
    """A* (H,W) float32 of the attention drop: 0 where A is greater than the threshold, else 1.

    `attention` is A at any resolution.
    """
    if attention is None:
        raise ValueError("what is dropped depends on the attention map")
    return (resize(np.asarray(attention, np.float32), *shape) <= threshold).astype(np.float32)


def _values(factor: Factor, soft: Optional[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """A factor at every pixel of ``shape``; a new array."""
    if not factor.plus_attention:
        return np.full(shape, factor.constant, np.float32)
    if soft is None:
        raise ValueError(f"the factor {factor} needs the attention map")
    return soft + np.float32(factor.constant)


def render(
    image: np.ndarray,
    region: Box,
    attention: Optional[np.ndarray],
    a_star: str,
    mean: Mean = None,
    threshold: float = np.inf,
) -> np.ndarray:
    """D* of one stored image.

    image: (H,W,3) BGR in grey levels, uint8 (or float32 with its mean already off: then give
    mean=None). region: R in pixels of `image`. attention: A (h,w), any resolution; it may be None
    where A* does not need it. a_star: a name of `a_star.TABLE`. mean: see `mean_image`; not used
    where A* crops. threshold: where A* drops, what A is greater than in the pixels that are lost;
    infinite, as for a flat map: none is.

    Returns (H,W,3): a crop in the image's own dtype, resized to the whole size; else float32, A*
    times (image - mean). Raises MaapError for an a_star that does not exist.
    """
    height, width = image.shape[:2]
    known = find_a_star(a_star)
    if known.crops:
        return crop(image, region)
    if known.inside is None or known.outside is None:
        factor = kept_factor(attention, threshold, (height, width))
    else:
        factor = attention_factor(known.inside, known.outside, attention, region, (height, width))
    base = mean_image(mean, height, width)
    planes = np.empty((image.shape[2], height, width), np.float32)  # the order a Datum has
    for c, plane in enumerate(planes):
        np.subtract(image[:, :, c], base[:, :, c], out=plane)
        plane *= factor
    return planes.transpose(1, 2, 0)
