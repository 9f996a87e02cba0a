"""The engine's caffe.proto against the tables in tests/facts and pycaffe's descriptor."""

import csv
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

REPO = Path(__file__).resolve().parents[2]
FACTS = REPO / "tests" / "facts"
# What the fork adds to BVLC Caffe's schema: fields from this number on, and the messages that only
# they have.
OWN_FROM = 8001
OWN_FIELDS = {
    ("caffe.SolverParameter", "continue_on_nonfinite_loss", 8001, "bool"),
    ("caffe.SolverParameter", "math_mode", 8002, "caffe.SolverParameter.MathMode"),
    ("caffe.SolverParameter", "cuda_graph", 8003, "bool"),
    ("caffe.LayerParameter", "enhancement_param", 8001, "caffe.EnhancementParameter"),
    ("caffe.LayerParameter", "elimination_param", 8002, "caffe.EliminationParameter"),
    ("caffe.LayerParameter", "dialect", 8003, "string"),
    ("caffe.LayerParameter", "attention_crop_param", 8004, "caffe.AttentionCropParameter"),
    ("caffe.LayerParameter", "scale_rank_loss_param", 8005, "caffe.ScaleRankLossParameter"),
}
OWN_ENUM = "caffe.SolverParameter.MathMode"
# BVLC's part of the schema, and what the forks of Caffe add to it.
BVLC_FILES = ("caffe/proto/caffe.proto", "caffe/proto/values.proto")
FORK_FILES = ("caffe/proto/detection.proto", "caffe/proto/forks.proto")
FORK_VALUE = ("caffe.LossParameter.NormalizationMode", "PRE_FIXED", 101)
FORK_EXTENDED = {
    "caffe.BatchNormParameter",
    "caffe.DropoutParameter",
    "caffe.LayerParameter",
    "caffe.LossParameter",
    "caffe.SolverParameter",
    "caffe.SolverState",
    "caffe.TransformationParameter",
}
# Those whose type is no message of a fork's.
FORK_FIELDS = {
    ("caffe.BatchNormParameter", "scale_filler"),
    ("caffe.BatchNormParameter", "bias_filler"),
    ("caffe.BatchNormParameter", "scale_bias"),
    ("caffe.DropoutParameter", "scale_train"),
    ("caffe.DropoutParameter", "sample_weights_test"),
    ("caffe.LossParameter", "pre_fixed_normalizer"),
    ("caffe.SolverParameter", "eval_type"),
    ("caffe.SolverParameter", "ap_version"),
    ("caffe.SolverParameter", "plateau_winsize"),
    ("caffe.SolverParameter", "show_per_class_result"),
    ("caffe.SolverState", "minimum_loss"),
    ("caffe.SolverState", "iter_last_event"),
    ("caffe.TransformationParameter", "crop_h"),
    ("caffe.TransformationParameter", "crop_w"),
}
OWN_ENUM_VALUE = ("ONEDNN", 3)
ENGINES = {"Convolution", "LRN", "Pooling", "ReLU", "Sigmoid", "Softmax", "TanH", "SPP"}


class Field(NamedTuple):
    message: str
    name: str
    number: int
    label: str
    type: str
    default: str
    packed: bool


class Schema(NamedTuple):
    fields: set
    enums: set  # (enum, value, number)
    messages: set


def read_default(field: FieldDescriptorProto) -> str:
    """The default as the tables have it; numbers in one spelling, so that 1e-08 equals 1e-8."""
    if not field.HasField("default_value"):
        return ""
    if field.type == FieldDescriptorProto.TYPE_FLOAT:  # as short as its 32 bits allow
        return repr(float(str(np.float32(field.default_value))))
    if field.type == FieldDescriptorProto.TYPE_DOUBLE:
        return repr(float(field.default_value))
    if field.type == FieldDescriptorProto.TYPE_STRING and field.default_value == "":
        return '""'
    return field.default_value


def read_field(message: str, field: FieldDescriptorProto) -> Field:
    kind = FieldDescriptorProto.Type.Name(field.type)[len("TYPE_") :].lower()
    label = FieldDescriptorProto.Label.Name(field.label)[len("LABEL_") :].lower()
    type_name = field.type_name.lstrip(".") or kind
    return Field(
        message,
        field.name,
        field.number,
        label,
        type_name,
        read_default(field),
        field.options.packed,
    )


def read_enum(scope: str, enum: EnumDescriptorProto) -> Iterator:
    for value in enum.value:
        yield (f"{scope}.{enum.name}", value.name, value.number)


def read_schema(*files: FileDescriptorProto) -> Schema:
    schema = Schema(set(), set(), set())

    def visit(scope: str, message: DescriptorProto) -> None:
        name = f"{scope}.{message.name}"
        schema.messages.add(name)
        schema.fields.update(read_field(name, field) for field in message.field)
        for enum in message.enum_type:
            schema.enums.update(read_enum(name, enum))
        for nested in message.nested_type:
            visit(name, nested)

    for file in files:
        for message in file.message_type:
            visit(file.package, message)
        for enum in file.enum_type:
            schema.enums.update(read_enum(file.package, enum))
    return schema


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict:
    """{path: FileDescriptorProto} of caffe.proto and what it imports, as protoc reads them."""
    out = tmp_path_factory.mktemp("schema") / "caffe.desc"
    command = ["protoc", "-I", str(REPO), "--include_imports", f"--descriptor_set_out={out}"]
    subprocess.run([*command, "caffe/proto/caffe.proto"], check=True, cwd=REPO)
    described = FileDescriptorSet.FromString(out.read_bytes())
    return {file.name: file for file in described.file}


@pytest.fixture(scope="module")
def ours(files) -> Schema:
    return read_schema(*(files[name] for name in BVLC_FILES))


@pytest.fixture(scope="module")
def forks(files) -> Schema:
    return read_schema(*(files[name] for name in FORK_FILES))


def without_own(schema: Schema, forks: Schema) -> Schema:
    """The schema without this engine's and the forks' additions; checks that all are there."""
    fields = {f for f in schema.fields if (f.message, f.name) in FORK_FIELDS}
    assert {(f.message, f.name) for f in fields} == FORK_FIELDS
    fields |= {f for f in schema.fields if f.type in forks.messages}
    assert {f.message for f in fields} == FORK_EXTENDED
    schema = schema._replace(fields=schema.fields - fields)
    added = {f for f in schema.fields if f.number >= OWN_FROM}
    assert {(f.message, f.name, f.number, f.type) for f in added} >= OWN_FIELDS
    assert {f.label for f in added} == {"optional"}
    shared = {f.type for f in schema.fields - added}
    messages = ({f.type for f in added} & schema.messages) - shared
    inside = tuple(f"{message}." for message in messages)
    added |= {f for f in schema.fields if f"{f.message}.".startswith(inside)}
    values = {(f"caffe.{name}Parameter.Engine", *OWN_ENUM_VALUE) for name in ENGINES}
    values.add(FORK_VALUE)
    assert values <= schema.enums
    values |= {value for value in schema.enums if value[0].startswith(inside)}
    values |= {value for value in schema.enums if value[0] == OWN_ENUM}
    left = {message for message in schema.messages if not f"{message}.".startswith(inside)}
    return Schema(schema.fields - added, schema.enums - values, left)


def read_table(name: str) -> list:
    with (FACTS / name).open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def table_field(row: dict) -> Field:
    default = row["default"]
    if default and row["type"] in ("float", "double"):
        default = repr(float(default))
    packed = row["packed"] == "true"
    number = int(row["number"])
    return Field(row["message"], row["field"], number, row["label"], row["type"], default, packed)


def test_fields_are_those_of_the_table(ours, forks):
    rows = read_table("caffe_proto_fields.tsv")
    table = {table_field(row) for row in rows}
    assert len(table) == len(rows) == 423
    assert without_own(ours, forks).fields == table


def test_enums_are_those_of_the_table(ours, forks):
    rows = read_table("caffe_proto_enums.tsv")
    table = {(row["enum"], row["value"], int(row["number"])) for row in rows}
    assert len(table) == len(rows) == 111
    assert without_own(ours, forks).enums == table


def test_default_of_an_enum_field_names_one_of_its_values(ours):
    values = {(enum, value) for enum, value, _ in ours.enums}
    enums = {enum for enum, _ in values}
    checked = [f for f in ours.fields if f.type in enums and f.default]
    assert len(checked) > 10
    assert all((f.type, f.default) in values for f in checked)


def installed_files(descriptor) -> list:
    described = FileDescriptorProto()
    descriptor.CopyToProto(described)
    return [described, *sum((installed_files(f) for f in descriptor.public_dependencies), [])]


def test_same_as_the_installed_caffe(files, ours, forks):
    from maap.util.schema import caffe_pb2

    installed = read_schema(*installed_files(caffe_pb2.DESCRIPTOR))
    # The Caffe that this Python has: the engine itself, or BVLC's.
    if os.environ.get("MAAP_HOST") == "fork":
        own = read_schema(*(files[name] for name in BVLC_FILES + FORK_FILES))
    else:
        own = without_own(ours, forks)
    assert own.messages == installed.messages
    assert own.fields == installed.fields
    assert own.enums == installed.enums


def test_maap_messages_come_from_the_layers_folder(files):
    schema = read_schema(files["kernels/maap.proto"])
    assert schema.messages == {"caffe.EnhancementParameter", "caffe.EliminationParameter"}
    assert set(files) == {*BVLC_FILES, *FORK_FILES, "kernels/maap.proto"}


# ---- what other forks add

# From this number on a field's number is of this schema's choice, since the forks' own clash.
FREE_FROM = 101
# A text of the forks' layers has this field, whose message another fork calls UnPoolingParameter.
NOT_IN_TABLE = {("caffe.LayerParameter", "unpooling_param")}


def fork_fields(ours: Schema, forks: Schema) -> set:
    """What comes from other forks: their messages, and their fields in BVLC's."""
    added = {f for f in ours.fields if (f.message, f.name) in FORK_FIELDS}
    return forks.fields | added | {f for f in ours.fields if f.type in forks.messages}


def test_fields_of_forks_are_those_of_the_table(ours, forks):
    fields = {(f.message, f.name): f for f in fork_fields(ours, forks)}
    rows = read_table("fork_fields.tsv")
    assert {(row["message"], row["field"]) for row in rows} == set(fields) - NOT_IN_TABLE
    assert len(rows) > 300
    for row in rows:
        ours_now, theirs = fields[row["message"], row["field"]], table_field({**row, "packed": ""})
        # A field that a fork requires is optional here; its layer checks it.
        label = "optional" if theirs.label == "required" else theirs.label
        number = ours_now.number if is_free(ours_now) else theirs.number
        assert ours_now == theirs._replace(label=label, number=number)
        assert row["dialects"]


def is_free(field: Field) -> bool:
    """Whether a field has a number of this schema's choice."""
    own = field.message in ("caffe.LayerParameter", "caffe.SolverParameter")
    return field.number >= (OWN_FROM if own else FREE_FROM)


def test_enums_of_forks_are_those_of_the_table(forks):
    rows = read_table("fork_enums.tsv")
    assert {(row["enum"], row["value"], int(row["number"])) for row in rows} == forks.enums
    assert len(rows) == len(forks.enums) > 30


def test_no_two_fields_of_a_message_have_one_name_or_number(ours, forks):
    for schema in (ours, forks):
        assert len({(f.message, f.name) for f in schema.fields}) == len(schema.fields)
        assert len({(f.message, f.number) for f in schema.fields}) == len(schema.fields)
