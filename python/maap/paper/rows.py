"""Which rows the paper's tables have, and the settings that make each.

Tables 1 and 3 end with a control, which the paper does not have: the baseline with a phase 2 on the
original images, trained for as many iterations as the rows with a phase 2 on rewritten images.
"""

from dataclasses import dataclass

from maap.config.fields import FIELDS
from maap.config.values import Settings
from maap.errors import MaapError
from maap.images import a_star

NETS = {1: ("alexnet", "vgg19", "resnet152"), 2: ("alexnet",), 3: ("alexnet",)}
TITLES = {
    1: "the two attentions, alone and together",
    2: "dropout after a layer, against attention",
    3: "the six ways to rewrite an image (A\\*)",
}
BEFORE = "before rewriting (phase 1: LAAP alone)"  # what table 3's rows begin from
_RELUS = ("relu1", "relu2", "relu3", "relu4", "relu5")


@dataclass(frozen=True)
class Row:
    """A row of a table: its label, the settings that make it, its key among the paper's figures."""

    label: str
    settings: Settings
    key: str


CONTROL = Row(
    "control: baseline, phase 2 on the original images",
    dict(variant="baseline", control=True),
    "control",
)


def rows(table: int) -> list[Row]:
    """The rows of table 1, 2 or 3."""
    if table == 1:
        names = dict(baseline="baseline", laap="LAAP", haap="HAAP", maap="MAAP")
        compared = [Row(label, dict(variant=name), name) for name, label in names.items()]
        return [*compared, CONTROL]
    if table == 2:
        if "dropout_after" not in FIELDS:
            raise MaapError("table 2 needs the setting dropout_after, which this version lacks")
        placed = [
            Row(f"dropout after {name}", dict(variant="baseline", dropout_after=name), name)
            for name in _RELUS
        ]
        plain = Row("no further dropout", dict(variant="baseline"), "none")
        return [plain, *placed, Row("attention after relu1 (LAAP)", dict(variant="laap"), "laap")]
    rewritten = [
        Row(
            f"{each.caption}: {each.explanation}",
            dict(variant="maap", a_star=each.option),
            each.option,
        )
        for each in a_star.TABLE
    ]
    return [*rewritten, CONTROL]


def key_of(table: int, label: str) -> str:
    """The key of a row's figure in the paper; of a label that is no row's, the label."""
    if label == BEFORE:
        return "none"
    return next((row.key for row in rows(table) if row.label == label), label)


def check_tables(words: tuple[str, ...]) -> list[int]:
    """The table numbers. Raises MaapError for anything but 1, 2 and 3."""
    for word in words:
        if word not in ("1", "2", "3"):
            raise MaapError(f"table {word!r}: the paper has tables 1, 2 and 3")
    if not words:
        raise MaapError("say which table of the paper: maap table 1, 2 or 3")
    return list(dict.fromkeys(int(word) for word in words))
