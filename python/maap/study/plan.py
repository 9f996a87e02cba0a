"""Which runs a study needs, and which of them are left to do.

Each row, net and seed of a part is one ordinary run of ``maap train``; a row that makes no sense
for a net is left out with its reason. A run's name ends
in a hash of everything that its result depends on, so a study that is asked for again finds its
runs, and runs of other settings never mix with them. Runs whose phase 1 is the same by
`training.sharing.phase1_settings` form a group: one of them trains it, the others take it from
there. Any other run in the folder that has trained that very phase serves as well.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from maap.config.check import validate
from maap.config.fields import FIELDS, TrainConfig, in_group
from maap.config.values import Settings
from maap.data.find import data_for, stored_size
from maap.data.store import Dataset
from maap.errors import MaapError, NotForNet
from maap.images.region_options import RegionOptions
from maap.runs.run import FINDER, REWRITE, Run, all_runs, resume_command
from maap.runs.stages import FINAL, lost
from maap.runs.state import RunState, Stage
from maap.study.cells import Cell, LeftOut, Planned, Request, ScriptRun, Step, trained
from maap.study.definition import Part, Row
from maap.study.scripts import check_net, find_script, result_name
from maap.training.prepare import check_finder, set_up
from maap.training.sharing import phase1_settings, settings_hash, solver_text

# Covered by hashes of contents, or without influence on a run's result.
_NOT_IDENTITY = {"net", "data", "weights", "name", "runs_dir", "resume", "phase1_from", "preset"}
_NOT_IDENTITY |= {"test_interval", "allow_partial_data"}
_OF_REWRITING = {"a_star", "haap_mode"}
_OF_LATER_PHASES = {"rounds", "phase2_iter", "phase2_lr"}


# ---- the runs -----------------------------------------------------------------------------------


def planned(request: Request) -> Planned:
    """Every cell of the parts, seed by seed, and the rows that are not for a net. Needs pycaffe's
    schema: called in the child.

    Cells may share a run. Raises MaapError for what is wrong with the settings, the nets, the data
    or a script, and where no row can be made with any net.
    """
    making = _Making()
    cells = [cell for part in request.parts for cell in making.cells(part)]
    left_out = list(making.left_out.values())
    if not cells:
        more = "; nor can any other row be made" if len(left_out) > 1 else ""
        raise MaapError(f"{left_out[0]}{more}")
    return Planned(cells, left_out)


@dataclass(frozen=True)
class _Made:
    """config: what was set by hand, and the run's name; resolved: with every number; phase1: the
    hash of phase 1; state: of the run that was set up."""

    config: TrainConfig
    resolved: TrainConfig
    phase1: str
    state: RunState


class _Making:
    """Makes cells. What several have in common is done once: data sets are opened, and runs set up
    to see what they would be."""

    def __init__(self) -> None:
        self._sets: dict[tuple[object, ...], Dataset] = {}
        self._runs: dict[str, _Made] = {}
        self.left_out: dict[tuple[str, str, str], LeftOut] = {}

    def cells(self, part: Part) -> list[Cell]:
        """The cells of a part. The rows that are not for a net are in ``left_out`` then."""
        rows = [row for row in part.rows if not row.ours]
        if part.measure == "regions":
            self._check_regions(part, rows)
        found: list[Cell] = []
        for seed in part.seeds:
            for net in part.nets:
                for row in rows:
                    try:
                        if (part.name, row.label, net) not in self.left_out:
                            found.append(self._cell(part, row, net, seed))
                    except NotForNet as error:
                        self._leave_out(part, row, net, error)
        if trained(found):
            return found
        for cell in found:  # a page says of a run what the data are
            why = "no training of this table can be made, and a script's row needs one beside it"
            self._leave_out(part, cell.row, cell.net, NotForNet(why))
        return []

    def _leave_out(self, part: Part, row: Row, net: str, error: NotForNet) -> None:
        key = (part.name, row.label, net)
        self.left_out[key] = LeftOut(part, row, net, error.why, str(error))

    def _cell(self, part: Part, row: Row, net: str, seed: int) -> Cell:
        """The cell of a row, a net and a seed. Raises NotForNet."""
        of_row = {} if part.measure == "regions" else row.settings
        if row.script is not None:
            return self._of_script(part, row, net, seed)
        made = self._made(part, net, seed, of_row)
        region = row.settings if part.measure == "regions" else {}
        return Cell(part, row, net, seed, made.config, made.resolved, made.phase1, region)

    def _of_script(self, part: Part, row: Row, net: str, seed: int) -> Cell:
        """The script is given the data set and the weights that a baseline would have."""
        script = row.script
        assert script is not None
        check_net(script, net)
        made = self._made(part, net, seed, {"variant": "baseline"})
        data, weights = made.state.data, made.state.weights
        content = {"data": data.manifest, "weights": "" if weights is None else weights.sha256}
        name = result_name(script, content, net, _data_stem(made.config), seed)
        given = ScriptRun(
            str(find_script(script)),
            data.folder,
            None if weights is None else weights.path,
            made.resolved.weights,
        )
        config = dataclasses.replace(made.config, name=name)
        return Cell(part, row, net, seed, config, made.resolved, "", script=given)

    def _made(self, part: Part, net: str, seed: int, of_row: Settings) -> _Made:
        own: Settings = dict(net=net, seed=seed, weights=part.weights.get(net))
        given = {**part.settings, **own, **of_row}
        key = repr(sorted(given.items()))
        if key not in self._runs:
            self._runs[key] = self._set_up(given)
        return self._runs[key]

    def _set_up(self, given: Settings) -> _Made:
        config, dataset = self._data_for(validate(TrainConfig(**given)))
        with set_up_aside(config, dataset) as (run, resolved):
            state = run.state()
            shared = phase1_settings(run, resolved, state)
            identity = _identity(run.folder, resolved, shared)
        name = f"{_stem(config)}-s{config.seed}-{identity}"
        named = dataclasses.replace(config, name=name)
        return _Made(named, resolved, settings_hash(shared), state)

    def _data_for(self, config: TrainConfig) -> tuple[TrainConfig, Dataset]:
        """As `data.find.data_for`, which warns of a data set whenever it is asked."""
        config = dataclasses.replace(config, image_size=stored_size(config))
        key = (config.data, config.image_size, config.resize, config.allow_partial_data)
        if key not in self._sets:
            self._sets[key] = data_for(config)[1]
        return config, self._sets[key]

    def _check_regions(self, part: Part, rows: Sequence[Row]) -> None:
        """Leave out the rows whose regions a net cannot find. Raises MaapError where regions could
        not be found as a row says, or have no true boxes to be compared with: before anything is
        trained. No run is set up for a row."""
        for net in part.nets:
            for row in rows:
                try:
                    self._check_region(part, row, net)
                except NotForNet as error:
                    self._leave_out(part, row, net, error)

    def _check_region(self, part: Part, row: Row, net: str) -> None:
        made = self._made(part, net, part.seeds[0], {})
        _, dataset = self._data_for(made.config)
        try:
            validate(_with_region(made.config, row.settings))
            with contextlib.redirect_stdout(io.StringIO()):
                check_finder(_with_region(made.resolved, row.settings), len(dataset.classes))
        except NotForNet:
            raise
        except MaapError as error:
            raise MaapError(f'{part.name}, row "{row.label}": {error}') from None
        if all(record.box is None for record in dataset.split("test").records):
            raise MaapError(
                f"{part.name}: no test image of {made.config.data} has a true box to compare "
                "regions with; give other --data"
            )


def _with_region(config: TrainConfig, of_row: Settings) -> TrainConfig:
    """Settings with those of a row that decide the region."""
    asked = RegionOptions.of(config).changed(SimpleNamespace(**of_row))
    return dataclasses.replace(config, **{**of_row, **vars(asked)})


@contextlib.contextmanager
def set_up_aside(config: TrainConfig, dataset: Dataset) -> Iterator[tuple[Run, TrainConfig]]:
    """A run set up in a folder that is removed again; the settings with every number."""
    with tempfile.TemporaryDirectory(prefix="maap-") as folder:
        run = Run(Path(folder) / "run")
        run.folder.mkdir()
        with contextlib.redirect_stdout(io.StringIO()):
            resolved = set_up(run, dataclasses.replace(config, name="run"), dataset, 0.0)
        yield run, resolved


def _data_stem(config: TrainConfig) -> str:
    return Path(config.data).resolve().name.split(".")[0] or "data"


def _stem(config: TrainConfig) -> str:
    data = _data_stem(config)
    words = [Path(config.net).name or "net", config.variant]
    words += [config.a_star] if config.haap else []
    words += ["control"] if config.control else []
    words += ["online"] if config.online else []
    words += [] if config.regions == "found" else [f"{config.regions}-regions"]
    dropout = getattr(config, "dropout_after", None)
    words += [f"dropout-{dropout}"] if dropout else []
    return "-".join([*words, data])


def _identity(folder: Path, config: TrainConfig, phase1: Mapping[str, object]) -> str:
    """Six hexadecimal digits of everything that a run's result depends on."""
    left = _NOT_IDENTITY | (set() if config.haap else _OF_REWRITING)
    default = TrainConfig()
    if not config.haap and config.threshold_at == default.threshold_at:
        left |= {"threshold_at"}  # else the regions that the run is tested on depend on it
    if not config.haap and not config.control:
        left |= _OF_LATER_PHASES
    # A setting that older runs lack must not rename them.
    younger = ("control", "math", "ranks", *in_group("region"))
    left |= {name for name in younger if getattr(config, name) == getattr(default, name)}
    numbers = {
        name: getattr(config, name)
        for name, field in FIELDS.items()
        if name not in left and (name == "ranks" or not field.metadata["may_change"])
    }
    texts = {}
    for path in sorted(folder.rglob("*.prototxt")):
        if path.name == FINDER:  # follows from the net and settings; older runs lack it
            continue
        text = solver_text(path) if path.name == "solver.prototxt" else path.read_text()
        texts[str(path.relative_to(folder))] = text
    text = json.dumps([phase1, numbers, texts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:6]


# ---- how far they are ---------------------------------------------------------------------------


def steps(planned: list[Cell]) -> list[Step]:
    """The runs still to be done, in an order in which each finds the phase 1 it takes.

    Raises MaapError for a run that is incomplete, with the command that repairs it.
    """
    unique = list({cell.config.name: cell for cell in planned}.values())
    for cell in unique:
        check_whole(cell.run)
    open_cells = [cell for cell in unique if not (cell.run.exists and cell.run.finished())]
    donors = _donors(unique)
    found: list[Step] = []
    for cell in open_cells:
        if cell.phase1 not in donors:
            group = [other for other in open_cells if other.phase1 == cell.phase1]
            leader = next((other for other in group if other.run.exists), group[0])
            donors[cell.phase1] = str(leader.config.name)
            found.append(Step(leader, None))
        name = donors[cell.phase1]
        if cell.config.name != name:
            found.append(Step(cell, None if cell.run.exists else name))
        elif all(step.cell is not cell for step in found):
            found.append(Step(cell, None))
    return found


def _donors(unique: list[Cell]) -> dict[str, str]:
    """The runs that have a whole phase 1, by its hash; a study's own runs before others."""
    found: dict[str, str] = {}
    for cell in unique:
        if cell.run.exists and has_phase1(cell.run):
            found.setdefault(cell.phase1, str(cell.config.name))
    wanted = {cell.phase1 for cell in unique} - set(found)
    for run in all_runs(Path(unique[0].config.runs_dir)) if wanted else []:
        with contextlib.suppress(MaapError, KeyError, TypeError, OSError):  # not a study's business
            if has_phase1(run):
                hashed = settings_hash(phase1_settings(run, run.config(), run.state()))
                found.setdefault(hashed, run.name)
    return found


def has_phase1(run: Run) -> bool:
    """Whether phase 1 of a run is done and its weights are there."""
    return run.state().stages[0].done and (run.folder / "phase1" / FINAL).is_file()


def check_whole(run: Run) -> None:
    """Raises MaapError when part of a run's folder has been removed: which run, what is missing,
    and the command that repairs it. A run that is not there is whole."""
    if not (run.folder / "state.json").is_file():
        if run.exists:
            raise _beyond_repair(run, ["state.json"])
        return
    stages = run.state().stages
    if not run.exists:
        if any(stage.status != "pending" for stage in stages):
            raise _beyond_repair(run, ["config.yaml"])
        return
    gone = {name: files for name, files in lost(run.folder, stages).items() if name != "report"}
    if gone or not run.finished():
        missing = [name for name in _set_up_files(run, stages) if not (run.folder / name).is_file()]
        if missing:
            raise _beyond_repair(run, missing)
        _check_donor(run, stages)
    if gone:
        files = ", ".join(name for names in gone.values() for name in names)
        raise MaapError(
            f"run {run.name} is incomplete: {files} missing, although state.json says that "
            f"{', '.join(gone)} is done; repair it with: {resume_command(run)}"
        )


def _set_up_files(run: Run, stages: list[Stage]) -> list[str]:
    """What setting a run up leaves, and all later work reads."""
    names = ["deploy.prototxt"]
    for stage in stages:
        if stage.kind == "train":
            names += [f"{stage.name}/net.prototxt", f"{stage.name}/solver.prototxt"]
        if stage.kind == "rewrite" and REWRITE not in names:
            names.append(REWRITE)
    return names


def _check_donor(run: Run, stages: list[Stage]) -> None:
    name = run.config().phase1_from
    if name is None or stages[0].done:
        return
    donor = Run(run.folder.parent / name)
    if not (donor.exists and has_phase1(donor)):
        raise MaapError(
            f"run {run.name} waits for phase 1 of run {name}, which is gone; remove it with: "
            f"rm -r {shlex.quote(str(run.folder))}, and ask for it again"
        )


def _beyond_repair(run: Run, missing: list[str]) -> MaapError:
    return MaapError(
        f"run {run.name} is incomplete: {', '.join(missing)} missing in {run.folder}; "
        f"remove it with: rm -r {shlex.quote(str(run.folder))}, and ask for it again"
    )
