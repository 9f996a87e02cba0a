"""The shapes of a network's blobs, from the host's Caffe."""

import tempfile
from pathlib import Path

from maap.host import loader
from maap.nets.imported import Network
from maap.nets.prototxt import write_text
from maap.util.schema import NetParameter, caffe_pb2

Shape = tuple[int, ...]


def blob_shapes(network: Network) -> dict[str, Shape]:
    """The shape of every blob from `data` to the scores for one image."""
    net = caffe_pb2.NetParameter(name=network.name)
    source = net.layer.add(name="data", type="Input", top=["data"])
    source.input_param.shape.add(dim=[1, 3, network.size, network.size])
    net.layer.extend(network.path)
    return shapes_of(net)


def shapes_of(net: NetParameter) -> dict[str, Shape]:
    """The shape of every blob of a deploy net for one image."""
    caffe = loader.load()
    caffe.set_mode_cpu()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.prototxt"
        write_text(_for_one_image(net), path)
        loaded = caffe.Net(str(path), caffe.TEST)
    return {name: tuple(blob.shape) for name, blob in loaded.blobs.items()}


def _for_one_image(net: NetParameter) -> NetParameter:
    """A copy of the net without fillers: to fill millions of numbers takes time."""
    small = caffe_pb2.NetParameter()
    small.CopyFrom(net)
    for layer in small.layer:
        for shape in layer.input_param.shape if layer.type == "Input" else ():
            shape.dim[0] = 1
        for name in ("convolution_param", "inner_product_param"):
            if layer.HasField(name):
                getattr(layer, name).ClearField("weight_filler")
    return small
