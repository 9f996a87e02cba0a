"""Weights between caffe.torch, caffemodels and safetensors."""

import json
import struct

import caffe
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not here: tools/engine/torch installs it")

import caffe.torch  # noqa: E402
from torch_nets import RESIDUAL  # noqa: E402


def test_weights_from_module_to_engine(tmp_path):
    """What save_caffemodel writes, Caffe reads; the values are the same bit for bit."""
    (tmp_path / "net.prototxt").write_text(RESIDUAL)
    torch.manual_seed(4)
    net = caffe.torch.module(tmp_path / "net.prototxt")
    caffe.torch.save_caffemodel(net, tmp_path / "out.caffemodel")
    engine = caffe.Net(
        str(tmp_path / "net.prototxt"), caffe.TEST, weights=str(tmp_path / "out.caffemodel")
    )
    assert list(engine.params) == [name for name, made in net.layers.items() if made.blobs]
    for name, blobs in engine.params.items():
        made = net.layers[name]
        for attribute, blob in zip(made.blobs, blobs, strict=True):
            assert np.array_equal(getattr(made, attribute).detach().numpy(), blob.data)
    again = caffe.torch.module(tmp_path / "net.prototxt", tmp_path / "out.caffemodel")
    for key, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_double_weights_keep_their_precision(tmp_path):
    (tmp_path / "net.prototxt").write_text(RESIDUAL)
    net = caffe.torch.module(tmp_path / "net.prototxt").double()
    with torch.no_grad():
        net.layers["fc"].weight.add_(1e-12)
    caffe.torch.save_caffemodel(net, tmp_path / "out.caffemodel")
    again = caffe.torch.module(tmp_path / "net.prototxt").double()
    caffe.torch.load_caffemodel(again, tmp_path / "out.caffemodel")
    assert torch.equal(net.layers["fc"].weight, again.layers["fc"].weight)


def test_safetensors_round_trip(tmp_path):
    (tmp_path / "net.prototxt").write_text(RESIDUAL)
    torch.manual_seed(6)
    net = caffe.torch.module(tmp_path / "net.prototxt")
    caffe.torch.save_safetensors(net, tmp_path / "net.safetensors")
    again = caffe.torch.module(tmp_path / "net.prototxt", tmp_path / "net.safetensors")
    for key, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    tensors = {
        "half": torch.ones(2, 3, dtype=torch.float16), "brain": torch.ones(2, dtype=torch.bfloat16),
        "none": torch.zeros(0, 3), "point": torch.tensor(2.5, dtype=torch.float64),
        "long": torch.arange(3), "bool": torch.tensor([True, False]),
    }  # fmt: skip
    caffe.torch.write_safetensors(tensors, tmp_path / "all.safetensors", {"made": "by hand"})
    found = caffe.torch.read_safetensors(tmp_path / "all.safetensors")
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype


def test_safetensors_is_that_of_the_package(tmp_path):
    package = pytest.importorskip("safetensors.torch")
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5)}
    caffe.torch.write_safetensors(tensors, tmp_path / "ours.safetensors")
    package.save_file(tensors, tmp_path / "theirs.safetensors")
    for found in (
        package.load_file(tmp_path / "ours.safetensors"),
        caffe.torch.read_safetensors(tmp_path / "theirs.safetensors"),
    ):
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("damage", ["empty", "short", "long", "header", "offsets", "text"])
def test_damaged_safetensors(tmp_path, damage):
    path = tmp_path / "x.safetensors"
    caffe.torch.write_safetensors({"a": torch.randn(3, 4)}, path)
    data = path.read_bytes()
    data = dict(
        empty=b"",
        short=data[:-1],
        long=data + b"x",
        header=b"\xff" * 8 + data[8:],
        offsets=data.replace(b"[0,48]", b"[8,48]"),
        text=data.replace(b'"F32"', b'"F33"'),
    )[damage]
    path.write_bytes(data)
    with pytest.raises(ValueError, match="x.safetensors: not a safetensors file, or damaged"):
        caffe.torch.read_safetensors(path)


def test_errors_of_weights(tmp_path):
    (tmp_path / "net.prototxt").write_text(RESIDUAL)
    net = caffe.torch.module(tmp_path / "net.prototxt")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    other = caffe.proto.caffe_pb2.NetParameter()
    for name, dims in (("conv1", (8, 3, 3, 3)), ("fc", (5, 9))):
        blob = other.layer.add(name=name, type="x").blobs.add(data=np.ones(int(np.prod(dims))))
        blob.shape.dim.extend(dims)
    (tmp_path / "bad.caffemodel").write_bytes(other.SerializeToString())
    with pytest.raises(ValueError, match=r"bad.caffemodel: layer fc .*1 blobs, the net 2"):
        caffe.torch.load_caffemodel(net, tmp_path / "bad.caffemodel")
    other.layer[1].blobs.add(data=np.ones(5)).shape.dim.append(5)
    (tmp_path / "bad.caffemodel").write_bytes(other.SerializeToString())
    with pytest.raises(ValueError, match=r"layer fc .*shape is \(5, 9\), the net's \(5, 8\)"):
        caffe.torch.load_caffemodel(net, tmp_path / "bad.caffemodel")
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    other.layer[0].blobs[0].data.append(1)
    (tmp_path / "bad.caffemodel").write_bytes(other.SerializeToString())
    with pytest.raises(ValueError, match=r"bad.caffemodel: damaged: layer conv1 .*cannot reshape"):
        caffe.torch.load_caffemodel(net, tmp_path / "bad.caffemodel")
    (tmp_path / "bad.caffemodel").write_bytes(b"\xff\xff\xff")
    with pytest.raises(ValueError, match="bad.caffemodel: not a caffemodel"):
        caffe.torch.load_caffemodel(net, tmp_path / "bad.caffemodel")


def test_weights_of_another_net_are_a_warning(tmp_path):
    (tmp_path / "net.prototxt").write_text(RESIDUAL)
    caffe.torch.save_caffemodel(
        caffe.torch.module(tmp_path / "net.prototxt"), tmp_path / "net.caffemodel"
    )
    (tmp_path / "other.prototxt").write_text(RESIDUAL.replace('name: "', 'name: "other_'))
    with pytest.warns(UserWarning, match="net.caffemodel: nothing was loaded.*conv1"):
        caffe.torch.module(tmp_path / "other.prototxt", tmp_path / "net.caffemodel")


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "header, size, says",
    [
        ({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, 12, "b begins at byte 4"),
        ({"a": entry([1], 4, 8)}, 8, "a begins at byte 4"),
        ({"a": entry([1.5], 0, 4)}, 4, "not whole numbers"),
        ({"a": entry(["1"], 0, 4)}, 4, "not whole numbers"),
        ({"a": entry([True], 0, 4)}, 4, "not whole numbers"),
        ({"a": entry([0, 2**62], 0, 0)}, 0, "no tensor has"),
        ({"a": entry([0, 2**80], 0, 0)}, 0, "no tensor has"),
        ({"a": entry([2**40, 2**40, 0], 0, 0)}, 0, "no tensor has"),
        ({"a": entry([1] * 100, 0, 4)}, 4, "no tensor has"),
        ('{"a": ' + json.dumps(entry([1], 0, 4)) + ', "a": 1}', 4, "stands twice"),
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", 0, "recursion"),
    ],
)
def test_headers_that_lie(tmp_path, header, size, says):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    with pytest.raises(ValueError, match=f"x.safetensors: .*{says}"):
        caffe.torch.read_safetensors(path)
