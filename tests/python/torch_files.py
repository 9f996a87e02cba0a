"""Files as torch.save writes them, made here byte by byte: no PyTorch is needed."""

import struct
import zipfile

import numpy as np

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    if value < 256:
        return b"K" + bytes([value])
    if value < 2**31:
        return b"J" + struct.pack("<i", value)
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little")


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def called(module, name, arguments):
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


def storage(kind, key, count, legacy=False):
    """A persistent id."""
    parts = text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count)
    return b"(" + parts + (b"N" if legacy else b"") + b"tQ"


def tensor(kind, key, count, shape, strides, offset=0, legacy=False):
    parts = storage(kind, key, count, legacy) + number(offset) + numbers(shape) + numbers(strides)
    empty = called("collections", "OrderedDict", b")")
    return called("torch._utils", "_rebuild_tensor_v2", b"(" + parts + b"\x89" + empty + b"t")


def pickled(value):
    return b"\x80\x02" + value + b"."


def ordered(items):
    """An OrderedDict of {name: pickled value}."""
    pairs = b"".join(text(name) + value for name, value in items.items())
    return called("collections", "OrderedDict", b")") + b"(" + pairs + b"u"


def of_arrays(arrays, legacy=False):
    return ordered(
        {
            name: tensor(
                STORAGES[array.dtype.str[1:]], str(key), array.size, array.shape,
                [stride // array.itemsize for stride in array.strides], legacy=legacy,
            )
            for key, (name, array) in enumerate(arrays.items())
        }
    )  # fmt: skip


def write_archive(path, content, records, byteorder=b"little", prefix="archive", compression=0):
    """The zip layout: ``content`` is the pickle, ``records`` the bytes by key."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{prefix}/data.pkl", pickled(content))
        archive.writestr(f"{prefix}/byteorder", byteorder)
        for key, data in records.items():
            archive.writestr(f"{prefix}/data/{key}", data)
        archive.writestr(f"{prefix}/version", b"3\n")
    return path


def write(path, arrays):
    """A state_dict of arrays in the zip layout."""
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    records = {str(key): array.tobytes() for key, array in enumerate(arrays.values())}
    return write_archive(path, of_arrays(arrays), records)


def write_legacy(path, arrays, little=True):
    """The same in the layout of before PyTorch 1.6."""
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    magic = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
    system = b"}" + text("little_endian") + (b"\x88" if little else b"\x89") + b"s"
    keys = b"]" + b"(" + b"".join(text(str(key)) for key in range(len(arrays))) + b"e"
    parts = [pickled(magic), pickled(number(1001)), pickled(system)]
    parts += [pickled(of_arrays(arrays, legacy=True)), pickled(keys)]
    for array in arrays.values():
        parts.append(struct.pack("<q", array.size) + array.tobytes())
    path.write_bytes(b"".join(parts))
    return path
