"""Layers that make each value of one value."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from .layer import Layer, Shape, layer, one


@layer("ReLU")
class ReLU(Layer):
    """y = x where x > 0, else negative_slope x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        slope = self.param.relu_param.negative_slope
        return F.leaky_relu(x, slope) if slope else F.relu(x)


@layer("PReLU")
class PReLU(Layer):
    """ReLU whose slope is learnt: weight, one value for each channel or for all."""

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.prelu_param
        filler = param.filler if param.HasField("filler") else one(0.25)
        self.learn("weight", () if param.channel_shared else (shapes[0][1],), filler)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.prelu(x, self.weight.reshape(-1))


@layer("ELU")
class ELU(Layer):
    """y = x where x > 0, else alpha (exp(x) - 1)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, self.param.elu_param.alpha * torch.expm1(x.clamp(max=0)))


@layer("Sigmoid")
class Sigmoid(Layer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(x)


@layer("TanH")
class TanH(Layer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x)


@layer("Swish")
class Swish(Layer):
    """y = x sigmoid(beta x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.param.swish_param.beta * x)


@layer("AbsVal")
class AbsVal(Layer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs()


@layer("BNLL")
class BNLL(Layer):
    """y = log(1 + exp(x))."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(x, torch.zeros_like(x))


@layer("Clip")
class Clip(Layer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(self.param.clip_param.min, self.param.clip_param.max)


@layer("Threshold")
class Threshold(Layer):
    """1 where x > threshold, else 0; no gradient."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x > self.param.threshold_param.threshold).to(x.dtype)


@layer("Power")
class Power(Layer):
    """y = (shift + scale x) ^ power."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.power_param
        inner = param.shift + param.scale * x
        return inner if param.power == 1 else inner**param.power


@layer("Exp")
class Exp(Layer):
    """y = base ^ (shift + scale x); base -1 is e."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.exp_param
        inner = param.shift + param.scale * x
        return torch.exp(inner if param.base == -1 else inner * math.log(param.base))


@layer("Log")
class Log(Layer):
    """y = log_base(shift + scale x); base -1 is e."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.log_param
        y = torch.log(param.shift + param.scale * x)
        return y if param.base == -1 else y / math.log(param.base)


@layer("Dropout")
class Dropout(Layer):
    """While training, sets values to 0 with probability dropout_ratio and scales the others.

    Without scale_train they are scaled, by 1 - dropout_ratio, while not training; with
    sample_weights_test values are also dropped while not training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.dropout_param
        kept = 1 - param.dropout_ratio
        if self.training or param.sample_weights_test:
            y = F.dropout(x, param.dropout_ratio, True)
            return y if param.scale_train else kept * y
        return x if param.scale_train else kept * x


@layer("Softmax")
class Softmax(Layer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, self.param.softmax_param.axis)
