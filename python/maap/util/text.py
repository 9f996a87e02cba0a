"""Words that several rooms say in the same way: the nearest name, a duration, a size, a value."""

import difflib
from collections.abc import Iterable
from typing import Optional

_MOST_KNOWN = 20  # names that a message lists


def nearest(
    name: str, known: Iterable[str], otherwise: Optional[str] = None, most: int = 2, quote: str = ""
) -> str:
    """ "did you mean X?" with up to ``most`` names, or else ``otherwise``, or the known
    names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=most, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(quote + each + quote for each in near)}?"
    if otherwise is not None:
        return otherwise
    if len(names) > _MOST_KNOWN:
        return f"known: {', '.join(names[:_MOST_KNOWN])} and {len(names) - _MOST_KNOWN} more"
    return f"known: {', '.join(names)}" if names else "there is none"


def duration(seconds: float, tenths: bool = True) -> str:
    """Seconds as 7.2 s (7 s without ``tenths``), 45 s, 3 min 20 s or 2 h 05 min."""
    if tenths and round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def times(numbers: Iterable[int]) -> str:
    """A shape or a size as ``3 x 227 x 227``."""
    return " x ".join(str(int(number)) for number in numbers)


def plain(value: object) -> str:
    """A value as a configuration file has it: true, 0.1, text; a list with commas; none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "none"
    return str(value)
