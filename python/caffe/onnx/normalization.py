"""Layers that normalise: LRN, BatchNorm, BN, MVN, Normalize, Softmax; Scale and Bias."""

from __future__ import annotations

import numpy as np

from . import pooling
from .convert import Conversion, converts


@converts("LRN")
def lrn(c: Conversion) -> str:
    """x / (k + alpha/n * sum of x^2 over n neighbours) ^ beta, across or within channels."""
    p = c.layer.lrn_param
    x = c.bottoms[0]
    if p.norm_region == p.ACROSS_CHANNELS:
        return c.op("LRN", x, size=p.local_size, alpha=p.alpha, beta=p.beta, bias=p.k)
    pad = (p.local_size - 1) // 2
    windows = [
        pooling.Window(c.length(axis), p.local_size, 1, pad, c.length(axis)) for axis in (2, 3)
    ]
    squares = pooling.mean(c, c.op("Mul", x, x), windows)
    base = c.shifted(c.scaled(squares, p.alpha), 1)
    return c.op("Mul", x, c.op("Pow", base, c.constant(-p.beta, "power")))


def _by_channel(c: Conversion, values: np.ndarray, what: str) -> str:
    """A value for each channel, for a bottom of any number of axes."""
    return c.constant(values.reshape(-1, *[1] * (len(c.shape()) - 2)), what)


def _batch_statistics(c: Conversion, eps: float) -> tuple[str, str, str]:
    """(x - mean) / sqrt(variance + eps) with the batch's own statistics, and these."""
    axes = [0, *range(2, len(c.shape()))]
    mean = c.reduce("Mean", c.bottoms[0], axes)
    centred = c.op("Sub", c.bottoms[0], mean)
    variance = c.reduce("Mean", c.op("Mul", centred, centred), axes)
    return c.op("Div", centred, c.op("Sqrt", c.shifted(variance, eps))), mean, variance


@converts("BatchNorm")
def batch_norm(c: Conversion) -> str:
    """Normalises by the stored statistics, or by the batch's where the net says so."""
    p = c.layer.batch_norm_param
    if len(c.shape()) < 2:
        raise c.refuse("its bottom has no axis of channels")
    if len(c.weights) not in (3, 5):
        raise c.refuse(f"it has {len(c.weights)} blobs of weights, not 3 or 5")
    learnt = c.weights[3:]  # of NVIDIA's fork: scale and bias
    if p.HasField("use_global_stats") and not p.use_global_stats:
        normalised = _batch_statistics(c, p.eps)[0]
        if not learnt:
            return normalised
        scaled = c.op("Mul", normalised, _by_channel(c, learnt[0], "scale"))
        return c.op("Add", scaled, _by_channel(c, learnt[1], "bias"))
    factor = float(c.weights[2].reshape(-1)[0])
    mean, variance = (w.reshape(-1) * (1 / factor if factor else 0) for w in c.weights[:2])
    scale, bias = learnt or (np.ones_like(mean), np.zeros_like(mean))
    return _stored(c, scale, bias, mean, variance, p.eps)


def _stored(
    c: Conversion, scale: np.ndarray, bias: np.ndarray, mean: np.ndarray, variance: np.ndarray,
    eps: float,
) -> str:  # fmt: skip
    parts = {"scale": scale, "bias": bias, "mean": mean, "variance": variance}
    tensors = [c.constant(value.reshape(-1), what) for what, value in parts.items()]
    return c.op("BatchNormalization", c.bottoms[0], *tensors, epsilon=eps)


@converts("BN")
def bn(c: Conversion) -> list[str]:
    """PSPNet's BN (four blobs, with running statistics), or SegNet's (two, without)."""
    p = c.layer.bn_param
    if len(c.weights) == 4:
        return [_stored(c, *c.weights, p.eps)]
    own = (c.bottoms[0],) if p.bn_mode == p.INFERENCE else _batch_statistics(c, 1e-9)
    scaled = c.op("Mul", own[0], _by_channel(c, c.weights[0], "scale"))
    tops = [c.op("Add", scaled, _by_channel(c, c.weights[1], "shift")), *own[1:]]
    return tops[: len(c.layer.top)]


@converts("MVN")
def mvn(c: Conversion) -> str:
    """x minus its mean, and divided by (deviation + eps), for each image or each channel."""
    p = c.layer.mvn_param
    axes = list(range(1 if p.across_channels else 2, len(c.shape())))
    if not axes:
        raise c.refuse("its bottom has no axes to normalise over")
    centred = c.op("Sub", c.bottoms[0], c.reduce("Mean", c.bottoms[0], axes))
    if not p.normalize_variance:
        return centred
    variance = c.reduce("Mean", c.op("Mul", centred, centred), axes)
    return c.op("Div", centred, c.shifted(c.op("Sqrt", variance), p.eps))


@converts("Normalize")
def normalize(c: Conversion) -> list[str]:
    """SSD's: by the L2 norm with a learnt scale; happynear's: by L2 or L1 over channels."""
    x = c.bottoms[0]
    if not c.weights:
        return _normalize_without_scale(c)
    p = c.layer.norm_param
    axes = list(range(1, len(c.shape()))) if p.across_spatial else [1]
    squares = c.reduce("Sum", c.op("Mul", x, x), axes)
    norm = c.op("Sqrt", c.shifted(squares, p.eps))
    scale = c.weights[0].reshape(-1)
    factor = c.constant(scale, "scale") if scale.size == 1 else _by_channel(c, scale, "scale")
    return [c.op("Mul", c.op("Div", x, norm), factor)]


def _normalize_without_scale(c: Conversion) -> list[str]:
    p, x, eps = c.layer.normalize_param, c.bottoms[0], 1e-6
    if p.normalize_type == "L2":
        squares = c.reduce("Sum", c.op("Mul", x, x), [1])
        norm = c.op("Sqrt", c.shifted(squares, eps))
    elif p.normalize_type == "L1":
        norm = c.shifted(c.reduce("Sum", c.op("Abs", x), [1]), eps)
    else:
        raise c.refuse(f"normalize_type {p.normalize_type!r} has no converter")
    return [c.op("Div", x, norm), norm][: len(c.layer.top)]


@converts("Softmax")
def softmax(c: Conversion) -> str:
    """exp(x) divided by its sum along an axis."""
    return c.op("Softmax", c.bottoms[0], axis=c.axis(c.layer.softmax_param.axis))


def _second(c: Conversion, axis: int, learnt: int) -> str:
    """What Scale or Bias applies: the second bottom or a learnt blob, brought to its axes."""
    rank = len(c.shape())
    if len(c.bottoms) > 1:
        other = len(c.shape(1))
        behind = rank - axis - other if other else 0
        return c.unsqueeze(c.bottoms[1], [other + i for i in range(behind)])
    values = c.weights[learnt]
    behind = rank - axis - values.ndim
    return c.constant(values.reshape([*values.shape, *[1] * behind]), c.layer.type.lower())


@converts("Bias")
def bias(c: Conversion) -> str:
    """Adds a learnt blob, or the second bottom."""
    return c.op("Add", c.bottoms[0], _second(c, c.axis(c.layer.bias_param.axis), 0))


@converts("Scale")
def scale(c: Conversion) -> str:
    """Multiplies by a learnt blob or the second bottom; may add another learnt blob."""
    p = c.layer.scale_param
    axis = c.axis(p.axis)
    y = c.op("Mul", c.bottoms[0], _second(c, axis, 0))
    if not p.bias_term:
        return y
    values = c.weights[-1]
    behind = len(c.shape()) - axis - values.ndim if values.ndim else 0
    return c.op("Add", y, c.constant(values.reshape([*values.shape, *[1] * behind]), "bias"))
