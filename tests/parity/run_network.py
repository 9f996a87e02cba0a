"""Runs a published network from one file of random weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import run_solver
from cases import Case
from google.protobuf import text_format
from host import Arrays, Host, fill, random_state
from run_layer import keep, params
from sides import REPO

SIDE = 227
KEEP, SAMPLE = 200_000, 50_000


def network(host: Host, case: Case) -> str:
    """The file's training net with Input layers for its Data layers and no dropout; its path."""
    message = host.caffe.proto.caffe_pb2.NetParameter()
    text_format.Parse((REPO / case.settings["file"]).read_text(), message)
    layers = [layer for layer in message.layer if layer.type != "Data"]
    batch = case.settings["batch"]
    del message.layer[:]
    for name, shape in (("data", (batch, 3, SIDE, SIDE)), ("label", (batch,))):
        layer = message.layer.add(name=name, type="Input", top=[name])
        layer.input_param.shape.add(dim=shape)
    for layer in layers:
        if layer.type == "Dropout":
            layer.dropout_param.dropout_ratio = 0
        message.layer.add().CopyFrom(layer)
    return host.write(case, "net.prototxt", text_format.MessageToString(message))


def one_pass(host: Host, case: Case) -> Arrays:
    """Every blob, its gradient and the parameters' gradients."""
    net = host.caffe.Net(network(host, case), host.caffe.TRAIN)
    load_weights(host, case, net)
    before = fill_images(case, net)
    net.forward()
    net.clear_param_diffs()
    net.backward()
    out: Arrays = {}
    keep(out, "data", {name: blob.data for name, blob in net.blobs.items()}, before)
    wanted = [name for name in net.blobs if name not in case.inputs and "label" not in name]
    keep(out, "diff", {name: net.blobs[name].diff for name in wanted})
    keep(out, "param_diff", params(net, "diff"))
    return sampled(out)


def fill_images(case: Case, net: Any) -> Arrays:
    """Fills the batch with the images of ``settings["images"]``; returns copies by blob name."""
    for place, number in enumerate(case.settings["images"]):
        rng = random_state(case, "data", "image", number)
        fill(net.blobs["data"].data[place], case.inputs["data"], rng)
        net.blobs["label"].data[place] = number
    return {name: np.array(net.blobs[name].data) for name in case.inputs}


def run(host: Host, case: Case) -> Arrays:
    """The losses of a training, the last blobs, the parameters and how far they moved."""
    text = f'{case.settings["solver"]}\nnet: "{network(host, case)}"\n'
    path = host.write(case, "solver.prototxt", text + "solver_mode: CPU random_seed: 1\n")
    solver = host.caffe.get_solver(path)
    load_weights(host, case, solver.net)
    start = run_solver.copies(params(solver.net, "data"))
    out: Arrays = {}
    keep(out, "loss", run_solver.train(case, solver, case.iterations))
    keep(out, "data", {name: blob.data for name, blob in solver.net.blobs.items()})
    end = params(solver.net, "data")
    keep(out, "param", end)
    # Only the length of the weights' change: a single weight changes only in its last bits.
    moved = {name: length(array - start[name]) for name, array in end.items() if array.ndim > 1}
    keep(out, "moved", moved)
    return sampled(out)


def length(array: np.ndarray) -> np.ndarray:
    return np.array(np.linalg.norm(array.ravel().astype(np.float64)))


def load_weights(host: Host, case: Case, net: Any) -> None:
    """Random weights, from BVLC Caffe's file if there is one.

    ``settings["weights"]`` names the case whose weights they are, by default the case's own.
    """
    owner = case.settings.get("weights")
    seeded = dataclasses.replace(case, reference=owner) if owner else case
    if owner:
        folder = host.out / "files" if host.name == "bvlc" else host.written.get("bvlc")
        file = folder / owner / "weights.caffemodel" if folder else None
        if file and file.exists():
            net.copy_from(str(file))
            return
    for layer, blobs in net.params.items():
        for index, blob in enumerate(blobs):
            bound = (6 / np.prod(blob.data.shape[1:])) ** 0.5 if index == 0 else 0.1
            bound *= 0.1 if "fc8" in layer else 1
            rng = random_state(seeded, "param", layer, index)
            blob.data[...] = rng.random_sample(blob.data.shape).astype(np.float32) * 2 - 1
            blob.data[...] *= np.float32(bound)  # in float, with any NumPy version
    if owner == case.name:
        net.save(str(host.folder(case) / "weights.caffemodel"))


def sampled(arrays: Arrays) -> Arrays:
    """The arrays; for very large ones a sample and the norm."""
    out = {}
    for name, array in arrays.items():
        if array.size <= KEEP:
            out[name] = array
            continue
        places = np.random.RandomState(1).randint(array.size, size=SAMPLE)
        out[f"{name}/sample"] = array.ravel()[places]
        out[f"{name}/norm"] = length(array)
    return out
