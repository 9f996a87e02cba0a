"""Reading the .mat files in which some data sets keep their lists, with SciPy."""

from pathlib import Path
from typing import TYPE_CHECKING

from maap.errors import MaapError

if TYPE_CHECKING:
    import numpy as np


def read(path: Path, variable: str, where: str) -> "np.ndarray":
    """The array ``variable`` of a MATLAB file as (n,); dimensions of one are removed. A structure
    array has its fields as dtype names.

    ``where`` says where to get a whole copy. Raises MaapError: no such file, not a MATLAB file,
    no such variable, SciPy missing."""
    import numpy as np

    try:
        from scipy.io import loadmat
    except ImportError:
        raise MaapError(
            f"{path}: reading it takes SciPy; install it (pip install scipy, or python3-scipy)"
        ) from None
    if not path.is_file():
        raise MaapError(f"{path} is missing: the copy is incomplete; {where}")
    try:
        content: dict[str, np.ndarray] = loadmat(str(path), squeeze_me=True)
    except Exception as error:  # SciPy raises many kinds for damaged files
        text = " ".join(str(error).split()) or type(error).__name__
        raise MaapError(f"{path} is not a whole MATLAB file ({text}); {where}") from None
    if variable not in content:
        found = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        raise MaapError(f"{path} has no variable {variable} (it has {found}); {where}")
    return np.atleast_1d(content[variable])


def fields(
    array: "np.ndarray", names: tuple[str, ...], path: Path, where: str
) -> list[list[object]]:
    """The named fields of each element of a structure array. Raises MaapError for a missing one."""
    missing = [name for name in names if name not in (array.dtype.names or ())]
    if missing:
        has = ", ".join(array.dtype.names or ()) or "none"
        raise MaapError(f"{path} lacks {', '.join(missing)} (its fields: {has}); {where}")
    return [[element[name] for name in names] for element in array]


def whole_number(value: object, what: str, path: Path) -> int:
    """``value`` as an int. Raises MaapError naming ``what`` it should be."""
    try:
        number = int(value)
        if number == value:
            return number
    except (TypeError, ValueError):
        pass
    raise MaapError(f"{path}: {what} is {value!r}, not a whole number: the copy is damaged")
