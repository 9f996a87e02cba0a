"""Inputs to try a net with: random ones that its layers accept, and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..image_file import read_image
from .source import Source

Arrays = dict[str, np.ndarray]
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp"}
CONT = {"LSTM": 1, "RNN": 1, "LSTMUnit": 2}  # the bottom that says where sequences start
MEAN = (104.0, 117.0, 123.0)  # B, G, R of ImageNet, as the published nets subtract it


def _indices(random: np.random.Generator, net: Source, shape: tuple[int, ...], top: int):
    return random.integers(0, max(top, 1), shape).astype(np.float32)


def _regions(random: np.random.Generator, net: Source, shape: tuple[int, ...], scale: float):
    """Regions (R, 5) in pixels of an image of 16 times the map, inside and beyond it."""
    rois = np.zeros((shape[0], 5), np.float32)
    corners = random.uniform(0, 12 / scale, (shape[0], 2, 2))
    rois[:, 1:3], rois[:, 3:5] = corners.min(1), corners.max(1)
    return rois.reshape(shape)


def _continuations(random: np.random.Generator, layer: Any, shape: tuple[int, ...]) -> np.ndarray:
    """0 where a sequence starts, else 1; the first step starts one if no state is given for it."""
    values = random.integers(0, 2, shape).astype(np.float32)
    if layer.type != "LSTMUnit" and not layer.recurrent_param.expose_hidden:
        values[0] = 0
    return values


def _readers(net: Source) -> dict[str, list[tuple[Any, int]]]:
    """For each input the layers that read it, through Splits, and as which bottom."""
    origin = {name: name for name in net.inputs}
    found: dict[str, list[tuple[Any, int]]] = {name: [] for name in net.inputs}
    for layer in net.layers:
        for index, bottom in enumerate(layer.bottom):
            if bottom in origin:
                if layer.type in ("Split", "Dropout", "Reshape", "Flatten"):
                    origin.update((top, origin[bottom]) for top in layer.top)
                else:
                    found[origin[bottom]].append((layer, index))
    return found


def _values(random: np.random.Generator, net: Source, name: str, shape: tuple[int, ...],
            readers: list[tuple[Any, int]]) -> np.ndarray:  # fmt: skip
    """Random values of an input, such as its readers accept."""
    for layer, index in readers:
        if layer.type == "Embed":
            return _indices(random, net, shape, layer.embed_param.input_dim)
        if layer.type == "BatchReindex" and index == 1:
            return _indices(random, net, shape, net.shapes[layer.bottom[0]][0])
        if index == CONT.get(layer.type):
            return _continuations(random, layer, shape)
        if layer.type == "Filter" and index == len(layer.bottom) - 1:
            chosen = random.integers(0, 2, shape).astype(np.float32)
            chosen.reshape(-1)[0] = 1
            return chosen
        if layer.type == "ROIPooling" and index == 1:
            return _regions(random, net, shape, layer.roi_pooling_param.spatial_scale)
        if layer.type == "PSROIPooling" and index == 1:
            return _regions(random, net, shape, layer.psroi_pooling_param.spatial_scale)
    image = len(shape) == 4 and shape[1] <= 4 and min(shape[2:]) >= 16
    return (random.standard_normal(shape) * (60 if image else 1)).astype(np.float32)


def random_inputs(net: Source, seed: int = 0) -> Arrays:
    """Values for all inputs, in the shapes that they have in the engine's net now."""
    random, readers = np.random.default_rng(seed), _readers(net)
    return {
        name: _values(random, net, name, tuple(net.net.blobs[name].shape), readers[name])
        for name in net.inputs
    }


def image_input(net: Source) -> str:
    """The input that takes images: the first of N x 1 or 3 x H x W. Raises ValueError for none."""
    for name in net.inputs:
        shape = net.shapes[name]
        if len(shape) == 4 and shape[1] in (1, 3):
            return name
    raise ValueError("--images: no input of the net has the shape N x 3 x H x W or N x 1 x H x W")


def images_in(folder: str | Path) -> list[Path]:
    """The image files of a folder, by name. Raises ValueError if there are none."""
    found = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in ENDINGS)
    if not found:
        raise ValueError(f"{folder} has no images ({', '.join(sorted(ENDINGS))})")
    return found


def with_images(net: Source, files: list[Path], seed: int = 0) -> Arrays:
    """Random inputs with images in the one that takes them: the files in turn until it is full.

    An image is resized to the input, in the order B, G, R with values 0 to 255 less MEAN.
    """
    arrays = random_inputs(net, seed)
    name = image_input(net)
    batch, channels, height, width = arrays[name].shape
    for i in range(batch):
        image = read_image(str(files[i % len(files)]), channels == 3)
        pixels = _resized(image, height, width)[..., ::-1] * 255
        arrays[name][i] = (pixels - MEAN[:channels]).transpose(2, 0, 1)
    return arrays


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The nearest pixels of an image H x W x K."""
    rows = np.arange(height) * image.shape[0] // height
    columns = np.arange(width) * image.shape[1] // width
    return image[rows][:, columns]
