"""What unmodified BVLC Caffe cannot run on the CPU, and so cannot be compared."""

from __future__ import annotations

from .case import Case

WHY = {
    "pool_stochastic": ("Pooling", "BVLC Caffe has STOCHASTIC pooling on the GPU only"),
    "softmax_loss_prob": (
        "SoftmaxWithLoss",
        "BVLC Caffe aborts at a second top: its inner Softmax inherits the loss weight",
    ),
}


def cases() -> list[Case]:
    return [
        Case(name, group, "impossible", settings={"why": why}) for name, (group, why) in WHY.items()
    ]
