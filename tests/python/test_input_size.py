"""Other input sizes: maps as Caffe makes them, weights that still fit, and nets that cannot."""

import json

import net_facts
import pytest
from google.protobuf import text_format
from maap.errors import MaapError
from maap.host import loader
from maap.nets import crop_size
from maap.nets.crop_size import map_sizes, set_input
from maap.nets.folder import find_net
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_deploy, resolve_rewrite, resolve_train
from maap.util.schema import caffe_pb2
from test_train import small_config

NETS = ("alexnet", "vgg19", "resnet152")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(find_net("alexnet").folder.parents[1])


def deploy(net, laap=True):
    return resolve_deploy(find_net(net), laap, 200, 1)


@pytest.mark.parametrize("net", NETS)
def test_map_sizes_are_the_published_ones(net):
    found = map_sizes(deploy(net, laap=False))
    rows = [row for row in net_facts.rows(net) if "deploy" in row["net"]]
    seen = 0
    for row in rows:
        shape = [int(n) for n in row["top_shapes"].split("x")] if row["top_shapes"] else []
        top = row["tops"].split(",")[0]
        if len(shape) == 4 and top in found:
            assert found[top] == tuple(shape[2:]), row["name"]
            seen += 1
    assert seen > len(rows) * 0.6


@pytest.mark.parametrize(
    "net, window", [("alexnet", (7, 4)), ("vgg19", (4, 4)), ("resnet152", (14, 14))]
)
def test_at_448_the_last_pooling_gives_the_same_map(net, window):
    own, large = deploy(net), deploy(net)
    set_input(large, 448)
    changed = [
        (a.name, b.pooling_param.kernel_size, b.pooling_param.stride)
        for a, b in zip(own.layer, large.layer)
        if a != b and a.type != "Input"
    ]
    assert changed == [("pool5", *window)]
    assert map_sizes(large)["data"] == (448, 448)
    assert map_sizes(large)["pool5"] == map_sizes(own)["pool5"]
    assert map_sizes(large)["conv1" if net != "vgg19" else "conv1_1"][0] > 109


@pytest.mark.parametrize("net", NETS)
def test_the_rewrite_net_and_the_training_net_take_it_too(net):
    files = find_net(net)
    rewrite = resolve_rewrite(files, True, 2)
    set_input(rewrite, 448)
    assert map_sizes(rewrite)["dstar"] == (448, 448)
    train = resolve_train(files, True, 200, 2, False)
    set_input(train, 448)
    inputs = [layer.input_param.shape for layer in train.layer if layer.type == "Input"]
    assert [list(shapes[0].dim) for shapes in inputs] == [[2, 3, 448, 448]] * 2
    assert [list(shapes[1].dim) for shapes in inputs] == [[2]] * 2


def test_its_own_size_changes_nothing():
    net = deploy("alexnet")
    before = net.SerializeToString()
    set_input(net, 227)
    assert net.SerializeToString() == before


@pytest.mark.parametrize("crop", [448])
def test_caffe_agrees_and_the_weights_keep_their_shapes(tmp_path, crop):
    caffe = loader.load()
    net = deploy("alexnet")
    shapes = []
    for size in (227, crop):
        set_input(net, size)
        path = tmp_path / f"{size}.prototxt"
        write_text(net, path)
        loaded = caffe.Net(str(path), caffe.TEST)
        shapes.append({k: [tuple(b.data.shape) for b in v] for k, v in loaded.params.items()})
        for name, blob in loaded.blobs.items():
            if len(blob.data.shape) == 4:
                assert map_sizes(net)[name] == tuple(blob.data.shape[2:]), name
    assert shapes[0] == shapes[1]


NO_POOLING = """
name: "plain"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 5 } }
"""


def test_a_net_without_a_pooling_there_is_refused():
    net = text_format.Parse(NO_POOLING, caffe_pb2.NetParameter())
    with pytest.raises(MaapError, match="no pooling layer stands between conv and fc.*16 x 16"):
        set_input(net, 48)


def test_a_net_without_weights_for_one_map_takes_any():
    text = NO_POOLING.split('layer { name: "fc"')[0]
    net = text_format.Parse(text, caffe_pb2.NetParameter())
    set_input(net, 48)
    assert map_sizes(net)["conv"] == (24, 24)


FULL = """
layer { name: "up" type: "Deconvolution" bottom: "conv" top: "up"
        convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 } }
layer { name: "cut" type: "Crop" bottom: "up" bottom: "conv" top: "cut" crop_param { offset: 1 } }
"""


def test_maps_that_grow_and_are_cut(tmp_path):
    """Deconvolution and Crop, which the sizes of the maps before them do not pass through."""
    text = NO_POOLING.split('layer { name: "fc"')[0] + FULL
    net = text_format.Parse(text, caffe_pb2.NetParameter())
    for crop, size in ((32, 16), (48, 24)):
        set_input(net, crop)
        write_text(net, tmp_path / "net.prototxt")
        loaded = loader.load().Net(str(tmp_path / "net.prototxt"), loader.load().TEST)
        found = map_sizes(net)
        assert found["up"] == loaded.blobs["up"].data.shape[2:] == (2 * size, 2 * size)
        assert found["cut"] == loaded.blobs["cut"].data.shape[2:] == (size, size)


def test_a_pyramid_gives_the_same_row_from_any_map(tmp_path):
    """SPP: the weights behind it fit at every input, and no pooling is touched."""
    pyramid = """
        layer { name: "spp" type: "SPP" bottom: "conv" top: "spp"
                spp_param { pyramid_height: 2 } }
        layer { name: "fc" type: "InnerProduct" bottom: "spp" top: "fc" """
    text = NO_POOLING.replace(
        'layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"', pyramid
    )
    net, caffe, shapes = text_format.Parse(text, caffe_pb2.NetParameter()), loader.load(), []
    for crop in (32, 48):
        set_input(net, crop)
        write_text(net, tmp_path / "net.prototxt")
        loaded = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
        shapes.append(loaded.params["fc"][0].data.shape)
    assert shapes == [(5, 4 * (1 + 4))] * 2


def test_a_layer_of_an_unknown_type_is_refused():
    text = NO_POOLING.replace('"ReLU"', '"Whatever"')
    net = text_format.Parse(text, caffe_pb2.NetParameter())
    with pytest.raises(MaapError, match="layer relu: of type Whatever, .* the size of its output"):
        set_input(net, 48)


@pytest.mark.parametrize(
    "crop, words", [(100, "pool5 would have to make 6 x 6 of 5 x 5"), (8, "has nothing left")]
)
def test_a_size_too_small(crop, words):
    with pytest.raises(MaapError, match=words):
        set_input(deploy("alexnet"), crop)


def test_windows_of_pooling_with_padding(tmp_path):
    """Caffe drops a window that would begin in the padding behind the map."""
    caffe = loader.load()
    net = caffe_pb2.NetParameter()
    source = net.layer.add(type="Input", name="data", top=["data"])
    source.input_param.shape.add(dim=[1, 1, 7, 7])
    pool = net.layer.add(type="Pooling", name="p", bottom=["data"], top=["p"])
    pool.pooling_param.kernel_size, pool.pooling_param.stride, pool.pooling_param.pad = 2, 4, 1
    counts = {6: 2, 7: 2, 8: 3, 9: 3}
    for size, count in counts.items():
        crop_size._set_images(net, size)
        write_text(net, tmp_path / "p.prototxt")
        loaded = caffe.Net(str(tmp_path / "p.prototxt"), caffe.TEST)
        assert map_sizes(net)["p"] == loaded.blobs["p"].data.shape[2:] == (count, count), size


def test_a_training_with_another_input(tmp_path, mini_images, private_cache):
    """The nets, the crops and the stored images are all of the new size."""
    import dataclasses

    import maap

    config = dataclasses.replace(
        small_config(tmp_path, mini_images), max_iter=2, phase2_iter=1, image_size=None
    )
    result = maap.train(dataclasses.replace(config, crop_size=84, resize="short_side"))
    state = json.loads((result.folder / "state.json").read_text())
    assert {state["input"][phase]["crop_size"] for phase in ("TRAIN", "TEST")} == {84}
    for name in ("deploy", "rewrite", "phase1/net"):
        assert "dim: 84" in (result.folder / f"{name}.prototxt").read_text(), name
    manifest = json.loads((result.folder / "rewrite1" / "manifest.json").read_text())
    assert manifest["size"] == [96, 96]  # 8/7 of 84
