"""What the modules of the command line share: the verb group and common options."""

import importlib
from collections.abc import Collection
from typing import Any, Callable, Optional

import click

from maap.config.check import field_type
from maap.config.fields import FIELDS, option_name
from maap.errors import MaapError
from maap.util.text import nearest

RUNS_DIR = click.option("--runs-dir", default="runs", show_default=True, metavar="DIR")
DEBUG = click.option("--debug", is_flag=True, help="Show Python's traceback with an error.")
HELP = dict(help_option_names=["-h", "--help"], max_content_width=100)


class Verbs(click.Group):
    """A group that knows what was meant by a misspelt verb.

    ``later`` names commands that live in modules of their own, imported when they are needed:
    verb -> ("module:command", its short help).
    """

    def __init__(
        self, *args: Any, later: Optional[dict[str, tuple[str, str]]] = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.later = later or {}

    def get_command(self, context: click.Context, name: str) -> Optional[click.Command]:
        if name in self.later and name not in self.commands:
            module, command = self.later[name][0].split(":")
            self.add_command(getattr(importlib.import_module(module), command), name)
        found = super().get_command(context, name)
        if found is None and not name.startswith("-"):
            raise MaapError(f"no verb {name!r}; {nearest(name, {**self.commands, **self.later})}")
        return found

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(dict.fromkeys([*self.commands, *self.later]))

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with their short help; none of the later ones is imported for it."""
        rows = []
        for name in self.list_commands(context):
            if name in self.later:
                rows.append((name, self.later[name][1]))
            else:
                rows.append((name, self.commands[name].get_short_help_str(limit=80)))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


_TITLES = {
    "": "What is trained",
    "method": "The method",
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
            record = parameter.get_help_record(context)
            if record is not None:
                about = FIELDS[parameter.name].metadata if parameter.name in FIELDS else None
                title = _TITLES[about["group"]] if about else "Other"
                groups[title].append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def settings_options(omit: Collection[str] = ("net",)) -> Callable[..., Any]:
    """A decorator that adds one option for each of TrainConfig's fields but those to ``omit``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(list(FIELDS)):
            if name not in omit:
                function = _setting_option(name)(function)
        return function

    return decorate


def _setting_option(name: str) -> Callable[..., Any]:
    field, (kind, is_list) = FIELDS[name], field_type(name)
    about = field.metadata
    flag = option_name(name)
    text = about["help"]
    if about["unit"]:
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
    return click.option(flag, name, **settings)
