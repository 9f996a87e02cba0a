"""Images to blobs and back, with the arguments and the results of OpenCV 4's dnn module.

Images are arrays of height x width x channels (or height x width) of any number type, as cv2 reads
them; blobs are float32 (or uint8) arrays of images x channels x height x width.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from .errors import error

Image = Any  # a NumPy array
_DEPTHS = {cv2.CV_32F: np.float32, cv2.CV_8U: np.uint8}


def _scalar(values: Any, what: str) -> np.ndarray:
    """A cv::Scalar: up to four numbers, the rest 0; one number is the first."""
    try:
        given = np.atleast_1d(np.asarray(values, np.float64))
    except (TypeError, ValueError):
        given = np.empty((0, 0))
    if given.ndim != 1 or len(given) > 4:
        raise error(f"{what} is a number or up to four, not {values!r}")
    return np.pad(given, (0, 4 - len(given)))


def _size(size: Any) -> tuple[int, int]:
    """Width and height; (0, 0) for None."""
    try:
        width, height = (0, 0) if size is None else (int(v) for v in size)
    except (TypeError, ValueError):
        raise error(f"size is (width, height), not {size!r}") from None
    return width, height


def _factors(scalefactor: Any) -> np.ndarray:
    """A factor for each of four channels; 1 for None."""
    factors = _scalar(1.0 if scalefactor is None else scalefactor, "scalefactor")
    return np.full(4, factors[0]) if np.ndim(scalefactor) == 0 else factors


def _resized(image: np.ndarray, size: tuple[int, int], crop: bool) -> np.ndarray:
    """The image at `size` (width, height): squeezed, or cut from the centre after a resize."""
    width, height = size
    rows, columns = image.shape[:2]
    if (columns, rows) == (width, height):
        return image
    if not crop:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    factor = float(max(np.float32(width / columns), np.float32(height / rows)))
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    left, top = int(0.5 * (image.shape[1] - width)), int(0.5 * (image.shape[0] - height))
    return image[top : top + height, left : left + width]


def _planes(image: np.ndarray) -> np.ndarray:
    """The image as height x width x channels, with 1, 3 or 4 channels."""
    if image.ndim == 0:  # None
        raise error("there is no image: cv2.imread gives None for a file that it cannot read")
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise error(
            "an image has the shape height x width, or height x width x 1, 3 or 4 channels, "
            f"not {image.shape}"
        )
    if 0 in image.shape:
        raise error("an image is empty")
    return image


def blobFromImages(  # noqa: N802
    images: Sequence[Image],
    scalefactor: Any = 1.0,
    size: Sequence[int] = (0, 0),
    mean: Any = (),
    swapRB: bool = False,  # noqa: N803
    crop: bool = False,
    ddepth: int = cv2.CV_32F,
) -> np.ndarray:
    """Make a blob of images.

    Args:
        images: arrays of height x width (x 1, 3 or 4 channels), all with as many channels.
        scalefactor: what the values are multiplied by, after the mean is subtracted; one number,
            or one a channel; None: 1.
        size: width and height of the blob; (0, 0) or None: those of the first image.
        mean: what is subtracted, in the order of the blob's channels (after swapRB).
        swapRB: exchange the first and the third channel.
        crop: resize with the aspect ratio kept, then cut the centre out; else squeeze.
        ddepth: ``cv2.CV_32F``, or ``cv2.CV_8U`` without mean and scale.

    Returns:
        N x C x H x W, float32 (or uint8).

    Raises:
        caffe.dnn.error: there is no image, one is empty, or the arguments cannot be.
    """
    if images is None or len(images) == 0:
        raise error("blobFromImages was given no image")
    if ddepth not in _DEPTHS:
        raise error(f"ddepth is cv2.CV_32F or cv2.CV_8U, not {ddepth}")
    planes = [_planes(np.asarray(image)) for image in images]
    channels = planes[0].shape[2]
    if any(image.shape[2] != channels for image in planes):
        raise error("the images have different numbers of channels")
    factors = _factors(scalefactor)
    means = np.zeros(4) if mean is None or not np.size(mean) else _scalar(mean, "mean")
    if ddepth == cv2.CV_8U and (np.any(factors != 1) or np.any(means != 0)):
        raise error("a blob of bytes (ddepth CV_8U) takes neither a mean nor a scalefactor")
    width, height = _size(size)
    if (width, height) == (0, 0):
        height, width = planes[0].shape[:2]
    if width <= 0 or height <= 0:
        raise error(f"size is (width, height), both above 0, not {(width, height)}")
    blob = np.empty((len(planes), channels, height, width), _DEPTHS[ddepth])
    order = [2, 1, 0, 3][:channels] if swapRB and channels >= 3 else list(range(channels))
    for row, image in zip(blob, planes):
        if image.dtype not in (np.uint8, np.uint16, np.int16, np.float32, np.float64):
            image = image.astype(np.float32)
        fitted = _resized(image, (width, height), crop)
        fitted = fitted.reshape(height, width, channels)  # cv2.resize drops a single channel
        for k, source in enumerate(order):
            if ddepth == cv2.CV_8U:
                row[k] = fitted[:, :, source]
            else:
                plane = fitted[:, :, source].astype(np.float32)
                row[k] = (plane - np.float32(means[k])) * np.float32(factors[k])
    return blob


def blobFromImage(  # noqa: N802
    image: Image,
    scalefactor: Any = 1.0,
    size: Sequence[int] = (0, 0),
    mean: Any = (),
    swapRB: bool = False,  # noqa: N803
    crop: bool = False,
    ddepth: int = cv2.CV_32F,
) -> np.ndarray:
    """Make a blob of one image, 1 x C x H x W; see `blobFromImages`."""
    return blobFromImages([image], scalefactor, size, mean, swapRB, crop, ddepth)


def imagesFromBlob(blob_: np.ndarray) -> tuple[np.ndarray, ...]:  # noqa: N802
    """The images of a blob (N x C x H x W, float32), each height x width x channels."""
    blob = np.asarray(blob_)
    if blob.ndim != 4:
        raise error(f"a blob of images has four axes, not the shape {blob.shape}")
    images = (np.ascontiguousarray(image.transpose(1, 2, 0)) for image in blob)
    return tuple(image[:, :, 0] if image.shape[2] == 1 else image for image in images)
