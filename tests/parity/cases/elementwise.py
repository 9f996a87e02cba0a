"""Activations and the other layers that work element by element or channel by channel."""

from __future__ import annotations

from .case import GRID, UNIFORM, Case, single, with_engines

POSITIVE = ("uniform", 0.2, 2.0)
WIDE = ("uniform", -60.0, 60.0)
IN_PLACE = ("x",)


def act(kind: str, name: str, body: str = "", **more) -> Case:
    shape = more.pop("shape", (2, 3, 5, 4))
    return single(kind, name, kind, body, shape, **more)


def activations() -> list[Case]:
    relu, sigmoid, tanh = "relu_param {{ {} @ENGINE@ }}", "sigmoid_param {{ {} @ENGINE@ }}", ""
    tanh = "tanh_param {{ {} @ENGINE@ }}"
    return [
        act("ReLU", "relu", relu.format("")),
        act("ReLU", "relu_slope", relu.format("negative_slope: 0.1")),
        act("ReLU", "relu_negative_slope_below_0", relu.format("negative_slope: -0.3")),
        act("ReLU", "relu_in_place", relu.format(""), tops=IN_PLACE),
        act("ReLU", "relu_slope_in_place", relu.format("negative_slope: 0.2"), tops=IN_PLACE),
        act("ReLU", "relu_zeros", relu.format("negative_slope: 0.2"), fill=GRID),
        act("ReLU", "relu_2d", relu.format(""), shape=(5, 7)),
        act("PReLU", "prelu"),
        act("PReLU", "prelu_shared", "prelu_param { channel_shared: true }"),
        act("PReLU", "prelu_in_place", tops=IN_PLACE),
        act(
            "PReLU", "prelu_shared_in_place", "prelu_param { channel_shared: true }", tops=IN_PLACE
        ),
        act("PReLU", "prelu_2d", shape=(5, 7)),
        act("PReLU", "prelu_zeros", fill=GRID),
        act("ELU", "elu"),
        act("ELU", "elu_alpha", "elu_param { alpha: 0.3 }"),
        act("ELU", "elu_alpha_0", "elu_param { alpha: 0 }"),
        act("ELU", "elu_in_place", "elu_param { alpha: 2 }", tops=IN_PLACE),
        act("ELU", "elu_wide", fill=WIDE),
        act("Sigmoid", "sigmoid", sigmoid.format("")),
        act("Sigmoid", "sigmoid_in_place", sigmoid.format(""), tops=IN_PLACE),
        act("Sigmoid", "sigmoid_wide", sigmoid.format(""), fill=WIDE),
        act("TanH", "tanh", tanh.format("")),
        act("TanH", "tanh_in_place", tanh.format(""), tops=IN_PLACE),
        act("TanH", "tanh_wide", tanh.format(""), fill=WIDE),
        act("Swish", "swish"),
        act("Swish", "swish_beta", "swish_param { beta: 2.5 }"),
        act("Swish", "swish_in_place", tops=IN_PLACE),
        act("Clip", "clip", "clip_param { min: -0.3 max: 0.6 }"),
        act("Clip", "clip_edges", "clip_param { min: -0.5 max: 0.5 }", fill=GRID),
        act("AbsVal", "absval"),
        act("AbsVal", "absval_zeros", fill=GRID),
        act("BNLL", "bnll"),
        act("BNLL", "bnll_wide", fill=WIDE),
        act("Threshold", "threshold", backward=False, exact=("*/data/y",)),
        act(
            "Threshold",
            "threshold_tie",
            "threshold_param { threshold: 0.5 }",
            fill=GRID,
            backward=False,
            exact=("*/data/y",),
        ),
    ]


def powers() -> list[Case]:
    power, exp, log = "power_param {{ {} }}", "exp_param {{ {} }}", "log_param {{ {} }}"
    return [
        act("Power", "power_default"),
        act("Power", "power_square", power.format("power: 2 scale: 0.5 shift: -1")),
        act("Power", "power_cube", power.format("power: 3 scale: 1.5 shift: 0.2")),
        act("Power", "power_root", power.format("power: 0.5 scale: 2 shift: 3")),
        act("Power", "power_inverse", power.format("power: -1 shift: 2")),
        act("Power", "power_fraction", power.format("power: 1.7"), fill=POSITIVE),
        act("Power", "power_linear", power.format("scale: -2 shift: 0.7")),
        act("Power", "power_shift", power.format("shift: 0.7")),
        act("Power", "power_0", power.format("power: 0 scale: 2 shift: 1")),
        act("Power", "power_scale_0", power.format("power: 2 scale: 0 shift: 3")),
        act("Power", "power_square_of_0", power.format("power: 2"), fill=GRID),
        act(
            "Power",
            "power_linear_in_place_data",
            power.format("scale: 3"),
            backward=False,
            tops=IN_PLACE,
        ),
        act("Exp", "exp"),
        act("Exp", "exp_base_2", exp.format("base: 2 scale: 1.5 shift: 0.5")),
        act("Exp", "exp_scale", exp.format("scale: -0.7 shift: 2")),
        act("Exp", "exp_in_place", exp.format("base: 10"), tops=IN_PLACE),
        act("Log", "log", fill=POSITIVE),
        act("Log", "log_base_2", log.format("base: 2 scale: 1.5 shift: 0.5"), fill=POSITIVE),
        act("Log", "log_scale", log.format("scale: 3 shift: 4")),
    ]


def dropouts() -> list[Case]:
    half, none = "dropout_param { dropout_ratio: 0.5 }", "dropout_param { dropout_ratio: 0 }"
    same = ("*/data/*", "*/diff/*")
    return [
        act("Dropout", "dropout_test", half, phase="TEST", exact=same),
        act("Dropout", "dropout_test_in_place", half, phase="TEST", tops=IN_PLACE, exact=same),
        act("Dropout", "dropout_0", none, exact=same),
        act("Dropout", "dropout_0_in_place", none, tops=IN_PLACE, exact=same),
    ]


def batch_norms() -> list[Case]:
    # Blobs: mean, variance, scale factor; each statistic is stored times the scale factor.
    stats = {"layer": [UNIFORM, ("uniform", 0.5, 2.0), ("values", [0.8])]}
    empty = {"layer": [("values", [0.0])] * 3}
    body = "batch_norm_param {{ {} }}"
    wide = ("normal", 5.0, 3.0)
    five = {"iterations": 5, "params": empty, "fill": wide}
    group = "BatchNorm"
    return [
        act(group, "bn_train", **five),
        act(group, "bn_train_fraction", body.format("moving_average_fraction: 0.7"), **five),
        act(group, "bn_train_eps", body.format("eps: 0.5"), **five),
        act(
            group,
            "bn_train_in_place",
            body.format("moving_average_fraction: 0.9"),
            tops=IN_PLACE,
            **five,
        ),
        act(group, "bn_train_2d", shape=(7, 5), **five),
        act(group, "bn_train_5d", shape=(2, 3, 2, 3, 2), **five),
        act(group, "bn_train_started", iterations=3, params=stats),
        act(group, "bn_train_one_value", shape=(1, 3, 1, 1), iterations=2, params=stats),
        act(
            group,
            "bn_train_reshaped",
            iterations=3,
            params=empty,
            shapes=({}, {"x": (4, 3, 2, 2)}, {"x": (1, 3, 6, 5)}),
        ),
        act(group, "bn_global", body.format("use_global_stats: true"), params=stats, iterations=2),
        act(
            group,
            "bn_global_in_place",
            body.format("use_global_stats: true"),
            params=stats,
            tops=IN_PLACE,
        ),
        act(group, "bn_global_empty", body.format("use_global_stats: true"), params=empty),
        act(group, "bn_test", phase="TEST", params=stats),
        act(
            group,
            "bn_test_train_stats",
            body.format("use_global_stats: false"),
            phase="TEST",
            params=stats,
        ),
    ]


def scales() -> list[Case]:
    out = []
    shape = (2, 3, 4, 5)
    for kind, prefix in (("Scale", "scale"), ("Bias", "bias")):
        body = f"{prefix}_param {{{{ {{}} }}}}"
        for name, text in {
            "default": "",
            "axis_0": "axis: 0",
            "axis_2": "axis: 2",
            "axis_negative": "axis: -1",
            "two_axes": "axis: 1 num_axes: 2",
            "all_axes": "axis: 0 num_axes: -1",
            "scalar": "num_axes: 0",
        }.items():
            # With nothing before the factor's axes, BVLC Caffe overwrites the factor's gradient.
            alone = kind == "Scale" and text.startswith("axis: 0")
            more = {"settings": {"params_cleared": True}} if alone else {}
            out.append(act(kind, f"{prefix}_{name}", body.format(text), shape=shape, **more))
        out.append(act(kind, f"{prefix}_in_place", tops=IN_PLACE))
        out.append(act(kind, f"{prefix}_2d", shape=(6, 5)))
        for name, text, second in (
            ("bottom", "", (3,)),
            ("bottom_axis_0", "axis: 0", (2, 3)),
            ("bottom_same_shape", "axis: 0", shape),
            ("bottom_scalar", "axis: 0", ()),
            ("bottom_middle", "axis: 1", (3, 4)),
        ):
            pair = {"x": shape, "z": second}
            out.append(act(kind, f"{prefix}_{name}", body.format(text), shape=pair))
        pair = {"x": shape, "z": (3,)}
        out.append(act(kind, f"{prefix}_bottom_in_place", shape=pair, tops=IN_PLACE))
    bias = "scale_param {{ bias_term: true {} }}"
    return [
        *out,
        act("Scale", "scale_with_bias", bias.format("")),
        act("Scale", "scale_with_bias_axes", bias.format("axis: 2 num_axes: 2")),
        act("Scale", "scale_with_bias_in_place", bias.format(""), tops=IN_PLACE),
        act("Scale", "scale_bottom_with_bias", bias.format(""), shape={"x": shape, "z": (3,)}),
        act(
            "Scale",
            "scale_reshaped",
            bias.format(""),
            iterations=2,
            shapes=({}, {"x": (3, 3, 2, 2)}),
        ),
    ]


def cases() -> list[Case]:
    return with_engines(activations() + powers() + dropouts() + batch_norms() + scales())
