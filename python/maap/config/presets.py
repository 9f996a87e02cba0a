"""The numbers of a training where nothing else is said: hyperparameters.yaml, by net and preset."""

import functools
import re
from pathlib import Path
from typing import Any, Optional

import yaml

from maap.config.values import Value
from maap.errors import MaapError

NAMES = ("demo", "demo_hard", "finetune", "scratch")  # what is trained on, see the file's head
FILE = Path(__file__).with_name("hyperparameters.yaml")


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    try:
        table: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise MaapError(f"{FILE}: cannot be read ({text}); reinstall maap") from None
    return table


def numbers(net: str, section: str) -> dict[str, tuple[Value, str]]:
    """(value, where it is from) by name, of a section of the file: a preset, or "solver".

    ``net`` is the name or the path of a net folder; what its entry leaves out, or has no entry, is
    taken from the entry `any`; what "demo_hard" leaves out, from "demo".
    """
    table = _table()
    found: dict[str, tuple[Value, str]] = {}
    sections = ("demo", section) if section == "demo_hard" else (section,)
    for entry in ("any", Path(net).name):
        for each in sections:
            for name, (value, source) in table.get(entry, {}).get(each, {}).items():
                word = re.split("[:;]", source)[0]
                found[name] = (value, table["sources"][word] + source[len(word) :])
    return found


def note(net: str, name: str) -> str:
    """What to expect of a preset for a net, for people; empty where there is nothing to say."""
    return str(_table().get(Path(net).name, {}).get("notes", {}).get(name, ""))


def start(net: str) -> Optional[str]:
    """The weights that a net starts from where none are given; None: random ones."""
    found = _table().get(Path(net).name, {}).get("start")
    return str(found) if found is not None else None


def preset(net: str, name: str) -> dict[str, Value]:
    """The values of a preset (one of NAMES) for a net, by the names of TrainConfig's fields."""
    return {key: value for key, (value, _) in numbers(net, name).items()}
