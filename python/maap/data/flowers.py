"""`maap.data.importers.flowers` under its short name."""

from maap.data.importers.flowers import FLOWERS, IMPORTER, import_flowers, read_flowers

__all__ = ["FLOWERS", "IMPORTER", "import_flowers", "read_flowers"]
