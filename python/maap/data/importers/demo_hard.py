"""The harder demo set: many animals, few training images of each, small and large, in clutter.

How they are drawn is in `maap.data.importing.demo_pictures`, which animals and what clutter in
`maap.data.importing.demo_hard_pictures`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from maap.data.importer import Importer, Option
from maap.data.importing.demo_set import Drawn, draw

if TYPE_CHECKING:
    from maap.data.importing.demo_pictures import Look
    from maap.data.store import Dataset


def make_demo_hard(
    out: Path,
    cache: Optional[Path] = None,
    *,
    seed: int = 1,
    species: int = 100,
    per_species_train: int = 6,
    per_species_test: int = 5,
    size: int = 256,
    look: Optional["Look"] = None,
    package: Optional[Path] = None,
) -> "Dataset":
    """Make the harder demo set ``out``; what ``maap data demo_hard`` calls.

    The arguments, and what is raised, as in `make_demo`; species: of ``ANIMALS``.
    """
    from maap.data.importing import demo_hard_pictures, demo_sources

    drawn = Drawn(
        "demo_hard",
        demo_hard_pictures.NOTE,
        demo_sources.STAMPS,
        demo_hard_pictures.ANIMALS,
        clutter=demo_hard_pictures.CLUTTER,
        number=species,
        counts={"train": per_species_train, "test": per_species_test},
        look=look or demo_hard_pictures.LOOK,
        most=512,
    )
    return draw(drawn, out, cache, seed=seed, size=size, package=package)


# Of both demo sets: the options of their commands, and the modules that decide what is in them.
NUMBERS = (
    Option("--species", "species", "How many classes."),
    Option("--train", "per_species_train", "Training images of each class."),
    Option("--test", "per_species_test", "Test images of each class."),
)
CODE = (
    "maap.data.importing.demo_pictures",
    "maap.data.importing.demo_set",
    "maap.data.importing.demo_sources",
    "maap.data.importing.images",
    "maap.images.pixels",
)

IMPORTER = Importer(
    name="demo_hard",
    title="the harder demo set",
    help="""Many animals, small and large, among other things on photographs.

    The cut-outs are downloaded from Debian once. The numbers left out are those of the set that
    `maap train --data demo_hard` uses.
    """,
    make=make_demo_hard,
    options=NUMBERS,
    built_in=True,
    boxed=True,
    code=("maap.data.importers.demo_hard", "maap.data.importing.demo_hard_pictures", *CODE),
)
