"""LSTM, RNN and LSTMUnit, as sequences of steps.

Without expose_hidden the state after a batch is the state before the next one, where cont says
that a sequence continues; `reset` forgets it. Gradients never cross the border of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from .layer import Layer, Result, Shape, layer, product

States = tuple[torch.Tensor, ...]


class _Recurrent(Layer):
    """What LSTM and RNN share: bottoms x (T, N, ...), cont (T, N), an optional static input
    (N, ...), and with expose_hidden the first states (1, N, D)."""

    states = 0  # how many states there are
    gates = 1  # rows of the weights for each value of the state

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.recurrent_param
        self.exposed = self.states if param.expose_hidden else 0
        self.static = len(shapes) > 2 + self.exposed
        rows, size = self.gates * param.num_output, param.num_output
        if not size:
            raise ValueError(f"{self.where}num_output is missing")
        self.learn("weight_input", (rows, product(shapes[0][2:])), param.weight_filler)
        self.learn("bias", (rows,), param.bias_filler)
        if self.static:
            self.learn("weight_static", (rows, product(shapes[2][1:])), param.weight_filler)
        self.learn("weight_hidden", (rows, size), param.weight_filler)
        self.last: States | None = None

    def reset(self) -> None:
        """Forget the state after the last batch."""
        self.last = None

    def forward(self, x: torch.Tensor, cont: torch.Tensor, *others: torch.Tensor) -> Result:
        inputs = F.linear(x.flatten(2), self.weight_input, self.bias)
        if self.static:
            inputs = inputs + F.linear(others[0].flatten(1), self.weight_static)
        states = self._first(x, others[len(others) - self.exposed :])
        cont = cont.detach().to(x.dtype)
        outputs = []
        for step in range(x.shape[0]):
            output, states = self.step(inputs[step], cont[step][:, None], states)
            outputs.append(output)
        ends = tuple(state[None].detach() for state in states)
        if not self.exposed and not x.is_meta:
            self.last = tuple(state.detach() for state in states)
        return (torch.stack(outputs), *ends) if self.exposed else torch.stack(outputs)

    def _first(self, x: torch.Tensor, given: Sequence[torch.Tensor]) -> States:
        size = (x.shape[1], self.param.recurrent_param.num_output)
        if self.exposed:
            return tuple(state.detach().reshape(size) for state in given)
        if self.last is not None and tuple(self.last[0].shape) == size and not x.is_meta:
            return self.last
        return tuple(x.new_zeros(size) for _ in range(self.states))

    def step(
        self, inputs: torch.Tensor, cont: torch.Tensor, states: States
    ) -> tuple[torch.Tensor, States]:
        """One step: inputs (N, gates D), cont (N, 1); the output and the new states."""
        raise NotImplementedError


def continued(cont: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """The state where a sequence continues; 0 where one begins, also for what is not finite."""
    return torch.where(cont == 0, torch.zeros_like(state), cont * state)


def lstm_step(
    gates: torch.Tensor, cont: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """c and h after a step; gates (..., 4 D) are the inputs of i, f, o and g."""
    i, f, o, g = gates.chunk(4, -1)
    forget = torch.where(cont == 0, torch.zeros_like(f), cont * torch.sigmoid(f))
    before = torch.where(cont == 0, torch.zeros_like(cell), cell)
    cell = forget * before + torch.sigmoid(i) * torch.tanh(g)
    return cell, torch.sigmoid(o) * torch.tanh(cell)


@layer("LSTM")
class LSTM(_Recurrent):
    """Long short-term memory without peepholes. Blobs: weight_input (4D x I), bias (4D),
    weight_static (4D x S, with a static input), weight_hidden (4D x D); rows i, f, o, g."""

    states, gates = 2, 4

    def step(
        self, inputs: torch.Tensor, cont: torch.Tensor, states: States
    ) -> tuple[torch.Tensor, States]:
        hidden, cell = states
        gates = F.linear(continued(cont, hidden), self.weight_hidden) + inputs
        cell, hidden = lstm_step(gates, cont, cell)
        return hidden, (hidden, cell)


@layer("RNN")
class RNN(_Recurrent):
    """h = tanh(W_hh (cont h) + inputs), o = tanh(W_ho h + b_o); the top is o. Blobs: weight_input,
    bias, weight_static (with a static input), weight_hidden, weight_output, bias_output."""

    states, gates = 1, 1

    def build(self, shapes: Sequence[Shape]) -> None:
        super().build(shapes)
        param = self.param.recurrent_param
        size = param.num_output
        self.learn("weight_output", (size, size), param.weight_filler)
        self.learn("bias_output", (size,), param.bias_filler)

    def step(
        self, inputs: torch.Tensor, cont: torch.Tensor, states: States
    ) -> tuple[torch.Tensor, States]:
        hidden = torch.tanh(F.linear(continued(cont, states[0]), self.weight_hidden) + inputs)
        return torch.tanh(F.linear(hidden, self.weight_output, self.bias_output)), (hidden,)


@layer("LSTMUnit")
class LSTMUnit(Layer):
    """One step of LSTM: bottoms c (1, N, D), the gates' inputs (1, N, 4D), cont (1, N)."""

    def forward(self, cell: torch.Tensor, gates: torch.Tensor, cont: torch.Tensor) -> Result:
        return lstm_step(gates, cont.detach().to(cell.dtype)[..., None], cell)
