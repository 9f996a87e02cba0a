"""Class activation maps against sums by hand and numeric derivatives, and the regions they give."""

import itertools

import numpy as np
import pytest
from class_map_nets import BATCH, CLASSES, NETS, SIDE, conv, images, make, pool, softmax
from maap.attention.class_net import ClassNet, chosen_classes, normalised, open_finder
from maap.attention.region_net import NotFinite, RegionNet
from maap.errors import MaapError
from maap.host import loader

CAM_NETS = ("maps", "means", "transposed", "as_convolution")


def loaded(made):
    caffe = loader.load()
    return caffe.Net(str(made.deploy), caffe.TEST, weights=str(made.weights))


def behind(net, layer):
    """The name of the layer that runs after a layer."""
    names = list(net._layer_names)
    return names[names.index(layer) + 1]


# ---- CAM ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAM_NETS)
def test_cam_is_the_sum_of_the_channels_by_the_classs_weights(name, tmp_path):
    made = make(tmp_path, NETS[name], "cam")
    finder, net = ClassNet(made.rewrite, made.weights, BATCH), loaded(made)
    net.blobs["data"].data[...] = images()
    net.forward()
    features = net.blobs["conv2"].data.astype(np.float64)
    classifier = "conv10" if name == "maps" else "fc"
    weights = net.params[classifier][0].data.astype(np.float64)
    weights = weights.reshape(7, CLASSES).T if name == "transposed" else weights.reshape(CLASSES, 7)
    predicted = net.blobs["prob"].data.reshape(BATCH, -1).argmax(axis=1)
    for labels in (None, [3, 0], [1, 1]):
        classes = predicted if labels is None else labels
        wanted = np.einsum("nc,nchw->nhw", weights[classes], features)
        assert finder.maps.of(images(), labels) == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_the_score_is_the_mean_of_the_map_and_the_bias(tmp_path):
    """What makes it the map of the class: Zhou et al., equation 2."""
    made = make(tmp_path, NETS["maps"], "cam")
    finder, net = ClassNet(made.rewrite, made.weights, BATCH), loaded(made)
    net.blobs["data"].data[...] = images()
    net.forward()
    for number in range(CLASSES):
        means = finder.maps.of(images(), [number]).mean(axis=(1, 2))
        scores = net.blobs["pool10"].data.reshape(BATCH, -1)[:, number]
        assert means + net.params["conv10"][1].data[number] == pytest.approx(scores, rel=1e-4)


# ---- the scaled mean ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, layer", [("maps", "relu1"), ("hidden", "conv2"), ("residual", "sum")]
)
def test_the_scaled_mean_is_the_mean_over_the_channels(name, layer, tmp_path):
    made = make(tmp_path, NETS[name], "scaled_mean", layer)
    finder, net = ClassNet(made.rewrite, made.weights, BATCH), loaded(made)
    net.blobs["data"].data[...] = images()
    net.forward(end=finder.maps.net._layer_names[-1])
    wanted = net.blobs[layer if layer != "relu1" else "conv1"].data.mean(axis=1)
    for labels in (None, [2, 0]):  # the class has no part in it
        assert finder.maps.of(images(), labels) == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    finder.find(images())
    given = finder.net.blobs["class_map"].data[:, 0]  # to the Elimination layer
    assert given.max(axis=(1, 2)) == pytest.approx(1)
    assert given == pytest.approx(wanted / wanted.max(axis=(1, 2), keepdims=True), abs=1e-5)


# ---- Grad-CAM -----------------------------------------------------------------------------------

GRADIENTS = [
    ("maps", "conv2"), ("maps", "relu1"), ("means", "conv2"), ("transposed", "conv1"),
    ("hidden", "conv2"), ("hidden", "conv1"), ("enhanced", "relu1"), ("enhanced", "enhance1"),
    ("enhanced", "norm1"), ("residual", "conv1"), ("residual", "branch"), ("residual", "sum"),
]  # fmt: skip


@pytest.mark.parametrize("name, layer", GRADIENTS)
def test_grad_cam_weighs_channels_by_numeric_derivatives(name, layer, tmp_path):
    """The mean of a channel's gradient is the derivative for adding one number to the channel,
    divided by the number of its places."""
    made = make(tmp_path, NETS[name], "grad_cam", layer)
    finder, net = ClassNet(made.rewrite, made.weights, BATCH), loaded(made)
    labels = [2, 0]
    maps = finder.maps.of(images(), labels)
    cut = finder.maps.cut
    last = cut.trunk[-1].name
    scores = made.message.layer[-1].bottom[0]
    net.blobs["data"].data[...] = images()
    net.forward(end=last)
    kept = {blob: net.blobs[blob].data.copy() for blob in cut.crossing}
    features = kept[cut.features]
    rest = behind(net, last)

    def score(channel, step):
        for blob, values in kept.items():
            net.blobs[blob].data[...] = values
        net.blobs[cut.features].data[:, channel] += step
        net.forward(start=rest)
        return net.blobs[scores].data.reshape(BATCH, -1)[range(BATCH), labels].astype(np.float64)

    step, places = 2e-3, features[0, 0].size
    slopes = [(score(c, step) - score(c, -step)) / (2 * step) for c in range(features.shape[1])]
    weights = np.stack(slopes, axis=1) / places
    wanted = np.maximum(np.einsum("nc,nchw->nhw", weights, features), 0)
    assert wanted.max() > 0
    assert maps == pytest.approx(wanted, rel=0.02, abs=0.02 * wanted.max())


def test_in_place_followers_belong_to_the_layer(tmp_path):
    """Of a named convolution the map is looked at behind its ReLU and Enhancement, of a named ReLU
    right there."""
    cuts = {}
    for layer in ("conv1", "relu1"):
        made = make(tmp_path / layer, NETS["enhanced"], "grad_cam", layer)
        cuts[layer] = ClassNet(made.rewrite, made.weights, BATCH).maps.cut.trunk[-1].name
    assert cuts == {"conv1": "enhance1", "relu1": "relu1"}


@pytest.mark.parametrize("name, seed", itertools.product(CAM_NETS, range(4)))
def test_grad_cam_of_what_the_classifier_averages_is_cam(name, seed, tmp_path):
    """Selvaraju et al., section 3: up to a factor, and the ReLU."""
    folders = {kind: tmp_path / kind for kind in ("cam", "grad_cam")}
    made = {kind: make(folder, NETS[name], kind, seed=seed) for kind, folder in folders.items()}
    batch = images(seed)
    for labels in (None, [seed % CLASSES, 1]):
        cam, grad_cam = (
            ClassNet(files.rewrite, files.weights, BATCH).maps.of(batch, labels)
            for files in made.values()
        )
        positive = np.maximum(cam, 0)
        assert normalised(grad_cam) == pytest.approx(normalised(positive), abs=1e-5)


# ---- from the map to the region -----------------------------------------------------------------

# The map of each of three classes is its colour (B, G, R); the score is the map's mean.
COLOURS = conv("same", "data", 3, 1) + conv("own", "same", 3, 1)
COLOURS += pool("pool", "own", "pool: AVE global_pooling: true") + softmax("pool")
BOXES = {0: (2, 3, 7, 9), 2: (10, 8, 19, 18)}  # class -> x1, y1, x2, y2


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Kind -> a finder of the net of colours, and its files."""
    caffe, folder = loader.load(), tmp_path_factory.mktemp("colours")
    found = {}
    for kind in ("cam", "grad_cam"):
        made = make(folder / kind, COLOURS, kind, until="same", blob="same")
        net = caffe.Net(str(made.deploy), caffe.TEST)
        for name in ("same", "own"):
            net.params[name][0].data[...] = np.eye(3).reshape(3, 3, 1, 1)
            net.params[name][1].data[...] = 0.25 if name == "own" else 0
        net.save(str(made.weights))
        found[kind] = open_finder(made.rewrite, made.weights, BATCH), made
    return found


def patches():
    """Images with a small blue and a large red patch, on black."""
    batch = np.zeros((BATCH, 3, SIDE, SIDE), np.float32)
    for colour, (x1, y1, x2, y2) in BOXES.items():
        batch[:, colour, y1:y2, x1:x2] = 3
    return batch


@pytest.mark.parametrize("kind", ["cam", "grad_cam"])
def test_the_region_is_the_patch_of_the_class(coloured, kind):
    finder, _ = coloured[kind]
    found = finder.find(patches(), [0, 2])
    assert [tuple(box) for box in found.regions] == [BOXES[0], BOXES[2]]
    assert found.stats[:, 2] == pytest.approx(1 / (1 + np.exp(-1)))  # A at the strongest place
    assert found.stats[:, 1] == pytest.approx(0.5)
    assert (found.stats[:, 4] == 0).all()
    assert found.attention.shape == (BATCH, SIDE, SIDE) and finder.size == (SIDE, SIDE)
    predicted = finder.find(patches())
    assert [tuple(box) for box in predicted.regions] == [BOXES[2], BOXES[2]]  # the larger one


@pytest.mark.parametrize("kind", ["cam", "grad_cam"])
def test_a_class_of_which_nothing_is_there_gives_the_whole_image(coloured, kind):
    finder, _ = coloured[kind]
    found = finder.find(patches(), [1, 0])
    assert tuple(found.regions[0]) == (0, 0, SIDE, SIDE) and found.stats[0, 4] == 1
    assert tuple(found.regions[1]) == BOXES[0] and found.stats[1, 4] == 0


def test_the_last_label_stands_for_a_batch_that_is_filled_up(coloured):
    finder, _ = coloured["cam"]
    assert [tuple(box) for box in finder.find(patches(), [2]).regions] == [BOXES[2], BOXES[2]]


def test_another_batch_than_the_files(coloured):
    _, made = coloured["grad_cam"]
    finder = open_finder(made.rewrite, made.weights, 5)
    batch = np.repeat(patches()[:1], 5, axis=0)
    found = finder.find(batch, [0, 2, 0, 2, 2])
    assert [tuple(box) for box in found.regions] == [BOXES[k] for k in (0, 2, 0, 2, 2)]


@pytest.mark.parametrize("kind", ["cam", "grad_cam"])
def test_a_map_that_is_not_finite_names_the_image(coloured, kind):
    finder, _ = coloured[kind]
    batch = patches()
    batch[1, 0, 4, 4] = np.nan
    with pytest.raises(NotFinite, match="class map") as caught:
        finder.find(batch, [0, 0])
    assert caught.value.index == 1
    assert tuple(finder.find(patches(), [0, 0]).regions[1]) == BOXES[0]  # and goes on


def test_the_elimination_layers_settings_hold(tmp_path):
    """Thresholded on the map itself, the area is counted in the map's pixels."""
    areas = {}
    for at in ("INPUT", "MAP"):
        made = make(tmp_path / at, NETS["maps"], "cam", settings=f"a_star: ROI threshold_at: {at}")
        found = open_finder(made.rewrite, made.weights, BATCH).find(images(), [0, 1])
        areas[at] = found.stats[:, 3].max()
    assert areas["MAP"] <= 36 < areas["INPUT"]


def test_the_net_says_what_finds_its_regions(tmp_path):
    kinds = {"mean": RegionNet, "cam": ClassNet, "grad_cam": ClassNet}
    for kind, wanted in kinds.items():
        made = make(tmp_path / kind, NETS["maps"], kind)
        finder = open_finder(made.rewrite, made.weights, BATCH, attention=False)
        assert type(finder) is wanted
        assert finder.find(images(), [0, 1]).attention.shape == (0, SIDE, SIDE)


# ---- numbers ------------------------------------------------------------------------------------


def test_normalised():
    maps = np.array([[[2.0, -1], [4, 0]], [[-1, -2], [0, -3]], [[0, 0], [0, 0]]])
    wanted = [[[0.5, -0.25], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]
    assert np.array_equal(normalised(maps), np.array(wanted, np.float32))


def test_chosen_classes():
    scores = np.array([[1.0, 3, 2], [5, 4, 5], [0, 0, 1]])
    assert list(chosen_classes(scores, None)) == [1, 0, 2]
    assert list(chosen_classes(scores, [2, 1])) == [2, 1, 1]
    for label in (3, -1):
        with pytest.raises(MaapError, match=f"class {label}, and the net has 3 classes"):
            chosen_classes(scores, [0, label])


def test_weights_of_another_net_are_refused(tmp_path):
    made = make(tmp_path / "a", NETS["maps"], "cam")
    other = make(tmp_path / "b", NETS["means"], "cam")
    with pytest.raises(MaapError, match="no weights for conv10 of .*a/rewrite.prototxt"):
        open_finder(made.rewrite, other.weights, BATCH)
    with pytest.raises(MaapError, match="no class map"):
        ClassNet(made.deploy, made.weights, BATCH)
