"""`maap insert`: where the layers go, what is written, what is refused."""

import subprocess
import sys

import other_nets
import pytest
from maap.errors import MaapError
from maap.nets import graph, imported, insert
from maap.nets import write as net_folder
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net, read_solver
from maap.nets.resolve import REWRITE_TOPS, resolve_deploy, resolve_train
from maap.nets.transform import data_transform


@pytest.fixture(scope="module")
def shapes():
    """Name -> the shapes of its blobs, from the host's Caffe."""
    return {name: insert.blob_shapes(other_nets.read(name)) for name in other_nets.FILES}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name -> its net folder, the layers where they are recommended."""
    root = tmp_path_factory.mktemp("folders")
    for name in other_nets.FILES:
        other_nets.folder_of(name, root / name)
    return root


def write(tmp_path, text):
    path = tmp_path / "net.prototxt"
    path.write_text(text, encoding="utf-8")
    return path


# ---- where -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, first, last",
    [
        ("squeeze", ("relu_conv1", (8, 31, 31)), ("fire2/relu_expand3x3", (8, 15, 15))),
        (
            "inception",
            ("conv1/relu_7x7", (8, 28, 28)),
            ("inception_3a/relu_pool_proj", (4, 14, 14)),
        ),
        ("lenet", ("conv1", (8, 24, 24)), ("conv1", (8, 24, 24))),  # conv2's map is 8x8
    ],
)
def test_the_first_and_the_last_roomy_convolution_are_recommended(shapes, name, first, last):
    found = insert.recommend(other_nets.read(name), shapes[name])
    assert [(place.after, place.shape) for place in found] == [first, last]


@pytest.mark.parametrize(
    "asked, after",
    [
        ("conv1/7x7_s2", "conv1/relu_7x7"),  # behind what finishes its blob
        ("inception_3a/bn_1x1", "inception_3a/relu_1x1"),
        ("inception_3a/scale_1x1", "inception_3a/scale_1x1"),  # in place: right behind it
        ("inception_3a/1x1", "inception_3a/1x1"),  # the BatchNorm has another blob
        ("pool1/norm1", "pool1/norm1"),
    ],
)
def test_a_layer_goes_behind_those_that_finish_the_blob(shapes, asked, after):
    plan = insert.plan(other_nets.read("inception"), shapes["inception"], asked, asked)
    assert (plan.enhance.after, plan.eliminate.after) == (after, after)


def test_a_dropout_is_not_waited_for(shapes):
    plan = insert.plan(other_nets.read("squeeze"), shapes["squeeze"], "fire2/concat", None)
    assert plan.enhance.after == "fire2/concat"


def enhanced(name, after):
    """The Enhancement layer behind ``after`` in the training net, and all of its layers."""
    layers = insert.with_enhancement(other_nets.read(name).train, after, "enhance")
    return next(layer for layer in layers if layer.type == "Enhancement"), layers


def test_in_place_where_it_is_safe():
    layer, layers = enhanced("squeeze", "relu_conv1")
    assert list(layer.bottom) == list(layer.top) == ["conv1"]
    assert layers[layers.index(layer) - 1].name == "relu_conv1"
    assert layers[layers.index(layer) + 1].name == "pool1"


@pytest.mark.parametrize(
    "name, after",
    [
        ("squeeze", "fire2/concat"),  # a dropout changes the blob in place later
        ("inception", "inception_3a/scale_1x1"),  # ... a ReLU
        ("inception", "pool1/norm1"),  # LRN needs what it wrote
    ],
)
def test_a_blob_of_its_own_where_in_place_would_be_wrong(name, after):
    layer, layers = enhanced(name, after)
    (old,), (new,) = layer.bottom, layer.top
    at = layers.index(layer)
    assert new != old and not any(old in other.bottom for other in layers[at + 1 :])
    before = other_nets.read(name).train
    readers = [other.name for other in before[at:] if old in other.bottom]
    assert [other.name for other in layers[at + 1 :] if new in other.bottom] == readers


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
    assert fillers == {"msra"}  # Caffe's own default is all zero


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

HEAD = 'name: "net" layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 '
CONV = (
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
    "convolution_param { num_output: 3 kernel_size: 3 } } "
)
FC = (
    'layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" '
    "inner_product_param { num_output: 3 } } "
)
SOFTMAX = 'layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" } '


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
    layer = insert.with_enhancement(net.train, "conv", "enhance")[1]
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
    shapes = insert.blob_shapes(net)
    assert insert.recommend(net, shapes)[0] == insert.Place("relu1", (4, 20, 20))


def test_blobs_called_like_the_rewriting_nets_tops_give_way(tmp_path):
    text = HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + FC + SOFTMAX
    path = write(tmp_path, text.replace('"conv"', '"attention"'))
    insert.work(str(path), dict(out=str(tmp_path / "out")))
    rewrite = read_net(find_net(tmp_path / "out").rewrite(True))
    assert [layer.name for layer in rewrite.layer][1] == "attention"  # weights load by that
    written = [blob for layer in rewrite.layer for blob in set(layer.top) - set(layer.bottom)]
    assert len(written) == len(set(written)) and set(REWRITE_TOPS) <= set(written)
    assert rewrite.layer[-1].bottom[0] in written[:-4]


def test_a_mean_image_that_is_missing_is_said(tmp_path):
    text = other_nets.FILES["inception"].read_text()
    text = text.replace("mean_value: 100 mean_value: 110 mean_value: 120", 'mean_file: "mean.bin"')
    path = write(tmp_path, text)
    lines = insert.work(str(path), dict(out=str(tmp_path / "out")))
    assert [line for line in lines if "mean image mean.bin is not there" in line]
    lines = insert.work(str(path), dict(out=str(tmp_path / "two"), mean=[1.0, 2.0, 3.0]))
    assert not [line for line in lines if "mean image" in line]
    net = read_net(find_net(tmp_path / "two").train_val(True))
    assert data_transform(net, "TRAIN")["mean_value"] == [1, 2, 3]


# ---- mistakes -----------------------------------------------------------------------------------


def test_a_layer_that_is_not_there(shapes):
    with pytest.raises(MaapError, match=r"no layer 'relu_conv'; did you mean .*relu_conv1"):
        insert.plan(other_nets.read("squeeze"), shapes["squeeze"], "relu_conv", None)


@pytest.mark.parametrize(
    "name, layer, why",
    [
        ("inception", "pool5", "the map of layer pool5 is 1x1: with a single point there is"),
        ("inception", "pool5/drop", "the map of layer pool5/drop is 1x1"),
        ("inception", "loss1/ave_pool", "does not lead to the scores of the main classifier"),
        ("inception", "loss3/classifier", "belongs to the classifier"),
        ("squeeze", "pool3", "belongs to the classifier"),
        ("lenet", "ip1", "gives 20 numbers for an image, no map"),
    ],
)
@pytest.mark.parametrize("which", ["enhance", "eliminate"])
def test_layers_that_cannot_be_attended_to(shapes, which, name, layer, why):
    places = (layer, None) if which == "enhance" else (None, layer)
    with pytest.raises(MaapError, match=why):
        insert.plan(other_nets.read(name), shapes[name], *places)


def test_nothing_roomy_enough(tmp_path):
    text = HEAD + "dim: 3 dim: 14 dim: 14 } } } " + CONV + FC + SOFTMAX
    net = imported.read_network(write(tmp_path, text))
    shapes = dict(data=(1, 3, 14, 14), conv=(1, 3, 12, 12), fc=(1, 3))
    with pytest.raises(MaapError, match="no convolution has a map of 13 x 13.*largest map: 12"):
        insert.plan(net, shapes)
    assert insert.plan(net, shapes, "conv", "conv").eliminate.after == "conv"
    assert "none is recommended" in insert.dry_run(net, shapes)[-1]


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

PAPER = dict(
    alexnet=("relu1", "relu5"),
    vgg19=("relu1_1", "relu5_4"),
    resnet152=("conv1_relu", "res4b2_branch2b_relu"),
)


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
    plan = insert.plan(net, shapes, *PAPER[name])
    net_folder.write_folder(plan, dict(out=str(out), keep_classifier=True))
    made = find_net(out)
    for laap in (False, True):
        for kind in ("train_val", "deploy", "rewrite"):
            expected = plain(getattr(here, kind)(laap))
            assert plain(getattr(made, kind)(laap)) == expected, (kind, laap)


def test_what_is_recommended_for_alexnet_is_the_papers_choice():
    net = imported.read_network(find_net("alexnet").deploy(False))
    places = insert.recommend(net, insert.blob_shapes(net))
    assert tuple(place.after for place in places) == PAPER["alexnet"]
