"""The messages of caffe/proto/caffe.proto: NetParameter, LayerParameter, SolverParameter, Datum ...

>>> from caffe.proto import caffe_pb2
>>> net = caffe_pb2.NetParameter(name="tiny")
>>> caffe_pb2.TEST, caffe_pb2.Phase.Name(0), caffe_pb2.PoolingParameter.MAX
(1, 'TRAIN', 0)
"""

from .schema import names_of as _names_of

globals().update(_names_of("caffe/proto/caffe.proto", __name__))
