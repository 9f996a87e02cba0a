"""The command line's page: the help text of every command."""

from collections.abc import Iterator
from pathlib import Path

import click
from maap.cli.main import cli

_HEAD = """# Command line

`./maap COMMAND` sets the machine up when needed, then runs the command; in the container and after
`pip install .` it is `maap COMMAND`. Each text below is what `maap COMMAND --help` prints.
The launcher `./maap` also has `test`, `docs`, `caffe`, `python`, `shell` and `setup`.
"""


def page(repo: Path) -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for names, command, context in _walk("maap", cli, None):
        level = "#" * min(len(names) + 1, 4)
        text = command.get_help(context).replace("\b", "")
        parts.append(f"{level} {' '.join(names)}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _walk(
    name: str, command: click.Command, parent: "click.Context | None"
) -> Iterator[tuple[list[str], click.Command, click.Context]]:
    """A command with its subcommands: the words that start it, the command, its context."""
    context = click.Context(
        command, info_name=name, parent=parent, max_content_width=100, terminal_width=100
    )
    yield context.command_path.split(), command, context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            if found is not None:
                yield from _walk(each, found, context)
