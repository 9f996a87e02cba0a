"""How well the regions that a network finds sit on the images' true boxes, and how accurate a
classifier is on images cut to them."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Union

import numpy as np

from maap.attention.class_net import ClassNet, open_finder
from maap.attention.region_net import Found, NotFinite, RegionNet
from maap.data.feeder import Transform
from maap.data.store import Split
from maap.data.views import View
from maap.errors import MaapError
from maap.host import ranks
from maap.images import boxes as geometry
from maap.images.region_options import RegionOptions
from maap.measure.classify import Classifier, class_scores, rate_scores
from maap.measure.samples import Samples
from maap.nets.prototxt import read_net, write_text
from maap.nets.resolve import with_other_regions
from maap.rewrite.rewrite import Pool, batches_of, default_workers
from maap.rewrite.worker import Job
from maap.runs.evaluation import (
    CroppedAccuracy,
    RegionFigures,
    RegionQuality,
    Shares,
    SizeQuality,
)
from maap.util.progress import track


@dataclass(frozen=True)
class FoundRegions:
    """The region of every record of a split, in stored pixels, and how well they sit."""

    quality: RegionQuality
    boxes: list[geometry.Box]


def measure_regions(
    net: Path,
    weights: Path,
    split: Split,
    transform: Transform,
    batch: int,
    *,
    gpu: Optional[int] = None,
    samples: Optional[Samples] = None,
    title: str = "finding regions",
) -> FoundRegions:
    """How well the regions of a resolved rewrite net sit on the images' true boxes.

    The whole stored image is resized to the net's input, as in rewriting, and R carried back.
    The result has the figures (`boxes.quality`) of the regions, of the true box (the best there
    can be), the whole image, and a centred box of half its area, and those of small, medium and
    large objects (`boxes.SIZES`). Without true boxes they are None.
    Every image is offered to `samples`. Several ranks share the batches out; each returns all.
    Raises MaapError naming the image whose map holds
    a NaN.
    """
    finder = open_finder(net, weights, batch, gpu, attention=samples is not None)
    return _search(finder, split, transform, batch, samples, title)[0]


def measure_ways(
    net: Path,
    weights: Path,
    split: Split,
    transform: Transform,
    batch: int,
    ways: Sequence[RegionOptions],
    *,
    gpu: Optional[int] = None,
    title: str = "finding regions",
) -> list[RegionQuality]:
    """As `measure_regions`, for several ways to find regions in the maps of one net: the figures of
    each, in their order. The images go through the net once.

    Raises MaapError as it does, and for options that cannot be."""
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / net.name
        write_text(with_other_regions(read_net(net), ways), path)
        finder = open_finder(path, weights, batch, gpu, attention=False)
        found = _search(finder, split, transform, batch, None, title)
    return [each.quality for each in found[1:]]


def _search(
    finder: Union[RegionNet, ClassNet],
    split: Split,
    transform: Transform,
    batch: int,
    samples: Optional[Samples],
    title: str,
) -> list[FoundRegions]:
    """The regions of all images by every Elimination layer of a net; the first one's are offered to
    ``samples``."""
    job = Job.of(split, finder.size, transform, batch)
    batches = batches_of(0, len(split), batch)
    mine = [batches[n] for n in ranks.of_this_rank(len(batches))]
    parts: list[_Part] = []
    loading = Pool(job, mine, min(default_workers(), len(mine)))
    with track(title, total=len(split)) as progress, loading as pool:
        for number, indices in enumerate(mine):
            results = _find(finder, pool.loaded(number).images, split, indices)
            parts.append(_part(indices, results, finder.size, split, samples is not None))
            progress.advance(min(len(indices) * ranks.here().size, len(split) - progress.done))
    parts = ranks.in_turn(ranks.gathered(parts))
    for part in parts if samples is not None else ():
        for index, box, small in zip(part.indices, part.boxes[0], part.maps):
            samples.keep(index, box, small)
    return [
        _found([p.boxes[way] for p in parts], sum(p.fallbacks[way] for p in parts), split)
        for way in range(len(parts[0].boxes))
    ]


class _Part(NamedTuple):
    """What was found in a batch, by each Elimination layer of a net: the region of each record in
    stored pixels, and how many maps were flat; and the first one's maps as `Samples.small` keeps
    them (none where nobody wants them)."""

    indices: list[int]
    boxes: list[list[geometry.Box]]
    fallbacks: list[int]
    maps: list[np.ndarray]


def _part(
    indices: list[int], results: list[Found], size: geometry.Size, split: Split, maps: bool
) -> _Part:
    count = len(indices)  # the last batch is padded
    boxes = [
        [geometry.scale_box(box, size, split.size) for box in result.regions[:count]]
        for result in results
    ]
    flat = [int(np.count_nonzero(result.stats[:count, 4])) for result in results]
    kept = [Samples.small(a) for a in results[0].attention[:count]] if maps else []
    return _Part(indices, boxes, flat, kept)


def _found(parts: list[list[geometry.Box]], fallbacks: int, split: Split) -> FoundRegions:
    boxes = [box for part in parts for box in part]
    return FoundRegions(_beside_references(boxes, fallbacks, split), boxes)


def _find(
    finder: Union[RegionNet, ClassNet], images: np.ndarray, split: Split, indices: list[int]
) -> list[Found]:
    try:
        return finder.find_each(images)
    except NotFinite as error:
        record = split.records[indices[min(error.index, len(indices) - 1)]]
        raise MaapError(
            f"the attention map of image {record.key} is not finite ({error}); use weights of an "
            "earlier snapshot"
        ) from None


def _beside_references(
    found: Sequence[geometry.Box], fallbacks: int, split: Split
) -> RegionQuality:
    """The figures of the regions and of the references, over the images with a true box."""
    with_box = [n for n, record in enumerate(split.records) if record.box is not None]
    whole = geometry.whole(split.size)
    half = geometry.centred_half(split.size)

    def figures(numbers: Sequence[int], box_of: Callable[[int], Sequence[float]]) -> RegionFigures:
        """Of the records ``numbers``, each with a true box, for a box of each."""
        if not numbers:
            return RegionFigures(None, None, None)
        true = [_true_box(split, n) for n in numbers]
        sizes = [split.size] * len(true)
        return RegionFigures(**geometry.quality([box_of(n) for n in numbers], true, sizes))

    def references(numbers: Sequence[int]) -> dict[str, RegionFigures]:
        return dict(
            whole=figures(numbers, lambda _: whole), centred_half=figures(numbers, lambda _: half)
        )

    shares = {n: geometry.share(_true_box(split, n), split.size) for n in with_box}
    by_size = []
    for start, end in geometry.size_ranges():
        some = [n for n in with_box if start <= shares[n] < end]
        ours = vars(figures(some, found.__getitem__))
        by_size.append(SizeQuality(start, min(end, 1.0), len(some), **ours, **references(some)))
    return RegionQuality(
        images=len(split),
        fallbacks=fallbacks,
        n=len(with_box),
        **vars(figures(with_box, found.__getitem__)),
        true_box=figures(with_box, lambda n: _true_box(split, n)),
        **references(with_box),
        by_size=by_size if with_box else None,
    )


def _true_box(split: Split, number: int) -> tuple[float, float, float, float]:
    box = split.records[number].box
    assert box is not None
    return box


def cropped_accuracy(
    classifier: Classifier,
    split: Split,
    transform: Transform,
    whole: np.ndarray,
    found: Optional[Sequence[geometry.Box]],
    *,
    crops: int = 1,
    title: str = "",
) -> Optional[CroppedAccuracy]:
    """Accuracy of a classifier on the images cut to their regions, over the images with a true box.

    whole: the scores (N, classes) of the whole images. found: a region per record in stored pixels,
    None where there are none. A cut-out is resized to the stored size and then cropped as any image
    (`View`). None when no image has a true box; "true_box" is what perfect regions would give.
    """
    rows = [n for n, record in enumerate(split.records) if record.box is not None]
    if not rows:
        return None
    true = [
        geometry.whole(split.size) if r.box is None else geometry.outward(r.box, split.size)
        for r in split.records
    ]

    def shares(scores: np.ndarray) -> Shares:
        predictions = rate_scores(scores, split).predictions
        ranks = np.array([prediction.rank for prediction in predictions])[rows]
        return Shares(top1=float(np.mean(ranks < 1)), top5=float(np.mean(ranks < 5)))

    def cut(boxes: Sequence[geometry.Box], what: str) -> Shares:
        seen = View(crops, list(boxes))
        named = f"accuracy on {what} {title}".rstrip()
        return shares(class_scores(classifier, split, transform, view=seen, title=named))

    return CroppedAccuracy(
        n=len(rows),
        whole=shares(whole),
        true_box=cut(true, "true boxes"),
        region=cut(found, "regions") if found is not None else None,
    )
