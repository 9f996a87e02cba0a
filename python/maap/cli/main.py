"""The command line: ``maap VERB ...``. Options are made from TrainConfig's fields (config.py).

Every verb that needs Caffe runs in a child process (supervise.py). What a user can put right is one
line, ``error: ...``, and exit status 1; Ctrl-C ends with 130.
"""

import sys
from pathlib import Path
from typing import Any, Callable, Optional

import click

from maap import __version__
from maap.cli.options import DEBUG, HELP, RUNS_DIR, GroupedCommand, Verbs, settings_options
from maap.config.check import check_settings, read_yaml
from maap.config.fields import A_STARS, TrainConfig
from maap.errors import MaapError

# Verbs whose module is imported when they are asked for: name -> (module:command, short help).
LATER: dict[str, tuple[str, str]] = {
    "data": ("maap.cli.data:data", "Make a data set: the demo, a published one, or from folders."),
    "weights": ("maap.cli.weights:weights", "The published ImageNet weights: fetch, check, use."),
    "visualize": ("maap.cli.visualize:visualize", "Show what a net sees in images."),
    "insert": ("maap.cli.insert:insert", "Put the attention layers into a network of your own."),
    "compare": ("maap.cli.compare:compare", "Lay the curves of several runs over each other."),
    "table": ("maap.cli.table:table", "Make tables of the paper, running what is missing."),
}


@click.group(cls=Verbs, later=LATER, context_settings=HELP, invoke_without_command=True)
@click.version_option(__version__, prog_name="maap")
@click.pass_context
def cli(context: click.Context) -> None:
    """Train image classifiers with multi-attention guided activation propagation (MAAP) on Caffe.

    \b
    maap train alexnet                         train on the built-in demo set, then report
    maap train alexnet --data CUB_200_2011/ --weights bvlc_alexnet.caffemodel
    maap train --resume                        go on with the run that was stopped last
    maap runs                                  what has been trained
    maap train --help                          every setting

    In words: the net is trained; then every training image is rewritten so that what the net
    looks at stands out; then the net is trained on with those. The first line above shows all of
    it in about ten minutes on two cores (three times that with --host bvlc).
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


# ---- train --------------------------------------------------------------------------------------


@cli.command(cls=GroupedCommand)
@click.argument("net", required=False)
@click.option("--net-dir", metavar="DIR", help="A net folder, in place of NET (`maap insert`).")
@click.option("--config", "file", metavar="FILE.yaml", help="Settings from a file; options win.")
@DEBUG
@settings_options()
def train(
    net: Optional[str], net_dir: Optional[str], file: Optional[str], debug: bool, **options: Any
) -> None:
    """Train NET (default: alexnet), evaluate it and write a report.

    \b
    maap train alexnet                                   the demo set, about ten minutes
    maap train alexnet --variant baseline --seed 2       the plain net, other random numbers
    maap train alexnet --data photos/ --name birds       photos/train/CLASS/*.jpg
    maap train alexnet --data CUB_200_2011.tgz --weights bvlc_alexnet.caffemodel --gpu 0
    maap train --net-dir mynet/ --data photos/           a net of your own (see maap insert)
    maap train --resume birds                            go on after Ctrl-C, a crash, a kill

    vgg19 and resnet152 are far larger than alexnet: on the demo set they are trained, by default,
    for a hundred iterations of four images, about ten minutes on two cores, which shows that every
    step works and teaches them next to nothing. Train them from published --weights.

    Everything about a run is in runs/NAME/; report.html is for people, config.yaml can be given to
    --config again.
    """
    from maap.training.train import train as run_training

    given = read_yaml(Path(file)) if file else {}
    given.update(check_settings(options))
    if net_dir is not None:
        if net is not None:
            raise MaapError(f"both NET ({net}) and --net-dir ({net_dir}); give one of them")
        given["net"] = net_dir
    _net_or_run(net, given)
    result = run_training(TrainConfig(**given), given, debug)
    click.echo(f"top-1 {result.top1:.1%}, top-5 {result.top5:.1%} on the test images")
    click.echo(f"report: {result.report}")


def _net_or_run(word: Optional[str], given: dict[str, Any]) -> None:
    """`maap train WORD --resume` names a run when there is one, else a net."""
    from maap.runs.run import Run, all_runs, find_run

    runs_dir = Path(given.get("runs_dir", "runs"))
    if given.get("resume") and "name" not in given:
        if word is not None and Run(runs_dir / word).exists:
            given["name"], word = word, None
        elif word is None and "net" not in given:
            waiting = [run for run in all_runs(runs_dir) if not run.finished()]
            if not waiting:
                raise MaapError(f"no unfinished run in {runs_dir}; start one: maap train alexnet")
            given["name"] = waiting[0].name
        elif word is not None and not _is_net(word):
            find_run(runs_dir, word)  # says which runs there are
    if word is not None:
        given["net"] = word


def _is_net(word: str) -> bool:
    from maap.nets.folder import find_net

    try:
        find_net(word)
    except MaapError:
        return False
    return True


# ---- the steps of a training, one at a time -----------------------------------------------------


def _step(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that `rewrite` and `evaluate` share."""
    choices = click.Choice(["baseline", "laap", "haap", "maap"])
    for option in (
        DEBUG,
        RUNS_DIR,
        click.option("--threads", type=int, help="CPU threads. [default: all cores]"),
        click.option("--gpu", type=int, help="GPU number. [default: the CPU]"),
        click.option("--batch", type=int, help="Images in one forward pass."),
        click.option(
            "--input-scale", type=float, help="Factor on the pixels the net was trained with."
        ),
        click.option("--variant", type=choices, default="maap", show_default=True),
        click.option("--data", metavar="DATA", help="Images, as for train. [default: demo]"),
        click.option("--weights", metavar="FILE", help="A .caffemodel, or: published."),
        click.option(
            "--net",
            "--net-dir",
            "net",
            default="alexnet",
            show_default=True,
            metavar="NET",
            help="A net by its name, or a net folder.",
        ),
        click.argument("run", required=False),
    ):
        function = option(function)
    return function


@cli.command()
@_step
@click.option("--out", required=True, metavar="DIR", help="The new data set.")
@click.option("--a-star", type=click.Choice(A_STARS), help="How attention changes an image.")
def rewrite(run: Optional[str], threads: Optional[int], debug: bool, **options: Any) -> None:
    """Write the images as a trained net attends to them.

    \b
    maap rewrite RUN --out DIR                     with the newest weights of a run
    maap rewrite --weights FILE --data DATA --out DIR
    """
    from maap.host.supervise import call

    made = call("maap.training.verbs:rewrite", run, options, threads=threads, debug=debug)
    click.echo(
        f"{made['count']} images in {options['out']}, {made['fallbacks']} of them kept whole"
    )


@cli.command()
@_step
@click.option(
    "--crops",
    type=click.Choice(["1", "10"]),
    default="1",
    show_default=True,
    help="Centre crop, or the mean over corners, centre and their mirror images.",
)
@click.option("--predictions", metavar="FILE.csv", help="Write a row for each image.")
@click.option("--out", metavar="DIR", help="Write all tables there: CSV and JSON.")
def evaluate(run: Optional[str], threads: Optional[int], debug: bool, **options: Any) -> None:
    """Accuracy on the test images, and how well the regions sit.

    \b
    maap evaluate RUN                              the newest weights of a run
    maap evaluate --weights FILE --data DATA
    maap evaluate RUN --crops 10 --out DIR         confusion matrix, classes, images as CSV
    """
    from maap.host.supervise import call

    for line in call("maap.training.verbs:evaluate", run, options, threads=threads, debug=debug):
        click.echo(line)


@cli.command()
@click.argument("run")
@RUNS_DIR
@DEBUG
def report(run: str, runs_dir: str, debug: bool) -> None:
    """Write a run's report.html again."""
    from maap.host.supervise import call

    click.echo(call("maap.training.verbs:report", run, runs_dir, debug=debug))


@cli.command()
@RUNS_DIR
def runs(runs_dir: str) -> None:
    """List the runs: how far each is, and what it found."""
    from maap.training.verbs import run_lines

    for line in run_lines(Path(runs_dir)):
        click.echo(line)


# ---- the process --------------------------------------------------------------------------------


def main(arguments: Optional[list[str]] = None) -> None:
    """Run the command line and end the process with its exit status."""
    from maap.host.supervise import Stopped

    try:
        cli.main(args=arguments, prog_name="maap", standalone_mode=False)
        status = 0
    except MaapError as error:
        status = _fail(str(error))
    except click.Abort:
        status = 130
    except click.ClickException as error:
        status = _fail(error.format_message() + _usage_hint(error))
    except click.exceptions.Exit as leave:
        status = leave.exit_code
    except Stopped as stopped:
        click.echo(str(stopped), err=True)
        status = 128 + stopped.signal_number
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 1
    sys.exit(status)


def _fail(text: str) -> int:
    click.echo(f"error: {text}", err=True)
    return 1


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f" (see {context.command_path} --help)" if context is not None else ""


__all__ = ["cli", "main"]
