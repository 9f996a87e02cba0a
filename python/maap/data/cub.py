"""`maap.data.importers.cub` under its short name."""

from maap.data.importers.cub import CUB, IMPORTER, import_cub, read_cub, read_lists

__all__ = ["CUB", "IMPORTER", "import_cub", "read_cub", "read_lists"]
