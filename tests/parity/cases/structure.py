"""Layers that move, join, split and repeat values, the MAAP layers and layers written in Python."""

from __future__ import annotations

from .case import GRID, UNIFORM, Case, input_layer, layer, shape_text, single


def joins() -> list[Case]:
    three = {"a": (2, 3, 4, 2), "b": (2, 3, 4, 2), "c": (2, 3, 4, 2)}
    two = {"a": (2, 3, 4, 2), "b": (2, 3, 4, 2)}
    eltwise, concat = "eltwise_param {{ {} }}", "concat_param {{ {} }}"
    e, c = "Eltwise", "Concat"
    unequal = {"a": (2, 1, 3), "b": (2, 4, 3), "c": (2, 2, 3)}
    return [
        single(e, "eltwise_sum", e, "", two),
        single(e, "eltwise_sum_coeff", e, eltwise.format("coeff: [0.5, -2, 1.5]"), three),
        single(e, "eltwise_prod", e, eltwise.format("operation: PROD"), two),
        single(e, "eltwise_prod_three", e, eltwise.format("operation: PROD"), three),
        single(e, "eltwise_prod_zeros", e, eltwise.format("operation: PROD"), three, fill=GRID),
        single(
            e,
            "eltwise_prod_unstable",
            e,
            eltwise.format("operation: PROD stable_prod_grad: false"),
            three,
            fill=("uniform", 0.5, 2.0),
        ),
        single(e, "eltwise_max", e, eltwise.format("operation: MAX"), two),
        single(e, "eltwise_max_three", e, eltwise.format("operation: MAX"), three),
        single(e, "eltwise_max_ties", e, eltwise.format("operation: MAX"), three, fill=GRID),
        single(c, "concat", c, "", unequal),
        single(c, "concat_one", c, "", (2, 3, 4)),
        single(c, "concat_axis_0", c, concat.format("axis: 0"), {"a": (1, 2, 3), "b": (3, 2, 3)}),
        single(
            c, "concat_axis_last", c, concat.format("axis: -1"), {"a": (2, 3, 1), "b": (2, 3, 4)}
        ),
        single(
            c,
            "concat_dim",
            c,
            concat.format("concat_dim: 2"),
            {"a": (1, 2, 3, 1), "b": (1, 2, 1, 1)},
        ),
        single(c, "concat_2d", c, "", {"a": (4, 2), "b": (4, 5)}),
    ]


def cuts() -> list[Case]:
    slice_, s, shape = "slice_param {{ {} }}", "Slice", (2, 6, 4, 3)
    ab, abc = ("a", "b"), ("a", "b", "c")
    return [
        single(s, "slice", s, "", shape, abc),
        single(s, "slice_points", s, slice_.format("slice_point: [1, 4]"), shape, abc),
        single(s, "slice_axis_0", s, slice_.format("axis: 0"), shape, ab),
        single(s, "slice_axis_last", s, slice_.format("axis: -1 slice_point: 1"), shape, ab),
        single(s, "slice_dim", s, slice_.format("slice_dim: 2 slice_point: 3"), shape, ab),
        single(s, "slice_one", s, "", shape, ("a",)),
        single("Split", "split", "Split", "", shape, ab),
        single("Split", "split_three", "Split", "", shape, abc),
        single("Split", "split_one", "Split", "", shape, ("a",)),
        single("Tile", "tile", "Tile", "tile_param { tiles: 3 }", shape),
        single("Tile", "tile_axis_0", "Tile", "tile_param { axis: 0 tiles: 2 }", shape),
        single("Tile", "tile_last", "Tile", "tile_param { axis: -1 tiles: 4 }", (3, 2)),
        single("Tile", "tile_1", "Tile", "tile_param { tiles: 1 }", shape),
    ]


def shapes() -> list[Case]:
    flatten, f = "flatten_param {{ {} }}", "Flatten"
    reshape, r, shape = "reshape_param {{ {} {} }}", "Reshape", (2, 3, 4, 5)

    def reshaped(name, dims, more=""):
        return single(r, name, r, reshape.format(shape_text(dims), more), shape)

    return [
        single(f, "flatten", f, "", shape),
        single(f, "flatten_axis_2", f, flatten.format("axis: 2"), shape),
        single(f, "flatten_axis_0", f, flatten.format("axis: 0"), shape),
        single(f, "flatten_end", f, flatten.format("axis: 1 end_axis: 2"), shape),
        single(f, "flatten_negative", f, flatten.format("axis: -3 end_axis: -2"), shape),
        reshaped("reshape", (2, 60)),
        reshaped("reshape_copy", (0, 0, 20)),
        reshaped("reshape_rest", (0, -1, 2)),
        reshaped("reshape_axis", (6, 2), "axis: 1 num_axes: 2"),
        reshaped("reshape_insert", (1,), "axis: 1 num_axes: 0"),
        reshaped("reshape_from_end", (5, 1), "axis: -2"),
    ]


def reductions() -> list[Case]:
    out = []
    shape = (2, 3, 4, 5)
    for operation in ("SUM", "ASUM", "SUMSQ", "MEAN"):
        for name, text in {
            "all": "",
            "axis_1": "axis: 1",
            "last": "axis: -1 coeff: -1.7",
        }.items():
            body = f"reduction_param {{ operation: {operation} {text} }}"
            out.append(
                single(
                    "Reduction", f"reduction_{operation.lower()}_{name}", "Reduction", body, shape
                )
            )
    arg = "argmax_param {{ {} }}"
    for name, text in {
        "argmax": "",
        "argmax_top_3": "top_k: 3",
        "argmax_value": "out_max_val: true top_k: 2",
        "argmax_axis": "axis: 1",
        "argmax_axis_value": "axis: 2 out_max_val: true top_k: 2",
        "argmax_axis_negative": "axis: -1",
    }.items():
        more = {"backward": False, "exact": ("*/data/y",)}
        out.append(single("ArgMax", name, "ArgMax", arg.format(text), shape, **more))
    ties = {"backward": False, "exact": ("*/data/y",), "fill": GRID}
    out.append(single("ArgMax", "argmax_ties", "ArgMax", arg.format("top_k: 4"), shape, **ties))
    mvn = "mvn_param {{ {} }}"
    for name, text in {
        "mvn": "",
        "mvn_mean_only": "normalize_variance: false",
        "mvn_across": "across_channels: true",
        "mvn_across_mean": "across_channels: true normalize_variance: false",
    }.items():
        out.append(single("MVN", name, "MVN", mvn.format(text), shape, fill=("normal", 3.0, 2.0)))
    return out


def indexed() -> list[Case]:
    """Embed and BatchReindex have no gradient for their indices; a loss needs the others."""
    target = input_layer("target", (6, 4)) + layer(
        "EuclideanLoss", "", ("y", "target"), ("loss",), "loss"
    )
    ids = input_layer("ids", (6,))
    out = []
    for name, bias in (("embed", "true"), ("embed_no_bias", "false")):
        body = f"embed_param {{ num_output: 4 input_dim: 5 bias_term: {bias} }}"
        net = ids + layer("Embed", body, ("ids",)) + target
        fills = {"ids": ("int", 0, 5), "target": UNIFORM}
        out.append(Case(name, "Embed", net=net, inputs=fills))
    source = input_layer("x", (3, 4)) + layer("Bias", "", ("x",), ("moved",), "bias")
    net = source + ids + layer("BatchReindex", "", ("moved", "ids")) + target
    fills = {"x": UNIFORM, "ids": ("int", 0, 3), "target": UNIFORM}
    out.append(Case("batch_reindex", "BatchReindex", net=net, inputs=fills))
    pair = {"x": (5, 2, 3), "ids": (5,)}
    fills = {"ids": ("values", [0, 1, 0, 1, 1])}
    more = {"backward": False, "exact": ("*/data/y",)}
    out.append(single("Filter", "filter", "Filter", "", pair, fill=fills, **more))
    return out


def maap_layers() -> list[Case]:
    out = []
    shape, wide = (2, 5, 6, 7), ("uniform", -3.0, 3.0)
    e = "Enhancement"
    out.append(single(e, "enhance", e, "", shape, fill=wide))
    out.append(single(e, "enhance_in_place", e, "", shape, ("x",), fill=wide))
    out.append(single(e, "enhance_attention", e, "", shape, ("y", "a"), fill=wide))
    out.append(single(e, "enhance_in_place_attention", e, "", shape, ("x", "a"), fill=wide))
    out.append(
        single(e, "enhance_wide", e, "", (1, 70, 3, 5), ("y", "a"), fill=("uniform", -40.0, 40.0))
    )
    pair = {"f": (3, 4, 5, 5), "d": (3, 3, 17, 15)}
    for a_star in ("ROI", "UNCORRELATED", "ENHANCE", "REDUCE", "ALLSOFT", "ALLSOFT_PLUS_ONE"):
        for at in ("INPUT", "MAP"):
            body = f'python_param {{ param_str: "a_star: {a_star} threshold_at: {at}" }}'
            name = f"eliminate_{a_star.lower()}_{at.lower()}"
            more = {"fill": wide, "exact": ("*/data/region",)}
            tops = ("y", "region", "attention", "stats")
            out.append(single("Elimination", name, "Elimination", body, pair, tops, **more))
    flat = {"fill": ("values", [0.25]), "exact": ("*/data/region",)}
    out.append(
        single("Elimination", "eliminate_flat", "Elimination", "", pair, ("y", "region"), **flat)
    )
    return out


def python_layers() -> list[Case]:
    body = 'python_param {{ module: "python_layers" layer: "{}" param_str: "{}" }}'
    pair = {"x": (2, 3, 4), "z": (2, 3, 4)}
    p = "Python"
    return [
        single(p, "python_scale", p, body.format("ScaleLayer", "2.5"), (2, 3, 4)),
        single(p, "python_two_tops", p, body.format("SumAndDifference", ""), pair, ("s", "d")),
        single(p, "python_parameter", p, body.format("ParameterLayer", ""), (2, 3, 4)),
        single(
            p,
            "python_loss",
            p,
            body.format("SquaredError", "") + " loss_weight: 3",
            pair,
            ("loss",),
        ),
        single(
            p,
            "python_reshaped",
            p,
            body.format("ScaleLayer", "-1"),
            (2, 3, 4),
            iterations=2,
            shapes=({}, {"x": (5, 2)}),
        ),
    ]


def sources() -> list[Case]:
    """Input, DummyData, Parameter and Silence."""
    dummy = "dummy_data_param {{ {} }}"
    one = "shape { dim: 2 dim: 3 } "
    fixed = {"backward": False, "exact": ("*/data/*",)}
    constant = 'data_filler { type: "constant" value: 2.5 }'
    old = "num: 2 channels: 3 height: 2 width: 4"
    bilinear = 'shape { dim: 2 dim: 3 dim: 4 dim: 4 } data_filler { type: "bilinear" }'

    def filled(name, body, tops=("a",)):
        return Case(
            name, "DummyData", net=layer("DummyData", dummy.format(body), (), tops), **fixed
        )

    silence = input_layer("x", (2, 3)) + layer("Silence", "", ("x",), ())
    two = input_layer("z", (4,)) + layer("Silence", "", ("x", "z"), ())
    several = layer(
        "Input", f"input_param {{ {shape_text((2, 3))} {shape_text((4,))} }}", (), ("a", "b")
    )
    shared = layer("Input", f"input_param {{ {shape_text((2, 3))} }}", (), ("a", "b"))
    return [
        filled("dummy", one),
        filled("dummy_constant", one + constant),
        filled("dummy_two_shapes", one + "shape { dim: 4 } " + constant, ("a", "b")),
        filled(
            "dummy_two_fillers",
            one + "data_filler { value: 1 } data_filler { value: -2 }",
            ("a", "b"),
        ),
        filled("dummy_old_dimensions", old + " " + constant),
        filled("dummy_bilinear", bilinear),
        Case(
            "input_two_shapes", "Input", net=several, inputs={"a": UNIFORM, "b": UNIFORM}, **fixed
        ),
        Case("input_one_shape", "Input", net=shared, inputs={"a": UNIFORM, "b": UNIFORM}, **fixed),
        Case(
            "input_old_fields",
            "Input",
            net='input: "a" input_dim: [2, 3, 1, 4] input: "b" input_dim: [1, 2, 1, 1]\n'
            + layer("Silence", "", ("b",), ()),
            inputs={"a": UNIFORM, "b": UNIFORM},
            **fixed,
        ),
        Case("silence", "Silence", net="force_backward: true\n" + silence, inputs={"x": UNIFORM}),
        Case(
            "silence_two",
            "Silence",
            net="force_backward: true\n" + input_layer("x", (2, 3)) + two,
            inputs={"x": UNIFORM, "z": UNIFORM},
        ),
    ]


def cases() -> list[Case]:
    return [
        *joins(),
        *cuts(),
        *shapes(),
        *reductions(),
        *indexed(),
        *maap_layers(),
        *python_layers(),
        *sources(),
    ]
