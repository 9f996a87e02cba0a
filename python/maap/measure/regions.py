"""How well the regions that a network finds sit on the images' true boxes, and what they are worth
to the classifier."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from maap.attention.region_net import NotFinite, RegionNet
from maap.data.store import Split
from maap.data.views import View
from maap.errors import MaapError
from maap.images import boxes as geometry
from maap.measure.classify import Classifier, accuracy, class_scores
from maap.measure.samples import Samples
from maap.rewrite.rewrite import Pool, batches_of, default_workers
from maap.rewrite.worker import Job
from maap.util.progress import track

if TYPE_CHECKING:
    from maap.data.feeder import Transform

FIGURES = ("mean_iou", "centre_hit", "area_kept")


def region_quality(
    net: Path,
    weights: Path,
    split: Split,
    transform: "Transform",
    batch: int,
    *,
    gpu: Optional[int] = None,
    samples: Optional[Samples] = None,
    title: str = "finding regions",
) -> dict[str, Any]:
    """How well the regions of a resolved rewrite net sit on the images' true boxes.

    The whole stored image is resized to the net's input, as in rewriting, and R carried back.
    Returns n (images with a true box), images, fallbacks, and mean_iou, centre_hit, area_kept (see
    `regions.quality`); the three again under "true_box", "whole" and "centred_half": the best there
    can be, the whole image, and a centred box of half its area. With n = 0 the figures are None.
    "found" is the region of every record in stored pixels. `samples` takes what it wants of every
    image. Raises MaapError naming the image whose map holds a NaN.
    """
    finder = RegionNet(net, weights, batch, gpu)
    job = Job.of(split, finder.size, transform, batch)
    batches = batches_of(0, len(split), batch)
    found: list[Any] = []
    fallbacks = 0
    loading = Pool(job, batches, min(default_workers(), len(batches)))
    with track(title, total=len(split)) as progress, loading as pool:
        for number, indices in enumerate(batches):
            result = _find(finder, pool.loaded(number).images, split, indices)
            for n, index in enumerate(indices):
                box = geometry.scale_box(result.regions[n], finder.size, split.size)
                found.append(box)
                fallbacks += bool(result.stats[n, 4])
                if samples is not None:
                    samples.offer(index, box, result.attention[n])
            progress.advance(len(indices))
    about = {"images": len(split), "fallbacks": fallbacks}
    return {**about, **_beside_references(found, split), "found": found}


def _find(finder: Any, images: np.ndarray, split: Split, indices: list[int]) -> Any:
    try:
        return finder.find(images)
    except NotFinite as error:
        record = split.records[indices[min(error.index, len(indices) - 1)]]
        raise MaapError(
            f"the attention map of image {record.key} is not finite ({error}); use weights of an "
            "earlier snapshot"
        ) from None


def _beside_references(found: list[Any], split: Split) -> dict[str, Any]:
    """The figures of the regions and of the references, over the images with a true box."""
    with_box = [n for n, record in enumerate(split.records) if record.box is not None]
    boxes = [split.records[n].box for n in with_box]
    sizes = [split.size] * len(boxes)

    def figures(candidates: list[Any]) -> dict[str, Any]:
        if not boxes:
            return dict.fromkeys(FIGURES)
        return geometry.quality(candidates, boxes, sizes)

    return {
        "n": len(boxes),
        **figures([found[n] for n in with_box]),
        "true_box": figures(boxes),
        "whole": figures([geometry.whole(split.size)] * len(boxes)),
        "centred_half": figures([geometry.centred_half(split.size)] * len(boxes)),
    }


def cropped_accuracy(
    classifier: Classifier,
    split: Split,
    transform: "Transform",
    whole: np.ndarray,
    found: Optional[list[geometry.Box]],
    *,
    crops: int = 1,
    title: str = "",
) -> Optional[dict[str, Any]]:
    """What a classifier makes of the images cut to their regions, over the images with a true box.

    whole: the scores (N, classes) of the whole images. found: a region per record in stored pixels,
    None where there are none. A cut-out is resized to the stored size and then cropped as any image
    (`View`). Returns n and {"top1", "top5"} under "whole", "true_box" and "region" (None without
    regions), or None when no image has a true box: "true_box" is what perfect regions would give.
    """
    rows = [n for n, record in enumerate(split.records) if record.box is not None]
    if not rows:
        return None
    true = [
        geometry.whole(split.size) if r.box is None else geometry.outward(r.box, split.size)
        for r in split.records
    ]

    def shares(scores: np.ndarray) -> dict[str, float]:
        ranks = np.array([row[4] for row in accuracy(scores, split)["predictions"]])[rows]
        return {"top1": float(np.mean(ranks < 1)), "top5": float(np.mean(ranks < 5))}

    def cut(boxes: list[geometry.Box], what: str) -> dict[str, float]:
        seen = View(crops, boxes)
        named = f"accuracy on {what} {title}".rstrip()
        return shares(class_scores(classifier, split, transform, view=seen, title=named))

    return {
        "n": len(rows),
        "whole": shares(whole),
        "true_box": cut(true, "true boxes"),
        "region": cut(found, "regions") if found is not None else None,
    }
