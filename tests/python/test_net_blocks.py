"""Which blobs show what a net sees, on the paper's nets and on made-up ones."""

import numpy as np
import pytest
from google.protobuf import text_format
from maap.errors import MaapError
from maap.host import loader
from maap.nets import blocks as net_blocks
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net, write_text
from maap.util.schema import caffe_pb2
from net_facts import rows

INPUT = """layer { name: "data" type: "Input" top: "data"
                   input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }"""


def net_of(text):
    return text_format.Parse(INPUT + text, caffe_pb2.NetParameter(name="made up"))


def sizes_of(name, blobs):
    """(h, w) of a paper's net's blobs, from the facts tables."""
    found = {}
    for row in rows(name):
        for top, shape in zip(row["tops"].split(","), row["top_shapes"].split(";")):
            found[top] = tuple(map(int, shape.split("x")[2:]))
    return {blob: found[blob] for blob in blobs}


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("alexnet", "conv1 conv2 conv3 conv4 conv5"),
        ("vgg19", "conv1_1 conv1_2 conv2_2 conv3_4 conv4_4 conv5_4"),
        ("resnet152", "conv1 res2c res3b7 res4b2_branch2b res4b35 res5c"),
    ],
)
def test_stages_of_the_papers_nets(name, wanted):
    files = find_net(name)
    deploy, rewrite = read_net(files.deploy(True)), read_net(files.rewrite(True))
    blocks = net_blocks.blocks(deploy)
    attending = [*net_blocks.enhanced(deploy), net_blocks.eliminated(rewrite)]
    assert net_blocks.stages(blocks, sizes_of(name, blocks), attending) == wanted.split()


def test_a_block_ends_after_what_follows_elementwise():
    net = net_of("""
        layer { name: "c" type: "Convolution" bottom: "data" top: "c" }
        layer { name: "b" type: "BatchNorm" bottom: "c" top: "b" }
        layer { name: "s" type: "Scale" bottom: "b" top: "b" }
        layer { name: "r" type: "ReLU" bottom: "b" top: "r" }
        layer { name: "n" type: "LRN" bottom: "r" top: "n" }
        layer { name: "d" type: "Convolution" bottom: "n" top: "d" }
        layer { name: "e" type: "Eltwise" bottom: "d" bottom: "r" top: "e" }
        layer { name: "q" type: "Concat" bottom: "e" bottom: "d" top: "q" }
        layer { name: "f" type: "InnerProduct" bottom: "q" top: "f" }
        layer { name: "g" type: "ReLU" bottom: "f" top: "f" }""")
    assert net_blocks.blocks(net) == ["r", "d", "e", "q"]
    short = net_blocks.trunk(net, ["r", "e"])
    assert [layer.name for layer in short.layer] == ["data", "c", "b", "s", "r", "n", "d", "e"]


def test_many_blocks_are_shown_by_map_size():
    names = [f"b{n}" for n in range(12)]
    sizes = dict(zip(names, [(9, 9)] * 5 + [(4, 4)] * 5 + [(2, 3), (1, 1)]))
    assert net_blocks.stages(names, sizes) == ["b4", "b9", "b10"]
    assert net_blocks.stages(names, sizes, ["b1"]) == ["b1", "b4", "b9", "b10"]
    assert net_blocks.stages(names[7:], sizes) == ["b7", "b8", "b9", "b10"]


@pytest.mark.parametrize("top", ["c", "e"])
def test_a_net_without_its_enhancement_computes_the_baseline(top, tmp_path):
    text = f"""
        layer {{ name: "c" type: "Convolution" bottom: "data" top: "c"
                 convolution_param {{ num_output: 2 kernel_size: 3
                                      weight_filler {{ type: "gaussian" std: 1 }} }} }}
        ENHANCEMENT
        layer {{ name: "r" type: "ReLU" bottom: "{top}" top: "{top}" }}
        layer {{ name: "p" type: "Pooling" bottom: "{top}" top: "p"
                 pooling_param {{ kernel_size: 2 }} }}"""
    layer = f'layer {{ name: "a" type: "Enhancement" bottom: "c" top: "{top}" }}'
    plain = net_blocks.without_enhancement(net_of(text.replace("ENHANCEMENT", layer)))
    wanted = net_of(text.replace("ENHANCEMENT", "").replace('"e"', '"c"'))
    assert list(plain.layer) == list(wanted.layer)
    write_text(plain, tmp_path / "net.prototxt")
    caffe = loader.load()
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    net.blobs["data"].data[...] = np.random.RandomState(0).normal(size=(1, 3, 8, 8))
    net.forward()
    assert (net.blobs["c"].data >= 0).all() and net.blobs["p"].data.max() > 0


def test_mistakes():
    net = net_of('layer { name: "c" type: "Convolution" bottom: "data" top: "conv" }')
    with pytest.raises(MaapError, match="no blob conf; did you mean conv"):
        net_blocks.trunk(net, ["conf"])
    with pytest.raises(MaapError, match="no blob zzz; its blocks: conv"):
        net_blocks.trunk(net, ["zzz"])
    with pytest.raises(MaapError, match="no convolution"):
        net_blocks.blocks(
            net_of('layer { name: "f" type: "InnerProduct" bottom: "data" top: "f" }')
        )
    attending = net_of("""
        layer { name: "a" type: "Enhancement" bottom: "data" top: "e" top: "map" }
        layer { name: "p" type: "Power" bottom: "map" top: "p" }""")
    with pytest.raises(MaapError, match="layer p takes map"):
        net_blocks.without_enhancement(attending)
