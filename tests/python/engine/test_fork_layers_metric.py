"""The losses of other forks beside their formulas in NumPy, in double, and differences of these."""

import caffe
import numpy as np
import pytest
from caffe import layers as L
from fork_nets import difference, forward, load, one


def random_array(*shape, seed=5, low=-1.0, high=1.0):
    return np.random.RandomState(seed).uniform(low, high, shape).astype(np.float32)


def slopes(loss, arrays, name, step=1e-6):
    """Central differences of loss(arrays) for each value of arrays[name], in double."""
    found = np.zeros(arrays[name].size)
    for i in range(found.size):
        ends = []
        for sign in (1, -1):
            moved = {key: array.astype(float) for key, array in arrays.items()}
            moved[name].flat[i] += sign * step
            ends.append(loss(**moved))
        found[i] = (ends[0] - ends[1]) / (2 * step)
    return found.reshape(arrays[name].shape)


def compare(kind, param, arrays, loss, names):
    """Loss and gradients of a layer, at a loss weight of 2, and of the same loss in NumPy."""
    net = load(one(kind, f"loss_weight: 2 {param}", arrays))
    expected = loss(**{key: array.astype(float) for key, array in arrays.items()})
    assert difference(forward(net, arrays), np.array(expected)) < 2e-6
    net.backward()
    for name in names:
        assert difference(net.blobs[name].diff, 2 * slopes(loss, arrays, name)) < 2e-6, name
    return net


# ---- L1Loss -------------------------------------------------------------------------------------


def flow_loss(l2=False, prescale=False, by_entries=False, epsilon=0.01, plateau=0.0):
    """FlowNet 2's L1Loss of a (N, C, h, w), less b."""

    def loss(a, b=0.0):
        d = a - b
        entries = np.isfinite(d).sum()
        d = np.nan_to_num(d)
        if l2:
            squares = (d * d).sum(axis=1) / (d.shape[1] if prescale else 1)
            terms = np.sqrt(np.where(squares < plateau**2, 0, squares) + epsilon)
        else:
            terms = np.where(np.abs(d) < plateau, 0, np.abs(d))
        return terms.sum() / (entries / d.shape[1] if by_entries else len(d))

    return loss


@pytest.mark.parametrize(
    "param, loss",
    [
        ("", flow_loss()),
        ("plateau: 0.25", flow_loss(plateau=0.25)),
        ("normalize_by_num_entries: true", flow_loss(by_entries=True)),
        ("l2_per_location: true", flow_loss(l2=True)),
        (
            "l2_per_location: true l2_prescale_by_channels: true plateau: 0.5 epsilon: 0.0625",
            flow_loss(l2=True, prescale=True, plateau=0.5, epsilon=0.0625),
        ),
        (
            "l2_per_location: true normalize_by_num_entries: true",
            flow_loss(l2=True, by_entries=True),
        ),
    ],
)
@pytest.mark.parametrize("bottoms", ["a", "ab"])
def test_l1_loss_of_flownet(param, loss, bottoms):
    arrays = {name: random_array(3, 2, 4, 5, seed=ord(name)) for name in bottoms}
    arrays["a"][1, 0, 2, 3] = np.nan
    net = compare("L1Loss", f"l1_loss_param {{ {param} }}", arrays, loss, bottoms)
    for name in bottoms:  # where a is no number
        assert net.blobs[name].diff[1, 0, 2, 3] == 0


def test_l1_loss_of_nvcaffe():
    arrays = {"a": random_array(5, 6), "b": random_array(5, 2, 3, seed=8)}
    compare("L1Loss", "", arrays, lambda a, b: np.abs(a - b.reshape(5, 6)).sum() / 5, "ab")


# ---- faces --------------------------------------------------------------------------------------


def test_triplet_loss():
    arrays = {name: random_array(8, 5, seed=ord(name)) for name in "apn"}

    def loss(a, p, n):
        terms = 0.5 + ((a - p) ** 2).sum(axis=1) - ((a - n) ** 2).sum(axis=1)
        assert 0 < (terms > 0).sum() < 8  # some are apart
        return np.maximum(terms, 0).sum() / 16

    compare("TripletLoss", "triplet_loss_param { margin: 0.5 }", arrays, loss, "apn")


def test_center_loss():
    arrays = {"x": random_array(9, 6), "label": np.arange(9, dtype=np.float32) ** 2 % 5}
    param = "center_loss_param { num_output: 5 center_filler { value: 0.25 } }"

    def loss(x, label):
        return ((x - 0.25) ** 2).sum() / 18

    compare("CenterLoss", param, arrays, loss, "x")


@pytest.mark.parametrize("passes", [1, 3])
def test_centers_follow_their_own_rule(passes, tmp_path):
    """The paper's equation 4: with lr_mult and a loss weight, alpha is the learning rate alone."""
    n = caffe.NetSpec()
    n.x = L.Input(shape=dict(dim=[9, 6]))
    n.label = L.Input(shape=dict(dim=[9]))
    n.loss = L.CenterLoss(
        n.x,
        n.label,
        loss_weight=7,
        param=dict(lr_mult=2, decay_mult=0),
        center_loss_param=dict(num_output=5, center_filler=dict(type="gaussian")),
    )
    (tmp_path / "net.prototxt").write_text(str(n.to_proto()))
    solver_text = tmp_path / "solver.prototxt"
    solver_text.write_text(
        f'net: "{tmp_path / "net.prototxt"}" base_lr: 0.25 lr_policy: "fixed" random_seed: 7 '
        f"weight_decay: 0.5 iter_size: {passes}"
    )
    solver = caffe.get_solver(str(solver_text))
    net = solver.net
    x, label = random_array(9, 6), np.array([0, 2, 2, 4, 2, 0, 4, 4, 4])
    net.blobs["x"].data[...], net.blobs["label"].data[...] = x, label
    before = net.params["loss"][0].data.astype(float)
    expected = before.copy()
    for j in set(label):
        change = (before[j] - x[label == j]).sum(axis=0) / (1 + (label == j).sum())
        expected[j] -= 0.25 * 2 * change
    solver.step(1)
    found = net.params["loss"][0].data
    assert difference(found, expected) < 1e-6
    assert np.array_equal(found[[1, 3]], before[[1, 3]].astype(np.float32))


# ---- FocalLoss ----------------------------------------------------------------------------------


def focal_loss(factor, base, sign, gamma):
    """-factor sum of (base + sign p)^gamma log p, by 11 items that count; label 9 is ignored."""

    def loss(x, label):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = np.take_along_axis(
            e / e.sum(axis=1, keepdims=True), np.minimum(label, 3).astype(int)[:, None], axis=1
        )[:, 0]
        terms = factor * np.maximum(base + sign * p, 0) ** gamma * np.log(p)
        return -terms[label != 9].sum() / 11

    return loss


@pytest.mark.parametrize(
    "param, loss",
    [
        ("", focal_loss(0.25, 1, -1, 2)),
        ("focal_loss_param { alpha: 0.75 gamma: 0.5 }", focal_loss(0.75, 1, -1, 0.5)),
        ('dialect: "happynear"', focal_loss(1, 1, -1, 2)),
        ('dialect: "happynear" focal_loss_param { alpha: 1.5 }', focal_loss(1, 1.5, -1, 2)),
        ("focal_loss_param { type: ONEADDP gamma: 3 }", focal_loss(1, 1, 1, 3)),
    ],
)
def test_focal_loss(param, loss):
    arrays = {"x": random_array(3, 4, 2, 2, low=-3, high=3)}
    arrays["label"] = np.random.RandomState(4).randint(4, size=(3, 2, 2)).astype(np.float32)
    arrays["label"][1, 0, 1] = 9
    compare("FocalLoss", f"loss_param {{ ignore_label: 9 }} {param}", arrays, loss, "x")


# ---- ScaleRankLoss ------------------------------------------------------------------------------


@pytest.mark.parametrize("scales", ["ab", "abc"])
def test_scale_rank_loss(scales):
    """The finer scale's probability of the true class should be larger by the margin."""
    arrays = {name: random_array(6, 4, seed=ord(name), low=0) for name in scales}
    arrays["label"] = np.array([0, 3, 1, 2, 2, 0], np.float32)

    def loss(label, **p):
        rows = np.arange(6), label.astype(int)
        pairs = zip(scales, scales[1:])
        return sum(np.maximum(p[a][rows] - p[b][rows] + 0.3, 0).sum() for a, b in pairs) / 6

    param = "scale_rank_loss_param { margin: 0.3 }"
    net = compare("ScaleRankLoss", param, arrays, loss, scales)
    assert not net.blobs["label"].diff.any()
