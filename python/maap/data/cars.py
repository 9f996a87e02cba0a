"""`maap.data.importers.cars` under its short name."""

from maap.data.importers.cars import CARS, IMPORTER, import_cars, read_cars

__all__ = ["CARS", "IMPORTER", "import_cars", "read_cars"]
