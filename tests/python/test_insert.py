"""`maap insert`: where the layers go, what is written, what is refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import other_nets
import pytest
from maap.errors import MaapError
from maap.nets import graph, imported, placement
from maap.nets.attention_layers import REWRITE_TOPS, with_enhancement
from maap.nets.folder import find_net
from maap.nets.insert import describe_folder, insert
from maap.nets.prototxt import read_net, read_solver
from maap.nets.request import InsertRequest
from maap.nets.resolve import resolve_deploy, resolve_train
from maap.nets.shapes import blob_shapes
from maap.nets.transform import data_transform
from maap.nets.write import batches_for, write_folder
from net_facts import PAPER
from other_nets import CONV, FC, HEAD, SOFTMAX, write


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name -> its net folder, the layers where they are recommended."""
    root = tmp_path_factory.mktemp("folders")
    for name in other_nets.FILES:
        other_nets.folder_of(name, root / name)
    return root


# ---- what is written ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", other_nets.FILES)
def test_a_folder_has_what_every_net_folder_has(folders, name):
    files = {path.name for path in (folders / name).glob("*.prototxt")}
    assert files == {path.name for path in find_net("vgg19").folder.glob("*.prototxt")}
    assert (folders / name / "snapshots").is_dir()
    found = find_net(folders / name)
    for laap in (False, True):
        assert data_transform(read_net(found.train_val(laap)), "TRAIN")["crop_size"]
        for phase in (1, 2):
            solver = read_solver(found.solver(laap, phase))
            assert solver.net == str(found.train_val(laap)) and solver.base_lr > 0
            assert list(solver.train_state.stage) == (["phase2"] if phase == 2 else [])
        rewrite = read_net(found.rewrite(laap))
        assert rewrite.layer[-1].type == "Elimination"
        for net in (rewrite, read_net(found.deploy(laap))):
            assert sum(layer.type == "Enhancement" for layer in net.layer) == int(laap)


def test_images_enter_as_in_the_network(folders):
    net = read_net(find_net(folders / "inception").train_val(True))
    assert data_transform(net, "TRAIN") == dict(
        crop_size=56, mirror=True, mean_value=[100, 110, 120], mean_file=None, scale=0.017,
        batch_size=4,
    )  # fmt: skip
    sources = [layer.data_param.source for layer in net.layer if layer.type == "Data"]
    assert sources == ["examples/train_lmdb", "data/inception_maap/train_lmdb", "examples/val_lmdb"]
    lenet = read_net(find_net(folders / "lenet").train_val(False))
    found = data_transform(lenet, "TEST")
    assert (found["crop_size"], found["scale"], found["mean_value"]) == (28, 0.00390625, [])


def test_a_deploy_net_gets_what_training_needs(folders):
    net = read_net(find_net(folders / "squeeze").train_val(False))
    assert [layer.type for layer in net.layer[-2:]] == ["Accuracy", "SoftmaxWithLoss"]
    fillers = {
        layer.convolution_param.weight_filler.type
        for layer in net.layer
        if layer.type == "Convolution"
    }
    assert fillers == {"msra", "gaussian"}  # the classifier's; Caffe's own default is all zero


def test_the_deploy_net_is_the_way_to_the_main_classifier(folders):
    for laap in (False, True):
        net = read_net(find_net(folders / "inception").deploy(laap))
        assert not [layer.name for layer in net.layer if layer.name.startswith("loss1/")]
        assert list(net.layer[-1].bottom) == ["loss3/classifier"]


@pytest.mark.parametrize(
    "name, classifiers",
    [
        ("squeeze", {"conv3_new"}),  # a convolution with a global pooling behind it
        ("inception", {"loss1/classifier_new", "loss3/classifier_new"}),
        ("lenet", {"ip2_new"}),
    ],
)
def test_every_classifier_gets_the_classes_of_the_data(folders, name, classifiers):
    files = find_net(folders / name)
    net = resolve_train(files, True, 7, 2, False)
    made = {
        layer.name
        for layer in net.layer
        if 7 in (layer.inner_product_param.num_output, layer.convolution_param.num_output)
    }
    assert made == classifiers
    main = [end for end in graph.classifiers(net)][-1].layer.name
    assert [spec.lr_mult for spec in _layer(net, main).param] in ([10, 20], [10, 10])
    deploy = resolve_deploy(files, True, 7, 2)
    layer = _layer(deploy, main)
    assert 7 in (layer.inner_product_param.num_output, layer.convolution_param.num_output)


def _layer(net, name):
    return next(layer for layer in net.layer if layer.name == name)


def test_a_relu_behind_a_new_classifier_is_left_out(folders):
    """In front of the losses and of the probabilities; those of other layers stay."""
    for net in (read_net(find_net(folders / "squeeze").train_val(True)),
                read_net(find_net(folders / "squeeze").deploy(False))):  # fmt: skip
        names = [layer.name for layer in net.layer]
        assert "relu_conv3" not in names and "fire2/relu_expand3x3" in names
        assert names.index("pool3") == names.index("conv3_new") + 1
        assert list(_layer(net, "pool3").bottom) == ["conv3"]
    filler = _layer(read_net(find_net(folders / "squeeze").train_val(True)), "conv3_new")
    assert filler.convolution_param.weight_filler.type == "gaussian"
    assert filler.convolution_param.weight_filler.std == pytest.approx(0.01)


engine_only = pytest.mark.skipif(
    os.environ.get("MAAP_HOST") != "fork", reason="the engine's own type"
)
NIN = """name: "nin"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 32, 32] } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" RATES
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "act1" type: "ReLU" bottom: "conv1" top: "act1" }
layer { name: "conv2" type: "Convolution" bottom: "act1" top: "conv2" CLASSES
  convolution_param { num_output: 5 kernel_size: 1 } }
layer { name: "act2" type: "KIND" bottom: "conv2" top: "act2" }
layer { name: "drop" type: "Dropout" bottom: "act2" top: "act2" }
layer { name: "pool" type: "Pooling" bottom: "act2" top: "pool"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "prob" type: "Softmax" bottom: "pool" top: "prob" }"""


def inserted(tmp_path, kind="ReLU", rates="", classes="", **settings):
    file = tmp_path / "nin.prototxt"
    file.write_text(NIN.replace("KIND", kind).replace("RATES", rates).replace("CLASSES", classes))
    lines = insert(InsertRequest(file=file, out=tmp_path / "net", **settings))
    return read_net(find_net(tmp_path / "net").train_val(False)), "\n".join(lines)


@pytest.mark.parametrize("kind", ["ReLU", pytest.param("ReLU6", marks=engine_only)])
def test_one_that_is_not_in_place(tmp_path, kind):
    net, said = inserted(tmp_path, kind)
    names = [layer.name for layer in net.layer]
    assert "act2" not in names and "act1" in names
    assert list(_layer(net, "conv2_new").top) == list(_layer(net, "pool").bottom) == ["act2"]
    assert "act2, the ReLU behind conv2_new, is left out" in said
    resolve_train(find_net(tmp_path / "net"), True, 7, 2, True)


def test_what_cannot_die_or_is_kept_stays(tmp_path):
    """A leaky activation; and any behind a classifier that keeps its weights."""
    net, said = inserted(tmp_path, "PReLU")
    assert "act2" in [layer.name for layer in net.layer] and "left out" not in said
    (tmp_path / "kept").mkdir()
    net, said = inserted(tmp_path / "kept", keep_classifier=True)
    assert "act2" in [layer.name for layer in net.layer] and "left out" not in said


@pytest.mark.parametrize(
    "others, own, made",
    [
        ("", "", [10, 10]),
        ("", "param { lr_mult: 10 } param { lr_mult: 20 }", [10, 20]),  # fine-tuned before
        ("param { lr_mult: 0 }", "param { lr_mult: 1 } param { lr_mult: 2 }", [10, 20]),
        ("param { lr_mult: 2 }", "param { lr_mult: 4 } param { lr_mult: 8 }", [20, 40]),
        ("", "param { lr_mult: 100 } param { lr_mult: 100 }", [100, 100]),
    ],
)
def test_the_new_classifier_learns_ten_times_as_fast_as_the_others(tmp_path, others, own, made):
    net, _ = inserted(tmp_path, rates=others, classes=own)
    assert [spec.lr_mult for spec in _layer(net, "conv2_new").param] == made


def test_the_classifier_can_be_kept(tmp_path):
    other_nets.folder_of("lenet", tmp_path / "net", keep_classifier=True, mean=[1.0])
    net = read_net(find_net(tmp_path / "net").train_val(False))
    assert [spec.lr_mult for spec in _layer(net, "ip2").param] == [1, 2]
    assert data_transform(net, "TRAIN")["mean_value"] == [1]


def test_numbers_from_the_networks_own_solver(tmp_path):
    solver = tmp_path / "solver.prototxt"
    solver.write_text(
        'net: "x" base_lr: 0.25 lr_policy: "multistep" stepvalue: [5, 9] type: "Adam" max_iter: 12 '
        'test_iter: 3 test_interval: 4 snapshot_prefix: "y"'
    )
    other_nets.folder_of("lenet", tmp_path / "net", solver=str(solver))
    made = read_solver(find_net(tmp_path / "net").solver(True, 2))
    assert (made.base_lr, list(made.stepvalue), made.type) == (0.25, [5, 9], "Adam")
    assert (made.net, made.max_iter) == (str(tmp_path / "net/train_val_laap.prototxt"), 12)


# ---- other forms of a network -------------------------------------------------------------------


def test_blobs_called_otherwise_get_the_names_the_drivers_use(tmp_path):
    """Here the images are `label` and a later blob is `data`."""
    text = HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + FC + SOFTMAX
    for old, new in (('"data"', '"x"'), ('"conv"', '"data"'), ('"x"', '"label"')):
        text = text.replace(f"top: {old}", f"top: {new}").replace(
            f"bottom: {old}", f"bottom: {new}"
        )
    net = imported.read_network(write(tmp_path, text))
    conv, fc = net.path
    assert list(conv.bottom) == ["data"] and list(conv.top) == list(fc.bottom)
    assert conv.top[0] not in ("data", "label")


def test_phases_are_told_apart(tmp_path):
    """A layer that is there in one phase alone does not lead to the scores in the other."""
    extra = (
        'layer { name: "noise" type: "Dropout" bottom: "conv" top: "conv" '
        "include { phase: TRAIN } } "
    )
    text = HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + extra + FC
    text += (
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "truth" top: "loss" } '
    )
    text = text.replace('top: "data" input', 'top: "data" top: "truth" input')
    net = imported.read_network(write(tmp_path, text))
    assert [layer.name for layer in net.path] == ["conv", "fc"]
    assert [layer.name for layer in net.train] == ["conv", "noise", "fc", "loss"]
    layer = with_enhancement(net.train, "conv", "enhance")[1]
    assert layer.type == "Enhancement" and list(layer.top) != ["conv"]  # for the dropout's sake


OLDEST = """
name: "oldest" input: "data" input_dim: 1 input_dim: 3 input_dim: 20 input_dim: 20
layers { layer { name: "pad1" type: "padding" pad: 1 } bottom: "data" top: "pad1" }
layers { layer { name: "conv1" type: "conv" num_output: 4 kernelsize: 3 blobs_lr: 1 blobs_lr: 2 }
         bottom: "pad1" top: "conv1" }
layers { layer { name: "relu1" type: "relu" } bottom: "conv1" top: "conv1" }
layers { layer { name: "ip" type: "innerproduct" num_output: 5 } bottom: "conv1" top: "ip" }
layers { layer { name: "prob" type: "softmax" } bottom: "ip" top: "prob" }
"""


def test_the_oldest_form_of_all(tmp_path):
    """That of 2013: layers within layers, padding as a layer of its own."""
    net = imported.read_network(write(tmp_path, OLDEST))
    assert [layer.name for layer in net.path] == ["conv1", "relu1", "ip"]
    assert list(net.path[0].convolution_param.pad) == [1]
    assert [spec.lr_mult for spec in net.path[0].param] == [1, 2]
    shapes = blob_shapes(net)
    assert placement.recommend(net, shapes)[0] == placement.Place("relu1", (4, 20, 20))


def test_blobs_called_like_the_rewriting_nets_tops_give_way(tmp_path):
    text = HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + FC + SOFTMAX
    path = write(tmp_path, text.replace('"conv"', '"attention"'))
    insert(InsertRequest(path, out=tmp_path / "out"))
    rewrite = read_net(find_net(tmp_path / "out").rewrite(True))
    assert [layer.name for layer in rewrite.layer][1] == "attention"  # weights load by that
    written = [blob for layer in rewrite.layer for blob in set(layer.top) - set(layer.bottom)]
    assert len(written) == len(set(written)) and set(REWRITE_TOPS) <= set(written)
    assert rewrite.layer[-1].bottom[0] in written[:-4]


def test_a_mean_image_that_is_missing_is_said(tmp_path):
    text = other_nets.FILES["inception"].read_text()
    text = text.replace("mean_value: 100 mean_value: 110 mean_value: 120", 'mean_file: "mean.bin"')
    path = write(tmp_path, text)
    lines = insert(InsertRequest(path, out=tmp_path / "out"))
    assert [line for line in lines if "mean image mean.bin is not there" in line]
    lines = insert(InsertRequest(path, out=tmp_path / "two", mean=[1.0, 2.0, 3.0]))
    assert not [line for line in lines if "mean image" in line]
    net = read_net(find_net(tmp_path / "two").train_val(True))
    assert data_transform(net, "TRAIN")["mean_value"] == [1, 2, 3]


# ---- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, why",
    [
        (HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + FC, "no classification network.*fc"),
        (HEAD + "dim: 1 dim: 20 dim: 20 } } } " + CONV + FC + SOFTMAX, "1 channel.*colour"),
        (HEAD + "dim: 3 dim: 20 dim: 30 } } } " + CONV + FC + SOFTMAX, "20 x 30 pixels.*square"),
        (
            HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + SOFTMAX.replace("fc", "conv2"),
            "layer prob does not take its scores \\(conv2\\) from an InnerProduct or Convolution",
        ),
        (
            HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + FC.replace('"conv"', '"other"', 1)
            + SOFTMAX,
            "the scores come from no input",
        ),
        ('net: "train_val.prototxt"', 'unknown field "net"'),
        ("layers { name: 'a' type: NONSENSE }", "NONSENSE"),
        (" ", "no layer in it"),
    ],
)  # fmt: skip
def test_networks_that_are_refused(tmp_path, text, why):
    with pytest.raises(MaapError, match=why):
        imported.read_network(write(tmp_path, text))


def test_a_network_without_a_size(tmp_path):
    with pytest.raises(MaapError, match="layer digits has no crop_size.*--input-size"):
        imported.read_network(other_nets.FILES["lenet"])


def test_attention_is_not_inserted_twice(folders):
    path = folders / "lenet" / "train_val_laap.prototxt"
    with pytest.raises(MaapError, match="has attention layers already \\(enhance_conv1\\)"):
        imported.read_network(path)


def test_a_folder_that_is_there_is_left_alone(folders):
    before = (folders / "lenet" / "deploy.prototxt").read_bytes()
    with pytest.raises(MaapError, match="is there already and not empty"):
        other_nets.folder_of("lenet", folders / "lenet", enhance_after="conv2")
    assert (folders / "lenet" / "deploy.prototxt").read_bytes() == before


def test_the_command_line(tmp_path):
    def maap(*words):
        command = [sys.executable, "-m", "maap", "insert", *map(str, words)]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    look = maap(other_nets.FILES["squeeze"], "--dry-run")
    assert look.returncode == 0 and "fire2/concat" in look.stdout, look.stderr
    assert "<- Enhancement" in look.stdout and "recommended: the last" in look.stdout
    wrong = maap(other_nets.FILES["squeeze"], "--enhance-after", "relu1", "--dry-run")
    assert wrong.returncode == 1 and wrong.stderr.startswith("error: "), wrong.stderr
    nowhere = maap(other_nets.FILES["squeeze"])
    assert nowhere.returncode == 1 and "--out DIR" in nowhere.stderr
    made = maap(
        other_nets.FILES["squeeze"], "--out", tmp_path / "net", "--eliminate-after", "fire2/concat"
    )
    assert made.returncode == 0, made.stderr
    assert "Elimination after fire2/concat, map 16 x 15 x 15 (as asked)" in made.stdout
    assert f"maap train --net-dir {tmp_path / 'net'}" in made.stdout


# ---- the paper's own networks -------------------------------------------------------------------


def plain(path):
    """A net's layers without what a folder chooses: attention layers' names, the data's places."""
    net = read_net(path)
    for layer in net.layer:
        if layer.type in ("Enhancement", "Elimination"):
            layer.ClearField("name")
        layer.data_param.ClearField("source")
        for shape in layer.input_param.shape:
            shape.dim[0] = 1
    return list(net.layer)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_networks_come_out_as_they_are_here(tmp_path, name):
    """Inserted into the baseline, the layers make the very nets that prototxt/ has for LAAP."""
    here, out = find_net(name), tmp_path / name
    net = imported.read_network(here.train_val(False))
    shapes = {blob: (1, 8, 14, 14) for layer in net.path for blob in layer.top}
    plan = placement.plan(net, shapes, *PAPER[name])
    write_folder(describe_folder(plan, out), out)
    made = find_net(out)
    for laap in (False, True):
        for kind in ("train_val", "deploy", "rewrite"):
            expected = plain(getattr(here, kind)(laap))
            assert plain(getattr(made, kind)(laap)) == expected, (kind, laap)


# ---- numbers of the solvers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "batch, images, count, note",
    [
        (50, 5794, 116, "x 50 = 5,800: CUB's 5,794 test images and the first 6 once more"),
        (10, 5790, 579, "x 10 = 5,790: CUB's test images"),
        (8, 9, 2, "x 8 = 16: CUB's 9 test images and the first 7 once more"),
    ],
)
def test_batches_cover_all_images(batch, images, count, note):
    assert batches_for(batch, images, "CUB's") == ([count], note)


def solvers(folders):
    here = [path for name in PAPER for path in find_net(name).folder.glob("solver*.prototxt")]
    return [*here, *folders.glob("*/solver*.prototxt")]


def test_what_a_solver_says_of_its_test_images_is_true(folders):
    """test_iter x the net's batch is the number in the comment."""
    seen = 0
    for path in solvers(folders):
        solver = read_solver(path)
        net = read_net(path.parent / Path(solver.net).name)
        batch = data_transform(net, "TEST")["batch_size"]
        (line,) = re.findall(r"^test_iter: .*", path.read_text(), re.M)
        factor, total = re.search(r"# x ([\d,]+) = ([\d,]+)", line).groups()
        assert int(factor) == batch
        assert int(total.replace(",", "")) == solver.test_iter[0] * batch, path
        of_cub = "5,794 test images" in line
        assert of_cub or "images: set it to yours" in line, line
        seen += 1
        if of_cub:
            assert 5794 <= solver.test_iter[0] * batch < 5794 + batch
    assert seen == 12 + 4 * len(other_nets.FILES)


def test_a_folders_files_are_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    out, synced = tmp_path / "net", []

    def fsync(handle):
        synced.append((Path(os.readlink(f"/proc/self/fd/{handle}")).name, out.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    other_nets.folder_of("lenet", out)
    files = {path.name for path in out.glob("*.prototxt")}
    assert len(files) == 10
    before = [name for name, there in synced if not there]
    assert files <= set(before) and before[-1] == ".partial-net"
    assert [name for name, there in synced if there] == [tmp_path.name]
