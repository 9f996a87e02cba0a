"""Run folders: ``runs/NAME/``, what is in them and how far a run came.

    config.yaml     every setting (written last when a run is set up: without it there is no run)
    state.json      the stages of the run and how far each is (runs/state.py)
    phase1/ ...     see training/phase.py
    evaluation.json what was measured (runs/evaluation.py)
    log             Caffe's own log outside the phases

A run folder is used by one process at a time (a lock that the kernel frees when the process ends).
"""

import contextlib
import fcntl
import os
import shlex
import time
from pathlib import Path
from typing import Optional

from maap.config.check import read_yaml, to_yaml
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.runs.stages import final_weights
from maap.runs.state import STATE, RunState, read_state, write_state
from maap.util.files import cannot_write, given_path, remove_partials, write_atomically
from maap.util.text import nearest

REWRITE = "rewrite.prototxt"  # the net that finds the regions of rewritten images
FINDER = "regions.prototxt"  # the same net of a run that rewrites nothing: only its test uses it

LOCK_PATIENCE = 10.0  # seconds; a process killed a moment ago may still be ending


class Run:
    """One run folder. ``lock`` before changing anything in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: Optional[int] = None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def exists(self) -> bool:
        try:
            return (self.folder / "config.yaml").is_file()
        except OSError:  # a name that no folder can have
            return False

    def lock(self) -> None:
        """Take the folder for this process, until it ends. Raises MaapError when it is in use."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        until = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
                    os.close(handle)
                    raise MaapError(
                        f"{self.folder}: in use by process {owner or '?'}; wait for it, or stop it "
                        f"(kill {owner or 'it'}), or work elsewhere (--runs-dir)"
                    ) from None
                time.sleep(0.1)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        self._lock = handle

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def user(self) -> Optional[str]:
        """The number of the process that works in the folder; None when none does."""
        try:
            handle = os.open(self.folder / ".lock", os.O_RDONLY)
        except OSError:  # never locked
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
        finally:
            os.close(handle)
        return None

    def weights(self) -> list[Path]:
        """The weights after each phase that is finished, in the order of the phases."""
        return final_weights(self.folder)

    def clean(self) -> None:
        """Remove half-written leftovers, in the folder and one level down. A rewriting that was
        interrupted stays: it is continued."""
        remove_partials(self.folder, keep="rewrite*")
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                remove_partials(path)

    # ---- settings and state ----

    def config(self) -> TrainConfig:
        """The settings the run was set up with (``runs_dir`` as it is now)."""
        settings = read_yaml(self.folder / "config.yaml")
        return TrainConfig(**dict(settings, name=self.name, runs_dir=str(self.folder.parent)))

    def write_config(self, config: TrainConfig) -> None:
        write_atomically(self.folder / "config.yaml", to_yaml(config))

    def state(self) -> RunState:
        """How far the run came. Raises MaapError when state.json is missing or damaged."""
        return read_state(self.folder / STATE)

    def write_state(self, state: RunState) -> None:
        write_state(self.folder / STATE, state)

    def finished(self) -> bool:
        """Whether all stages of the run are done."""
        return not self.state().waiting


def finder_of(folder: Path) -> Optional[Path]:
    """The net in a run's folder that finds regions; None: it has none."""
    found = (folder / name for name in (REWRITE, FINDER))
    return next((path for path in found if path.is_file()), None)


def all_runs(runs_dir: Path) -> list[Run]:
    """The runs in a folder, the one last worked on first."""
    found = [Run(path.parent) for path in runs_dir.glob("*/config.yaml")]
    return sorted(found, key=lambda run: -_last_change(run))


def _last_change(run: Run) -> float:
    try:
        return (run.folder / STATE).stat().st_mtime
    except OSError:
        return 0.0


def run_at(runs_dir: Path, word: str) -> Optional[Run]:
    """The run of that name in ``runs_dir``, or in the folder at that path; None: neither is one.

    A path is what a shell completes: ``runs/NAME/``."""
    if not word:
        return None
    run = Run(runs_dir / word)
    if not (run.exists and run.name == word.rstrip("/")):
        run = Run(Path(os.path.abspath(given_path(word))))
    return run if run.exists else None


def find_run(runs_dir: Path, word: str) -> Run:
    """The run of that name or at that path (`run_at`). Raises MaapError with the nearest names."""
    run = run_at(runs_dir, word)
    if run is None:
        known = [other.name for other in all_runs(runs_dir)]
        raise MaapError(f"no run {word} in {runs_dir}; {nearest(word, known)}")
    return run


def resume_command(run: Run) -> str:
    """The command that continues a run, as it can be pasted into a shell."""
    folder = str(run.folder.parent)
    near = folder in ("runs", str(Path.cwd() / "runs"))
    command = f"maap train --resume {shlex.quote(run.name)}"
    return command if near else f"{command} --runs-dir {shlex.quote(folder)}"


def default_name(config: TrainConfig) -> str:
    """NET-VARIANT[-online][-control][-WHICH-regions][-dropout-LAYER]-DATA, from the settings."""
    net = Path(config.net).name or "net"
    data = Path(config.data).resolve().name.split(".")[0] or "data"
    dropout = f"-dropout-{config.dropout_after}" if config.dropout_after else ""
    how = ("-online" if config.online else "") + ("-control" if config.control else "")
    cut = "" if config.regions == "found" else f"-{config.regions}-regions"
    return f"{net}-{config.variant}{how}{cut}{dropout}-{data}"


def free_name(runs_dir: Path, base: str) -> str:
    """`base`, or `base-2`, `base-3` ... : the first that no run has."""
    names = [base] + [f"{base}-{n}" for n in range(2, 10000)]
    return next(name for name in names if not Run(runs_dir / name).exists)


def waiting_runs(runs_dir: Path) -> list[Run]:
    """The runs that are not finished, the one last worked on first. A run whose state.json is
    damaged cannot be resumed and is left out."""
    found = []
    for run in all_runs(runs_dir):
        with contextlib.suppress(MaapError):
            if not run.finished():
                found.append(run)
    return found


def unfinished(runs_dir: Path, base: str) -> list[Run]:
    """Runs named `base` or `base-N` that are not finished, last worked on first."""
    found = []
    for run in waiting_runs(runs_dir):
        end = run.name[len(base) :]
        numbered = not end or (end[0] == "-" and end[1:].isdigit())
        if run.name.startswith(base) and numbered:
            found.append(run)
    return found
