"""A net folder's files, found by the net's name or by path.

A net folder (prototxt/alexnet/, or anybody's) holds train_val, deploy, rewrite and solver files,
each also with ``_laap`` in its name: the variant with the Enhancement layer.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from maap.errors import MaapError, NotForNet
from maap.util.files import given_path
from maap.util.text import nearest

# In the repository, or in the package where it is installed.
_FOLDER = Path(__file__).resolve().parents[3] / "prototxt"
if not _FOLDER.is_dir():
    _FOLDER = Path(__file__).resolve().parents[1] / "prototxt"
_FILES = ("train_val", "deploy", "rewrite", "solver")


@dataclass(frozen=True)
class NetFiles:
    """The files of one net folder; each method raises NotForNet naming a file that is missing."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def train_val(self, laap: bool, dropout_after: Optional[str] = None) -> Path:
        """``dropout_after`` names the layer of a train_val_dropout_LAYER file (no LAAP)."""
        if dropout_after is None:
            return self._file("train_val", laap)
        start = "train_val_dropout_"
        known = [path.stem[len(start) :] for path in sorted(self.folder.glob(f"{start}*.prototxt"))]
        if laap or dropout_after not in known:
            hint = nearest(dropout_after, known)
            raise NotForNet(
                f"{self.folder}: no {start}{dropout_after}.prototxt: no variant of this net has "
                f"Dropout after a layer {dropout_after}",
                hint,
            )
        return self.folder / f"{start}{dropout_after}.prototxt"

    def deploy(self, laap: bool) -> Path:
        return self._file("deploy", laap)

    def rewrite(self, laap: bool) -> Path:
        return self._file("rewrite", laap)

    def solver(self, laap: bool, phase: int) -> Path:
        """``phase`` is 1 (original images) or 2 (rewritten images)."""
        if phase not in (1, 2):
            raise ValueError(f"phase {phase}: there are 1 and 2")
        return self._file("solver", laap, "_phase2" if phase == 2 else "")

    def _file(self, stem: str, laap: bool, end: str = "") -> Path:
        path = self.folder / f"{stem}{'_laap' if laap else ''}{end}.prototxt"
        if not path.is_file():
            raise NotForNet(
                f"{path}: no such file",
                f"a net folder holds {', '.join(_FILES)}, each with and without _laap "
                "(prototxt/alexnet/README.md lists them)",
            )
        return path


def find_net(name_or_dir: Union[str, Path]) -> NetFiles:
    """The net folder of that name under prototxt/, or the folder at that path."""
    name = str(name_or_dir)
    here = given_path(name)
    if os.sep not in name and (_FOLDER / name / "deploy.prototxt").is_file():
        return NetFiles(_FOLDER / name)
    if here.is_dir():
        if not any((here / f"train_val{end}.prototxt").is_file() for end in ("", "_laap")):
            raise MaapError(f"{here}: no train_val.prototxt in it, so it is not a net folder")
        return NetFiles(here.resolve())
    if here.is_file():
        raise MaapError(
            f"{here}: a file; give the folder that holds the net's prototxts (maap insert makes "
            "one from a train_val or deploy prototxt)"
        )
    raise MaapError(f"{name}: no net of that name and no such folder; {nearest(name, names())}")


def names() -> list[str]:
    """The nets under prototxt/, by name."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/deploy.prototxt"))
