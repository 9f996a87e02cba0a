"""Looking into caffemodels: what matches a net, and every way in which a file can be wrong."""

import copy

import numpy as np
import pytest
from maap.errors import MaapError
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net
from maap.util.schema import caffe_pb2
from maap.weights import caffemodel

# the tiny net's blobs at four classes
SHAPES = dict(
    conv1=[(20, 3, 5, 5), (20,)],
    conv2=[(32, 20, 3, 3), (32,)],
    fc3=[(64, 32 * 7 * 7), (64,)],
    fc4=[(4, 64), (4,)],
)
TYPES = dict(conv1="Convolution", conv2="Convolution", fc3="InnerProduct", fc4="InnerProduct")


@pytest.fixture
def net():
    return read_net(find_net("tests/nets/tiny").deploy(True))


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(find_net("alexnet").folder.parents[1])


def model(shapes=SHAPES):
    """A caffemodel as Caffe writes them now: field `layer`, BlobShape, data packed."""
    stored = caffe_pb2.NetParameter(name="Tiny")
    stored.layer.add(name="data", type="Input", top=["data"])
    for name, blobs in shapes.items():
        layer = stored.layer.add(name=name, type=TYPES.get(name, "Convolution"))
        for shape in blobs:
            blob = layer.blobs.add(data=np.zeros(int(np.prod(shape)), np.float32))
            blob.shape.dim.extend(shape)
    return stored


def old_model():
    """As in 2014: field `layers`, types as numbers, four legacy dimensions for every blob."""
    stored = caffe_pb2.NetParameter(name="Tiny")
    for name, blobs in SHAPES.items():
        number = caffe_pb2.V1LayerParameter.LayerType.Value(
            "CONVOLUTION" if TYPES[name] == "Convolution" else "INNER_PRODUCT"
        )
        layer = stored.layers.add(name=name, type=number)
        for shape in blobs:
            four = (1,) * (4 - len(shape)) + shape
            layer.blobs.add(
                num=four[0],
                channels=four[1],
                height=four[2],
                width=four[3],
                data=np.zeros(int(np.prod(shape)), np.float32),
            )
    return stored


def save(stored, tmp_path, name="w.caffemodel"):
    path = tmp_path / name
    path.write_bytes(stored if isinstance(stored, bytes) else stored.SerializeToString())
    return path


@pytest.mark.parametrize("make", [model, old_model])
def test_all_layers_match(net, tmp_path, make):
    path = save(make(), tmp_path)
    found = caffemodel.check_weights(net, path)
    assert found == dict(matched=list(SHAPES), missing=[], unused=[])
    sizes = [int(np.prod(s)) for layer in caffemodel.stored_layers(path) for s in layer.shapes]
    assert sizes == [int(np.prod(s)) for blobs in SHAPES.values() for s in blobs]


def field(number: int, value: bytes) -> bytes:
    """A field of bytes, as protobuf stores it."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def test_a_fork_with_other_numbers(net, tmp_path):
    """Intel's engine of the net, a field that is no input_param, and NVIDIA's raw values."""
    layers = b""
    for name, shapes in SHAPES.items():
        blobs = b""
        for shape in shapes:
            dims = caffe_pb2.BlobShape(dim=shape).SerializeToString()
            raw = varint(10 << 3) + varint(2) + field(12, bytes(2 * int(np.prod(shape))))
            blobs += field(7, field(7, dims) + raw)
        clash = field(143, b"\xff") + varint(137 << 3) + varint(5)
        layers += field(100, field(1, name.encode()) + clash + blobs)
    path = save(field(1, b"Tiny") + field(9, b"MKLDNN") + layers, tmp_path)
    assert caffemodel.check_weights(net, path) == dict(matched=list(SHAPES), missing=[], unused=[])
    cut = save(layers.replace(bytes(20), bytes(18), 1), tmp_path, "cut.caffemodel")
    with pytest.raises(MaapError, match="damaged|not a caffemodel"):
        caffemodel.stored_layers(cut)


def test_a_new_classifier_is_missing_and_the_old_one_unused(net, tmp_path):
    shapes = copy.deepcopy(SHAPES)
    shapes["fc4_imagenet"] = shapes.pop("fc4")
    found = caffemodel.check_weights(net, save(model(shapes), tmp_path))
    assert found == dict(
        matched=["conv1", "conv2", "fc3"], missing=["fc4"], unused=["fc4_imagenet"]
    )


def test_weights_of_another_network(net, tmp_path):
    shapes = {f"other{i}": [(4, 3, 3, 3), (4,)] for i in range(12)}
    shapes["conv1"] = SHAPES["conv1"]
    path = save(model(shapes), tmp_path)
    said = (
        r"of Tiny's 4 layers 1 are in it \(conv1\), 3 are not \(conv2, fc3, fc4\).*other0.*4 more"
    )
    with pytest.raises(MaapError, match=said):
        caffemodel.check_weights(net, path)
    assert caffemodel.check_weights(net, path, allow_partial=True)["matched"] == ["conv1"]


def test_another_network_with_a_layer_of_the_same_name(net, tmp_path):
    """Said to be another network's, not told to rename a layer."""
    shapes = {"conv1": [(20, 3, 11, 11), (20,)], "fc3": SHAPES["fc3"], "other": [(4, 4)]}
    path = save(model(shapes), tmp_path)
    said = r"of Tiny's 4 layers 1 are in it \(fc3\), 2 are not.*1 of another shape \(conv1: .*11x11"
    with pytest.raises(MaapError, match=said):
        caffemodel.check_weights(net, path)
    with pytest.raises(MaapError, match="layer conv1: .*rename the layer"):
        caffemodel.check_weights(net, path, allow_partial=True)


@pytest.mark.parametrize(
    "name, blobs, said",
    [
        ("fc4", [(1000, 64), (1000,)], "layer fc4: the net's has 4 outputs, the file's 1000"),
        ("conv1", [(20, 3, 11, 11), (20,)], "layer conv1: .*kernel is 5x5, the file's 11x11"),
        ("conv2", [(32, 20, 3, 3)], "layer conv2: the net's has 2 blobs, the file's 1"),
    ],
)
def test_a_layer_of_another_shape(net, tmp_path, name, blobs, said):
    with pytest.raises(MaapError, match=said):
        caffemodel.check_weights(net, save(model({**SHAPES, name: blobs}), tmp_path))


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404 Not Found</html>", "not a caffemodel: it starts b'<!DOCTYPE"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01", "not a caffemodel"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5 weights"),
        (bytes(1000), "not a caffemodel"),
        (caffe_pb2.NetParameter(name="empty").SerializeToString(), "no layer with weights"),
        (
            caffe_pb2.SolverState(iter=3, learned_net="a.caffemodel").SerializeToString(),
            "not a caffemodel",
        ),
    ],
    ids=["empty", "html", "jpeg", "hdf5", "zeros", "no layer", "solverstate"],
)
def test_files_that_are_no_caffemodel(net, tmp_path, content, said):
    path = save(content, tmp_path)
    with pytest.raises(MaapError, match=said) as error:
        caffemodel.check_weights(net, path)
    assert str(error.value).startswith(str(path))


def test_missing_file(net, tmp_path):
    with pytest.raises(MaapError, match="none.caffemodel: cannot be read"):
        caffemodel.check_weights(net, tmp_path / "none.caffemodel")


@pytest.mark.parametrize("make", [model, old_model])
def test_a_file_cut_short_anywhere_is_never_taken_for_a_whole_one(tmp_path, make):
    """Except between two layers, where what is left is a whole file of fewer layers."""
    whole = make().SerializeToString()
    names = list(SHAPES)
    step = max(1, len(whole) // 200)
    for size in [*range(1, 64), *range(64, len(whole), step), len(whole) - 1]:
        path = save(whole[:size], tmp_path)
        try:
            left = [layer.name for layer in caffemodel.stored_layers(path) if layer.shapes]
        except MaapError:
            continue
        assert left == names[: len(left)] and len(left) < len(names)


def test_damaged_sizes(tmp_path):
    stored = model()
    del stored.layer[2].blobs[0].data[5:]
    with pytest.raises(MaapError, match="20x20x3x3|32x20x3x3.*holds 5 values"):
        caffemodel.stored_layers(save(stored, tmp_path))


def test_which_layers_hold_weights():
    def layer(kind, bottoms=1, **kwargs):
        return caffe_pb2.LayerParameter(type=kind, bottom=["x"] * bottoms, **kwargs)

    holds = [layer("Convolution"), layer("BatchNorm"), layer("Scale"), layer("Bias")]
    holds.append(layer("Scale", 2, scale_param=caffe_pb2.ScaleParameter(bias_term=True)))
    assert all(caffemodel.has_weights(each) for each in holds)
    holds_not = [layer("ReLU"), layer("Scale", 2), layer("Enhancement"), layer("Elimination", 2)]
    assert not any(caffemodel.has_weights(each) for each in holds_not)


def test_a_layer_of_an_unknown_type_is_asked_of_the_file(net, tmp_path):
    """A caffemodel lists every layer of its net; one it does not list may hold weights or not."""
    net.layer.add(name="mine", type="MyOwn", bottom=["conv2"], top=["mine"])
    stored = model()
    with pytest.raises(
        MaapError, match="layer mine: of type MyOwn.*no layer of that name.*partial"
    ):
        caffemodel.check_weights(net, save(stored, tmp_path))
    found = caffemodel.check_weights(net, save(stored, tmp_path), allow_partial=True)
    assert found["missing"] == ["mine"]
    stored.layer.add(name="mine", type="MyOwn")
    assert caffemodel.check_weights(net, save(stored, tmp_path))["matched"] == list(SHAPES)
    stored.layer[-1].blobs.add(data=[1]).shape.dim.append(1)
    assert caffemodel.check_weights(net, save(stored, tmp_path))["matched"] == [*SHAPES, "mine"]
    with pytest.raises(MaapError, match="layer mine: of type MyOwn"):
        caffemodel.has_weights(net.layer[-1])
