"""Layers that change the resolution: Interp, Upsample, Unpooling, PixelShuffle, Reorg."""

from __future__ import annotations

from .convert import Conversion, converts


def _sizes(c: Conversion, x: str, height: int, width: int) -> str:
    """A tensor of the lengths N, C, height, width, with the first two those of x."""
    front = c.op("Slice", c.op("Shape", x), c.integers([0], "starts"), c.integers([2], "ends"))
    return c.op("Concat", front, c.integers([height, width], "plane"), axis=0)


def _resize(c: Conversion, x: str, **attributes: object) -> str:
    """Resize to the plane of the top."""
    height, width = c.top_dims()[2:]
    if height is None or width is None:
        raise c.refuse("its plane follows the batch: export with a fixed batch")
    return c.op("Resize", x, "", "", _sizes(c, x, height, width), **attributes)


@converts("Interp")
def interp(c: Conversion) -> str:
    """Bilinear, corners aligned, of what pad_beg and pad_end (0 or negative) leave."""
    p, x = c.layer.interp_param, c.bottoms[0]
    if len(c.bottoms) > 1:
        raise c.refuse("a second bottom for the size has no converter")
    if p.pad_beg or p.pad_end:
        ends = [c.length(axis) + p.pad_end for axis in (2, 3)]
        x = c.cut(x, [-p.pad_beg] * 2, ends, [2, 3])
    return _resize(c, x, mode="linear", coordinate_transformation_mode="align_corners")


@converts("Upsample")
def upsample(c: Conversion) -> str:
    """One bottom: repeats pixels. Two: puts each value where the pool's mask says, 0 elsewhere."""
    if len(c.bottoms) == 1:
        return _resize(
            c, c.bottoms[0], mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip
    return _unpool(c, c.length(2) * c.length(3))


def _unpool(c: Conversion, places: int) -> str:
    """Scatters the values of each plane; of several for one place the last stays."""
    batch, channels, height, width = c.top_dims()
    if channels is None or height is None or width is None:
        raise c.refuse("its plane follows the batch: export with a fixed batch")
    rows = [None if batch is None else batch * channels, places]
    data = c.reshape(c.bottoms[0], rows)
    index = c.cast(c.reshape(c.bottoms[1], rows), "int64")
    shape = c.op(
        "Concat",
        c.op("Slice", c.op("Shape", data), c.integers([0], "starts"), c.integers([1], "ends")),
        c.integers([height * width], "plane"),
        axis=0,
    )
    planes = c.op("Expand", c.constant(0, "zero"), shape)
    filled = c.op("ScatterElements", planes, index, data, axis=1)
    return c.reshape(filled, [batch, channels, height, width])


@converts("Reorg")
def reorg(c: Conversion) -> str:
    """Darknet's: the places of C/s^2 maps of H s x W s, read block by block, as C maps of H x W,
    in the memory of N x C s^2 x H/s x W/s; or the other way round."""
    p = c.layer.reorg_param
    batch, channels, height, width = c.bottom_dims()
    c.length(1), c.length(2), c.length(3)
    s = p.stride
    parts = channels // (s * s)
    if not p.reverse:  # buffer[c, h, w] = x seen as [parts, h s, w s] at (c2, h s + o / s, ...)
        x = c.reshape(c.bottoms[0], [batch, parts, height, s, width, s])
        y = c.op("Transpose", x, perm=[0, 3, 5, 1, 2, 4])
    else:
        x = c.reshape(c.bottoms[0], [batch, s, s, parts, height, width])
        y = c.op("Transpose", x, perm=[0, 3, 4, 1, 5, 2])
    return c.reshape(y, c.top_dims())


@converts("PixelShuffle")
def pixel_shuffle(c: Conversion) -> str:
    """Channels to space: channel c r r + i r + j goes to row i and column j of each block."""
    named = c.layer.HasField("pixelshuffle_param")
    p = c.layer.pixelshuffle_param if named else c.layer.pixel_shuffle_param
    return c.op("DepthToSpace", c.bottoms[0], blocksize=p.upscale_factor, mode="CRD")
