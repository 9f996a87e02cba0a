"""`maap.data.importers.folder` under its short name."""

from maap.data.importers.folder import IMPORTER, TEST_SHARE, import_folder

__all__ = ["IMPORTER", "TEST_SHARE", "import_folder"]
