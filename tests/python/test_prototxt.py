"""Reading and writing Caffe's text format, and loading its messages without loading Caffe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from maap.errors import MaapError
from maap.nets import prototxt
from maap.util import schema
from maap.util.schema import caffe_pb2

ROOT = Path(__file__).resolve().parents[2]
# Not tests/nets/forks: its files have fields that the schema lacks, which the engine skips.
NETS = [path for path in ROOT.glob("tests/nets/*/*.prototxt") if path.parent.name != "forks"]
FILES = sorted([*ROOT.glob("prototxt/*/*.prototxt"), *NETS])


def read(path):
    solver = path.name.startswith("solver")
    return prototxt.parse_file(
        path, caffe_pb2.SolverParameter() if solver else caffe_pb2.NetParameter()
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_written_reads_back(path, tmp_path):
    message = read(path)
    copy = tmp_path / path.name
    prototxt.write_text(message, copy, header="a comment\nof two lines")
    assert read(copy) == message
    assert copy.read_text(encoding="utf-8").startswith("# a comment\n# of two lines\n\n")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_power_cut_leaves_the_old_or_the_new_text(tmp_path, monkeypatch):
    """The content is on the disk before the file gets its name, and then the name is, too."""
    path, seen = tmp_path / "net.prototxt", []

    def fsync(handle):
        synced = Path(os.readlink(f"/proc/self/fd/{handle}"))
        seen.append((synced, synced.read_text() if synced.is_file() else "", path.is_file()))

    monkeypatch.setattr(os, "fsync", fsync)
    prototxt.write_text(caffe_pb2.NetParameter(name="n"), path)
    (first, text, there), (second, _, renamed) = seen
    assert first.parent == tmp_path and first != path
    assert (text, there) == ('name: "n"\n', False)
    assert (second, renamed) == (tmp_path, True)


def test_floats_are_short_and_exact(tmp_path):
    values = [0.01, 0.1, 1e-4, 1 / 3, 16777216.0, 3.4e38, 1e-45, float("inf"), -0.0]
    message = caffe_pb2.BlobProto(data=values, double_data=[0.1, 1 / 3])
    text = prototxt.to_text(message)
    assert "data: 0.01\n" in text and "data: 0.0001\n" in text
    path = tmp_path / "blob.prototxt"
    path.write_text(text, encoding="utf-8")
    assert prototxt.parse_file(path, caffe_pb2.BlobProto()) == message


def test_strings_are_quoted(tmp_path):
    message = caffe_pb2.NetParameter(name='quote " and \\ and\nline, and ü')
    prototxt.write_text(message, tmp_path / "n.prototxt")
    assert prototxt.parse_file(tmp_path / "n.prototxt", caffe_pb2.NetParameter()) == message


def test_notes_and_order():
    solver = caffe_pb2.SolverParameter(base_lr=0.1, net="n", display=3)
    text = prototxt.to_text(solver, notes={"net": "first"}, first=["net", "display"])
    assert text.split("\n") == ['net: "n"  # first', "display: 3", "base_lr: 0.1", ""]
    net = caffe_pb2.NetParameter(name="n")
    net.layer.add(name="a")
    net.layer.add(name="b")
    text = prototxt.to_text(net, notes={"layer[1]": "the second"})
    assert text.endswith('}\n\n# the second\nlayer {\n  name: "b"\n}\n')


@pytest.mark.parametrize(
    "text, said",
    [
        (
            'layer {\n  typ: "ReLU"\n}',
            ':2: unknown field "typ" in LayerParameter; did you mean "type"',
        ),
        (
            "layer { include { phase: TRIAN } }",
            ':1: Phase has no value "TRIAN"; did you mean "TRAIN"',
        ),
        pytest.param(
            "\n\nlayer { elimination_param { } }",
            ":3: unknown field .*python_param { param_str",
            marks=pytest.mark.skipif(os.environ.get("MAAP_HOST") == "fork", reason="known there"),
        ),
        ('layer {\n name: "a"\n', 'Expected "}".*; the .{. of .layer. in line 1 is never closed'),
        (
            'layer { name: "{" } # {\nlayer {\n relu_param: {\n}\nlayer { name: "b" }',
            ':5: unknown field "layer" .*; the .{. of .layer. in line 2 is never closed',
        ),
        ("layer { convolution_param { num_output: 1.5 } }", ":1: .*1.5"),
        ("wholly unlike", "net.prototxt"),
    ],
)
def test_errors_name_file_line_and_field(text, said, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MaapError, match=said) as error:
        prototxt.parse_file(path, caffe_pb2.NetParameter())
    assert str(error.value).startswith(str(path))


@pytest.mark.skipif(os.environ.get("MAAP_HOST") != "fork", reason="BVLC Caffe reads no forks")
def test_fields_of_other_forks_are_skipped_as_the_engine_does(tmp_path, capfd):
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "a" type: "Convolution" forward_type: FLOAT16 bottom: "x" top: "y"\n'
        "  convolution_param { num_output: 3 kernel_size: 1 engine: MKLDNN } }"
    )
    layer = prototxt.read_net(path).layer[0]
    assert (layer.name, layer.convolution_param.num_output) == ("a", 3)
    assert not layer.convolution_param.HasField("engine")
    assert "'forward_type' is a field of" in capfd.readouterr().err
    path.write_text('layer { name: "a" forward_type: FLOAT16 botom: "x" }')
    with pytest.raises(MaapError, match="unknown field"):
        prototxt.read_net(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text("name: 'n'\r\n", encoding="utf-8-sig")
    assert read(path).name == "n"


def test_files_that_are_no_text(tmp_path):
    with pytest.raises(MaapError, match="none.prototxt: cannot be read .*No such file"):
        prototxt.parse_file(tmp_path / "none.prototxt", caffe_pb2.NetParameter())
    with pytest.raises(MaapError, match="is a folder: give a .prototxt file; there is none in it"):
        prototxt.parse_file(tmp_path, caffe_pb2.NetParameter())
    (tmp_path / "x").write_bytes(b"\xff\xd8\xff\xe0 a JPEG")
    with pytest.raises(MaapError, match="not a text file"):
        prototxt.parse_file(tmp_path / "x", caffe_pb2.NetParameter())
    with pytest.raises(MaapError, match="cannot be written"):
        prototxt.write_text(caffe_pb2.NetParameter(), tmp_path / "no" / "folder.prototxt")


@pytest.mark.parametrize("first", ["from maap.nets import folder, resolve", "import caffe"])
def test_one_set_of_messages_and_no_caffe(first):
    """The drivers' worker processes need Caffe's messages, not the engine behind them."""
    code = f"""
import sys
{first}
if 'resolve' in {first!r}:
    assert 'caffe' not in sys.modules and 'skimage' not in sys.modules
import caffe
from caffe.proto import caffe_pb2
from maap.util import schema
schema.attach(caffe)
assert schema.caffe_pb2 is caffe_pb2 is caffe.proto.caffe_pb2 is caffe.io.caffe_pb2
assert caffe.layers and caffe.Net
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_messages_under_their_own_names():
    for name in ("NetParameter", "LayerParameter", "SolverParameter", "BlobProto", "Datum"):
        assert getattr(schema, name) is getattr(caffe_pb2, name)
