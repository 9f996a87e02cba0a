"""What pycaffe hands out stays valid when its net or solver is gone. Run this under valgrind or
AddressSanitizer to see what reads freed memory without a difference."""

import gc
import weakref

import data_nets
import engine_layers
import nets
import numpy as np
import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return data_nets.write(tmp_path_factory.mktemp("data"))


def use_memory():
    """Takes and fills what was freed."""
    return [np.full(4096, 77, np.uint8) for _ in range(2000)]


def without(owner, taken):
    """Deletes the owner, of which nothing but ``taken`` may be left; returns that."""
    gone = weakref.ref(owner.pop())
    gc.collect()
    assert gone() is None
    use_memory()
    return taken


@pytest.mark.parametrize("kind", [*data_nets.PREFETCHING, "HDF5Data"])
@pytest.mark.parametrize("prefetch", [1, 3])
def test_arrays_of_data_layers_outlive_the_net(make_net, folder, kind, prefetch):
    net = make_net(data_nets.net(kind, folder, prefetch))
    y = net.forward()["y"] / 2
    data, label, blob = net.blobs["data"].data, net.blobs["label"].data, net.blobs["data"]
    expected = label.copy()
    owner = [net]
    del net
    data, label, blob = without(owner, (data, label, blob))
    np.testing.assert_array_equal(data, y)
    np.testing.assert_array_equal(blob.data, y)
    np.testing.assert_array_equal(label, expected)
    data[...] = 5
    assert (blob.data == 5).all()


@pytest.mark.parametrize("kind", data_nets.PREFETCHING)
@pytest.mark.parametrize("prefetch", [1, 2])
def test_an_array_keeps_its_batch(make_net, folder, kind, prefetch):
    """The thread fills other memory while somebody holds the batch's; else it uses it again."""
    net = make_net(data_nets.net(kind, folder, prefetch))
    kept, copies = [], []
    for _ in range(8):
        net.forward()
        kept.append((net.blobs["data"].data, net.blobs["label"].data))
        copies.append([array.copy() for array in kept[-1]])
    del net
    gc.collect()
    for arrays, expected in zip(kept, copies):
        for array, values in zip(arrays, expected):
            np.testing.assert_array_equal(array, values)
    assert len({array.ctypes.data for array, _ in kept}) == 8


@pytest.mark.parametrize("kind", data_nets.PREFETCHING)
def test_a_batchs_memory_is_used_again(make_net, folder, kind):
    net = make_net(data_nets.net(kind, folder, prefetch=2))
    addresses = set()
    for _ in range(12):
        net.forward()
        addresses.add(net.blobs["data"].data.ctypes.data)
    assert len(addresses) == 2


@pytest.mark.parametrize("kind", data_nets.PREFETCHING)
def test_a_split_of_a_data_layers_top(make_net, folder, kind):
    """Its tops share the batch's memory as well."""
    text = data_nets.net(kind, folder) + (
        'layer { name: "z" type: "Power" bottom: "data" top: "z" power_param { scale: 3 } }'
    )
    net = make_net(text)
    out = net.forward()
    blobs = [blob for name, blob in net.blobs.items() if name.startswith("data")]
    assert len(blobs) == 3
    expected = out["z"] / 3
    owner = [net]
    del net, out
    for blob in without(owner, blobs):
        np.testing.assert_array_equal(blob.data, expected)


def test_layers_and_their_blobs_outlive_the_net(make_net, folder):
    net = make_net(nets.CHAIN)
    weights = net.params["ip"][0].data.copy()
    layers, params, ip = list(net.layers), net.params["ip"], net.layer_dict["ip"]
    owner = [net]
    del net
    layers, params, ip = without(owner, (layers, params, ip))
    assert [layer.type for layer in layers] == ["Input", "InnerProduct", "ReLU", "Softmax"]
    np.testing.assert_array_equal(params[0].data, weights)
    np.testing.assert_array_equal(ip.blobs[0].data, weights)
    ip.blobs.add_blob(2, 3)
    assert len(params) == 3


def test_a_data_layer_outlives_the_net(make_net, folder):
    """With its thread."""
    net = make_net(data_nets.net("Data", folder))
    net.forward()
    layer = net.layers[0]
    owner = [net]
    del net
    assert without(owner, layer).type == "Data"


def test_a_solvers_nets_outlive_it(make_solver):
    solver = make_solver(nets.TRAIN, test_iter=[1], test_interval=100)
    solver.step(1)  # after a test, for which the nets share their weights
    net, test_net = solver.net, solver.test_nets[0]
    weights = net.params["ip"][0].data.copy()
    owner = [solver]
    del solver
    net, test_net = without(owner, (net, test_net))
    net.forward()
    net.backward()
    test_net.forward()
    np.testing.assert_array_equal(net.params["ip"][0].data, weights)
    shared = test_net.params["ip"][0]
    del net, test_net
    gc.collect()
    use_memory()
    np.testing.assert_array_equal(shared.data, weights)


def test_shared_weights_outlive_their_first_net(make_net):
    first, second = make_net(nets.CHAIN), make_net(nets.CHAIN)
    second.share_with(first)
    weights = first.params["ip"][0].data.copy()
    owner = [first]
    del first
    second = without(owner, second)
    np.testing.assert_array_equal(second.params["ip"][0].data, weights)
    second.forward()


def test_what_a_python_layer_keeps_outlives_the_net(make_net, monkeypatch):
    kept = []

    class Keeps(engine_layers.Double):
        def forward(self, bottom, top):
            super().forward(bottom, top)
            kept[:] = [*bottom, *top, bottom[0].data, top[0].diff]

    monkeypatch.setattr(engine_layers, "Keeps", Keeps, raising=False)
    net = make_net(nets.python_net("Keeps"))
    net.forward(data=np.ones((2, 3)))
    owner = [net]
    del net
    bottom, top, data, diff = without(owner, kept)
    assert (bottom.data == 1).all() and (top.data == 2).all() and (data == 1).all()
    assert diff.shape == (2, 3)


def test_callbacks_and_arrays_of_a_net_that_is_gone(make_net):
    seen = []
    net = make_net(nets.CHAIN)
    net.after_forward(lambda layer: seen.append(net_of()))
    net_of = weakref.ref(net)
    outputs = net.forward()
    prob = outputs["prob"].copy()
    owner = [net]
    del net
    seen.clear()
    outputs = without(owner, outputs)
    np.testing.assert_array_equal(outputs["prob"], prob)


def test_input_arrays_outlive_their_names_and_the_net(make_net):
    net = make_net(
        'layer { name: "d" type: "MemoryData" top: "data" top: "label" memory_data_param '
        "{ batch_size: 2 channels: 3 height: 1 width: 2 } }"
    )
    net.set_input_arrays(
        np.arange(24, dtype=np.float32).reshape(4, 3, 1, 2), np.arange(4, dtype=np.float32)
    )
    use_memory()
    net.forward()
    data, label = net.blobs["data"].data, net.blobs["label"].data
    owner = [net]
    del net
    data, label = without(owner, (data, label))
    assert data.ravel().tolist() == list(range(12))
    assert label.ravel().tolist() == [0, 1]
