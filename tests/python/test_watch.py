"""A training that is dead says so: the loss of guessing, outputs that are all 0, the accuracy."""

import dataclasses
import math
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import maap
import numpy as np
import pytest
from google.protobuf import text_format
from maap.config.fields import TrainConfig
from maap.host import loader
from maap.runs.run import Run
from maap.runs.state import Stage
from maap.training import watch, work
from maap.util.schema import caffe_pb2

engine_only = pytest.mark.skipif(
    os.environ.get("MAAP_HOST") != "fork", reason="the engine's own type"
)
TINY = Path(__file__).resolve().parents[1] / "nets" / "tiny"
LOSS = 'layer {{ name: "{0}" type: "{1}" bottom: "{2}" bottom: "label" top: "{0}" {3} }}\n'
NET = """layer {{ name: "data" type: "Input" top: "data" top: "label"
  input_param {{ shape {{ dim: [16, 3, 5, 5] }} shape {{ dim: 16 }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 6 kernel_size: 1 weight_filler {{ type: "msra" }} {bias} }} }}
layer {{ name: "relu" type: "{relu}" bottom: "conv" top: "conv" }}
layer {{ name: "scores" type: "Convolution" bottom: "conv" top: "scores"
  convolution_param {{ num_output: 4 kernel_size: 1 weight_filler {{ type: "msra" }} {last} }} }}
{behind}layer {{ name: "pool" type: "Pooling" bottom: "scores" top: "pool"
  pooling_param {{ pool: AVE global_pooling: true }} }}
"""
NEGATIVE = 'bias_filler { type: "constant" value: -1000 }'
BEHIND = 'layer { name: "last" type: "ReLU" bottom: "scores" top: "scores" }\n'


@pytest.fixture(scope="module")
def caffe():
    return loader.load()


def text(bias="", relu="ReLU", last="", behind="", losses=(("loss", "SoftmaxWithLoss", ""),)):
    end = "".join(LOSS.format(name, kind, "pool", more) for name, kind, more in losses)
    return NET.format(bias=bias, relu=relu, last=last, behind=behind) + end


def watched(caffe, folder, window=10, **parts):
    """A `Watch` of a net, and the net."""
    (folder / "net.prototxt").write_text(text(**parts))
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TRAIN)
    return watch.Watch(folder, net, window, "--base-lr"), net


def look(caffe, folder, losses, **parts):
    seen, net = watched(caffe, folder, **parts)
    images = np.random.RandomState(1).uniform(-1, 1, (3, 3, 5, 5))
    return seen.look(losses, caffe, net, images) or ""


# ---- the loss -----------------------------------------------------------------------------------

CHANCE = math.log(4)


@pytest.mark.parametrize(
    "losses, said",
    [
        ([CHANCE] * 10, "the loss sits at 1.386, guessing one of 4 classes has 1.386"),
        ([1.0] * 10 + [CHANCE] * 10, "the loss sits"),  # it died later
        ([87.3365] * 10, "stays at 87.337, guessing one of 4 classes has 1.386: the training has"),
        ([CHANCE] * 5 + [1.3] * 5, ""),  # it begins to fall
        ([14.0] * 5 + [5.0] * 5, ""),  # far above, and falling
        ([CHANCE] * 9, ""),  # too early to say
        ([1.2] * 30, ""),
    ],
)
def test_a_loss_that_sits(caffe, tmp_path, losses, said):
    found = look(caffe, tmp_path, losses)
    assert said in found and bool(found) == bool(said)
    if said:
        assert "another --base-lr" in found and "weight_filler" in found


def test_several_losses_and_others(caffe, tmp_path):
    """Auxiliary losses count by their weights; what guessing has of other losses is not known."""
    aux = ("aux", "SoftmaxWithLoss", "loss_weight: 0.5")
    main = ("loss", "SoftmaxWithLoss", "")
    seen, _ = watched(caffe, tmp_path, losses=(aux, main))
    assert seen.chance.loss == pytest.approx(1.5 * CHANCE) and seen.chance.classes == 4
    for other in (
        ("other", "HingeLoss", ""),
        ("sum", "SoftmaxWithLoss", "loss_param { normalization: NONE }"),
    ):
        seen, _ = watched(caffe, tmp_path, losses=(main, other))
        assert seen.chance is None
    mean = ("loss", "SoftmaxWithLoss", "loss_param { normalization: BATCH_SIZE }")
    assert watched(caffe, tmp_path, losses=(mean,))[0].chance.loss == pytest.approx(CHANCE)


def test_when_to_look():
    """After more images where there are more classes; from trained weights sooner."""
    assert watch.window_of(10, 16, trained=False) == 200  # the demo set
    assert watch.window_of(60, 16, trained=True) == 100
    assert watch.window_of(200, 32, trained=False) == 2000
    assert watch.window_of(200, 16, trained=True) == 250


def test_the_accuracy_of_guessing():
    assert 0.1 < watch.top1_of_guessing(10, 200) < 0.15
    assert watch.top1_of_guessing(200, 5794) < 0.0075
    said = watch.about_accuracy(0.1, 10, "--phase2-lr")
    assert "top-1 on the test images is 10.0%; guessing one of 10 classes has 10.0%" in said
    assert "another --phase2-lr" in said


# ---- the outputs --------------------------------------------------------------------------------


def test_a_dead_relu_behind_the_classifier(caffe, tmp_path):
    """As in fine-tuning SqueezeNet: the loss sits, and the layer is named."""
    losses = [CHANCE] * 10
    found = look(caffe, tmp_path, losses, last=NEGATIVE, behind=BEHIND)
    assert found.startswith("the loss sits at 1.386")
    assert "Every output of layer last is 0 for 3 images: no gradient" in found
    assert "the ReLU behind the classifier scores: take it out" in found


@pytest.mark.parametrize("relu", ["ReLU", pytest.param("ReLU6", marks=engine_only)])
def test_a_dead_relu_inside(caffe, tmp_path, relu):
    """Also where the loss does not show it, and at the end of a phase shorter than the window."""
    for losses in ([1.0] * 10, [1.0] * 4):
        found = look(caffe, tmp_path, losses, bias=NEGATIVE, relu=relu)
        assert found.startswith("Every output of layer relu is 0 for 3 images (and of 1 more):")
        assert "smaller --base-lr (a tenth)" in found and "the ReLU behind" not in found
    # Later it is looked at where the loss sits, and only there.
    assert look(caffe, tmp_path, [1.0] * 20, bias=NEGATIVE, relu=relu) == ""
    assert "layer relu" in look(caffe, tmp_path, [CHANCE] * 20, bias=NEGATIVE, relu=relu)


def test_layers_that_live(caffe, tmp_path):
    """One image of several is enough; a leaky activation cannot die."""
    assert look(caffe, tmp_path, [1.0] * 10) == ""
    assert look(caffe, tmp_path, [1.0] * 10, bias=NEGATIVE, relu="PReLU") == ""
    seen, net = watched(caffe, tmp_path)
    images = np.zeros((3, 3, 5, 5))  # the classifier has no bias to make anything of it
    assert seen.dead_layers(caffe, net, images) == ["relu", "scores"]
    images[1] = np.random.RandomState(1).uniform(-1, 1, (3, 5, 5))
    assert seen.dead_layers(caffe, net, images) == []


def test_looking_changes_nothing_in_the_training_net(caffe, tmp_path):
    seen, net = watched(caffe, tmp_path)
    net.blobs["data"].data[...] = 1
    before = net.forward()["loss"].copy(), net.params["conv"][0].data.copy()
    seen.dead_layers(caffe, net, np.ones((2, 3, 5, 5)))
    assert net.blobs["data"].shape[0] == 16
    np.testing.assert_array_equal(net.params["conv"][0].data, before[1])
    assert net.forward()["loss"] == before[0]


# ---- in a training ------------------------------------------------------------------------------


def config_of(folder, images, **changes):
    return TrainConfig(
        data=str(images), image_size=64, runs_dir=str(folder / "runs"), name="run", batch=8,
        snapshot=1000, threads=1, variant="baseline", **{"net": str(TINY), **changes},
    )  # fmt: skip


def warnings(config):
    """(of the stages, what the report shows)."""
    run = Run(Path(config.runs_dir) / config.name)
    found = [stage.warning for stage in run.state().phases if stage.warning]
    return found, (run.folder / "report.html").read_text(encoding="utf-8")


def test_a_training_that_does_not_learn(tmp_path, mini_images, private_cache, capfd):
    """Rate 0: said once, in the log and the report; also after a resume."""
    config = config_of(tmp_path, mini_images, max_iter=200, base_lr=0.0)
    maap.train(config)
    (warning,), report = warnings(config)
    assert warning.startswith("phase 1, after 200 iterations: the loss s")
    assert capfd.readouterr().out.count("warning: ") == 1
    assert "guessing one of 4 classes has 1.386" in report
    (Run(Path(config.runs_dir) / "run").folder / "evaluation.json").unlink()
    maap.train(dataclasses.replace(config, resume=True))
    assert capfd.readouterr().out.count("warning: ") == 0


def test_a_training_that_learns(tmp_path, mini_images, private_cache, capfd):
    config = config_of(tmp_path, mini_images, max_iter=200, base_lr=0.01, test_interval=100)
    maap.train(config)
    found, _ = warnings(config)
    assert found == [] and "warning: " not in capfd.readouterr().out


def test_a_net_whose_classifier_died(tmp_path, mini_images, private_cache, capfd):
    """A phase of three iterations is looked at when it ends."""
    folder = tmp_path / "net"
    shutil.copytree(TINY, folder)
    for file in ("train_val", "deploy"):
        path = folder / f"{file}.prototxt"
        net = text_format.Parse(path.read_text(encoding="utf-8"), caffe_pb2.NetParameter())
        at = next(n for n, layer in enumerate(net.layer) if layer.name == "fc4")
        net.layer[at].inner_product_param.bias_filler.value = -1000
        relu = caffe_pb2.LayerParameter(name="relu4", type="ReLU", bottom=["fc4"], top=["fc4"])
        layers = [*net.layer[: at + 1], relu, *net.layer[at + 1 :]]
        made = caffe_pb2.NetParameter(name=net.name, layer=layers)
        path.write_text(text_format.MessageToString(made), encoding="utf-8")
    config = config_of(tmp_path, mini_images, net=str(folder), max_iter=3, from_scratch=False)
    maap.train(config)
    (warning,), report = warnings(config)
    assert "layer relu4 is 0 for 8 images" in warning
    assert "behind the classifier fc4: take it out" in warning and "relu4" in report
    assert capfd.readouterr().out.count("warning: ") == 1


@pytest.mark.parametrize(
    "top1, iteration, before, warned",
    [(0.1, 400, None, True), (0.5, 400, None, False), (0.1, 50, None, False),
     (0.1, 400, "the loss", False)],
)  # fmt: skip
def test_the_accuracy_at_the_end(monkeypatch, top1, iteration, before, warned):
    """Where nothing was said yet, and the phases were long enough to learn something."""
    said = []
    stage = Stage("phase1", "train", 1, "phase 1", iteration=iteration, warning=before)
    fake = SimpleNamespace(
        state=SimpleNamespace(phases=[stage]),
        _watch_after=lambda number: 200,
        _warn=lambda stage, text: said.append(text),
    )
    data = SimpleNamespace(classes=list("abcdefghij"), test=200)
    found = SimpleNamespace(data=data, last=SimpleNamespace(top1=top1))
    work.Work._compare_with_guessing(fake, found)
    assert bool(said) == warned
    if warned:
        assert "phase 1: top-1 on the test images is 10.0%" in said[0]
