"""Which kinds of data sets there are, found without loading what makes them."""

import pkgutil

from maap.data import importers

REWRITTEN = "rewritten"  # by `maap rewrite` or a run, from a set of another kind


def importer_names() -> tuple[str, ...]:
    """The modules of `maap.data.importers`: each has an importer of its own name."""
    return tuple(module.name for module in pkgutil.iter_modules(importers.__path__))
