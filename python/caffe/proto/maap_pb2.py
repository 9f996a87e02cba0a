"""The messages of kernels/maap.proto: EnhancementParameter and EliminationParameter."""

from .schema import names_of as _names_of

globals().update(_names_of("kernels/maap.proto", __name__))
