"""SqueezeNet v1.1's ImageNet weights for the net squeezenet.

They are arrays in a pickle: layer -> [kernels (height, width, inputs, outputs), biases], with the
published layers' names. The net takes B, G, R from 0 to 255 with the mean 104, 117, 123 subtracted,
as ours does (seen by classifying photographs), so only the axes are turned. The pickle is a file
inside a source package, of which nothing is run; it is read from the archive as it is.
"""

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maap.errors import MaapError
from maap.util.files import cannot_read
from maap.weights import published
from maap.weights.numpy_file import Arrays, read_arrays
from maap.weights.torchvision import Blobs

NET = "squeezenet"
_PARTS = ("squeeze1x1", "expand1x1", "expand3x3")
LAYERS = ("conv1", *(f"fire{n}/{part}" for n in range(2, 10) for part in _PARTS), "conv10")
_LARGEST = 1 << 26  # bytes of a pickle; the published one has 5 million
_OF_TARFILE = (tarfile.TarError, zlib.error, EOFError)


def read(source: Path) -> tuple[str, Iterator[Blobs]]:
    """The net folder's name, and the layers with blobs of ``source``: the published archive, or the
    pickle in it (.pkl).

    Raises MaapError: another archive, another net's arrays, damage.
    """
    arrays = read_arrays(_pickle(source), str(source))
    _check(arrays, source)
    return NET, _blobs(arrays)


def _pickle(source: Path) -> bytes:
    try:
        if source.suffix == ".pkl":
            if source.stat().st_size > _LARGEST:
                raise MaapError(f"{source}: too large for SqueezeNet's weights")
            return source.read_bytes()
        return _from_archive(source)
    except OSError as error:
        raise cannot_read(source, error, ".pkl") from None


def _from_archive(source: Path) -> bytes:
    """The published file in the archive. Only the published archive is opened."""
    entry = published.identify(source)
    if entry is None or not entry.inside:
        known = ", ".join(each.file for each in published.read_table().values() if each.inside)
        raise MaapError(f"{source}: none of the published archives ({known}); give one of these")
    damaged = MaapError(f"{source}: without the published {entry.inside}, or damaged")
    try:
        with tarfile.open(source, "r:gz") as archive:
            member = archive.getmember(entry.inside)
            file = archive.extractfile(member) if member.isreg() else None
            data = file.read(_LARGEST) if file is not None else b""
    except (KeyError, *_OF_TARFILE):
        raise damaged from None
    if hashlib.sha256(data).hexdigest() != entry.inside_sha256:
        raise damaged
    return data


def _check(arrays: Arrays, source: Path) -> None:
    """Raises MaapError for arrays of another net."""
    missing, extra = sorted(set(LAYERS) - set(arrays)), sorted(set(arrays) - set(LAYERS))
    if missing or extra:
        raise MaapError(
            f"{source}: not the weights of SqueezeNet v1.1; {len(missing)} layers are missing "
            f"({', '.join(missing[:3]) or 'none'}), and {len(extra)} are of another net "
            f"({', '.join(extra[:3]) or 'none'})"
        )
    for name, blobs in arrays.items():
        right = len(blobs) == 2 and blobs[0].ndim == 4 and blobs[1].shape == blobs[0].shape[3:]
        if not right or name == "conv1" and blobs[0].shape[2] != 3:
            shapes = ", ".join("x".join(map(str, blob.shape)) for blob in blobs)
            raise MaapError(f"{source}: layer {name} has arrays of the shapes {shapes}")


def _blobs(arrays: Arrays) -> Iterator[Blobs]:
    for name in LAYERS:
        kernels, biases = arrays[name]
        yield name, "Convolution", [np.ascontiguousarray(kernels.transpose(3, 2, 0, 1)), biases]
