"""The networks of prototxt/ in eager PyTorch, layer for layer, with random weights."""

from __future__ import annotations

import torch
from torch import nn

CLASSES = 200


class Enhancement(nn.Module):
    """x (N,C,h,w) times 1 + the logistic of its mean over channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1 + torch.sigmoid(x.mean(1, keepdim=True)))


def pool(kernel: int) -> nn.Module:
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


def hidden(inputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, 4096), nn.ReLU(True), nn.Dropout(0.5)]


def alexnet(laap: bool) -> nn.Module:
    def lrn() -> nn.Module:
        return nn.LocalResponseNorm(5, 1e-4, 0.75, 1)

    return nn.Sequential(
        *[nn.Conv2d(3, 96, 11, 4), nn.ReLU(True)],
        *([Enhancement()] if laap else []),
        *[lrn(), pool(3)],
        *[nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(True), lrn(), pool(3)],
        *[nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(True)],
        *[nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(True)],
        *[nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(True), pool(3), nn.Flatten()],
        *[*hidden(9216), *hidden(4096), nn.Linear(4096, CLASSES)],
    )


def vgg19(laap: bool) -> nn.Module:
    layers: list[nn.Module] = []
    inputs = 3
    for count, outputs in ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(True)]
            layers += [Enhancement()] if laap and inputs == 3 else []
            inputs = outputs
        layers.append(pool(2))
    layers += [nn.Flatten(), *hidden(25088), *hidden(4096), nn.Linear(4096, CLASSES)]
    return nn.Sequential(*layers)


def _normed(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    """A residual block with the stride in its first 1x1 convolution, as published for Caffe."""

    def __init__(self, inputs: int, width: int, stride: int, project: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *[*_normed(inputs, width, 1, stride), nn.ReLU(True)],
            *[*_normed(width, width, 3), nn.ReLU(True)],
            *_normed(width, 4 * width, 1),
        )
        self.shortcut = nn.Sequential(*(_normed(inputs, 4 * width, 1, stride) if project else []))
        self.relu = nn.ReLU(True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


def resnet152(laap: bool) -> nn.Module:
    layers = [*_normed(3, 64, 7, 2), nn.ReLU(True), *([Enhancement()] if laap else []), pool(3)]
    inputs = 64
    for count, width, stride in ((3, 64, 1), (8, 128, 2), (36, 256, 2), (3, 512, 2)):
        for number in range(count):
            layers.append(Block(inputs, width, stride if number == 0 else 1, number == 0))
            inputs = 4 * width
    layers += [nn.AvgPool2d(7), nn.Flatten(), nn.Linear(inputs, CLASSES)]
    return nn.Sequential(*layers)


NETS = {"alexnet": (alexnet, 227), "vgg19": (vgg19, 224), "resnet152": (resnet152, 224)}


class TorchNet:
    """A net with one random batch; ``iteration`` runs its forward and backward pass."""

    def __init__(self, name: str, batch: int, laap: bool, channels_last: bool) -> None:
        torch.manual_seed(1)
        make, side = NETS[name]
        self.net = make(laap)
        self.loss = nn.CrossEntropyLoss()
        self.data = torch.randn(batch, 3, side, side)
        self.label = torch.randint(0, CLASSES, (batch,))
        if channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
            self.data = self.data.contiguous(memory_format=torch.channels_last)

    def forget(self) -> None:
        """Gradients of the last iteration."""
        self.net.zero_grad(set_to_none=True)

    def forward(self) -> torch.Tensor:
        return self.loss(self.net(self.data), self.label)

    def iteration(self) -> None:
        self.forward().backward()
