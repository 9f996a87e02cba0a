"""Shapes in messages."""

from collections.abc import Iterable


def shape_text(shape: Iterable[int]) -> str:
    """A shape in words: "10 x 3 x 227 x 227"; "a single number" for one without axes."""
    return " x ".join(str(length) for length in shape) or "a single number"
