"""The built-in demo set: real bird cut-outs on real photographs.

How they are drawn is in `maap.data.importing.demo_pictures`, where the originals come from in
`maap.data.importing.demo_sources`.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from maap.data.importer import Importer, Option
from maap.data.importers import cub
from maap.data.importing.layout import Expected, check_layout
from maap.errors import MaapError
from maap.util.files import default_cache

if TYPE_CHECKING:
    from maap.data.importing.demo_pictures import Look
    from maap.data.store import Dataset


def make_demo(
    out: Path,
    cache: Optional[Path] = None,
    *,
    seed: int = 1,
    species: int = 10,
    per_species_train: int = 60,
    per_species_test: int = 20,
    size: int = 256,
    look: Optional["Look"] = None,
    package: Optional[Path] = None,
) -> "Dataset":
    """Make the demo data set ``out``; what ``maap data demo`` calls.

    cache: folder that keeps the downloaded pictures (default: ~/.cache/maap). seed: of all the
    pictures and their order. species: how many, of ``SPECIES`` in that order. per_species_train,
    per_species_test: images of each. size: pixels a side of the stored square images. look: how
    much the images vary. package: the .deb with the cut-outs, instead of a download.
    ``out/original`` keeps the images as made, in CUB-200-2011's layout, with a NOTICE of the
    sources.
    Raises MaapError when the pictures cannot be fetched, a number is out of range, or ``out``
    exists.
    """
    from maap.data import write
    from maap.data.disk import disk_full_is_error
    from maap.data.importing import demo_pictures, demo_sources
    from maap.data.importing.images import About, Storage, write_layout
    from maap.data.store import Dataset

    known = demo_pictures.SPECIES
    _check_counts(species, len(known), per_species_train, per_species_test)
    look = look or demo_pictures.LOOK
    storage = Storage(size, orient=False).check()
    with write.making(out) as partial:
        birds = demo_sources.cutouts(Path(cache) if cache else default_cache(), package)
        layout = partial / "original"
        counts = {"train": per_species_train, "test": per_species_test}
        with disk_full_is_error(partial, str(layout)):
            demo_pictures.make_layout(
                layout, birds, seed=seed, species=known[:species], counts=counts, look=look
            )
        expected = Expected(species, species * per_species_train, species * per_species_test)
        made = check_layout(cub.read_lists(layout), layout, cub.CUB.expecting(expected))
        source = {"species": list(known[:species]), "look": asdict(look)}
        about = About("demo", "demo", demo_pictures.NOTE, source)
        manifest = write_layout(made, partial, storage, seed=seed, about=about)
        write.finish(partial, Path(out), manifest)
    return Dataset.open(out)


def _check_counts(species: int, known: int, train: int, test: int) -> None:
    if not 2 <= species <= known:
        raise MaapError(f"the demo set can have 2 to {known} species, not {species}")
    if train < 1 or test < 1:
        raise MaapError("the demo set needs at least one training and one test image per species")


IMPORTER = Importer(
    name="demo",
    title="the demo set",
    help="""Bird cut-outs on photographs (downloaded from Debian once).

    The numbers left out are those of the set that `maap train` uses.
    """,
    make=make_demo,
    options=(
        Option("--species", "species", "How many classes."),
        Option("--train", "per_species_train", "Training images of each species."),
        Option("--test", "per_species_test", "Test images of each species."),
    ),
    built_in=True,
    code=(
        "maap.data.importers.demo",
        "maap.data.importing.demo_pictures",
        "maap.data.importing.demo_sources",
        "maap.data.importing.images",
        "maap.images.pixels",
    ),
)
