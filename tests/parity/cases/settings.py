"""Parameters at more values than the other lists give them, one small case for each setting."""

from __future__ import annotations

from .case import UNIFORM, Case, layer, shape_text, single
from .losses import SCORES, labelled

SMALL = (2, 3, 4, 2)
POSITIVE = ("uniform", 0.2, 2.0)

# type, parameter, shape of the bottom, settings
BODIES = [
    (
        "Convolution",
        "convolution_param",
        (2, 4, 6, 5),
        (
            "num_output: 4 kernel_size: 3 stride: 3 pad: 2 dilation: 2 group: 2",
            "num_output: 2 kernel_size: 2 pad_w: 1 stride: 3",
            "num_output: 3 axis: -1",
            "num_output: 4 axis: 3 group: 1 bias_term: false",
        ),
    ),
    (
        "Convolution",
        "convolution_param",
        (3, 4),
        ("num_output: 3", "num_output: 6 group: 2", "num_output: 2 kernel_size: 3 pad: 1"),
    ),
    (
        "Deconvolution",
        "convolution_param",
        (2, 4, 4, 3),
        ("num_output: 2 kernel_size: 2 stride: 3 pad: 1 dilation: 2", "num_output: 3 axis: -1"),
    ),
    ("Deconvolution", "convolution_param", (3, 4), ("num_output: 3", "num_output: 6 group: 2")),
    (
        "Pooling",
        "pooling_param",
        (2, 2, 5, 4),
        (
            "pool: MAX kernel_size: 6 stride: 3",  # larger than the plane
            "pool: MAX kernel_h: 7 kernel_w: 3 stride: 4 pad: 1",
            "pool: AVE kernel_size: 6 stride: 3",
            "pool: AVE kernel_h: 2 kernel_w: 5 stride: 2",
            "pool: MAX kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR",
            "pool: AVE kernel_size: 2 stride: 3 pad: 1 round_mode: FLOOR",
            "pool: AVE kernel_size: 3 stride_h: 1 stride_w: 3 pad_h: 2 pad_w: 0",
        ),
    ),
    (
        "LRN",
        "lrn_param",
        (1, 5, 4, 3),
        (
            "norm_region: WITHIN_CHANNEL local_size: 3 k: 2 beta: 2",
            "norm_region: WITHIN_CHANNEL local_size: 1 alpha: 0.5",
            "local_size: 7 alpha: 0.5 beta: 2 k: 0.5",
            "local_size: 3 alpha: 0 beta: 0.5 k: 3",
        ),
    ),
    ("Tile", "tile_param", (2, 3, 4), ("axis: 2 tiles: 5", "axis: -3 tiles: 3")),
    (
        "Flatten",
        "flatten_param",
        SMALL,
        ("axis: 3", "axis: -4 end_axis: 1", "axis: 2 end_axis: 2", "axis: 0 end_axis: -1"),
    ),
    (
        "Reshape",
        "reshape_param",
        SMALL,
        (
            shape_text((48,)),
            shape_text((0, 12, 2)),
            shape_text((-1, 2)) + " axis: 2",
            shape_text((1, 6, 0, 2)) + " axis: 0 num_axes: -1",
            shape_text((2, -1)) + " axis: 1 num_axes: 2",
            shape_text((1, 1)) + " axis: -1 num_axes: 0",
        ),
    ),
    (
        "Reduction",
        "reduction_param",
        (2, 3, 4),
        tuple(
            f"operation: {operation} axis: {axis} coeff: {coeff}"
            for operation in ("SUM", "ASUM", "SUMSQ", "MEAN")
            for axis, coeff in ((2, 2.5), (-2, 0))
        ),
    ),
    (
        "Exp",
        "exp_param",
        (2, 3, 4),
        ("base: 0.5", "base: 1", "base: 10 scale: -1 shift: 1.5", "scale: 0 shift: -1"),
    ),
    ("ELU", "elu_param", (2, 3, 4), ("alpha: -1", "alpha: 3")),
    ("Swish", "swish_param", (2, 3, 4), ("beta: 0", "beta: -1", "beta: 10")),
    ("Clip", "clip_param", (2, 3, 4), ("min: -10 max: 10", "min: 0.5 max: 0.5")),
    ("ReLU", "relu_param", (2, 3, 4), ("negative_slope: 1", "negative_slope: 2")),
    (
        "InnerProduct",
        "inner_product_param",
        SMALL,
        ("num_output: 1", "num_output: 3 axis: 3 transpose: true", "num_output: 2 axis: -4"),
    ),
]
BATCH_NORM = ("moving_average_fraction: 0", "moving_average_fraction: 1", "eps: 0.001")


def name(kind: str, number: int) -> str:
    return f"set_{kind.lower()}_{number}"


def plain() -> list[Case]:
    out: list[Case] = []
    count: dict[str, int] = {}
    for kind, param, shape, bodies in BODIES:
        for body in bodies:
            count[kind] = count.get(kind, 0) + 1
            text = f"{param} {{ {body} }}"
            out.append(single(kind, name(kind, count[kind]), kind, text, shape))
    for kind, param, bodies in (
        ("Log", "log_param", ("base: 10 scale: 2", "base: 0.5 shift: 1", "shift: 1.5")),
        ("Power", "power_param", ("power: -2", "power: 1.5 scale: 2.5", "power: 3 scale: -1")),
    ):
        for number, body in enumerate(bodies, 1):
            text = f"{param} {{ {body} }}"
            out.append(single(kind, name(kind, number), kind, text, (2, 3, 4), fill=POSITIVE))
    return out


def joined() -> list[Case]:
    three = {"a": SMALL, "b": SMALL, "c": SMALL}
    out = []
    for number, body in enumerate(("axis: 2", "axis: 3", "axis: -4", "concat_dim: 0"), 1):
        out.append(
            single("Concat", name("Concat", number), "Concat", f"concat_param {{ {body} }}", three)
        )
    for number, body in enumerate(("axis: 2", "axis: -2 slice_point: 3", "slice_dim: 3"), 1):
        text = f"slice_param {{ {body} }}"
        out.append(single("Slice", name("Slice", number), "Slice", text, SMALL, ("y", "z")))
    crops = {"x": (3, 4, 6, 7), "like": (2, 3, 4, 5)}
    for number, body in enumerate(("axis: 0 offset: 1", "axis: 0 offset: [1, 0, 1, 2]"), 1):
        out.append(single("Crop", name("Crop", number), "Crop", f"crop_param {{ {body} }}", crops))
    twins = {"x": (6, 4), "z": (6, 4), "same": (6,)}
    for number, body in enumerate(("margin: 0", "margin: 3 legacy_version: true"), 1):
        text = f"contrastive_loss_param {{ {body} }} loss_weight: 2"
        kind, fills = "ContrastiveLoss", {"same": ("int", 0, 2)}
        out.append(single(kind, name(kind, number), kind, text, twins, ("loss",), fills))
    return out


def labels() -> list[Case]:
    """Losses and Accuracy over another axis, with other normalizations."""
    out = []
    kind = "SoftmaxWithLoss"
    for number, body in enumerate(
        (
            "softmax_param { axis: 2 } loss_param { normalization: FULL } loss_weight: 0.5",
            "softmax_param { axis: -1 } loss_param { normalization: BATCH_SIZE ignore_label: 1 }",
            "softmax_param { axis: 2 } loss_param { normalization: NONE ignore_label: 0 }",
        ),
        1,
    ):
        out.append(labelled(kind, name(kind, number), body, (3, 4, 5), (3, 4, 1), 5))
    kind, tops = "Accuracy", ("accuracy", "per_class")
    exact = {"backward": False, "exact": ("*/data/*",)}
    for number, (axis, more) in enumerate(((2, "top_k: 4"), (-1, "ignore_label: -1")), 1):
        body = f"accuracy_param {{ axis: {axis} {more} }}"
        out.append(labelled(kind, name(kind, number), body, (4, 3, 6), (4, 3), 5, tops, **exact))
    kind = "SigmoidCrossEntropyLoss"
    fills = {"x": SCORES, "z": ("int", -1, 2)}
    pair = {"x": (4, 3), "z": (4, 3)}
    for number, mode in enumerate(("FULL", "BATCH_SIZE", "NONE"), 1):
        text = f"loss_param {{ normalization: {mode} ignore_label: -1 }} loss_weight: 0.5"
        out.append(single(kind, name(kind, number), kind, text, pair, ("loss",), fills))
    return out


def others() -> list[Case]:
    """BatchNorm, ArgMax, and the bilinear filler at every size."""
    stats = {"layer": [UNIFORM, ("uniform", 0.5, 2.0), ("values", [0.8])]}
    out = []
    for number, body in enumerate(BATCH_NORM, 1):
        more = {"params": stats, "iterations": 2, "fill": ("normal", 3.0, 2.0)}
        text = f"batch_norm_param {{ {body} }}"
        out.append(single("BatchNorm", name("BatchNorm", number), "BatchNorm", text, SMALL, **more))
    exact = {"backward": False, "exact": ("*/data/*",)}
    for number, body in enumerate(("axis: 3 top_k: 2", "axis: -3 out_max_val: true"), 1):
        text = f"argmax_param {{ {body} }}"
        out.append(single("ArgMax", name("ArgMax", number), "ArgMax", text, SMALL, **exact))
    for size in range(1, 15):
        filler = 'data_filler { type: "bilinear" }'
        body = f"dummy_data_param {{ {shape_text((1, 1, size, size))} {filler} }}"
        net = layer("DummyData", body, (), ("a",))
        out.append(Case(f"set_bilinear_{size}", "DummyData", net=net, backward=False))
    return out


def cases() -> list[Case]:
    return plain() + joined() + labels() + others()
