"""The reader of NumPy's pickles: every protocol, and everything that it must refuse."""

import os
import pickle
import struct

import numpy as np
import pytest
import torch_files as files
from maap.errors import MaapError
from maap.weights.numpy_file import read_arrays

RANDOM = np.random.RandomState(1)
ARRAYS = {
    "conv": [RANDOM.randn(3, 2, 4, 5).astype(np.float32), RANDOM.randn(5)],
    "turned": np.asfortranarray(RANDOM.randn(3, 4).astype(np.float16)),
    "big": np.arange(6, dtype=">i4").reshape(2, 3),
    "flags": (np.array([True, False]),),
    "number": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.uint8),
}


def same(found, wanted):
    wanted = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(protocol):
    found = read_arrays(pickle.dumps(ARRAYS, protocol), "x.pkl")
    assert list(found) == list(ARRAYS)
    for name, arrays in ARRAYS.items():
        same(found[name], arrays)


NEW = b"(cnumpy\nndarray\nK\x00\x85C\x01bt"
EMPTY = files.called("numpy.core.multiarray", "_reconstruct", NEW)


def array(shape, data, module="numpy.core.multiarray", kind="f4", order="<", fields=b"NNN"):
    """A pickled array, made by hand, as NumPy writes it."""
    made = files.called(module, "_reconstruct", NEW)
    minus = b"J" + struct.pack("<i", -1)
    dtype = files.called("numpy", "dtype", b"(" + files.text(kind) + b"K\x00K\x01t")
    dtype += b"(K\x03" + files.text(order) + fields + minus * 2 + b"K\x00tb"
    content = b"B" + struct.pack("<I", len(data)) + data
    return made + b"(K\x01" + files.numbers(shape) + dtype + b"\x89" + content + b"tb"


def one(value, name="w"):
    return files.pickled(b"}" + files.text(name) + value + b"s")


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_before_2_and_since(module):
    values = np.arange(6, dtype=np.float32)
    found = read_arrays(one(array((2, 3), values.tobytes(), module)), "x.pkl")
    same(found["w"], values.reshape(2, 3))


class Harmful:
    """Its pickle calls os.mkdir."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_call_in_the_pickle_is_not_made(tmp_path, protocol):
    data = pickle.dumps({"w": [np.ones(3), Harmful(tmp_path / "made")]}, protocol)
    with pytest.raises(MaapError, match="x.pkl: not a pickle of arrays.*posix.mkdir called"):
        read_arrays(data, "x.pkl")
    assert not (tmp_path / "made").exists()


VALUES = bytes(24)


@pytest.mark.parametrize(
    "data, said",
    [
        (one(array((7,), VALUES)), "an array of 28 bytes has 24"),
        (one(array((5,), VALUES)), "an array of 20 bytes has 24"),
        (one(array((2**40, 2**40), b"")), "an array's shape"),
        (one(array((0, 2**80), b"")), "an array's shape"),
        (one(array((1,) * 33, bytes(4))), "an array's description"),
        (one(array((6,), VALUES, kind="O")), "'O', not of numbers"),
        (one(array((6,), VALUES, kind="V4")), "'V4', not of numbers"),
        (one(array((6,), VALUES, order="x")), "a dtype's description"),
        (one(array((6,), VALUES, fields=b"N})")), "a dtype with fields"),
        (one(array((6,), VALUES).replace(b"ndarray", b"matrix")), "of a type of its own"),
        (one(array((6,), VALUES).replace(b"t" + files.called("numpy", "dtype", b"")[:-1],
                                         b"t" + b"cos\nsystem\n")), "os.system called"),
        (one(EMPTY), "'w' is no array"),  # without its BUILD
        (one(b"]"), "no name, or no array for it"),
        (one(b"K\x05"), "'w' is no array"),
        (files.pickled(b"}"), "no dict of arrays"),
        (files.pickled(b"K\x05"), "no dict of arrays"),
        (files.pickled(b"}K\x01" + array((6,), VALUES) + b"s"), "no name, or no array for it"),
        (files.pickled(b"}}b"), "no dict of arrays"),
        (files.pickled(b"Nb"), "can be followed"),
        (files.pickled(files.called("_codecs", "encode", b"(Vx\nVutf-8\nt")), "a text to encode"),
        (files.pickled(b"cnumpy\ndtype\n)R"), "an array of nothing"),
        (files.pickled(files.called("numpy.core.numeric", "_frombuffer", b")")), "description"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62), "can be followed|no memory has"),
        (b"", "can be followed"),
    ],
)  # fmt: skip
def test_pickles_that_are_no_weights(data, said):
    with pytest.raises(MaapError, match=f"x.pkl: .*({said})"):
        read_arrays(data, "x.pkl")


def test_values_that_would_take_forever_to_show():
    halving = b")" + b"q\x00h\x00\x86" * 60  # 2**60 tuples
    for content in (
        files.called("numpy.core.multiarray", "_reconstruct", halving),
        files.called("numpy", "dtype", b"(" + halving + b"t"),
        b"}" + files.text("w") + halving + b"s",
    ):
        with pytest.raises(MaapError, match="a tuple|is no array"):
            read_arrays(files.pickled(content), "x.pkl")


@pytest.mark.parametrize("protocol", [2, 5])
def test_damage_anywhere_is_an_error_or_other_values(protocol):
    """Never another exception: one byte changed at each place; and cut at each place."""
    whole = pickle.dumps({"w": [np.ones((2, 2), np.float32)]}, protocol)
    for at in range(len(whole)):
        damaged = [whole[:at]]
        damaged += [whole[:at] + bytes([byte]) + whole[at + 1 :] for byte in (0, 0x2E, 0x52, 0xFF)]
        for data in damaged:
            try:
                read_arrays(data, "x.pkl")
            except MaapError:
                pass
