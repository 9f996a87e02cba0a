"""``maap compare RUN RUN...``: curves of several runs over each other, and what each found."""

from pathlib import Path
from typing import Optional

import click

from maap.cli.options import DEBUG, RUNS_DIR
from maap.errors import MaapError
from maap.host.supervise import call


@click.command()
@click.argument("runs", nargs=-1, metavar="RUN RUN...")
@RUNS_DIR
@click.option(
    "--out", metavar="PAGE.html",
    help="The page; the picture is PAGE.png beside it. [default: RUNS_DIR/compare.html]",
)  # fmt: skip
@DEBUG
def compare(runs: tuple[str, ...], runs_dir: str, out: Optional[str], debug: bool) -> None:
    """Draw the curves of runs in one picture, with a table of what they found.

    \b
    maap compare alexnet-maap-demo alexnet-baseline-demo
    maap compare 'alexnet-maap-*' --out six.html       every run with such a name

    RUN is the name of a run, or its folder.
    """
    page = Path(out or Path(runs_dir) / "compare.html")
    if page.suffix != ".html":
        raise MaapError(f"--out {page}: give a name that ends in .html")
    for line in call("maap.report.compare:compare_runs", runs, Path(runs_dir), page, debug=debug):
        click.echo(line)
