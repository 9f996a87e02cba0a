"""What the programs of this package (python -m caffe.classify ...) share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from errno import ENOENT
from pathlib import Path

import numpy as np

from . import io
from ._caffe import CaffeError
from .proto import caffe_pb2


def run(main: Callable[[], None]) -> None:
    """Run a program; what goes wrong is one line and exit status 1."""
    try:
        main()
    except OSError as error:
        sys.exit(
            f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}"
        )
    except (CaffeError, ValueError, ImportError) as error:
        sys.exit(f"error: {error}")


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them: "256,256". ValueError for anything else."""
    return [int(part) for part in text.split(",")]


def height_width(text: str) -> list[int]:
    """A height and a width: "256,256". ValueError for anything else."""
    height, width = numbers(text)
    return [height, width]


def check_folder(path: str | Path) -> None:
    """Raises FileNotFoundError, before any work is done, if a file's folder does not exist."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(ENOENT, "No such folder", str(folder))


def read_mean(path: str | Path) -> np.ndarray:
    """The mean image of a .npy file, or of a .binaryproto as compute_image_mean writes it.

    Returns K x H x W, or K. Raises ValueError if it is neither.
    """
    content = Path(path).read_bytes()
    if content.startswith(b"\x93NUMPY"):
        return np.load(path)
    blob = caffe_pb2.BlobProto()
    try:
        blob.ParseFromString(content)
        mean = io.blobproto_to_array(blob)
    except Exception as error:
        raise ValueError(f"{path} holds no mean: neither .npy nor .binaryproto") from error
    if mean.size == 0:
        raise ValueError(f"{path} holds no mean: neither .npy nor .binaryproto")
    return mean[0] if mean.ndim == 4 else mean
