"""What pycaffe's Python part takes and raises, and how it labels layers: runs on both Caffes."""

import importlib
import inspect
import sys
import tempfile
import types
from pathlib import Path

import numpy as np

MODULES = ["io", "draw", "coord_map", "net_spec", "classifier", "detector"]


def _described(function):
    """Names and defaults of the parameters, without the object: ["filename", "color=True"]."""

    def one(parameter):
        if parameter.kind is parameter.VAR_KEYWORD:
            return "**"
        has_default = parameter.default is not parameter.empty
        return parameter.name + (f"={parameter.default!r}" if has_default else "")

    parameters = inspect.signature(function).parameters.values()
    return [one(parameter) for parameter in parameters if parameter.name not in ("self", "net")]


def signatures(caffe):
    """{"io.load_image": ["filename", "color=True"], ...} of what is public and has no C++."""
    sys.modules.setdefault("pydot", types.ModuleType("pydot"))  # for draw; nothing is drawn
    found = {}
    for name in MODULES:
        module = importlib.import_module(f"caffe.{name}")
        for thing_name, thing in sorted(vars(module).items()):
            if thing_name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
                continue
            if inspect.isfunction(thing):
                found[f"{name}.{thing_name}"] = _described(thing)
            elif inspect.isclass(thing):
                for method, value in sorted(vars(thing).items()):
                    if inspect.isfunction(value) and not method.startswith("_"):
                        found[f"{name}.{thing_name}.{method}"] = _described(value)
                    elif method == "__init__" and inspect.isfunction(value):
                        found[f"{name}.{thing_name}"] = _described(value)
    for method in [
        "forward",
        "backward",
        "forward_all",
        "forward_backward_all",
        "set_input_arrays",
    ]:
        found[f"Net.{method}"] = _described(getattr(caffe.Net, method))
    return found


NET = """
force_backward: true
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 2 } }
"""
# Calls that are wrong, and that say so in BVLC Caffe by a class somebody may catch.
WRONG = """
io.array_to_datum(zeros((2, 2)))
io.array_to_datum(zeros((2, 2, 2)), "a")
io.array_to_datum(zeros((2, 2, 2)), 1.5)
io.datum_to_array(pb.Datum(data=b"xx", channels=3, height=2, width=2))
io.blobproto_to_array(pb.BlobProto(data=[1, 2], num=3, channels=1, height=1, width=1))
T.preprocess("x", zeros((4, 5, 3)))
T.deprocess("x", zeros((3, 4, 5)))
T.set_transpose("x", (0, 1, 2))
T.set_transpose("data", (0, 1))
T.set_channel_swap("x", (0, 1, 2))
T.set_channel_swap("data", (0, 1))
T.set_raw_scale("x", 1)
T.set_input_scale("x", 1)
T.set_mean("x", zeros(3))
T.set_mean("data", zeros(4))
T.set_mean("data", zeros((1, 3, 4, 5)))
io.oversample([zeros((4, 4, 3))], (5, 5))
cm.crop(L.Convolution(n.data, kernel_size=3, stride=2), n.data)
cm.crop(L.Convolution(n.data, kernel_size=3), n.data)
cm.crop(L.Convolution(n.data, kernel_size=2, pad=5), n.data)
cm.crop(L.Input(), n.data)
cm.crop(L.InnerProduct(n.data), n.data)
cm.coord_map(L.InnerProduct(n.data).fn)
cm.coord_map(L.Convolution(n.data).fn)
cm.compose((1, 1, 1), (2, 1, 1))
cm.inverse((1, 0, 1))
n.nope
n["nope"]
L.Convolution(3)
L.Convolution(n.data, nonsense=3).to_proto()
L.Convolution(n.data, num_output="a").to_proto()
L.Convolution(n.data, num_output=-1).to_proto()
L.Convolution(n.data, weight_filler=dict(nope=3)).to_proto()
P.Nope.MAX
P.Pooling.NOPE
spec.assign_proto(pb.LayerParameter(), "nope", 3)
spec.assign_proto(pb.LayerParameter(), "name", 3)
net.forward(blobs=["nope"])
net.forward(nope=3)
net.forward(data=zeros((1, 3, 4, 4)))
net.forward(data=zeros((2, 3, 4, 5)))
net.forward(start="nope")
net.forward(end="nope")
net.backward(nope=3)
net.backward(ip=zeros((1, 2)))
net.backward(diffs=["nope"])
net.backward(start="nope")
net.forward_all(nope=zeros((3, 3, 4, 4)))
net.forward_all(blobs=["nope"], data=zeros((3, 3, 4, 4)))
net.blobs["nope"]
net.params["nope"]
net.params["ip"][7]
net.layers[9]
net.set_input_arrays(zeros((2, 1, 1, 3), "f"), zeros(2, "f"))
draw.get_layer_lr_mult(pb.LayerParameter(type="ReLU"))
""".strip().splitlines()


def exceptions(caffe):
    """{call: names of the classes of what it raises, or []}"""
    from caffe import coord_map, draw, net_spec
    from caffe.proto import caffe_pb2

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.prototxt"
        path.write_text(NET)
        net = caffe.Net(str(path), caffe.TEST)
    names = dict(io=caffe.io, cm=coord_map, draw=draw, spec=net_spec, pb=caffe_pb2, net=net)
    names.update(L=caffe.layers, P=caffe.params, zeros=np.zeros)
    names.update(T=caffe.io.Transformer({"data": (2, 3, 4, 5)}), n=caffe.NetSpec())
    names["n"].data = caffe.layers.Input()
    found = {}
    for call in WRONG:
        try:
            eval(call, names)
            found[call] = []
        except Exception as error:
            found[call] = [cls.__name__ for cls in type(error).__mro__ if cls is not object]
    return found


LAYERS = [
    'name: "c" type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 }',
    'name: "c" type: "Convolution" param { lr_mult: 2 } param { lr_mult: 3 } '
    "convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 }",
    'name: "d" type: "Deconvolution" param { lr_mult: 0.5 } convolution_param { kernel_size: 4 }',
    'name: "ip" type: "InnerProduct" param { lr_mult: 10 } inner_product_param { num_output: 3 }',
    'name: "p" type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }',
    'name: "p" type: "Pooling" pooling_param { pool: AVE kernel_size: 3 pad: 1 }',
    'name: "r" type: "ReLU"',
    'name: "s" type: "Scale" param { lr_mult: 4 }',
    'name: "x" type: "Data" data_param { batch_size: 7 }',
]


def labels():
    """[[label, label with multipliers from top to bottom, edge's label, colour], ...] of LAYERS."""
    from caffe import draw
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    found = []
    for text in LAYERS:
        layer = text_format.Parse(text, caffe_pb2.LayerParameter())
        found.append(
            [
                draw.get_layer_label(layer, "LR"),
                draw.get_layer_label(layer, "TB", True),
                draw.get_edge_label(layer),
                draw.choose_color_by_layertype(layer.type),
            ]
        )
    return found


VALUES = """
spec.param_name_dict()
draw.get_pooling_types_dict()
cm.conv_params(L.Convolution(x, kernel_size=3, stride=2, pad=1).fn)
cm.conv_params(L.Pooling(x, kernel_size=[3, 4], stride=[2, 1]).fn)
cm.crop_params(L.Crop(x, x, axis=1, offset=3).fn)
cm.crop_params(L.Crop(x, x).fn)
cm.compose((1, 2, 3), (None, 4, 5))
cm.inverse((1, 2, 4))
cm.coord_map(L.ReLU(x).fn)
sorted(cm.PASS_THROUGH_LAYERS)
P.Pooling.MAX, P.Data.LMDB, P.Eltwise.SUM, P.Convolution.CAFFE
x.fn.type_name, x.fn.ntop, x.fn.params, len(x.fn.inputs), x.n
str(caffe.to_proto(L.ReLU(x)))
caffe.__version__
""".strip().splitlines()


def values(caffe):
    """{expression: its value, as JSON has it} of functions and constants."""
    from caffe import coord_map, draw, net_spec

    names = dict(caffe=caffe, cm=coord_map, draw=draw, spec=net_spec, x=caffe.layers.Input())
    names.update(L=caffe.layers, P=caffe.params)

    def plain(value):
        if isinstance(value, dict):
            return {str(key): plain(inner) for key, inner in value.items()}
        if isinstance(value, (tuple, list, np.ndarray)):
            return [plain(inner) for inner in value]
        return value.item() if isinstance(value, np.generic) else value

    return {text: plain(eval(text, names)) for text in VALUES}


def interface(caffe):
    """All of it."""
    return {
        "signatures": signatures(caffe),
        "exceptions": exceptions(caffe),
        "labels": labels(),
        "values": values(caffe),
    }
