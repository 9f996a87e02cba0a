"""Layers that look at a neighbourhood: Pooling, LRN, Im2col, SPP, Crop."""

from __future__ import annotations

from .case import GRID, Case, single, with_engines


def pool(name: str, body: str, shape=(2, 3, 8, 7), **more) -> Case:
    text = f"pooling_param {{ {body} @ENGINE@ }}"
    return single(more.pop("group", "Pooling"), name, "Pooling", text, shape, **more)


def poolings() -> list[Case]:
    settings = {
        "k3_s2": "kernel_size: 3 stride: 2",
        "k2_s2": "kernel_size: 2 stride: 2",
        "k3_s1_pad": "kernel_size: 3 stride: 1 pad: 1",
        "k3_s2_pad": "kernel_size: 3 stride: 2 pad: 1",
        "k5_pad2": "kernel_size: 5 stride: 3 pad: 2",
        "h_w": "kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0",
        "gaps": "kernel_size: 2 stride: 3",
        "floor": "kernel_size: 3 stride: 2 round_mode: FLOOR",
        "global": "global_pooling: true",
        "whole": "kernel_h: 8 kernel_w: 7",
    }
    out = []
    for method in ("MAX", "AVE"):
        for name, body in settings.items():
            out.append(pool(f"pool_{method.lower()}_{name}", f"pool: {method} {body}"))
    mask = {"tops": ("y", "mask"), "exact": ("*/data/y", "*/data/mask")}
    return [
        *out,
        pool("pool_max_mask", "pool: MAX kernel_size: 3 stride: 2", **mask),
        pool("pool_max_mask_pad", "pool: MAX kernel_size: 3 stride: 2 pad: 1", **mask),
        pool("pool_max_mask_ties", "pool: MAX kernel_size: 3 stride: 1", fill=GRID, **mask),
        pool("pool_max_ties", "pool: MAX kernel_size: 3 stride: 2", fill=GRID),
        pool("pool_max_negative", "pool: MAX kernel_size: 3 pad: 1", fill=("uniform", -9.0, -1.0)),
        pool("pool_max_one_pixel", "pool: MAX kernel_size: 1", (2, 3, 1, 1)),
        pool(
            "pool_reshaped",
            "pool: AVE kernel_size: 3 stride: 2",
            iterations=2,
            shapes=({}, {"x": (1, 2, 5, 9)}),
        ),
        pool(
            "pool_global_reshaped",
            "pool: AVE global_pooling: true",
            iterations=2,
            shapes=({}, {"x": (1, 2, 5, 9)}),
        ),
    ]


def lrn(name: str, body: str, shape=(2, 7, 4, 3), **more) -> Case:
    return single("LRN", name, "LRN", f"lrn_param {{ {body} @ENGINE@ }}", shape, **more)


def lrns() -> list[Case]:
    large = ("uniform", -20.0, 20.0)
    return [
        lrn("lrn", ""),
        lrn("lrn_alexnet", "local_size: 5 alpha: 0.0001 beta: 0.75", fill=large),
        lrn("lrn_size_3_k", "local_size: 3 alpha: 0.5 beta: 0.9 k: 2"),
        lrn("lrn_beta_1", "local_size: 3 alpha: 2 beta: 1"),
        lrn("lrn_size_1", "local_size: 1 alpha: 0.3 beta: 0.5"),
        lrn("lrn_wider_than_channels", "local_size: 5 alpha: 1", (2, 2, 3, 3)),
        lrn("lrn_many_channels", "local_size: 5 alpha: 0.001", (1, 33, 3, 5), fill=large),
        lrn("lrn_within", "norm_region: WITHIN_CHANNEL local_size: 3", (2, 3, 6, 5)),
        lrn(
            "lrn_within_5",
            "norm_region: WITHIN_CHANNEL local_size: 5 alpha: 0.5 beta: 0.6",
            (2, 3, 6, 5),
            fill=large,
        ),
        lrn(
            "lrn_within_wide",
            "norm_region: WITHIN_CHANNEL local_size: 5 alpha: 2",
            (1, 2, 3, 3),
        ),
        lrn(
            "lrn_reshaped",
            "local_size: 3 alpha: 1",
            iterations=2,
            shapes=({}, {"x": (1, 5, 3, 6)}),
        ),
    ]


def others() -> list[Case]:
    pair = {"x": (2, 4, 6, 7), "like": (2, 3, 3, 4)}
    crop = "crop_param {{ {} }}"
    im2col = "convolution_param {{ {} }}"
    return [
        single("Crop", "crop", "Crop", crop.format("axis: 2 offset: 1"), pair),
        single("Crop", "crop_offsets", "Crop", crop.format("axis: 2 offset: [2, 3]"), pair),
        single("Crop", "crop_axis_1", "Crop", crop.format("axis: 1 offset: [1, 0, 2]"), pair),
        single("Crop", "crop_default", "Crop", "", pair),
        single("Crop", "crop_last_axis", "Crop", crop.format("axis: -1 offset: 2"), pair),
        single("Im2col", "im2col", "Im2col", im2col.format("kernel_size: 3 pad: 1"), (1, 2, 5, 4)),
        single(
            "Im2col",
            "im2col_dilation",
            "Im2col",
            im2col.format("kernel_size: 2 dilation: 2 stride: 2"),
            (2, 2, 6, 5),
        ),
        single(
            "Im2col",
            "im2col_both",
            "Im2col",
            im2col.format("kernel_h: 3 kernel_w: 1 pad_h: 2 pad_w: 0 stride_h: 1 stride_w: 3"),
            (2, 3, 4, 7),
        ),
        single("Im2col", "im2col_1d", "Im2col", im2col.format("kernel_size: 3 pad: 1"), (2, 3, 7)),
        single(
            "Im2col",
            "im2col_3d",
            "Im2col",
            im2col.format("kernel_size: [2, 1, 3] stride: [1, 2, 1] pad: [0, 1, 1]"),
            (1, 2, 4, 3, 5),
        ),
        single(
            "Im2col",
            "im2col_axis_2",
            "Im2col",
            im2col.format("axis: 2 kernel_size: 2 force_nd_im2col: true"),
            (2, 3, 2, 4, 5),
        ),
        single("SPP", "spp_max", "SPP", "spp_param { pyramid_height: 3 }", (2, 3, 9, 7)),
        single("SPP", "spp_ave", "SPP", "spp_param { pyramid_height: 2 pool: AVE }", (2, 3, 9, 7)),
        single("SPP", "spp_one", "SPP", "spp_param { pyramid_height: 1 }", (2, 3, 4, 4)),
        single(
            "SPP",
            "spp_reshaped",
            "SPP",
            "spp_param { pyramid_height: 3 pool: AVE }",
            (1, 2, 8, 8),
            iterations=2,
            shapes=({}, {"x": (2, 2, 12, 7)}),
        ),
    ]


def cases() -> list[Case]:
    return with_engines(poolings() + lrns() + others())
