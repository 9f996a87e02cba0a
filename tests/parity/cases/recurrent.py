"""LSTM, RNN and LSTMUnit: sequences, states carried and exposed, training, snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .case import RUN_LIMIT, UNIFORM, Case, Fill, input_layer, layer, single
from .files import SNAPSHOT_AT

STATES = {"LSTM": ("h0", "c0"), "RNN": ("h0",)}
BITS: Fill = ("int", 0, 2)
NEVER: Fill = ("values", [0.0])
ALWAYS: Fill = ("values", [1.0])
# cont of 3 steps and 2 streams: both start at the first step, one of them again at the third.
STARTS: Fill = ("values", [0, 0, 1, 1, 0, 1])
STEPS, STREAMS, OUTPUTS = 3, 2, 4


# Their results are like those of other cases: they are compared live, not with golden files.
LIVE = (
    "adam,debug_info,exposed,exposed_one_step,iter_size,map,one_output,one_stream,propagate_down,"
    "rates,shared,starts_always,state_carried_test,static,two"
).split(",")


def param(more: str = "", outputs: int = OUTPUTS) -> str:
    return f"recurrent_param {{ num_output: {outputs} {more} }}"


def recurrent(
    kind: str,
    name: str,
    body: str = "",
    x: Sequence[int] = (STEPS, STREAMS, 5),
    static: Sequence[int] = (),
    cont: Fill = STARTS,
    exposed: bool = False,
    **more,
) -> Case:
    """A case of one layer; with ``exposed``, its states are bottoms and tops."""
    bottoms = {"x": x, "cont": x[:2]}
    if static:
        bottoms["still"] = static
    tops = ["y"]
    if exposed:
        body = body or param("expose_hidden: true")
        bottoms |= {state: (1, x[1], OUTPUTS) for state in STATES[kind]}
        tops += [state.replace("0", "T") for state in STATES[kind]]
    return single(
        kind, f"{kind.lower()}_{name}", kind, body or param(), bottoms, tops, {"cont": cont}, **more
    )


def options(kind: str) -> list[Case]:
    """Each option alone, and those that change one another."""
    fillers = 'weight_filler { value: 0.1 } bias_filler { type: "constant" value: -0.2 }'
    sizes = tuple({"x": (STEPS, n, 5), "cont": (STEPS, n), "still": (n, 3)} for n in (2, 3, 1, 4))
    shapes = ({}, {"x": (STEPS, 3, 5), "cont": (STEPS, 3)})
    shapes[1].update({state: (1, 3, OUTPUTS) for state in STATES[kind]})
    return [
        recurrent(kind, "plain"),
        recurrent(kind, "state_carried", cont=ALWAYS, iterations=3),
        recurrent(kind, "state_carried_test", cont=ALWAYS, phase="TEST", iterations=2),
        recurrent(kind, "starts_anywhere", cont=BITS, x=(7, 3, 2), iterations=2),
        recurrent(kind, "starts_always", cont=NEVER),
        recurrent(kind, "cont_any", cont=("uniform", -2.0, 2.0)),
        recurrent(kind, "one_step", x=(1, 3, 2), cont=ALWAYS, iterations=2),
        recurrent(kind, "one_stream", x=(4, 1, 3), cont=BITS),
        recurrent(kind, "many_steps", x=(40, 2, 3), cont=("values", [0, *[1] * 39])),
        recurrent(kind, "one_output", param(outputs=1)),
        recurrent(kind, "map", x=(STEPS, STREAMS, 2, 3, 2)),
        recurrent(kind, "static", static=(STREAMS, 3)),
        recurrent(kind, "static_map", static=(STREAMS, 3, 2), cont=ALWAYS),
        recurrent(
            kind,
            "streams_change",
            cont=ALWAYS,
            static=(STREAMS, 3),
            shapes=sizes,
            iterations=4,
        ),
        recurrent(kind, "exposed", cont=ALWAYS, exposed=True),
        recurrent(kind, "exposed_static", static=(STREAMS, 3), cont=BITS, exposed=True),
        recurrent(kind, "exposed_one_step", x=(1, 3, 2), cont=ALWAYS, exposed=True),
        recurrent(
            kind, "exposed_streams_change", cont=BITS, exposed=True, shapes=shapes, iterations=2
        ),
        recurrent(kind, "debug_info", param("debug_info: true")),
        Case(
            f"{kind.lower()}_filled",
            kind,
            net=f"{inputs()}{layer(kind, param(fillers), ('x', 'cont'))}",
            inputs={"x": UNIFORM, "cont": STARTS},
            params={"layer": ()},
        ),
    ]


def inputs(steps: int = STEPS, streams: int = STREAMS, width: int = 5) -> str:
    return input_layer("x", (steps, streams, width)) + input_layer("cont", (steps, streams))


def nets(kind: str) -> list[Case]:
    """The layer among others: gradients below it, rates, a second of its kind, weights by name."""
    name = kind.lower()
    below = layer(
        "InnerProduct", "inner_product_param { num_output: 3 axis: 2 }", ("x",), ("p",), "p"
    )
    target = input_layer("target", (STEPS, STREAMS, OUTPUTS))
    loss = layer("EuclideanLoss", "", ("y", "target"), ("loss",), "loss")
    fills = {"x": UNIFORM, "cont": STARTS, "target": UNIFORM}

    def net(ending: str, body: str, more: str = "", **options) -> Case:
        middle = below + layer(kind, f"{body} {more}", ("p", "cont"), ("y",), name)
        return Case(
            f"{name}_net{ending}",
            kind,
            net=inputs() + target + middle + loss,
            inputs=fills,
            **options,
        )

    rates = " ".join(f"param {{ lr_mult: {rate} }}" for rate in (0, 2, 1))
    relu = layer("ReLU", "", ("y",), ("y",), "relu")
    above = layer(kind, param(), ("y", "cont"), ("z",), "above")
    sigmoid = layer("Sigmoid", "", ("y",), ("y",), "sigmoid")
    names = " ".join(f'param {{ name: "{i}" }}' for i in range(3))
    shared = "".join(
        layer(kind, f"{param()} {names}", ("x", "cont"), (top,), top) for top in ("y", "z")
    )
    return [
        net("", param()),
        net("_rates", param(), rates),
        net("_propagate_down", param(), "propagate_down: [false, false]"),
        Case(
            f"{name}_net_two",
            kind,
            net="force_backward: true\n"
            + inputs()
            + layer(kind, param(), ("x", "cont"), ("y",), name)
            + above,
            inputs={"x": UNIFORM, "cont": STARTS},
        ),
        Case(  # in the phase TRAIN, BVLC Caffe's steps after the first do not share
            f"{name}_net_shared",
            kind,
            net="force_backward: true\n" + inputs() + shared,
            inputs={"x": UNIFORM, "cont": STARTS},
            phase="TEST",
        ),
        Case(
            f"{name}_net_in_place",
            kind,
            net="force_backward: true\n"
            + inputs()
            + layer(kind, param(), ("x", "cont"), ("y",), name)
            + relu
            + sigmoid,
            inputs={"x": UNIFORM, "cont": ALWAYS},
            iterations=2,
        ),
    ]


def units() -> list[Case]:
    def unit(name: str, cont: Fill, **more) -> Case:
        bottoms = {"c0": (1, 3, 4), "gates": (1, 3, 16), "cont": (1, 3)}
        fills = {"cont": cont, **more.pop("fills", {})}
        return single("LSTMUnit", name, "LSTMUnit", "", bottoms, ("c", "h"), fills, **more)

    values = ("values", [0, 1, 0])
    return [
        unit("lstm_unit", values),
        unit("lstm_unit_wide", values, fills={"gates": ("uniform", -60.0, 60.0)}),
        unit("lstm_unit_cont_any", ("uniform", -2.0, 2.0)),
        unit("lstm_unit_nan_forgotten", values, fills={"gates": ("values", NAN_GATES)}),
        unit("lstm_unit_reshaped", BITS, iterations=2, shapes=({}, UNIT_OF_5)),
    ]


# The second quarter of a row, the forget gate's inputs, is NaN for the first and the third stream.
NAN_GATES = [
    float("nan") if column // 4 == 1 and row != 1 else 0.25 * column - 2
    for row in range(3)
    for column in range(16)
]
UNIT_OF_5 = {"c0": (1, 5, 2), "gates": (1, 5, 8), "cont": (1, 5)}

SOLVER = 'base_lr: 0.1 momentum: 0.9 lr_policy: "step" gamma: 0.5 stepsize: 15'
SETTINGS = {
    "sgd": f"{SOLVER} weight_decay: 0.01",
    "clip": f"{SOLVER} clip_gradients: 0.1",
    "adam": 'type: "Adam" base_lr: 0.02 momentum: 0.9 momentum2: 0.999 lr_policy: "fixed"',
    "iter_size": f"{SOLVER} iter_size: 3",
}


def labelled(kind: str, exposed: bool = False) -> str:
    """A net that names each step's class; with ``exposed`` it reads the first states."""
    states = STATES[kind] if exposed else ()
    bottoms, tops = ["x", "cont", *states], ["y", *(f"{state}_end" for state in states)]
    body = param("expose_hidden: true" if exposed else "")
    scores = "inner_product_param { num_output: 3 axis: 2 }"
    return (
        inputs()
        + input_layer("label", (STEPS, STREAMS))
        + "".join(input_layer(state, (1, STREAMS, OUTPUTS)) for state in states)
        + layer(kind, body, bottoms, tops, kind.lower())
        + layer("InnerProduct", scores, ("y",), ("scores",), "scores")
        + layer(
            "SoftmaxWithLoss",
            "softmax_param { axis: 2 }",
            ("scores", "label"),
            ("loss",),
            "loss",
        )
    )


def training(kind: str) -> list[Case]:
    fills = {"x": UNIFORM, "cont": STARTS, "label": ("int", 0, 3)}
    out = []
    for name, text in SETTINGS.items():
        carried = name == "clip"
        out.append(
            Case(
                f"{kind.lower()}_train_{name}{'_carried' if carried else ''}",
                kind,
                "solver",
                net=labelled(kind),
                inputs={**fills, "cont": ALWAYS if carried else STARTS},
                iterations=50,
                limit=RUN_LIMIT,
                settings={"solver": text},
            )
        )
    exposed = {**fills, **dict.fromkeys(STATES[kind], UNIFORM)}
    out.append(
        Case(
            f"{kind.lower()}_train_exposed",
            kind,
            "solver",
            net=labelled(kind, exposed=True),
            inputs=exposed,
            iterations=50,
            limit=RUN_LIMIT,
            settings={"solver": SETTINGS["sgd"]},
        )
    )
    return out


def snapshots(kind: str) -> list[Case]:
    """A training with a snapshot in either format, and its rest from each host's snapshot."""
    out = []
    for form in ("BINARYPROTO", "HDF5"):
        text = f'{SETTINGS["sgd"]} snapshot_format: {form} snapshot_prefix: "snap"'
        settings = {"solver": text, "snapshot_at": SNAPSHOT_AT}
        more = {
            "net": labelled(kind),
            "inputs": {"x": UNIFORM, "cont": STARTS, "label": ("int", 0, 3)},
            "limit": RUN_LIMIT,
        }
        wrote = f"{kind.lower()}_snapshot_{form.lower()}"
        out.append(Case(wrote, kind, "snapshot", settings=settings, **more))
        settings = {**settings, "of": wrote}
        resumed = f"{kind.lower()}_resume_{form.lower()}"
        out.append(Case(resumed, kind, "resume", settings=settings, **more))
    return out


def cases() -> list[Case]:
    out = units()
    for kind in STATES:
        for case in [*options(kind), *nets(kind), *training(kind), *snapshots(kind)]:
            ending = case.name.split("_", 1)[1].removeprefix("net_").removeprefix("train_")
            live_only = {"live_only": True} if ending in LIVE else {}
            out.append(replace(case, settings={**case.settings, **live_only}))
    return out
