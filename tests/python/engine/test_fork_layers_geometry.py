"""Layers that sample at computed places beside OpenCV's Correlation and NumPy in double."""

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
