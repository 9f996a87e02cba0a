"""Whole nets as ONNX: those of this repository cut small, an SSD, an LSTM, and odd ones."""

from pathlib import Path

import caffe
import numpy as np
import onnx
import pytest
from caffe import onnx as caffe_onnx
from caffe.onnx import main
from onnx_nets import inputs, layer, randomize, saved

REPO = Path(__file__).resolve().parents[3]
NETS = REPO / "tests/nets"
CLOSE = 1e-5


def moderate(net, seed=0):
    """Weights with which activations stay about 1 through the layers, the images' being 60."""
    randomize(net, seed)
    scale = 1 / 60
    for name, blobs in net.params.items():
        if net.layer_dict[name].type in ("Convolution", "InnerProduct"):
            inner = np.prod(blobs[0].data.shape[1:])
            blobs[0].data[...] *= 2 * np.sqrt(2 / inner) * scale
            scale = 1


def weights_of(folder, prototxt):
    net = caffe.Net(str(prototxt), caffe.TEST)
    moderate(net)
    net.save(folder / "net.caffemodel")
    return folder / "net.caffemodel"


def worst(exported, *more):
    found = main.compare(exported, more)
    return max(found, key=lambda d: d.relative)


@pytest.mark.parametrize(
    "prototxt",
    [
        "other/squeeze_deploy.prototxt",
        "other/residual_deploy.prototxt",
        "tiny/deploy.prototxt",
        "tiny/deploy_laap.prototxt",
        "tiny/rewrite_laap.prototxt",
    ],
)
def test_nets(tmp_path, prototxt):
    path = NETS / prototxt
    exported = caffe_onnx.export(path, weights_of(tmp_path, path), batch="dynamic")
    assert worst(exported).relative < CLOSE
    batch = exported.model.graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param == "N"


@pytest.mark.parametrize("name", ["deploy", "deploy_laap"])
def test_alexnet_cut_small(tmp_path, name):
    """Its groups, LRN and pools; narrow products, small images."""
    text = (REPO / f"prototxt/alexnet/{name}.prototxt").read_text()
    small = text.replace("num_output: 4096", "num_output: 16").replace("dim: 227", "dim: 99")
    assert small.count("num_output: 16") == 2 and small.count("dim: 99") == 2
    (tmp_path / "net.prototxt").write_text(small.replace("dim: 10 ", "dim: 2 "))
    path = tmp_path / "net.prototxt"
    exported = caffe_onnx.export(path, weights_of(tmp_path, path), batch=2)
    assert worst(exported).relative < CLOSE


def ssd_head(name, bottom, priors, classes=3):
    """loc, conf and priors of one map, flattened."""

    def predictions(what, channels):
        conv, perm, flat = (f"{name}_{what}{end}" for end in ("", "_perm", "_flat"))
        return (
            layer("Convolution", f"convolution_param {{ num_output: {channels} kernel_size: 3 "
                  "pad: 1 }", [bottom], [conv], conv)
            + layer("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }",
                    [conv], [perm], perm)
            + layer("Flatten", "flatten_param { axis: 1 }", [perm], [flat], flat)
        )  # fmt: skip

    boxes = (
        f"prior_box_param {{ min_size: {priors} aspect_ratio: 2 variance: 0.1 variance: 0.1 "
        "variance: 0.2 variance: 0.2 }"
    )
    return (
        predictions("loc", 3 * 4)
        + predictions("conf", 3 * classes)
        + layer("PriorBox", boxes, [bottom, "data"], [f"{name}_prior"], f"{name}_prior")
    )


def ssd():
    """An SSD with two maps, 3 classes, 3 priors at each place."""
    conv = "convolution_param {{ num_output: {} kernel_size: 3 pad: 1 stride: {} }}"
    text = inputs((2, 3, 48, 64))
    text += layer("Convolution", conv.format(8, 2), ["data"], ["c1"], "c1")
    text += layer("ReLU", "", ["c1"], ["c1"], "r1")
    text += layer("Convolution", conv.format(8, 2), ["c1"], ["c2"], "c2")
    text += layer("ReLU", "", ["c2"], ["c2"], "r2")
    text += layer("Normalize", "norm_param { across_spatial: false channel_shared: false }",
                  ["c2"], ["n2"], "n2")  # fmt: skip
    text += layer("Convolution", conv.format(8, 2), ["c2"], ["c3"], "c3")
    text += ssd_head("n2", "n2", 12) + ssd_head("c3", "c3", 30)
    for what, axis in [("loc_flat", 1), ("conf_flat", 1), ("prior", 2)]:
        text += layer("Concat", f"concat_param {{ axis: {axis} }}",
                      [f"n2_{what}", f"c3_{what}"], [what], what)  # fmt: skip
    text += layer("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }",
                  ["conf_flat"], ["conf"], "conf")  # fmt: skip
    text += layer("Softmax", "softmax_param { axis: 2 }", ["conf"], ["scores"], "scores")
    text += layer("Flatten", "flatten_param { axis: 1 }", ["scores"], ["flat"], "flat")
    settings = (
        "detection_output_param { num_classes: 3 code_type: CENTER_SIZE keep_top_k: 20 "
        "confidence_threshold: 0.2 nms_param { nms_threshold: 0.45 top_k: 100 } }"
    )
    return text + layer(
        "DetectionOutput", settings, ["loc_flat", "flat", "prior"], ["detections"], "detections"
    )


def test_an_ssd(tmp_path):
    prototxt = tmp_path / "ssd.prototxt"
    prototxt.write_text(ssd())
    exported = caffe_onnx.export(prototxt, weights_of(tmp_path, prototxt), batch="dynamic")
    found = {d.blob: d for d in main.compare(exported)}
    assert max(d.relative for d in found.values()) < CLOSE
    assert found["detections"].shape[2] >= 20
    shape = exported.model.graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in shape] == [0, 0, 0, 0]  # their number depends on the images


def test_an_encoder_and_decoder_of_maps(tmp_path):
    """A segmentation net of BVLC's types: Deconvolution, Crop, and ArgMax over the channels."""
    conv = "convolution_param { num_output: 6 kernel_size: 3 pad: 1 }"
    text = (
        inputs((2, 3, 21, 27))
        + layer("Convolution", conv, ["data"], ["c1"], "c1")
        + layer("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", ["c1"], ["p1"], "p1")
        + layer("Convolution", conv, ["p1"], ["c2"], "c2")
        + layer("Deconvolution", "convolution_param { num_output: 6 kernel_size: 4 stride: 2 }",
                ["c2"], ["up"], "up")
        + layer("Crop", "crop_param { axis: 2 offset: 1 }", ["up", "c1"], ["crop"], "crop")
        + layer("Eltwise", "", ["crop", "c1"], ["sum"], "sum")
        + layer("ArgMax", "argmax_param { axis: 1 }", ["sum"], ["classes"], "classes")
    )  # fmt: skip
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    assert worst(exported).relative < CLOSE


def test_an_encoder_that_keeps_places(tmp_path):
    """As SegNet: pools with places, Upsample, and BN with folded statistics."""
    conv = "convolution_param {{ num_output: {} kernel_size: 3 pad: 1 }}"
    bn = "bn_param { bn_mode: INFERENCE }"
    pool = "pooling_param { kernel_size: 2 stride: 2 }"
    text = (
        inputs((2, 3, 20, 24))
        + layer("Convolution", conv.format(6), ["data"], ["c1"], "c1")
        + layer("BN", bn, ["c1"], ["c1"], "bn1")
        + layer("ReLU", "", ["c1"], ["c1"], "r1")
        + layer("Pooling", pool, ["c1"], ["p1", "mask1"], "p1")
        + layer("Convolution", conv.format(8), ["p1"], ["c2"], "c2")
        + layer("BN", bn, ["c2"], ["c2"], "bn2")
        + layer("Pooling", pool, ["c2"], ["p2", "mask2"], "p2")
        + layer("Upsample", "upsample_param { scale: 2 }", ["p2", "mask2"], ["u2"], "u2")
        + layer("Convolution", conv.format(6), ["u2"], ["d2"], "d2")
        + layer("Upsample", "upsample_param { upsample_h: 20 upsample_w: 24 }",
                ["d2", "mask1"], ["u1"], "u1")
        + layer("Convolution", conv.format(4), ["u1"], ["scores"], "scores")
    )  # fmt: skip
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    assert worst(exported).relative < CLOSE


def nearly_equal(tmp_path):
    """A net whose ArgMax chooses between two sums that are equal but for rounding, and inputs."""
    text = (
        inputs((1, 64))
        + layer("InnerProduct", "inner_product_param { num_output: 2 bias_term: false }",
                tops=["sums"], name="sums")
        + layer("ArgMax", "", ["sums"], ["place"], "place")
        + layer("Power", "power_param { scale: 3 shift: 1 }", ["place"], ["y"], "y")
    )  # fmt: skip
    prototxt, weights = saved(tmp_path, text)
    net = caffe.Net(str(prototxt), caffe.TEST, weights=str(weights))
    random = np.random.default_rng(0)
    row = random.standard_normal(64).astype(np.float32)
    net.params["sums"][0].data[...] = row
    net.save(str(weights))
    return prototxt, weights, {"data": random.standard_normal((1, 64)).astype(np.float32)}


def test_a_choice_between_nearly_equal_values_is_told_apart(tmp_path, monkeypatch):
    """As with SegNet's places of maxima: what is behind the choice differs, no layer does."""
    *files, arrays = nearly_equal(tmp_path)
    exported = caffe_onnx.export(*files)
    tensors = {t.name: t for t in exported.model.graph.initializer}
    weight = onnx.numpy_helper.to_array(tensors["sums/weight"]).copy()
    sign = np.sign(weight[0] @ arrays["data"][0])
    weight *= 1 + 1e-6 * sign * np.array([[1], [-1]], np.float32)  # the engine takes the last one
    tensors["sums/weight"].CopyFrom(onnx.numpy_helper.from_array(weight, "sums/weight"))
    found = {d.blob: d.relative for d in caffe_onnx.check(exported, [arrays])}
    assert found["sums"] < 3e-6 and found["y"] > 0.1
    lines = main.write(exported, tmp_path / "net.onnx", [arrays])
    assert any("place, y: these differ because a layer before them chooses" in x for x in lines)
    # A converter that is wrong behind the choice has no excuse: it is wrong alone as well.
    from caffe.onnx.convert import CONVERTERS

    monkeypatch.setitem(CONVERTERS, "Power", lambda c: c.scaled(c.bottoms[0], 2))
    with pytest.raises(main.WrongValues):
        main.write(exported, tmp_path / "net.onnx", [arrays])


def test_no_choice_no_excuse(tmp_path):
    """A wrong blob that no choice stands before is wrong, whatever the layers do alone."""
    text = CHOICE_BESIDE
    exported = caffe_onnx.export(*saved(tmp_path, text))
    for tensor in exported.model.graph.initializer:
        if tensor.name == "wrong/factor":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.float32(2.5), tensor.name))
    with pytest.raises(main.WrongValues):
        main.write(exported, tmp_path / "net.onnx")


CHOICE_BESIDE = (
    inputs((2, 5))
    + layer("ArgMax", "", ["data"], ["place"], "place")
    + layer("Power", "power_param { scale: 2 }", ["data"], ["wrong"], "wrong")
)


def test_a_pyramid_of_pools(tmp_path):
    """As PSPNet: pools of several sizes, each convolved and resized by Interp, joined."""
    bn = 'bn_param { slope_filler { type: "constant" value: 1 } frozen: true }'
    conv = "convolution_param {{ num_output: {} kernel_size: {} pad: {} bias_term: false }}"
    text = inputs((2, 3, 33, 33))
    text += layer("Convolution", conv.format(6, 3, 1), ["data"], ["c1"], "c1")
    text += layer("BN", bn, ["c1"], ["c1"], "c1/bn") + layer("ReLU", "", ["c1"], ["c1"], "r1")
    joined = ["c1"]
    for size in (33, 17, 11):
        pool, small, large = (f"pool{size}{end}" for end in ("", "/conv", "/interp"))
        pooling = f"pooling_param {{ pool: AVE kernel_size: {size} stride: {size} }}"
        text += layer("Pooling", pooling, ["c1"], [pool], pool)
        text += layer("Convolution", conv.format(2, 1, 0), [pool], [small], small)
        text += layer("Interp", "interp_param { height: 33 width: 33 }", [small], [large], large)
        joined.append(large)
    text += layer("Concat", "", joined, ["all"], "all")
    text += layer("Convolution", conv.format(4, 1, 0), ["all"], ["scores"], "scores")
    text += layer("Interp", "interp_param { zoom_factor: 2 }", ["scores"], ["large"], "large")
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    assert worst(exported).relative < CLOSE


def test_weights_that_two_layers_share(tmp_path):
    ip = "inner_product_param { num_output: 4 }"
    text = inputs((2, 4)) + "".join(
        layer("InnerProduct", f'param {{ name: "w" }} param {{ name: "b" }} {ip}', [a], [b], b)
        for a, b in [("data", "first"), ("first", "second")]
    )
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    assert worst(exported).relative < CLOSE


ODD = "conv/1 (größe):0"


def test_names_that_look_like_others(tmp_path):
    """Blobs that are called like the tensors that an export makes, and layers like blobs."""
    power = "power_param { power: 3 scale: 2 shift: 1 }"
    text = (
        inputs((2, 3))
        + layer("Power", power, ["data"], ["y"], "y")
        + layer("Power", power, ["y"], ["y/Mul"], "y/Mul")
        + layer("Power", power, ["y/Mul"], ["y/factor"], "data")
        + layer("TanH", "", ["y/factor"], [ODD], ODD)
    )
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    assert [o.name for o in exported.model.graph.output] == [ODD]
    assert worst(exported).relative < CLOSE
    onnx.checker.check_model(exported.model)


def test_inputs_that_nobody_reads_and_several_outputs(tmp_path):
    text = (
        inputs((2, 3), (2, 5))
        + layer("TanH", "", ["data"], ["a"], "a")
        + layer("Slice", "slice_param { slice_point: 1 }", ["data"], ["b", "c"], "b")
        + layer("Silence", "", ["b"], [], "quiet")
    )
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    assert [i.name for i in exported.model.graph.input] == ["data", "second"]
    assert {o.name for o in exported.model.graph.output} == {"a", "c"}
    assert worst(exported).relative < CLOSE


def test_a_net_with_data_layers(tmp_path):
    """Their tops are the inputs; DummyData's filler is not computed by the file."""
    text = (
        'layer { name: "d" type: "DummyData" top: "x" top: "unused" dummy_data_param { '
        "shape { dim: 2 dim: 3 } shape { dim: 2 } } }"
        + layer("InnerProduct", "inner_product_param { num_output: 4 }", ["x"], ["y"], "ip")
    )
    exported = caffe_onnx.export(*saved(tmp_path, text))
    assert [i.name for i in exported.model.graph.input] == ["x", "unused"]
    assert worst(exported).relative < CLOSE


TRAINED = (
    inputs((2, 3, 8, 8), (2,))
    + layer(
        "Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", tops=["c"], name="c"
    )
    + layer("ReLU", "", ["c"], ["c"], "relu")
    + layer("InnerProduct", "inner_product_param { num_output: 5 }", ["c"], ["score"], "score")
    + layer("Softmax", "", ["c"], ["side"], "side")
    + layer("Accuracy", "", ["score", "second"], ["accuracy"], "accuracy")
    + layer("SoftmaxWithLoss", "", ["score", "second"], ["loss"], "loss")
    + layer("Silence", "", ["loss"], [], "quiet")
)


@pytest.mark.parametrize("batch", [None, "dynamic", 3])
def test_layers_of_training_are_left_out_where_asked(tmp_path, batch):
    files = saved(tmp_path, TRAINED)
    with pytest.raises(caffe_onnx.CannotSay, match="'accuracy' of type Accuracy.*--without-losses"):
        caffe_onnx.export(*files, batch=batch)
    exported = caffe_onnx.export(*files, batch=batch, without_losses=True)
    assert [i.name for i in exported.model.graph.input] == ["data"]
    assert [o.name for o in exported.model.graph.output] == ["score", "side"]
    assert exported.notes == (
        "left out: accuracy (Accuracy), loss (SoftmaxWithLoss), quiet (Silence)",
    )
    found = main.compare(exported)
    assert [d.blob for d in found] == ["c", "score", "side"]
    assert max(d.relative for d in found) < CLOSE


def test_weights_of_another_net(tmp_path):
    prototxt, _ = saved(tmp_path, inputs((2, 3)) + layer("TanH"))
    text = inputs((2, 3)) + layer("InnerProduct", "inner_product_param { num_output: 4 }")
    (tmp_path / "other").mkdir()
    _, weights = saved(tmp_path / "other", text.replace("dim: 3", "dim: 5"))
    prototxt.write_text(text)
    with pytest.raises(caffe.CaffeError, match="tested"):
        caffe_onnx.export(prototxt, weights)


def test_random_weights_without_a_file(tmp_path):
    prototxt, _ = saved(tmp_path, inputs((2, 3)) + layer("TanH"))
    assert worst(caffe_onnx.export(prototxt, None)).relative < CLOSE


def test_a_model_that_no_file_holds(tmp_path, monkeypatch):
    from caffe.onnx import exporting

    files = saved(
        tmp_path, inputs((2, 30)) + layer("InnerProduct", "inner_product_param { num_output: 40 }")
    )
    monkeypatch.setattr(exporting, "LARGEST", 4 * 30 * 40)
    with pytest.raises(ValueError, match="more than the 2 GB"):
        caffe_onnx.export(*files)


def test_a_model_that_the_runtime_refuses(tmp_path):
    exported = caffe_onnx.export(*saved(tmp_path, inputs((2, 3)) + layer("TanH")))
    exported.model.opset_import[0].version = 999
    with pytest.raises(ValueError, match="ONNX Runtime .* refuses the model"):
        main.compare(exported)


def test_inputs_of_different_lengths_have_different_names(tmp_path):
    """The number of regions is not the number of images."""
    text = inputs((1, 4, 8, 8), (6, 5)) + layer(
        "ROIPooling",
        "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 }",
        ["data", "second"],
    )
    exported = caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    first = [info.type.tensor_type.shape.dim[0] for info in exported.model.graph.input]
    assert [dim.dim_param for dim in first] == ["N", ""]
    assert worst(exported).relative < CLOSE
