"""The MAAP layers: Enhancement, and Elimination where it needs no region."""

from __future__ import annotations

from .convert import Conversion, converts


def _attention(c: Conversion, features: str) -> str:
    """A, the logistic of the mean over the channels."""
    return c.op("Sigmoid", c.reduce("Mean", features, [1]))


@converts("Enhancement")
def enhancement(c: Conversion) -> list[str]:
    """F' = (1 + A) F; A itself as a second top."""
    a = _attention(c, c.bottoms[0])
    enhanced = c.op("Mul", c.bottoms[0], c.shifted(a, 1))
    return [enhanced, a][: len(c.layer.top)]
