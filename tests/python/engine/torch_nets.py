"""Nets run by the engine and by caffe.torch, and their results side by side."""

from dataclasses import dataclass, field

import caffe
import numpy as np
import torch

FORWARD, GRADIENT = 1e-5, 1e-4  # largest difference, relative to the largest value


def input_text(shapes):
    """An Input layer for each {name: shape}."""
    return "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {dim}" for dim in shape)
        + " } } }\n"
        for name, shape in shapes.items()
    )


def conv(name, bottom, outputs, kernel=3, rest="", top=None):
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top or name}" '
        f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2} "
        f'weight_filler {{ type: "msra" }} {rest} }} }}\n'
    )


def normed(name, blob, relu=True):
    text = (
        f'layer {{ name: "bn_{name}" type: "BatchNorm" bottom: "{blob}" top: "{blob}" }}\n'
        f'layer {{ name: "scale_{name}" type: "Scale" bottom: "{blob}" top: "{blob}" '
        "scale_param { bias_term: true } }\n"
    )
    relu_text = f'layer {{ name: "relu_{name}" type: "ReLU" bottom: "{blob}" top: "{blob}" }}\n'
    return text + (relu_text if relu else "")


# Two residual blocks, Enhancement, in-place layers, a loss and an accuracy.
RESIDUAL = (
    input_text({"data": (4, 3, 12, 12), "label": (4,)})
    + conv("conv1", "data", 8, 3, "bias_term: false")
    + normed("conv1", "conv1")
    + 'layer { name: "enhance" type: "Enhancement" bottom: "conv1" top: "conv1" }\n'
    + conv("res2a", "conv1", 8, 3, "bias_term: false")
    + normed("2a", "res2a")
    + conv("res2b", "res2a", 8, 1, "bias_term: false")
    + normed("2b", "res2b", relu=False)
    + 'layer { name: "sum" type: "Eltwise" bottom: "conv1" bottom: "res2b" top: "sum" }\n'
    + 'layer { name: "relu" type: "ReLU" bottom: "sum" top: "sum" }\n'
    + 'layer { name: "pool" type: "Pooling" bottom: "sum" top: "pool" '
    + "pooling_param { pool: AVE global_pooling: true } }\n"
    + 'layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" param { lr_mult: 1 } '
    + "param { lr_mult: 2 decay_mult: 0 } inner_product_param { num_output: 5 "
    + 'weight_filler { type: "xavier" } } }\n'
    + 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }\n'
    + 'layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" '
    + "include { phase: TEST } }\n"
)


def residual_inputs(seed=1):
    random = np.random.RandomState(seed)
    return dict(data=random.randn(4, 3, 12, 12), label=random.randint(0, 5, 4))


def difference(found, wanted):
    """The largest difference relative to the largest wanted value."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    if wanted.size == 0:
        return 0.0
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-6))


def randomise(net, seed=1, spread=0.3):
    """Random values in all blobs of parameters, positive ones in statistics and slopes."""
    random = np.random.RandomState(seed)
    for name, blobs in net.params.items():
        for number, blob in enumerate(blobs):
            values = spread * random.randn(*blob.shape)
            positive = {"BatchNorm": (1, 2), "BN": range(len(blobs) - 2, len(blobs))}
            if number in positive.get(net.layer_dict[name].type, ()):
                values = 0.5 + np.abs(values)
            blob.data[...] = values


@dataclass
class Pair:
    """The same net twice, with the same weights."""

    text: str
    folder: object
    phase: int = caffe.TEST
    engine: object = field(init=False)
    module: object = field(init=False)

    def __post_init__(self):
        import caffe.torch

        path = self.folder / "net.prototxt"
        path.write_text(self.text)
        self.engine = caffe.Net(str(path), self.phase)
        randomise(self.engine)
        self.engine.save(str(self.folder / "net.caffemodel"))
        self.module = caffe.torch.module(path, self.folder / "net.caffemodel", self.phase)

    def forward(self, inputs):
        """{blob: difference} of the outputs."""
        for name, value in inputs.items():
            self.engine.blobs[name].reshape(*np.shape(value))
            self.engine.blobs[name].data[...] = value
        wanted = {name: array.copy() for name, array in self.engine.forward().items()}
        self.inputs = {
            name: torch.tensor(np.asarray(value, np.float32), requires_grad=True)
            for name, value in inputs.items()
        }
        self.found = self.module(**self.inputs)
        assert list(self.found) and set(self.found) >= set(wanted) - set(inputs)
        return {
            name: difference(self.found[name].detach().numpy(), array)
            for name, array in wanted.items()
        }

    def backward(self, names, seed=2):
        """{input or layer[i]: difference} of the gradients, for random gradients of the outputs,
        or those of the loss. names: the inputs that have a gradient."""
        random = np.random.RandomState(seed)
        if self.module.loss_weights:
            self.engine.backward()
            self.module.loss(self.found).backward()
        else:
            tops = {
                name: np.asarray(random.randn(*self.found[name].shape), np.float32)
                for name in self.engine.outputs
                if name not in self.inputs and self.found[name].requires_grad
            }
            for name, diff in tops.items():
                self.engine.blobs[name].diff[...] = diff
            self.engine.backward()
            sum((self.found[n] * torch.tensor(d)).sum() for n, d in tops.items()).backward()
        result = {
            name: difference(self.inputs[name].grad.numpy(), self.engine.blobs[name].diff)
            for name in names
        }
        for name, blobs in self.engine.params.items():
            made = self.module.layers[name]
            for number, blob in enumerate(blobs):
                parameter = getattr(made, made.blobs[number])
                if isinstance(parameter, torch.nn.Parameter):
                    result[f"{name}[{number}]"] = difference(parameter.grad.numpy(), blob.diff)
        return result

    def check(self, inputs, names):
        """Both passes within the limits; the largest differences."""
        forward = self.forward(inputs)
        assert max(forward.values()) <= FORWARD, forward
        backward = self.backward(names) if names else {}
        assert max(backward.values(), default=0) <= GRADIENT, backward
        return max(forward.values()), max(backward.values(), default=0)
