"""What a trained network sees in an image: the maps after its stages, its attention, each D*.

The image goes the way of rewriting: it is brought to the size of the stored images (``warp`` or
``short_side``, as the data set was made), and the whole of that is resized to the network's input.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from maap.attention.class_net import open_finder
from maap.attention.region_net import NotFinite, load_net
from maap.data.feeder import Transform
from maap.errors import MaapError
from maap.host import loader
from maap.images import a_star as definitions
from maap.images import boxes, draw, pixels, render
from maap.images.region_options import RegionOptions
from maap.nets import blocks
from maap.nets.attention_layers import elimination_of, region_options_of
from maap.nets.attention_source import class_map_of
from maap.nets.prototxt import read_net, write_text
from maap.util.schema import NetParameter
from maap.util.text import times

SHOWN = 400  # pixels of the longer side that pictures are made at


@dataclass(frozen=True)
class Source:
    """A resolved deploy net with weights, and how it is fed.

    rewrite: the resolved rewrite net, None where there is none to show. stored: size of the stored
    images. policy: how an image is brought to it (`images.fit`).
    """

    deploy: Path
    weights: Path
    transform: Transform
    stored: boxes.Size
    policy: str = "warp"
    rewrite: Optional[Path] = None


@dataclass(frozen=True)
class StageMap:
    """One map after a stage."""

    blob: str
    map: np.ndarray  # (h,w) float32, the mean over the blob's channels
    channels: int
    note: str = ""  # which attention layer works here


@dataclass(frozen=True)
class Attention:
    """What the Elimination layer makes of an image."""

    map: np.ndarray  # (H,W) float32: A at the network's input
    mask: np.ndarray  # uint8: 0, 1 = above the threshold, 2 = the component that R bounds
    region: boxes.Box  # R, in pixels of the image shown
    threshold: float
    fallback: bool  # a flat map: R is the whole image
    options: RegionOptions  # how the region is found
    source: str  # of the map, where it is that of a class: CAM, Grad-CAM of relu5
    d_stars: dict[str, np.ndarray]  # by name, (H,W,3) uint8 BGR as the image shown, mean put back


@dataclass(frozen=True)
class Seen:
    """An image and all that is shown of it."""

    name: str
    image: np.ndarray  # (H,W,3) uint8 BGR, at most SHOWN pixels long
    box: Optional[boxes.Box]  # the true one, in its pixels
    rows: list[tuple[str, list[StageMap]]]  # heading, maps
    attention: Optional[Attention]


class Trunk:
    """A deploy net up to the last of the blobs that are shown, loaded with its weights.

    ``blobs``: which ones, None = the net's stages (`net_blocks`). Raises MaapError for a blob that
    the net lacks, and as `load_net` does.
    """

    def __init__(
        self, net: NetParameter, source: Source, blobs: Optional[Sequence[str]], gpu: Optional[int]
    ):
        self.source = source
        self.notes = dict.fromkeys(blocks.enhanced(net), "after Enhancement")
        if source.rewrite:
            self.notes.setdefault(*_looked_at(read_net(source.rewrite)))
        short = blocks.trunk(net, blobs or blocks.blocks(net))
        with tempfile.TemporaryDirectory() as work:
            path = Path(work) / f"{source.deploy.parent.name}.prototxt"
            write_text(short, path)
            self.net = load_net(path, source.weights, 1, gpu)
        shapes = {name: tuple(blob.shape) for name, blob in self.net.blobs.items()}
        flat = [name for name in blobs or () if len(shapes[name]) != 4]
        if flat:
            raise MaapError(
                f"blob {flat[0]} has the shape {times(shapes[flat[0]])}; maps have four axes"
            )
        self.blobs = list(blobs or ())
        if not blobs:
            names = [name for name in blocks.blocks(short) if len(shapes[name]) == 4]
            sizes = {name: shapes[name][2:] for name in names}
            self.blobs = blocks.stages(names, sizes, list(self.notes))
        loader.keep_only(self.net, self.blobs)
        self.size: boxes.Size = tuple(shapes["data"][2:])

    def maps(self, stored: np.ndarray) -> list[StageMap]:
        """The maps for a stored image."""
        self.net.blobs["data"].data[0] = net_input(stored, self.size, self.source.transform)
        self.net.forward()
        found = []
        for name in self.blobs:
            blob = self.net.blobs[name].data[0]
            mean = blob.mean(axis=0, dtype=np.float64).astype(np.float32)
            if not np.isfinite(mean).all():
                raise MaapError(f"{self.source.weights}: blob {name} is not finite; use a snapshot "
                                "from before the training diverged")  # fmt: skip
            found.append(StageMap(name, mean, len(blob), self.notes.get(name, "")))
        return found


class Inside:
    """Looks at images with a source's net and, beside it, the same net without attention.

    Where the deploy net has Enhancement, the rows of maps are the baseline's and its own; the
    baseline is ``baseline``, (name, Source) of another training, or else the same weights with the
    layer left out. Without Enhancement there is one row, and the baseline's if given. Raises
    MaapError as `Trunk` and `open_finder` do.
    """

    def __init__(
        self,
        source: Source,
        *,
        baseline: Optional[tuple[str, Source]] = None,
        blobs: Optional[Sequence[str]] = None,
        gpu: Optional[int] = None,
    ):
        self.source = source
        net = read_net(source.deploy)
        self._trunks: list[tuple[str, Trunk]] = []
        attends = bool(blocks.enhanced(net))
        if baseline is not None:
            name, other = baseline
            plain = blocks.without_enhancement(read_net(other.deploy))
            self._trunks.append((f"the baseline, {name}", Trunk(plain, other, blobs, gpu)))
        elif attends:
            plain = Trunk(blocks.without_enhancement(net), source, blobs, gpu)
            self._trunks.append(("the same weights without Enhancement", plain))
        own = "with Enhancement" if attends else ""
        self._trunks.append((own, Trunk(net, source, blobs, gpu)))
        self._finder = None
        if source.rewrite is not None:
            rewrite = read_net(source.rewrite)
            self._eliminated = elimination_of(rewrite).bottom[0]
            self._options = region_options_of(rewrite)
            about = class_map_of(rewrite)
            self._source = "" if about is None else about.source.title
            self._finder = open_finder(
                source.rewrite, source.weights, 1, gpu, keep=(self._eliminated,)
            )

    def look(self, name: str, image: np.ndarray, box: Optional[Sequence[float]] = None) -> Seen:
        """image: (H,W,3) uint8 BGR, any size. box: the true one in its pixels.

        Raises MaapError naming the image when its attention map is not finite.
        """
        if self.source.policy == "warp":
            stored = pixels.fit(image, self.source.stored, "warp")[0]
            shown = draw.shrink(image, SHOWN)
        else:
            stored, box = pixels.fit(image, self.source.stored, self.source.policy, box)
            shown = draw.shrink(stored, SHOWN)
        size = image.shape[:2] if self.source.policy == "warp" else self.source.stored
        scaled = None if box is None else boxes.scale_box(box, size, shown.shape[:2])
        rows = [
            (heading, trunk.maps(pixels.fit(image, trunk.source.stored, trunk.source.policy)[0]))
            for heading, trunk in self._trunks
        ]
        return Seen(name, shown, scaled, rows, self._attention(name, stored, shown))

    def _attention(self, name: str, stored: np.ndarray, shown: np.ndarray) -> Optional[Attention]:
        if self._finder is None:
            return None
        finder, mean = self._finder, self.source.transform.mean
        try:
            found = finder.find(net_input(stored, finder.size, self.source.transform)[None])
        except NotFinite as error:
            raise MaapError(f"the attention map of image {name} is not finite ({error}); use "
                            "weights of an earlier snapshot") from None  # fmt: skip
        threshold, fallback = float(found.stats[0, 0]), bool(found.stats[0, 4])
        soft = found.attention[0].copy()
        judged, options = soft, self._options
        if options.threshold_at == "map":
            features = finder.net.blobs[self._eliminated].data[0]
            judged = 1 / (1 + np.exp(-features.mean(axis=0, dtype=np.float64)))
            judged = _with_border(judged, options.border)
        region = boxes.scale_box(found.regions[0], finder.size, shown.shape[:2])
        dropped = np.inf if fallback else threshold
        d_stars = {
            each.name: draw.to_grey_levels(
                render.render(shown, region, soft, each.name, mean, dropped),
                None if each.crops else mean,
            )
            for each in definitions.TABLE
        }
        mask = _mask(judged, threshold, options)
        return Attention(soft, mask, region, threshold, fallback, options, self._source, d_stars)


def net_input(stored: np.ndarray, size: boxes.Size, transform: Transform) -> np.ndarray:
    """A whole stored image (H,W,3) as a network's input (3,h,w) float32, as rewriting feeds it."""
    resized = render.resize(stored, *size).astype(np.float32)
    resized = (resized - render.mean_image(transform.mean, *size)) * np.float32(transform.scale)
    return resized.transpose(2, 0, 1)


def _with_border(judged: np.ndarray, border: int) -> np.ndarray:
    """The map whose outermost rows and columns have the values of those further in."""
    height, width = judged.shape
    inner = judged[border : height - border, border : width - border]
    return np.pad(inner, border, mode="edge")


def _mask(judged: np.ndarray, threshold: float, options: RegionOptions) -> np.ndarray:
    """0 background, 1 foreground, 2 the component that the region bounds (of equally large ones
    the first in raster order)."""
    mask = (judged > threshold).astype(np.uint8)
    how = dict(connectivity=options.connectivity)
    count, labels, about, _ = cv2.connectedComponentsWithStats(mask, **how)
    sizes = about[1:, cv2.CC_STAT_AREA]
    if count > 1 and options.component == "strongest":
        mask[labels == labels.ravel()[np.argmax(judged)]] = 2
    elif count > 1:
        largest = np.flatnonzero(sizes == sizes.max()) + 1
        firsts = [np.flatnonzero(labels.ravel() == label)[0] for label in largest]
        mask[labels == largest[int(np.argmin(firsts))]] = 2
    return mask


def _looked_at(rewrite: NetParameter) -> tuple[str, str]:
    """The blob of the net that regions are found from, and a note on it."""
    about = class_map_of(rewrite)
    if about is None:
        return str(blocks.eliminated(rewrite)), "Elimination's map"
    made = {layer.name: layer.top[0] for layer in rewrite.layer if layer.top}
    return made.get(str(about.after), about.blob), f"{about.source.name}'s map"
