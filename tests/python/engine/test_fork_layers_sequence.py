"""The layers for text and sequences beside NumPy in double, and a net that learns to read."""

import caffe
import ctc_numpy
import numpy as np
import pytest
from caffe import layers as L
from fork_nets import difference, forward, load, one


def random_array(*shape, seed=5, low=-1.0, high=1.0):
    return np.random.RandomState(seed).uniform(low, high, shape).astype(np.float32)


def backward(net, top_diff, bottom="x"):
    net.blobs["y"].diff[...] = top_diff
    net.backward()
    return net.blobs[bottom].diff.copy()


# ---- order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 3, -2])
def test_reverse_is_flip(axis):
    arrays = {"x": random_array(7, 5, 6, 11)}
    net = load(one("Reverse", f"reverse_param {{ axis: {axis} }}", arrays))
    assert np.array_equal(forward(net, arrays), np.flip(arrays["x"], axis))
    assert np.array_equal(backward(net, arrays["x"]), np.flip(arrays["x"], axis))


@pytest.mark.parametrize("dim", [(1, 0, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (2, 0, 1, 3)])
def test_transpose_is_transpose(dim):
    arrays = {"x": random_array(7, 5, 6, 11)}
    net = load(one("Transpose", f"transpose_param {{ dim: {list(dim)} }}", arrays))
    expected = arrays["x"].transpose(dim)
    assert np.array_equal(forward(net, arrays), expected)
    assert np.array_equal(backward(net, expected), arrays["x"])


@pytest.mark.parametrize("copies", [False, True])
def test_reverse_time_is_each_sequence_flipped(copies):
    arrays = {"x": random_array(9, 4, 3), "lengths": np.array([9, 5, 1, 0], np.float32)}
    param = f"reverse_time_param {{ copy_remaining: {str(copies).lower()} }}"
    net = load(one("ReverseTime", param, arrays))
    expected = arrays["x"].copy() if copies else np.zeros((9, 4, 3), np.float32)
    for n, length in enumerate(arrays["lengths"].astype(int)):
        expected[:length, n] = arrays["x"][:length, n][::-1]
    assert np.array_equal(forward(net, arrays), expected)


# ---- CTC ----------------------------------------------------------------------------------------

STEPS, ITEMS, CLASSES = 60, 12, 37


def sequences(blank, seed=3):
    """Scores, the number of steps of each item, and labels, among them none and repeats. The last
    item has too many."""
    random = np.random.RandomState(seed)
    scores = random_array(STEPS, ITEMS, CLASSES, seed=seed, low=-5, high=5)
    ends = [STEPS, STEPS, *random.randint(20, STEPS, ITEMS - 3), 4]
    others = [c for c in range(CLASSES) if c != blank]
    labels = [list(random.choice(others, size=n)) for n in random.randint(1, 9, ITEMS)]
    labels[0], labels[1], labels[-1] = [], [others[3]] * 8, others[:5]
    return scores, ends, labels


def indicators(ends):
    found = np.ones((STEPS, ITEMS), np.float32)
    found[0] = 0
    for n, end in enumerate(ends):
        found[end : end + 1, n] = 0
    return found


def rows(labels, fill, length=10):
    return np.array([[*said, *[fill] * (length - len(said))] for said in labels], np.float32)


def compare(kind, param, arrays, losses, gradients, count):
    """Loss and gradient of a CTC layer; items without an alignment are left out."""
    net = load(one(kind, f"loss_weight: 0.5 {param}", arrays))
    loss = forward(net, arrays)
    assert np.isinf(losses).sum() == 1
    expected = np.array(losses[np.isfinite(losses)].sum() / count)
    assert difference(loss, expected) < 1e-6
    net.backward()
    assert difference(net.blobs["x"].diff, 0.5 * gradients) < 1e-6


@pytest.mark.parametrize("blank", [0, 17, CLASSES - 1])
@pytest.mark.parametrize("merge", [True, False])
def test_ctc_loss(blank, merge):
    scores, ends, labels = sequences(blank)
    arrays = {"x": scores, "cont": indicators(ends), "labels": rows(labels, -1).T}
    param = f"ctc_loss_param {{ blank_index: {blank} ctc_merge_repeated: {str(merge).lower()} }}"
    losses, gradients = ctc_numpy.batch(scores, ends, labels, blank, merge)
    compare("CTCLoss", param, arrays, losses, gradients, ITEMS)


def test_crnn_ctc_loss():
    """All items have all steps; the last one has more labels than these."""
    scores, _, labels = sequences(0)
    labels[-1] = list(range(1, 37)) * 2
    arrays = {"x": scores, "labels": rows(labels, 0, 72)}
    param = f"ctc_loss_param {{ alphabet_size: {CLASSES} time_step: {STEPS} }}"
    losses, gradients = ctc_numpy.batch(scores, [STEPS] * ITEMS, labels, 0)
    compare("CtcLoss", param, arrays, losses, gradients, ITEMS)


@pytest.mark.parametrize("form", ["lengths", "indicators"])
def test_warp_ctc_loss(form):
    scores, ends, labels = sequences(0)
    if form == "lengths":
        lengths = np.array([ends, [len(said) for said in labels]], np.float32)
        given = {"ends": lengths[0], "lengths": lengths[1], "labels": rows(labels, 0).T}
    else:  # label k is class k + 1
        given = {"cont": indicators(ends), "labels": rows([np.array(s) - 1 for s in labels], -1).T}
    losses, gradients = ctc_numpy.batch(scores, ends, labels, 0)
    compare("WarpCTCLoss", "", {"x": scores, **given}, losses, gradients, ITEMS - 1)


def test_ctc_loss_of_the_reference_by_hand():
    """Two steps and equal scores: three of four alignments say "a", one says nothing."""
    loss, gradient = ctc_numpy.ctc(np.zeros((2, 2)), [0], 1)
    assert abs(loss + np.log(0.75)) < 1e-12
    assert np.allclose(gradient, [[-1 / 6, 1 / 6]] * 2)
    assert abs(ctc_numpy.ctc(np.zeros((2, 2)), [], 1)[0] + np.log(0.25)) < 1e-12


# ---- reading ------------------------------------------------------------------------------------


def test_labelsequence_accuracy():
    random = np.random.RandomState(2)
    best = random.choice([0, 0, 1, 2], size=(40, 6))
    scores = random_array(40, 6, 3, high=0) + np.eye(3, dtype=np.float32)[best]
    said = []
    for steps in best:
        changes = [c for t, c in enumerate(steps) if t == 0 or c != steps[t - 1]]
        said.append([c for c in changes if c != 0])
    for n in range(0, 40, 3):
        said[n] = [1, *said[n]][:6]
    right = np.mean([n % 3 != 0 or said[n] == said[n][1:] for n in range(40)])
    arrays = {"x": scores, "labels": rows(said, 0, 6)}
    text = one("LabelsequenceAccuracy", "", arrays).replace("force_backward: true", "")
    assert abs(forward(load(text), arrays) - right) < 1e-6


# Five rows of three points of each digit, a row's points as an octal number.
DIGITS = "75557 26227 71747 71717 55711 74717 74757 71111 75757 75717".split()
COLUMNS, STRIPS, LONGEST, BLANK = 20, 32, 4, 10


def strip(random, digits):
    """Columns (COLUMNS, 5) of digits at random places, with noise."""
    points = np.zeros((COLUMNS, 5))
    spare = COLUMNS - 4 * len(digits)
    gaps = np.diff(np.sort(random.randint(0, spare + 1, len(digits))), prepend=0)
    at = 0
    for gap, digit in zip(gaps, digits):
        glyph = [[int(row) >> (2 - k) & 1 for row in DIGITS[digit]] for k in range(3)]
        points[at + gap : at + gap + 3] = glyph
        at += gap + 4
    return points + random.normal(0, 0.1, points.shape)


def show(net, random):
    """Fills the net's inputs with new strips of two to four digits."""
    for n in range(STRIPS):
        digits = random.randint(10, size=random.randint(2, LONGEST + 1))
        net.blobs["x"].data[:, n] = strip(random, digits)
        net.blobs["labels"].data[n] = -1
        net.blobs["labels"].data[n, : len(digits)] = digits


def reader(tmp_path):
    """A solver whose net reads strips of digits: an LSTM from the left and one from the right."""
    filler = dict(type="xavier")
    n = caffe.NetSpec()
    n.x = L.Input(shape=dict(dim=[COLUMNS, STRIPS, 5]))
    n.labels = L.Input(shape=dict(dim=[STRIPS, LONGEST]))
    n.cont = L.ContinuationIndicator(
        continuation_indicator_param=dict(time_step=COLUMNS, batch_size=STRIPS)
    )
    n.right = L.LSTM(n.x, n.cont, recurrent_param=dict(num_output=32, weight_filler=filler))
    n.turned = L.Reverse(n.x)
    n.back = L.LSTM(n.turned, n.cont, recurrent_param=dict(num_output=32, weight_filler=filler))
    n.left = L.Reverse(n.back)
    n.both = L.Concat(n.right, n.left, axis=2)
    n.scores = L.InnerProduct(n.both, num_output=11, axis=2, weight_filler=filler)
    n.columns = L.Transpose(n.labels, transpose_param=dict(dim=[1, 0]))
    n.loss = L.CTCLoss(n.scores, n.cont, n.columns)
    n.items = L.Transpose(n.scores, transpose_param=dict(dim=[1, 0, 2]))
    n.accuracy = L.LabelsequenceAccuracy(
        n.items, n.labels, labelsequence_accuracy_param=dict(blank_label=BLANK)
    )
    net = tmp_path / "net.prototxt"
    net.write_text(str(n.to_proto()))
    solver = tmp_path / "solver.prototxt"
    solver.write_text(
        f'net: "{net}" type: "Adam" base_lr: 0.02 momentum: 0.9 momentum2: 0.999 '
        'lr_policy: "fixed" random_seed: 7'
    )
    return caffe.get_solver(str(solver))


def test_learns_to_read_digits(tmp_path):
    solver, random = reader(tmp_path), np.random.RandomState(1)
    net = solver.net
    for _ in range(300):
        show(net, random)
        solver.step(1)
    losses, accuracies = [], []
    for _ in range(10):
        show(net, random)
        net.forward()
        losses.append(float(net.blobs["loss"].data))
        accuracies.append(float(net.blobs["accuracy"].data))
    assert np.mean(accuracies) > 0.9 and np.mean(losses) < 0.5
