"""ONNX: nets out, and simple classifiers in. Needs the packages onnx and onnxruntime.

``python -m caffe.onnx`` is the program. From Python:

    exported = caffe.onnx.export("deploy.prototxt", "net.caffemodel", batch="dynamic")
    onnx.save(exported.model, "net.onnx")
"""

from .convert import CannotSay
from .differences import Difference, check
from .exporting import Exported, convert, export
from .importing import to_caffe
from .reading import CannotRead

__all__ = [
    "CannotRead",
    "CannotSay",
    "Difference",
    "Exported",
    "check",
    "convert",
    "export",
    "to_caffe",
]
