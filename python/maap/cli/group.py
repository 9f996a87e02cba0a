"""A group of commands whose modules are imported when a command is asked for."""

import importlib
from typing import Any, Optional

import click

from maap.errors import MaapError
from maap.util.text import nearest

HELP = dict(help_option_names=["-h", "--help"], max_content_width=100)


class Commands(click.Group):
    """A group that knows what was meant by a misspelt command.

    ``sections`` names commands that live in modules of their own and are imported when they are
    needed: heading -> name -> ("module:command", its short help).
    """

    def __init__(
        self,
        *args: Any,
        sections: Optional[dict[str, dict[str, tuple[str, str]]]] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections or {}
        self.homes = {k: home for rows in self.sections.values() for k, (home, _) in rows.items()}

    def get_command(self, context: click.Context, name: str) -> Optional[click.Command]:
        if name in self.homes and name not in self.commands:
            module, command = self.homes[name].split(":")
            self.add_command(getattr(importlib.import_module(module), command), name)
        found = super().get_command(context, name)
        if found is None and not name.startswith("-"):
            raise MaapError(f"no command {name!r}; {nearest(name, self.list_commands(context))}")
        return found

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """A group of commands that is called alone shows its help, with any version of click."""
        if not args and self.no_args_is_help:
            click.echo(context.get_help(), color=context.color)
            context.exit()
        return super().parse_args(context, args)

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(dict.fromkeys([*self.homes, *self.commands]))

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their short help; no module is imported for it."""
        own = {
            name: ("", command.get_short_help_str(limit=80))
            for name, command in self.commands.items()
            if name not in self.homes
        }
        for title, rows in {**self.sections, "Commands": own}.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl([(name, text) for name, (_, text) in rows.items()])
