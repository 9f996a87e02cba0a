"""Layers that work element by element, alone or on blobs of one shape."""

from __future__ import annotations

import math

from .convert import Conversion, converts

SIMPLE = {
    "AbsVal": "Abs",
    "BNLL": "Softplus",
    "Sigmoid": "Sigmoid",
    "TanH": "Tanh",
}


@converts("AbsVal", "BNLL", "Sigmoid", "TanH")
def simple(c: Conversion) -> str:
    """Types that are one operator without settings."""
    return c.op(SIMPLE[c.layer.type], c.bottoms[0])


@converts("Split")
def same(c: Conversion) -> list[str]:
    """Nothing happens to the values: the tops are the bottom's tensor."""
    return [c.bottoms[0]] * len(c.layer.top)


@converts("Dropout")
def dropout(c: Conversion) -> str:
    """Nothing in testing, or (without scale_train) what is dropped in training on average."""
    p = c.layer.dropout_param
    if p.sample_weights_test:
        raise c.refuse("it drops values in testing (sample_weights_test), each time others")
    return c.bottoms[0] if p.scale_train else c.scaled(c.bottoms[0], 1 - p.dropout_ratio)


@converts("Silence")
def nothing(c: Conversion) -> list[str]:
    """No tops."""
    return []


@converts("ReLU")
def relu(c: Conversion) -> str:
    """x for x > 0, else slope x."""
    slope = c.layer.relu_param.negative_slope
    if slope:
        return c.op("LeakyRelu", c.bottoms[0], alpha=slope)
    return c.op("Relu", c.bottoms[0])


@converts("ReLU6")
def relu6(c: Conversion) -> str:
    """min(max(x, 0) + slope min(x, 0), 6)."""
    p = c.layer.relu6_param
    x = c.bottoms[0]
    if p.negative_slope:
        leaky = c.op("LeakyRelu", x, alpha=p.negative_slope)
        return c.op("Min", leaky, c.constant(p.threshold, "threshold"))
    return c.op("Clip", x, c.constant(0, "min"), c.constant(p.threshold, "max"))


@converts("Clip")
def clip(c: Conversion) -> str:
    """Values limited to [min, max]."""
    p = c.layer.clip_param
    return c.op("Clip", c.bottoms[0], c.constant(p.min, "min"), c.constant(p.max, "max"))


@converts("ELU")
def elu(c: Conversion) -> str:
    """x for x > 0, else alpha (exp(x) - 1)."""
    return c.op("Elu", c.bottoms[0], alpha=c.layer.elu_param.alpha)


@converts("PReLU")
def prelu(c: Conversion) -> str:
    """x for x > 0, else a x with a learnt for each channel."""
    slope = c.weights[0].reshape(-1)
    shape = [slope.size, *[1] * (len(c.shape()) - 2)] if slope.size > 1 else [1]
    return c.op("PRelu", c.bottoms[0], c.constant(slope.reshape(shape), "slope"))


@converts("Swish")
def swish(c: Conversion) -> str:
    """x sigmoid(beta x)."""
    x = c.bottoms[0]
    return c.op("Mul", x, c.op("Sigmoid", c.scaled(x, c.layer.swish_param.beta)))


@converts("Power")
def power(c: Conversion) -> str:
    """(shift + scale x) ^ power."""
    p = c.layer.power_param
    inner = c.shifted(c.scaled(c.bottoms[0], p.scale), p.shift)
    if p.power == 1:
        return inner if inner != c.bottoms[0] else c.op("Identity", inner)
    if p.power == 2:
        return c.op("Mul", inner, inner)
    return c.op("Pow", inner, c.constant(p.power, "power"))


@converts("Exp")
def exp(c: Conversion) -> str:
    """base ^ (shift + scale x)."""
    p = c.layer.exp_param
    log = 1.0 if p.base == -1 else math.log(p.base)
    return c.op("Exp", c.shifted(c.scaled(c.bottoms[0], p.scale * log), p.shift * log))


@converts("Log")
def log(c: Conversion) -> str:
    """log of base (shift + scale x)."""
    p = c.layer.log_param
    inner = c.op("Log", c.shifted(c.scaled(c.bottoms[0], p.scale), p.shift))
    return inner if p.base == -1 else c.scaled(inner, 1 / math.log(p.base))


@converts("Threshold")
def threshold(c: Conversion) -> str:
    """1 for x > threshold, else 0."""
    limit = c.constant(c.layer.threshold_param.threshold, "threshold")
    return c.cast(c.op("Greater", c.bottoms[0], limit), "float")


@converts("Eltwise")
def eltwise(c: Conversion) -> str:
    """The product, the weighted sum or the maximum of the bottoms."""
    p = c.layer.eltwise_param
    names = {p.PROD: "Mul", p.SUM: "Add", p.MAX: "Max"}
    if p.operation not in names:
        raise c.refuse(f"operation {p.EltwiseOp.Name(p.operation)} has no converter")
    terms = list(c.bottoms)
    if p.operation == p.SUM and p.coeff:
        terms = [c.scaled(x, factor) for x, factor in zip(terms, p.coeff)]
    result = terms[0]
    for term in terms[1:]:
        result = c.op(names[p.operation], result, term)
    return result


@converts("Axpy")
def axpy(c: Conversion) -> str:
    """a x + y with a factor for each image and channel."""
    factor, x, y = c.bottoms
    missing = len(c.shape(1)) - len(c.shape(0))
    factor = c.unsqueeze(factor, [2 + i for i in range(missing)])
    return c.op("Add", c.op("Mul", factor, x), y)


@converts("HardSwish", "HSwish")
def hard_swish(c: Conversion) -> str:
    """x min(max(x + 3, 0), 6) / 6."""
    x = c.bottoms[0]
    gate = c.op("Clip", c.shifted(x, 3), c.constant(0, "min"), c.constant(6, "max"))
    return c.scaled(c.op("Mul", x, gate), 1 / 6)


@converts("Mish")
def mish(c: Conversion) -> str:
    """x tanh(log(1 + exp(x)))."""
    x = c.bottoms[0]
    return c.op("Mul", x, c.op("Tanh", c.op("Softplus", x)))
