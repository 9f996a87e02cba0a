"""Layers that sample at computed places beside OpenCV and NumPy in double."""

import cv2
import numpy as np
import pytest
from fork_nets import difference, forward, load, one, opencv, opencv_reads_caffe


def random_maps(*shape, seed=5):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype(np.float32)


def forward_and_backward(kind, param, arrays, seed=9):
    """y, a random gradient of y, and the gradients of the bottoms."""
    net = load(one(kind, param, arrays))
    y = forward(net, arrays)
    dy = random_maps(*y.shape, seed=seed)
    net.blobs["y"].diff[...] = dy
    net.backward()
    return y, dy, [net.blobs[name].diff.copy() for name in arrays]


# ---- SpatialTransformer -------------------------------------------------------------------------


def hat(places, length):
    """(places, length): the weight of each index for each place, and its slope."""
    gap = places[:, None] - np.arange(length)
    near = np.abs(gap) < 1
    return np.where(near, 1 - np.abs(gap), 0), np.where(near, -np.sign(gap), 0)


@pytest.mark.parametrize("size", [None, (11, 9)])
@pytest.mark.parametrize("fixed", [(), (1, 3)])
def test_spatial_transformer_is_the_rule(size, fixed):
    """Weights over whole rows and columns, in double; theta's elements 1 and 3 are fixed or not."""
    x = random_maps(2, 3, 13, 17)
    theta = np.array([0.93, -0.31, 0.13, 0.27, 1.07, -0.11, 0.71, -0.31, 0.21, 0.27, -0.83, 0.37])
    theta = theta.reshape(2, 6).astype(np.float32)
    learnt = [k for k in range(6) if k not in fixed]
    param = "".join(f"theta_{k // 3 + 1}_{k % 3 + 1}: {theta[0, k]:.9g} " for k in fixed)
    height, width = size or x.shape[2:]
    if size:
        param += f"output_H: {height} output_W: {width}"
    arrays = {"x": x, "theta": theta[:, learnt].copy()}
    y, dy, (dx, dtheta) = forward_and_backward(
        "SpatialTransformer", f"st_param {{ {param} }}", arrays
    )
    s, t = (
        2 * index.ravel() / n - 1
        for index, n in zip(np.mgrid[:height, :width], size or x.shape[2:])
    )
    grid = np.stack([s, t, np.ones(s.size)])
    for n in range(2):
        p, q = theta[n].astype(float).reshape(2, 3) @ grid
        rows, row_slopes = hat((p + 1) / 2 * 13, 13)
        columns, column_slopes = hat((q + 1) / 2 * 17, 17)
        maps, down = x[n].astype(float), dy[n].astype(float).reshape(3, -1)
        expected = np.einsum("chw,kh,kw->ck", maps, rows, columns)
        assert difference(y[n].reshape(3, -1), expected) < 1e-5
        back = np.einsum("ck,kh,kw->chw", down, rows, columns)
        assert difference(dx[n], back) < 1e-5
        dp = np.einsum("ck,chw,kh,kw->k", down, maps, row_slopes, columns) * 13 / 2
        dq = np.einsum("ck,chw,kh,kw->k", down, maps, rows, column_slopes) * 17 / 2
        slopes = np.concatenate([grid @ dp, grid @ dq])
        assert difference(dtheta[n], slopes[learnt]) < 1e-5


# ---- Correlation --------------------------------------------------------------------------------


def correlation(pad, kernel, reach, stride_1, stride_2, kind="MULTIPLY"):
    return (
        f"correlation_param {{ pad: {pad} kernel_size: {kernel} max_displacement: {reach} "
        f"stride_1: {stride_1} stride_2: {stride_2} correlation_type: {kind} }}"
    )


@opencv_reads_caffe
@pytest.mark.parametrize(
    "pad, kernel, reach, stride_1, stride_2", [(20, 1, 20, 1, 2), (6, 3, 6, 1, 2), (4, 1, 4, 2, 1)]
)
def test_correlation_is_opencvs(pad, kernel, reach, stride_1, stride_2):
    """The first is FlowNetC's."""
    arrays = {"a": random_maps(1, 16, 24, 32), "b": random_maps(1, 16, 24, 32, seed=6)}
    text = one("Correlation", correlation(pad, kernel, reach, stride_1, stride_2), arrays)
    text = text.replace("correlation_type: MULTIPLY", "")  # OpenCV does not know the field
    assert difference(forward(load(text), arrays), opencv(text, arrays)) < 1e-6


@pytest.mark.parametrize("kind", ["MULTIPLY", "SUBTRACT"])
@pytest.mark.parametrize(
    "pad, kernel, reach, stride_1, stride_2", [(5, 1, 5, 1, 2), (3, 3, 2, 2, 1), (7, 3, 2, 1, 2)]
)
def test_correlation_and_its_gradient(kind, pad, kernel, reach, stride_1, stride_2):
    """By loops over the displacements and windows of the padded maps, in double."""
    a, b = random_maps(2, 4, 13, 15), random_maps(2, 4, 13, 15, seed=6)
    param = correlation(pad, kernel, reach, stride_1, stride_2, kind)
    y, dy, found = forward_and_backward("Correlation", param, {"a": a, "b": b})
    sides = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    a, b = (np.pad(x.astype(float), sides) for x in (a, b))
    da, db = np.zeros_like(a), np.zeros_like(b)
    radius = reach // stride_2
    height, width = (-(-(n - 2 * reach - kernel + 1) // stride_1) for n in a.shape[2:])
    expected = np.zeros((2, (2 * radius + 1) ** 2, height, width))
    scale = kernel * kernel * 4
    for q, i, j in np.ndindex(expected.shape[1], kernel, kernel):
        down, right = (q // (2 * radius + 1) - radius), (q % (2 * radius + 1) - radius)
        here = tuple(
            slice(reach + k, reach + k + stride_1 * (n - 1) + 1, stride_1)
            for k, n in ((i, height), (j, width))
        )
        there = tuple(
            slice(part.start + stride_2 * by, part.stop + stride_2 * by, stride_1)
            for part, by in zip(here, (down, right))
        )
        mine, other = a[(..., *here)], b[(..., *there)]
        by = dy[:, q, None].astype(float) / scale
        if kind == "MULTIPLY":
            expected[:, q] += (mine * other).sum(1) / scale
            da[(..., *here)] += by * other
            db[(..., *there)] += by * mine
        else:
            expected[:, q] += np.abs(mine - other).sum(1) / scale
            da[(..., *here)] += by * np.sign(mine - other)
            db[(..., *there)] -= by * np.sign(mine - other)
    assert difference(y, expected) < 1e-6
    for gradient, padded in zip(found, (da, db)):
        assert difference(gradient, padded[..., pad : pad + 13, pad : pad + 15]) < 1e-6


# ---- AttentionCrop ------------------------------------------------------------------------------

SIDE, MEAN = 60, np.array([109.961, 127.21, 123.645])  # the fork's constants
SQUARES = np.array([[31.7, 25.2, 18.4], [8.3, 55, 14.6], [40, 20, 0.1]], np.float32)


def whole_box(centre, half):
    """[low, high) of whole pixels, as the fork cuts."""
    low = int(np.clip(centre - half, 0, SIDE - 1))
    return low, max(low + 1, int(np.clip(centre + half, 0, SIDE)))


def logistic(x):
    return 1 / (1 + np.exp(-0.05 * x))


def sides(centre, half, size):
    """The window along one axis, at the places of the crop's values, and its slopes."""
    low, high = whole_box(centre, half)
    place = low + (np.arange(size) + 0.5) / size * (high - low) - 0.5
    first, last = logistic(place - centre + half), logistic(place - centre - half)
    rises, falls = 0.05 * first * (1 - first), 0.05 * last * (1 - last)
    return first - last, falls - rises, falls + rises


def test_attention_crop_is_the_forks_rule():
    """OpenCV's resize of 8-bit pixels, within a level, and the window's gradient in double."""
    pixels = np.random.RandomState(3).randint(0, 256, (3, 12, 12, 3)).astype(np.uint8)
    images = np.stack([cv2.resize(image, (SIDE, SIDE)) for image in pixels])
    x = (images - MEAN).transpose(0, 3, 1, 2).astype(np.float32)
    y, dy, (dx, found) = forward_and_backward("AttentionCrop", "", {"x": x, "square": SQUARES})
    assert y.shape == (3, 3, 224, 224) and not dx.any()
    scaled = np.abs(dy.astype(float))
    scaled *= 1e-7 / scaled.max(axis=(2, 3), keepdims=True)
    for n, (across, down, half) in enumerate(SQUARES.astype(float)):
        half = max(half, 0.01 * SIDE)
        (left, right), (top, bottom) = whole_box(across, half), whole_box(down, half)
        crop = cv2.resize(images[n, top:bottom, left:right], (224, 224))
        levels = y[n].transpose(1, 2, 0) + MEAN
        assert np.abs(levels - np.rint(levels)).max() < 1e-3
        assert np.abs(levels - crop).max() < 1.01
        strength = scaled[n].sum(axis=0)
        mx, mx_centre, mx_half = sides(across, half, 224)
        my, my_centre, my_half = sides(down, half, 224)
        expected = [my @ strength @ mx_centre, my_centre @ strength @ mx]
        expected.append(my @ strength @ mx_half + my_half @ strength @ mx)
        assert difference(found[n, :2], np.array(expected[:2])) < 1e-5
        assert abs(found[n, 2] - 0.005 - expected[2]) < 1e-9


@pytest.mark.parametrize("scale, towards", [(-1, 1), (1, -1)])
def test_the_sign_of_mask_scale(scale, towards):
    """Strong gradients on the right: a step against the gradient of tx, and of tl."""
    square = np.array([[30, 30, 10]], np.float32)
    param = f"mask_scale: {scale} half_side_slope: 0 round_to_8_bit: false output_size: 20"
    arrays = {"x": random_maps(1, 1, SIDE, SIDE), "square": square}
    net = load(one("AttentionCrop", f"attention_crop_param {{ {param} }}", arrays))
    dy = np.zeros_like(forward(net, arrays))
    dy[..., 15:] = 0.5
    net.blobs["y"].diff[...] = dy
    net.backward()
    tx, ty, tl = -net.blobs["square"].diff[0]
    assert towards * tx > 0 and towards * tl > 0 and abs(ty) < 0.1 * abs(tx)


@pytest.mark.parametrize("size", [9, 31])
def test_an_exact_attention_crop_is_the_rule(size):
    """Weights over whole rows and columns, in double. Between 32 and 64, floats are 4e-6 apart, and
    values of neighbouring pixels up to 2."""
    x = random_maps(3, 2, SIDE, SIDE)
    param = f"attention_crop_param {{ gradient: EXACT output_size: {size} }}"
    y, dy, (dx, found) = forward_and_backward("AttentionCrop", param, {"x": x, "square": SQUARES})
    share = (np.arange(size) + 0.5) / size

    def axis(centre, half):
        """Weights and slopes by place; slopes of the places by the centre and the half side."""
        edges = np.clip([centre - half, centre + half], 0, SIDE)
        free = edges == [centre - half, centre + half]
        place = edges[0] + share * (edges[1] - edges[0]) - 0.5
        weight, slope = hat(np.clip(place, 0, SIDE - 1), SIDE)
        slope[(place < 0) | (place > SIDE - 1)] = 0
        low, high = (1 - share) * free[0], share * free[1]
        return weight, slope, high + low, high - low

    for n, (across, down, half) in enumerate(SQUARES.astype(float)):
        moves, half = half > 0.01 * SIDE, max(half, 0.01 * SIDE)
        wx, sx, x_centre, x_half = axis(across, half)
        wy, sy, y_centre, y_half = axis(down, half)
        maps, by = x[n].astype(float), dy[n].astype(float)
        assert difference(y[n], np.einsum("chw,ih,jw->cij", maps, wy, wx)) < 3e-5
        assert difference(dx[n], np.einsum("cij,ih,jw->chw", by, wy, wx)) < 3e-5
        right = np.einsum("cij,chw,ih,jw->j", by, maps, wy, sx)
        below = np.einsum("cij,chw,ih,jw->i", by, maps, sy, wx)
        expected = [right @ x_centre, below @ y_centre]
        expected.append(moves * (right @ x_half + below @ y_half))
        assert difference(found[n], np.array(expected)) < 1e-4
