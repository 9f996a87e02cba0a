"""Reading protobuf's binary format without the message classes."""

import pytest
from maap.util import wire
from maap.util.schema import caffe_pb2


def walk(data):
    return [
        (f.number, f.kind, f.value, data[f.start : f.end]) for f in wire.fields(data, 0, len(data))
    ]


def test_every_kind_of_value():
    net = caffe_pb2.NetParameter(name="tiny", force_backward=True)
    layer = net.layer.add(name="a", loss_weight=[1.5])
    layer.blobs.add(double_diff=[2.5])
    assert walk(net.SerializeToString()) == [
        (1, wire.BYTES, 0, b"tiny"),
        (5, wire.VARINT, 1, b"\x01"),
        (100, wire.BYTES, 0, layer.SerializeToString()),
    ]
    assert walk(b"\x0d\x00\x00\xc0\x3f" + b"\x11" + bytes(8)) == [
        (1, wire.FIXED32, 0, b"\x00\x00\xc0\x3f"),
        (2, wire.FIXED64, 0, bytes(8)),
    ]
    assert walk(b"") == []


def test_a_varint_of_many_groups():
    number = (1 << 64) - 1
    data = bytes([0xFF] * 9 + [0x01])
    assert wire.varint(data, 0, 10) == (number, 10)
    assert wire.varint(b"\x00\x96\x01\x07", 1, 4) == (150, 3)


def test_cut_short_anywhere():
    net = caffe_pb2.NetParameter(name="a name", force_backward=True)
    net.layer.add(name="b" * 200)
    whole = net.SerializeToString()
    ends = {f.end for f in wire.fields(whole, 0, len(whole))}
    assert len(ends) == 3
    for size in range(1, len(whole)):
        if size in ends:
            continue
        with pytest.raises(wire.Truncated, match="missing|cut off"):
            walk(whole[:size])


@pytest.mark.parametrize(
    "data, said",
    [
        (b"\x00\x01", "field number 0"),
        (b"\x0b", "no value starts with wire type 3"),
        (b"\x0e\x01", "no value starts with wire type 6"),
        (b"\xff" * 40, "more than ten bytes"),
    ],
)
def test_no_message_at_all(data, said):
    with pytest.raises(wire.WireError, match=said) as error:
        walk(data)
    assert not isinstance(error.value, wire.Truncated)


def test_a_span_is_of_bytes_alone():
    (field,) = wire.fields(b"\x08\x05", 0, 2)
    with pytest.raises(wire.WireError, match="another kind"):
        field.span()
    (field,) = wire.fields(b"\x0a\x02hi", 0, 4)
    assert field.span() == (2, 4)
