"""Blobs as NumPy arrays: views that hold their memory."""

import gc
import pickle
import weakref

import caffe
import nets
import numpy as np
import pytest
from caffe._caffe import Blob


def test_data_and_diff_are_views_of_float32():
    blob = Blob(2, 3)
    assert blob.data.dtype == np.float32
    assert blob.data.shape == blob.diff.shape == (2, 3)
    blob.data[1, 2] = 5
    blob.diff[0, 0] = 7
    assert blob.data[1, 2] == 5
    assert blob.diff[0, 0] == 7
    assert blob.data[0, 0] == 0
    assert not blob.data.flags.owndata
    assert np.shares_memory(blob.data, blob.data)
    assert not np.shares_memory(blob.data, blob.diff)


def test_shape_and_legacy_sizes():
    blob = Blob(2, 3, 4, 5)
    assert blob.shape == (2, 3, 4, 5)
    assert list(blob.shape) == [2, 3, 4, 5]
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (2, 3, 4, 5, 120)
    assert Blob(7).num == 7
    assert Blob(7).width == 1
    with pytest.raises(caffe.CaffeError, match=r"shape\(axis\)"):
        _ = Blob(1, 1, 1, 1, 1).num
    assert repr(blob) == "<caffe.Blob of shape (2 3 4 5)>"


def test_empty_and_scalar_blobs():
    assert Blob(0, 3).data.shape == (0, 3)
    scalar = Blob()
    assert scalar.data.shape == ()
    scalar.data[...] = 4
    assert float(scalar.data) == 4


def test_data_cannot_be_assigned():
    blob = Blob(2)
    with pytest.raises(AttributeError):
        blob.data = np.zeros(2)


@pytest.mark.parametrize("name", ["_gpu_data_ptr", "_gpu_diff_ptr"])
def test_addresses_on_the_gpu(name):
    blob = Blob(2, 3)
    try:
        caffe.set_device(0)
    except caffe.CaffeError:
        assert not hasattr(blob, name)
        with pytest.raises(AttributeError, match="GPU"):
            getattr(blob, name)
        return
    address = getattr(blob, name)
    assert isinstance(address, int)
    assert address > 0
    assert getattr(blob, name) == address


def test_reshape():
    blob = Blob(2, 3)
    blob.reshape(3, 2)
    assert blob.data.shape == (3, 2)
    blob.reshape(np.int64(4), 1)
    assert blob.shape == (4, 1)
    with pytest.raises(caffe.CaffeError, match="-1"):
        blob.reshape(-1, 2)
    with pytest.raises(caffe.CaffeError, match="2147483647|INT_MAX|more than"):
        blob.reshape(2**30, 2**30)
    for wrong in ["2", 2.5, (2, 3), None]:
        with pytest.raises(TypeError):
            blob.reshape(wrong)
    with pytest.raises(TypeError):
        blob.reshape(1, wide=2)
    with pytest.raises((caffe.CaffeError, RuntimeError, OverflowError)):
        blob.reshape(2**40)
    assert blob.shape == (4, 1)


def test_a_view_outlives_its_blob():
    view = Blob(100, 100).data
    gc.collect()
    view[...] = 3
    assert view.sum() == 30000


def test_a_view_outlives_its_net(make_net):
    net = make_net(nets.CHAIN)
    net.forward(data=np.ones((2, 3)))
    view = net.blobs["prob"].data
    weights = net.params["ip"][0].data
    blob = net.blobs["ip"]
    expected = view.copy()
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None
    np.testing.assert_array_equal(view, expected)
    weights[...] = 1
    assert blob.data.shape == (2, 4)


def test_a_view_outlives_a_reshape_that_needs_more_memory():
    blob = Blob(2, 3)
    before = blob.data
    before[...] = 1
    blob.reshape(1000, 1000)
    after = blob.data
    after[...] = 2
    assert not np.shares_memory(before, after)
    assert before.tolist() == [[1, 1, 1], [1, 1, 1]]
    blob.reshape(2)
    assert np.shares_memory(blob.data, after)
    before += 1


def test_a_view_follows_the_net(make_net):
    """An array that is held sees what forward writes, and forward what is written into it."""
    net = make_net(nets.CHAIN)
    data, prob = net.blobs["data"].data, net.blobs["prob"].data
    net.params["ip"][0].data[...] = np.arange(12).reshape(4, 3)
    net.forward()
    first = prob.copy()
    data[...] = [[1, 2, 3], [0, 0, 1]]
    net.forward()
    assert not np.array_equal(first, prob)
    np.testing.assert_array_equal(prob, net.blobs["prob"].data)


def test_memory_is_freed_with_the_last_view():
    def resident_pages():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1])

    view = Blob(64, 1024, 1024).data  # 256 MB
    view[...] = 1
    with_view = resident_pages()
    del view
    gc.collect()
    assert with_view - resident_pages() > 60000


def test_blobs_of_a_net_are_one_object_each(make_net):
    net = make_net(nets.CHAIN)
    assert net.blobs["ip"] is net.blobs["ip"]
    assert net.params["ip"][0] is net.params["ip"][0]


def test_error_class():
    assert issubclass(caffe.CaffeError, RuntimeError)
    assert caffe.CaffeError.__module__ == "caffe"
    error = pickle.loads(pickle.dumps(caffe.CaffeError("text")))
    assert isinstance(error, caffe.CaffeError)
    assert str(error) == "text"
