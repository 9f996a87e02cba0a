"""What the modules of the command line share: the verb group and common options."""

import importlib
from typing import Any, Optional

import click

from maap.errors import MaapError
from maap.settings import nearest

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
