"""The types of the settings' values."""

from typing import Union

Value = Union[None, bool, int, float, str, list[int]]  # of a setting; None: the default
Settings = dict[str, Value]  # by the names of TrainConfig's fields
