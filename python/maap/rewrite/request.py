"""What a rewritten data set is made from: the content of ``request.json``, and of "rewritten" in
the manifest of a data set that is complete."""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from maap.data.feeder import Transform
from maap.data.store import Split
from maap.errors import MaapError
from maap.images.region_options import PAPERS
from maap.nets import blocks
from maap.nets.attention_layers import region_options_of
from maap.nets.attention_source import class_map_of
from maap.nets.prototxt import read_net
from maap.rewrite.regions import FOUND, Regions
from maap.util.files import file_sha256
from maap.util.json_record import JsonRecord, left_out
from maap.util.schema import NetParameter


@dataclass(frozen=True)
class FileNote(JsonRecord):
    """A file and its content."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Request(JsonRecord):
    """Everything that the records depend on.

    `batch` is part of it, because a matrix product's last bits depend on its shape. The source
    counts by its manifest and its list of records. `mean` is None where there is none, or an image.
    """

    source: str
    split: str
    records: int
    source_sha256: dict[str, str]
    net: FileNote
    weights: FileNote
    a_star: str
    batch: int
    mean: Optional[list[float]]
    mean_sha256: Optional[str]
    scale: float
    fallbacks: Optional[int] = left_out()  # in the manifest: images that were kept whole
    found_by: Optional[str] = left_out()  # how regions are found; None: the paper's way
    found_from: Optional[str] = left_out()  # which class map they are found from; None: a mean
    regions: Optional[str] = left_out()  # what images are cut by; None: the regions found
    regions_seed: Optional[int] = left_out()  # of random boxes

    @classmethod
    def of(  # noqa: PLR0917  as rewrite.rewrite has them
        cls,
        source: Split,
        net: Path,
        weights: Path,
        a_star: str,
        transform: Transform,
        batch: int,
        regions: Regions = FOUND,
    ) -> "Request":
        """The request for rewriting a split. Raises MaapError when a file is missing."""
        for file in (net, weights):
            if not Path(file).is_file():
                raise MaapError(
                    f"{file} does not exist; give the resolved rewrite net and the weights of the "
                    "phase before"
                )
        folder = Path(source.folder)
        mean = None if transform.mean is None else np.asarray(transform.mean, np.float32)
        small = None if mean is None or mean.size > 3 else mean.reshape(-1).tolist()
        names = ("manifest.json", f"{source.name}.csv")
        message = read_net(net)
        return cls(
            source=str(folder),
            split=source.name,
            records=len(source),
            source_sha256={name: file_sha256(folder / name) for name in names},
            net=FileNote(str(net), file_sha256(net)),
            weights=FileNote(str(weights), file_sha256(weights)),
            a_star=a_star,
            batch=batch,
            mean=small,
            mean_sha256=None if mean is None else hashlib.sha256(mean.tobytes()).hexdigest(),
            scale=float(transform.scale),
            found_by=_found_by(message),
            found_from=_found_from(message),
            regions=None if regions.how == "found" else regions.how,
            regions_seed=regions.seed if regions.how == "random" else None,
        )

    @property
    def cut_by(self) -> Regions:
        """What the images are cut by."""
        return Regions(self.regions or "found", self.regions_seed or 0)

    def makes_the_same_as(self, other: "Request") -> bool:
        """Whether both make the same records: where the files lie does not matter, their contents
        do."""
        return self._essence() == other._essence()

    def _essence(self) -> "Request":
        net, weights = FileNote("", self.net.sha256), FileNote("", self.weights.sha256)
        return dataclasses.replace(self, source="", net=net, weights=weights, fallbacks=None)


def _found_by(net: NetParameter) -> Optional[str]:
    """How the Elimination layer of a net finds regions, as its parameters say it."""
    if blocks.eliminated(net) is None:
        return None
    options = region_options_of(net)
    return None if options == PAPERS else options.text


def _found_from(net: NetParameter) -> Optional[str]:
    about = class_map_of(net)
    return None if about is None else about.source.title
