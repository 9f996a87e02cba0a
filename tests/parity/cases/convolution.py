"""Convolution, Deconvolution and InnerProduct."""

from __future__ import annotations

from .case import UNIFORM, Case, single, with_engines


def conv(name: str, body: str, shape=(2, 4, 9, 8), kind="Convolution", **more) -> Case:
    group = more.pop("group", kind)
    body = f"convolution_param {{ {body} @ENGINE@ }}"
    return single(group, name, kind, body, shape, **more)


def convolutions() -> list[Case]:
    pair = {"x": (2, 4, 7, 6), "z": (2, 4, 7, 6)}
    return [
        conv("conv", "num_output: 3 kernel_size: 3"),
        conv("conv_no_bias", "num_output: 3 kernel_size: 3 stride: 2 pad: 1 bias_term: false"),
        conv(
            "conv_h_w",
            "num_output: 3 kernel_h: 2 kernel_w: 5 pad_h: 1 pad_w: 2 stride_h: 2 stride_w: 3",
        ),
        conv("conv_repeated", "num_output: 2 kernel_size: [3, 2] pad: [0, 1] stride: [1, 2]"),
        conv("conv_group", "num_output: 6 kernel_size: 3 pad: 1 group: 2"),
        conv("conv_depthwise", "num_output: 4 kernel_size: 3 pad: 1 group: 4"),
        conv("conv_dilation", "num_output: 3 kernel_size: 3 pad: 2 dilation: 2"),
        conv("conv_dilation_h_w", "num_output: 2 kernel_size: 2 dilation: [3, 1] group: 2"),
        conv("conv_1x1", "num_output: 5 kernel_size: 1"),
        conv("conv_1x1_stride", "num_output: 6 kernel_size: 1 stride: 2 group: 2"),
        conv("conv_two_bottoms", "num_output: 3 kernel_size: 3", pair, tops=("y", "w")),
        conv("conv_nd_forced", "num_output: 3 kernel_size: 3 pad: 1 force_nd_im2col: true"),
        conv("conv_1d", "num_output: 3 kernel_size: 3 pad: 1 stride: 2", (2, 4, 11)),
        conv(
            "conv_3d",
            "num_output: 2 kernel_size: [2, 3, 2] pad: [1, 0, 1] stride: [1, 2, 1]",
            (2, 2, 4, 5, 4),
        ),
        conv("conv_3d_group", "num_output: 4 kernel_size: 2 dilation: 2 group: 2", (1, 2, 5, 4, 4)),
        conv("conv_axis", "num_output: 3 kernel_size: 3 axis: 2", (2, 2, 2, 5, 4)),
        conv("conv_axis_negative", "num_output: 3 kernel_size: 3 axis: -3", (2, 2, 5, 4)),
        conv("conv_large_kernel", "num_output: 6 kernel_size: 11 stride: 4", (1, 3, 35, 35)),
        conv("conv_whole_input", "num_output: 7 kernel_h: 5 kernel_w: 4", (3, 2, 5, 4)),
        conv("conv_many_channels", "num_output: 40 kernel_size: 3 pad: 1", (2, 33, 6, 5)),
        conv(
            "conv_reshaped",
            "num_output: 3 kernel_size: 3 pad: 1",
            (2, 4, 6, 5),
            iterations=3,
            shapes=({}, {"x": (1, 4, 8, 7)}, {"x": (3, 4, 4, 4)}),
        ),
    ]


def deconvolutions() -> list[Case]:
    kind = "Deconvolution"
    pair = {"x": (2, 4, 4, 3), "z": (2, 4, 4, 3)}
    return [
        conv("deconv", "num_output: 3 kernel_size: 3", (2, 4, 5, 4), kind),
        conv("deconv_stride", "num_output: 3 kernel_size: 4 stride: 2 pad: 1", (2, 4, 5, 4), kind),
        conv("deconv_group", "num_output: 6 kernel_size: 3 group: 2 pad: 1", (2, 4, 5, 4), kind),
        conv(
            "deconv_depthwise",
            "num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false",
            (2, 4, 5, 4),
            kind,
        ),
        conv("deconv_dilation", "num_output: 3 kernel_size: 3 dilation: 2", (2, 4, 5, 4), kind),
        conv("deconv_1x1", "num_output: 5 kernel_size: 1", (2, 4, 5, 4), kind),
        conv(
            "deconv_h_w",
            "num_output: 2 kernel_h: 2 kernel_w: 4 stride_h: 1 stride_w: 2 pad_h: 0 pad_w: 1",
            (2, 4, 5, 4),
            kind,
        ),
        conv("deconv_two_bottoms", "num_output: 2 kernel_size: 2", pair, kind, tops=("y", "w")),
        conv("deconv_3d", "num_output: 2 kernel_size: [2, 3, 2] stride: 2", (1, 2, 3, 3, 2), kind),
        conv("deconv_1d", "num_output: 3 kernel_size: 3 stride: 2", (2, 4, 6), kind),
    ]


def inner(name: str, body: str, shape=(3, 4, 2, 3), **more) -> Case:
    return single(
        "InnerProduct", name, "InnerProduct", f"inner_product_param {{ {body} }}", shape, **more
    )


def inner_products() -> list[Case]:
    return [
        inner("ip", "num_output: 5"),
        inner("ip_no_bias", "num_output: 5 bias_term: false"),
        inner("ip_2d", "num_output: 7", (6, 9)),
        inner("ip_axis_2", "num_output: 4 axis: 2"),
        inner("ip_axis_negative", "num_output: 4 axis: -1"),
        inner("ip_axis_0", "num_output: 4 axis: 0", (3, 4)),
        inner("ip_transpose", "num_output: 5 transpose: true"),
        inner("ip_transpose_axis", "num_output: 5 transpose: true axis: 2"),
        inner("ip_batch_of_1", "num_output: 64", (1, 70)),
        inner("ip_large", "num_output: 130", (16, 150), fill=UNIFORM),
        inner(
            "ip_reshaped",
            "num_output: 5",
            (3, 4, 2, 3),
            iterations=2,
            shapes=({}, {"x": (5, 6, 4, 1)}),
        ),
    ]


def cases() -> list[Case]:
    return with_engines(convolutions() + deconvolutions() + inner_products())
