"""The nets of bench/inference.py: prototxts, weights and ONNX files, made by the engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TITLES = {"alexnet": "AlexNet", "squeezenet": "SqueezeNet 1.1", "resnet152": "ResNet-152"}


def prototxt(name: str, batch: int) -> str:
    """A deploy net as text."""
    from maap.nets.folder import find_net
    from maap.nets.prototxt import to_text
    from maap.nets.resolve import resolve_deploy

    return to_text(resolve_deploy(find_net(name), False, 1000, batch))


def fill(net: object) -> None:
    """Random weights in a net of pycaffe that keep activations at one size through many layers."""
    random = np.random.RandomState(1)
    for index, name in enumerate(net._layer_names):  # type: ignore[attr-defined]
        layer = net.layers[index]  # type: ignore[attr-defined]
        values = [blob.data for blob in layer.blobs]
        if layer.type in ("Convolution", "InnerProduct"):
            inputs = values[0][0].size
            values[0][...] = random.randn(*values[0].shape) * np.sqrt(2 / inputs)
            for bias in values[1:]:
                bias[...] = 0.1 * random.randn(*bias.shape)
        elif layer.type == "BatchNorm":
            mean, variance, factor = values
            mean[...] = 0.1 * random.randn(*mean.shape)
            variance[...] = random.uniform(0.8, 1.25, variance.shape)
            factor[...] = 1
        elif layer.type == "Scale":
            # The last of a residual branch: what is added 50 times must not grow.
            values[0][...] = random.uniform(0.8, 1.2, values[0].shape) * (
                0.2 if name.endswith("2c") else 1
            )
            values[1][...] = 0.1 * random.randn(*values[1].shape)


def make(folder: Path, names: list[str], batches: list[int]) -> list[str]:
    """Writes all files of the nets, NAME_BATCH.prototxt, NAME.caffemodel, NAME_BATCH.npy (input)
    and NAME_BATCH.onnx, which is left out without the package onnx; what was left out."""
    import caffe

    missing = []
    for name in names:
        weights = folder / f"{name}.caffemodel"
        for batch in batches:
            path = folder / f"{name}_{batch}.prototxt"
            path.write_text(prototxt(name, batch))
            net = caffe.Net(str(path), caffe.TEST)
            if not weights.is_file():
                fill(net)
                net.save(str(weights))
            shape = net.blobs[net.inputs[0]].data.shape
            images = np.random.RandomState(2).randn(*shape).astype(np.float32)
            np.save(path.with_suffix(".npy"), images)
            try:
                import caffe.onnx
                import onnx
            except ImportError:
                missing.append("ONNX Runtime: the package onnx is not installed")
                continue
            exported = caffe.onnx.export(path, weights)
            onnx.save(exported.model, str(path.with_suffix(".onnx")))
    return sorted(set(missing))
