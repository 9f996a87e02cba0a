"""Classifies images with a net that has one input and one output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike

import numpy as np

from . import io
from .proto.caffe_pb2 import TEST
from .pycaffe import Net
from .shapes import shape_text


def make_transformer(
    net: Net,
    mean: np.ndarray | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
) -> io.Transformer:
    """A Transformer for the net's first input: K x H x W, and the given steps."""
    name = net.inputs[0]
    transformer = io.Transformer({name: net.blobs[name].shape})
    transformer.set_transpose(name, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(name, mean)
    if input_scale is not None:
        transformer.set_input_scale(name, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(name, channel_swap)
    return transformer


class Classifier(Net):
    """A net that classifies images.

    image_dims: height and width that images are resized to before they are cropped; by default
    those of the net's input, so that the whole image is used. mean, input_scale, raw_scale,
    channel_swap: see io.Transformer.
    """

    def __init__(
        self,
        model_file: str | PathLike[str],
        pretrained_file: str | PathLike[str],
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = make_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        is_given = image_dims is not None and np.size(image_dims) > 0
        self.image_dims = image_dims if is_given else self.crop_dims

    def predict(self, inputs: Iterable[np.ndarray], oversample: bool = True) -> np.ndarray:
        """The net's output for each image.

        inputs: N images of H x W x K, of any sizes. oversample: the mean over ten crops of each
        (io.oversample); otherwise only the centre. Returns N x classes. Raises ValueError if
        image_dims are smaller than the net's input.
        """
        resized = [io.resize_image(image, self.image_dims) for image in inputs]
        if not resized:
            return np.zeros((0, *self.blobs[self.outputs[0]].shape[1:]), np.float32)
        images = np.stack(resized)
        if any(np.array(self.image_dims) < self.crop_dims):
            raise ValueError(
                f"images of {shape_text(self.image_dims)} are smaller than the net's input, "
                f"{shape_text(self.crop_dims)}"
            )
        if oversample:
            crops = io.oversample(images, self.crop_dims)
        else:
            y, x = (np.array(self.image_dims) - self.crop_dims) // 2
            crops = images[:, y : y + self.crop_dims[0], x : x + self.crop_dims[1]]
        name = self.inputs[0]
        data = np.stack([self.transformer.preprocess(name, crop) for crop in crops])
        predictions = self.forward_all(**{name: data})[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape(len(images), 10, -1).mean(axis=1)
        return predictions
