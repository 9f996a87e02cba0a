"""The pages of the documentation that are made from the code hold all of the code's names."""

import re
import sys
from pathlib import Path

import pytest
from maap.cli.main import cli
from maap.config.fields import FIELDS, option_name
from maap.util.schema import caffe_pb2

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "tools"))

from reference import commands, headers, networks, protos, settings  # noqa: E402


def test_every_command_has_its_help():
    text = commands.page(REPO)
    for name in cli.list_commands(None):
        assert f"\n### maap {name}\n" in text and f"Usage: maap {name} " in text
    assert "#### maap data cub" in text and "\b" not in text


def test_every_setting_has_its_source_and_option():
    entries = dict(re.findall(r"### `(\w+)`\n\n(.*?)(?=\n#|\Z)", settings.page(REPO), re.S))
    assert set(entries) == set(FIELDS)
    for name, entry in entries.items():
        assert f"option `{option_name(name)}`" in entry
        assert f"source: {FIELDS[name].metadata['source']}" in entry


def test_the_help_of_a_setting_has_no_accidental_marks():
    text = settings.page(REPO)
    assert (
        r"a folder train/CLASS/\*.jpg \[test/CLASS/\*.jpg\]; or a data set that `maap data`" in text
    )
    assert r"short\_side: the shorter side" in text and r"\_" not in "".join(
        re.findall("`.*?`", text)
    )


def test_a_network_has_its_readme_with_links_to_the_other_pages():
    text = networks.page(REPO, "vgg19")
    assert text.startswith("# VGG19\n") and "[AlexNet's](alexnet.md)" in text
    assert "README.md)" not in text


OURS = {"ONEDNN", "PRE_FIXED"}


def described(file) -> dict:
    """{message: its descriptor} of a file of the host's schema and of what it imports publicly."""
    found = dict(file.message_types_by_name)
    for public in file.public_dependencies:
        found.update(described(public))
    return found


def test_every_message_and_field_of_the_schema():
    """The schema is the host's; BVLC Caffe's lacks what is ours and what other forks add."""
    found = {}
    for file in protos.FILES:
        for message in protos.read((REPO / file).read_text(encoding="utf-8")):
            found[message.name] = message
    schema = described(caffe_pb2.DESCRIPTOR)
    whole = "elimination_param" in schema["LayerParameter"].fields_by_name
    assert set(schema) <= set(found) and len(schema) > 60
    for name, descriptor in schema.items():
        rows, fields = [row.name for row in found[name].rows], [f.name for f in descriptor.fields]
        assert len(rows) == len(set(rows)) and set(fields) <= set(rows), name
        if whole:
            assert len(fields) == len(rows), name
        missing = set(found[name].enums) - set(descriptor.enum_types_by_name)
        assert missing <= (set() if whole else {"MathMode"}), name
        for enum, kind in descriptor.enum_types_by_name.items():
            values = {re.match("`(\\w+)`", v).group(1) for v in found[name].enums[enum].values}
            assert values - OURS == {value.name for value in kind.values} - OURS


def test_defaults_and_comments_of_a_message():
    field = "  optional float x = 1 [default = -0.5];  // and behind\n"
    text = "message A {\n  // Said above.\n" + field + "}\n"
    (message,) = protos.read(text)
    assert message.rows == [protos.Row("x", "float", "-0.5", "Said above. and behind")]


def test_every_layer_type_has_its_contract():
    caffe = pytest.importorskip("caffe")
    texts = {layer.type: layer.text for layer in headers.layers(REPO)}
    assert {"Enhancement", "Elimination", "Convolution"} <= set(texts)
    assert all(texts.values())
    if hasattr(caffe, "load_layers"):  # the engine; BVLC Caffe has types of its own
        assert set(caffe.layer_type_list()) ^ set(texts) == {"Recurrent"}
    # Two types in one header, and the base whose contract both LSTM and RNN refer to.
    assert texts["LSTM"].startswith("Long short-term memory")
    assert texts["LSTMUnit"].startswith("One step of LSTM")
    assert "T x N" in texts["Recurrent"]


def test_a_declaration_is_shown_without_its_body():
    page = headers.api_page(REPO)
    assert "int count(int start_axis, int end_axis) const;" in page and "{ return" not in page
