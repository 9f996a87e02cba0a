"""``maap table 1|2|3``: the studies table1, table2 and table3, on one page."""

from typing import Any

import click

from maap.cli.options import GroupedCommand, settings_options
from maap.cli.study import MAKING, Making, make
from maap.errors import MaapError
from maap.study.reading import find_study

# What the table itself sets.
OWN = ("net", "name", "seed", "weights", "variant", "a_star", "dropout_after", "control")
OWN += ("haap_mode", "phase1_from", "resume")
TITLE = "The paper's tables"


@click.command(cls=GroupedCommand)
@click.argument("tables", nargs=-1, metavar="1|2|3...")
@MAKING
@settings_options(omit=OWN)
def table(tables: tuple[str, ...], **options: Any) -> None:
    """Make tables of the paper: run what is missing, continue what is unfinished, write a page.

    \b
    maap table 1                              baseline, LAAP, HAAP, MAAP with each of three nets,
                                              and a control that trains as long
    maap table 2                              AlexNet: dropout after relu1 ... relu5, or attention
    maap table 3 --data demo --seeds 1        AlexNet: the six ways to rewrite an image
    maap table 1 2 3 --nets alexnet --out docs/tables.md
    maap table 3 --plan                       what would run, and how long
    maap table 3 --page-only                  what has run so far

    Rows with the same phase 1 train it once. The runs are ordinary ones, in --runs-dir. Each table
    is a study that comes with maap: maap study table3 makes the same runs.
    """
    numbers = check_tables(tables)
    studies = [find_study(f"table{number}") for number in numbers]
    name = f"table{numbers[0]}" if len(numbers) == 1 else "tables"
    make(studies, (TITLE, ""), name, Making.taken(options), options, OWN)


def check_tables(words: tuple[str, ...]) -> list[int]:
    """The table numbers. Raises MaapError for anything but 1, 2 and 3."""
    for word in words:
        if word not in ("1", "2", "3"):
            raise MaapError(f"table {word!r}: the paper has tables 1, 2 and 3")
    if not words:
        raise MaapError("say which table of the paper: maap table 1, 2 or 3")
    return list(dict.fromkeys(int(word) for word in words))


__all__ = ["table"]
