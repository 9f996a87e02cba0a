"""Hands damaged files and made up nets to the engine: what test_hostile.py starts.

    python hostile.py KIND BATCH COUNT FOLDER

Hypothesis draws COUNT inputs of a kind, the same ones for the same batch. An input's number is
printed before it is used and the outcome after it; its file stays in FOLDER. An outcome that is
wrong ends the process with Hypothesis's report, after it has looked for a smaller input that is
wrong in the same way; a crash ends it at once.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import hostile_forks
import numpy as np
from hostile_damage import damage_bytes, damage_message, damage_text, make_net
from hostile_nets import MAPS, MORE, NET, RECURRENT, REGIONS, SMALL, TEXT, TRAIN
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

MEMORY = 3 << 30  # bytes of address space above what the process has at its start
MEGABYTES = 700  # that a process may take for files which do not say how much they want
RIGHT = ("accepted", "refused", "MemoryError")
SECONDS = 30  # for one input, on a machine that is busy with other things

# ---- kinds: make(folder) returns use(r), which damages a file and hands it over


def sound_nets() -> list[str]:
    """Those whose layers this build has."""
    import caffe

    known = set(caffe.layer_type_list())
    return [
        text
        for text in (NET, MORE, MAPS, RECURRENT, REGIONS, TEXT, *hostile_forks.net_texts())
        if set(re.findall(r'type: "([A-Z]\w+)"', text)) <= known
    ]


def run_net(path: Path, phase: int, stages=()) -> None:
    import caffe

    net = caffe.Net(path, phase, stages=list(stages))
    if sum(blob.count for blob in net.blobs.values()) > 1 << 24:
        return  # what it would compute is much, but no more than it says
    net.forward()
    net.backward()
    net.reshape()
    for name in net.inputs:
        first, *others = net.blobs[name].shape or [0]
        net.blobs[name].reshape(first + 1, *others)
    net.forward()


def net_text(folder: Path) -> Callable:
    sound = [text.encode() for text in sound_nets()]

    def use(r: random.Random) -> None:
        path = folder / "net.prototxt"
        path.write_bytes(damage_text(r, r.choice(sound)))
        run_net(path, r.choice([0, 1]), r.choice([[], ["s"]]))

    return use


def sound_messages(folder: Path) -> list:
    """The sound nets as the engine reads them, without what it skips."""
    from caffe.io import read_net

    path, nets = folder / "sound.prototxt", []
    for text in sound_nets():
        path.write_text(text)
        nets.append(read_net(path))
    return nets


def net_fields(folder: Path) -> Callable:
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    sound = sound_messages(folder)

    def use(r: random.Random) -> None:
        net = caffe_pb2.NetParameter()
        net.CopyFrom(r.choice(sound))
        for _ in range(r.choice([1, 1, 2, 4])):
            damage_message(r, net)
        path = folder / "net.prototxt"
        path.write_text(text_format.MessageToString(net))
        run_net(path, r.choice([0, 1]), r.choice([[], ["s"]]))

    return use


def net_made(folder: Path) -> Callable:
    import caffe
    from google.protobuf import text_format

    samples = {layer.type: layer for net in sound_messages(folder) for layer in net.layer}

    # Python runs what its user wrote; HDF5Output writes where it is told to.
    types = sorted(set(caffe.layer_type_list()) - {"Python", "HDF5Output"})

    def use(r: random.Random) -> None:
        path = folder / "net.prototxt"
        path.write_text(text_format.MessageToString(make_net(r, types, samples)))
        run_net(path, r.choice([0, 1]))

    return use


def solver_text(folder: Path) -> Callable:
    import caffe

    (folder / "train.prototxt").write_text(TRAIN)
    sound = (
        f'net: "{folder}/train.prototxt" test_iter: 1 test_interval: 3 base_lr: 0.1 '
        'lr_policy: "step" gamma: 0.5 power: 0.75 stepsize: 2 stepvalue: 3 max_iter: 4 '
        "momentum: 0.9 momentum2: 0.99 delta: 1e-8 rms_decay: 0.9 weight_decay: 0.001 "
        "clip_gradients: 10 "
        f'iter_size: 1 average_loss: 2 display: 2 snapshot: 3 snapshot_prefix: "{folder}/snap" '
        'snapshot_format: BINARYPROTO regularization_type: "L2" random_seed: 3 type: "SGD" '
        "solver_mode: CPU debug_info: false test_initialization: false" + hostile_forks.SOLVER
    ).encode()

    def use(r: random.Random) -> None:
        path = folder / "solver.prototxt"
        path.write_bytes(damage_text(r, sound))
        solver = caffe.get_solver(path)
        if solver.param.iter_size < 100 and max([*solver.param.test_iter, 0]) < 100:
            solver.step(3)

    return use


def caffemodel(folder: Path) -> Callable:
    import caffe

    (folder / "net.prototxt").write_text(SMALL)
    net = caffe.Net(folder / "net.prototxt", caffe.TEST)
    net.save(folder / "sound")
    sound = (folder / "sound").read_bytes()

    def use(r: random.Random) -> None:
        path = folder / "damaged.caffemodel"
        way = r.choice(["bytes", "bytes", "fields", "fields", "forks", "raw"])
        if way == "bytes":
            path.write_bytes(damage_bytes(r, sound))
        elif way != "fields":
            message = caffe.proto.caffe_pb2.NetParameter.FromString(sound)
            make = hostile_forks.foreign_weights if way == "forks" else hostile_forks.raw_weights
            path.write_bytes(make(r, message))
        else:
            message = caffe.proto.caffe_pb2.NetParameter.FromString(sound)
            for _ in range(r.choice([1, 2, 4])):
                damage_message(r, message)
            path.write_bytes(message.SerializeToString())
        try:
            net.copy_from(path)
        finally:
            net.forward()

    return use


def solverstate(folder: Path) -> Callable:
    import caffe

    (folder / "train.prototxt").write_text(TRAIN)
    (folder / "solver.prototxt").write_text(
        f'net: "{folder}/train.prototxt" base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 '
        f'snapshot_prefix: "{folder}/snap"'
    )
    solver = caffe.get_solver(folder / "solver.prototxt")
    solver.step(2)
    solver.snapshot()
    sound = (folder / "snap_iter_2.solverstate").read_bytes()

    def use(r: random.Random) -> None:
        path = folder / "damaged.solverstate"
        if r.random() < 0.5:
            foreign = hostile_forks.foreign_field(r, [4, 5, 6, 7]) if r.random() < 0.3 else b""
            path.write_bytes(sound + foreign if foreign else damage_bytes(r, sound))
        else:
            message = caffe.proto.caffe_pb2.SolverState.FromString(sound)
            for _ in range(r.choice([1, 2])):
                damage_message(r, message)
            path.write_bytes(message.SerializeToString())
        solver.restore(path)
        try:
            if solver.iter < 1000:
                with contextlib.suppress(caffe.CaffeError):  # a momentum that is NaN, say
                    solver.step(1)
        finally:
            solver.restore(folder / "snap_iter_2.solverstate")

    return use


DATA_NET = """
layer {{ name: "data" type: "Data" top: "data" top: "label"
        transform_param {{ {transform} }}
        data_param {{ source: "{source}" batch_size: 2 backend: LMDB }} }}
"""


def write_lmdb(path: Path, values: list[bytes]) -> None:
    import lmdb

    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for i, value in enumerate(values):
            txn.put(b"%08d" % i, value)


def datums() -> list[bytes]:
    """A few images as bytes, as floats and as a PNG."""
    from caffe import io
    from PIL import Image

    image = np.arange(3 * 6 * 5, dtype=np.uint8).reshape(3, 6, 5)
    buffer = tempfile.SpooledTemporaryFile()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    jpeg = tempfile.SpooledTemporaryFile()
    Image.fromarray(image.transpose(1, 2, 0)).save(jpeg, "JPEG")
    messages = [io.array_to_datum(image, 1), io.array_to_datum(image.astype(float), 2)]
    for file in (buffer, jpeg):
        file.seek(0)
        encoded = io.array_to_datum(image[:, :0], 3)
        encoded.data, encoded.encoded = file.read(), True
        messages.append(encoded)
    return [message.SerializeToString() for message in messages]


def binaryproto(folder: Path) -> Callable:
    import caffe

    write_lmdb(folder / "lmdb", datums()[:1] * 2)
    mean = caffe.io.array_to_blobproto(np.ones((1, 3, 6, 5), np.float32)).SerializeToString()
    (folder / "net.prototxt").write_text(
        DATA_NET.format(transform=f'mean_file: "{folder}/mean"', source=folder / "lmdb")
    )

    def use(r: random.Random) -> None:
        (folder / "mean").write_bytes(damage_bytes(r, mean))
        caffe.Net(folder / "net.prototxt", caffe.TRAIN).forward()

    return use


def lmdb_values(folder: Path) -> Callable:
    import caffe

    sound = datums()
    transforms = ["", "scale: 0.5 mirror: true crop_size: 4", "force_color: true mean_value: 3"]

    def use(r: random.Random) -> None:
        first = r.choice(sound)
        damaged = damage_bytes(r, first)
        if r.random() < 0.5:
            message = caffe.proto.caffe_pb2.Datum.FromString(first)
            damage_message(r, message)
            damaged = message.SerializeToString()
        values = [first, damaged] if r.random() < 0.6 else [damaged, first]
        with tempfile.TemporaryDirectory(dir=folder) as name:
            write_lmdb(Path(name) / "lmdb", values)
            text = DATA_NET.format(transform=r.choice(transforms), source=f"{name}/lmdb")
            (folder / "net.prototxt").write_text(text)
            net = caffe.Net(folder / "net.prototxt", r.choice([caffe.TRAIN, caffe.TEST]))
            net.forward()
            net.forward()

    return use


def lmdb_file(folder: Path) -> Callable:
    import caffe

    write_lmdb(folder / "sound", datums())
    sound = (folder / "sound" / "data.mdb").read_bytes()

    def use(r: random.Random) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            (Path(name) / "data.mdb").write_bytes(damage_bytes(r, sound))
            text = DATA_NET.format(transform="", source=name)
            (folder / "net.prototxt").write_text(text)
            caffe.Net(folder / "net.prototxt", caffe.TRAIN).forward()

    return use


def hdf5_weights(folder: Path) -> Callable:
    import caffe

    (folder / "net.prototxt").write_text(SMALL)
    net = caffe.Net(folder / "net.prototxt", caffe.TEST)
    net.save_hdf5(folder / "sound")
    sound = (folder / "sound").read_bytes()

    def use(r: random.Random) -> None:
        path = folder / "damaged.h5"
        path.write_bytes(damage_bytes(r, sound))
        try:
            net.load_hdf5(path)
        finally:
            net.forward()

    return use


def hdf5_data(folder: Path) -> Callable:
    import caffe

    # As HDF5Output writes it: no other writer is needed.
    (folder / "out.prototxt").write_text(
        'layer { name: "x" type: "DummyData" top: "x" top: "l" dummy_data_param { '
        "shape { dim: 4 dim: 3 } shape { dim: 4 } } } "
        'layer { name: "o" type: "HDF5Output" bottom: "x" bottom: "l" '
        f'hdf5_output_param {{ file_name: "{folder}/sound" }} }}'
    )
    caffe.Net(folder / "out.prototxt", caffe.TEST).forward()
    sound = (folder / "sound").read_bytes()
    (folder / "list").write_text(f"{folder}/damaged.h5\n")
    (folder / "in.prototxt").write_text(
        'layer { name: "d" type: "HDF5Data" top: "data" top: "label" '
        f'hdf5_data_param {{ source: "{folder}/list" batch_size: 2 }} }}'
    )

    def use(r: random.Random) -> None:
        (folder / "damaged.h5").write_bytes(damage_bytes(r, sound))
        net = caffe.Net(folder / "in.prototxt", caffe.TRAIN)
        net.forward()
        net.forward()

    return use


KINDS: dict[str, Callable] = {
    maker.__name__: maker
    for maker in (
        net_text,
        net_fields,
        net_made,
        solver_text,
        caffemodel,
        solverstate,
        binaryproto,
        lmdb_values,
        lmdb_file,
        hdf5_weights,
        hdf5_data,
    )
}
# Files that are not text are wrong as a whole: their errors name them, and they ask for no memory.
BINARY = set(KINDS) - {"net_text", "net_fields", "net_made", "solver_text"}


def resident() -> int:
    """Megabytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20


def limit_memory() -> None:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def outcome_of(kind: str, use: Callable, r: random.Random, folder: Path) -> str:
    """``accepted``, ``refused`` or ``MemoryError``, which are right; anything else is wrong."""
    import caffe

    try:
        use(r)
    except caffe.CaffeError as error:
        named = kind not in BINARY or str(folder) in str(error)
        return "refused" if named else f"unnamed {str(error)!r}"
    except MemoryError:
        return "MemoryError"
    except (ValueError, KeyError, IndexError) as error:
        return f"{type(error).__name__} {str(error)!r}"
    return "accepted"


def main() -> None:
    import caffe

    kind, batch, count, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    use = KINDS[kind](folder)
    if "MAAP_HOSTILE_NO_LIMIT" not in os.environ:  # a sanitizer's shadow needs the address space
        limit_memory()
    caffe.set_random_seed(1)
    numbers = itertools.count()

    @seed(zlib.crc32(f"{kind} {batch}".encode()))
    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.randoms(use_true_random=False))
    def hand_over(r: random.Random) -> None:
        print(next(numbers), end=" ", flush=True)
        start = time.monotonic()
        try:
            outcome = outcome_of(kind, use, r, folder)
        except BaseException:  # Hypothesis gives an input up that needs too many draws
            print("given up", flush=True)
            raise
        seconds, megabytes = time.monotonic() - start, resident()
        print(f"{seconds:.2f} {megabytes} {outcome[:300]}", flush=True)
        assert outcome in RIGHT, outcome
        assert seconds <= SECONDS, f"took {seconds:.0f} s"
        assert kind not in BINARY or megabytes <= MEGABYTES, f"{megabytes} MB"

    hand_over()


if __name__ == "__main__":
    main()
