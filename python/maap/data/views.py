"""How a test looks at its images: which part of each, and how many crops of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from maap.errors import MaapError
from maap.images.boxes import Box, Size

CROPS = (1, 10)

Place = tuple[tuple[int, int], bool]  # top and left of a crop, and whether it is flipped


@dataclass(frozen=True)
class View:
    """What of each image of a test is shown to the network.

    crops: 1, the centre crop, or 10: the four corners and the centre, and the same mirrored, in the
    order of Caffe's ``caffe.io.oversample``. boxes: None, or for each record the part of the stored
    image (x1, y1, x2, y2, pixels, half-open) that is cut out and resized to the stored size first,
    as a rewriting with A* = ROI does. Raises MaapError for another number of crops.
    """

    crops: int = 1
    boxes: Optional[Sequence[Box]] = None

    def __post_init__(self) -> None:
        if self.crops not in CROPS:
            raise MaapError(f"{self.crops} crops of an image: use 1 (centre) or 10 (oversample)")

    def places(self, size: Size, crop: Size) -> list[Place]:
        """Where the crops of an image of ``size`` are.

        Raises MaapError for ten crops as large as the image: they would be one.
        """
        bottom, right = size[0] - crop[0], size[1] - crop[1]
        centre = (bottom // 2, right // 2)
        if self.crops == 1:
            return [(centre, False)]
        if bottom == 0 and right == 0:
            raise MaapError(
                f"10 crops of {crop[0]} x {crop[1]} from images of that size are all the same; use "
                "1 crop, or store the images larger (maap data ... --size)"
            )
        five = [(0, 0), (0, right), (bottom, 0), (bottom, right), centre]
        return [(at, flip) for flip in (False, True) for at in five]
