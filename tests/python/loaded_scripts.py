"""Scripts that are no part of a package, as modules of tests."""

import importlib.util
import sys
from pathlib import Path
from typing import Optional


def load_script(path: Path, name: Optional[str] = None):
    """The module, also in sys.modules, under `name` or its file's."""
    spec = importlib.util.spec_from_file_location(name or path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks for it
    spec.loader.exec_module(module)
    return module
