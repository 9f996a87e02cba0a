"""Records of a data set and the Datum messages that hold their images.

A Datum is Caffe's record: an encoded image file (``encoded``, ``data``), raw uint8 pixels
(``data``) or floats (``float_data``), planes in (channel, row, column) order, channels blue, green,
red. In Python an image is always (H, W, 3), BGR, as OpenCV has it."""

from dataclasses import dataclass
from typing import Optional, Union

import cv2
import numpy as np

from maap.errors import MaapError
from maap.images import pixels
from maap.util.schema import caffe_pb2
from maap.util.wire import WireError, varint

Box = tuple[float, float, float, float]

JPEG_QUALITY = 95
_MAX_KEY = 511  # LMDB's limit, in bytes
_FLOAT_TAG = 6 << 3 | 5  # field 6 (float_data), four bytes wide
_VARINT_FIELDS = (1, 2, 3, 5)  # channels, height, width, label


@dataclass(frozen=True)
class Record:
    """One image of a split.

    ``box`` is the true bounding box x1, y1, x2, y2 in pixels of the stored image, half-open, or
    None."""

    key: str
    label: int
    path: str
    box: Optional[Box] = None


def key_for(index: int, path: str) -> str:
    """The key of record number ``index``: sorts by index; cut to what LMDB takes."""
    key = f"{index:08d}_{path}".encode("utf-8", "surrogateescape")
    return key[:_MAX_KEY].decode("utf-8", "ignore" if len(key) > _MAX_KEY else "surrogateescape")


def key_bytes(key: str) -> bytes:
    """The key as LMDB stores it."""
    return key.encode("utf-8", "surrogateescape")


def encode_jpeg(image: np.ndarray, label: int, quality: int = JPEG_QUALITY) -> bytes:
    """A serialised Datum with the (H, W, 3) uint8 image as a JPEG file inside."""
    datum = caffe_pb2.Datum(
        channels=3, height=image.shape[0], width=image.shape[1], label=int(label), encoded=True
    )
    datum.data = pixels.to_jpeg(image, quality)
    return datum.SerializeToString()


def encode_pixels(image: np.ndarray, label: int) -> bytes:
    """A serialised Datum with the pixels as they are: (H, W, 3) uint8 as ``data``, float32 as
    ``float_data``.

    The floats are laid out here: protobuf's Python takes about 30 times as long for them.
    """
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    datum = caffe_pb2.Datum(
        channels=planes.shape[0], height=planes.shape[1], width=planes.shape[2], label=int(label)
    )
    if image.dtype == np.uint8:
        datum.data = planes.tobytes()
        return datum.SerializeToString()
    floats = np.empty(planes.size, [("tag", "u1"), ("value", "<f4")])
    floats["tag"] = _FLOAT_TAG
    floats["value"] = planes.reshape(-1)
    return datum.SerializeToString() + floats.tobytes()


def decode(data: Union[bytes, "caffe_pb2.Datum"], name: str = "record") -> tuple[np.ndarray, int]:
    """The image and the label of a serialised Datum (or of a Datum message).

    Returns (H, W, 3) uint8 for encoded and raw Datums, float32 for float ones, and the label.
    Raises MaapError that names ``name`` when the Datum is damaged.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        fast = _float_datum(bytes(data))
        if fast is not None:
            return fast
        datum = caffe_pb2.Datum()
        try:
            datum.ParseFromString(bytes(data))
        except Exception:  # protobuf's DecodeError; its class differs between implementations
            raise MaapError(
                f"{name} is not a Datum: the data base is damaged; make it again"
            ) from None
    else:
        datum = data
    return _pixels(datum, name), datum.label


def _pixels(datum: "caffe_pb2.Datum", name: str) -> np.ndarray:
    if datum.encoded:
        pixels.check_complete(datum.data, name)
        return pixels.decode(datum.data, name)
    shape = (datum.channels, datum.height, datum.width)
    if datum.data:
        flat = np.frombuffer(datum.data, np.uint8)
    else:
        flat = np.array(datum.float_data, np.float32)
    if flat.size == 0 or flat.size != shape[0] * shape[1] * shape[2]:
        raise MaapError(
            f"{name} holds {flat.size} values where channels x height x width = "
            f"{shape[0]} x {shape[1]} x {shape[2]} are announced: the data base is damaged; make "
            "it again"
        )
    image = flat.reshape(shape).transpose(1, 2, 0)
    if shape[0] == 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2BGR)
    return image


def _float_datum(data: bytes) -> Optional[tuple[np.ndarray, int]]:
    """Image and label of a float Datum in the layout of ``encode_pixels``; None for any other.

    The message is: some varint fields, then one tag byte and four bytes per float to the end.
    """
    values = dict.fromkeys(_VARINT_FIELDS, 0)
    at = 0
    try:
        while data[at] != _FLOAT_TAG:
            field, wire = data[at] >> 3, data[at] & 7
            if field not in _VARINT_FIELDS or wire != 0:
                return None
            values[field], at = varint(data, at + 1, len(data))
    except (IndexError, WireError):
        return None
    shape = (values[1], values[2], values[3])
    count = shape[0] * shape[1] * shape[2]
    if count == 0 or len(data) - at != 5 * count:
        return None
    block = np.frombuffer(data, np.uint8, offset=at).reshape(count, 5)
    if not (block[:, 0] == _FLOAT_TAG).all():
        return None
    floats = np.ascontiguousarray(block[:, 1:]).view("<f4").reshape(shape)
    return floats.transpose(1, 2, 0), values[5]
