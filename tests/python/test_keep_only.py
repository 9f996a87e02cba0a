"""The paper's networks train to the same bits whether they keep all blobs or few."""

import numpy as np
import pytest
from maap.host import loader
from maap.nets.crop_size import set_input
from maap.nets.folder import find_net
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_train

caffe = loader.load()
pytestmark = pytest.mark.skipif(
    loader.name_of(caffe) != "fork", reason="this Caffe keeps all blobs, always"
)


def write_solver(folder, name, laap):
    """A small version of the net (images of 128 pixels, narrow inner products), and its solver."""
    net = resolve_train(find_net(name), laap, 20, 2, True, batch_norm="train")
    for layer in net.layer:
        if layer.pooling_param.kernel_size == 7:  # of ResNet's last map
            layer.pooling_param.ClearField("kernel_size")
            layer.pooling_param.ClearField("stride")
            layer.pooling_param.global_pooling = True
        if layer.type == "InnerProduct" and layer.inner_product_param.num_output > 1000:
            layer.inner_product_param.num_output = 64
    set_input(net, 128)
    write_text(net, folder / "net.prototxt")
    (folder / "solver.prototxt").write_text(
        f'net: "{folder / "net.prototxt"}" base_lr: 0.0001 momentum: 0.9 lr_policy: "fixed" '
        f'random_seed: 4 snapshot_prefix: "{folder / "s"}" test_iter: 1 test_interval: 2 '
        "test_initialization: false iter_size: 2"
    )
    return folder / "solver.prototxt"


def trained(path, keeps_all):
    """The weights and the outputs after three iterations."""
    solver = caffe.get_solver(str(path))
    nets = [solver.net, *solver.test_nets]
    for net in nets:
        net.blobs["data"].data[...] = np.random.RandomState(1).randn(*net.blobs["data"].shape)
        net.blobs["label"].data[...] = np.arange(len(net.blobs["label"].data))
        if not keeps_all:
            loader.keep_only(net)
    solver.step(3)
    values = [blob.data for blobs in solver.net.params.values() for blob in blobs]
    values += [net.blobs[name].data for net in nets for name in net.outputs]
    assert all(np.isfinite(value).all() for value in values)
    return [value.tobytes() for value in values]


@pytest.mark.parametrize(
    ("name", "laap"), [("alexnet", True), ("vgg19", True), ("resnet152", False)]
)
def test_training_gives_the_same_bits(tmp_path, name, laap):
    path = write_solver(tmp_path, name, laap)
    assert trained(path, True) == trained(path, False)


def test_a_caffe_that_keeps_all_is_not_asked():
    loader.keep_only(object(), ["data"])
