"""How the Elimination layer finds a region: its parameters beside A*, as settings name them.

The defaults are the paper's choice. The layer's own names are in ``kernels/maap.proto``; a test
holds them together. NumPy is not imported here, because the command line reads this file whenever
it starts.
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import Union

from maap.errors import MaapError

THRESHOLD_AT = ("input", "map")
THRESHOLDS = ("otsu", "mean", "fraction")
COMPONENTS = ("largest", "strongest")
CONNECTIVITIES = (4, 8)
MOST_PADDING = 10

Option = Union[str, int, float]


@dataclass(frozen=True)
class RegionOptions:
    """The settings of `config.fields` with these names, which say what each does."""

    threshold_at: str = "input"
    threshold: str = "otsu"
    threshold_fraction: float = 0.5
    component: str = "largest"
    connectivity: int = 8
    padding: float = 0.0
    border: int = 0

    @classmethod
    def of(cls, settings: object) -> "RegionOptions":
        """Those of a TrainConfig, or of anything that has all these attributes."""
        return cls(**{name: getattr(settings, name) for name in NAMES})

    @classmethod
    def read(cls, text: str) -> "RegionOptions":
        """Those of a layer's parameters, from their text; what they do not say is the default."""
        found: dict[str, Option] = {}
        for name, value in re.findall(r"(\w+)\s*:\s*\"?([\w.+-]+)", text):
            name = _SETTING.get(name, name)
            if name in NAMES:
                kind = type(getattr(cls, name))
                found[name] = value.lower() if kind is str else kind(value)
        return cls(**found)

    def changed(self, options: object) -> "RegionOptions":
        """These, with those attributes of ``options`` that are there and not None. Another
        threshold than fraction leaves these ones' fraction behind."""
        given = {name: getattr(options, name, None) for name in NAMES}
        given = {name: value for name, value in given.items() if value is not None}
        if given.get("threshold", "fraction") != "fraction":
            given.setdefault("threshold_fraction", type(self).threshold_fraction)
        return dataclasses.replace(self, **given)

    @property
    def text(self) -> str:
        """The layer's parameters: ``threshold_at``, and whatever is not the default."""
        words = [f"threshold_at: {self.threshold_at.upper()}"]
        for name in NAMES[1:]:
            value = getattr(self, name)
            if value != getattr(type(self), name):
                words.append(f"{_FIELD.get(name, name)}: {str(value).upper()}")
        return " ".join(words)

    def check(self) -> "RegionOptions":
        """Itself. Raises MaapError for a value that the layer does not take, and for a fraction
        that nothing would use."""
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise MaapError(f"setting {name}: {value!r} is none of {_listed(known)}")
        if not 0 <= self.threshold_fraction < 1:
            raise MaapError(
                f"setting threshold_fraction: {self.threshold_fraction}; give 0 to less than 1"
            )
        if self.threshold != "fraction" and self.threshold_fraction != PAPERS.threshold_fraction:
            raise MaapError(
                f"threshold_fraction is for threshold fraction, not for {self.threshold}: give "
                "--threshold fraction"
            )
        if not 0 <= self.padding <= MOST_PADDING:
            raise MaapError(f"setting padding: {self.padding}; give 0 to {MOST_PADDING}")
        if self.border < 0:
            raise MaapError(f"setting border: {self.border} is too small; give at least 0")
        return self


PAPERS = RegionOptions()
_CHOICES: dict[str, tuple[Option, ...]] = {
    "threshold_at": THRESHOLD_AT,
    "threshold": THRESHOLDS,
    "component": COMPONENTS,
    "connectivity": CONNECTIVITIES,
}
NAMES = tuple(field.name for field in dataclasses.fields(RegionOptions))
_FIELD = {"threshold_fraction": "fraction"}  # of the layer, where it is not the setting's name
_SETTING = {field: name for name, field in _FIELD.items()}


def _listed(known: tuple[Option, ...]) -> str:
    return ", ".join(map(str, known))
