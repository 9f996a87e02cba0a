"""What the training images are cut by: the regions found, or other boxes to compare them with.

    found    the region that the net found: the paper's
    true     the true box, which no net sees: the most that a region could give
    random   a box as wide and as high as the one found, anywhere in the image: what cutting alone
             gives, without knowing where
    whole    the whole image: nothing is cut, so that phase 2 is a control's

With an A* that multiplies, "cut" means that the box is R; the attention A is the found one always.
"""

import hashlib
from dataclasses import dataclass

from maap.config.fields import TrainConfig
from maap.data.importer import importers
from maap.data.records import Record
from maap.data.store import Split
from maap.errors import MaapError
from maap.images import boxes
from maap.images.boxes import Box, Size

TITLES = {
    "found": "regions found",
    "true": "true boxes",
    "random": "random boxes of the regions' sizes",
    "whole": "whole images",
}  # in the order of config.fields.REGIONS


@dataclass(frozen=True)
class Regions:
    """Which box an image is cut by. how: a name of TITLES; seed: of the run, for random boxes."""

    how: str = "found"
    seed: int = 1

    @classmethod
    def of(cls, config: TrainConfig) -> "Regions":
        """What a run's settings say."""
        return cls(config.regions, config.seed)

    @property
    def title(self) -> str:
        """What the images are cut by, for people."""
        return TITLES[self.how]

    @property
    def fall_back(self) -> bool:
        """Whether the box of a flat map is the whole image, because nothing was found."""
        return self.how in ("found", "random")

    def check(self, split: Split) -> None:
        """Raises MaapError when true boxes are wanted and an image has none."""
        without = [record for record in split.records if record.box is None]
        if self.how != "true" or not without:
            return
        known = [importer.name for importer in importers().values() if importer.boxed]
        raise MaapError(
            f"--regions true: {len(without)} of the {len(split)} {split.name} images in "
            f"{split.folder} have no true box ({without[0].path}); the data sets with boxes are "
            f"{', '.join(known)}"
        )

    def box(self, found: Box, record: Record, size: Size) -> Box:
        """The box of a record's image of ``size``; ``found``: the region found, in its pixels."""
        if self.how == "whole":
            return boxes.whole(size)
        if self.how == "random":
            return self._moved(found, record.key, size)
        if self.how == "true":
            assert record.box is not None, "check()"
            return boxes.outward(record.box, size)
        return found

    def _moved(self, box: Box, key: str, size: Size) -> Box:
        """The box at a place that depends on the seed and the image's key alone; each place inside
        the image is as likely as any other."""
        text = f"{self.seed}/regions/{key}".encode("utf-8", "surrogateescape")
        number = hashlib.blake2s(text, digest_size=16).digest()
        corner = []
        for part, low, high, end in zip((number[:8], number[8:]), box[:2], box[2:], size[::-1]):
            places = end - (high - low) + 1
            corner.append(int.from_bytes(part, "big") * places >> 64)
        x, y = corner
        return x, y, x + box[2] - box[0], y + box[3] - box[1]


FOUND = Regions()
