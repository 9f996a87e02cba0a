"""The bilinear filler: symmetric kernels, and a Deconvolution that enlarges by a whole factor."""

import numpy as np
import pytest


def up_net(factor: int, channels: int) -> str:
    kernel, pad = 2 * factor - factor % 2, factor // 2
    return f"""
    layer {{ name: 'data' type: 'Input' top: 'data'
      input_param {{ shape {{ dim: 1 dim: {channels} dim: 6 dim: 7 }} }} }}
    layer {{ name: 'up' type: 'Deconvolution' bottom: 'data' top: 'up' convolution_param {{
      num_output: {channels} group: {channels} kernel_size: {kernel} stride: {factor} pad: {pad}
      bias_term: false weight_filler {{ type: 'bilinear' }} }} }}"""


@pytest.mark.parametrize("size", range(1, 13))
def test_kernels_are_symmetric(make_net, size):
    net = make_net(f"""
    layer {{ name: 'data' type: 'Input' top: 'data'
      input_param {{ shape {{ dim: 1 dim: 2 dim: 16 dim: 16 }} }} }}
    layer {{ name: 'c' type: 'Convolution' bottom: 'data' top: 'c' convolution_param {{
      num_output: 2 group: 2 kernel_size: {size} weight_filler {{ type: 'bilinear' }} }} }}""")
    kernel = net.params["c"][0].data[0, 0]
    for turned in (kernel[::-1], kernel[:, ::-1], kernel.T):
        np.testing.assert_array_equal(kernel, turned)


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_a_plane_stays_a_plane(make_net, factor):
    net = make_net(up_net(factor, 3))
    rows, columns = np.mgrid[0:6, 0:7]
    plane = 2.0 * rows - 3.0 * columns + 1
    up = net.forward(data=np.stack([plane, -plane, 5 * plane])[None])["up"]
    assert up.shape == (1, 3, 6 * factor, 7 * factor)
    rows, columns = np.mgrid[0 : 6 * factor, 0 : 7 * factor]
    places = [(axis + 0.5) / factor - 0.5 for axis in (rows, columns)]
    wanted = 2.0 * places[0] - 3.0 * places[1] + 1
    inner = (slice(factor, -factor),) * 2
    np.testing.assert_allclose(up[0, 0][inner], wanted[inner], atol=1e-4)
    np.testing.assert_allclose(up[0, 2], 5 * up[0, 0], atol=1e-3)
