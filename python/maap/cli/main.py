"""The command line ``maap COMMAND ...``: the group of commands, and how the process ends.

Each command stands in a module of its own, which is imported when the command is asked for. What
needs Caffe or NumPy runs in a child process (host/supervise.py). A mistake that a user can correct
is one line, ``error: ...``, and exit status 1; Ctrl-C ends with 130.
"""

import sys
from typing import Optional

import click

from maap import __version__
from maap.cli.group import HELP, Commands
from maap.errors import MaapError, Stopped
from maap.host.launched import launched, stay_silent

# The commands under headings: name -> ("module:command", its short help).
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Train, and look at what was trained": {
        "train": ("maap.cli.train:train", "Train a net, evaluate it and write a report."),
        "runs": ("maap.cli.runs:runs", "List the runs: how far each is, and what it found."),
        "report": ("maap.cli.runs:report", "Write a run's report.html again."),
        "evaluate": (
            "maap.cli.evaluate:evaluate",
            "Measure accuracy on test images, and how well the regions fit.",
        ),
        "visualize": ("maap.cli.visualize:visualize", "Show what a net sees in images."),
        "compare": ("maap.cli.compare:compare", "Draw the curves of several runs in one picture."),
        "export": ("maap.cli.export:export", "Write a trained net as an ONNX file."),
    },
    "Prepare data, weights and nets": {
        "data": (
            "maap.cli.data:data",
            "Make a data set: the demo, a published one, or from folders.",
        ),
        "weights": (
            "maap.cli.weights:weights",
            "Fetch, check and use the published ImageNet weights.",
        ),
        "insert": ("maap.cli.insert:insert", "Put the attention layers into a net of your own."),
        "rewrite": (
            "maap.cli.evaluate:rewrite",
            "Write the training images as a trained net attends to them.",
        ),
    },
    "Compare methods, with how sure it is": {
        "study": ("maap.cli.study:study", "Run a study: rows of settings, over several seeds."),
        "table": ("maap.cli.table:table", "Make a table of the paper, running what is missing."),
        "plan": ("maap.cli.plan:plan", "Say what training would take with more processes or GPUs."),
    },
}


# What several ranks do together; anything else is done by one process.
TOGETHER = ("train", "evaluate", "rewrite")
COMMANDS_OF_ONE = {name for names in COMMANDS.values() for name in names} - set(TOGETHER)


@click.group(cls=Commands, sections=COMMANDS, context_settings=HELP, invoke_without_command=True)
@click.version_option(__version__, prog_name="maap")
@click.pass_context
def cli(context: click.Context) -> None:
    """Train image classifiers with multi-attention guided activation propagation (MAAP) on Caffe.

    MAAP trains a net, finds the region of each training image that the net looks at, rewrites the
    images so that this region stands out, and continues the training on them.

    \b
    maap train alexnet                         train on the built-in demo set and write a report
    maap train alexnet --data CUB_200_2011/ --weights published
    maap train --resume                        continue the run that was stopped last
    maap runs                                  list what has been trained
    maap COMMAND --help                        explain a command and all its options

    The first line takes less than ten minutes on two cores, the set-up included (half an hour
    with --host bvlc).
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Optional[list[str]] = None) -> None:
    """Run the command line and end the process with its exit status."""
    try:
        words = sys.argv[1:] if arguments is None else arguments
        _as_a_rank(words)
        _check_words(words)
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
    except OSError as error:  # the child reports its own; here, a file that a person named
        status = _fail(f"{error.filename or 'a file'}: {error.strerror}; check the path")
    sys.exit(status)


def _as_a_rank(words: list[str]) -> None:
    """Under mpirun or srun: rank 0 speaks for all. Raises MaapError for a command that several
    processes would do several times."""
    place = launched()
    if place is None:
        return
    command = next((word for word in words if not word.startswith("-")), None)
    if not place.first:
        stay_silent()
    if command in COMMANDS_OF_ONE and (place.size or not place.first):
        raise MaapError(
            f"mpirun or srun started {place.count} processes, and maap {command} is the work of "
            f"one: start it alone ({', '.join(TOGETHER)} run in several). For processes that have "
            "nothing to do with each other, set CAFFE_RANKS=off"
        )


def _check_words(words: list[str]) -> None:
    """Raises MaapError for an empty word: most often a shell's variable that is not set."""
    for before, word in zip(["maap", *words], words):
        option, sign, value = word.partition("=")
        if word == "" or (word.startswith("--") and sign and value == ""):
            after = before if word == "" else option
            raise MaapError(f"nothing stands after {after}; give a value, or leave it out")


def _fail(text: str) -> int:
    click.echo(f"error: {text}", err=True)
    return 1


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f" (see {context.command_path} --help)" if context is not None else ""


__all__ = ["cli", "main"]
