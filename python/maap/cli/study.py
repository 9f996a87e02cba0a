"""``maap study FILE.yaml|NAME``: run what a study needs, and write its page.

The runs are ordinary ones (`maap runs`, `maap report`, `maap train --resume` work on them); which
runs they are, and which of them share phase 1, is decided in study/plan.py. A command that was
killed continues with what is missing when it is started again, and ends with the same bytes.
"""

import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import click

from maap.cli.options import DEBUG, GroupedCommand, settings_options, together
from maap.config.check import check_settings, read_yaml
from maap.config.values import Settings
from maap.errors import MaapError
from maap.study.cells import Head, Request
from maap.study.definition import PER_RUN, Changes, Study, all_nets, changed
from maap.study.reading import find_study
from maap.study.runner import StudyRuns
from maap.util.files import folder_for
from maap.util.text import nearest

# What `maap study` and `maap table` both take, beside the settings.
MAKING = together(
    click.option(
        "--seeds", metavar="N,N", help="One run of every row for each. [default: the study's]"
    ),
    click.option("--nets", metavar="NET,NET", help="Nets. [default: the study's]"),
    click.option(
        "--weights", multiple=True, metavar="[NET=]FILE|published",
        help="Start from this .caffemodel, with several nets once for each as NET=FILE; or from "
        "published: each net's own.",
    ),
    click.option("--plan", is_flag=True, help="Say what would run and how long; run nothing."),
    click.option(
        "--page-only", is_flag=True,
        help="Run nothing; write the page of the runs that are finished. The others are "
        "\"not run\".",
    ),
    click.option(
        "--out", metavar="PAGE.md",
        help="The page; CSV files and plots go to the folder PAGE. [default: RUNS_DIR/NAME.md]",
    ),
    click.option(
        "--config", "file", metavar="FILE.yaml", help="Settings from a file; options win."
    ),
    DEBUG,
)  # fmt: skip


@dataclass(frozen=True)
class Making:
    """The values of the options `MAKING`."""

    seeds: Optional[str]
    nets: Optional[str]
    weights: tuple[str, ...]
    plan: bool
    page_only: bool
    out: Optional[str]
    file: Optional[str]
    debug: bool

    @classmethod
    def taken(cls, options: dict[str, Any]) -> "Making":
        """Takes its values out of a command's options; settings remain."""
        return cls(**{name: options.pop(name) for name in cls.__annotations__})


@click.command(cls=GroupedCommand)
@click.argument("study", metavar="NAME|FILE.yaml")
@MAKING
@settings_options(omit=PER_RUN)
def study(study: str, **options: Any) -> None:
    """Run what a study needs and write its page: results, differences, and how sure they are.

    \b
    maap study controls                       does the method help, beside fair controls?
    maap study alexnet                        the same for AlexNet from random weights
    maap study regions                        what moves the region?
    maap study methods                        other ways to use the region, beside their papers
    maap study table1 --data CUB_200_2011/ --weights published --gpu 0 --plan
    maap study my.yaml --seeds 1,2,3          a study of your own (docs/studies.md)
    maap study controls --page-only           what has run so far

    Rows with the same phase 1 train it once, and equal runs are one. The runs are ordinary ones,
    in --runs-dir; a study that was stopped continues when it is started again.
    """
    found = find_study(study)
    make([found], (found.title, found.about), found.name, Making.taken(options), options)


def make(
    studies: Sequence[Study],
    head: tuple[str, str],
    name: str,
    making: Making,
    options: dict[str, Any],
    own: Collection[str] = PER_RUN,
) -> None:
    """Plan, run or show some studies on one page.

    head: its title and text. name: of the page, where --out names none. options: settings. own:
    settings that a file may not have.
    """
    given = _settings(making.file, options, own)
    nets = _names(making.nets)
    seeds = None if making.seeds is None else _seeds(making.seeds)
    weights = _weights(making.weights, nets or all_nets(studies))
    parts = changed(studies, Changes(given, nets, seeds, weights))
    runs_dir = str(parts[0].settings.get("runs_dir", "runs"))
    page = Path(making.out) if making.out else Path(runs_dir) / f"{name}.md"
    if page.suffix != ".md":
        raise MaapError(f"--out {page}: give a name that ends in .md, such as docs/tables.md")
    threads = parts[0].settings.get("threads")
    request, work = Request(parts), StudyRuns(threads, making.debug, _command())
    if making.plan:
        for line in work.call("maap.study.command:plan_now", request):
            click.echo(line)
        return
    if page.is_dir():
        raise MaapError(f"--out {page}: a folder; give the name of a page")
    with folder_for(page.with_suffix("")):  # now: the runs may take days
        planned = work.planned(request) if making.page_only else work.run_all(request)
        top = Head(*head, work.command)
        for line in work.call("maap.study.command:write_now", page, planned, top):
            click.echo(line)
    click.echo(f"page: {page}")


def _settings(file: Optional[str], options: dict[str, Any], own: Collection[str]) -> Settings:
    given = read_yaml(Path(file)) if file else {}
    taken = sorted(set(given) & set(own))
    if taken:
        raise MaapError(f"{file}: {taken[0]} is for the table to set; leave it out")
    given.update(check_settings(options))
    return given


def _command() -> str:
    """The command line that was typed, as a person would type it again to run what is missing."""
    return shlex.join(["maap", *(word for word in sys.argv[1:] if word != "--page-only")])


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


def _weights(words: tuple[str, ...], known: Sequence[str]) -> dict[str, str]:
    """{net: file} from FILE (for the only net), "published" (each net's own) and NET=FILE."""
    found: dict[str, str] = {}
    for word in words:
        net, sign, name = word.partition("=")
        if not sign and (word == "published" or len(known) == 1):
            found.update(dict.fromkeys(known, word))
        elif not sign:
            raise MaapError(f"--weights {word}: say for which net, such as {known[0]}={word}")
        elif net not in known:
            raise MaapError(f"--weights {word}: no net {net} in the tables; {nearest(net, known)}")
        else:
            found[net] = name
    return found


__all__ = ["MAKING", "Making", "make", "study"]
