"""Net.set_input_arrays: NumPy arrays as a MemoryData layer's batches."""

import gc
import weakref

import caffe
import nets
import numpy as np
import pytest

NET = """
layer { name: "d" type: "MemoryData" top: "data" top: "label"
        memory_data_param { batch_size: 2 channels: 3 height: 1 width: 2 } }
layer { name: "s" type: "Silence" bottom: "label" }
layer { name: "p" type: "Power" bottom: "data" top: "p" power_param { scale: 2 } }
"""


@pytest.fixture
def net(make_net):
    return make_net(NET)


def arrays(rows=4):
    data = np.arange(rows * 6, dtype=np.float32).reshape(rows, 3, 1, 2)
    return data, np.arange(rows, dtype=np.float32)


def test_batches_in_turn(net):
    data, labels = arrays()
    net.set_input_arrays(data, labels)
    for first in (0, 2, 0):
        np.testing.assert_array_equal(net.forward()["p"], 2 * data[first : first + 2])
        assert net.blobs["label"].data.ravel().tolist() == [first, first + 1]
    data[2:] = -1
    assert (net.forward()["p"] == -2).all()
    net.set_input_arrays(data + 1, labels.reshape(4, 1, 1, 1))
    assert (net.forward()["p"] == 2 * (data[:2] + 1)).all()


def test_arrays_live_as_long_as_they_are_used(net):
    class Array(np.ndarray):
        """An array that can be referred to weakly."""

    data, labels = arrays()
    data = data.view(Array)
    gone = weakref.ref(data)
    net.set_input_arrays(data, labels)
    del data, labels
    gc.collect()
    net.forward()
    view = net.blobs["data"].data
    assert gone() is not None
    net.set_input_arrays(*arrays())
    del net
    gc.collect()
    assert view.ravel().tolist() == list(range(12))
    del view
    gc.collect()


def test_a_view_from_before_stays(net):
    view = net.blobs["data"].data
    view[...] = 5
    net.set_input_arrays(*arrays())
    net.forward()
    gc.collect()
    assert (view == 5).all()
    assert not np.shares_memory(view, net.blobs["data"].data)


@pytest.mark.parametrize(
    "change, error, text",
    [
        (lambda d, n: (d.astype(float), n), caffe.CaffeError, "data array must be float32"),
        (lambda d, n: (d, n.astype(int)), caffe.CaffeError, "labels array must be float32"),
        (lambda d, n: (d[:3], n[:3]), caffe.CaffeError, "multiple of the batch size"),
        (lambda d, n: (d[:0], n[:0]), caffe.CaffeError, "multiple of the batch size"),
        (lambda d, n: (d, n[:2]), caffe.CaffeError, "one label for each"),
        (lambda d, n: (d, np.ones((4, 2, 1, 1), np.float32)), caffe.CaffeError, "one label"),
        (lambda d, n: (d[:, ::-1], n), caffe.CaffeError, "contiguous"),
        (lambda d, n: (d.reshape(4, 6), n), caffe.CaffeError, "4-d"),
        (lambda d, n: (d.reshape(4, 1, 3, 2), n), caffe.CaffeError, "3 x 1 x 2, not 1 x 3 x 2"),
        (lambda d, n: (d, n.reshape(2, 2)), caffe.CaffeError, "4-d"),
        (lambda d, n: (d.tolist(), n), TypeError, "NumPy array"),
        (lambda d, n: (3, 4), TypeError, "NumPy array"),
        (lambda d, n: (np.broadcast_to(d[:1], d.shape), n), caffe.CaffeError, "contiguous"),
    ],
)
def test_arrays_that_do_not_fit(net, change, error, text):
    with pytest.raises(error, match=text):
        net.set_input_arrays(*change(*arrays()))


def test_arrays_that_may_not_be_written(net):
    data, labels = arrays()
    data.flags.writeable = False
    with pytest.raises(caffe.CaffeError, match="writeable"):
        net.set_input_arrays(data, labels)


def test_a_net_without_such_a_layer(make_net, net):
    with pytest.raises(caffe.CaffeError, match="first layer is a MemoryDataLayer"):
        make_net(nets.CHAIN).set_input_arrays(*arrays())
    with pytest.raises(caffe.CaffeError, match="no data"):
        net.forward()
