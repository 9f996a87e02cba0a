"""Damage to bytes, prototxt and messages, and nets made of nothing but the schema.

``r`` is Hypothesis's ``st.randoms(use_true_random=False)``: an input comes again from the same
draws, and Hypothesis makes one that fails smaller.
"""

from __future__ import annotations

import contextlib
import random
import re
from typing import Any

INTERESTING = [b"0", b"-1", b"1", b"2147483647", b"-2147483648", b"4294967295", b"65536"]
INTERESTING += [b"1e38", b"-1e38", b"nan", b"inf", b"1e-40", b"9223372036854775807", b'""', b"{}"]


def flip_bits(r: random.Random, data: bytearray) -> None:
    for _ in range(r.choice([1, 1, 2, 8, 64])):
        data[r.randrange(len(data))] ^= 1 << r.randrange(8)


def replace_bytes(r: random.Random, data: bytearray) -> None:
    for _ in range(r.choice([1, 4, 16])):
        data[r.randrange(len(data))] = r.choice([0, 1, 0x7F, 0x80, 0xFF, r.randrange(256)])


def cut_off(r: random.Random, data: bytearray) -> None:
    del data[r.randrange(len(data)) :]


def remove_part(r: random.Random, data: bytearray) -> None:
    start = r.randrange(len(data))
    del data[start : start + r.choice([1, 2, 8, 64, 1024])]


def insert_part(r: random.Random, data: bytearray) -> None:
    start = r.randrange(len(data))
    source = r.randrange(len(data))
    part = r.randbytes(r.randrange(1, 32)) if r.random() < 0.5 else data[source : source + 64]
    data[start:start] = part


def overwrite_number(r: random.Random, data: bytearray) -> None:
    start = r.randrange(len(data))
    data[start : start + 8] = r.choice(
        [
            b"\xff" * 8,
            b"\x00" * 8,
            b"\xff\xff\xff\x7f",
            b"\x80" * 9 + b"\x01",
            b"\xff" * 9 + b"\x01",
        ]
    )


BYTES = [flip_bits, replace_bytes, cut_off, remove_part, insert_part, overwrite_number]


def damage_bytes(r: random.Random, sound: bytes) -> bytes:
    data = bytearray(sound)
    for _ in range(r.choice([1, 1, 1, 2, 5])):
        if data:
            r.choice(BYTES)(r, data)
    return bytes(data)


def damage_text(r: random.Random, sound: bytes) -> bytes:
    """Words and numbers of a prototxt in each other's places, and sometimes bytes."""
    words = sound.split(b" ")
    for _ in range(r.choice([1, 1, 2, 3, 8])):
        place = r.randrange(len(words))
        choice = r.random()
        if choice < 0.6:
            numbers = [i for i, word in enumerate(words) if word.strip(b"-.\n").isdigit()]
            words[r.choice(numbers) if numbers else place] = (
                r.choice(INTERESTING) if r.random() < 0.7 else str(r.randrange(-3, 40)).encode()
            )
        elif choice < 0.8:
            words[place] = r.choice(words)
        elif choice < 0.9:
            del words[place]
        else:
            words.insert(place, r.choice(words))
    text = b" ".join(words)
    return damage_bytes(r, text) if r.random() < 0.15 else text


def damage_message(r: random.Random, message, depth: int = 0) -> None:
    """Sets some field of a message, or of one inside it, to some value of its type."""
    inner = [value for field, value in message.ListFields() if field.message_type is not None]
    inner = [item for value in inner for item in (value if hasattr(value, "add") else [value])]
    if inner and depth < 6 and r.random() < 0.8:
        damage_message(r, r.choice(inner), depth + 1)
        return
    if not message.DESCRIPTOR.fields:
        return
    field = r.choice(message.DESCRIPTOR.fields)
    if field.message_type is not None or r.random() < 0.1:
        message.ClearField(field.name)
        return
    value = _some_value(r, field)
    with contextlib.suppress(ValueError, TypeError):
        try:
            setattr(message, field.name, value)
        except (AttributeError, TypeError):  # a repeated field
            getattr(message, field.name).append(value)


def _some_value(r: random.Random, field):
    if field.enum_type is not None:
        return r.choice(field.enum_type.values).number
    kind = field.cpp_type
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return r.choice([0.0, -1.0, 0.5, 1e38, -1e38, 1e-40, float("nan"), float("inf")])
    if kind == field.CPPTYPE_BOOL:
        return r.random() < 0.5
    if kind == field.CPPTYPE_STRING:
        text = r.choice(["", "data", "ip", "x" * 1000, "a/b", "%s%n", "\0"])
        return text.encode() if field.type == field.TYPE_BYTES else text
    return r.choice([0, 1, 2, 3, 5, -1, -2, 1000, 65536, 2**31 - 1, -(2**31), r.randrange(40)])


def make_net(r: random.Random, types: list[str], samples: dict[str, Any]):
    """A net of a few layers of any type, on blobs that may or may not fit, with any parameters.

    ``samples`` has LayerParameters, by type, to begin with.
    """
    from caffe.proto import caffe_pb2

    net = caffe_pb2.NetParameter(force_backward=r.random() < 0.5)
    blobs = ["x", "label"]
    data = net.layer.add(name="data", type="Input", top=blobs)
    axes = r.choice([4, 4, 4, 2, 1, 3, 5])
    data.input_param.shape.add(dim=[2, *(r.choice([3, 1, 4, 6, 9]) for _ in range(axes - 1))])
    data.input_param.shape.add(dim=r.choice([[2], [2, 1], [2, 1, 3, 4]]))
    for number in range(r.choice([1, 1, 2, 3, 5])):
        kind = r.choice(types)
        layer = net.layer.add(type=kind)
        if kind in samples:
            layer.CopyFrom(samples[kind])
            layer.ClearField("include")
        bottoms, tops = len(layer.bottom), len(layer.top)
        if kind not in samples or r.random() < 0.1:
            bottoms, tops = r.choice([2, 1, 3, 0]), r.choice([1, 1, 2, 3, 0])
        layer.name = f"layer{number}"
        layer.bottom[:] = ["x" if r.random() < 0.4 else r.choice(blobs) for _ in range(bottoms)]
        layer.top[:] = [
            layer.bottom[0] if bottoms and r.random() < 0.1 else f"{number}{letter}"
            for letter in "abcd"[:tops]
        ]
        blobs += [name for name in layer.top if name not in blobs]
        parameters = getattr(layer, parameters_of(kind), None)
        if parameters is not None:
            for _ in range(r.choice([0, 1, 0, 2, 4])):
                damage_message(r, parameters)
    if r.random() < 0.1:
        damage_message(r, net)
    return net


def parameters_of(kind: str) -> str:
    """The field of LayerParameter that a layer type reads: inner_product_param of InnerProduct."""
    special = {"Deconvolution": "convolution", "Im2col": "convolution", "SoftmaxWithLoss": "loss"}
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
    return f"{special.get(kind, words)}_param"
