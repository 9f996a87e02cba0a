"""``maap table 1|2|3``: run what a table of the paper needs, and write the table.

The runs are ordinary ones (`maap runs`, `maap report`, `maap train --resume` work on them); which
runs they are, and which of them share phase 1, is decided in paper/plan.py. A command that was
killed continues with what is missing when it is started again, and ends with the same bytes.
"""

import shlex
import sys
from pathlib import Path
from typing import Any, Optional

import click

from maap.cli.options import DEBUG, GroupedCommand, settings_options
from maap.config.check import check_settings, read_yaml
from maap.errors import MaapError
from maap.paper.cells import Request
from maap.paper.rows import NETS, check_tables
from maap.paper.runner import TableRuns
from maap.util.text import nearest

# What the table itself sets.
OWN = ("net", "name", "seed", "weights", "variant", "a_star", "dropout_after", "control")
OWN += ("haap_mode", "phase1_from", "resume")


@click.command(cls=GroupedCommand)
@click.argument("tables", nargs=-1, metavar="1|2|3...")
@click.option("--seeds", default="1,2,3", show_default=True, help="One run of every row for each.")
@click.option("--nets", metavar="NET,NET", help="Nets. [default: the paper's]")
@click.option(
    "--weights", multiple=True, metavar="[NET=]FILE|published",
    help="Start from this .caffemodel, with several nets once for each as NET=FILE; or from "
    "published: each net's own.",
)  # fmt: skip
@click.option("--plan", is_flag=True, help="Say what would run and how long; run nothing.")
@click.option(
    "--page-only", is_flag=True,
    help="Run nothing; write the page of the runs that are finished. The others are \"not run\".",
)  # fmt: skip
@click.option(
    "--out", metavar="PAGE.md",
    help="The page; CSV files and plots go to the folder PAGE. [default: RUNS_DIR/table3.md]",
)  # fmt: skip
@click.option("--config", "file", metavar="FILE.yaml", help="Settings from a file; options win.")
@DEBUG
@settings_options(omit=OWN)
def table(  # noqa: PLR0917  click passes them by name
    tables: tuple[str, ...],
    seeds: str,
    nets: Optional[str],
    weights: tuple[str, ...],
    plan: bool,
    page_only: bool,
    out: Optional[str],
    file: Optional[str],
    debug: bool,
    **options: Any,
) -> None:
    """Make tables of the paper: run what is missing, continue what is unfinished, write a page.

    \b
    maap table 1                              baseline, LAAP, HAAP, MAAP with each of three nets,
                                              and a control that trains as long
    maap table 2                              AlexNet: dropout after relu1 ... relu5, or attention
    maap table 3 --data demo --seeds 1        AlexNet: the six ways to rewrite an image
    maap table 1 2 3 --nets alexnet --out docs/tables.md
    maap table 3 --plan                       what would run, and how long
    maap table 3 --page-only                  what has run so far

    Rows with the same phase 1 train it once. The runs are ordinary ones, in --runs-dir.
    """
    given = read_yaml(Path(file)) if file else {}
    taken = sorted(set(given) & set(OWN))
    if taken:
        raise MaapError(f"{file}: {taken[0]} is for the table to set; leave it out")
    given.update(check_settings(options))
    numbers = check_tables(tables)
    chosen = _names(nets)
    files = _weights(weights, chosen)
    request = Request(numbers, chosen, _seeds(seeds), given, files)
    work = TableRuns(given, debug, _command())
    page = Path(out) if out else Path(str(given.get("runs_dir", "runs"))) / _default_page(numbers)
    if page.suffix != ".md":
        raise MaapError(f"--out {page}: give a name that ends in .md, such as docs/tables.md")
    if plan:
        for line in work.call("maap.paper.tables:plan_now", request):
            click.echo(line)
        return
    planned = work.cells(request) if page_only else work.run_all(request)
    for line in work.call("maap.paper.tables:write_now", page, planned, work.command):
        click.echo(line)
    click.echo(f"page: {page}")


def _default_page(numbers: list[int]) -> str:
    return f"table{numbers[0]}.md" if len(numbers) == 1 else "tables.md"


def _command() -> str:
    """The command line that was typed, as a person would type it again."""
    return shlex.join(["maap", *sys.argv[1:]])


def _names(nets: Optional[str]) -> Optional[list[str]]:
    names = [name.strip() for name in (nets or "").split(",") if name.strip()]
    return list(dict.fromkeys(names)) or None


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(word) for word in text.split(",")]
    except ValueError:
        raise MaapError(f"--seeds {text!r}: give whole numbers, such as 1,2,3") from None
    if any(seed < 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise MaapError(f"--seeds {text!r}: give numbers of at least 0, each once")
    return seeds


def _weights(words: tuple[str, ...], nets: Optional[list[str]]) -> dict[str, str]:
    """{net: file} from FILE (for the only net), "published" (each net's own) and NET=FILE."""
    found: dict[str, str] = {}
    known = nets or list(NETS[1])
    for word in words:
        net, sign, name = word.partition("=")
        if not sign and (word == "published" or len(nets or ()) == 1):
            found.update(dict.fromkeys(known, word))
        elif not sign:
            raise MaapError(f"--weights {word}: say for which net, such as {known[0]}={word}")
        elif net not in known:
            raise MaapError(f"--weights {word}: no net {net} in the tables; {nearest(net, known)}")
        else:
            found[net] = name
    return found


__all__ = ["table"]
