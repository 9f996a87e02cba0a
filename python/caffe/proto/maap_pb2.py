"""The messages of caffe_layers/maap.proto: EnhancementParameter and EliminationParameter."""

from .schema import names_of as _names_of

globals().update(_names_of("caffe_layers/maap.proto", __name__))
