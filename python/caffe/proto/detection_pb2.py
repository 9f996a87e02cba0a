"""What the forks for object detection add; ``caffe_pb2`` has the same classes."""

from . import caffe_pb2 as _caffe_pb2
from .schema import names_of as _names_of

_own = _names_of("caffe/proto/detection.proto", _caffe_pb2.__name__)
globals().update(_own)
