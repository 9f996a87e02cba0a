"""What ``maap evaluate`` does in its child process."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from maap.errors import MaapError
from maap.host import ranks
from maap.images.region_options import NAMES
from maap.measure import tables
from maap.measure.evaluation import measure_weights
from maap.measure.regions import measure_regions, measure_ways
from maap.measure.result import Measured
from maap.nets.attention_layers import region_options_of
from maap.nets.prototxt import read_net
from maap.runs.evaluation import RegionQuality
from maap.runs.request import Request
from maap.runs.subject import Subject, resolve
from maap.util.files import folder_for


def region_quality(request: Request) -> RegionQuality:
    """How well the regions of a trained net sit on the true boxes of the test images.

    Nothing is trained, and no image classified. The request's weights (``phase=1``: those that a
    run's images are rewritten with) and its options for the region count. Raises MaapError as
    `runs.subject.resolve` and `measure_regions` do, and where no net finds regions.
    """
    with tempfile.TemporaryDirectory() as work:
        subject = resolve(request, Path(work))
        if subject.finder is None:
            raise MaapError(f"{subject.title}: it has no rewrite net, which finds regions")
        how = (subject.dataset.split("test"), subject.transform, subject.batch)
        nets = (subject.finder, subject.weights)
        return measure_regions(*nets, *how, gpu=subject.gpu).quality


def region_qualities(requests: Sequence[Request]) -> list[RegionQuality]:
    """`region_quality` of several requests, in their order, to the same numbers.

    They may differ in how a region is found in a map (threshold_at to border) and in nothing else;
    so the images go through the net once for all. Raises MaapError as `region_quality` does."""
    plain = [dataclasses.replace(each, **dict.fromkeys(NAMES)) for each in requests]
    if any(each != plain[0] for each in plain):
        raise ValueError("the requests differ in more than the region's options")
    with tempfile.TemporaryDirectory() as work:
        subject = resolve(plain[0], Path(work))
        if subject.finder is None:
            raise MaapError(f"{subject.title}: it has no rewrite net, which finds regions")
        own = region_options_of(read_net(subject.finder))
        ways = [own.changed(each) for each in requests]
        how = (subject.dataset.split("test"), subject.transform, subject.batch, ways)
        return measure_ways(subject.finder, subject.weights, *how, gpu=subject.gpu)


def evaluate(
    request: Request, crops: int, predictions: Optional[Path], out: Optional[Path]
) -> list[str]:
    """Accuracy and regions on the test images, as lines to print.

    crops: 1 (the centre) or 10. predictions: a CSV file to write, a row for each image. out: a
    folder for all tables. Raises MaapError as `runs.subject.resolve` and `measure_weights` do,
    and for a file or folder that cannot be written.
    """
    if predictions is not None and predictions.is_dir():
        raise MaapError(f"{predictions}: a folder; --predictions takes the name of a CSV file")
    with contextlib.ExitStack() as opened:
        for folder in (out, predictions.parent if predictions is not None else None):
            if folder is not None and ranks.first():  # now: an evaluation may take an hour
                opened.enter_context(folder_for(folder))
        work = opened.enter_context(tempfile.TemporaryDirectory())
        subject = ranks.first_alone(lambda: resolve(request, Path(work)))
        images = subject.dataset.split("test")
        found = measure_weights(
            subject.deploy,
            subject.finder,
            subject.weights,
            images,
            subject.transform,
            subject.batch,
            crops=crops,
            gpu=subject.gpu,
        )
        return _written(subject, found, predictions, out)


def _written(
    subject: Subject, found: Measured, predictions: Optional[Path], out: Optional[Path]
) -> list[str]:
    """Write the tables; the lines to print. Of several ranks, the first writes."""
    if not ranks.first():
        return []
    images = subject.dataset.split("test")
    lines = [f"{subject.weights} on {len(images)} test images of {subject.dataset.name}"]
    lines += tables.lines(found, images)
    if predictions is not None:
        tables.write_predictions(predictions, found, images)
        lines.append(f"predictions: {predictions}")
    if out is not None:
        lines.append(f"in {out}: {', '.join(tables.write_tables(out, found, images))}")
    return lines
