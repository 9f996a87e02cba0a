"""pycaffe: Caffe from Python.

import caffe

caffe.set_mode_cpu()
net = caffe.Net("deploy.prototxt", caffe.TEST, weights="net.caffemodel")
solver = caffe.get_solver("solver.prototxt")
solver.step(100)
"""

import importlib
import os

# OpenBLAS reads this when it is loaded. Its threads spin for tens of milliseconds after a product,
# on cores that the next layers need; 2^16 cycles are enough between two products.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")

from . import engine_check, io
from ._caffe import (
    NCCL,
    Layer,
    dialect,
    get_solver,
    has_nccl,
    init_log,
    layer_type_list,
    load_layers,
    log,
    math_mode,
    set_device,
    set_dialect,
    set_math_mode,
    set_mode_cpu,
    set_mode_gpu,
    set_multiprocess,
    set_random_seed,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from .classifier import Classifier
from .detector import Detector
from .net_spec import NetSpec, layers, params, to_proto
from .proto.caffe_pb2 import TEST, TRAIN
from .pycaffe import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    CaffeError,
    NesterovSolver,
    Net,
    RMSPropSolver,
    SGDSolver,
    Timer,
)

del engine_check  # it has done its work
__version__ = "1.0.0"  # the version of Caffe that has this interface


def __getattr__(name: str) -> object:
    """caffe.dnn is imported when it is first used, because it needs OpenCV."""
    if name == "dnn":
        return importlib.import_module(".dnn", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "NCCL",
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "CaffeError",
    "Classifier",
    "Detector",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
    "dialect",
    "get_solver",
    "has_nccl",
    "init_log",
    "io",
    "layer_type_list",
    "layers",
    "load_layers",
    "log",
    "math_mode",
    "params",
    "set_device",
    "set_dialect",
    "set_math_mode",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
]
