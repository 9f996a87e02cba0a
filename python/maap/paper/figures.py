"""The figures of the paper's tables: top-1 on the test images of CUB-200-2011, in percent.

The networks start from ImageNet weights and see the labels of whole images only. ``FIGURES`` has
them by (table, net, key of the row in `rows`). They are copied from a transcription of the tables;
nobody has compared them with the printed paper again, and the pages say so (``status``).
"""

from dataclasses import dataclass
from typing import Optional

SOURCE = "He and Peng, Multi-attention Guided Activation Propagation in CNNs, PRCV 2018"
MISSING = "not in the paper"
READ, TRANSCRIBED, DOUBTFUL = "read", "transcribed", "not reread"


@dataclass(frozen=True)
class Figure:
    """An accuracy in percent, how sure it is, and where it stands.

    status: "read" (in the paper itself), "transcribed" (from a copy of its tables) or "not reread"
    (from memory or at second hand; the tables mark it).
    """

    percent: float
    status: str
    source: str


_NETS = ("alexnet", "vgg19", "resnet152")
_TABLE_1 = {  # by net: AlexNet, VGGNet (19 layers), ResNet (152)
    "baseline": (59.0, 72.2, 76.0),
    "laap": (59.7, 72.9, 76.4),
    "haap": (62.2, 78.0, 78.1),
    "maap": (63.0, 78.2, 78.7),
}
_TABLE_2 = {  # AlexNet with dropout after a layer
    "none": 59.0,
    "relu1": 57.8,
    "relu2": 58.7,
    "relu3": 58.7,
    "relu4": 57.9,
    "relu5": 58.7,
}
_TABLE_3 = {  # AlexNet; none: no elimination
    "none": 59.0,
    "roi": 62.2,
    "uncorrelated": 58.2,
    "enhance": 52.6,
    "reduce": 59.5,
    "allsoft": 55.3,
    "allsoft_plus_one": 55.3,
}


def _figures() -> dict[tuple[int, str, str], Figure]:
    cells = {(1, net, row): p for row, line in _TABLE_1.items() for net, p in zip(_NETS, line)}
    cells.update({(2, "alexnet", row): percent for row, percent in _TABLE_2.items()})
    cells.update({(3, "alexnet", row): percent for row, percent in _TABLE_3.items()})
    return {
        cell: Figure(percent, TRANSCRIBED, f"{SOURCE}, table {cell[0]}")
        for cell, percent in cells.items()
    }


FIGURES = _figures()


def figure(table: int, net: str, row: str) -> Optional[Figure]:
    """The paper's figure for a cell, or None."""
    return FIGURES.get((table, net, row))


def shown(found: Optional[Figure]) -> str:
    """A figure as a table shows it; a doubtful one has a mark."""
    if found is None:
        return MISSING
    return f"{found.percent:.1f}%" + (f" ({DOUBTFUL})" if found.status == DOUBTFUL else "")
