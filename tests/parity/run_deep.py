"""Runs VGG19 and ResNet-152 from random weights, whole and layer by layer, on one image."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case
from google.protobuf import text_format
from host import Arrays, Host, fill, random_state
from run_layer import keep
from run_network import sampled
from sides import REPO


def forward(host: Host, case: Case) -> Arrays:
    """The kept blobs after a forward pass."""
    net = load(host, case)
    net.forward()
    out: Arrays = {}
    keep(out, "data", {name: net.blobs[name].data for name in case.settings["keep"]})
    return sampled(out)


def one_pass(host: Host, case: Case) -> Arrays:
    """The kept blobs, their gradients and those of the layers' parameters that make them."""
    net = load(host, case)
    net.forward()
    net.clear_param_diffs()
    net.backward()
    out: Arrays = {}
    wanted = case.settings["keep"]
    keep(out, "data", {name: net.blobs[name].data for name in wanted})
    keep(out, "diff", {name: net.blobs[name].diff for name in wanted})
    scales = [f"scale_{name}" if name == "conv1" else f"scale{name[3:]}" for name in wanted]
    for layer, blobs in net.params.items():
        if layer in (*wanted, *scales):
            keep(out, f"param_diff/{layer}", {str(i): b.diff for i, b in enumerate(blobs)})
    return sampled(out)


def layer_by_layer(host: Host, case: Case) -> Arrays:
    """Forward and backward pass of each layer separately, from random values and gradients.

    Of layers with the same type, settings and shapes, only the first is run.
    """
    net = load(host, case)
    text = message(host, case)
    texts = {layer.name: layer for layer in text.layer}
    out: Arrays = {}
    seen = set()
    for index, name in enumerate(net._layer_names):
        bottoms, tops = net.bottom_names[name], net.top_names[name]
        shapes = [tuple(net.blobs[b].data.shape) for b in (*bottoms, *tops)]
        key = (net.layers[index].type, str(shapes), settings(texts.get(name)))
        if not bottoms or key in seen:
            continue
        seen.add(key)
        for blob in dict.fromkeys(bottoms):
            fill_blob(case, net.blobs[blob].data, name, "data", blob)
            net.blobs[blob].diff[...] = 0
        net._forward(index, index)
        keep(out, f"{name}/top", {blob: net.blobs[blob].data for blob in tops})
        for blob in tops:
            if net.layers[index].type == "SoftmaxWithLoss":
                net.blobs[blob].diff[...] = 1
            else:
                fill_blob(case, net.blobs[blob].diff, name, "diff", blob)
        for blob in net.layers[index].blobs:
            blob.diff[...] = 0
        net._backward(index, index)
        keep(out, f"{name}/bottom_diff", {b: net.blobs[b].diff for b in bottoms if b != "label"})
        grads = net.layers[index].blobs if net.layers[index].type != "BatchNorm" else []
        keep(out, f"{name}/param_diff", {str(i): blob.diff for i, blob in enumerate(grads)})
    return sampled(out)


def settings(layer: Any) -> str:
    """What a layer computes, without its place in the net."""
    if layer is None:  # a Split that Caffe made
        return ""
    copy = type(layer)()
    copy.CopyFrom(layer)
    for name in ("name", "bottom", "top"):
        copy.ClearField(name)
    return str(copy)


def message(host: Host, case: Case) -> Any:
    """The training net with Input layers for its Data layers and no dropout."""
    net = host.caffe.proto.caffe_pb2.NetParameter()
    text_format.Parse((REPO / case.settings["file"]).read_text(), net)
    layers = [layer for layer in net.layer if layer.type != "Data"]
    del net.layer[:]
    side = case.settings["side"]
    for name, shape in (("data", (1, 3, side, side)), ("label", (1,))):
        layer = net.layer.add(name=name, type="Input", top=[name])
        layer.input_param.shape.add(dim=shape)
    for layer in layers:
        if layer.type == "Dropout":
            layer.dropout_param.dropout_ratio = 0
        if layer.name in case.settings.get("kernels", {}):
            layer.pooling_param.kernel_size = case.settings["kernels"][layer.name]
        net.layer.add().CopyFrom(layer)
    return net


def load(host: Host, case: Case) -> Any:
    """The net with its weights and its image."""
    text = text_format.MessageToString(message(host, case))
    net = host.caffe.Net(host.write(case, "net.prototxt", text), host.caffe.TRAIN)
    kinds = dict(zip(net._layer_names, (layer.type for layer in net.layers)))
    for layer, blobs in net.params.items():
        for index, blob in enumerate(blobs):
            low, high = bounds(kinds[layer], layer, index, blob.data.shape)
            rng = random_state(case, "param", layer, index)
            uniform(blob.data, low, high, rng)
    fill(net.blobs["data"].data, case.inputs["data"],
         random_state(case, "data", case.settings["image"]))  # fmt: skip
    net.blobs["label"].data[...] = 3
    return net


def bounds(kind: str, layer: str, index: int, shape: Any) -> tuple[float, float]:
    """Weights after He et al., the classifier's a tenth; residual blocks add little to a sum."""
    if kind == "BatchNorm":
        return ((-0.1, 0.1), (0.5, 1.5), (1.0, 1.0))[index]
    if index == 1:
        return -0.1, 0.1
    if kind == "Scale":
        return (0.1, 0.3) if layer.endswith("branch2c") else (0.5, 1.5)
    bound = float(6 / np.prod(shape[1:])) ** 0.5 * (0.1 if layer.endswith("_cub") else 1)
    return -bound, bound


def uniform(array: np.ndarray, low: float, high: float, rng: np.random.RandomState) -> None:
    """Fills in pieces: a fully connected layer has 100 million weights. In float, for any NumPy."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, 1 << 20):
        part = flat[start : start + (1 << 20)]
        part[...] = rng.random_sample(part.size).astype(np.float32)
        part *= np.float32(high - low)
        part += np.float32(low)


def fill_blob(case: Case, array: np.ndarray, *what: object) -> None:
    if what[-1] == "label":
        array[...] = 3
    else:
        uniform(array, -1.7, 1.7, random_state(case, *what))
