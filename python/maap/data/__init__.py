"""Data sets: making them (``make_demo``, ``import_cub``, ``import_folder``), reading them
(``Dataset``, ``Split``), feeding a network from them (``Feeder``).

The names load on first use, so that a worker process imports only what it needs.
"""

import importlib
from typing import Any

_WHERE = {
    "Dataset": "store",
    "Split": "store",
    "Feeder": "feeder",
    "Transform": "feeder",
    "make_demo": "demo",
    "import_cub": "cub",
    "import_folder": "folder",
}
__all__ = [
    "Dataset",
    "Feeder",
    "Split",
    "Transform",
    "import_cub",
    "import_folder",
    "make_demo",
]  # noqa: F822  they come by __getattr__


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
