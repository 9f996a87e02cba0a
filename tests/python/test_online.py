"""Training with the Elimination layer inside the net (--haap online)."""

import copy
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import maap as package
import numpy as np
import other_nets
import pytest
from maap.config import check
from maap.config import fields as configuration
from maap.config.fields import TrainConfig
from maap.errors import MaapError, NotForNet
from maap.host import loader
from maap.nets import online
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net, write_text
from maap.nets.resolve import resolve_rewrite, resolve_train
from maap.runs.run import Run, default_name
from maap.training import phase as phases
from maap.util.schema import caffe_pb2
from maap.weights.caffemodel import check_weights
from waiting import PATIENCE, wait_until

TINY = str(Path(__file__).resolve().parents[1] / "nets" / "tiny")
CLASSES, BATCH = 4, 4


@pytest.fixture(scope="module")
def caffe():
    return loader.load()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name -> net folder: the tests' small net, and two networks with the layers inserted."""
    root = tmp_path_factory.mktemp("folders")
    other_nets.folder_of("squeeze", root / "squeeze", eliminate_after="drop2")
    other_nets.folder_of("inception", root / "inception", eliminate_after="inception_3a/output")
    found = {name: find_net(root / name) for name in ("squeeze", "inception")}
    return dict(found, tiny=find_net(TINY))


class Trio:
    """The three nets of one network, with the same weights: online and plain training, rewriting.

    ``online`` has had a forward pass on random images.
    """

    def __init__(self, caffe, files, folder, laap, a_star):
        train = resolve_train(files, laap, CLASSES, BATCH, True)
        rewrite = resolve_rewrite(files, laap, BATCH, a_star)
        self.message = online.online_net(train, rewrite)
        self.caffe = caffe
        caffe.set_random_seed(1)
        self.plain = self.load(train, folder / "plain.prototxt", "TRAIN")
        random = np.random.RandomState(2)
        for layer in self.plain.layers:
            if layer.type == "Convolution":  # maps that are neither flat nor at A = 1
                weights = layer.blobs[0].data
                weights[...] = random.uniform(-3, 5, weights.shape) / weights[0].size
            if layer.type == "BatchNorm":
                for blob, low, high in zip(layer.blobs, (-0.1, 0.5, 1), (0.1, 2, 1)):
                    blob.data[...] = random.uniform(low, high, blob.data.shape)
        weights = folder / "weights.caffemodel"
        self.plain.save(str(weights))
        self.online = self.load(self.message, folder / "online.prototxt", "TRAIN")
        self.rewrite = self.load(rewrite, folder / "rewrite.prototxt", "TEST")
        for net in (self.online, self.rewrite):
            net.copy_from(str(weights))
        images = random.uniform(-1, 1, self.online.blobs["data"].data.shape)
        for n, image in enumerate(images):
            image[:, 5 * n : 5 * n + 15, 20:40] += 2
        self.online.blobs["data"].data[...] = images
        self.online.blobs["label"].data[...] = np.arange(BATCH) % CLASSES
        self.images = images
        caffe.set_random_seed(3)
        self.online.forward()

    def load(self, message, path, phase):
        write_text(message, path)
        return self.caffe.Net(str(path), getattr(self.caffe, phase))


NETS = ["tiny", "squeeze", "inception"]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("laap, a_star", [(True, "ROI"), (False, "REDUCE")])
def test_gradients_are_the_classification_branchs_own_on_a_fixed_dstar(
    caffe, folders, tmp_path, name, laap, a_star
):
    """Each weight's gradient, bit for bit, and the loss; nothing from the attention branch."""
    trio = Trio(caffe, folders[name], tmp_path, laap, a_star)
    trio.plain.blobs["data"].data[...] = trio.online.blobs["dstar"].data
    trio.plain.blobs["label"].data[...] = np.arange(BATCH) % CLASSES
    assert abs(trio.online.blobs["dstar"].data - trio.images).max() > 0.1
    caffe.set_random_seed(3)  # the same masks of dropout
    trio.plain.forward()
    for net in (trio.plain, trio.online):
        net.clear_param_diffs()
        net.backward()
    losses = [blob for blob in trio.plain.outputs if "loss" in blob]
    for blob in losses:
        np.testing.assert_array_equal(trio.online.blobs[blob].data, trio.plain.blobs[blob].data)
    seen = 0
    for layer, blobs in trio.plain.params.items():
        for number, blob in enumerate(blobs):
            np.testing.assert_array_equal(trio.online.params[layer][number].diff, blob.diff, layer)
            seen += bool(abs(blob.diff).max() > 0)
    assert seen >= 6


@pytest.mark.parametrize("name", NETS)
def test_attention_is_that_of_the_rewriting_net(caffe, folders, tmp_path, name):
    """Which runs in Caffe's TEST phase: no dropout (squeeze), stored statistics (inception)."""
    trio = Trio(caffe, folders[name], tmp_path, True, "ALLSOFT")
    trio.plain.save(str(tmp_path / "weights.caffemodel"))
    trio.rewrite.blobs["data"].data[...] = trio.images
    trio.rewrite.forward()
    for blob in ("region", "attention", "stats"):
        found = trio.online.blobs[online.BRANCH + blob].data
        np.testing.assert_array_equal(found, trio.rewrite.blobs[blob].data, blob)
    np.testing.assert_array_equal(trio.online.blobs["dstar"].data, trio.rewrite.blobs["dstar"].data)
    assert not any(
        layer.type == "Dropout" and layer.name.startswith(online.BRANCH)
        for layer in trio.message.layer
    )


@pytest.mark.skipif(
    "scale_train" not in caffe_pb2.DropoutParameter.DESCRIPTOR.fields_by_name,
    reason="BVLC Caffe has no such field",
)
def test_dropout_of_other_forks_in_the_branch():
    """Without scale_train testing scales; with sample_weights_test it drops values as well."""
    drop = caffe_pb2.LayerParameter(name="drop", type="Dropout", bottom=["x"], top=["x"])
    drop.dropout_param.dropout_ratio = 0.25
    drop.dropout_param.scale_train = False
    net = caffe_pb2.NetParameter(layer=[drop])
    branch = online.online_net(caffe_pb2.NetParameter(), net).layer
    assert (branch[0].type, list(branch[0].bottom)) == ("Power", [online.BRANCH + "x"])
    assert branch[0].power_param.scale == 0.75
    net.layer[0].dropout_param.sample_weights_test = True
    branch = online.online_net(caffe_pb2.NetParameter(), net).layer
    assert branch[0].type == "Dropout" and not branch[0].dropout_param.scale_train


def test_both_branches_have_the_same_weights(caffe, folders, tmp_path):
    for name in NETS:
        net = Trio(caffe, folders[name], tmp_path, True, "ROI").online
        branch = [layer for layer in net.params if layer.startswith(online.BRANCH)]
        assert branch
        for layer in branch:
            ours, theirs = net.params[layer], net.params[layer[len(online.BRANCH) :]]
            assert len(ours) == len(theirs)
            for one, other in zip(ours, theirs):
                one.data.flat[0] += 1
                np.testing.assert_array_equal(one.data, other.data)


def test_statistics_are_those_of_dstar_alone(caffe, folders, tmp_path):
    trio = Trio(caffe, folders["inception"], tmp_path, True, "ROI")  # has run forward once
    bn = "inception_3a/bn_1x1"
    before = [blob.data.copy() for blob in trio.plain.params[bn]]
    trio.plain.blobs["data"].data[...] = trio.online.blobs["dstar"].data
    trio.plain.forward()
    for number, blob in enumerate(trio.plain.params[bn]):
        assert abs(blob.data - before[number]).max() > 0
        np.testing.assert_array_equal(trio.online.params[bn][number].data, blob.data)
        shared = trio.online.params[online.BRANCH + bn][number]
        np.testing.assert_array_equal(shared.data, blob.data)


# ---- a run --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory, mini_images, cache_folder):
    """A finished run and its settings."""
    config = TrainConfig(
        net=TINY, data=str(mini_images), image_size=64, haap_mode="online", batch=8, max_iter=3,
        phase2_iter=30, snapshot=20, base_lr=0.01, threads=1, name="whole",
        runs_dir=str(tmp_path_factory.mktemp("runs")),
    )  # fmt: skip
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache_folder)
    try:
        return config, package.train(config)
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def test_nothing_is_written_and_the_report_says_how_it_was(run):
    config, result = run
    stages = [stage.name for stage in Run(result.folder).state().stages]
    assert stages == ["phase1", "phase2", "evaluation", "report"]
    assert not list(result.folder.rglob("*lmdb*"))
    assert "Elimination" not in (result.folder / "phase1" / "net.prototxt").read_text()
    assert result.evaluation.haap == "online" and result.evaluation.rewrites == []
    assert [phase.phase for phase in result.evaluation.phases] == ["phase1", "phase2"]
    assert len(result.evaluation.regions) == 2
    report = result.report.read_text()
    assert "Elimination in the net, online" in report and "of 240 maps were flat" in report
    rows = (result.folder / "phase2" / "metrics.csv").read_text().splitlines()
    assert rows[0] == "iteration,loss,lr,fallbacks" and len(rows) == 31
    noted = Run(result.folder).state().stages[1].online.to_json()
    assert noted == dict(images=240, fallbacks=sum(int(row.split(",")[3]) for row in rows[1:]))


def test_the_weights_load_by_name_into_the_plain_deploy_net(run, caffe):
    _, result = run
    weights, deploy = (
        str(result.folder / name) for name in ("phase2/final.caffemodel", "deploy.prototxt")
    )
    found = check_weights(read_net(deploy), weights)
    assert found["missing"] == [] and {"conv1", "conv2", "fc3", "fc4"} == set(found["matched"])
    stored = caffe_pb2.NetParameter()
    stored.ParseFromString(Path(weights).read_bytes())
    net = caffe.Net(deploy, caffe.TEST, weights=weights)
    plain = {layer.name: layer for layer in stored.layer}
    for name, blobs in net.params.items():
        for blob, kept in zip(blobs, plain[name].blobs):
            np.testing.assert_array_equal(blob.data.ravel(), np.array(kept.data, np.float32))
    first = caffe_pb2.NetParameter()
    first.ParseFromString((result.folder / "phase1" / "final.caffemodel").read_bytes())
    before = next(np.array(x.blobs[0].data) for x in first.layer if x.name == "conv1")
    assert abs(np.array(plain["conv1"].blobs[0].data) - before).max() > 1e-6  # it has learnt


@pytest.mark.usefixtures("usual_signals")
def test_a_stopped_online_phase_goes_on_to_the_same_bytes(run, private_cache):
    config, whole = run
    words = [sys.executable, "-m", "maap", "train", config.net, "--haap", "online"]
    for name in ("data", "image_size", "batch", "max_iter", "phase2_iter", "snapshot", "base_lr"):
        words += [configuration.option_name(name), str(getattr(config, name))]
    words += ["--threads", "1", "--runs-dir", config.runs_dir, "--name", "stopped"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    folder = Path(config.runs_dir) / "stopped"
    metrics = folder / "phase2" / "metrics.csv"
    wait_until(lambda: metrics.is_file() and metrics.read_text().count("\n") >= 4, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors.decode()
    stage = Run(folder).state().stages[1]
    assert stage.status == "running" and 0 < stage.iteration < 30
    package.train(dataclasses.replace(config, name="stopped", resume=True))
    for name in ("phase2/final.caffemodel", "phase2/metrics.csv"):
        assert (folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


# ---- mistakes -----------------------------------------------------------------------------------


def test_settings_that_do_not_go_with_it():
    with pytest.raises(MaapError, match="--haap online is for haap and maap, not for laap"):
        check.validate(TrainConfig(variant="laap", haap_mode="online"))
    with pytest.raises(MaapError, match="rounds: 2; --haap online finds the region at every"):
        check.validate(TrainConfig(haap_mode="online", rounds=2))
    with pytest.raises(MaapError, match="onlin.*did you mean online"):
        check.validate(TrainConfig(haap_mode="onlin"))
    assert default_name(TrainConfig(haap_mode="online")) == "alexnet-maap-online-demo"
    stored = TrainConfig(haap_mode="online")
    assert check.contradictions(stored, dict(haap_mode="rewrite")) == [
        "--haap is rewrite, the run has online"
    ]


def test_a_map_that_is_not_finite_says_what_to_try(caffe, folders, tmp_path):
    net = Trio(caffe, folders["tiny"], tmp_path, True, "ROI").online
    phase = object.__new__(phases._Phase)
    phase.settings = SimpleNamespace(title="phase 2, online", name="phase2")
    phase.solver = SimpleNamespace(net=net, iter=7, step=lambda count: net.forward())
    phase._step()
    if loader.name_of(caffe) != "fork":
        return  # BVLC Caffe ends the process; see supervise.py
    net.params["conv2"][1].data[...] = np.nan
    with pytest.raises(MaapError, match="iteration 7: an attention map is not finite.*--phase2-lr"):
        phase._step()


def test_nets_that_do_not_go_together(folders):
    train = resolve_train(folders["tiny"], True, CLASSES, BATCH, True)
    rewrite = resolve_rewrite(folders["tiny"], True, BATCH)
    other = copy.deepcopy(train)
    other.layer[2].name = "convolution1"
    with pytest.raises(NotForNet, match="layer conv1 .*the training net lacks it"):
        online.online_net(other, rewrite)
    recurrent = copy.deepcopy(rewrite)
    recurrent.layer[1].type = "LSTM"
    with pytest.raises(NotForNet, match="layer conv1: the weights of a LSTM layer cannot be"):
        online.online_net(train, recurrent)
    for nets in (train, rewrite):  # a type of somebody's own, in both
        nets.layer.add(name="mine", type="MyOwn", bottom=["conv2"], top=["mine"])
    with pytest.raises(NotForNet, match="layer mine: of type MyOwn, .* --haap rewrite"):
        online.online_net(train, rewrite)
    for nets in (train, rewrite):
        del nets.layer[-1]
    before = train.SerializeToString(), rewrite.SerializeToString()
    online.online_net(train, rewrite)
    assert before == (train.SerializeToString(), rewrite.SerializeToString())
