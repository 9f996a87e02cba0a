"""``maap train``."""

from pathlib import Path
from typing import Any, Optional

import click

from maap.cli.options import DEBUG, GroupedCommand, settings_options
from maap.config.check import check_settings, read_yaml
from maap.config.fields import TrainConfig
from maap.config.values import Settings
from maap.errors import MaapError
from maap.nets.folder import find_net
from maap.runs.evaluation import shown_shares
from maap.runs.run import find_run, run_at, waiting_runs
from maap.training import train as training


@click.command(cls=GroupedCommand)
@click.argument("net", required=False)
@click.option("--net-dir", metavar="DIR", help="A net folder, in place of NET (see maap insert).")
@click.option(
    "--config", "file", metavar="FILE.yaml", help="Read settings from a file; options win over it."
)
@DEBUG
@settings_options()
def train(
    net: Optional[str], net_dir: Optional[str], file: Optional[str], debug: bool, **options: Any
) -> None:
    """Train NET (default: alexnet), evaluate it and write a report.

    \b
    maap train alexnet                                   the demo set, about ten minutes
    maap train squeezenet                                the same from published weights (4.7 MB)
    maap train alexnet --variant baseline --seed 2       the plain net, other random numbers
    maap train alexnet --data photos/ --name birds       photos/train/CLASS/*.jpg
    maap train alexnet --data CUB_200_2011.tgz --weights published --gpu 0
    maap train --net-dir mynet/ --data photos/           a net of your own (see maap insert)
    maap train --resume birds                            continue after Ctrl-C, a crash, a kill

    Built-in names (alexnet, demo ...) win over files and folders of that name; ./demo means the
    folder.

    Everything about a run is in runs/NAME/. Open report.html to see the results; give config.yaml
    to --config to train with the same settings again.

    vgg19 and resnet152 are far larger than alexnet. On the demo set they are trained, by default,
    for only a hundred iterations of four images. This takes about a quarter of an hour on two cores
    and shows that every step works, but the nets learn next to nothing. To train them well, start
    from --weights published.
    """
    given = read_yaml(Path(file)) if file else {}
    given.update(check_settings(options))
    if net_dir is not None:
        if net is not None:
            raise MaapError(f"both NET ({net}) and --net-dir ({net_dir}); give one of them")
        given["net"] = net_dir
    _net_or_run(net, given)
    result = training.train(TrainConfig(**given), given, debug)
    shares = shown_shares(result.top1, result.top5, len(result.evaluation.data.classes))
    click.echo(f"{shares} on the test images")
    click.echo(f"report: {result.report}")


def _net_or_run(word: Optional[str], given: Settings) -> None:
    """`maap train WORD --resume` names a run, or its folder, when there is one, else a net."""
    runs_dir = Path(given.get("runs_dir", "runs"))
    if given.get("resume") and "name" not in given:
        run = run_at(runs_dir, word) if word is not None else None
        if run is not None:
            given.update(name=run.name, runs_dir=str(run.folder.parent))
            return
        if word is None and "net" not in given:
            waiting = waiting_runs(runs_dir)
            if not waiting:
                raise MaapError(f"no unfinished run in {runs_dir}; start one: maap train alexnet")
            given["name"] = waiting[0].name
        elif word is not None and not _is_net(word):
            find_run(runs_dir, word)  # says which runs there are
    if word is not None:
        given["net"] = word


def _is_net(word: str) -> bool:
    try:
        find_net(word)
    except MaapError:
        return False
    return True
