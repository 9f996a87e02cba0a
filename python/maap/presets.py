"""Defaults of a run's numbers, by what is trained on."""

from typing import Any

# Settings that depend on what is trained on. "demo" is used for the built-in demo set, "finetune"
# when --weights is given, "scratch" for any other data. What a preset leaves out, the solver file
# says. Units as in TrainConfig.
PRESETS: dict[str, dict[str, Any]] = {
    "demo": dict(
        batch=16,
        base_lr=0.01,
        lr_policy="step",
        gamma=0.1,
        stepsize=240,
        momentum=0.9,
        weight_decay=0.0005,
        clip_gradients=5.0,  # a guard at this rate from random weights; not tried without
        max_iter=300,
        phase2_lr=0.001,  # at 0.01 phase 2 unlearns the original scale: top-1 0.31, not 0.56
        phase2_iter=100,
        snapshot=100,
        converge_window=50,
        converge_fraction=0.0,
    ),
    "finetune": dict(
        snapshot=1000,
        converge_window=2000,
        converge_fraction=0.01,
    ),
    "scratch": dict(
        batch=32,
        base_lr=0.01,
        stepsize=20000,
        max_iter=40000,
        phase2_iter=20000,
        snapshot=1000,
        converge_window=2000,
        converge_fraction=0.01,
    ),
}
