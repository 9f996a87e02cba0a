"""torchvision's weights as caffemodels: names, colours and scale.

The files are made here, with small tensors of the right names; torchvision itself is compared in
tests/python/engine/test_torch_torchvision.py.
"""

import numpy as np
import pytest
import torch_files as files
from maap.errors import MaapError
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net
from maap.util.schema import caffe_pb2
from maap.weights import conversion, published, torchvision
from maap.weights.caffemodel import check_weights, stored_layers
from test_published import maap

CLASSIFIERS = dict(fc8="fc8_cub", fc1000="fc_cub")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(find_net("alexnet").folder.parents[1])


def state_dict(net):
    """Tensors of the right names and numbers of axes, each of other values."""
    random = np.random.RandomState(3)
    shapes = dict(Convolution=(2, 3, 2, 2), InnerProduct=(2, 3))
    arrays = {}
    for layer in torchvision.NETS[net]():
        for number, name in enumerate(name for name in layer.tensors if name != "1"):
            shape = (2,) if number else shapes.get(layer.kind, (2,))
            arrays[name] = random.randn(*shape).astype(np.float32)
        if layer.kind == "BatchNorm":
            name = layer.tensors[0].replace("running_mean", "num_batches_tracked")
            arrays[name] = np.array(100, np.int64)
    return arrays


def write(net, path, **changes):
    return files.write(path, {**state_dict(net), **changes})


@pytest.mark.parametrize("net", torchvision.NETS)
def test_layers_are_those_of_the_net(net, tmp_path):
    """Every layer with weights, by name, in order; the classifier is that of ImageNet."""
    out = tmp_path / "out.caffemodel"
    assert conversion.convert(write(net, tmp_path / "x.pth"), out) == net
    stored = [CLASSIFIERS.get(layer.name, layer.name) for layer in stored_layers(out)]
    folder = read_net(find_net(net).deploy(False))
    kinds = {"Convolution", "InnerProduct", "BatchNorm", "Scale"}
    assert stored == [layer.name for layer in folder.layer if layer.type in kinds]


def test_blobs_of_the_layers(tmp_path):
    """Weights as they are; a BatchNorm's factor is 1; only conv1 is changed."""
    tensors = state_dict("resnet152_tv")
    conversion.convert(files.write(tmp_path / "x.pth", tensors), tmp_path / "out.caffemodel")
    file = caffe_pb2.NetParameter.FromString((tmp_path / "out.caffemodel").read_bytes())
    layers = {layer.name: [np.array(blob.data) for blob in layer.blobs] for layer in file.layer}
    for name, wanted in {
        "bn4b35_branch2b": ["layer3.35.bn2.running_mean", "layer3.35.bn2.running_var"],
        "scale3a_branch1": ["layer2.0.downsample.1.weight", "layer2.0.downsample.1.bias"],
        "res5c_branch2c": ["layer4.2.conv3.weight"],
        "res2b_branch2a": ["layer1.1.conv1.weight"],
        "fc1000": ["fc.weight", "fc.bias"],
    }.items():
        found = layers[name]
        if name.startswith("bn"):
            assert found.pop() == 1
        for ours, theirs in zip(found, wanted):
            np.testing.assert_array_equal(ours, tensors[theirs].ravel())
        assert len(found) == len(wanted)
    conv1 = layers["conv1"][0].reshape(2, 3, 2, 2)
    np.testing.assert_allclose(
        conv1[:, 0], tensors["conv1.weight"][:, 2] / (255 * torchvision.STD[2]), rtol=1e-6
    )


def test_the_first_convolution_gives_the_same_values():
    """Also at the borders: torchvision pads with 0, the mean colour, as we do."""
    random = np.random.RandomState(4)
    weights, image = random.randn(5, 3, 3, 3), random.randint(0, 256, (6, 7, 3)).astype(float)
    rgb = ((image / 255 - torchvision.MEAN) / torchvision.STD).transpose(2, 0, 1)
    bgr = (image[:, :, ::-1] - 255 * np.array(torchvision.MEAN)[::-1]).transpose(2, 0, 1)

    def convolved(x, w):
        x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        windows = [[x[:, k : k + 6, n : n + 7] for n in range(3)] for k in range(3)]
        return np.einsum("oikl,klihw->ohw", w, np.array(windows))

    found = convolved(bgr, torchvision.for_bgr(weights.astype(np.float32)))
    np.testing.assert_allclose(found, convolved(rgb, weights), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("net", torchvision.NETS)
def test_the_nets_subtract_the_mean(net):
    for phase in (0, 1):
        data = [x for x in read_net(find_net(net).train_val(False)).layer if x.type == "Data"][
            phase
        ]
        mean = list(data.transform_param.mean_value)
        np.testing.assert_allclose(mean, 255 * np.array(torchvision.MEAN)[::-1], rtol=1e-6)
        assert data.transform_param.crop_size == 224 and data.transform_param.scale == 1


def test_weights_of_another_net(tmp_path):
    more = {"classifier.9.weight": np.zeros((2, 2), np.float32)}
    with pytest.raises(MaapError, match=r"x.pth: not the weights .*vgg19_tv 0 tensors are missing "
                       r"\(none\), and 1 are of another net \(classifier.9.weight\)"):  # fmt: skip
        conversion.convert(write("vgg19_tv", tmp_path / "x.pth", **more), tmp_path / "out")
    flat = {"features.0.weight": np.zeros((2, 3), np.float32)}
    with pytest.raises(MaapError, match="x.pth: features.0.weight has the shape 2x3"):
        conversion.convert(write("alexnet_tv", tmp_path / "x.pth", **flat), tmp_path / "out")
    with pytest.raises(MaapError, match="cannot be written"):
        source = write("alexnet_tv", tmp_path / "x.pth")
        conversion.convert(source, tmp_path / "no" / "out.caffemodel")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pth"]


def test_a_file_is_converted_once(tmp_path, capsys):
    source = write("alexnet_tv", tmp_path / "x.pth")
    first = published.find_weights(str(source), "alexnet_tv")
    assert first.parent == tmp_path / "cache" / "maap" / "weights" and first.name.startswith("x-")
    assert "written in Caffe's format" in capsys.readouterr().out
    changed = first.stat().st_mtime_ns
    assert published.find_weights(str(source), "somebodys_net") == first
    assert first.stat().st_mtime_ns == changed and capsys.readouterr().out == ""
    write("alexnet_tv", source, **{"classifier.6.bias": np.ones(2, np.float32)})
    assert published.find_weights(str(source), "alexnet_tv") != first


@pytest.mark.parametrize("net", ["alexnet", "vgg19", "resnet152"])
def test_weights_of_the_other_variant_are_refused(net, tmp_path):
    """ResNet-152's two variants have layers of the same names and shapes."""
    source = write(f"{net}_tv", tmp_path / "x.pth")
    with pytest.raises(
        MaapError, match=f"x.pth: weights of PyTorch; .*{net}_tv.* differ from {net}"
    ):
        published.find_weights(str(source), net)
    table = published.read_table()
    for word, other in ((net, f"{net}_tv"), (f"{net}_tv", net)):
        with pytest.raises(MaapError, match=f"{table[word].file}: weights for the net {word}; "):
            published.find_weights(word, other)
    named = tmp_path / table[net].file
    named.write_bytes(b"x")
    with pytest.raises(MaapError, match=f"weights for the net {net}; {net}_tv has the same layers"):
        published.find_weights(str(named), f"{net}_tv")


def test_published_names():
    table = published.read_table()
    assert published.named("published", "resnet152_tv") is not table["resnet152_tv_v2"]
    assert published.named("published", "resnet152_tv").file == "resnet152-394f9c45.pth"
    assert published.named("resnet152_tv_v2", "resnet152_tv").net == "resnet152_tv"


def test_the_command_line(tmp_path):
    source, out = write("alexnet_tv", tmp_path / "x.pth"), tmp_path / "out.caffemodel"
    said = maap("weights", "convert", source, out)
    assert "for the net alexnet_tv: maap train alexnet_tv --weights" in said
    net = read_net(find_net("alexnet_tv").train_val(False))
    for layer in net.layer:  # those of the file are small
        layer.convolution_param.ClearField("kernel_size")
        for param in (layer.convolution_param, layer.inner_product_param):
            param.num_output = 2
    assert len(check_weights(net, out)["matched"]) == 7
    assert "16 tensors of PyTorch" in maap("weights", "verify", source)
    listed = maap("weights", "list")
    assert "resnet152_tv_v2: resnet152-f82ba261.pth, size not known, not fetched" in listed
    with pytest.raises(MaapError, match="conv1: the net's has 64 outputs, the file's 2"):
        maap("weights", "use", source, "--net", "alexnet_tv")
