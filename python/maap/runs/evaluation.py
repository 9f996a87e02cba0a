"""What an evaluation found: the content of a run's ``evaluation.json``.

    {"format": 1,
     "data": {"name", "kind", "note", "classes": [names], "size": [height, width],
              "train": images, "test": images},
     "chance": 1 / number of classes,
     "phases": [{"phase": "phase1", "title": "after phase 1", "iterations": n, "seconds": s,
                 "crops": 1 (the centre) or 10, "count": images, "top1": share, "top5": share,
                 "per_class": [{"class", "count", "top1"}, ...],
                 "confusion": [[images of class i taken for class j]],
                 "cropped": null without true boxes, else accuracy on the same images when cut:
                            {"n": images with a true box,
                             "whole": {"top1", "top5"} of the images as they are,
                             "true_box": ... cut to the true box,
                             "region": ... cut to the region found, null where the net folder has no
                                       net that finds regions}
                }, ...],      as trained
     "regions": [{"phase": whose weights found them, "title",
                  "images": all of them, "fallbacks": regions that are the whole image because
                  the map was flat, "n": images with a true box,
                  "mean_iou", "centre_hit", "area_kept": of the regions found,
                  "true_box": {the same three for the true box},
                  "whole": {... for the whole image},
                  "centred_half": {... for a centred box of half the area},
                  "by_size": [{"from": least share of the image that the true box covers,
                               "to": the share that it stays below, "n": such images,
                               the same three figures for them, "whole", "centred_half"}, ...]},
                 ...],
                 empty where no regions are found; of a run that rewrites images, the first made the
                 first rewritten images
     "rewrites": [{"phase": "rewrite1", "a_star", "count", "fallbacks", "seconds"}, ...],
     "haap": "rewrite" or "online" (the Elimination layer in phase 2's net); null without HAAP,
     "seconds": {"data": s, "phase1": s, "rewrite1": s, ..., "total": s}}

Shares are 0 to 1. "crops", "cropped", "true_box", "by_size" and "haap" are missing in files of
older versions, which found regions only for runs that rewrite images. "by_size" is missing without
true boxes, too.
`maap.measure.evaluation` makes it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional

from maap.errors import MaapError
from maap.util.files import write_atomically
from maap.util.json_record import Damaged, JsonRecord, left_out, missing, named

FORMAT = 1
EVALUATION = "evaluation.json"
MEASURE_AGAIN = "remove evaluation.json and resume the run (maap train --resume)"  # what to do


# ---- accuracy -----------------------------------------------------------------------------------


TOP = 5  # of top-5


def shown_shares(top1: float, top5: float, classes: int) -> str:
    """The shares as text; without top-5 where five guesses name every class, so that it is always
    100%."""
    return f"top-1 {top1:.1%}" + (f", top-5 {top5:.1%}" if classes > TOP else "")


@dataclass(frozen=True)
class ClassAccuracy(JsonRecord):
    """Accuracy on the images of one class; None where there is no image."""

    name: str = named("class")
    count: int
    top1: Optional[float]


@dataclass(frozen=True)
class Shares(JsonRecord):
    """Shares of images (0 to 1) whose class is the first, or among the first five, guesses."""

    top1: float
    top5: float


@dataclass(frozen=True)
class CroppedAccuracy(JsonRecord):
    """Accuracy on the ``n`` images with a true box: as they are, and cut to a box."""

    n: int
    whole: Shares
    true_box: Shares
    region: Optional[Shares]  # None where no regions are found


@dataclass(frozen=True)
class Accuracy(JsonRecord):
    """Accuracy of one set of weights on a split of ``count`` images."""

    crops: int = missing(1)
    count: int
    top1: float
    top5: float
    per_class: list[ClassAccuracy]
    confusion: list[list[int]]  # row: true class; column: predicted class
    cropped: Optional[CroppedAccuracy] = missing(None)


@dataclass(frozen=True)
class PhaseHead(JsonRecord):
    """Whose weights were measured."""

    phase: str
    title: str


@dataclass(frozen=True)
class TrainedPhase(PhaseHead):
    iterations: Optional[int]
    seconds: float


@dataclass(frozen=True)
class PhaseResult(Accuracy, TrainedPhase):
    """Accuracy after a phase; in the file, the fields of `TrainedPhase` come first."""


# ---- regions ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RegionFigures(JsonRecord):
    """How boxes sit on the true ones (maap.images.boxes.quality); None without true boxes."""

    mean_iou: Optional[float]
    centre_hit: Optional[float]
    area_kept: Optional[float]


@dataclass(frozen=True)
class _RegionCounts(JsonRecord):
    images: int
    fallbacks: int  # regions that are the whole image, because the map was flat
    n: int  # images with a true box


@dataclass(frozen=True)
class _SizeRange(JsonRecord):
    start: float = named("from")  # shares of the image; the first is included, the second is not
    end: float = named("to")
    n: int  # images


@dataclass(frozen=True)
class SizeQuality(RegionFigures, _SizeRange):
    """The same figures of the images whose true box is of a size; None where there is no image."""

    whole: RegionFigures
    centred_half: RegionFigures

    @property
    def title(self) -> str:
        """What the true box covers, for people."""
        if self.start <= 0:
            return f"less than {self.end:.0%} of the image"
        if self.end >= 1:
            return f"{self.start:.0%} of the image or more"
        return f"{self.start:.0%} to {self.end:.0%} of the image"


@dataclass(frozen=True)
class RegionQuality(RegionFigures, _RegionCounts):
    """How the regions found sit on the true boxes, beside three references."""

    true_box: Optional[RegionFigures] = left_out()
    whole: RegionFigures = RegionFigures(None, None, None)
    centred_half: RegionFigures = RegionFigures(None, None, None)
    by_size: Optional[list[SizeQuality]] = left_out()


@dataclass(frozen=True)
class PhaseRegions(RegionQuality, PhaseHead):
    """The quality of the regions that a phase's weights find."""


# ---- the file -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rewriting(JsonRecord):
    """One rewriting of the training images."""

    phase: str
    a_star: str
    count: Optional[int]
    fallbacks: Optional[int]
    seconds: Optional[float]


@dataclass(frozen=True)
class DataFacts(JsonRecord):
    """The data set that was measured on; ``train`` and ``test`` count images."""

    name: str
    kind: str
    note: Optional[str]
    classes: list[str]
    size: list[int]
    train: int
    test: int


@dataclass(frozen=True)
class Evaluation(JsonRecord):
    """The content of evaluation.json."""

    format: int
    data: DataFacts
    chance: float
    phases: list[PhaseResult]
    regions: list[PhaseRegions]
    rewrites: list[Rewriting]
    haap: Optional[Literal["rewrite", "online"]] = missing(None)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def has_top5(self) -> bool:
        """Whether top-5 says anything: with up to five classes it is always 100%."""
        return len(self.data.classes) > TOP

    @property
    def last(self) -> PhaseResult:
        """The result of the last phase, which is the run's."""
        return self.phases[-1]


def read_evaluation(folder: Path, advice: str = MEASURE_AGAIN) -> Optional[Evaluation]:
    """The evaluation in a run's folder, None when there is none. Raises MaapError, which names the
    file, when it is damaged; ``advice`` is what to do then."""
    path = folder / EVALUATION
    if not path.is_file():
        return None
    try:
        return _parsed(path)
    except (OSError, ValueError) as error:
        raise MaapError(f"{path} is damaged ({error}); {advice}") from None


def need_evaluation(folder: Path, advice: str) -> Evaluation:
    """The evaluation of a run that is finished. Raises MaapError when it is missing or damaged."""
    path = folder / EVALUATION
    try:
        return _parsed(path)
    except (OSError, ValueError) as error:
        raise MaapError(f"{path}: missing or damaged ({error}); {advice}") from None


def _parsed(path: Path) -> Evaluation:
    found = Evaluation.from_json(json.loads(path.read_text(encoding="utf-8")))
    if found.format != FORMAT:
        raise Damaged(f"format {found.format}")
    if not found.phases:
        raise Damaged("phases is empty")
    if not 0 < found.chance <= 1:
        raise Damaged(f"chance is {found.chance}")
    for phase in found.phases:
        if not (0 <= phase.top1 <= 1 and 0 <= phase.top5 <= 1):
            raise Damaged(f"an accuracy of {phase.phase} is not from 0 to 1")
    return found


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Replace a run's evaluation.json in one step. Raises MaapError when it cannot be written."""
    write_atomically(folder / EVALUATION, json.dumps(evaluation.to_json(), indent=1) + "\n")
