"""The page of a training's settings, from the fields of TrainConfig."""

import re
from pathlib import Path

from maap.config.check import field_type
from maap.config.fields import FIELDS, option_name

_HEAD = """# Settings of a training

`TrainConfig` holds every setting of a run. The options of `maap train`, the lines of a YAML file
(`maap train --config FILE`) and the arguments of `maap.train(maap.TrainConfig(...))` are these
fields. A field without a default takes its value from the preset
(`python/maap/config/hyperparameters.yaml`), and then from the net folder's solver and train_val
files. A run's `config.yaml` holds the values that it used.

The source says where a default comes from: *design* is the [design](../design.md), *paper* is He &
Peng 2018, *solver* is the net folder's solver prototxt, *demo* was measured on the demo set, *ours*
is a choice of this project.
"""
_GROUPS = {
    "": "What is trained",
    "method": "The method",
    "region": "The region",
    "solver": "The solver",
    "output": "Reports and safety",
    "machine": "The machine",
}


def page(repo: Path) -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for group, title in _GROUPS.items():
        parts.append(f"\n## {title}\n")
        parts += [_entry(name) for name, f in FIELDS.items() if f.metadata["group"] == group]
    return "\n".join(parts)


def _entry(name: str) -> str:
    field, (kind, is_list) = FIELDS[name], field_type(name)
    about = field.metadata
    default = "from the preset or the net" if field.default is None else f"`{field.default}`"
    facts = [
        f"option `{option_name(name)}`",
        f"{'list of ' if is_list else ''}{kind.__name__}",
        f"default {default}",
        f"source: {about['source']}",
    ]
    if about["unit"]:
        facts.insert(2, f"unit: {about['unit']}")
    if about["choices"]:
        facts.insert(2, "one of " + ", ".join(f"`{choice}`" for choice in about["choices"]))
    if about["may_change"]:
        facts.append("may change on `--resume`")
    return f"### `{name}`\n\n{_as_text(about['help'])}\n\n*{'; '.join(facts)}*\n"


def _as_text(help_text: str) -> str:
    """Help for a terminal as Markdown: outside `code`, its *, [ and _ are characters, not marks."""
    parts = re.split(r"(`[^`]*`)", help_text)
    return "".join(p if p.startswith("`") else re.sub(r"([*_\[\]<])", r"\\\1", p) for p in parts)
