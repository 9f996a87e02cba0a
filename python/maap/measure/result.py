"""What was measured of one set of weights."""

from dataclasses import dataclass
from typing import Optional

from maap.images.boxes import Box
from maap.measure.classify import Prediction
from maap.runs.evaluation import Accuracy, RegionQuality


@dataclass(frozen=True)
class Measured:
    """What was measured of one set of weights on a split."""

    accuracy: Accuracy
    predictions: list[Prediction]  # one per record
    regions: Optional[RegionQuality]  # None without a rewrite net
    found: Optional[list[Box]]  # the region of every record, in stored pixels
