"""Features that cannot be compared with unmodified BVLC Caffe, and why."""

from __future__ import annotations

from .case import Case

WHY = {
    "pool_stochastic": ("Pooling", "BVLC Caffe has STOCHASTIC pooling on the GPU only"),
    "softmax_loss_prob": (
        "SoftmaxWithLoss",
        "BVLC Caffe aborts at a second top: its inner Softmax inherits the loss weight",
    ),
    "lstm_shared_train": (
        "LSTM",
        "on purpose: all steps use weights shared by name, in BVLC Caffe the first alone",
    ),
    "mvn_eps": ("MVN", "on purpose: the gradient is also exact for a large eps"),
    "parameter": ("Parameter", "on purpose: the top is a copy of the parameter, not its memory"),
    "chance_rand_skip": ("Distributions", "BVLC Caffe ignores rand_skip"),
}


def cases() -> list[Case]:
    return [
        Case(name, group, "impossible", settings={"why": why}) for name, (group, why) in WHY.items()
    ]
