"""`maap.data.importers.demo` under its short name."""

from maap.data.importers.demo import IMPORTER, make_demo

__all__ = ["IMPORTER", "make_demo"]
