"""The six solvers with every learning rate policy and the settings they share, 50 iterations."""

from __future__ import annotations

from .case import RUN_LIMIT, UNIFORM, WEIGHTS, Case, input_layer, layer

ITERATIONS = 50
SOLVERS = {
    "SGD": "base_lr: 0.1 momentum: 0.9",
    "Nesterov": "base_lr: 0.1 momentum: 0.9",
    "AdaGrad": "base_lr: 0.1",
    "RMSProp": "base_lr: 0.02 rms_decay: 0.95",
    "AdaDelta": "base_lr: 1 momentum: 0.95 delta: 1e-6",
    "Adam": "base_lr: 0.02 momentum: 0.9 momentum2: 0.999",
}
# At the rates above these two amplify rounding: weights one ulp away change the engine's own result
# by 13%.
CALMER = {
    "adagrad_clip_iter_size": "base_lr: 0.01",
    "rmsprop_clip_iter_size": "base_lr: 0.002 rms_decay: 0.95",
}
POLICIES = {
    "fixed": "",
    "step": "gamma: 0.5 stepsize: 12",
    "exp": "gamma: 0.97",
    "inv": "gamma: 0.05 power: 0.75",
    "multistep": "gamma: 0.3 stepvalue: 10 stepvalue: 25 stepvalue: 40",
    "poly": "power: 1.5",
    "sigmoid": "gamma: 0.2 stepsize: 25",
}
LR = "param {{ lr_mult: {0} decay_mult: {1} }} param {{ lr_mult: {2} decay_mult: {3} }}"
INPUTS = {"x": UNIFORM, "label": ("int", 0, 4)}


def ip(name: str, bottom: str, outputs: int, more: str) -> str:
    body = f"inner_product_param {{ num_output: {outputs} }} {more}"
    return layer("InnerProduct", body, (bottom,), (name,), name)


def perceptron(first: str = LR.format(1, 1, 2, 0), second: str = LR.format(1, 1, 1, 1)) -> str:
    """Two layers with a smooth activation between them, for any source of ``x`` and ``label``."""
    return (
        ip("ip1", "x", 6, first)
        + layer("TanH", "", ("ip1",), ("ip1",), "tanh")
        + ip("ip2", "ip1", 4, second)
        + layer("SoftmaxWithLoss", "", ("ip2", "label"), ("loss",), "loss")
    )


FED = input_layer("x", (5, 4)) + input_layer("label", (5,))
BYTES = layer(
    "Data",
    'data_param { source: "@FILES@/bytes_lmdb" backend: LMDB batch_size: 4 } '
    "transform_param { scale: 0.0078125 mean_value: 128 }",
    (),
    ("x", "label"),
    "data",
)


def solver(kind: str, policy: str, more: str = "") -> str:
    return (
        f'type: "{kind}" {SOLVERS[kind]} lr_policy: "{policy}" {POLICIES[policy]}\n'
        f"max_iter: {ITERATIONS} {more}\n"
    )


def case(name: str, text: str, net: str = FED + perceptron(), inputs=None, **more) -> Case:
    settings = {"solver": text, **more.pop("settings", {})}
    more.setdefault("group", "Solver settings")
    return Case(
        name,
        kind="solver",
        net=net,
        inputs=INPUTS if inputs is None else inputs,
        iterations=more.pop("iterations", ITERATIONS),
        limit=RUN_LIMIT,
        settings=settings,
        **more,
    )


def policies() -> list[Case]:
    return [
        case(f"{kind.lower()}_{policy}", solver(kind, policy, "weight_decay: 0.01"), group=kind)
        for kind in SOLVERS
        for policy in POLICIES
    ]


def common_settings() -> list[Case]:
    out = []
    for kind, setting in SOLVERS.items():
        name = kind.lower()
        for ending, text in {
            "iter_size": "iter_size: 3 weight_decay: 0.01",
            "clip": "clip_gradients: 0.05 weight_decay: 0.01",
            "clip_iter_size": "clip_gradients: 0.05 iter_size: 2",
            "l1": 'regularization_type: "L1" weight_decay: 0.002',
        }.items():
            fed = "iter_size" not in ending
            net = (FED if fed else BYTES) + perceptron()
            text = solver(kind, "fixed", text)
            if f"{name}_{ending}" in CALMER:
                text = text.replace(setting, CALMER[f"{name}_{ending}"])
            inputs = None if fed else {}
            out.append(case(f"{name}_{ending}", text, net, inputs, group=kind))
        net = FED + perceptron(LR.format(0.5, 2, 3, 0.1), LR.format(0, 1, 1, 0))
        text = solver(kind, "step", "weight_decay: 0.02")
        out.append(case(f"{name}_multipliers", text, net, group=kind))
    return out


def other_settings() -> list[Case]:
    data = {"inputs": {}}
    decay = "weight_decay: 0.01"
    shared = 'param { name: "w" lr_mult: 2 } param { name: "b" lr_mult: 1 }'
    twins = (
        FED
        + input_layer("z", (5, 4))
        + ip("a", "x", 4, shared)
        + ip("b", "z", 4, shared)
        + layer("SoftmaxWithLoss", "", ("a", "label"), ("loss",), "loss")
        + layer("SoftmaxWithLoss", "loss_weight: 0.4", ("b", "label"), ("loss2",), "loss2")
    )
    both = perceptron() + layer(
        "Accuracy", "include { phase: TEST }", ("ip2", "label"), ("accuracy",), "accuracy"
    )
    deep = (
        input_layer("x", (4, 2, 8, 8))
        + input_layer("label", (4,))
        + layer(
            "Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", ("x",), ("c",), "c"
        )
        + layer("BatchNorm", "", ("c",), ("c",), "bn")
        + layer("Scale", "scale_param { bias_term: true }", ("c",), ("c",), "scale")
        + layer("ELU", "", ("c",), ("c",), "elu")
        + layer(
            "Pooling", "pooling_param { pool: AVE kernel_size: 2 stride: 2 }", ("c",), ("p",), "p"
        )
        + ip("ip2", "p", 4, "")
        + layer("SoftmaxWithLoss", "", ("ip2", "label"), ("loss",), "loss")
    )
    # Blobs: mean, variance, scale factor of the statistics.
    empty = {"bn": [("values", [0.0])] * 3, "scale": [("uniform", 0.5, 1.5), WEIGHTS]}
    twins_inputs = {**INPUTS, "z": UNIFORM}
    steady = 'base_lr: 0.05 lr_policy: "fixed" momentum: 0.9'
    return [
        case("solver_default_type", f"{steady} {decay}"),
        case("solver_old_type", f"solver_type: ADAM {steady} momentum2: 0.99 {decay}"),
        case("solver_no_momentum", 'base_lr: 0.1 lr_policy: "fixed"'),
        case("solver_zero_rate", 'base_lr: 0 lr_policy: "fixed" momentum: 0.9'),
        case("solver_shared_weights", f"{steady} {decay}", twins, twins_inputs),
        case("solver_batch_norm", f"{steady} {decay}", deep, params=empty),
        case("solver_average_loss", f"{steady} average_loss: 7"),
        case("solver_test_net", f"{steady} test_iter: 3 test_interval: 10", BYTES + both, **data),
        case(
            "solver_test_nets",
            f'{steady} test_iter: [2, 3] test_interval: 20 test_state {{ stage: "a" }} '
            "test_state { level: 1 } test_initialization: false",
            BYTES + both,
            **data,
        ),
        case(
            "solver_net_param",
            steady,
            settings={"inline": True},
        ),
        case("solver_delta_adagrad", 'type: "AdaGrad" base_lr: 0.1 lr_policy: "fixed" delta: 0.1'),
        case("solver_delta_adam", f'type: "Adam" {steady} momentum2: 0.9 delta: 0.01'),
        case("solver_rms_decay", 'type: "RMSProp" base_lr: 0.01 lr_policy: "fixed" rms_decay: 0.5'),
    ]


def cases() -> list[Case]:
    return policies() + common_settings() + other_settings()
