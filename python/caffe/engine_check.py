"""Says what to do when the engine, pycaffe's extension, cannot be loaded. Imported before all else.

The usual reasons: the folder python/ of a checkout is on Python's path instead of a build's; the
extension was built for another Python; libcaffe.so is somewhere else, or is another Caffe's.
"""

from __future__ import annotations

import re
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

HERE = Path(__file__).parent
THIS_PYTHON = "Python {}.{}".format(*sys.version_info[:2])


def _how_to_build() -> str:
    """What to do in the checkout that this file belongs to, if it does."""
    checkout = HERE.resolve().parents[1]
    if not (checkout / "maap").is_file():
        return "install maap-caffe again, with pip install . in its checkout"
    built = checkout / "build/fork/python"
    if built.resolve() != HERE.parent.resolve() and list(built.glob("caffe/_caffe*")):
        return f"use the one that is built: {checkout}/maap python, or PYTHONPATH={built}"
    return f"build it with {checkout}/maap setup, then use {checkout}/maap python; or pip install ."


def missing_extension() -> str:
    """The message where this folder has no extension that this Python can load."""
    others = sorted(
        match.group(1)
        for path in HERE.glob("_caffe.*")
        if (match := re.match(r"_caffe\.cpython-(\d+)", path.name))
    )
    if others:
        built_for = " and ".join(f"Python {version[0]}.{version[1:]}" for version in others)
        return (
            f"pycaffe in {HERE} is built for {built_for}, and this is {THIS_PYTHON}: run it with "
            "that one, or build for this one (cmake -DPython_EXECUTABLE=..., or pip install .)"
        )
    return f"pycaffe is not built in {HERE}: {_how_to_build()}"


def not_loaded(error: ImportError) -> str:
    """The message where the extension is there but the system cannot load it."""
    text = str(error)
    if "libcaffe.so" in text and "cannot open" in text:
        return (
            f"{text}: pycaffe was moved away from its library. Add the folder of libcaffe.so to "
            f"LD_LIBRARY_PATH, or {_how_to_build()}"
        )
    if "undefined symbol" in text or "version `" in text:
        return (
            f"{text}: another libcaffe.so than pycaffe's was found. Take its folder out of "
            f"LD_LIBRARY_PATH and LD_PRELOAD, or {_how_to_build()}"
        )
    return (
        f"{text}: a library that pycaffe needs cannot be loaded. Install it, or {_how_to_build()}"
    )


def check() -> None:
    """Load the extension. Raises ImportError that says what to do."""
    for module, package in [("numpy", "numpy"), ("google.protobuf", "protobuf")]:
        try:
            __import__(module)
        except ModuleNotFoundError as error:
            raise ImportError(f"pycaffe needs {package}: pip install {package} ({error})") from None
    if not any((HERE / f"_caffe{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
        raise ImportError(missing_extension())
    if not (HERE / "proto/schema.bin").exists():
        raise ImportError(f"{HERE}/proto/schema.bin is missing: {_how_to_build()}")
    try:
        from . import _caffe  # noqa: F401
    except ImportError as error:
        raise ImportError(not_loaded(error)) from None


check()
