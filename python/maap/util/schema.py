"""Caffe's message classes (``caffe.proto.caffe_pb2``) without the cost of ``import caffe``.

Python runs a package's ``__init__`` before any of its submodules, and Caffe's loads the whole
engine, scikit-image included: half a second to several seconds, in every worker process. The
messages need none of that, so while ``caffe.proto.caffe_pb2`` is imported an empty package of the
same name and path stands in for ``caffe``. The stand-in is taken away again: a later
``import caffe`` runs the real package and finds the messages already loaded, so that a process has
one set of message classes however it came by them.

    from maap.util.schema import caffe_pb2
    net = caffe_pb2.NetParameter()
"""

import importlib
import importlib.util
import sys
import types
from typing import TYPE_CHECKING, Any

from maap.errors import MaapError

_MESSAGES = "caffe.proto.caffe_pb2"


def _load_messages() -> Any:
    if "caffe" in sys.modules or _MESSAGES in sys.modules:
        return importlib.import_module(_MESSAGES)
    spec = importlib.util.find_spec("caffe")
    if spec is None or spec.submodule_search_locations is None:
        raise MaapError(
            "Python finds no package named caffe: run inside the Caffe host (the ./maap launcher "
            "does), or put the folder that holds pycaffe's `caffe` package on PYTHONPATH"
        )
    stand_in = types.ModuleType("caffe")
    stand_in.__path__ = list(spec.submodule_search_locations)  # type: ignore[attr-defined]
    sys.modules["caffe"] = stand_in
    try:
        return importlib.import_module(_MESSAGES)
    finally:
        del sys.modules["caffe"]


def attach(caffe: types.ModuleType) -> None:
    """Give a freshly imported ``caffe`` its attribute ``proto``.

    Python sets a submodule as its package's attribute when it loads it; here it was loaded
    before. A module that imports ``caffe`` for others calls this once afterwards.
    """
    caffe.proto = sys.modules["caffe.proto"]  # type: ignore[attr-defined]


caffe_pb2: Any = _load_messages()

if TYPE_CHECKING:
    from caffe.proto.caffe_pb2 import (
        BlobProto,
        BlobShape,
        ConvolutionParameter,
        DataParameter,
        Datum,
        InnerProductParameter,
        LayerParameter,
        NetParameter,
        NetStateRule,
        PoolingParameter,
        SolverParameter,
        TransformationParameter,
    )
else:
    BlobProto = caffe_pb2.BlobProto
    BlobShape = caffe_pb2.BlobShape
    ConvolutionParameter = caffe_pb2.ConvolutionParameter
    DataParameter = caffe_pb2.DataParameter
    Datum = caffe_pb2.Datum
    InnerProductParameter = caffe_pb2.InnerProductParameter
    LayerParameter = caffe_pb2.LayerParameter
    NetParameter = caffe_pb2.NetParameter
    NetStateRule = caffe_pb2.NetStateRule
    PoolingParameter = caffe_pb2.PoolingParameter
    SolverParameter = caffe_pb2.SolverParameter
    TransformationParameter = caffe_pb2.TransformationParameter
