"""What `maap insert` is asked to do. Without any import of Caffe's messages, so that the command
line, which hands it to the working process, starts quickly."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional


@dataclass(frozen=True)
class InsertRequest:
    """One insertion. ``file`` is the network's prototxt; the layers are named by the layer before
    them, or recommended. Without ``dry_run`` a net folder is written to ``out``."""

    file: Path
    out: Optional[Path] = None
    dry_run: bool = False
    enhance_after: Optional[str] = None
    eliminate_after: Optional[str] = None
    input_size: Optional[int] = None  # pixels a side, where the file does not say it
    mean: Optional[Sequence[float]] = None  # one value, or B, G, R
    solver: Optional[Path] = None  # take the numbers from this solver prototxt
    keep_classifier: bool = False
