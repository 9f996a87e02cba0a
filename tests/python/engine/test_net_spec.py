"""NetSpec against what BVLC Caffe's makes of the same lines (make_golden.py)."""

import json

import caffe
import numpy as np
import pytest
import specs
from caffe import NetSpec
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2
from google.protobuf import text_format


@pytest.mark.parametrize("spec", specs.SPECS, ids=lambda spec: spec.__name__)
def test_text_is_bvlcs(spec, golden):
    written = spec()
    expected = (golden / f"{spec.__name__}.prototxt").read_text()
    # Read and written again, since protobuf's spelling of numbers has changed over the years.
    read = text_format.Parse(expected, caffe_pb2.NetParameter())
    assert str(written) == str(read)
    assert written == read


def test_coordinate_maps_are_bvlcs(golden):
    expected = json.loads((golden / "coordinate_maps.json").read_text())
    for mine, theirs in zip(specs.coordinate_maps(), expected, strict=True):
        assert mine[0] == theirs[0]
        for number in (1, 2):
            np.testing.assert_allclose(mine[number], theirs[number])


def test_coordinate_maps_that_do_not_exist():
    from caffe import coord_map as cm

    data = L.Input()
    with pytest.raises(cm.UndefinedMapException, match="InnerProduct"):
        cm.coord_map(L.InnerProduct(data).fn)
    with pytest.raises(cm.AxisMismatchException):
        cm.compose((2, 1, 0), (1, 2, 1))
    with pytest.raises(RuntimeError, match="connected"):
        cm.coord_map_from_to(L.ReLU(data), L.Input())
    with pytest.raises(AssertionError, match="negative"):
        cm.crop(data, L.Convolution(data, kernel_size=4, pad=100))
    with pytest.raises(AssertionError, match="scale"):
        cm.crop(L.Pooling(data, kernel_size=2, stride=2), data)
    with pytest.raises(AssertionError, match="noninteger"):
        cm.crop(L.Convolution(data, kernel_size=2, pad=5), data)
    with pytest.raises(KeyError):
        cm.coord_map(L.Convolution(data).fn)
    square = L.Convolution(data, kernel_h=3, kernel_w=5)
    assert [values.tolist() for values in cm.coord_map(square.fn)[1:]] == [[1], [-1, -2]]
    assert cm.crop(L.ReLU(data), data).fn.params["crop_param"] == {"axis": 2, "offset": [0]}


def test_values_of_every_kind():
    filler = caffe_pb2.FillerParameter(type="constant", value=3)
    n = NetSpec()
    n.data = L.Input(shape=dict(dim=np.array([1, 2])))
    n.conv = L.Convolution(
        n.data, kernel_size=(3, np.int64(5)), num_output=np.int32(4), weight_filler=filler
    )
    n.pool = L.Pooling(n.conv, pool="AVE", kernel_size=2)
    n.loss = L.SoftmaxWithLoss(n.pool, n.data, loss_weight=np.float32(0.5), loss_param={})
    net = n.to_proto()
    assert list(net.layer[0].input_param.shape[0].dim) == [1, 2]
    assert list(net.layer[1].convolution_param.kernel_size) == [3, 5]
    assert net.layer[1].convolution_param.weight_filler == filler
    assert net.layer[2].pooling_param.pool == P.Pooling.AVE
    assert net.layer[3].HasField("loss_param")
    copied = L.Convolution(n.data, kernel_size=net.layer[1].convolution_param.kernel_size)
    assert list(copied.to_proto().layer[1].convolution_param.kernel_size) == [3, 5]


def test_layers_of_this_fork():
    n = NetSpec()
    n.data = L.Input()
    n.f, n.a = L.Enhancement(n.data, ntop=2)
    n.d = L.Elimination(n.f, n.data, a_star=P.Elimination.REDUCE)
    assert n.to_proto().layer[2].elimination_param.a_star == P.Elimination.REDUCE


def test_automatic_names_avoid_given_ones():
    n = NetSpec()
    n.ReLU1 = L.Input()
    n.out = L.ReLU(L.ReLU(n.ReLU1))
    assert [layer.name for layer in n.to_proto().layer] == ["ReLU1", "ReLU2", "out"]


def test_a_deep_net_needs_no_deep_stack():
    top = L.Input()
    for _ in range(5000):
        top = L.ReLU(top)
    assert len(caffe.to_proto(top).layer) == 5001
    assert len(top.to_proto().layer) == 5001


def test_parameters_of_ssd():
    """As SSD's own scripts write them: norm_param, and a message inside a layer's own."""
    n = NetSpec()
    n.x = L.Input()
    n.y = L.Normalize(n.x, across_spatial=False, scale_filler=dict(value=20))
    n.z = L.DetectionOutput(n.y, n.y, n.y, num_classes=3, nms_param=dict(top_k=4))
    _, normalize, detect = n.to_proto().layer
    assert normalize.norm_param.scale_filler.value == 20
    assert not normalize.HasField("normalize_param")
    assert detect.detection_output_param.nms_param.top_k == 4


def test_names():
    n = NetSpec()
    n.x = L.Input()
    assert n.x is n["x"]
    assert "x" in n
    assert list(n) == ["x"]
    del n.x
    assert "x" not in n
    assert not hasattr(n, "x")
    for error in (AttributeError, KeyError):  # KeyError in BVLC Caffe; hasattr wants the other
        with pytest.raises(error, match="^the NetSpec has no top 'x'$"):
            _ = n.x
        with pytest.raises(error, match="'x'"):
            del n.x
        with pytest.raises(error, match="'x'"):
            _ = n["x"]
    assert getattr(n, "x", None) is None


def test_mistakes():
    n = NetSpec()
    n.data = L.Input()
    with pytest.raises(TypeError, match="Convolution input 0 is not a Top"):
        L.Convolution(3)
    with pytest.raises(TypeError, match="ntop=2"):
        n.both = L.Slice(n.data, ntop=2)
    with pytest.raises(AttributeError, match="Convolution has no parameter 'kernel'.*_param"):
        L.Convolution(n.data, kernel=3).to_proto()
    with pytest.raises(AttributeError, match="FillerParameter has no field 'typ'"):
        L.Convolution(n.data, weight_filler=dict(typ="xavier")).to_proto()
    with pytest.raises(AttributeError, match="FooParameter"):
        _ = P.Foo
    with pytest.raises(AttributeError):
        _ = P.Pooling.NONE_SUCH
    for wrong in [dict(num_output="many"), dict(num_output=-1), dict(pool="BEST"), dict(stride={})]:
        with pytest.raises((TypeError, ValueError, KeyError, AttributeError)):
            (L.Pooling if "pool" in wrong else L.Convolution)(n.data, **wrong).to_proto()


def test_what_a_top_does_not_have_cannot_be_set():
    n = NetSpec()
    n.ip = L.InnerProduct(num_output=2)
    for thing, name in [(n.ip, "num_output"), (n.ip, "name"), (n.ip.fn, "name")]:
        with pytest.raises(AttributeError, match=name):
            setattr(thing, name, 3)
    n.ip.fn.params["num_output"] = 5
    n.ip.fn.params["name"] = "other"
    written = n.to_proto().layer[0]
    assert (written.inner_product_param.num_output, written.name) == (5, "other")
    written.name = "changed"  # a message of the caller's own
    assert n.to_proto().layer[0].name == "other"


def test_a_net_that_is_written_runs(make_net):
    n = NetSpec()
    n.data = L.Input(shape=dict(dim=[2, 3]))
    n.ip = L.InnerProduct(n.data, num_output=4, weight_filler=dict(type="constant", value=1))
    n.ip2 = L.ReLU(n.ip)
    net = make_net(n)
    assert net.forward(data=np.ones((2, 3)))["ip2"].tolist() == [[3] * 4] * 2
