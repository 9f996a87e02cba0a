"""A prototxt as a PyTorch module, and weights between Caffe and PyTorch.

    import caffe.torch

    net = caffe.torch.module("deploy.prototxt", "net.caffemodel")
    scores = net(images)["prob"]  # a torch.Tensor
    caffe.torch.save_safetensors(net, "net.safetensors")

`import caffe` alone does not load PyTorch. Raises ImportError, which says what to install, where
PyTorch is missing.
"""

try:
    import torch as _torch
except ImportError as error:
    raise ImportError(f"caffe.torch needs PyTorch: pip install torch ({error})") from None

from . import (
    activations,
    attention,
    ctc,
    dense,
    detection,
    detection_output,
    fork_losses,
    forks,
    geometry,
    losses,
    norms,
    proposal,
    recurrent,
    shaping,
    windows,
)
from .layer import Layer, UnknownTypeError, layer_types
from .net import Net, module
from .safetensors import load_safetensors, read_safetensors, save_safetensors, write_safetensors
from .weights import load_caffemodel, save_caffemodel

# The modules below register their layers; nothing else of them is wanted here.
del _torch, activations, attention, ctc, dense, detection, detection_output, fork_losses, forks
del geometry, losses, norms, proposal, recurrent, shaping, windows

__all__ = [
    "Layer",
    "Net",
    "UnknownTypeError",
    "layer_types",
    "load_caffemodel",
    "load_safetensors",
    "module",
    "read_safetensors",
    "save_caffemodel",
    "save_safetensors",
    "write_safetensors",
]
