"""Loads every module of converters, so that the table of ``convert`` is full."""

from . import (
    attention,
    convolutions,
    detection,
    elementwise,
    geometry,
    normalization,
    pooling,
    products,
    recurrent,
    regions,
    reordering,
    resizing,
)

__all__ = [
    "attention",
    "convolutions",
    "detection",
    "elementwise",
    "geometry",
    "normalization",
    "pooling",
    "products",
    "recurrent",
    "regions",
    "reordering",
    "resizing",
]
