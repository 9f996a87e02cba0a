"""Draws a demo set and stores it: what the importers of demo sets share."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from maap.errors import MaapError
from maap.util.files import default_cache

if TYPE_CHECKING:
    from maap.data.importing.demo_pictures import Look
    from maap.data.importing.demo_sources import Cutouts
    from maap.data.store import Dataset


@dataclass(frozen=True)
class Drawn:
    """A set to draw. kind: its importer's name. note: what one must know of it. classes: the paths
    of the cut-outs that it can have, of which the first ``number`` are drawn. clutter, most: as in
    `demo_pictures.Pictures`. counts: images of each class, for "train" and "test"."""

    kind: str
    note: str
    cutouts: "Cutouts"
    classes: tuple[str, ...]
    clutter: dict[str, tuple[str, ...]]
    number: int
    counts: dict[str, int]
    look: "Look"
    most: Optional[int] = None

    def check(self) -> None:
        """Raises MaapError when a number is out of range."""
        known = len(self.classes)
        if not 2 <= self.number <= known:
            raise MaapError(f"the {self.kind} set can have 2 to {known} classes, not {self.number}")
        if min(self.counts.values()) < 1:
            raise MaapError(
                f"the {self.kind} set needs at least one training and one test image per class"
            )


def draw(
    drawn: Drawn, out: Path, cache: Optional[Path], *, seed: int, size: int, package: Optional[Path]
) -> "Dataset":
    """Make the data set ``out``; cache, seed, size and package as in `make_demo`."""
    from maap.data import write
    from maap.data.disk import disk_full_is_error
    from maap.data.importers import cub
    from maap.data.importing import demo_pictures, demo_sources
    from maap.data.importing.images import About, Storage, write_layout
    from maap.data.importing.layout import Expected, check_layout
    from maap.data.store import Dataset

    drawn.check()
    storage = Storage(size, orient=False).check()
    classes = drawn.classes[: drawn.number]
    with write.making(out) as partial:
        where = Path(cache) if cache else default_cache()
        folder = demo_sources.cutouts(where, package, drawn.cutouts)
        pictures = demo_pictures.Pictures(folder, drawn.classes, drawn.clutter, drawn.most)
        layout = partial / "original"
        with disk_full_is_error(partial, str(layout)):
            demo_pictures.make_layout(
                layout,
                pictures,
                seed=seed,
                classes=classes,
                counts=drawn.counts,
                look=drawn.look,
                note=drawn.note,
            )
        counts = {split: drawn.number * count for split, count in drawn.counts.items()}
        expected = Expected(drawn.number, counts["train"], counts["test"])
        made = check_layout(cub.read_lists(layout), layout, cub.CUB.expecting(expected))
        names = [name.rpartition("/")[2] for name in classes]
        source = {"species": names, "look": asdict(drawn.look)}
        about = About(drawn.kind, drawn.kind, drawn.note, source)
        manifest = write_layout(made, partial, storage, seed=seed, about=about)
        write.finish(partial, Path(out), manifest)
    return Dataset.open(out)
