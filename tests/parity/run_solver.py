"""Trains nets and records the results."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case
from host import Arrays, Host
from run_layer import fill_inputs, fill_params, keep, params

BATCHES = 8  # different batches that a fed net sees in turn


def run(host: Host, case: Case) -> Arrays:
    """The losses and parameters of a training, and how far the parameters moved."""
    solver = make(host, case)
    fill_params(case, solver.net)
    start = copies(params(solver.net, "data"))
    out: Arrays = {}
    losses = train(case, solver, case.iterations)
    for name, values in losses.items():
        out[f"loss/{name}"] = values
    keep(out, "param", params(solver.net, "data"))
    keep(out, "moved", {n: array - start[n] for n, array in params(solver.net, "data").items()})
    out["iteration"] = np.array(solver.iter)
    for index, net in enumerate(solver.test_nets):
        fill_inputs(case, net, 0)
        net.forward()
        keep(out, f"test/{index}", {name: blob.data for name, blob in net.blobs.items()})
    return out


def make(host: Host, case: Case) -> Any:
    """The case's solver; its net is in a separate file or, with ``inline``, in the solver's."""
    text = case.settings["solver"]
    if case.settings.get("inline"):
        text += f"\nnet_param {{ {host.text(case, case.net)} }}\n"
    else:
        text += f'\nnet: "{host.write(case, "net.prototxt", case.net)}"\n'
    path = host.write(case, "solver.prototxt", text + "solver_mode: CPU random_seed: 1\n")
    return host.caffe.get_solver(path)


def train(case: Case, solver: Any, iterations: int) -> Arrays:
    """Trains for this many more iterations; returns each loss's values."""
    net = solver.net
    weights = {name: net.blob_loss_weights[name] for name in net.outputs}
    losses: dict = {name: [] for name, weight in weights.items() if weight}
    for _ in range(iterations):
        fill_inputs(case, net, solver.iter % BATCHES)
        solver.step(1)
        for name, values in losses.items():
            values.append(float(net.blobs[name].data))
    return {name: np.array(values) for name, values in losses.items()}


def copies(arrays: Arrays) -> Arrays:
    return {name: np.array(array) for name, array in arrays.items()}
