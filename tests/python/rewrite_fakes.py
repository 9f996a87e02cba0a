"""A small data set and a stand-in for the rewrite net, to test what happens around the network.

Run as a program it rewrites: python rewrite_fakes.py SOURCE OUT A_STAR [SECONDS_PER_BATCH]
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
from maap.attention.region_net import Found, NotFinite
from maap.data.records import Record, encode_jpeg, encode_pixels, key_for
from maap.data.store import Split
from maap.data.write import begin, finish, write_split
from maap.errors import MaapError
from maap.host import ranks
from maap.rewrite.regions import FOUND
from maap.rewrite.rewrite import rewrite

SIZE = (48, 64)  # stored images, height and width
NET_INPUT = (35, 35)
MEAN = np.array([104.0, 117.0, 123.0], np.float32)
TRANSFORM = SimpleNamespace(mean=MEAN, scale=0.5)


def photo(index: int, size: tuple[int, int] = SIZE):
    """A smooth random image with one bright patch, and the patch's box."""
    random = np.random.RandomState(index)
    height, width = size
    image = cv2.resize(random.randint(0, 90, (6, 8, 3)).astype(np.uint8), (width, height))
    x, y = random.randint(2, width - 22), random.randint(2, height - 18)
    image[y : y + 14, x : x + 18] = random.randint(180, 255, (14, 18, 3))
    return image, (float(x), float(y), float(x + 18), float(y + 14))


def make_source(
    folder: Path,
    count: int = 50,
    jpeg: bool = True,
    splits: tuple[str, ...] = ("train",),
    size: tuple[int, int] = SIZE,
    boxless: int = 1,
) -> Split:
    """A data set of `count` images in 3 classes; the last `boxless` have no true box."""
    encode = encode_jpeg if jpeg else encode_pixels
    records, datums = [], []
    for index in range(count):
        image, box = photo(index, size)
        path = f"images/{index % 3}/{index}.jpg"
        box = box if index < count - boxless else None
        records.append(Record(key_for(index, path), index % 3, path, box))
        datums.append(encode(image, index % 3))
    partial = begin(folder)
    for split in splits:
        write_split(partial, split, records, datums)
    manifest = dict(kind="folder", name="patches", classes=["a", "b", "c"], size=list(size))
    manifest.update(
        mean_subtracted=False, note="made up", splits={split: {"count": count} for split in splits}
    )
    finish(partial, folder, manifest)
    return Split.open(folder, "train")


class FakeFinder:
    """A = brightness; R = the box of what is brighter than halfway between minimum and maximum."""

    size = NET_INPUT

    def __init__(self, seconds: float = 0.0, flat: int = -1, nan: int = -1, quit_after: int = -1):
        self.seconds, self.flat, self.nan, self.quit_after = seconds, flat, nan, quit_after
        self.seen = 0  # images

    def find(self, images: np.ndarray, labels=None) -> Found:
        if 0 <= self.quit_after <= self.seen:
            raise MaapError("enough")
        time.sleep(self.seconds)
        count = len(images)
        attention = np.float32(1) / (1 + np.exp(-images.mean(axis=1) / 30))
        regions = np.zeros((count, 4), np.int32)
        stats = np.zeros((count, 5), np.float32)
        for n, a in enumerate(attention):
            if self.seen + n == self.nan:
                raise NotFinite(n, "layer eliminate, image 1: NaN")
            low, high = a.min(), a.max()
            mask = a > (low + high) / 2
            ys, xs = np.nonzero(mask)
            regions[n] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
            stats[n] = (low + high) / 2, low, high, mask.sum(), 0
            if self.seen + n == self.flat:
                regions[n], stats[n] = (0, 0, NET_INPUT[1], NET_INPUT[0]), (0.5, 0.5, 0.5, 0, 1)
        self.seen += count
        return Found(regions, attention.astype(np.float32), stats)

    def find_each(self, images: np.ndarray, labels=None) -> list[Found]:
        return [self.find(images, labels)]


def write_files(folder: Path):
    """Stand-ins for the net, without an Elimination layer, and for the weights file."""
    (folder / "net.prototxt").write_text("layer { name: 'data' type: 'Input' top: 'data' }")
    (folder / "fake.caffemodel").write_bytes(b"weights")
    return folder / "net.prototxt", folder / "fake.caffemodel"


def run(source: Split, out: Path, a_star: str = "ROI", batch: int = 8, regions=FOUND, **finder):
    """rewrite() with the stand-in; its files lie beside `out`."""
    if ranks.first():
        write_files(out.parent)
    ranks.here().barrier()
    net, weights = out.parent / "net.prototxt", out.parent / "fake.caffemodel"
    return rewrite(
        source,
        out,
        net,
        weights,
        a_star,
        TRANSFORM,
        batch,
        regions=regions,
        worker_count=2,
        finder=FakeFinder(**finder),
    )


if __name__ == "__main__":
    run(
        Split.open(Path(sys.argv[1]), "train"),
        Path(sys.argv[2]),
        sys.argv[3],
        seconds=float(sys.argv[4]) if len(sys.argv) > 4 else 0.0,
    )
