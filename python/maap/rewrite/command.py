"""What ``maap rewrite`` does in its child process."""

import contextlib
import tempfile
from pathlib import Path

from maap.errors import MaapError
from maap.host import ranks
from maap.rewrite.regions import Regions
from maap.rewrite.rewrite import rewrite
from maap.runs.request import Request
from maap.runs.subject import resolve
from maap.util.files import folder_for


def rewrite_images(request: Request, out: Path) -> str:
    """Write the training images as the net attends to them into the data set ``out``; a line to
    print.

    Raises MaapError as `runs.subject.resolve` and `rewrite.rewrite` do, and for a run that
    rewrites nothing or rewrites with another A*.
    """
    with tempfile.TemporaryDirectory() as work:
        subject = ranks.first_alone(lambda: resolve(request, Path(work)))
        if subject.rewrite is None:
            raise MaapError(f"{subject.title}: it has no rewrite net (variant baseline or laap)")
        if request.a_star not in (None, subject.a_star):
            raise MaapError(
                f"run {request.run} was started with --a-star {subject.a_star}; leave --a-star out"
            )
        with folder_for(out.parent) if ranks.first() else contextlib.nullcontext():
            made = rewrite(
                subject.dataset.split("train"),
                out,
                subject.rewrite,
                subject.weights,
                subject.a_star,
                subject.transform,
                subject.batch,
                regions=Regions(subject.regions, subject.seed),
                gpu=subject.gpu,
            )
    return f"{made.count} images in {out}, {made.fallbacks} of them kept whole"
