"""A rewrite net (up to the Elimination layer) as an object that finds regions in batches of
images."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from maap.errors import MaapError
from maap.host import loader
from maap.host.types import CaffeNet
from maap.nets.attention_layers import also
from maap.nets.prototxt import read_net
from maap.weights.caffemodel import check_weights

TOPS = ("region", "attention", "stats")


class Found(NamedTuple):
    """What the Elimination layer says about a batch of N images of H×W pixels."""

    regions: np.ndarray  # (N,4) int32: x1, y1, x2, y2 in pixels of the network's input, half-open
    attention: np.ndarray  # (N,H,W) float32: A at the input's resolution; (0,H,W) if not asked for
    stats: (
        np.ndarray
    )  # (N,5) float32: threshold, map min, map max, component area, 1 = R is a fallback


class NotFinite(Exception):
    """The attention map of image `index` of the batch holds a NaN or an infinity."""

    def __init__(self, index: int, text: str):
        super().__init__(text)
        self.index = index


def load_net(net: Path, weights: Path, batch: int, gpu: Optional[int]) -> CaffeNet:
    """The host's caffe.Net (phase TEST) of a resolved prototxt, every layer with its weights, its
    input `data` reshaped to `batch` images.

    Raises MaapError when a file is missing or damaged, when the weights lack a layer of the net or
    differ in shape, and when the net has no blob `data`: Caffe itself would abort, or compute with
    zeros.
    """
    need_weights(net, weights)
    return open_net(net, weights, gpu, batch)


def need_weights(net: Path, weights: Path) -> None:
    """Raises MaapError when a file is missing or damaged, and when the weights lack a layer of the
    net or differ in shape."""
    missing = check_weights(read_net(net), weights)["missing"]
    if missing:
        raise MaapError(
            f"{weights}: no weights for {', '.join(missing)} of {net}; give the weights that were "
            "trained for this net"
        )


def open_net(
    net: Path, weights: Optional[Path], gpu: Optional[int], batch: Optional[int] = None
) -> CaffeNet:
    """The host's caffe.Net (phase TEST) of a prototxt whose layers with weights are all in the
    file; ``weights`` None: it has none. batch: images in its input `data`; None: no such input,
    or as the prototxt says. Raises MaapError where the images have no `data`."""
    caffe = loader.load()
    loader.set_device(caffe, gpu)
    stored = {} if weights is None else dict(weights=str(weights))
    loaded = caffe.Net(str(net), caffe.TEST, **stored)
    if batch is None:
        return loaded
    if "data" not in loaded.blobs:
        raise MaapError(f"{net} has no blob data; name its Input layer's top so")
    shape = tuple(loaded.blobs["data"].shape)
    if shape[0] != batch:
        loaded.blobs["data"].reshape(batch, *shape[1:])
        loaded.reshape()
    return loaded


class RegionNet:
    """A resolved rewrite prototxt with weights, loaded into the host's Caffe.

    `size` is the (height, width) of its input. weights: None for a net without any. attention:
    whether A is wanted, which from a GPU takes the time of copying it; keep: blobs that the caller
    reads besides. Raises MaapError when a file is missing or the net lacks one of the blobs `data`,
    `region`, `attention` and `stats`.
    """

    def __init__(
        self,
        net: Path,
        weights: Optional[Path],
        batch: int,
        gpu: Optional[int] = None,
        attention: bool = True,
        keep: Sequence[str] = (),
    ):
        self.path = Path(net)
        if weights is not None:
            need_weights(net, weights)
        self.net = open_net(net, weights, gpu, batch)
        lacking = [name for name in TOPS if name not in self.net.blobs]
        if lacking:
            raise MaapError(
                f"{net} has no blob {', '.join(lacking)}; a rewrite net ends in an Elimination "
                "layer with tops dstar, region, attention, stats, as "
                "prototxt/alexnet/rewrite.prototxt does"
            )
        self.batch = batch
        self.size: tuple[int, int] = tuple(self.net.blobs["data"].shape[2:])
        self._others = self._other_tops()
        others = [name for tops in self._others for name in tops]
        loader.keep_only(self.net, [*TOPS, *others, *keep])
        # What forward copies from a GPU: not D*, which is as large as the images.
        own = [name for name in TOPS if attention or name != "attention"]
        self.net.outputs[:] = [*own, *others]

    def find(self, images: np.ndarray, labels: Optional[Sequence[int]] = None) -> Found:
        """images: (N,3,H,W) float32 as the net expects them, N = batch. labels: the images'
        classes, which this net does not look at. The arrays returned are views into the net and
        hold until the next call. Raises NotFinite."""
        self.net.blobs["data"].data[...] = images
        try:
            self.net.forward()
        except RuntimeError as error:
            where = re.search(r"image (\d+) in the batch", str(error))
            if where is None:
                raise MaapError(f"{self.path}: {error}") from error
            raise NotFinite(int(where.group(1)), str(error)) from error
        tops = {name: self.net.blobs[name].data for name in self.net.outputs if name in TOPS}
        attention = tops["attention"][:, 0] if "attention" in tops else _nothing(self.size)
        return Found(np.rint(tops["region"]).astype(np.int32), attention, tops["stats"])

    def find_each(self, images: np.ndarray, labels: Optional[Sequence[int]] = None) -> list[Found]:
        """What `find` returns, and the same of every other Elimination layer of the net
        (`nets.resolve.with_other_regions`), in their order, without their attention."""
        found = [self.find(images, labels)]
        for region, stats in self._others:
            boxes = np.rint(self.net.blobs[region].data).astype(np.int32)
            found.append(Found(boxes, _nothing(self.size), self.net.blobs[stats].data))
        return found

    def _other_tops(self) -> list[tuple[str, str]]:
        """The regions and stats of the net's other Elimination layers."""
        numbers = itertools.count(1)
        names = ((also("region", n), also("stats", n)) for n in numbers)
        return list(itertools.takewhile(lambda tops: tops[0] in self.net.blobs, names))


def _nothing(size: tuple[int, int]) -> np.ndarray:
    """The attention maps where none are asked for: (0,H,W)."""
    return np.empty((0, *size), np.float32)
