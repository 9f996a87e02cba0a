"""Whole nets in caffe.torch beside the engine: values, gradients, training, weights both ways."""

import contextlib
import copy
import pickle
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not here: tools/engine/torch installs it")

import caffe.torch  # noqa: E402
from torch_nets import RESIDUAL, Pair, input_text, residual_inputs  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


@contextlib.contextmanager
def away_from_kinks(module):
    """What runs within: no ReLU gets a value so near 0 that rounding decides whether it has a
    gradient."""
    nearest = []

    def look(_, bottoms):
        nearest.append(float(bottoms[0].detach().abs().min()))

    relus = [made for made in module.layers.values() if made.param.type == "ReLU"]
    hooks = [made.register_forward_pre_hook(look) for made in relus]
    yield
    assert len(nearest) >= len(relus) > 0 and min(nearest) > 5e-6, "take another seed"
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("phase", [caffe.TEST, caffe.TRAIN])
def test_residual_net(tmp_path, phase):
    pair = Pair("force_backward: true " + RESIDUAL, tmp_path, phase)
    with away_from_kinks(pair.module):
        pair.check(residual_inputs(4), ["data"])
    for name in ("mean", "variance", "factor"):  # the averages moved as the engine's
        at = ("mean", "variance", "factor").index(name)
        found = getattr(pair.module.layers["bn_2a"], name).numpy()
        wanted = pair.engine.params["bn_2a"][at].data
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert ("accuracy" in pair.found) == (phase == caffe.TEST)


def test_alexnet_with_laap(tmp_path):
    """Every layer and channel of the deploy net up to fc6; small images and fc layers."""
    text = (ROOT / "prototxt" / "alexnet" / "deploy_laap.prototxt").read_text()
    for old, new in (("dim: 10", "dim: 1"), ("dim: 227", "dim: 67"),
                     ("num_output: 4096", "num_output: 64")):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    pair = Pair("force_backward: true " + text, tmp_path)
    for blobs in pair.engine.params.values():  # values that keep the maps' size
        for blob in blobs:
            fan = max(1, int(np.prod(blob.shape[1:])))
            blob.data[...] *= np.sqrt(2 / fan) / 0.3
    pair.engine.params["fc8_cub"][0].data[...] *= 0.2  # scores of about 7, whose exp keeps digits
    pair.engine.save(str(tmp_path / "net.caffemodel"))
    caffe.torch.load_caffemodel(pair.module, tmp_path / "net.caffemodel")
    images = np.random.RandomState(4).randn(1, 3, 67, 67)
    with away_from_kinks(pair.module):
        pair.check(dict(data=images), ["data"])
    assert pair.module.state_dict()["conv1.weight"].shape == (96, 3, 11, 11)


def test_training_follows_the_solver(tmp_path):
    """Ten iterations of SGD with momentum, decay and lr_mult: losses and weights."""
    (tmp_path / "net.prototxt").write_text(RESIDUAL)
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/net.prototxt" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 '
        "weight_decay: 0.01 max_iter: 10 snapshot_after_train: false random_seed: 3"
    )
    solver = caffe.get_solver(str(tmp_path / "solver.prototxt"))
    solver.net.save(str(tmp_path / "start.caffemodel"))
    net = caffe.torch.module(tmp_path / "net.prototxt", tmp_path / "start.caffemodel", caffe.TRAIN)
    optimizer = torch.optim.SGD(net.parameter_groups(0.05, 0.01), momentum=0.9)
    losses = []
    for seed in range(10, 20):
        inputs = residual_inputs(seed)
        for name, value in inputs.items():
            solver.net.blobs[name].data[...] = value
        solver.step(1)
        optimizer.zero_grad()
        with away_from_kinks(net):
            tensors = {n: torch.tensor(v, dtype=torch.float) for n, v in inputs.items()}
            loss = net.loss(net(**tensors))
        loss.backward()
        optimizer.step()
        losses.append((float(loss.detach()), float(solver.net.blobs["loss"].data)))
    np.testing.assert_allclose(*zip(*losses), rtol=1e-4)
    for name in ("conv1", "fc", "bn_2b"):
        for number, blob in enumerate(solver.net.params[name]):
            made = net.layers[name]
            found = getattr(made, made.blobs[number]).detach().numpy()
            np.testing.assert_allclose(found, blob.data, rtol=2e-3, atol=1e-4)


def test_fillers_have_the_engines_moments(tmp_path):
    text = input_text({"x": (1, 40, 9, 9)}) + "".join(
        f'layer {{ name: "c{i}" type: "Convolution" bottom: "x" top: "c{i}" convolution_param {{ '
        f"num_output: 50 kernel_size: 4 weight_filler {{ {filler} }} }} }}\n"
        for i, filler in enumerate(
            ['type: "xavier"', 'type: "xavier" variance_norm: FAN_OUT', 'type: "msra"',
             'type: "msra" variance_norm: AVERAGE', 'type: "gaussian" mean: 1 std: 0.2',
             'type: "uniform" min: -1 max: 2', 'type: "positive_unitball"',
             'type: "gaussian" std: 1 sparse: 20', 'type: "constant" value: 3']
        )
    )  # fmt: skip
    text += (
        'layer { name: "up" type: "Deconvolution" bottom: "x" top: "up" convolution_param { '
        'num_output: 40 group: 40 kernel_size: 5 weight_filler { type: "bilinear" } } }'
    )
    (tmp_path / "net.prototxt").write_text(text)
    torch.manual_seed(5)
    engine = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    net = caffe.torch.module(tmp_path / "net.prototxt")
    for name, blobs in engine.params.items():
        ours, theirs = net.layers[name].weight.detach().numpy(), blobs[0].data
        np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.02)
        np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.03, atol=1e-6)
        np.testing.assert_allclose((ours == 0).mean(), (theirs == 0).mean(), atol=0.01)
    np.testing.assert_array_equal(net.layers["up"].weight.detach().numpy(),
                                  engine.params["up"][0].data)  # fmt: skip


def test_old_forms(tmp_path):
    """`layers {`, `input:` and the four axes of old weights."""
    old = """
input: "data" input_dim: 2 input_dim: 3 input_dim: 6 input_dim: 6
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2
         weight_decay: 1 weight_decay: 0
         convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
layers { name: "fc" type: INNER_PRODUCT bottom: "conv" top: "fc"
         inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }
"""
    pair = Pair(old, tmp_path)
    pair.check(dict(data=np.random.RandomState(1).randn(2, 3, 6, 6)), ())
    assert [g["lr"] for g in pair.module.parameter_groups(0.5)] == [0.5, 1.0, 0.5][:2]
    file = caffe.proto.caffe_pb2.NetParameter()
    for name, blobs in pair.engine.params.items():
        layer = file.layers.add(name=name)
        for blob in blobs:
            shape = (1,) * (4 - len(blob.shape)) + tuple(blob.shape)
            layer.blobs.add(num=shape[0], channels=shape[1], height=shape[2], width=shape[3],
                            data=(2 * blob.data).flatten())  # fmt: skip
    (tmp_path / "old.caffemodel").write_bytes(file.SerializeToString())
    taken = caffe.torch.load_caffemodel(pair.module, tmp_path / "old.caffemodel")
    assert taken == ["conv", "fc"]
    np.testing.assert_array_equal(pair.module.layers["fc"].weight.detach().numpy(),
                                  2 * pair.engine.params["fc"][0].data)  # fmt: skip


def test_shared_parameters(tmp_path):
    """One Parameter under two layers, trained with the sum of both gradients."""
    shared = 'param { name: "w" lr_mult: 3 } param { name: "b" }'
    text = "force_backward: true " + input_text({"x": (2, 3)}) + "".join(
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {shared} '
        'inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }\n'
        for name, bottom in (("a", "x"), ("b", "a"))
    )  # fmt: skip
    pair = Pair(text, tmp_path)
    pair.check(dict(x=np.random.RandomState(1).randn(2, 3)), ["x"])
    assert pair.module.layers["a"].weight is pair.module.layers["b"].weight
    assert len(list(pair.module.parameters())) == 2
    assert sorted(g["lr"] for g in pair.module.parameter_groups(1.0)) == [1.0, 3.0]


def test_a_copy_is_as_its_original(tmp_path):
    """deepcopy, pickle: values, shared parameters and rates."""
    (tmp_path / "net.prototxt").write_text(RESIDUAL)
    net = caffe.torch.module(tmp_path / "net.prototxt")
    inputs = {name: torch.tensor(value) for name, value in residual_inputs().items()}
    inputs["data"] = inputs["data"].float()
    wanted = net(inputs, blobs=["fc"])["fc"]
    rates = [(group["lr"], len(group["params"])) for group in net.parameter_groups(0.1)]
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(inputs, blobs=["fc"])["fc"], wanted)
        other.zero_grad()
        assert [(g["lr"], len(g["params"])) for g in other.parameter_groups(0.1)] == rates
    assert rates[-1] == (0.2, 1)


def test_names_that_modules_do_not_take(tmp_path):
    """Dots, and names of torch.nn.Module's own attributes."""
    text = input_text({"x": (2, 3)})
    bottom = "x"
    for name in ("fc.1", "train", "forward", "type", "inception/1x1"):
        text += (
            f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" '
            'inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }\n'
        )
        bottom = name
    pair = Pair(text, tmp_path)
    pair.check(dict(x=np.random.RandomState(1).randn(2, 3)), ())
    keys = list(pair.module.state_dict())
    assert keys[0] == "fc_1.weight" and "train.bias" in keys and "inception/1x1.weight" in keys
    assert pair.module.train().training


def test_train_val_takes_the_data_layers_tops(tmp_path):
    """Data layers become inputs; labels may be left out."""
    path = ROOT / "prototxt" / "alexnet" / "train_val.prototxt"
    net = caffe.torch.module(path, phase=caffe.TRAIN, shapes=dict(data=(1, 3, 227, 227),
                                                                  label=(1,)))  # fmt: skip
    assert net.inputs == ["data", "label"] and net.training and net.outputs == ["loss"]
    net = caffe.torch.module(path)
    assert net.layers["fc8_cub"].weight.shape == (200, 4096) and not net.training
    assert "accuracy" in net.outputs
    with torch.no_grad():
        assert list(net(torch.zeros(1, 3, 227, 227), blobs=["fc8_cub"])) == ["fc8_cub"]


def test_a_prototxt_of_a_fork(tmp_path):
    """Fields that only another fork has are left out, as the engine does."""
    text = input_text({"x": (2, 4, 6, 6)}) + (
        'layer { name: "c" type: "Convolution" bottom: "x" top: "c" forward_type: FLOAT '
        "convolution_param { num_output: 2 kernel_size: 3 engine: MKLDNN } }"
    )
    pair = Pair(text, tmp_path)
    pair.check(dict(x=np.random.RandomState(1).randn(2, 4, 6, 6)), ())


def test_the_dialect_that_was_chosen(tmp_path):
    """caffe.set_dialect holds here as for nets of the engine."""
    text = "force_backward: true " + input_text({"x": (4, 3), "y": (4,)}) + (
        'layer { name: "f" type: "FocalLoss" bottom: "x" bottom: "y" top: "f" }'
    )  # fmt: skip
    values = dict(x=np.random.RandomState(1).randn(4, 3), y=[0, 2, 1, 0])
    losses = []
    try:
        for name in ("", "happynear"):
            caffe.set_dialect(name)
            pair = Pair(text, tmp_path)
            pair.check(values, ["x"])
            losses.append(float(pair.found["f"].detach()))
    finally:
        caffe.set_dialect("")
    assert losses[1] == pytest.approx(4 * losses[0], rel=1e-5)  # alpha 0.25 and 1


def test_prior_boxes_of_a_dialect_that_clips(tmp_path):
    text = input_text({"x": (1, 2, 4, 4), "image": (1, 3, 40, 40)}) + (
        'layer { name: "p" type: "PriorBox" bottom: "x" bottom: "image" top: "p" '
        "prior_box_param { min_size: 20 } }"
    )
    values = dict(x=np.zeros((1, 2, 4, 4)), image=np.zeros((1, 3, 40, 40)))
    try:
        for name, least in (("ssd", -0.125), ("yolo9000", 0)):
            caffe.set_dialect(name)
            pair = Pair(text, tmp_path)
            pair.check(values, ())
            assert float(pair.found["p"].min()) == least
    finally:
        caffe.set_dialect("")


# ---- errors -------------------------------------------------------------------------------------


def refused(tmp_path, text, error, match, **arguments):
    (tmp_path / "bad.prototxt").write_text(text)
    with pytest.raises(error, match=match):
        caffe.torch.module(tmp_path / "bad.prototxt", **arguments)


def test_errors_name_what_is_wrong(tmp_path):
    x = input_text({"x": (2, 4, 6, 6)})
    layer = 'layer {{ name: "odd" type: "{}" bottom: "x" top: "y" {} }}'
    refused(
        tmp_path,
        x + layer.format("NoSuch", ""),
        caffe.torch.UnknownTypeError,
        "layer odd: caffe.torch has no layers of type NoSuch; it has AbsVal",
    )
    refused(tmp_path, x + layer.format("Python", ""), NotImplementedError, "layer odd: .* Python")
    refused(
        tmp_path,
        x + layer.format("MultiBoxLoss", ""),
        caffe.torch.UnknownTypeError,
        "layer odd: caffe.torch has no layers of type MultiBoxLoss: train with the engine; the",
    )
    refused(
        tmp_path, x + layer.format("Convolution", ""), ValueError, "odd .*kernel_size is missing"
    )
    refused(
        tmp_path,
        x
        + layer.format(
            "Convolution", "convolution_param { num_output: 5 " "kernel_size: 1 group: 2 }"
        ),
        ValueError,
        "odd .*multiples of group, 2",
    )
    refused(tmp_path, x + layer.format("Slice", "top: 'z' top: 'u'"), ValueError, "odd .*cannot be")
    refused(
        tmp_path,
        x + layer.format("Concat", "concat_param { axis: 7 }"),
        ValueError,
        "odd .*axis is 7, and the bottom has 4 axes",
    )
    refused(
        tmp_path,
        x + 'layer { name: "r" type: "ReLU" bottom: "z" top: "z" }',
        ValueError,
        "layer r .*no layer before it has the top z",
    )
    refused(tmp_path, x + 2 * layer.format("ReLU", ""), ValueError, "another layer has that name")
    refused(tmp_path, "net: 'a'", ValueError, "bad.prototxt: ")
    refused(tmp_path, "", ValueError, "no layer in it")
    refused(tmp_path, x, ValueError, "no such input", shapes=dict(z=(1,)))
    refused(tmp_path, "layer { name: 'd' type: 'Data' top: 'data' }", ValueError,
            "layer d .*does not say the shape of data")  # fmt: skip


def test_errors_of_inputs(tmp_path):
    (tmp_path / "net.prototxt").write_text(RESIDUAL)
    net = caffe.torch.module(tmp_path / "net.prototxt")
    data = torch.zeros(1, 3, 12, 12)
    with pytest.raises(ValueError, match="no input 'images'; it has data, label"):
        net(images=data)
    with pytest.raises(ValueError, match="3 inputs given, and the net has 2"):
        net(data, data, data)
    with pytest.raises(ValueError, match="the input 'data' is missing"):
        net(label=torch.zeros(1))
    with pytest.raises(ValueError, match="no blob 'conv9'"):
        net(data, blobs=["conv9"])
    with pytest.raises(ValueError, match="layer loss .*label 7 .* there are 5 classes"):
        net(data, torch.tensor([7]))
    with pytest.raises(ValueError, match="no loss among"):
        net.loss(net(data, blobs=["fc"]))


def test_caffe_alone_does_not_load_torch():
    code = (
        "import sys, caffe; assert 'torch' not in sys.modules; assert not hasattr(caffe, 'torch')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    """Each ```python block of docs/pytorch.md, on a small net of its files' names."""
    monkeypatch.chdir(tmp_path)
    deploy = RESIDUAL.replace('"label"', '"unused"').split('layer { name: "loss"')[0]
    deploy += 'layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }'
    Path("deploy.prototxt").write_text(deploy)
    Path("train_val.prototxt").write_text(RESIDUAL)
    caffe.torch.save_caffemodel(caffe.torch.module("train_val.prototxt"), "net.caffemodel")
    images = torch.randn(2, 3, 12, 12)
    names = dict(images=images, batches=[(images, torch.tensor([1, 4]))])
    page = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    assert names["scores"].shape == (2, 5) and torch.isfinite(names["loss"])
