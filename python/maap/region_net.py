"""A rewrite net (up to the Elimination layer) as an object that finds regions in batches of
images."""

import re
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from maap.errors import MaapError

TOPS = ("region", "attention", "stats")


class Found(NamedTuple):
    """What the Elimination layer says about a batch of N images of H×W pixels."""

    regions: np.ndarray  # (N,4) int32: x1, y1, x2, y2 in pixels of the network's input, half-open
    attention: np.ndarray  # (N,H,W) float32: A at the input's resolution
    stats: (
        np.ndarray
    )  # (N,5) float32: threshold, map min, map max, component area, 1 = R is a fallback


class NotFinite(Exception):
    """The attention map of image `index` of the batch holds a NaN or an infinity."""

    def __init__(self, index: int, text: str):
        super().__init__(text)
        self.index = index


class RegionNet:
    """A resolved rewrite prototxt with weights, loaded into the host's Caffe.

    `size` is the (height, width) of its input. Raises MaapError when a file is missing or the net
    has not the blobs `data`, `region`, `attention` and `stats`.
    """

    def __init__(self, net: Path, weights: Path, batch: int, gpu: Optional[int] = None):
        for file in (net, weights):
            if not Path(file).is_file():
                raise MaapError(f"{file} does not exist; give the resolved net and its weights")
        from maap import host

        caffe = host.load()
        host.set_device(caffe, gpu)
        self.path = Path(net)
        self.net = caffe.Net(str(net), caffe.TEST, weights=str(weights))
        lacking = [name for name in ("data", *TOPS) if name not in self.net.blobs]
        if lacking:
            raise MaapError(
                f"{net} has no blob {', '.join(lacking)}; a rewrite net ends in an Elimination layer "
                "with tops dstar, region, attention, stats (see prototxt/alexnet/rewrite.prototxt)"
            )
        channels, height, width = self.net.blobs["data"].data.shape[1:]
        if self.net.blobs["data"].data.shape[0] != batch:
            self.net.blobs["data"].reshape(batch, channels, height, width)
            self.net.reshape()
        self.batch = batch
        self.size: tuple[int, int] = (height, width)

    def find(self, images: np.ndarray) -> Found:
        """images: (N,3,H,W) float32 as the net expects them, N = batch. The arrays returned are
        views into the net and hold until the next call. Raises NotFinite."""
        self.net.blobs["data"].data[...] = images
        try:
            self.net.forward()
        except RuntimeError as error:
            where = re.search(r"image (\d+)", str(error))
            if where is None:
                raise MaapError(f"{self.path}: {error}") from error
            raise NotFinite(int(where.group(1)), str(error)) from error
        regions, attention, stats = (self.net.blobs[name].data for name in TOPS)
        return Found(np.rint(regions).astype(np.int32), attention[:, 0], stats)
