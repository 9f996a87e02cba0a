"""Softmax, losses and Accuracy."""

from __future__ import annotations

from .case import GRID, Case, input_layer, layer, single, with_engines

SCORES = ("uniform", -3.0, 3.0)


def softmaxes() -> list[Case]:
    body, s = "softmax_param {{ {} @ENGINE@ }}", "Softmax"
    return [
        single(s, "softmax", s, body.format(""), (3, 5), fill=SCORES),
        single(s, "softmax_4d", s, body.format(""), (2, 5, 3, 2), fill=SCORES),
        single(s, "softmax_axis_2", s, body.format("axis: 2"), (2, 3, 5, 2), fill=SCORES),
        single(s, "softmax_axis_last", s, body.format("axis: -1"), (2, 3, 4), fill=SCORES),
        single(s, "softmax_axis_0", s, body.format("axis: 0"), (4, 3), fill=SCORES),
        single(s, "softmax_in_place", s, body.format(""), (3, 5), ("x",), fill=SCORES),
        single(s, "softmax_large", s, body.format(""), (3, 5), fill=("uniform", -300.0, 300.0)),
        single(s, "softmax_one_class", s, body.format(""), (3, 1), fill=SCORES),
        single(s, "softmax_many", s, body.format(""), (4, 200), fill=SCORES),
    ]


def labelled(kind, name, body, scores, labels, classes, tops=("loss",), **more) -> Case:
    """A loss of scores ``x`` against whole-numbered labels in [0, classes)."""
    fills = {"x": more.pop("fill", SCORES), "label": more.pop("label_fill", ("int", 0, classes))}
    return single(kind, name, kind, body, {"x": scores, "label": labels}, tops, fills, **more)


def softmax_losses() -> list[Case]:
    out = []
    s, spatial, places = "SoftmaxWithLoss", (2, 5, 3, 4), (2, 1, 3, 4)
    loss = "loss_param {{ {} }}"
    for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE"):
        for ignore in (False, True):
            text = f"normalization: {mode}" + (" ignore_label: 1" if ignore else "")
            name = f"softmax_loss_{mode.lower()}" + ("_ignore" if ignore else "")
            out.append(labelled(s, name, loss.format(text), spatial, places, 5))
    none_left = {"label_fill": ("values", [1.0])}
    out += [
        labelled(s, "softmax_loss", "softmax_param { @ENGINE@ }", (4, 6), (4,), 6),
        labelled(s, "softmax_loss_column_labels", "", (4, 6), (4, 1), 6),
        labelled(s, "softmax_loss_weight", "loss_weight: 2.5", (4, 6), (4,), 6),
        labelled(s, "softmax_loss_axis", "softmax_param { axis: 2 }", (3, 2, 5), (3, 2), 5),
        labelled(
            s,
            "softmax_loss_normalize",
            loss.format("normalize: true ignore_label: 0"),
            spatial,
            places,
            5,
        ),
        labelled(
            s, "softmax_loss_not_normalize", loss.format("normalize: false"), spatial, places, 5
        ),
        labelled(
            s,
            "softmax_loss_all_ignored",
            loss.format("ignore_label: 1"),
            (4, 6),
            (4,),
            6,
            **none_left,
        ),
        labelled(
            s,
            "softmax_loss_ignore_negative",
            loss.format("ignore_label: -1"),
            (4, 6),
            (4,),
            6,
            label_fill=("int", -1, 6),
        ),
        labelled(s, "softmax_loss_certain", "", (6, 4), (6,), 4, fill=("uniform", -400.0, 400.0)),
        labelled(s, "softmax_loss_many", "", (16, 200), (16,), 200),
    ]
    return out


def other_losses() -> list[Case]:
    pair = {"x": (4, 3, 2), "z": (4, 3, 2)}
    e, h, c = "EuclideanLoss", "HingeLoss", "SigmoidCrossEntropyLoss"
    loss, hinge = "loss_param {{ {} }}", "hinge_loss_param {{ norm: {} }}"
    bits = {"x": SCORES, "z": ("int", 0, 2)}
    # BVLC Caffe keeps the margins in the scores' gradient between its two passes.
    kept = {"settings": {"gradients_left": ("x",)}}
    out = [
        single(e, "euclidean", e, "", pair, ("loss",)),
        single(e, "euclidean_weight", e, "loss_weight: 0.3", pair, ("loss",)),
        labelled(h, "hinge_l1", "", (5, 4), (5,), 4, **kept),
        labelled(h, "hinge_l2", hinge.format("L2"), (5, 4), (5,), 4, **kept),
        labelled(
            h, "hinge_l1_weight", hinge.format("L1") + " loss_weight: 2", (5, 4), (5,), 4, **kept
        ),
    ]
    for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE"):
        body = loss.format(f"normalization: {mode}")
        out.append(single(c, f"sigmoid_loss_{mode.lower()}", c, body, pair, ("loss",), fill=bits))
    some = {"x": SCORES, "z": ("int", -1, 2)}
    targets = {"x": ("uniform", -40.0, 40.0), "z": ("uniform", 0.0, 1.0)}
    ignore = loss.format("ignore_label: -1 normalization: VALID")
    out.append(single(c, "sigmoid_loss", c, "", pair, ("loss",), fill=bits))
    out.append(single(c, "sigmoid_loss_ignore", c, ignore, pair, ("loss",), fill=some))
    out.append(single(c, "sigmoid_loss_soft_targets", c, "", pair, ("loss",), fill=targets))
    return out


def infogain(name: str, body: str = "", scores=(5, 4), labels=(5, 1, 1, 1)) -> Case:
    """Four classes. The scores come from a Bias, whose parameter needs a gradient: forcing all
    gradients would also request that of H, which is an error."""
    shapes = {"x": scores, "label": labels, "h": (1, 1, 4, 4)}
    net = "".join(input_layer(blob, shape) for blob, shape in shapes.items())
    net += layer("Bias", "", ("x",), ("moved",), "bias")
    net += layer("InfogainLoss", body, ("moved", "label", "h"), ("loss",))
    fills = {"x": SCORES, "label": ("int", 0, 4), "h": ("uniform", 0.0, 1.0)}
    return Case(name, "InfogainLoss", net=net, inputs=fills)


def rarer_losses() -> list[Case]:
    m, i, k = "MultinomialLogisticLoss", "InfogainLoss", "ContrastiveLoss"
    some = {"fill": ("uniform", 0.05, 0.95)}
    tiny = {"fill": ("values", [0.0, 1e-25, 0.7, 1e-19])}
    three = {"x": (5, 4), "label": (5, 1, 1, 1), "h": (1, 1, 4, 4)}
    fills = {"x": SCORES, "label": ("int", 0, 4), "h": ("uniform", 0.0, 1.0)}
    spatial, places = (2, 4, 3, 2), (2, 1, 3, 2)
    out = [
        labelled(m, "multinomial", "", (5, 4), (5,), 4, **some),
        labelled(m, "multinomial_weight", "loss_weight: 3", (5, 4, 1, 1), (5, 1), 4, **some),
        labelled(m, "multinomial_tiny", "", (7, 4), (7,), 4, **tiny),
        single(i, "infogain_forward", i, "", three, ("loss",), fills, backward=False),
        infogain("infogain"),
        infogain("infogain_weight", "loss_weight: 0.5"),
        infogain("infogain_axis", "infogain_loss_param { axis: 2 }", (3, 2, 4), (3, 2)),
    ]
    for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE"):
        text = f"loss_param {{ normalization: {mode} ignore_label: 1 }}"
        out.append(infogain(f"infogain_{mode.lower()}_ignore", text, spatial, places))
    twins = {"x": (6, 4), "z": (6, 4), "same": (6,)}
    near = {"x": ("uniform", 0.0, 1e-4), "z": ("uniform", 0.0, 1e-4), "same": ("int", 0, 2)}
    far = {"same": ("int", 0, 2)}
    odd = {"same": ("values", [0.5, -1.0, 2.0, -0.5, 1.0, 0.0])}
    for name, fills, text in (
        ("contrastive", far, "margin: 1.5"),
        ("contrastive_legacy", far, "margin: 2 legacy_version: true"),
        ("contrastive_near", near, "margin: 1"),
        ("contrastive_odd_labels", odd, "margin: 1.5"),
    ):
        body = f"contrastive_loss_param {{ {text} }}"
        out.append(single(k, name, k, body, twins, ("loss",), fills))
    return out


def accuracies() -> list[Case]:
    a, body = "Accuracy", "accuracy_param {{ {} }}"
    spatial, places = (2, 5, 3, 4), (2, 1, 3, 4)
    both = ("accuracy", "per_class")
    flat = {"backward": False, "exact": ("*/data/accuracy", "*/data/per_class")}
    scores, labels = (12, 5), (12,)
    one = ("accuracy",)
    return [
        labelled(a, "accuracy", "", scores, labels, 5, one, **flat),
        labelled(a, "accuracy_top_3", body.format("top_k: 3"), scores, labels, 5, one, **flat),
        labelled(a, "accuracy_ties", "", scores, labels, 5, one, fill=GRID, **flat),
        labelled(
            a,
            "accuracy_top_2_ties",
            body.format("top_k: 2"),
            scores,
            labels,
            5,
            one,
            fill=GRID,
            **flat,
        ),
        labelled(
            a, "accuracy_ignore", body.format("ignore_label: 2"), scores, labels, 5, one, **flat
        ),
        labelled(a, "accuracy_per_class", "", scores, labels, 5, both, **flat),
        labelled(a, "accuracy_absent_classes", "", scores, labels, 2, both, **flat),
        labelled(
            a,
            "accuracy_per_class_top_2",
            body.format("top_k: 2 ignore_label: 0"),
            scores,
            labels,
            5,
            both,
            **flat,
        ),
        labelled(a, "accuracy_spatial", "", spatial, places, 5, both, **flat),
        labelled(a, "accuracy_axis", body.format("axis: 2"), (3, 2, 5), (3, 2), 5, one, **flat),
        labelled(
            a,
            "accuracy_axis_negative",
            body.format("axis: -1 top_k: 2"),
            (3, 2, 5),
            (3, 2),
            5,
            one,
            **flat,
        ),
        labelled(
            a,
            "accuracy_all_ignored",
            body.format("ignore_label: 1"),
            scores,
            labels,
            5,
            one,
            label_fill=("values", [1.0]),
            **flat,
        ),
    ]


def cases() -> list[Case]:
    return with_engines(
        softmaxes() + softmax_losses() + other_losses() + rarer_losses() + accuracies()
    )
