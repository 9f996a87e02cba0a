"""pycaffe in GPU mode: blobs, gradients, net surgery, solvers, layers in Python, threads."""

from __future__ import annotations

import threading

import caffe
import nets
import numpy as np
import pytest
from caffe import layers as L
from caffe import params as P

SHAPE = (3, 3, 19, 19)


def small_net() -> str:
    """Both kinds of matrix product, windows, sums over channels, both layers' kinds of output."""
    n = caffe.NetSpec()
    n.data = L.Input(input_param=dict(shape=dict(dim=list(SHAPE))))
    n.label = L.Input(input_param=dict(shape=dict(dim=[SHAPE[0]])))
    filler = dict(weight_filler=dict(type="msra"), bias_filler=dict(type="constant", value=0.1))
    n.conv1 = L.Convolution(n.data, num_output=8, kernel_size=3, **filler)
    n.relu1 = L.ReLU(n.conv1, in_place=True)
    n.enhance1 = L.Enhancement(n.relu1, in_place=True)
    n.norm1 = L.LRN(n.enhance1, local_size=3, alpha=0.1, beta=0.75)
    n.pool1 = L.Pooling(n.norm1, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    n.conv2 = L.Convolution(n.pool1, num_output=6, kernel_size=3, pad=1, group=2, **filler)
    n.pool2 = L.Pooling(n.conv2, pool=P.Pooling.AVE, kernel_size=2, stride=2)
    n.fc = L.InnerProduct(n.pool2, num_output=4, **filler)
    n.loss = L.SoftmaxWithLoss(n.fc, n.label)
    return "force_backward: true " + str(n.to_proto())


@pytest.fixture
def net_file(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(small_net())
    return path


def loaded(path, seed=1):
    """A net with the same weights in either mode, and its inputs filled."""
    net = caffe.Net(str(path), caffe.TRAIN)
    random = np.random.default_rng(seed)
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = random.normal(size=blob.data.shape) * 0.3
    net.blobs["data"].data[...] = random.normal(size=SHAPE)
    net.blobs["label"].data[...] = [0, 3, 1]
    return net


def same(gpu, cpu):
    assert gpu.keys() == cpu.keys()
    for name, values in cpu.items():
        np.testing.assert_allclose(gpu[name], values, rtol=2e-4, atol=1e-5, err_msg=name)


def test_every_blob_and_gradient(net_file, on_both):
    def run():
        net = loaded(net_file)
        net.clear_param_diffs()
        net.forward()
        net.backward()
        values = {name: blob.data.copy() for name, blob in net.blobs.items()}
        values.update({f"d {name}": blob.diff.copy() for name, blob in net.blobs.items()})
        for name, blobs in net.params.items():
            values.update({f"d {name} {i}": b.diff.copy() for i, b in enumerate(blobs)})
        return values

    cpu, gpu = on_both(run)
    same(gpu, cpu)
    assert np.abs(gpu["d conv1 0"]).max() > 1e-3


def test_what_python_writes_between_two_passes_is_used(net_file, on_both):
    def run():
        net = loaded(net_file)
        net.forward()
        net.params["fc"][0].data[...] *= 0.5
        net.params["fc"][1].data[2] = 7
        net.blobs["data"].data[1] = net.blobs["data"].data[0]
        halved = net.forward()["loss"].copy()
        net.blobs["pool2"].data[...] = 1
        after = net.forward(start="fc")["loss"].copy()
        net.blobs["fc"].diff[...] = 0
        net.blobs["fc"].diff[0, 1] = 1
        net.backward(start="fc", end="pool2")
        return dict(halved=halved, after=after, d=net.blobs["pool2"].diff.copy())

    cpu, gpu = on_both(run)
    same(gpu, cpu)


def test_a_view_taken_before_a_pass_shows_what_came_after_it(net_file, gpu):
    """The array is the memory of the blob: asking for .data again brings the values there."""
    net = loaded(net_file)
    view = net.blobs["fc"].data
    net.forward()
    np.testing.assert_array_equal(view, net.blobs["fc"].data)
    assert np.abs(view).max() > 0


def test_weights_are_saved_loaded_and_shared(net_file, tmp_path, gpu):
    net = loaded(net_file)
    expected = net.forward()["loss"].copy()
    file = str(tmp_path / "w.caffemodel")
    net.save(file)
    data = net.blobs["data"].data.copy()
    for other in (
        caffe.Net(str(net_file), caffe.TRAIN, weights=file),
        caffe.Net(str(net_file), caffe.TRAIN),
    ):
        other.share_with(net)
        other.blobs["data"].data[...] = data
        other.blobs["label"].data[...] = [0, 3, 1]
        np.testing.assert_array_equal(other.forward()["loss"], expected)
    net.params["fc"][1].data[...] += 1
    net.params["fc"][1].data[0] += 2
    changed = net.forward()["loss"].copy()
    assert changed != expected
    np.testing.assert_array_equal(other.forward()["loss"], changed)


def test_reshaping_between_passes(net_file, on_both):
    def run():
        net = loaded(net_file)
        found = {}
        for size in (3, 1, 5, 2):
            net.blobs["data"].reshape(size, *SHAPE[1:])
            net.blobs["label"].reshape(size)
            net.reshape()
            random = np.random.default_rng(size)
            net.blobs["data"].data[...] = random.normal(size=(size, *SHAPE[1:]))
            net.blobs["label"].data[...] = 1
            found[f"loss {size}"] = net.forward()["loss"].copy()
            net.backward()
            found[f"d {size}"] = net.blobs["data"].diff.copy()
        return found

    cpu, gpu = on_both(run)
    same(gpu, cpu)


def test_a_layer_in_python_between_layers_of_the_gpu(make_any_net, on_both):
    text = nets.python_net("Double") + (
        'layer { name: "exp" type: "Exp" bottom: "y" top: "z" exp_param { scale: 0.1 } }'
    )

    def run():
        net = make_any_net(text)
        net.blobs["data"].data[...] = np.arange(6).reshape(2, 3)
        net.forward()
        net.blobs["z"].diff[...] = 1
        net.backward()
        return dict(z=net.blobs["z"].data.copy(), d=net.blobs["data"].diff.copy())

    cpu, gpu = on_both(run)
    same(gpu, cpu)
    assert gpu["d"].max() > 0.2


@pytest.fixture
def make_any_net(tmp_path):
    def make(text):
        path = tmp_path / "any.prototxt"
        path.write_text(text)
        return caffe.Net(str(path), caffe.TEST)

    return make


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSProp"])
def test_steps_of_a_solver(net_file, tmp_path, on_both, kind):
    solver_file = tmp_path / "solver.prototxt"
    extra = "momentum: 0.9" if kind == "SGD" else ""
    solver_file.write_text(
        f'net: "{net_file}" type: "{kind}" base_lr: 0.01 lr_policy: "fixed" weight_decay: 0.001 '
        f'clip_gradients: 2 iter_size: 2 display: 0 snapshot_prefix: "{tmp_path}/s" random_seed: 1 '
        + extra
    )

    def run():
        solver = caffe.get_solver(str(solver_file))
        random = np.random.default_rng(5)
        for blobs in solver.net.params.values():
            for blob in blobs:
                blob.data[...] = random.normal(size=blob.data.shape) * 0.3
        losses = []
        for step in range(6):
            solver.net.blobs["data"].data[...] = random.normal(size=SHAPE)
            solver.net.blobs["label"].data[...] = [step % 4, 3, 1]
            solver.step(1)
            losses.append(float(solver.net.blobs["loss"].data))
        values = {
            f"{k} {i}": b.data.copy() for k, v in solver.net.params.items() for i, b in enumerate(v)
        }
        return dict(values, losses=np.array(losses))

    cpu, gpu = on_both(run)
    # Adam and RMSProp divide by the root of tiny gradients, where rounding shows.
    for name, values in cpu.items():
        np.testing.assert_allclose(gpu[name], values, rtol=5e-3, atol=5e-4, err_msg=name)


def run_in_threads(*calls):
    """Each call in a thread of its own, all at once; what they raised."""
    raised = []

    def guarded(call):
        try:
            call()
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_threads_with_a_net_each(net_file, gpu):
    """The mode belongs to a thread; nets of different threads do not disturb each other."""
    expected = [loaded(net_file, seed).forward()["loss"].copy() for seed in range(3)]
    found = {}

    def run(seed):
        caffe.set_device(0)
        caffe.set_mode_gpu()
        net = loaded(net_file, seed)
        for _ in range(4):
            net.forward()
            net.backward()
        found[seed] = net.forward()["loss"].copy()

    assert run_in_threads(*(lambda s=seed: run(s) for seed in range(3))) == []
    for seed in range(3):
        np.testing.assert_array_equal(found[seed], expected[seed])


def test_a_net_moves_from_thread_to_thread(net_file, gpu):
    net = loaded(net_file)
    net.forward()
    expected = net.blobs["fc"].data.copy()
    net.blobs["data"].data[...] *= 2
    found = []

    def forward():
        caffe.set_device(0)
        caffe.set_mode_gpu()
        net.forward()

    def backward():
        caffe.set_device(0)
        caffe.set_mode_gpu()
        net.backward()
        net.blobs["data"].data[...] /= 2
        net.forward()
        found.append(net.blobs["fc"].data.copy())

    for call in (forward, backward):
        assert run_in_threads(call) == []
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(net.blobs["fc"].data, expected)


def test_a_net_serves_the_cpu_after_the_gpu(net_file, gpu):
    net = loaded(net_file)
    on_gpu = net.forward()["loss"].copy()
    caffe.set_mode_cpu()
    np.testing.assert_allclose(net.forward()["loss"], on_gpu, rtol=1e-5)
    caffe.set_mode_gpu()
    np.testing.assert_array_equal(net.forward()["loss"], on_gpu)


def test_a_gpu_that_is_not_there(gpu):
    with pytest.raises(Exception, match="GPU"):
        caffe.set_device(1000)
    caffe.set_device(0)
