"""What files of other forks of Caffe add to test_hostile.py's inputs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

NETS = Path(__file__).parents[2] / "nets" / "forks"
# Between the fields of a solver: what only forks have, with a message and a list among them.
SOLVER = (
    ' eval_type: "detection" ap_version: "11point" plateau_winsize: 2 plateau_winsize: 3 '
    "min_lr: 0.01 rampup_interval: 2 rampup_lr: 0.1 "
)
# Fields of layers that are skipped, with all that can stand inside them.
LAYER = (
    ' forward_type: FLOAT16 trt_param { deeper { list: [1, 2] text: "a" } } '
    "quantization_param < bits: 8 > dialect: 'segnet' "
)


def net_texts() -> list[str]:
    """The nets of tests/nets/forks, and one with fields that are skipped."""
    texts = [path.read_text() for path in sorted(NETS.glob("*.prototxt"))]
    stn = (NETS / "stn.prototxt").read_text()
    return [*texts, stn.replace("layer { name", "layer {" + LAYER + "name")]


def varint(value: int) -> bytes:
    """A number as protobuf stores it."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of bytes or of a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def foreign_field(r: random.Random, numbers: list[int]) -> bytes:
    """A field with one of the numbers, or any, of a random kind of value."""
    number = r.choice([r.choice(numbers), r.randrange(1, 1 << r.choice([5, 8, 14, 29]))])
    kind = r.choice([0, 1, 2, 2, 5])
    if kind == 0:
        return varint(number << 3) + varint(r.choice([0, 1, 143, 1 << 31, (1 << 64) - 1]))
    if kind == 2:
        return bytes_field(number, r.randbytes(r.choice([0, 1, 7, 130])))
    return varint(number << 3 | kind) + r.randbytes(8 if kind == 1 else 4)


def foreign_weights(r: random.Random, net: Any) -> bytes:
    """A caffemodel of the layers of a NetParameter, with fields of other meanings or none."""
    numbers = [10, 11, 100, 106, 137, 143, 145, 146, 152, 200, 206, 8001, 8003]
    parts = []
    for layer in net.layer:
        fields = [layer.SerializeToString()]
        fields += [foreign_field(r, numbers) for _ in range(r.choice([0, 1, 3]))]
        r.shuffle(fields)
        parts.append(bytes_field(100, b"".join(fields)))
    parts += [foreign_field(r, [2, 3, 8, 9, 11, 100, 101]) for _ in range(r.choice([0, 1, 2]))]
    r.shuffle(parts)
    return b"".join(parts)


def raw_weights(r: random.Random, net: Any) -> bytes:
    """A caffemodel with raw values, as NVIDIA's Caffe writes them, some of them wrong."""
    parts = []
    for layer in net.layer:
        stored = bytes_field(1, layer.name.encode())
        for blob in layer.blobs:
            kind = r.choice([0, 1, 2, 2, r.randrange(8)])
            size = {0: 8, 1: 4}.get(kind, 2)
            count = len(blob.data) * size + r.choice([0, 0, 0, -1, 1, size])
            raw = bytes_field(12, r.randbytes(max(count, 0)))
            values = bytes_field(7, blob.shape.SerializeToString()) + varint(10 << 3)
            stored += bytes_field(7, values + varint(kind) + raw)
        parts.append(bytes_field(100, stored))
    return b"".join(parts)
