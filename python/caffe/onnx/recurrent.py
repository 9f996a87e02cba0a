"""LSTM, RNN and LSTMUnit: a Scan over the steps, for any pattern of ``cont``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .convert import Conversion, converts
from .graph import Graph, value_info


@dataclass
class Step:
    """The body of a Scan: one step of a recurrent layer. Its constants stand in the outer graph."""

    c: Conversion
    body: Graph

    def op(self, op: str, *inputs: str, **attributes: object) -> str:
        """Add a node with one output to the body."""
        return self.body.add(op, inputs, f"{self.c.layer.name}/step", **attributes)[0]

    def new(self, what: str) -> str:
        """The name of an input of the body."""
        return self.body.new_name(f"{self.c.layer.name}/step/{what}")


def _lstm_cell(step: Step, gates: str, carry: str, cell: str) -> tuple[str, str]:
    """h_t and c_t from the gates' sums (N, 4D) in the order i, f, o, g; carry is cont as (N, 1)."""
    parts = step.body.add("Split", [gates], f"{step.c.layer.name}/step", 4, axis=1)
    i, f, o = (step.op("Sigmoid", part) for part in parts[:3])
    g = step.op("Tanh", parts[3])
    kept = step.op("Mul", step.op("Mul", carry, f), cell)
    new = step.op("Add", kept, step.op("Mul", i, g))
    return step.op("Mul", o, step.op("Tanh", new)), new


def _recurrent_sum(step: Step, x: str, carry: str, hidden: str, weight: str) -> str:
    """x_t + W (cont_t h_{t-1})."""
    return step.op("Add", x, step.op("MatMul", step.op("Mul", carry, hidden), weight))


def _scan(c: Conversion, step: Step, states: list[str], inputs: list[str], sequences: list[str],
          results: list[str], starts: list[str]) -> list[str]:  # fmt: skip
    """A Scan: returns its final states and its sequence of outputs."""
    infos = [value_info(name, [None, None]) for name in [*states, *sequences]]
    outs = [value_info(name, [None, None]) for name in results]
    body = step.body.to_proto(f"{c.layer.name} step", infos, outs)
    made = c.graph.add(
        "Scan", [*starts, *inputs], c.layer.name, len(results), body=body,
        num_scan_inputs=len(inputs),
    )  # fmt: skip
    return made


def _inputs(c: Conversion) -> tuple[str, str, list[str]]:
    """W x + b [+ W_static x_static] for all steps, cont as (T, N, 1), and the given states."""
    exposed = c.layer.recurrent_param.expose_hidden
    states = {"LSTM": 2, "RNN": 1}[c.layer.type] if exposed else 0
    static = len(c.bottoms) > 2 + states
    steps, batch, *_ = c.bottom_dims()
    x = c.reshape(c.bottoms[0], [steps, batch, int(np.prod(c.shape()[2:]))])
    total = c.op("MatMul", x, c.constant(c.weights[0].T, "input_weight"))
    total = c.op("Add", total, c.constant(c.weights[1].reshape(-1), "bias"))
    if static:
        s = c.op("Flatten", c.bottoms[2], axis=1)
        add = c.op("MatMul", s, c.constant(c.weights[2].T, "static_weight"))
        total = c.op("Add", total, add)
    return total, c.unsqueeze(c.bottoms[1], [2]), c.bottoms[len(c.bottoms) - states :]


def _starts(c: Conversion, given: list[str], number: int, cont: str) -> list[str]:
    """The states before the first step, each (N, D): zeros, or bottoms."""
    if given:
        axis = c.integers([0], "axes")
        return [c.op("Squeeze", state, axis) for state in given]
    c.note(
        "every run of the file starts with state 0; where cont is 1 at the first step, Caffe "
        "continues the last run's (expose_hidden makes the state an input)"
    )
    first = c.op("Gather", cont, c.integers(0, "first"), axis=0)
    width = c.constant(np.zeros((1, c.layer.recurrent_param.num_output)), "zeros")
    zeros = c.op("Mul", c.op("Sub", first, first), width)
    return [zeros] * number


def _tops(c: Conversion, sequence: str, states: list[str]) -> list[str]:
    return [sequence, *(c.unsqueeze(s, [0]) for s in states)][: len(c.layer.top)]


@converts("LSTM")
def lstm(c: Conversion) -> list[str]:
    """Gates i, f, o, g; cont 0 starts a sequence."""
    x, cont, given = _inputs(c)
    weight = c.constant(c.weights[-1].T, "hidden_weight")
    step = Step(c, Graph(c.graph.opset, c.graph.taken))
    hidden, cell, x_t, carry = (step.new(what) for what in ("h", "c", "x", "cont"))
    gates = _recurrent_sum(step, x_t, carry, hidden, weight)
    new_hidden, new_cell = _lstm_cell(step, gates, carry, cell)
    out = step.op("Identity", new_hidden)
    starts = _starts(c, given, 2, cont)
    h, state, sequence = _scan(
        c, step, [hidden, cell], [x, cont], [x_t, carry], [new_hidden, new_cell, out], starts
    )
    return _tops(c, sequence, [h, state])


@converts("RNN")
def rnn(c: Conversion) -> list[str]:
    """h = tanh(...); the top is o = tanh(W h + b)."""
    x, cont, given = _inputs(c)
    weight = c.constant(c.weights[-3].T, "hidden_weight")
    step = Step(c, Graph(c.graph.opset, c.graph.taken))
    hidden, x_t, carry = (step.new(what) for what in ("h", "x", "cont"))
    new = step.op("Tanh", _recurrent_sum(step, x_t, carry, hidden, weight))
    out = step.op("Identity", new)
    starts = _starts(c, given, 1, cont)
    h, states = _scan(c, step, [hidden], [x, cont], [x_t, carry], [new, out], starts)
    total = c.op("MatMul", states, c.constant(c.weights[-2].T, "output_weight"))
    total = c.op("Add", total, c.constant(c.weights[-1].reshape(-1), "output_bias"))
    return _tops(c, c.op("Tanh", total), [h])


@converts("LSTMUnit")
def lstm_unit(c: Conversion) -> list[str]:
    """One step from the gates' sums: tops c and h."""
    axis = c.integers([0], "axes")
    cell, gates, cont = (c.op("Squeeze", x, axis) for x in c.bottoms)
    carry = c.unsqueeze(cont, [1])
    hidden, new = _lstm_cell(Step(c, c.graph), gates, carry, cell)
    return [c.unsqueeze(new, [0]), c.unsqueeze(hidden, [0])]
