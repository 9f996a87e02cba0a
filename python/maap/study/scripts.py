"""Rows that a script makes, for methods that are no training of maap.

A row's ``script`` names a Python file (``definition.Script``) that has

    study_row(data, weights, seed, **options) -> {"top1": share, "cut": share, ...}

data: the folder of the data set (a Path). weights: the file to start from (a Path), or None. seed:
a whole number. The options are those of the row. ``top1`` and, where it is measured, ``cut`` (top-1
on images cut to a region) are 0 to 1; what else is returned is kept beside them. The script has
also ``STUDY_FILES``, the other files that its result depends on, and may have ``STUDY_NETS``, the
names of the nets that it can do (without it: every net).

A result is one file, ``RUNS_DIR/scripts/NAME.json``, written when the script has ended: one that
was stopped starts again, one that is finished is not made again. The name ends in a hash of the
script, its files, its options, the seed, the data set and the weights.
"""

import functools
import hashlib
import json
import runpy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from maap.errors import MaapError, NotForNet
from maap.study.cells import Cell, ScriptRun
from maap.study.definition import Script, net_name
from maap.util.files import file_sha256, given_path, make_folder, write_atomically

FOLDER = "scripts"
_CHECKOUT = Path(__file__).resolve().parents[3]  # that a study's files may be in


@dataclass(frozen=True)
class ScriptResult:
    """What a script found: shares by the keys of the columns, and the seconds it took."""

    values: Mapping[str, float]
    seconds: float


def find_script(script: Script) -> Path:
    """The script's file: as it is given, or in the checkout that maap is in.

    Raises MaapError where it is in neither."""
    here = given_path(script.file)
    found = next((path for path in (here, _CHECKOUT / here) if path.is_file()), None)
    if found is None:
        raise MaapError(
            f"script {script.file}: no such file here, and none in {_CHECKOUT}; examples/ comes "
            "with a checkout of maap: start the study there"
        )
    return found.resolve()


def loaded(path: Path) -> dict[str, Any]:
    """The names that a script defines. Called in the child. Raises MaapError: it cannot be run, or
    lacks what a script needs."""
    try:
        found = _run(path, file_sha256(path))
    except Exception as error:
        raise MaapError(f"{path}: {type(error).__name__}: {error}") from error
    if not callable(found.get("study_row")):
        raise MaapError(f"{path}: no function study_row, which makes a row (docs/studies.md)")
    return found


@functools.cache
def _run(path: Path, content: str) -> dict[str, Any]:  # noqa: ARG001  a changed file is another key
    return runpy.run_path(str(path))


def check_net(script: Script, net: str) -> None:
    """Raises NotForNet for a net that a script cannot do. Called in the child."""
    known = loaded(find_script(script)).get("STUDY_NETS")
    if known is not None and net_name(net) not in known:
        raise NotForNet(f"script {script.file} can do {', '.join(known)} and no other net")


def result_name(script: Script, content: Mapping[str, str], net: str, data: str, seed: int) -> str:
    """The name of a result. content: hashes of the data set and the weights."""
    path = find_script(script)
    files = [path, *map(Path, loaded(path).get("STUDY_FILES", ()))]
    try:
        hashes = [file_sha256(file) for file in files]
    except OSError as error:
        raise MaapError(f"{path}: STUDY_FILES: {error.filename}: {error.strerror}") from None
    depends = [hashes, dict(script.options), net_name(net), seed, dict(content)]
    text = json.dumps(depends, sort_keys=True)
    words = [path.stem, *(str(value).lower() for value in script.options.values())]
    words += [net_name(net), data]
    return f"{'-'.join(words)}-s{seed}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


# ---- making them --------------------------------------------------------------------------------


def unmade(planned: Sequence[Cell]) -> list[Cell]:
    """The cells of scripts that are not finished, each file once."""
    left = {str(_file(cell)): cell for cell in planned if cell.script and not read_result(cell)}
    return list(left.values())


def make(cell: Cell) -> None:
    """Run the script of a cell and keep what it found. Called in the child.

    Raises MaapError naming the row and the seed, for whatever the script raises and for a result
    that is none."""
    run, script = _of(cell), _script(cell)
    started = time.monotonic()
    where = f'row "{cell.row.label}", seed {cell.seed}: {run.file}'
    try:
        weights = None if run.weights is None else Path(run.weights)
        row = loaded(Path(run.file))["study_row"]
        found = row(Path(run.data), weights, cell.seed, **script.options)
        values = _checked(found)
    except Exception as error:
        name = "" if isinstance(error, MaapError) else f"{type(error).__name__}: "
        raise MaapError(f"{where}: {name}{error}") from error
    content = {
        "script": script.file,
        "options": dict(script.options),
        "seed": cell.seed,
        "seconds": time.monotonic() - started,
        "values": values,
        "found": found,
    }
    path = _file(cell)
    make_folder(path.parent)
    write_atomically(path, json.dumps(content, indent=1, default=str) + "\n")


def _checked(found: object) -> dict[str, float]:
    """The shares of a script's result. Raises MaapError where there is no top1."""
    if not isinstance(found, Mapping) or "top1" not in found:
        raise MaapError(f"study_row returned {found!r:.200}; return a dict with top1")
    values = {key: found[key] for key in ("top1", "cut") if key in found}
    for key, value in values.items():
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise MaapError(f"study_row: {key} is {value!r}; give a share from 0 to 1")
    return {key: float(value) for key, value in values.items()}


# ---- reading them -------------------------------------------------------------------------------


def read_result(cell: Cell) -> Optional[ScriptResult]:
    """What the script of a cell found; None: it is not finished, or the file is damaged."""
    try:
        found = json.loads(_file(cell).read_text(encoding="utf-8"))
        return ScriptResult(_checked(found["values"]), float(found["seconds"]))
    except (OSError, ValueError, KeyError, TypeError, MaapError):
        return None


def script_seconds(cells: Sequence[Cell]) -> list[float]:
    """What the finished scripts of some cells took, each file once."""
    once = {str(_file(cell)): cell for cell in cells if cell.script}
    found = map(read_result, once.values())
    return [each.seconds for each in found if each is not None]


def script_words(cell: Cell) -> list[str]:
    """The command, in a checkout, that makes a cell's figures by hand: a script's own command line
    takes the data set, the weights, --seeds and its options."""
    run, script = _of(cell), _script(cell)
    words = ["./maap", "python", script.file, cell.config.data, run.start or "none"]
    words += ["--seeds", str(cell.seed)]
    for name, value in script.options.items():
        words += ["--" + name.replace("_", "-"), str(value)]
    return words


def _file(cell: Cell) -> Path:
    return Path(cell.config.runs_dir) / FOLDER / f"{cell.config.name}.json"


def _of(cell: Cell) -> ScriptRun:
    assert cell.script is not None
    return cell.script


def _script(cell: Cell) -> Script:
    assert cell.row.script is not None
    return cell.row.script
