"""Nets of several layers: splits, sharing, rules, loss weights, old formats."""

from __future__ import annotations

from .case import UNIFORM, Case, input_layer, layer

FORCE = "force_backward: true\n"
LABELS = ("int", 0, 5)


def ip(bottom: str, top: str, outputs: int, more: str = "", name: str = "") -> str:
    body = f"inner_product_param {{ num_output: {outputs} }} {more}"
    return layer("InnerProduct", body, (bottom,), (top,), name or top)


def conv(bottom: str, top: str, outputs: int, more: str = "kernel_size: 3 pad: 1") -> str:
    body = f"convolution_param {{ num_output: {outputs} {more} }}"
    return layer("Convolution", body, (bottom,), (top,), top)


def norm(blob: str) -> str:
    """BatchNorm, Scale and ReLU in place."""
    scale = layer("Scale", "scale_param { bias_term: true }", (blob,), (blob,), f"{blob}_scale")
    relu = layer("ReLU", "", (blob,), (blob,), f"{blob}_relu")
    return layer("BatchNorm", "", (blob,), (blob,), f"{blob}_bn") + scale + relu


def softmax_loss(blob: str, more: str = "") -> str:
    return layer("SoftmaxWithLoss", more, (blob, "label"), ("loss",), "loss")


def case(name: str, net: str, inputs=None, **more) -> Case:
    return Case(name, "Net", net=net, inputs=inputs or {"x": UNIFORM}, **more)


def graphs() -> list[Case]:
    x, image, label = (
        input_layer("x", (4, 6)),
        input_layer("x", (2, 3, 8, 7)),
        input_layer("label", (2,)),
    )
    labelled = {"x": UNIFORM, "label": LABELS}
    shared = 'param {{ name: "w" {0} }} param {{ name: "b" }}'
    pool = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
    branches = (
        conv("x", "a", 4, "kernel_size: 1")
        + conv("x", "b", 3)
        + layer(
            "Pooling",
            "pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 }",
            ("x",),
            ("c",),
            "c",
        )
        + layer("Concat", "", ("a", "b", "c"), ("all",), "all")
    )
    residual = (
        conv("x", "c1", 3)
        + norm("c1")
        + conv("c1", "c2", 3)
        + layer("BatchNorm", "", ("c2",), ("c2",), "c2_bn")
        + layer("Eltwise", "", ("x", "c2"), ("sum",), "sum")
        + layer("ReLU", "", ("sum",), ("sum",), "sum_relu")
        + layer(
            "Pooling",
            "pooling_param { pool: AVE global_pooling: true }",
            ("sum",),
            ("pool",),
            "pool",
        )
        + ip("pool", "score", 5)
        + softmax_loss("score")
    )
    lenet = (
        conv("x", "conv1", 4, "kernel_size: 3")
        + layer("Pooling", pool, ("conv1",), ("pool1",), "pool1")
        + ip("pool1", "ip1", 10)
        + layer("ReLU", "", ("ip1",), ("ip1",), "relu1")
        + ip("ip1", "ip2", 5)
        + layer("Accuracy", "include { phase: TEST }", ("ip2", "label"), ("accuracy",), "accuracy")
        + softmax_loss("ip2")
    )
    sizes = ({}, {"x": (3, 3, 8, 7), "label": (3,)})
    return [
        case("net_split", FORCE + x + ip("x", "a", 3) + ip("x", "b", 2) + ip("x", "c", 2)),
        case(
            "net_shared_weights",
            FORCE
            + x
            + input_layer("z", (2, 6))
            + ip("x", "a", 3, shared.format(""))
            + ip("z", "b", 3, shared.format("")),
            {"x": UNIFORM, "z": UNIFORM},
        ),
        case(
            "net_shared_permissive",
            FORCE
            + x
            + input_layer("z", (2, 3, 2))
            + ip("x", "a", 3, shared.format("share_mode: PERMISSIVE"))
            + ip("z", "b", 3, shared.format("share_mode: PERMISSIVE")),
            {"x": UNIFORM, "z": UNIFORM},
        ),
        case("net_branches", FORCE + image + branches),
        case("net_residual", FORCE + image + label + residual, labelled, iterations=3),
        case("net_residual_test", image + label + residual, labelled, phase="TEST", backward=False),
        case("net_lenet", image + label + lenet, labelled, iterations=2, shapes=sizes),
        case("net_lenet_test", image + label + lenet, labelled, phase="TEST", backward=False),
        case(
            "net_loss_weights",
            input_layer("x", (2, 6))
            + label
            + ip("x", "a", 5)
            + softmax_loss("a", "loss_weight: 0.7")
            + layer("Reduction", "loss_weight: -0.3", ("a",), ("sum",), "sum"),
            labelled,
        ),
        case(
            "net_no_gradient_wanted",
            input_layer("x", (2, 6))
            + label
            + ip("x", "a", 4, "param { lr_mult: 0 } param { lr_mult: 0 }")
            + ip("a", "b", 5)
            + softmax_loss("b"),
            labelled,
        ),
        case(
            "net_propagate_down",
            input_layer("x", (2, 6))
            + label
            + ip("x", "a", 4)
            + ip("a", "b", 5, "propagate_down: false")
            + softmax_loss("b"),
            labelled,
        ),
        case(
            "net_silenced",
            FORCE
            + x
            + ip("x", "a", 3)
            + ip("x", "b", 3)
            + layer("Silence", "", ("b",), (), "quiet"),
        ),
    ]


def rules() -> list[Case]:
    """Layers that phase, level and stage include or exclude; the layers' names say which."""
    x = input_layer("x", (2, 3))

    def power(name, rule):
        body = f"power_param {{ scale: 2 }} {rule}"
        return layer("Power", body, ("x",), (name,), name)

    net = x + "".join(
        power(name, rule)
        for name, rule in {
            "train": "include { phase: TRAIN }",
            "test": "include { phase: TEST }",
            "not_test": "exclude { phase: TEST }",
            "a": 'include { stage: "a" }',
            "a_and_b": 'include { stage: "a" stage: "b" }',
            "a_or_b": 'include { stage: "a" } include { stage: "b" }',
            "not_a": 'include { not_stage: "a" }',
            "without_b": 'exclude { stage: "b" }',
            "level_1_to_2": "include { min_level: 1 max_level: 2 }",
            "up_to_0": "include { max_level: 0 }",
        }.items()
    )
    plain = {"backward": False}
    return [
        case("rules_train", net, **plain),
        case("rules_test", net, phase="TEST", **plain),
        case("rules_a", net, settings={"stages": ["a"]}, **plain),
        case("rules_a_b_level_1", net, settings={"stages": ["a", "b"], "level": 1}, **plain),
        case("rules_level_3", net, settings={"level": 3}, **plain),
        case("rules_state", 'state { level: 2 stage: "b" }\n' + net, **plain),
    ]


V1 = """
input: "x" input_dim: [2, 3, 8, 7]
input: "label" input_dim: [2, 1, 1, 1]
layers { name: "conv" type: CONVOLUTION bottom: "x" top: "conv" blobs_lr: 1 blobs_lr: 2
  weight_decay: 1 weight_decay: 0 convolution_param { num_output: 4 kernel_size: 3 group: 1 } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
layers { name: "norm" type: LRN bottom: "conv" top: "norm" lrn_param { local_size: 3 } }
layers { name: "pool" type: POOLING bottom: "norm" top: "pool"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layers { name: "drop" type: DROPOUT bottom: "pool" top: "pool" dropout_param { dropout_ratio: 0 } }
layers { name: "fc" type: INNER_PRODUCT bottom: "pool" top: "fc"
  inner_product_param { num_output: 5 } }
layers { name: "power" type: POWER bottom: "fc" top: "power" power_param { scale: 2 } }
layers { name: "tanh" type: TANH bottom: "power" top: "tanh" include { phase: TRAIN } }
layers { name: "tanh" type: SIGMOID bottom: "power" top: "tanh" include { phase: TEST } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "tanh" bottom: "label" top: "loss" }
"""
V0 = """
input: "x" input_dim: [2, 3, 8, 7]
input: "label" input_dim: [2, 1, 1, 1]
layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "x" top: "padded" }
layers { layer { name: "conv" type: "conv" num_output: 4 kernelsize: 3 stride: 2 biasterm: true
  blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 } bottom: "padded" top: "conv" }
layers { layer { name: "relu" type: "relu" } bottom: "conv" top: "conv" }
layers { layer { name: "norm" type: "lrn" local_size: 3 alpha: 0.5 beta: 0.75 k: 2 }
  bottom: "conv" top: "norm" }
layers { layer { name: "pool" type: "pool" pool: AVE kernelsize: 2 stride: 2 }
  bottom: "norm" top: "pool" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0 } bottom: "pool" top: "pool" }
layers { layer { name: "fc" type: "innerproduct" num_output: 5 } bottom: "pool" top: "fc" }
layers { layer { name: "loss" type: "softmax_loss" } bottom: "fc" bottom: "label" }
"""
V1_DATA = """
layers { name: "data" type: DATA top: "data" top: "label"
  data_param { source: "@FILES@/bytes_lmdb" backend: LMDB batch_size: 3 scale: 0.25
    mean_file: "@FILES@/mean.binaryproto" crop_size: 5 } }
"""
V1_IMAGES = """
layers { name: "data" type: IMAGE_DATA top: "data" top: "label"
  image_data_param { source: "@FILES@/images.txt" root_folder: "@FILES@/" batch_size: 3
    new_height: 12 new_width: 12 scale: 0.25 crop_size: 9 } }
"""


def old_formats() -> list[Case]:
    inputs = {"x": UNIFORM, "label": LABELS}
    names = "upgrade_v1", "upgrade_v1_test", "upgrade_v0"
    data = {"backward": False, "phase": "TEST", "iterations": 2}
    force = "force_backward: true\n"
    return [
        Case(names[0], "Old formats", net=force + V1, inputs=inputs),
        Case(names[1], "Old formats", net=V1, inputs=inputs, phase="TEST", backward=False),
        Case(names[2], "Old formats", net=force + V0, inputs=inputs),
        Case("upgrade_v1_data", "Old formats", net=V1_DATA, **data),
        Case("upgrade_v1_images", "Old formats", net=V1_IMAGES, **data),
    ]


def cases() -> list[Case]:
    return graphs() + rules() + old_formats()
