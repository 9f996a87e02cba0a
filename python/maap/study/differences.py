"""Is a difference between two rows one? Paired over the seeds, with its 95 % interval.

Both rows of a seed share the order of the images and, where they can, phase 1, so that their
difference varies less than either. The interval is about the training's randomness: the test
images are the same for all seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from maap.study.definition import net_name
from maap.study.results import Column, Table
from maap.util.statistics import Interval, paired


@dataclass(frozen=True)
class Difference:
    """A row less another one, in a column and with a net: the differences by seed, their mean and
    interval, in the numbers' own unit."""

    row: str
    against: str
    net: str
    column: Column
    by_seed: dict[int, float]
    interval: Interval

    @property
    def clause(self) -> str:
        """What it says, to follow the row's label and "is"."""
        mean, low, high = self.interval.mean, self.interval.low, self.interval.high
        how = f'"{self.against}"'
        if low is None or high is None:
            more = "lower" if mean < 0 else "higher"
            return f"{self._amount(abs(mean))} {more} than {how} with the one seed"
        if not self.interval.excludes_zero:
            return f"not shown to differ from {how} ({self._at_most(low, high)})"
        if mean < 0:
            mean, low, high = -mean, -high, -low
        more = "higher" if self.interval.mean > 0 else "lower"
        ends = f"{self._number(low)} to {self._number(high)}"
        return f"{more} than {how} by {self._amount(mean)} (95 % interval {ends})"

    @property
    def outcome(self) -> str:
        """higher, lower, none (0 lies in the interval) or, with one seed, unknown."""
        if self.interval.low is None:
            return "unknown"
        if not self.interval.excludes_zero:
            return "none"
        return "higher" if self.interval.mean > 0 else "lower"

    def signed(self, value: float) -> str:
        """A difference as a table shows it: +3.2."""
        return f"{self.column.factor * value:+.{1 if self.column.percent else 3}f}"

    def _number(self, value: float) -> str:
        return self.column.number(value)

    def _amount(self, value: float) -> str:
        return self._number(value) + (" points" if self.column.percent else "")

    def _at_most(self, low: float, high: float) -> str:
        """Of an interval that holds 0."""
        ends = (self._number(abs(low)), self._amount(high))
        return f"95 % interval: at most {ends[0]} lower to at most {ends[1]} higher"


def differences(table: Table) -> list[Difference]:
    """Every row less those that it is compared with, by column and net, over the seeds that both
    have. An interval ends where a difference of two shares, or of two IoU, must: at -1 and 1."""
    found = []
    for column in (column for column in table.columns if column.compared):
        for net in table.part.nets:
            for row in table.part.rows:
                ours = table.values(row, net, column.key)
                for label in row.against:
                    theirs = table.values(table.part.row(label), net, column.key)
                    seeds = [seed for seed in table.part.seeds if seed in ours and seed in theirs]
                    by_seed = {seed: ours[seed] - theirs[seed] for seed in seeds}
                    if by_seed:
                        interval = paired(list(by_seed.values())).within(1.0)
                        found.append(Difference(row.label, label, net, column, by_seed, interval))
    return found


# ---- in words -----------------------------------------------------------------------------------


def sentences(found: Sequence[Difference], name_nets: bool = False) -> list[str]:
    """One sentence for each row, net and column: what it differs from, and what not.

    A row that is shown to differ from some of its controls and not from others is said to depend
    on the control.
    """
    groups: dict[tuple[str, str, str], list[Difference]] = {}
    for each in found:
        groups.setdefault((each.column.key, each.net, each.row), []).append(each)
    return [_sentence(group, name_nets) for group in groups.values()]


def _sentence(group: Sequence[Difference], name_nets: bool) -> str:
    first = group[0]
    who = f'"{first.row}"' + (f" with {net_name(first.net)}" if name_nets else "")
    outcomes = {each.outcome for each in group} - {"unknown"}
    clauses = [each.clause for each in group]
    said = clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])}, and {clauses[-1]}"
    if len(outcomes) > 1:
        return f"What {who} gives depends on what it is compared with: it is {said}."
    return f"{who} is {said}."


def findings(
    tables: Sequence[Table], known: Optional[Sequence[Sequence[Difference]]] = None
) -> list[str]:
    """The beginning of a page: for each part a list with a sentence for each row that is compared,
    in the part's first column; empty where nothing is compared. ``known``: the tables' differences,
    where they were computed already."""
    paragraphs = []
    for table, found in zip(tables, known or map(differences, tables)):
        main = [each for each in found if each.column == table.columns[0]]
        if main:
            title = f"**{table.part.title}.** " if len(tables) > 1 else ""
            paragraphs.append(title + _said_of(main, len(table.part.nets) > 1))
    return paragraphs


def _said_of(found: Sequence[Difference], name_nets: bool) -> str:
    """What the differences in one column show: a lead and a list of sentences."""
    if all(each.interval.low is None for each in found):
        return "One seed gives no interval, so no difference between rows is shown to be one."
    of = _measured(found[0].column)
    items = [f"- {sentence}" for sentence in sentences(found, name_nets)]
    return "\n".join([f"{of[0].upper()}{of[1:]}:", "", *items])


def _measured(column: Column) -> str:
    texts = {
        "top1": "top-1 on whole test images",
        "cut": "top-1 on test images cut to the region found",
        "iou": "mean IoU with the true boxes",
    }
    return texts.get(column.key, column.title)


def by_column(found: Sequence[Difference], name_nets: bool = False) -> list[str]:
    """What the differences of all columns but the first show, as `findings` says it."""
    keys = list(dict.fromkeys(each.column.key for each in found))
    groups = [[each for each in found if each.column.key == key] for key in keys[1:]]
    sure = [group for group in groups if any(each.interval.low is not None for each in group)]
    return [_said_of(group, name_nets) for group in sure]


def note(found: Sequence[Difference]) -> str:
    """How the intervals are made, and what they cannot say; empty without any."""
    sure = [each for each in found if each.interval.low is not None]
    if not sure:
        return ""
    seeds = sorted({each.interval.n for each in sure})
    over = f"{seeds[0]} seeds" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    text = (
        f"Differences are paired by the seed, over {over}; their 95 % intervals are Student's. "
        "They are about the training's randomness, on these test images. "
    )
    if len(sure) > 1:
        text += (
            f"Of {len(sure)} such intervals, {0.05 * len(sure):.2g} on average would not hold 0 by "
            "chance alone, even if no row differed."
        )
    return text.strip()
