"""The options that several commands share, and the options that TrainConfig's fields become."""

from collections.abc import Collection
from typing import Any, Callable

import click

from maap.config.check import field_type
from maap.config.fields import ATTENTIONS, FIELDS, VARIANTS, option_name
from maap.images.region_options import NAMES

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

RUNS_DIR = click.option(
    "--runs-dir", default="runs", show_default=True, metavar="DIR", help="Folder of the runs."
)
DEBUG = click.option("--debug", is_flag=True, help="Show Python's traceback with an error.")
THREADS = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="INTEGER",
    help="CPU threads. [default: all cores]",
)
RANKS = click.option(
    "--ranks",
    type=click.IntRange(min=1),
    default=1,
    metavar="INTEGER",
    help="Processes that share the images, started here (under mpirun or srun, leave it out).",
)
# The number of the GPU to compute on where no --gpu is given, as in the container with GPU methods.
DEFAULT_GPU = "MAAP_DEFAULT_GPU"
GPU = click.option(
    "--gpu",
    type=click.IntRange(min=0),
    envvar=DEFAULT_GPU,
    metavar="INTEGER",
    help="GPU number. [default: $MAAP_DEFAULT_GPU or, if that is not set, the CPU]",
)
BATCH = click.option(
    "--batch", type=click.IntRange(min=1), metavar="INTEGER", help="Images in one forward pass."
)
DATA = click.option(
    "--data", metavar="DATA", help="Images, as for train. [default: the run's, or demo]"
)


PHASE = click.option(
    "--phase", type=int, help="Weights after that phase of the run. [default: the last]"
)


def RUN(required: bool = False) -> Decorator:  # noqa: N802  it stands among the options above
    """The argument RUN: a run's name or folder."""
    return click.argument("run", required=required, metavar="RUN" if required else "[RUN]")


def together(*options: Decorator) -> Decorator:
    """One decorator for several; help lists them in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _region_option(name: str) -> Decorator:
    """An option of how regions are found, as train has it; it wins over the run's own."""
    about, (kind, _) = FIELDS[name].metadata, field_type(name)
    known = about["choices"]
    kinds = {"type": click.Choice(known)} if known else {"type": kind, "metavar": "NUMBER"}
    return click.option(option_name(name), help=about["help"], **kinds)


# Weights from elsewhere than a run, and what has to be known of them (runs.request.Request).
WEIGHTS = together(
    click.option("--weights", metavar="FILE", help="Weights: .caffemodel, .pth, or: published."),
    click.option(
        "--net",
        "--net-dir",
        "net",
        metavar="NET",
        help="With --weights: their net, by its name or its folder. [default: alexnet]",
    ),
    click.option(
        "--variant",
        type=click.Choice(VARIANTS),
        help="With --weights: what they were trained as. [default: maap]",
    ),
    click.option(
        "--input-scale",
        type=float,
        help="With --weights: factor on the pixels that they were trained with. "
        "[default: the net's own]",
    ),
)


REGION = together(*map(_region_option, NAMES))

# What the region is found from (TrainConfig has the same settings).
ATTENTION = together(
    click.option(
        "--attention",
        type=click.Choice(ATTENTIONS),
        help="What the region is found from, as for train. [default: the run's, or mean]",
    ),
    click.option(
        "--attention-layer",
        metavar="LAYER",
        help="Layer whose map the region is found from. [default: the run's, or the net's own]",
    ),
)


_TITLES = {
    "": "What is trained",
    "method": "The method",
    "region": "The region",
    "solver": "The solver (Caffe's terms; the defaults depend on the data, see --preset)",
    "output": "Reports and safety",
    "machine": "The machine",
}


class GroupedCommand(click.Command):
    """A command whose options stand under headings."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[Any]] = {title: [] for title in _TITLES.values()}
        groups["Other"] = []
        for parameter in self.get_params(context):
            if isinstance(parameter, click.Argument):
                continue  # the usage line has it
            record = parameter.get_help_record(context)
            if record is not None:
                about = FIELDS[parameter.name].metadata if parameter.name in FIELDS else None
                title = _TITLES[about["group"]] if about else "Other"
                groups[title].append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def settings_options(omit: Collection[str] = ("net",)) -> Decorator:
    """A decorator that adds one option for each of TrainConfig's fields but those to ``omit``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(list(FIELDS)):
            if name not in omit:
                function = _setting_option(name)(function)
        return function

    return decorate


def _setting_option(name: str) -> Decorator:
    field, (kind, is_list) = FIELDS[name], field_type(name)
    about = field.metadata
    flag = option_name(name)
    text = about["help"]
    if about["unit"] and about["unit"] not in text.lower():
        text += f" [{about['unit']}]"
    if field.default not in (None, False) and kind is not bool:
        text += f" [default: {field.default}]"
    settings: dict[str, Any] = dict(default=None, help=text)
    if kind is bool:
        flag = flag if name == "resume" else f"{flag}/--no-{name.replace('_', '-')}"
        settings["is_flag"] = True
    elif about["choices"]:
        settings.update(metavar="|".join(about["choices"]))
    else:
        settings["metavar"] = "TEXT" if is_list else kind.__name__.upper().replace("STR", "TEXT")
    if name == "gpu":
        settings["envvar"] = DEFAULT_GPU
    return click.option(flag, name, **settings)
