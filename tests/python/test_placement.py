"""Where the attention layers go: named or recommended, in place or not, and what is refused."""

import re

import net_facts
import other_nets
import pytest
from maap.errors import MaapError
from maap.nets import candidates, imported, placement
from maap.nets.attention_layers import with_enhancement
from maap.nets.folder import find_net
from maap.nets.shapes import blob_shapes
from maap.util.schema import LayerParameter
from net_facts import PAPER
from other_nets import CONV, FC, HEAD, SOFTMAX, write


@pytest.fixture(scope="module")
def shapes():
    """Name -> the shapes of its blobs, from the host's Caffe."""
    return {name: blob_shapes(other_nets.read(name)) for name in other_nets.FILES}


@pytest.mark.parametrize(
    "name, first, last",
    [
        ("squeeze", ("relu_conv1", (8, 31, 31)), ("fire2/concat", (16, 15, 15))),
        (
            "inception",
            ("conv1/relu_7x7", (8, 28, 28)),
            ("inception_3a/output", (16, 14, 14)),
        ),
        ("lenet", ("conv1", (8, 24, 24)), ("conv1", (8, 24, 24))),  # conv2's map is 8x8
        ("residual", ("conv1_relu", (8, 32, 32)), ("res2b_relu", (12, 16, 16))),
    ],
)
def test_the_first_and_the_last_roomy_map_on_every_path_are_recommended(shapes, name, first, last):
    found = placement.recommend(other_nets.read(name), shapes[name])
    assert [(place.after, place.shape) for place in found] == [first, last]


def branching(*layers):
    """Layers from text "name: bottoms"; a layer's top has its name, or "name=top: bottoms"."""
    made = []
    for text in layers:
        head, bottoms = text.split(": ")
        name, _, top = head.partition("=")
        made.append(LayerParameter(name=name, bottom=bottoms.split(), top=[top or name]))
    return made


@pytest.mark.parametrize(
    "layers, passed",
    [
        (["a: data", "b: a", "c: b"], "abc"),
        (["a: data", "b: a", "c: a", "d: b c", "e: d"], "ade"),  # two branches
        (["a: data", "b: a", "c: b a", "d: c"], "acd"),  # around b
        (["a: data", "b: a", "c: b", "d: c a"], "ad"),  # around b and c
        (["a: data", "b: data", "c: a b"], "c"),  # two from the images on
        (["a: data", "b=a: a", "c: a"], "abc"),  # b is in place
        (["a: data", "b: a", "c=a: data", "d: b a"], "d"),  # a name that is written again
        (["p: none", "a: data", "b: a p"], "ab"),  # p is not made of the images
        (["a: data", "c: a", "b: a", "d: c", "e: d b", "f: e"], "aef"),  # branches interleaved
    ],
)
def test_which_layers_every_path_passes(layers, passed):
    made = branching(*layers)
    found = [made[at].name for at in range(len(made)) if placement.passed_by_all(made, at)]
    assert found == list(passed)


def test_two_streams_that_never_join_before_the_classifier(tmp_path):
    text = HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + CONV.replace('"conv"', '"conv2"')
    text += FC.replace('bottom: "conv"', 'bottom: "sum"') + SOFTMAX
    pools = "".join(
        f'layer {{ name: "{out}" type: "Pooling" bottom: "{conv}" top: "{out}" '
        "pooling_param { global_pooling: true } } "
        for conv, out in (("conv", "one"), ("conv2", "two"))
    )
    joined = 'layer { name: "sum" type: "Eltwise" bottom: "one" bottom: "two" top: "sum" } '
    text = text.replace('layer { name: "fc"', pools + joined + 'layer { name: "fc"')
    net = imported.read_network(write(tmp_path, text))
    with pytest.raises(MaapError, match="no map of 13 x 13 or more lies on every path to fc"):
        placement.plan(net, blob_shapes(net))
    assert "none is recommended" in candidates.dry_run(net, blob_shapes(net), None, None)[-1]
    assert placement.plan(net, blob_shapes(net), "conv", "conv2").enhance.after == "conv"


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
    plan = placement.plan(other_nets.read("inception"), shapes["inception"], asked, asked)
    assert (plan.enhance.after, plan.eliminate.after) == (after, after)


def test_a_dropout_is_not_waited_for(shapes):
    plan = placement.plan(other_nets.read("squeeze"), shapes["squeeze"], "fire2/concat", None)
    assert plan.enhance.after == "fire2/concat"


def enhanced(name, after):
    """The Enhancement layer behind ``after`` in the training net, and all of its layers."""
    layers = with_enhancement(other_nets.read(name).train, after, "enhance")
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


@pytest.mark.parametrize(
    "name, last, said",
    [
        ("alexnet", "relu5", None),
        ("vgg19", "relu5_4", None),
        ("resnet152", "res4b35_relu", "--eliminate-after res4b2_branch2b_relu"),
    ],
)
def test_what_is_recommended_for_the_papers_networks(name, last, said):
    """Where the paper chose another point, the text says which."""
    net = imported.read_network(find_net(name).deploy(False))
    shapes = facts_shapes(name)
    places = placement.recommend(net, shapes)
    assert tuple(place.after for place in places) == (PAPER[name][0], last)
    lines = candidates.dry_run(net, shapes, None, None)
    if said is None:
        assert not [line for line in lines if "the paper has" in line]
        return
    assert lines[-1] == (
        "the paper has Elimination of ResNet-152 after res4b2_branch2b_relu: for that, give "
        "--eliminate-after res4b2_branch2b_relu"
    )
    asked = candidates.dry_run(net, shapes, None, PAPER[name][1])
    assert not [line for line in asked if "the paper has" in line]


def facts_shapes(name):
    """The shapes of a published network's blobs, from its table."""
    found = {}
    for row in net_facts.rows(name):
        for top, shape in zip(row["tops"].split(","), row["top_shapes"].split(";")):
            found[top] = tuple(int(n) for n in shape.split("x") if n.isdigit())
    return dict(found, fc8_cub=(1, 200), fc_cub=(1, 200))


def test_a_network_that_only_looks_like_the_papers_is_not_called_so(tmp_path):
    text = find_net("resnet152").deploy(False).read_text()
    shorter = re.sub(r"(res|bn|scale)3b7", r"\g<1>3b8", text)
    net = imported.read_network(write(tmp_path, shorter))
    shapes = facts_shapes("resnet152")
    shapes.update({blob.replace("3b7", "3b8"): shape for blob, shape in shapes.items()})
    lines = candidates.dry_run(net, shapes, None, None)
    assert "Elimination after res4b35_relu" in lines[-1]


def test_a_layer_that_is_not_there(shapes):
    with pytest.raises(MaapError, match=r"no layer 'relu_conv'; did you mean .*relu_conv1"):
        placement.plan(other_nets.read("squeeze"), shapes["squeeze"], "relu_conv", None)


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
        placement.plan(other_nets.read(name), shapes[name], *places)


def test_nothing_roomy_enough(tmp_path):
    text = HEAD + "dim: 3 dim: 14 dim: 14 } } } " + CONV + FC + SOFTMAX
    net = imported.read_network(write(tmp_path, text))
    shapes = dict(data=(1, 3, 14, 14), conv=(1, 3, 12, 12), fc=(1, 3))
    with pytest.raises(MaapError, match="no convolution has a map of 13 x 13.*largest map: 12"):
        placement.plan(net, shapes)
    assert placement.plan(net, shapes, "conv", "conv").eliminate.after == "conv"
    assert "none is recommended" in candidates.dry_run(net, shapes, None, None)[-1]
