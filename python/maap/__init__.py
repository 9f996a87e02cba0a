"""MAAP for Caffe: the training of "Multi-attention Guided Activation Propagation in CNNs".

    import maap
    result = maap.train(maap.TrainConfig(net="alexnet", data="demo", seed=1))

does what ``maap train alexnet --seed 1`` does. Nothing heavy is loaded before it is needed.
"""

import importlib
from typing import Any

__version__ = "0.2.0"
__all__ = ["MaapError", "TrainConfig", "train"]

_HOMES = {
    "MaapError": "maap.errors",
    "TrainConfig": "maap.config.fields",
    "train": "maap.training.train",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'maap' has no attribute {name!r}")
