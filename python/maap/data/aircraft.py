"""`maap.data.importers.aircraft` under its short name."""

from maap.data.importers.aircraft import AIRCRAFT, IMPORTER, import_aircraft, read_aircraft

__all__ = ["AIRCRAFT", "IMPORTER", "import_aircraft", "read_aircraft"]
