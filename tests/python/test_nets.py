"""The nets that the drivers make of a net folder."""

import copy
import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.host import loader
from maap.images.region_options import RegionOptions
from maap.nets.folder import find_net
from maap.nets.online import online_net
from maap.nets.prototxt import read_net, read_solver, write_text
from maap.nets.resolve import (
    _set_batch_norm,
    check_border,
    resolve_deploy,
    resolve_rewrite,
    resolve_solver,
    resolve_train,
    with_region_options,
)
from maap.nets.transform import data_transform, read_mean
from maap.training import prepare
from maap.util.schema import caffe_pb2

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "nets" / "tiny"
FOLDERS = [ROOT / "prototxt" / "alexnet", TINY]


@pytest.fixture(scope="module")
def caffe():
    return loader.load()


# ---- resolved nets and solvers ------------------------------------------------------------------


def test_train_net_is_fed_by_the_driver():
    net = resolve_train(find_net("alexnet"), True, 20, 8, False)
    inputs = [layer for layer in net.layer if layer.type == "Input"]
    assert not [layer for layer in net.layer if layer.type == "Data"]
    assert [layer.include[0].phase for layer in inputs] == [caffe_pb2.TRAIN, caffe_pb2.TEST]
    for layer in inputs:
        assert (layer.name, list(layer.top)) == ("data", ["data", "label"])
        assert [list(s.dim) for s in layer.input_param.shape] == [[8, 3, 227, 227], [8]]
    classifier = next(layer for layer in net.layer if layer.name == "fc8_cub")
    assert classifier.inner_product_param.num_output == 20
    assert [spec.lr_mult for spec in classifier.param] == [10, 20]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_from_scratch_all_layers_learn_alike(folder):
    files = find_net(folder)
    kept = {layer.name: layer for layer in read_net(files.train_val(True)).layer}
    net = resolve_train(files, True, 20, 8, True)
    learning = [layer for layer in net.layer if layer.type in ("Convolution", "InnerProduct")]
    assert len(learning) == {"alexnet": 8, "tiny": 4}[folder.name]
    for layer in learning:
        param = layer.inner_product_param
        param = param if layer.type == "InnerProduct" else layer.convolution_param
        assert (param.bias_filler.type, param.bias_filler.value) == ("constant", 0)
        assert [spec.lr_mult for spec in layer.param] == [1, 2]
        assert [spec.decay_mult for spec in layer.param] == [1, 0]
        if layer.type == "Convolution":
            assert param.weight_filler.type == "msra"
        else:
            assert param.weight_filler == kept[layer.name].inner_product_param.weight_filler


def test_from_scratch_a_layer_without_filler_gets_one():
    """The published VGG19 has no fillers; Caffe's default, zeros, would learn nothing."""
    net = resolve_train(find_net("vgg19"), False, 20, 1, True)
    fillers = {x.name: x.inner_product_param.weight_filler for x in net.layer}
    assert fillers["fc6"].type == fillers["fc8_cub"].type == "gaussian"
    assert fillers["fc6"].std == pytest.approx(0.005)
    assert fillers["fc8_cub"].std == pytest.approx(0.01)  # the file's


def test_batch_normalisation_is_frozen_or_trained():
    files = find_net("resnet152")

    def norms(*args):
        net = resolve_train(files, True, 20, 1, False, None, *args)
        return [x.batch_norm_param for x in net.layer if x.type == "BatchNorm"]

    for as_published in (norms(), norms("frozen"), norms("frozen", 0.5)):
        assert len(as_published) == 155
        assert all(param.use_global_stats for param in as_published)
        assert not any(param.HasField("moving_average_fraction") for param in as_published)
    assert not any(param.HasField("use_global_stats") for param in norms("train", 0.5))
    assert {param.moving_average_fraction for param in norms("train", 0.5)} == {0.5}
    assert not any(param.HasField("moving_average_fraction") for param in norms("train"))
    for net in (resolve_deploy(files, True, 20, 1), resolve_rewrite(files, True, 1)):
        used = [x.batch_norm_param.use_global_stats for x in net.layer if x.type == "BatchNorm"]
        assert used and all(used)


NORM = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 4 dim: 2 dim: 3 dim: 3 } } }
layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn"
        batch_norm_param { use_global_stats: true } }
"""


def test_frozen_statistics_stay_and_trained_ones_move(caffe, tmp_path):
    """What the two settings mean, in whichever Caffe this is."""
    source = broken(NORM, tmp_path)
    values = np.random.RandomState(1).randn(4, 2, 3, 3) * 3 + 5
    found = {}
    for how in ("frozen", "train"):
        text = read_net(source)
        _set_batch_norm(text, how, 0.75)
        write_text(text, tmp_path / f"{how}.prototxt")
        net = caffe.Net(str(tmp_path / f"{how}.prototxt"), caffe.TRAIN)
        for blob, value in zip(net.params["bn"], (1.0, 4.0, 1.0)):  # mean, variance, factor
            blob.data[...] = value
        net.blobs["data"].data[...] = values
        found[how] = net.forward()["bn"], [blob.data.copy() for blob in net.params["bn"]]
    out, stats = found["frozen"]
    np.testing.assert_allclose(out, (values - 1) / 2, rtol=1e-4)
    assert [float(s.flat[0]) for s in stats] == [1, 4, 1]
    out, stats = found["train"]
    mean = values.mean((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(
        out, (values - mean) / values.std((0, 2, 3), keepdims=True), rtol=1e-3
    )
    np.testing.assert_allclose(stats[0], 0.75 + mean.ravel(), rtol=1e-5)
    assert float(stats[2].flat[0]) == 1.75


def test_statistics_that_no_file_has_cannot_be_frozen(tmp_path):
    net = resolve_train(find_net("resnet152"), False, 20, 1, False)
    missing = ["bn_conv1", "scale_conv1", "fc_cub"]
    frozen = TrainConfig(weights="w", batch_norm="frozen")
    with pytest.raises(MaapError, match="no statistics of bn_conv1 .1 of 155.*--batch-norm train"):
        prepare._check_statistics(tmp_path / "w", net, frozen, missing)
    trained = TrainConfig(weights="w", batch_norm="train")
    prepare._check_statistics(tmp_path / "w", net, trained, missing)
    prepare._check_statistics(tmp_path / "w", net, frozen, ["fc_cub"])


def test_dropout_variants(tmp_path):
    files = find_net("alexnet")
    net = resolve_train(files, False, 20, 1, True, "relu3")
    assert [x.name for x in net.layer if x.type == "Dropout"] == ["drop3", "drop6", "drop7"]
    with pytest.raises(MaapError, match="no train_val_dropout_relu33.*did you mean relu3"):
        files.train_val(False, "relu33")
    with pytest.raises(MaapError, match="no variant of this net .* there is none"):
        find_net("vgg19").train_val(False, "relu1_1")


def test_scale_from_scratch():
    net = read_net(find_net("alexnet").train_val(True))
    assert data_transform(net, "TRAIN")["scale"] == 1
    assert data_transform(net, "TRAIN", from_scratch=True)["scale"] == 0.017
    for layer in net.layer:
        if layer.type == "Data":
            layer.transform_param.scale = 0.01
    found = data_transform(net, "TEST", from_scratch=True)
    assert found == dict(
        crop_size=227,
        mirror=False,
        mean_value=[104, 117, 123],
        mean_file=None,
        scale=0.01,  # the file's own scale is kept
        batch_size=50,
    )


def test_deploy_and_rewrite_take_their_numbers():
    files = find_net("alexnet")
    deploy = resolve_deploy(files, True, 7, 3)
    assert list(deploy.layer[0].input_param.shape[0].dim) == [3, 3, 227, 227]
    assert [x.inner_product_param.num_output for x in deploy.layer if x.name == "fc8_cub"] == [7]
    options = RegionOptions(threshold_at="map")
    rewrite = resolve_rewrite(files, True, 5, "allsoft-plus-one", options)
    assert rewrite.layer[-1].python_param.param_str == "a_star: ALLSOFT_PLUS_ONE threshold_at: MAP"
    assert rewrite.layer[0].input_param.shape[0].dim[0] == 5


def test_options_of_the_region_in_a_resolved_net():
    options = RegionOptions(component="strongest", padding=0.2)
    net = resolve_rewrite(find_net("alexnet"), True, 5, "drop", options)
    said = "a_star: DROP threshold_at: INPUT component: STRONGEST padding: 0.2"
    assert net.layer[-1].python_param.param_str == said
    other = with_region_options(net, RegionOptions(border=2))
    assert other.layer[-1].python_param.param_str == "a_star: DROP threshold_at: INPUT border: 2"
    assert net.layer[-1].python_param.param_str == said and len(other.layer) == len(net.layer)
    if "elimination_param" in net.layer[-1].DESCRIPTOR.fields_by_name:
        with_field = copy.deepcopy(net)
        with_field.layer[-1].ClearField("python_param")
        with_field.layer[-1].elimination_param.a_star = 3
        changed = with_region_options(with_field, options).layer[-1]
        assert changed.python_param.param_str == said.replace("DROP", "REDUCE")
        assert not changed.HasField("elimination_param")


def test_a_run_has_its_options_in_every_net_with_a_region():
    """In the rewrite net, in the online net's branch, and in the net of a run that rewrites
    nothing."""
    own = dict(component="strongest", threshold="mean", border=1)
    said = "threshold_at: INPUT threshold: MEAN component: STRONGEST border: 1"
    config = TrainConfig(net=str(TINY), a_star="drop", batch=2, from_scratch=True, **own)
    found = prepare._resolve_nets(find_net(TINY), config, 4)
    assert found["rewrite"].layer[-1].python_param.param_str == f"a_star: DROP {said}"
    joined = online_net(found["net"], found["rewrite"])
    (layer,) = [layer for layer in joined.layer if layer.type == "Elimination"]
    assert layer.python_param.param_str == f"a_star: DROP {said}"
    plain = prepare._resolve_nets(find_net(TINY), dataclasses.replace(config, variant="laap"), 4)
    assert plain["regions"].layer[-1].python_param.param_str == f"a_star: ROI {said}"


def test_a_border_is_checked_against_the_map():
    net = resolve_rewrite(find_net("alexnet"), True, 5)
    check_border(net, 6)
    words = "border: 7 is too large for the map of 13 x 13 at conv5; give at most 6"
    with pytest.raises(MaapError, match=words):
        check_border(net, 7)
    files = find_net(TINY)
    for variant in ("maap", "laap"):  # the latter has a net that finds regions, too
        config = TrainConfig(net=str(TINY), variant=variant, border=50, batch=2, from_scratch=True)
        with pytest.raises(MaapError, match="border: 50 is too large for the map of"):
            prepare._resolve_nets(files, config, 4)
        prepare._resolve_nets(files, dataclasses.replace(config, border=1), 4)


def test_solver_for_a_resolved_net():
    files = find_net("alexnet")
    overrides = dict(base_lr=0.25, max_iter=30, stepvalue=[10, 20], solver_mode="gpu", gamma=None)
    solver = resolve_solver(files, True, 2, overrides, "here/net.prototxt")
    assert solver.net == "here/net.prototxt" and solver.snapshot_prefix == "snapshot"
    assert (solver.snapshot, solver.snapshot_after_train, len(solver.test_iter)) == (0, False, 0)
    assert not solver.HasField("train_state")
    assert (solver.base_lr, solver.max_iter, list(solver.stepvalue)) == (0.25, 30, [10, 20])
    assert solver.solver_mode == caffe_pb2.SolverParameter.GPU
    kept = read_solver(files.solver(True, 2))
    for name in ("gamma", "momentum", "weight_decay", "lr_policy", "stepsize"):
        assert getattr(solver, name) == getattr(kept, name)


@pytest.mark.parametrize("laap", [False, True])
def test_training_lowers_the_loss(caffe, tmp_path, laap):
    """The tiny net, from scratch, learns two constant images; the same seed, the same losses."""
    files = find_net(TINY)
    net_path, solver_path = tmp_path / "net.prototxt", tmp_path / "solver.prototxt"
    write_text(resolve_train(files, laap, 2, 8, True), net_path)
    overrides = dict(base_lr=0.01, random_seed=5, display=0)
    write_text(resolve_solver(files, laap, 1, overrides, net_path), solver_path)

    def losses():
        caffe.set_random_seed(5)
        solver = caffe.get_solver(str(solver_path))
        label = np.arange(8) % 2
        found = []
        for _ in range(40):
            solver.net.blobs["label"].data[...] = label
            solver.net.blobs["data"].data[...] = (label * 2.0 - 1)[:, None, None, None]
            solver.step(1)
            found.append(float(solver.net.blobs["loss"].data))
        return found

    first, again = losses(), losses()
    assert np.mean(first[-5:]) < 0.3 * np.mean(first[:5])
    assert first == again


# ---- mistakes -----------------------------------------------------------------------------------


def broken(text, tmp_path, name="net.prototxt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_unknown_net_suggests_one():
    with pytest.raises(MaapError, match="alexnt.*did you mean alexnet"):
        find_net("alexnt")
    with pytest.raises(MaapError, match="known: .*alexnet"):
        find_net("zzz")


def test_folder_without_its_files(tmp_path):
    with pytest.raises(MaapError, match="not a net folder"):
        find_net(tmp_path)
    broken("", tmp_path, "train_val.prototxt")
    files = find_net(tmp_path)
    with pytest.raises(MaapError, match="solver_laap_phase2.prototxt: no such file"):
        files.solver(True, 2)


def test_missing_mean_file(tmp_path):
    net = read_net(find_net("alexnet").train_val(False))
    for layer in net.layer:
        if layer.type == "Data":
            layer.transform_param.ClearField("mean_value")
            layer.transform_param.mean_file = str(tmp_path / "mean.binaryproto")
    with pytest.raises(MaapError, match=r"mean\.binaryproto: no such file; layer data"):
        data_transform(net, "TRAIN")
    blob = caffe_pb2.BlobProto(num=1, channels=3, height=2, width=2, data=range(12))
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    path = data_transform(net, "TRAIN")["mean_file"]
    np.testing.assert_array_equal(read_mean(path), np.arange(12).reshape(3, 2, 2))
    path.write_bytes(b"no mean image")
    with pytest.raises(MaapError, match="not a mean image"):
        read_mean(path)


def test_a_runs_copy_of_the_mean_image_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    mean, run = tmp_path / "mean.binaryproto", tmp_path / "run"
    mean.write_bytes(caffe_pb2.BlobProto(num=1, channels=1, data=[7]).SerializeToString())
    run.mkdir()
    net = read_net(find_net("alexnet").train_val(False))
    for layer in net.layer:
        layer.transform_param.ClearField("mean_value")
        layer.transform_param.mean_file = str(mean)
    synced = []

    def fsync(handle):
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        synced.append((path, (run / mean.name).exists()))
        if path.is_file():
            assert path.read_bytes() == mean.read_bytes()

    monkeypatch.setattr(os, "fsync", fsync)
    found = prepare._input(SimpleNamespace(folder=run), net, "TRAIN", TrainConfig())
    assert found.mean_file == mean.name and (run / mean.name).is_file()
    (partial, named), (folder, renamed) = synced
    assert (partial.parent, named, folder, renamed) == (run, False, run, True)


def test_nets_that_cannot_be_resolved(tmp_path):
    for path in TINY.glob("*.prototxt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    files = find_net(tmp_path)
    with pytest.raises(MaapError, match="A\\*: 'SOME' is none of ROI"):
        resolve_rewrite(files, False, 1, "SOME")
    with pytest.raises(MaapError, match="1 class; a classifier needs at least two"):
        resolve_deploy(files, False, 1, 1)
    with pytest.raises(MaapError, match="no setting max_iters; did you mean max_iter"):
        resolve_solver(files, False, 1, dict(max_iters=3))
    with pytest.raises(MaapError, match="max_iter cannot be 'many'"):
        resolve_solver(files, False, 1, dict(max_iter="many"))
    text = (TINY / "train_val.prototxt").read_text(encoding="utf-8")
    broken(text.replace("crop_size: 56", ""), tmp_path, "train_val.prototxt")
    with pytest.raises(MaapError, match=r"train_val\.prototxt: layer data: .*crop_size"):
        resolve_train(files, False, 4, 1, False)
    broken(text.replace("SoftmaxWithLoss", "HingeLoss"), tmp_path, "train_val.prototxt")
    with pytest.raises(MaapError, match="no classifier is known"):
        resolve_train(files, False, 4, 1, False)
    broken('layers { name: "a" }', tmp_path, "deploy.prototxt")
    with pytest.raises(MaapError, match="upgrade_net_proto_text"):
        resolve_deploy(files, False, 4, 1)
    broken("base_lr: 1", tmp_path, "rewrite.prototxt")
    with pytest.raises(MaapError, match='rewrite.prototxt:1: unknown field "base_lr"'):
        resolve_rewrite(files, False, 1)
