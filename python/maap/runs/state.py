"""How far a run came: the content of ``state.json``.

    {"format": 1, "name": of the run, "note": what to expect of its settings, or null,
     "input": {"TRAIN": how stored images become input, "TEST": ...},
     "data": {"folder", "manifest": a hash of its manifest, "seconds": what making it took},
     "weights": null or {"path", "sha256"} of the weights to start from,
     "stages": [{"name", "kind", "number", "title", "status", "seconds", ...}, ...]}

The stages are in the order in which they are done (paper, Algorithm 1). Keys that this version
does not know are kept. `Stage` and `RunState` change while a run is trained; the rest is fixed.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional

from maap.errors import MaapError
from maap.util.files import write_atomically
from maap.util.json_record import Damaged, Json, JsonRecord, left_out

FORMAT = 1
STATE = "state.json"

StageKind = Literal["train", "rewrite", "evaluation", "report"]
Status = Literal["pending", "running", "done"]
Phase = Literal["TRAIN", "TEST"]


@dataclass(frozen=True)
class SharedFrom(JsonRecord):
    """Where a phase 1 comes from that another run trained."""

    run: str  # it was taken from
    trained_in: str  # the run that trained it
    settings: str  # hash of all that it depends on
    sha256: str  # of the weights


@dataclass(frozen=True)
class OnlineCounts(JsonRecord):
    """What the Elimination layer did in a phase of --haap online."""

    images: int
    fallbacks: int  # images with a flat attention map, kept whole


@dataclass
class Stage(JsonRecord):
    """One stage of a run and how far it came.

    ``number`` counts the phases (kind "train") and the rewritings from 1. A phase has ``iteration``
    (how many are done), and at its end ``stopped`` ("converged" or "max_iter"), ``loss`` (mean of
    the last window) and ``weights`` (a file name), and ``warning`` where it learnt nothing; a
    rewriting has ``count`` and ``fallbacks``. A phase that several ranks trained has ``ranks``:
    pairs of an iteration and the number of ranks from there on.
    """

    name: str
    kind: StageKind
    number: Optional[int] = left_out()
    title: str = ""
    status: Status = "pending"
    seconds: float = 0.0
    iteration: Optional[int] = left_out()
    stopped: Optional[str] = left_out()
    loss: Optional[float] = left_out()
    weights: Optional[str] = left_out()
    warning: Optional[str] = left_out()
    online: Optional[OnlineCounts] = left_out()
    shared_from: Optional[SharedFrom] = left_out()
    count: Optional[int] = left_out()
    fallbacks: Optional[int] = left_out()
    ranks: Optional[list[list[int]]] = left_out()
    more: dict[str, Json] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.status == "done"

    def trained_by(self, ranks: int) -> Optional[str]:
        """Note how many ranks train the phase from here on; what that changes in the middle of
        it, None: nothing."""
        done = self.iteration or 0
        # Without those that began here before, and came to no snapshot.
        trained = [pair for pair in self.ranks or [[0, 1]] if pair[0] < done]
        before = trained[-1][1] if trained else ranks
        if not trained or before != ranks:
            trained.append([done, ranks])
        self.ranks = trained if trained != [[0, 1]] else None
        if before == ranks:
            return None
        return (
            f"{self.title}: {before} {'rank' if before == 1 else 'ranks'} trained up to iteration "
            f"{done}, from here on {ranks} will: an iteration takes {ranks}/{before} as many "
            "images as before, and the order of the images goes on where it would be had it been "
            "so from the start; the result is not that of an uninterrupted run"
        )


@dataclass(frozen=True)
class InputNote(JsonRecord):
    """How stored images become the net's input."""

    crop_size: int  # pixels a side; 0: no crop
    mirror: bool
    mean_value: list[float]  # B, G, R, or one for all, or none
    mean_file: Optional[str]  # in the run's folder
    scale: float


@dataclass(frozen=True)
class DataNote(JsonRecord):
    """The data set that a run is trained on."""

    folder: str = ""
    manifest: str = ""  # a hash that changes when the set is made again in another way
    seconds: float = 0.0  # what importing it took


@dataclass(frozen=True)
class WeightsNote(JsonRecord):
    """The weights that a run started from."""

    path: str
    sha256: str


@dataclass
class RunState(JsonRecord):
    """The content of state.json."""

    format: int = FORMAT
    name: str = ""
    note: Optional[str] = None
    input: dict[str, InputNote] = field(default_factory=dict)  # by Phase
    data: DataNote = DataNote()
    weights: Optional[WeightsNote] = None
    stages: list[Stage] = field(default_factory=list)
    more: dict[str, Json] = field(default_factory=dict)

    def of_kind(self, kind: StageKind) -> list[Stage]:
        """The stages of a kind, in order."""
        return [stage for stage in self.stages if stage.kind == kind]

    @property
    def phases(self) -> list[Stage]:
        """The training phases, in order."""
        return self.of_kind("train")

    @property
    def waiting(self) -> list[Stage]:
        """The stages that are not done, in order."""
        return [stage for stage in self.stages if not stage.done]

    @property
    def seconds(self) -> float:
        """What all stages took together."""
        return sum(stage.seconds for stage in self.stages)


def read_state(path: Path, advice: str = "start a new run") -> RunState:
    """The state in a file. Raises MaapError, which names the file, when it is missing or damaged;
    ``advice`` is what to do then."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        state = RunState.from_json(found)
        if "stages" not in found:
            raise Damaged("stages is missing")
        if not found["stages"]:
            raise Damaged("stages is empty")
    except OSError as error:
        raise MaapError(f"{path}: cannot be read ({error.strerror}); {advice}") from None
    except ValueError as error:  # no JSON, or Damaged
        raise MaapError(f"{path}: damaged ({error}); {advice}") from None
    if state.format != FORMAT:
        raise MaapError(f"{path}: damaged (format {state.format}); {advice}")
    return state


def write_state(path: Path, state: RunState) -> None:
    """Replace the file in one step. Raises MaapError (disk full, no permission)."""
    write_atomically(path, json.dumps(state.to_json(), indent=1) + "\n")
