"""Starts Caffe's programs where pip installed them: as files of the package ``caffe``."""

import importlib.util
import os
import sys
from pathlib import Path

from maap.errors import MaapError


def program(name: str) -> Path:
    """The file of one of Caffe's programs, beside the pycaffe of this Python.

    Raises:
        MaapError: no pycaffe with programs is installed.
    """
    found = importlib.util.find_spec("caffe")  # which does not import it
    for folder in found.submodule_search_locations or () if found else ():
        file = Path(folder) / "bin" / name
        if file.is_file():
            return file
    raise MaapError(f"the program {name} is not installed with this Python's pycaffe")


def run() -> None:
    """Become the program that the command is named after, with its arguments."""
    name = Path(sys.argv[0]).name
    try:
        file = program(name)
    except MaapError as error:
        raise SystemExit(f"error: {error}") from None
    # As in `import caffe`: OpenBLAS's threads shall not spin on cores that the next layer needs.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")
    os.environ.setdefault("CAFFE_PYTHON", sys.executable)  # for layers in Python
    os.execv(file, [str(file), *sys.argv[1:]])
