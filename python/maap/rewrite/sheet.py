"""The contact sheet of a rewriting: what some images were and what they became."""

from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np

from maap.data.store import Split
from maap.images import draw, pixels
from maap.images.render import Mean
from maap.rewrite.output import Finding

PAIRS = 24  # image pairs on a sheet


def write_sheet(
    source: Split,
    findings: Sequence[Finding],
    read: Callable[[int], np.ndarray],
    path: Path,
    mean: Mean = None,
    title: str = "",
) -> None:
    """A contact sheet of a rewriting: source images with region (amber) and true box (green), each
    beside its D*.

    `findings` has a row for each record, read(index) is a rewritten image; the pictures are spread
    evenly over the records. `path` is the JPEG to write, with `title` over the pictures.
    """
    count = len(findings)
    chosen = np.unique(np.linspace(0, count - 1, min(count, PAIRS)).round().astype(int))
    pairs = []
    for index in map(int, chosen):
        image = draw.to_grey_levels(source.read(index)[0], mean)
        image = draw.draw_box(image, source.records[index].box, draw.BOX_COLOUR)
        image = draw.draw_box(image, findings[index].box, draw.REGION_COLOUR)
        after = draw.to_grey_levels(read(index), mean)
        pairs.append(draw.side_by_side([draw.shrink(image, 160), draw.shrink(after, 160)], 2))
    sheet = draw.contact_sheet(pairs, columns=4)
    path.write_bytes(pixels.to_jpeg(draw.titled(sheet, title) if title else sheet))
