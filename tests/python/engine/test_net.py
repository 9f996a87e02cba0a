"""caffe.Net: construction, running, files, callbacks, errors."""

import gc
import os
import re
import subprocess
import sys
import weakref
from collections import OrderedDict
from pathlib import Path

import caffe
import nets
import numpy as np
import pytest


def test_without_cuda_the_error_says_what_to_change():
    try:
        caffe.set_device(0)
    except caffe.CaffeError as error:
        message = str(error)
    else:
        pytest.skip("there is a GPU")
    if "without CUDA" not in message:
        pytest.skip("built with CUDA")
    for fix in ("solver_mode: CPU in the solver", "-gpu", "caffe.set_mode_cpu()"):
        assert fix in message


@pytest.fixture
def net(make_net):
    net = make_net(nets.CHAIN)
    net.params["ip"][0].data[...] = np.linspace(-1, 1, 12).reshape(4, 3)
    return net


X = np.array([[1, 2, 3], [-1, 0, 1]], dtype=np.float32)


def test_log_lines_begin_as_caffes_do(tmp_path):
    """Month and day without the year, which glog would add: log parsers read them so."""
    path = tmp_path / "net.prototxt"
    path.write_text(nets.CHAIN)
    program = f"import caffe; caffe.init_log(0); caffe.Net({str(path)!r}, caffe.TEST)"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GLOG_")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=kept, capture_output=True, text=True, check=True
    )
    first = done.stderr.splitlines()[0]
    assert re.match(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \w+\.cpp:\d+\] ", first), first


def expected_prob(net, x):
    weights, bias = (blob.data.astype(np.float64) for blob in net.params["ip"])
    hidden = np.maximum(x @ weights.T + bias, 0)
    exp = np.exp(hidden - hidden.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def test_what_there_is(net):
    assert isinstance(net.blobs, OrderedDict)
    assert list(net.blobs) == ["data", "ip", "prob"]
    assert net.blobs is net.blobs
    assert list(net.params) == ["ip"]
    assert [blob.shape for blob in net.params["ip"]] == [(4, 3), (4,)]
    assert list(net.layer_dict) == ["data", "ip", "relu", "prob"]
    assert net.inputs == ["data"]
    assert net.outputs == ["prob"]
    assert net.top_names == {"data": ["data"], "ip": ["ip"], "relu": ["ip"], "prob": ["prob"]}
    assert net.bottom_names == {"data": [], "ip": ["data"], "relu": ["ip"], "prob": ["ip"]}
    assert list(net._layer_names) == list(net.layer_dict)
    assert list(net._blob_names) == list(net.blobs)
    assert (list(net._inputs), list(net._outputs)) == ([0], [2])
    assert list(net._bottom_ids(1)) == [0]
    assert list(net._top_ids(-1)) == [2]
    assert [layer.type for layer in net.layers] == ["Input", "InnerProduct", "ReLU", "Softmax"]
    assert set(net.blob_loss_weights.values()) == {0}
    assert net.name == "chain"


def test_forward(net):
    outputs = net.forward(data=X)
    assert list(outputs) == ["prob"]
    np.testing.assert_allclose(outputs["prob"], expected_prob(net, X), rtol=1e-5)
    assert np.shares_memory(outputs["prob"], net.blobs["prob"].data)
    more = net.forward(blobs=["ip", "data"], data=X * 2)
    assert set(more) == {"prob", "ip", "data"}
    np.testing.assert_allclose(more["prob"], expected_prob(net, X * 2), rtol=1e-5)


def test_forward_from_and_to(net):
    net.forward(data=X)
    net.blobs["ip"].data[...] = 0
    assert list(net.forward(start="relu", end="relu")) == ["ip"]
    np.testing.assert_allclose(net.forward(start="prob")["prob"], 0.25)
    assert net._forward(0, 3) == 0


def test_backward_is_the_gradient(net):
    net.forward(data=X)
    top = np.array([[1, -1, 0.5, 0], [0, 0, 0, 2]], dtype=np.float32)
    net.clear_param_diffs()
    gradients = net.backward(diffs=["ip"], prob=top)
    assert set(gradients) == {"data", "ip"}
    for index in [(0, 0), (1, 2)]:
        step = np.zeros_like(X, dtype=np.float64)
        step[index] = 1e-4
        slope = expected_prob(net, X + step) - expected_prob(net, X - step)
        numeric = (slope * top).sum() / 2e-4
        assert gradients["data"][index] == pytest.approx(numeric, rel=1e-3, abs=1e-5)
    before = net.params["ip"][1].diff.copy()
    assert np.abs(before).sum() > 0
    net.backward()
    np.testing.assert_allclose(net.params["ip"][1].diff, 2 * before, rtol=1e-5)
    net.clear_param_diffs()
    assert not net.params["ip"][1].diff.any()
    assert list(net.backward(start="relu", end="ip")) == ["data"]


def test_wrong_arguments(net):
    with pytest.raises(ValueError, match="given wrong, wanted data"):
        net.forward(wrong=X)
    with pytest.raises(ValueError, match="shape 1 x 3, the blob 2 x 3: it is not batch sized"):
        net.forward(data=X[:1])
    with pytest.raises(ValueError, match="shape a single number, the blob .*batch sized"):
        net.forward(data=3)
    with pytest.raises(ValueError, match="broadcast"):
        net.forward(data=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="no layer 'nope'"):
        net.forward(start="nope")
    with pytest.raises(ValueError, match="no layer 'nope'"):
        net.backward(end="nope")
    before = net.forward(data=X)["prob"].copy()
    net.blobs["data"].data[...] = 9
    for call in [
        lambda: net.forward(blobs=["prb"]),
        lambda: net.backward(diffs=["prb"]),
        lambda: net.forward_all(data=X, blobs=["prb"]),
        lambda: net.forward_backward_all(data=X, diffs=["prb"]),
    ]:
        with pytest.raises(KeyError, match="no blob 'prb'; did you mean 'prob'"):
            call()
    np.testing.assert_array_equal(net.blobs["prob"].data, before)  # nothing was computed
    with pytest.raises(ValueError, match="wanted prob"):
        net.backward(ip=X)
    with pytest.raises(KeyError):
        _ = net.blobs["nope"]
    with pytest.raises(IndexError):
        _ = net.params["ip"][2]
    with pytest.raises(IndexError):
        _ = net.layers[9]
    for start, end in [(0, 4), (-1, 2), (4, 4)]:
        with pytest.raises(IndexError):
            net._forward(start, end)
        with pytest.raises(IndexError):
            net._backward(start, end)
    for layer in (4, -5):
        with pytest.raises(IndexError):
            net._top_ids(layer)
    with pytest.raises(TypeError):
        net._forward("a", 1)


def test_forward_all(net):
    many = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    outputs = net.forward_all(data=many, blobs=["ip"])
    assert outputs["prob"].shape == (5, 4)
    assert outputs["ip"].shape == (5, 4)
    np.testing.assert_allclose(outputs["prob"], expected_prob(net, many), rtol=1e-5)
    assert net.forward_all(data=list(many))["prob"].shape == (5, 4)
    with pytest.raises(ValueError, match="given dta, wanted data"):
        net.forward_all(dta=many)
    none = net.forward_all(data=many[:0], blobs=["ip"])
    assert {name: array.shape for name, array in none.items()} == {"prob": (0, 4), "ip": (0, 4)}
    for arguments in [{}, {"data": 3}, {"data": many, "other": many[:2]}]:
        with pytest.raises((ValueError, TypeError)):
            net.forward_all(**arguments)


def test_forward_backward_all(net):
    many = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    tops = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    values, gradients = net.forward_backward_all(data=many, prob=tops, blobs=["ip"], diffs=["ip"])
    assert {name: array.shape for name, array in values.items()} == {"prob": (5, 4), "ip": (5, 4)}
    assert gradients["data"].shape == (5, 3)
    net.forward(data=many[2:4])
    np.testing.assert_allclose(net.backward(prob=tops[2:4])["data"], gradients["data"][2:4])


KEEPS_LITTLE = nets.INPUT + "".join(
    f'layer {{ name: "{name}" type: "AbsVal" bottom: "{bottom}" top: "{name}" }} '
    for bottom, name in (("data", "a"), ("a", "b"), ("b", "c"), ("c", "d"))
)


def test_keep_only(make_net):
    net = make_net(KEEPS_LITTLE)
    held = net.blobs["c"].data
    net.keep_only(["b"])
    net.forward(data=X)
    for name in ("b", "d"):
        np.testing.assert_array_equal(net.blobs[name].data, np.abs(X))
    np.testing.assert_array_equal(held, np.abs(X))  # an array that exists is as true as ever
    for read in (lambda: net.blobs["a"].data, lambda: net.forward(blobs=["a"])):
        with pytest.raises(caffe.CaffeError, match=r"given up .*in Python: net\.keep_only"):
            read()
    with pytest.raises(caffe.CaffeError, match=r"layer 'b' reads blob 'a', whose values"):
        net.forward(start="b")
    net.keep_only(["a"])
    assert set(net.forward(blobs=["a", "b"])) == {"a", "b", "d"}


def test_keep_only_wants_names(make_net):
    net = make_net(KEEPS_LITTLE)
    with pytest.raises(caffe.CaffeError, match="has no blob 'nothing' to keep"):
        net.keep_only(["a", "nothing"])
    with pytest.raises(TypeError):
        net.keep_only("abc")
    net.forward(data=X)
    assert net.blobs["c"].data.any()


def test_reshape(net):
    net.blobs["data"].reshape(5, 3)
    net.reshape()
    assert net.blobs["prob"].shape == (5, 4)
    assert net.forward(data=np.zeros((5, 3)))["prob"].shape == (5, 4)
    net.blobs["data"].reshape(5, 4)
    with pytest.raises(caffe.CaffeError, match=r"layer 'ip' \(InnerProduct\)"):
        net.reshape()


def test_backward_after_a_reshape_is_refused(net):
    net.forward(data=X)
    net.blobs["data"].reshape(500, 3)
    with pytest.raises(caffe.CaffeError, match="run forward again"):
        net.backward()
    net.forward(end="ip")
    with pytest.raises(caffe.CaffeError, match="run forward again"):
        net.backward()
    net.forward()
    assert net.backward()["data"].shape == (500, 3)
    net.blobs["data"].reshape(500, 4)
    with pytest.raises(caffe.CaffeError):
        net.forward()
    net.blobs["data"].reshape(500, 3)
    with pytest.raises(caffe.CaffeError, match="run forward again"):
        net.backward()
    net.reshape()
    net.backward()


def test_constructors(tmp_path, net):
    path = tmp_path / "all.prototxt"
    path.write_text(
        nets.CHAIN
        + 'layer { name: "extra" type: "Silence" bottom: "prob" include { stage: "loud" } }'
        + 'layer { name: "high" type: "Silence" bottom: "data" include { min_level: 2 } }'
        + 'layer { name: "train" type: "Silence" bottom: "data" include { phase: TRAIN } }'
    )
    weights = tmp_path / "w.caffemodel"
    net.save(weights)

    def layers(*arguments, **named):
        return [name for name in caffe.Net(*arguments, **named).layer_dict if "split" not in name]

    chain = ["data", "ip", "relu", "prob"]
    assert layers(str(path), caffe.TEST) == chain
    assert layers(path, caffe.TRAIN) == [*chain, "train"]
    assert layers(path, caffe.TEST, level=2, stages=["loud"]) == [*chain, "extra", "high"]
    assert layers(network_file=path, phase=0, stages=("x", "loud")) == [*chain, "extra", "train"]
    assert layers(bytes(path), caffe.TEST) == chain
    for loaded in [
        caffe.Net(str(path), str(weights), caffe.TEST),
        caffe.Net(path, caffe.TEST, weights=weights),
    ]:
        np.testing.assert_array_equal(loaded.params["ip"][0].data, net.params["ip"][0].data)
    for wrong in [(), (path,), (path, "x"), (3, caffe.TEST), (path, caffe.TEST, 0, "loud")]:
        with pytest.raises(TypeError):
            caffe.Net(*wrong)
    with pytest.raises(ValueError, match="phase"):
        caffe.Net(path, 2)
    with pytest.raises((TypeError, ValueError)):
        caffe.Net("a\0b", caffe.TEST)


def test_errors_name_the_file(tmp_path, make_net):
    with pytest.raises(caffe.CaffeError, match="/nowhere/net.prototxt"):
        caffe.Net("/nowhere/net.prototxt", caffe.TEST)
    with pytest.raises(RuntimeError, match=str(tmp_path)):
        make_net("layer { name: ")
    with pytest.raises(caffe.CaffeError, match="did you mean 'ReLU'"):
        make_net(nets.INPUT + 'layer { name: "r" type: "Relu" bottom: "data" top: "r" }')
    with pytest.raises(caffe.CaffeError, match="/nowhere.caffemodel"):
        make_net(nets.CHAIN, weights="/nowhere.caffemodel")
    damaged = tmp_path / "damaged.caffemodel"
    damaged.write_bytes(b"\xff\xfe\x00damaged" * 9)
    with pytest.raises(caffe.CaffeError, match="damaged.caffemodel"):
        make_net(nets.CHAIN, weights=damaged)


def test_names_that_are_not_utf8(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_bytes(b'layer { name: "\xff" type: "\xfe" }')
    with pytest.raises(caffe.CaffeError):
        caffe.Net(path, caffe.TEST)
    path.write_bytes(nets.INPUT.encode().replace(b'top: "data"', b'top: "\\377"'))
    net = caffe.Net(path, caffe.TEST)
    assert net.inputs == [b"\xff".decode(errors="surrogateescape")]


@pytest.mark.parametrize("kind", ["caffemodel", "h5"])
def test_save_and_copy(kind, tmp_path, make_net, net):
    path = tmp_path / f"weights.{kind}"
    other = make_net(nets.CHAIN)
    if kind == "h5":
        net.save_hdf5(path)
        other.load_hdf5(str(path))
    else:
        net.save(str(path))
        other.copy_from(path)
    for mine, theirs in zip(net.params["ip"], other.params["ip"]):
        np.testing.assert_array_equal(mine.data, theirs.data)
        assert not np.shares_memory(mine.data, theirs.data)
    wider = make_net(nets.CHAIN.replace("num_output: 4", "num_output: 5"))
    with pytest.raises(caffe.CaffeError, match="ip.*4 3.*5 3|ip.*5 3.*4 3"):
        wider.copy_from(path)
    with pytest.raises(caffe.CaffeError, match="/nowhere/w.caffemodel: cannot be written: No"):
        net.save(Path("/nowhere/w.caffemodel"))
    with pytest.raises(caffe.CaffeError, match="/nowhere/w.h5: cannot be written: No"):
        net.save_hdf5("/nowhere/w.h5")
    with pytest.raises(caffe.CaffeError, match="prototxt"):
        net.load_hdf5(tmp_path / "net0.prototxt")


def test_share_with(make_net, net):
    other = make_net(nets.CHAIN)
    other.share_with(net)
    assert np.shares_memory(net.params["ip"][0].data, other.params["ip"][0].data)
    net.share_with(net)
    with pytest.raises(TypeError):
        net.share_with(None)
    weights = other.params["ip"][0].data
    del net, other
    gc.collect()
    weights[...] = 1


def test_callbacks(net):
    calls = []
    net.before_forward(lambda layer: calls.append(("before", layer)))
    net.after_forward(lambda layer: calls.append(("after", layer)))
    net.before_backward(lambda layer: calls.append(("before back", layer)))
    net.after_backward(lambda layer: calls.append(("after back", layer)))
    net.forward(end="ip")
    assert calls == [("before", 0), ("after", 0), ("before", 1), ("after", 1)]
    net.forward()
    calls.clear()
    net.backward(end="prob")
    assert calls == [("before back", 3), ("after back", 3)]
    with pytest.raises(TypeError):
        net.before_forward(3)


def test_an_error_in_a_callback_arrives(net):
    def fail(layer):
        if layer == 2:
            raise ConnectionError("from the callback")

    net.after_forward(fail)
    with pytest.raises(ConnectionError, match="from the callback") as info:
        net.forward()
    assert info.traceback[-1].name == "fail"
    with pytest.raises(caffe.CaffeError, match="run forward again"):
        net.backward()


def test_a_callback_may_run_the_net(net):
    seen = []

    def again(layer):
        if layer == 3 and len(seen) < 2:
            seen.append(layer)
            net.forward()

    net.after_forward(again)
    net.forward()
    assert seen == [3, 3]


def test_nets_are_freed(make_net):
    net = make_net(nets.CHAIN)
    marker = Marker()
    net.before_forward(marker.see)
    net.forward()
    _ = net.blobs, net.params, net.layer_dict, net.top_names
    gone, held = weakref.ref(net), weakref.ref(marker)
    del net, marker
    gc.collect()
    assert gone() is None
    # A callback goes with the companion, at the latest when another object gets one.
    make_net(nets.CHAIN).forward()
    assert held() is None


def test_a_callback_may_refer_to_its_net(make_net):
    """And both are freed nevertheless."""

    def watch(net, seen):
        net.after_forward(lambda layer: seen.append(net.blobs["prob"].data[0, 0]))

    net, seen = make_net(nets.CHAIN), []
    watch(net, seen)
    gc.collect()
    net.forward()
    assert len(seen) == 4
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None


class Marker:
    def see(self, layer):
        pass


def test_set_input_arrays_needs_a_memory_data_layer(net):
    with pytest.raises(caffe.CaffeError, match="MemoryData"):
        net.set_input_arrays(np.zeros((2, 3, 1, 1), np.float32), np.zeros(2, np.float32))


def test_subclasses_of_net(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(nets.CHAIN)

    class Mine(caffe.Net):
        def __init__(self):
            super().__init__(path, caffe.TEST)
            self.extra = 5

    mine = Mine()
    assert mine.forward(data=X)["prob"].shape == (2, 4)
    assert mine.extra == 5


def test_settings_of_the_thread(make_net):
    caffe.set_mode_cpu()
    caffe.set_random_seed(7)
    first = make_net(nets.CHAIN).params["ip"][0].data.copy()
    caffe.set_random_seed(7)
    assert np.array_equal(make_net(nets.CHAIN).params["ip"][0].data, first)
    assert not np.array_equal(make_net(nets.CHAIN).params["ip"][0].data, first)
    for wrong in (-1, 2**32):
        with pytest.raises(ValueError, match="seed"):
            caffe.set_random_seed(wrong)
    assert (caffe.solver_count(), caffe.solver_rank()) == (1, 0)
    caffe.set_solver_count(2)
    caffe.set_solver_rank(1)
    assert (caffe.solver_count(), caffe.solver_rank()) == (2, 1)
    caffe.set_solver_count(1)
    caffe.set_solver_rank(0)
    caffe.set_multiprocess(False)
    assert caffe.has_nccl() is False
    types = caffe.layer_type_list()
    assert types == sorted(types)
    assert {"Convolution", "Python", "Elimination", "Enhancement"} <= set(types)
    with pytest.raises(caffe.CaffeError, match=r"libnone\.so"):
        caffe.load_layers("/nowhere/libnone.so")


def test_timer():
    timer = caffe.Timer()
    timer.start()
    timer.stop()
    assert 0 <= timer.ms < 1000


@pytest.mark.parametrize(
    "kind, param, said",
    [
        (
            "Convolution",
            "num_output: 1 kernel_h: 3 kernel_w: 1 pad_w: 2147483647",
            "at most 16777216",
        ),
        ("Convolution", "num_output: 1 kernel_size: 1 pad: 20000000", "pad is 20000000"),
        ("Convolution", "num_output: 1 kernel_size: 9999 dilation: 16777216", "is a window of"),
        ("Deconvolution", "num_output: 1 kernel_size: 1 stride: 2147483647", "at most 16777216"),
        ("Im2col", "kernel_size: 3 pad: 2147483647", "at most 16777216"),
        ("Pooling", "kernel_size: 2147483647 pad: 2147483646", "from 0 to 16777216"),
        ("Pooling", "kernel_size: 3 stride: 4294967295", "from 0 to 16777216"),
    ],
)
def test_numbers_that_no_sum_holds_are_errors(tmp_path, kind, param, said):
    field = "pooling_param" if kind == "Pooling" else "convolution_param"
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 1, 4, 6] } } }'
        f'layer {{ name: "y" type: "{kind}" bottom: "x" top: "y" {field} {{ {param} }} }}'
    )
    with pytest.raises(caffe.CaffeError, match=said):
        caffe.Net(path, caffe.TEST)
