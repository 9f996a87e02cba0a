"""Inputs to try a net with: random ones that its layers accept, and images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..image_file import read_image
from .source import Shape, Source

Arrays = dict[str, np.ndarray]
Random = np.random.Generator
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp"}
MEAN = (104.0, 117.0, 123.0)  # B, G, R of ImageNet, as the published nets subtract it


@dataclass(frozen=True)
class Reader:
    """A layer that reads an input, and as which of its bottoms."""

    net: Source
    layer: Any
    bottom: int

    def length(self, bottom: int, axis: int) -> int:
        """The length of an axis of one of the layer's bottoms."""
        return self.net.shapes[self.layer.bottom[bottom]][axis]


def _indices(random: Random, reader: Reader, shape: Shape) -> np.ndarray:
    """Embed: rows of its weights."""
    return random.integers(0, reader.layer.embed_param.input_dim, shape)


def _items(random: Random, reader: Reader, shape: Shape) -> np.ndarray:
    """BatchReindex: items of the batch."""
    return random.integers(0, reader.length(0, 0), shape)


def _lengths(random: Random, reader: Reader, shape: Shape) -> np.ndarray:
    """ReverseTime: numbers of steps."""
    return random.integers(1, reader.length(0, 0) + 1, shape)


def _flags(random: Random, reader: Reader, shape: Shape) -> np.ndarray:
    """Filter: which items to take, at least one."""
    chosen = random.integers(0, 2, shape)
    chosen.reshape(-1)[0] = 1
    return chosen


def _continuations(random: Random, reader: Reader, shape: Shape) -> np.ndarray:
    """LSTM, RNN: 0 where a sequence starts, else 1. The first step starts one if no state is given
    for it."""
    values = random.integers(0, 2, shape)
    if reader.layer.type != "LSTMUnit" and not reader.layer.recurrent_param.expose_hidden:
        values[0] = 0
    return values


def _regions(random: Random, reader: Reader, shape: Shape) -> np.ndarray:
    """ROIPooling, PSROIPooling: regions of any size, on the map and beyond its edges."""
    kind = "roi_pooling_param" if reader.layer.type == "ROIPooling" else "psroi_pooling_param"
    scale = getattr(reader.layer, kind).spatial_scale
    height, width = reader.length(0, 2) / scale, reader.length(0, 3) / scale
    rows, most = int(np.prod(shape)) // 5, 1.2 * np.array([width, height])
    corners = random.uniform(0, most, (rows, 2, 2))
    rois = np.concatenate([np.zeros((rows, 1)), corners.min(1), corners.max(1)], 1)
    rois[:, 0] = random.integers(0, reader.length(0, 0), rows)
    return rois.reshape(shape)


def _image_sizes(random: Random, reader: Reader, shape: Shape) -> np.ndarray:
    """Proposal: height, width and scale of the images that the maps are of."""
    stride = reader.layer.proposal_param.feat_stride
    sizes = np.ones(shape, np.float32)
    sizes[..., 0], sizes[..., 1] = reader.length(0, 2) * stride, reader.length(0, 3) * stride
    return sizes


# What a layer's bottom must hold; all other inputs may hold anything. -1: the last bottom.
SPECIAL = {
    ("Embed", 0): _indices, ("BatchReindex", 1): _items, ("ReverseTime", 1): _lengths,
    ("Filter", -1): _flags, ("LSTM", 1): _continuations, ("RNN", 1): _continuations,
    ("LSTMUnit", 2): _continuations, ("ROIPooling", 1): _regions, ("PSROIPooling", 1): _regions,
    ("Proposal", 2): _image_sizes,
}  # fmt: skip
KEEP_VALUES = ("Split", "Dropout", "Reshape", "Flatten")


def _readers(net: Source) -> dict[str, list[Reader]]:
    """For each input the layers that read it, themselves or through a layer of KEEP_VALUES."""
    origin = {name: name for name in net.inputs}
    found: dict[str, list[Reader]] = {name: [] for name in net.inputs}
    for layer in net.layers:
        for index, bottom in enumerate(layer.bottom):
            if bottom not in origin:
                continue
            if layer.type in KEEP_VALUES:
                origin.update((top, origin[bottom]) for top in layer.top)
            else:
                found[origin[bottom]].append(Reader(net, layer, index))
    return found


def _values(random: Random, shape: Shape, readers: list[Reader]) -> np.ndarray:
    """Random values of an input, such as its readers accept."""
    for reader in readers:
        last = -1 if reader.bottom == len(reader.layer.bottom) - 1 else reader.bottom
        for bottom in (reader.bottom, last):
            if (reader.layer.type, bottom) in SPECIAL:
                make = SPECIAL[reader.layer.type, bottom]
                return make(random, reader, shape).astype(np.float32)
    image = len(shape) == 4 and shape[1] <= 4 and min(shape[2:]) >= 16
    return (random.standard_normal(shape) * (60 if image else 1)).astype(np.float32)


def random_inputs(net: Source, seed: int = 0) -> Arrays:
    """Values for all inputs, in the shapes that they have in the engine's net now."""
    random, readers = np.random.default_rng(seed), _readers(net)
    return {
        name: _values(random, tuple(net.net.blobs[name].shape), readers[name])
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
