"""The net folders against their generators, the published networks (tests/facts), and at work."""

import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

import net_facts
import numpy as np
import pytest
from maap.host import loader
from maap.images.region_options import RegionOptions
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net, write_text
from maap.nets.resolve import resolve_deploy, resolve_rewrite, resolve_train
from maap.nets.transform import data_transform
from maap.util.schema import caffe_pb2

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "nets" / "tiny"
NETS = ("alexnet", "vgg19", "resnet152")  # those with published facts in tests/facts
FOLDERS = [*sorted(path.parent for path in ROOT.glob("prototxt/*/generate.py")), TINY]
INPUTS = dict(alexnet=3, vgg19=1, resnet152=1)  # the first rows: test_input_as_published
CLASSIFIER = dict(alexnet=("fc8_cub", "fc8"), vgg19=("fc8_cub", "fc8"),
                  resnet152=("fc_cub", "fc1000"))  # fmt: skip
AT_200 = dict(alexnet=57_687_624, vgg19=140_389_640, resnet152=58_553_608)  # learnable values
DROPOUTS = dict(alexnet=["relu1", "relu2", "relu3", "relu4", "relu5"])  # paper, table 2
AFTER = dict(net_facts.PAPER, tiny=("relu1", "relu2"))


def facts(name):
    """What net_facts.tsv says of a network: key -> value."""
    return {
        row["key"]: row["value"] for row in net_facts.rows("net_facts") if row["network"] == name
    }


ROWS = {name: net_facts.rows(name) for name in NETS}


@pytest.fixture(scope="module")
def caffe():
    return loader.load()


def sites(folder):
    """(behind which layer Enhancement is, behind which Elimination is), of the folder's recipe."""
    if folder.name in AFTER:
        return AFTER[folder.name]
    with mock.patch.object(sys, "path", list(sys.path)):  # a generator adds to it
        made = runpy.run_path(str(folder / "generate.py"))
    (recipe,) = [each for each in made.values() if type(each).__name__ == "Recipe"]
    return recipe.enhance[0], recipe.eliminate[0]


def with_fillers(net, kind):
    """A copy whose layers all start from ``kind``: "constant" (zeros) costs no time."""
    copy = caffe_pb2.NetParameter()
    copy.CopyFrom(net)
    for layer in copy.layer:
        for name in ("convolution_param", "inner_product_param"):
            if layer.HasField(name):
                getattr(layer, name).ClearField("bias_filler")
                getattr(layer, name).weight_filler.Clear()
                getattr(layer, name).weight_filler.type = kind
    return copy


def load(caffe, net, path, phase="TEST", filler="constant"):
    write_text(with_fillers(net, filler), path)
    return caffe.Net(str(path), getattr(caffe, phase))


def published(net, name):
    """``net`` with the published classifier's name, size, rates and fillers."""
    ours, theirs = CLASSIFIER[name]
    rates = dict(alexnet=[10, 20]).get(name, [10, 10])
    for layer in net.layer:
        for blobs in (layer.top, layer.bottom):
            for i, blob in enumerate(blobs):
                blobs[i] = theirs if blob == ours else blob
        if layer.name == ours:
            assert [spec.lr_mult for spec in layer.param] == rates
            layer.name = theirs
            layer.inner_product_param.num_output = 1000
            for spec in layer.param:
                spec.lr_mult /= 10
            if name != "alexnet":  # the others were published without any
                assert layer.inner_product_param.weight_filler.std == pytest.approx(0.01)
                layer.inner_product_param.ClearField("weight_filler")
                layer.inner_product_param.ClearField("bias_filler")
    return net


class Published:
    """The nets of a folder with the published classifier, as text and loaded when asked for."""

    def __init__(self, caffe, name, folder):
        self._caffe, self._folder, self._nets = caffe, folder, {}
        self.name, files = name, find_net(name)
        train_val = published(resolve_train(files, False, 1000, 1, False), name)
        deploy = published(resolve_deploy(files, False, 1000, 1), name)
        self._texts = dict(train=train_val, test=train_val, deploy=deploy)

    def layers(self, kind):
        return {layer.name: layer for layer in self._texts[kind].layer}

    def net(self, kind):
        if kind not in self._nets:
            phase = "TRAIN" if kind == "train" else "TEST"
            path = self._folder / f"{self.name}-{kind}.prototxt"
            self._nets[kind] = load(self._caffe, self._texts[kind], path, phase)
        return self._nets[kind]


@pytest.fixture(scope="module", params=NETS)
def thousand(caffe, tmp_path_factory, request):
    return Published(caffe, request.param, tmp_path_factory.mktemp("published"))


# ---- the files ----------------------------------------------------------------------------------


def test_the_published_networks_are_here():
    assert {folder.name for folder in FOLDERS} >= {*NETS, "tiny"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_generator_writes_these_files(folder, tmp_path):
    command = [sys.executable, str(folder / "generate.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    kept = {path.name: path.read_bytes() for path in folder.glob("*.prototxt")}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert len(kept) == 10 + len(DROPOUTS.get(folder.name, ()))
    (tmp_path / "deploy.prototxt").write_text("name: 'edited'")
    checked = subprocess.run([*command, "--check"], capture_output=True, text=True)
    assert checked.returncode == 1 and "deploy.prototxt" in checked.stdout


def test_layers_are_the_published_ones(thousand):
    """Names, types, bottoms, tops, parameters, fillers, rates, blob and top shapes."""
    silent = {"idx", "net", "pool_round", "extra"}  # given by the layer, or notes
    wrong = []
    for row in ROWS[thousand.name][INPUTS[thousand.name] :]:
        for kind in row["net"].split(","):
            layer = thousand.layers(kind)[row["name"]]
            blobs = net_facts.describe_blobs(layer, thousand.net(kind))
            found = {**net_facts.describe(layer), **blobs}
            missed = {key for key, value in row.items() if value and key not in found} - silent
            differ = {key: (value, row[key]) for key, value in found.items() if value != row[key]}
            if missed or differ:
                wrong.append((kind, row["name"], "ours, published:", differ, "skipped:", missed))
    assert not wrong


def test_train_val_has_the_layers_of_deploy():
    """VGG19 and ResNet-152 were published as deploy nets alone; ours train the same layers."""
    for name in NETS:
        files = find_net(name)
        for laap in (False, True):
            deploy = list(read_net(files.deploy(laap)).layer)[1:-1]  # but data and prob
            train_val = list(read_net(files.train_val(laap)).layer)
            assert train_val[3:-2] == deploy  # three Data layers; accuracy and loss


def test_no_layer_besides_the_published_ones(thousand):
    rows = ROWS[thousand.name]
    for kind in {kind for row in rows for kind in row["net"].split(",")}:
        names = [name for name in thousand.net(kind)._layer_names if not name.endswith("_split")]
        expected = [row["name"] for row in rows if kind in row["net"].split(",")]
        expected = ["data" if name == "input" else name for name in expected]
        # The loss and the accuracy stand in the published file in the other order than in ours.
        assert sorted(names) == sorted(expected)
        assert names[: len(expected) - 2] == expected[:-2]


def test_published_split_layers(thousand):
    """The 50 Split layers that the published ResNet-152 weights carry are those Caffe makes."""
    if thousand.name == "resnet152":
        splits = [n for n in thousand.net("deploy")._layer_names if n.endswith("_split")]
        assert len(splits) == 50


def test_alexnet_input_as_published():
    train_val = read_net(find_net("alexnet").train_val(False))
    for row in ROWS["alexnet"][:2]:
        given = dict(pair.split("=") for pair in row["extra"].split(";"))
        found = data_transform(train_val, row["net"].upper())
        assert row["type"] == "Data" and row["tops"] == "data,label"
        assert found["crop_size"] == int(given["crop_size"])
        assert found["mirror"] == (given["mirror"] == "true")
        assert found["scale"] == float(given["scale"])


@pytest.mark.parametrize("name", NETS)
def test_input_as_published(name):
    files, told = find_net(name), facts(name)
    row = ROWS[name][INPUTS[name] - 1]
    shape = read_net(files.deploy(False)).layer[0].input_param.shape[0].dim
    assert f"published_shape={'x'.join(map(str, shape))}" in row["extra"].split(";")
    mean = [float(m) for m in told.get("mean_bgr", told.get("mean_bgr_of_file")).split(",")]
    for phase in ("TRAIN", "TEST"):
        found = data_transform(read_net(files.train_val(False)), phase)
        assert found["crop_size"] == int(told["crop_size"])
        assert found["mirror"] == (phase == "TRAIN")
        near = 0.4 if name == "alexnet" else 1e-5  # AlexNet's is rounded, as its file says
        np.testing.assert_allclose(found["mean_value"], mean, atol=near)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_variants_differ_in_the_attention_layers_alone(folder):
    files = find_net(folder)
    enhance, eliminate = sites(folder)
    for file in (files.train_val, files.deploy, files.rewrite):
        plain, laap = read_net(file(False)), read_net(file(True))
        # data_param.source of the rewritten images differs on purpose
        for net in (plain, laap):
            for layer in net.layer:
                layer.data_param.ClearField("source")
        added = [layer for layer in laap.layer if layer.type == "Enhancement"]
        assert [layer for layer in laap.layer if layer.type != "Enhancement"] == list(plain.layer)
        assert len(added) == 1 and list(added[0].bottom) == list(added[0].top)
        at = list(laap.layer).index(added[0])
        assert laap.layer[at - 1].name == enhance
        assert list(laap.layer[at - 1].top) == list(added[0].bottom)
    rewrite, deploy = (read_net(path) for path in (files.rewrite(True), files.deploy(True)))
    assert list(rewrite.layer)[:-1] == list(deploy.layer)[: len(rewrite.layer) - 1]
    last = rewrite.layer[-1]
    assert last.type == "Elimination" and last.bottom[1] == "data"
    assert rewrite.layer[-2].name == eliminate


@pytest.mark.parametrize("after", DROPOUTS["alexnet"])
def test_dropout_variants_are_the_baseline_and_one_layer(after):
    files = find_net("alexnet")
    plain = list(read_net(files.train_val(False)).layer)
    found = list(read_net(files.train_val(False, after)).layer)
    at = [layer.name for layer in found].index(after) + 1
    added = found.pop(at)
    assert found == plain
    assert added.type == "Dropout" and added.dropout_param.dropout_ratio == 0.5
    assert list(added.bottom) == list(added.top) == list(found[at - 1].top)


# ---- in Caffe -----------------------------------------------------------------------------------


def test_parameter_count(thousand, caffe, tmp_path):
    """Learnable values and statistics, at 1000 classes (published) and at 200 (READMEs)."""
    name = thousand.name
    told = facts(name)

    def count(net, kinds):
        layers = zip(net._layer_names, net.layers)
        return sum(b.count for _, x in layers if (x.type == "BatchNorm") == kinds for b in x.blobs)

    assert count(thousand.net("deploy"), False) == int(told["n_learnable"].split()[0])
    assert count(thousand.net("deploy"), True) == int(told.get("n_bn_stats", "0").split()[0])
    for laap in (False, True):
        deploy = resolve_deploy(find_net(name), laap, 200, 1)
        net = load(caffe, deploy, tmp_path / "net.prototxt")
        assert count(net, False) == AT_200[name]
        assert f"{AT_200[name]:,}" in (ROOT / "prototxt" / name / "README.md").read_text(
            encoding="utf-8"
        )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("laap", [False, True])
def test_rewrite_net_runs(caffe, tmp_path, folder, laap):
    rewrite = resolve_rewrite(find_net(folder), laap, 1, "ALLSOFT", RegionOptions("map"))
    net = load(caffe, rewrite, tmp_path / "rewrite.prototxt", filler="msra")
    for layer in net.layers:  # frozen statistics start at 0, which leaves nothing of the image
        if layer.type == "BatchNorm":
            layer.blobs[1].data[...] = 1
            layer.blobs[2].data[...] = 1
    # Small values: nothing holds down the sums of 14 residual blocks.
    size = net.blobs["data"].data.shape[-1]
    net.blobs["data"].data[...] = np.random.RandomState(3).uniform(-0.02, 0.02, (1, 3, size, size))
    out = net.forward()
    shapes = {name: blob.shape for name, blob in out.items()}
    assert shapes == dict(
        dstar=(1, 3, size, size), region=(1, 4), attention=(1, 1, size, size), stats=(1, 5)
    )
    assert np.ptp(out["attention"]) > 1e-6
    # ALLSOFT: D* = A x D everywhere, which the default (ROI) is not
    product = out["attention"] * net.blobs["data"].data
    np.testing.assert_allclose(out["dstar"], product, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["vgg19", "resnet152"])
def test_first_loss_from_random_weights(caffe, tmp_path, name):
    """Near ln(classes), and its gradient arrives at the first convolution."""
    path = tmp_path / "net.prototxt"
    net = resolve_train(find_net(name), True, 10, 2, True, None, "train")
    write_text(net, path)
    caffe.set_random_seed(2)
    net = caffe.Net(str(path), caffe.TRAIN)
    net.blobs["data"].data[...] = np.random.RandomState(5).randn(2, 3, 224, 224)
    net.blobs["label"].data[...] = [3, 7]
    net.forward()
    assert abs(float(net.blobs["loss"].data) - np.log(10)) < 1.2
    net.backward()
    first = net.params["conv1_1" if name == "vgg19" else "conv1"][0].diff
    assert np.isfinite(first).all() and np.abs(first).max() > 0
