"""``maap runs`` and ``maap report``."""

from pathlib import Path

import click

from maap.cli.options import DEBUG, RUN, RUNS_DIR
from maap.host.supervise import call
from maap.runs.listing import run_lines
from maap.runs.run import find_run


@click.command()
@RUNS_DIR
def runs(runs_dir: str) -> None:
    """List the runs: how far each is, and what it found."""
    for line in run_lines(Path(runs_dir)):
        click.echo(line)


@click.command()
@RUN(required=True)
@RUNS_DIR
@DEBUG
def report(run: str, runs_dir: str, debug: bool) -> None:
    """Write a run's report.html again.

    RUN is the name of a run, or its folder.
    """
    folder = find_run(Path(runs_dir), run).folder
    click.echo(call("maap.report.page:write_report", folder, debug=debug))
