"""Runs a net forward and backward on filled inputs, weights and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case
from cases.case import UNIFORM, WEIGHTS
from host import Arrays, Host, fill, names, random_state


def run(host: Host, case: Case) -> Arrays:
    """Every array that each iteration's passes changed, and all parameters at the end.

    They are named ``ITERATION/data/BLOB``, ``ITERATION/diff/BLOB``,
    ``ITERATION/param_diff/LAYER/INDEX``, ``param/LAYER/INDEX``, ``names/blobs``, ``names/layers``.
    """
    net = host.net(case)
    fill_params(case, net)
    return passes(case, net)


def run_memory(host: Host, case: Case) -> Arrays:
    """The same with a MemoryData layer: ``settings["rows"]`` images with labels, given once."""
    net = host.net(case)
    shape = (case.settings["rows"], *net.blobs["data"].shape[1:])
    images = random_state(case, "images").uniform(-1, 1, shape).astype(np.float32)
    net.set_input_arrays(images, np.arange(shape[0], dtype=np.float32))
    return passes(case, net)


def passes(case: Case, net: Any) -> Arrays:
    """Runs all iterations of a net that was set up."""
    out: Arrays = {"names/blobs": names(net.blobs), "names/layers": names(net._layer_names)}
    for iteration in range(case.iterations):
        if iteration < len(case.shapes):
            for blob, shape in case.shapes[iteration].items():
                net.blobs[blob].reshape(*shape)
        before = fill_inputs(case, net, iteration)
        net.forward()
        keep(
            out, f"{iteration}/data", {name: blob.data for name, blob in net.blobs.items()}, before
        )
        if case.backward:
            before = fill_gradients(case, net, iteration)
            net.backward()
            keep(
                out,
                f"{iteration}/diff",
                {name: blob.diff for name, blob in net.blobs.items()},
                before,
            )
            keep(out, f"{iteration}/param_diff", params(net, "diff"))
    keep(out, "param", params(net, "data"))
    return out


def keep(out: Arrays, prefix: str, arrays: Arrays, before: Arrays | None = None) -> None:
    """Adds copies of the arrays that differ from ``before``."""
    for name, array in arrays.items():
        if before is None or name not in before or not np.array_equal(before[name], array):
            out[f"{prefix}/{name}"] = np.array(array)


def params(net: Any, what: str) -> Arrays:
    """``layer/index`` -> the data or diff of every parameter blob."""
    return {
        f"{layer}/{index}": getattr(blob, what)
        for layer, blobs in net.params.items()
        for index, blob in enumerate(blobs)
    }


def fill_params(case: Case, net: Any) -> None:
    for layer, blobs in net.params.items():
        recipes = case.params.get(layer, [WEIGHTS] * len(blobs))
        for index, (blob, recipe) in enumerate(zip(blobs, recipes)):
            fill(blob.data, recipe, random_state(case, "param", layer, index))


def fill_inputs(case: Case, net: Any, iteration: int) -> Arrays:
    """Fills the case's inputs; returns copies by blob name."""
    before = {}
    for name, recipe in case.inputs.items():
        data = net.blobs[name].data
        fill(data, recipe, random_state(case, name, iteration))
        before[name] = np.array(data)
    return before


def fill_gradients(case: Case, net: Any, iteration: int) -> Arrays:
    """Puts random numbers into every gradient except a loss's weight; returns copies by blob name.

    So the results show which gradients backward overwrites, which it adds to (parameters), and
    which it does not change. The net's outputs come last: some layers share a bottom's.
    ``settings["gradients_left"]`` names blobs that are not filled; with ``params_cleared`` the
    parameters' gradients are zero instead.
    """
    before = {}
    left = case.settings.get("gradients_left", ())
    outputs = [name for name in net.outputs if not is_loss(net, name)]
    others = [name for name in net.blobs if name not in net.outputs]
    for name in others + outputs:
        if name in left:
            continue
        diff = net.blobs[name].diff
        fill(diff, UNIFORM, random_state(case, "diff", name, iteration))
        before[name] = np.array(diff)
    if case.settings.get("params_cleared"):
        net.clear_param_diffs()
        return before
    for layer, blobs in net.params.items():
        for index, blob in enumerate(blobs):
            fill(blob.diff, UNIFORM, random_state(case, "param_diff", layer, index, iteration))
    return before


def is_loss(net: Any, name: str) -> bool:
    return net.blob_loss_weights[name] != 0
