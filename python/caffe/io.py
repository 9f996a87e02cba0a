"""Converts between arrays, images and Caffe's messages.

Images are float32 arrays of H x W x K in [0, 1], colours in the order R, G, B, as in
scikit-image. A Transformer converts them to a net's input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np

from . import _caffe
from .image_file import read_image
from .proto import caffe_pb2
from .shapes import shape_text


def _shape_of(blob: Any) -> tuple[int, ...]:
    if any(blob.HasField(name) for name in ("num", "channels", "height", "width")):
        return (blob.num, blob.channels, blob.height, blob.width)  # files from before 2015
    return tuple(blob.shape.dim)


def blobproto_to_array(blob: Any, return_diff: bool = False) -> np.ndarray:
    """The values of a BlobProto, or its gradient, as an array of float64 in its shape.

    Raises ValueError if the number of values does not match the shape.
    """
    kind = "diff" if return_diff else "data"
    values = getattr(blob, f"double_{kind}") or getattr(blob, kind)
    return np.array(values, dtype=np.float64).reshape(_shape_of(blob))


def packed_values(values: np.ndarray, field: str = "data") -> bytes:
    """A serialized BlobProto with these values alone in a field: data, diff, or the double of one.

    To be merged into a message, so that no list of numbers is made.
    """
    number = caffe_pb2.BlobProto.DESCRIPTOR.fields_by_name[field].number
    with np.errstate(over="ignore"):  # infinite, as in a list
        data = np.asarray(values).astype("<f8" if "double" in field else "<f4").tobytes()
    head, length = bytearray([number << 3 | 2]), len(data)
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    return bytes(head) + bytes([length]) + data


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """A BlobProto of the array's shape with its values and, if given, the gradient."""
    arr = np.asarray(arr)
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.MergeFromString(packed_values(arr.astype(float)))
    if diff is not None:
        if np.shape(diff) != arr.shape:
            raise ValueError(
                f"the values have the shape {shape_text(arr.shape)}, the diff "
                f"{shape_text(np.shape(diff))}"
            )
        blob.MergeFromString(packed_values(np.asarray(diff, dtype=float), "diff"))
    return blob


def arraylist_to_blobprotovector_str(arraylist: Iterable[np.ndarray]) -> bytes:
    """A serialized BlobProtoVector of the arrays."""
    vector = caffe_pb2.BlobProtoVector()
    vector.blobs.extend(array_to_blobproto(arr) for arr in arraylist)
    return vector.SerializeToString()


def blobprotovector_str_to_arraylist(str: bytes) -> list[np.ndarray]:
    """The arrays of a serialized BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector.FromString(str)
    return [blobproto_to_array(blob) for blob in vector.blobs]


def read_net(path: str | PathLike[str]) -> Any:
    """The NetParameter of a prototxt, as the engine reads it.

    Nets of older forms are upgraded, and fields that only another fork of Caffe has are skipped
    with a warning in the log. CaffeError names the file, line and column of an error.
    """
    return caffe_pb2.NetParameter.FromString(_caffe.read_net(fspath(path)))


def read_weights(path: str | PathLike[str]) -> Any:
    """A caffemodel's NetParameter with its layers' names, types and blobs alone.

    So it does not matter which fork of Caffe wrote it. Layers of older forms become today's, and
    raw values of NVIDIA's Caffe become data. CaffeError for a file that is none, or is damaged.
    """
    return caffe_pb2.NetParameter.FromString(_caffe.read_weights(fspath(path)))


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Any:
    """A Datum of an array of C x H x W: uint8 as bytes, any other type as floats.

    Raises ValueError for a different number of dimensions, TypeError for a label that is not a
    whole number.
    """
    arr = np.asarray(arr)
    if arr.ndim != 3:
        raise ValueError(
            f"a Datum has channels x height x width, not the shape {shape_text(arr.shape)}"
        )
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).flat)
    if label is not None:
        if isinstance(label, str) or int(label) != label:
            raise TypeError(f"a label is a whole number, not {label!r}")
        datum.label = int(label)
    return datum


def datum_to_array(datum: Any) -> np.ndarray:
    """The image of a Datum, C x H x W: uint8 if it contains bytes, otherwise float64.

    Raises ValueError for an encoded one (such as a JPEG) and if the number of values is wrong.
    """
    if datum.encoded:
        raise ValueError(
            "the Datum holds an encoded image: decode datum.data, with PIL.Image.open say"
        )
    if len(datum.data) > 0:
        values = np.frombuffer(datum.data, dtype=np.uint8).copy()
    else:
        values = np.array(datum.float_data, dtype=np.float64)
    return values.reshape(datum.channels, datum.height, datum.width)


STEPS = ("transpose", "channel_swap", "raw_scale", "mean", "input_scale")  # of a Transformer


class Transformer:
    """Converts images to a net's input, and back.

        transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
        transformer.set_transpose("data", (2, 0, 1))        # H x W x K to K x H x W
        transformer.set_channel_swap("data", (2, 1, 0))     # RGB to BGR
        transformer.set_raw_scale("data", 255)              # [0, 1] to [0, 255]
        transformer.set_mean("data", np.array([104, 117, 123]))
        net.blobs["data"].data[...] = transformer.preprocess("data", image)

    inputs: the shape of each input blob, N x K x H x W, by name. Steps that are not set are
    skipped. Every method raises ValueError for an unknown input.
    """

    def __init__(self, inputs: dict[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, tuple[int, ...]] = {}
        self.channel_swap: dict[str, tuple[int, ...]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if name in STEPS and not isinstance(value, dict):
            raise AttributeError(f"{name} is a dict by input: call set_{name}(input, value)")
        super().__setattr__(name, value)

    def _check_input(self, in_: str) -> None:
        if in_ not in self.inputs:
            raise ValueError(f"{in_} is not one of the net inputs: {self.inputs}")

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """An image, H' x W' x K, as the net's input, float32, K x H x W.

        In this order: resize to the input's H x W, transpose, swap channels, times raw_scale, minus
        mean, times input_scale.
        """
        self._check_input(in_)
        result = np.asarray(data).astype(np.float32, copy=False)
        size = tuple(self.inputs[in_][2:])
        if result.shape[:2] != size:
            result = resize_image(result, size)
        if in_ in self.transpose:
            result = result.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            order = list(self.channel_swap[in_])
            if max(order) >= len(result):
                raise ValueError(f"channel swap {order}: the image has {len(result)} channels")
            result = result[order, :, :]
        # Not in place: this may still be the caller's own array.
        if in_ in self.raw_scale:
            result = result * np.float32(self.raw_scale[in_])
        if in_ in self.mean:
            result = (result - self.mean[in_]).astype(np.float32, copy=False)
        if in_ in self.input_scale:
            result = result * np.float32(self.input_scale[in_])
        return result

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Turn a net's input, K x H x W or 1 x K x H x W, into an image, without resizing it."""
        self._check_input(in_)
        result = np.array(data, copy=True)
        if in_ not in self.transpose:
            result = result.squeeze()
        elif result.ndim == len(self.inputs[in_]) and len(result) == 1:
            result = result[0]  # a grey image keeps its axis of channels, for transposing
        if in_ in self.input_scale:
            result = result / np.float32(self.input_scale[in_])
        if in_ in self.mean:
            result = (result + self.mean[in_]).astype(np.float32, copy=False)
        if in_ in self.raw_scale:
            result = result / np.float32(self.raw_scale[in_])
        if in_ in self.channel_swap:
            result = result[np.argsort(self.channel_swap[in_]), :, :]
        if in_ in self.transpose:
            result = result.transpose(np.argsort(self.transpose[in_]))
        return result

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of the axes: (2, 0, 1) turns H x W x K into K x H x W."""
        self._check_input(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise ValueError(
                "Transpose order needs to have the same number of dimensions as the input."
            )
        self.transpose[in_] = tuple(order)

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of the channels, the first axis after transposing: (2, 1, 0) for RGB to BGR."""
        self._check_input(in_)
        if len(order) != self.inputs[in_][1]:
            raise ValueError(
                "Channel swap needs to have the same number of dimensions as the input channels."
            )
        self.channel_swap[in_] = tuple(order)

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """The factor for images before the mean is subtracted: 255 for most nets."""
        self._check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """The mean to subtract: one value per channel, or an array of K x H x W or 1 x H x W.

        An array of a different height and width is resized to the input's. Raises ValueError if
        the channels do not fit.
        """
        self._check_input(in_)
        channels, *size = self.inputs[in_][1:]
        mean = np.asarray(mean)
        if mean.ndim == 1:
            if len(mean) != channels:
                raise ValueError(f"the mean has {len(mean)} channels, {in_} has {channels}")
            mean = mean[:, np.newaxis, np.newaxis]
        elif mean.ndim in (2, 3):
            mean = mean.reshape((1, *mean.shape)[-3:])
            if len(mean) not in (1, channels):
                raise ValueError(f"the mean has {len(mean)} channels, {in_} has {channels}")
            if mean.shape[1:] != (1, 1) and list(mean.shape[1:]) != list(size):
                mean = resize_image(mean.transpose(1, 2, 0), size).transpose(2, 0, 1)
        else:
            raise ValueError(
                f"a mean has the axes K x H x W or K alone, not the shape {shape_text(mean.shape)}"
            )
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """The factor for the input at the end, after the mean was subtracted."""
        self._check_input(in_)
        self.input_scale[in_] = scale


def load_image(filename: str | PathLike[str], color: bool = True) -> np.ndarray:
    """An image file as float32 in [0, 1]: H x W x 3 in RGB, or H x W x 1 in grey without ``color``.

    So for every kind of file: grey becomes three equal channels, an alpha channel is dropped,
    palettes, CMYK and others are converted, and of an animation or of several pages the first is
    read. The image is upright, as its EXIF data says. Values of 8, 16 or 32 bits are divided by the
    largest; those of a file of floats are returned as they are. filename: a file, an address, or an
    open file. Raises OSError if it cannot be read.
    """
    return read_image(filename, color)


def _checked_image(image: Any) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 3:
        raise ValueError(
            f"an image has height x width x channels, not the shape {shape_text(image.shape)}"
        )
    return image


def resize_image(im: np.ndarray, new_dims: Sequence[int], interp_order: int = 1) -> np.ndarray:
    """Resize an image, H x W x K; returns float32.

    new_dims: height and width. interp_order: 0 takes the nearest pixel, 1 interpolates linearly, 3
    cubically. Images of one or three channels are resized by scikit-image, which treats pixels
    outside as the image's minimum; others are resized by scipy.ndimage.zoom.
    """
    im = _checked_image(im)
    if im.dtype.kind in "biu" or im.dtype == np.float16:
        im = im.astype(np.float64)  # in which no difference overflows
    height, width = (int(length) for length in new_dims)
    if im.shape[2] in (1, 3):
        from skimage.transform import resize

        low, high = im.min(), im.max()
        if not high > low:
            return np.full((height, width, im.shape[2]), low, dtype=np.float32)
        scaled = (im - low) / (high - low)
        resized = resize(scaled, (height, width), order=interp_order, mode="constant")
        return (resized * (high - low) + low).astype(np.float32)
    from scipy.ndimage import zoom

    factors = (height / im.shape[0], width / im.shape[1], 1)
    return zoom(im, factors, order=interp_order).astype(np.float32)


def oversample(images: Iterable[np.ndarray], crop_dims: Sequence[int]) -> np.ndarray:
    """Ten crops of each image: the four corners, the centre, and these five mirrored.

    images: N arrays of H x W x K, all of the same size. crop_dims: height and width of the crops.
    Returns 10 N x height x width x K, float32. Raises ValueError if the crops do not fit.
    """
    images = [_checked_image(image) for image in images]
    if not images:
        raise ValueError("there is no image to take crops of")
    height, width, channels = images[0].shape
    crop_height, crop_width = (int(length) for length in crop_dims)
    if crop_height > height or crop_width > width:
        raise ValueError(
            f"crops of {crop_height} x {crop_width} do not fit in images of {height} x {width}"
        )
    for image in images:
        if image.shape != images[0].shape:
            raise ValueError(
                f"the images have different shapes, {shape_text(images[0].shape)} and "
                f"{shape_text(image.shape)}: resize them first"
            )
    # A centre between two pixels is rounded down.
    centre = ((height - crop_height) // 2, (width - crop_width) // 2)
    corners = [(y, x) for y in (0, height - crop_height) for x in (0, width - crop_width)]
    crops = np.empty((10 * len(images), crop_height, crop_width, channels), dtype=np.float32)
    for first, image in zip(range(0, len(crops), 10), images):
        for i, (y, x) in enumerate([*corners, centre]):
            crops[first + i] = image[y : y + crop_height, x : x + crop_width]
        crops[first + 5 : first + 10] = crops[first : first + 5, :, ::-1]
    return crops
