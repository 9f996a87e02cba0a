"""What shows a net's parts and cannot be changed says so."""

import copy
import pickle
from collections import OrderedDict

import caffe
import nets
import numpy as np
import pytest


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.prototxt"
    path.write_text(nets.CHAIN)
    return caffe.Net(path, caffe.TEST)


BLOBS = r"write into a blob, net\.blobs\[name\]\.data\[\.\.\.\] = array"
PARAMS = r"write into (a blob|one), net\.params\[name\]\[0\]\.data"
LAYERS = "make another net"
ARRAY = np.ones((2, 3))

REFUSED = [
    ("net.blobs['data'] = array", TypeError, BLOBS),
    ("net.blobs['new'] = net.blobs['data']", TypeError, BLOBS),
    ("del net.blobs['data']", TypeError, BLOBS),
    ("net.blobs.pop('data')", TypeError, BLOBS),
    ("net.blobs.update(data=array)", TypeError, BLOBS),
    ("net.blobs['data'].data = array", AttributeError, r"blob\.data\[\.\.\.\] = array"),
    ("net.blobs['data'].diff = 0", AttributeError, r"blob\.diff\[\.\.\.\] = array"),
    ("net.blobs['data'].shape = (1, 3)", AttributeError, "blob.reshape"),
    ("net.params['ip'] = array", TypeError, PARAMS),
    ("net.params['ip'][0] = array", TypeError, PARAMS),
    ("net.params['ip'][0] = net.params['ip'][1]", TypeError, PARAMS),
    ("del net.params['ip'][0]", TypeError, PARAMS),
    ("net.params.clear()", TypeError, PARAMS),
    ("net.layers[0] = net.layers[1]", TypeError, LAYERS),
    ("net.layers.append(net.layers[0])", TypeError, LAYERS),
    ("net.layers[0].mine = 4", AttributeError, "mine"),
    ("net.layer_dict['ip'] = net.layers[0]", TypeError, LAYERS),
    ("net.top_names['ip'].append('x')", TypeError, LAYERS),
    ("net.bottom_names['ip'] = ['x']", TypeError, LAYERS),
    ("net.debug_info = True", AttributeError, "setting of the prototxt: change it there"),
    ("net.force_backward = True", AttributeError, "setting of the prototxt: change it there"),
    ("net._layer_names[0] = 'x'", TypeError, LAYERS),
    ("net._inputs.clear()", TypeError, LAYERS),
    ("net.blob_loss_weights['prob'] = 2", TypeError, "prototxt, loss_weight"),
    ("net._blob_loss_weights[0] = 2", TypeError, "prototxt, loss_weight"),
]


@pytest.mark.parametrize("statement, error, message", REFUSED)
def test_refused(net, statement, error, message):
    with pytest.raises(error, match=message):
        exec(statement, {"net": net, "array": ARRAY})


def test_nothing_has_changed(net):
    """After all that is refused above."""
    assert list(net.blobs) == ["data", "ip", "prob"]
    assert [len(blobs) for blobs in net.params.values()] == [2]
    assert [layer.type for layer in net.layers] == ["Input", "InnerProduct", "ReLU", "Softmax"]
    assert net.blobs["data"].shape == (2, 3)
    assert net.top_names["ip"] == ["ip"]


def test_copies_are_ones_own(net):
    for mine in (net.blobs.copy(), copy.copy(net.blobs), OrderedDict(net.blobs), dict(net.blobs)):
        mine["new"] = 3
        assert "new" not in net.blobs
    assert type(net.blobs | {"new": 3}) is OrderedDict
    assert list({"new": 3} | net.params) == ["new", "ip"]
    names = net._layer_names[:]
    names.append("new")
    for mine in (copy.copy(net.layers), list(net.layers), net.layers + []):
        mine.append(3)
    assert pickle.loads(pickle.dumps(net._layer_names)) == net._layer_names == names[:-1]
    assert copy.deepcopy(net.top_names) == net.top_names


def test_inputs_and_outputs_are_what_forward_reads(net):
    """They are lists that a program may change, as in BVLC Caffe."""
    try:
        net.outputs.append("ip")
        assert set(net.forward(data=ARRAY)) == {"ip", "prob"}
        net.outputs.append("nope")
        with pytest.raises(KeyError, match="no blob 'nope'"):
            net.forward(data=ARRAY)
        net.outputs[:] = ["prob"]
        net.inputs[0] = "dat"
        with pytest.raises(ValueError, match="given data, wanted dat"):
            net.forward(data=ARRAY)
    finally:
        net.outputs[:], net.inputs[:] = ["prob"], ["data"]
    assert list(net.forward(data=ARRAY)) == ["prob"]


def test_a_net_may_be_given_a_name(make_net):
    net = make_net(nets.CHAIN)
    assert net.name == "chain"
    net.name = "resnet50_iter_1000"
    net.notes = 3
    assert (net.name, net.notes) == ("resnet50_iter_1000", 3)


def test_the_test_nets_of_a_solver(make_solver):
    solver = make_solver(nets.TRAIN, test_iter=[1], test_interval=100)
    with pytest.raises(TypeError, match="those of its prototxt"):
        solver.test_nets.append(solver.net)
    for name in ("net", "iter", "lr", "param", "type", "test_nets"):
        with pytest.raises(AttributeError):
            setattr(solver, name, None)


@pytest.mark.parametrize("name", ["base_lr", "max_iter", "momentum", "snapshot_prefix"])
def test_settings_are_not_attributes_of_the_solver(make_solver, name):
    solver = make_solver(nets.TRAIN)
    with pytest.raises(AttributeError, match=f"write solver.param.{name} instead"):
        setattr(solver, name, 1)
    solver.notes = [1]
    assert solver.notes == [1]


class Named(caffe.SGDSolver):
    """A solver of one's own may call its attributes as it likes."""

    def __init__(self, path):
        super().__init__(path)
        self.momentum, self.display = "mine", 3


def test_derived_classes_have_attributes_of_their_own(make_solver):
    solver = make_solver(nets.TRAIN, cls=Named)
    assert (solver.momentum, solver.display) == ("mine", 3)
    with pytest.raises(AttributeError):
        solver.iter = 3
    solver.param.momentum = 0.5
    assert solver.momentum == "mine"


@pytest.mark.parametrize("step", caffe.io.STEPS)
def test_steps_of_a_transformer(step):
    transformer = caffe.io.Transformer({"data": (1, 3, 4, 4)})
    with pytest.raises(AttributeError, match=rf"call set_{step}\(input, value\)"):
        setattr(transformer, step, (2, 0, 1))
    setattr(transformer, step, {})


def test_blobs_of_a_python_layer(make_net):
    net = make_net(nets.python_net("Replaces"))
    net.forward()
    assert (net.blobs["y"].data == 7).all()
    net.backward()
    assert (net.blobs["data"].diff == 5).all()
