"""Damages files of every kind and hands them to the engine: what test_hostile.py starts.

    python hostile.py KIND FIRST COUNT FOLDER

Input number i of a kind is made from a sound file and a random generator seeded with (kind, i), so
it can be made again alone: COUNT 1. The number is printed before the input is used and the outcome
after it; the last line tells which input ended the process.
"""

import contextlib
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

MEMORY = 3 << 30  # bytes of address space above what the process has at its start
INTERESTING = [b"0", b"-1", b"1", b"2147483647", b"-2147483648", b"4294967295", b"65536"]
INTERESTING += [b"1e38", b"-1e38", b"nan", b"inf", b"1e-40", b"9223372036854775807", b'""', b"{}"]

NET = """
name: "net" force_backward: true
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "label" type: "Input" top: "label" include { phase: TEST }
        input_param { shape { dim: 2 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        param { lr_mult: 1 name: "w" } param { lr_mult: 2 decay_mult: 0 }
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 1 group: 1 dilation: 1
                            weight_filler { type: "xavier" } bias_filler { type: "constant" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { eps: 0.001 } }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "lrn" type: "LRN" bottom: "conv" top: "lrn" lrn_param { local_size: 3 alpha: 0.1 } }
layer { name: "pool" type: "Pooling" bottom: "lrn" top: "pool"
        pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "slice" type: "Slice" bottom: "pool" top: "a" top: "b"
        slice_param { axis: 1 slice_point: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum"
        eltwise_param { operation: SUM coeff: 1 coeff: -1 } }
layer { name: "cat" type: "Concat" bottom: "sum" bottom: "a" top: "cat" concat_param { axis: 1 } }
layer { name: "up" type: "Deconvolution" bottom: "cat" top: "up"
        convolution_param { num_output: 2 kernel_size: 4 stride: 2 pad: 1 bias_term: false } }
layer { name: "flat" type: "Reshape" bottom: "up" top: "flat"
        reshape_param { shape { dim: 0 dim: -1 } axis: 0 num_axes: -1 } }
layer { name: "drop" type: "Dropout" bottom: "flat" top: "flat"
        dropout_param { dropout_ratio: 0.5 } }
layer { name: "ip" type: "InnerProduct" bottom: "flat" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
        loss_weight: 1 loss_param { ignore_label: 2 normalization: VALID }
        include { phase: TEST stage: "s" } }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc"
        accuracy_param { top_k: 2 } include { phase: TEST } }
"""
MORE = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
layer { name: "crop" type: "Crop" bottom: "x" bottom: "t" top: "crop"
        crop_param { axis: 2 offset: 0 offset: 0 } }
layer { name: "argmax" type: "ArgMax" bottom: "x" top: "argmax"
        argmax_param { top_k: 2 axis: 1 out_max_val: true } }
layer { name: "red" type: "Reduction" bottom: "x" top: "red"
        reduction_param { operation: MEAN axis: 1 coeff: 2 } }
layer { name: "tile" type: "Tile" bottom: "x" top: "tile" tile_param { axis: 1 tiles: 3 } }
layer { name: "mvn" type: "MVN" bottom: "x" top: "mvn" mvn_param { across_channels: true } }
layer { name: "power" type: "Power" bottom: "x" top: "power"
        power_param { power: 2 scale: 0.5 shift: 1 } }
layer { name: "exp" type: "Exp" bottom: "x" top: "exp" exp_param { base: 2 scale: 1 shift: 0 } }
layer { name: "elu" type: "ELU" bottom: "x" top: "elu" elu_param { alpha: 0.5 } }
layer { name: "prelu" type: "PReLU" bottom: "x" top: "prelu"
        prelu_param { channel_shared: false } }
layer { name: "bias" type: "Bias" bottom: "x" top: "bias" bias_param { axis: 1 num_axes: 2 } }
layer { name: "flatten" type: "Flatten" bottom: "x" top: "flatten"
        flatten_param { axis: 1 end_axis: -1 } }
layer { name: "embed_in" type: "DummyData" top: "ids"
        dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "constant" value: 1 } } }
layer { name: "embed" type: "Embed" bottom: "ids" top: "embed"
        embed_param { input_dim: 4 num_output: 2 weight_filler { type: "uniform" } } }
layer { name: "l2" type: "EuclideanLoss" bottom: "x" bottom: "t" top: "l2" }
layer { name: "e" type: "Enhancement" bottom: "x" top: "e" top: "att" }
layer { name: "d" type: "Elimination" bottom: "e" bottom: "t" top: "d" top: "region"
        elimination_param { a_star: ROI threshold_at: INPUT } }
layer { name: "im2col" type: "Im2col" bottom: "x" top: "im2col"
        convolution_param { kernel_size: 2 stride: 1 pad: 0 } }
layer { name: "spp" type: "SPP" bottom: "x" top: "spp"
        spp_param { pyramid_height: 2 pool: MAX } }
layer { name: "split" type: "Split" bottom: "d" top: "s1" top: "s2" }
"""
RECURRENT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 2 dim: 4 } } }
layer { name: "c" type: "Input" top: "c" input_param { shape { dim: 3 dim: 2 } } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "c" top: "lstm"
        recurrent_param { num_output: 5 weight_filler { type: "uniform" min: -0.1 max: 0.1 } } }
layer { name: "rnn" type: "RNN" bottom: "x" bottom: "c" top: "rnn"
        recurrent_param { num_output: 3 weight_filler { type: "xavier" } } }
"""
SMALL = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "ip" top: "bn" }
"""
TRAIN = """
layer { name: "data" type: "DummyData" top: "data" top: "label"
        dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
                           data_filler { type: "gaussian" } data_filler { type: "constant" } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


# ---- damage


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


# ---- kinds: make(folder) returns use(r), which damages a file and hands it over


def sound_nets() -> list[str]:
    """Those whose layers this build has."""
    import caffe

    known = set(caffe.layer_type_list())
    return [
        text
        for text in (NET, MORE, RECURRENT)
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


def net_fields(folder: Path) -> Callable:
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    sound = [text_format.Parse(text, caffe_pb2.NetParameter()) for text in sound_nets()]

    def use(r: random.Random) -> None:
        net = caffe_pb2.NetParameter()
        net.CopyFrom(r.choice(sound))
        for _ in range(r.choice([1, 1, 2, 4])):
            damage_message(r, net)
        path = folder / "net.prototxt"
        path.write_text(text_format.MessageToString(net))
        run_net(path, r.choice([0, 1]), r.choice([[], ["s"]]))

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
        "solver_mode: CPU debug_info: false test_initialization: false"
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
        if r.random() < 0.5:
            path.write_bytes(damage_bytes(r, sound))
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
            path.write_bytes(damage_bytes(r, sound))
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
BINARY = set(KINDS) - {"net_text", "net_fields", "solver_text"}


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    import caffe

    kind, first, count, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    use = KINDS[kind](folder)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    caffe.set_random_seed(1)
    for number in range(first, first + count):
        print(number, end=" ", flush=True)
        start = time.monotonic()
        try:
            use(random.Random(f"{kind} {number}"))
            outcome = "accepted"
        except caffe.CaffeError as error:
            named = kind not in BINARY or str(folder) in str(error)
            outcome = "refused" if named else f"unnamed {str(error)!r}"
        except (MemoryError, ValueError, KeyError, IndexError) as error:
            outcome = f"{type(error).__name__} {str(error)!r}"
        seconds = time.monotonic() - start
        print(f"{seconds:.2f} {resident() >> 20} {outcome[:300]}", flush=True)


if __name__ == "__main__":
    main()
