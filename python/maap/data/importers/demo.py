"""The built-in demo set: real bird cut-outs on real photographs.

How they are drawn is in `maap.data.importing.demo_pictures`, where the originals come from in
`maap.data.importing.demo_sources`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from maap.data.importer import Importer, Option
from maap.data.importers.demo_hard import CODE, NUMBERS, make_demo_hard
from maap.data.importing.demo_set import Drawn, draw

if TYPE_CHECKING:
    from maap.data.importing.demo_pictures import Look
    from maap.data.store import Dataset


def make_demo(
    out: Path,
    cache: Optional[Path] = None,
    *,
    hard: bool = False,
    seed: int = 1,
    species: Optional[int] = None,
    per_species_train: Optional[int] = None,
    per_species_test: Optional[int] = None,
    size: int = 256,
    look: Optional["Look"] = None,
    package: Optional[Path] = None,
) -> "Dataset":
    """Make the demo data set ``out``; what ``maap data demo`` calls.

    cache: folder that keeps the downloaded pictures (default: ~/.cache/maap). hard: the set of
    `make_demo_hard`. seed: of all the pictures and their order. species: how many (10), of
    ``SPECIES`` in that order. per_species_train, per_species_test: images of each (60, 20). size:
    pixels a side of the stored square images. look: how much the images vary. package: the .deb
    with the cut-outs, instead of a download. ``out/original`` keeps the images as made, in
    CUB-200-2011's layout, with a NOTICE of the sources.
    Raises MaapError when the pictures cannot be fetched, a number is out of range, or ``out``
    exists.
    """
    numbers = dict(
        species=species, per_species_train=per_species_train, per_species_test=per_species_test
    )
    given = {name: number for name, number in numbers.items() if number is not None}
    if hard:
        return make_demo_hard(out, cache, seed=seed, size=size, look=look, package=package, **given)
    from maap.data.importing import demo_pictures, demo_sources

    counts = {
        "train": given.get("per_species_train", 60),
        "test": given.get("per_species_test", 20),
    }
    drawn = Drawn(
        "demo",
        demo_pictures.NOTE,
        demo_sources.BIRDS,
        demo_pictures.SPECIES,
        clutter={},
        number=given.get("species", 10),
        counts=counts,
        look=look or demo_pictures.LOOK,
    )
    return draw(drawn, out, cache, seed=seed, size=size, package=package)


IMPORTER = Importer(
    name="demo",
    title="the demo set",
    help="""Bird cut-outs on photographs (downloaded from Debian once).

    The numbers left out are those of the set that `maap train` uses.
    """,
    make=make_demo,
    options=(Option("--hard", "hard", "The set demo_hard.", is_flag=True), *NUMBERS),
    built_in=True,
    boxed=True,
    code=("maap.data.importers.demo", *CODE),
)
