"""The reader of PyTorch's files: both layouts, views, and everything that it must refuse."""

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch_files as files
from maap.errors import MaapError
from maap.weights.torch_file import read_torch

RANDOM = np.random.RandomState(1)
ARRAYS = {
    "a.weight": RANDOM.randn(2, 3, 4).astype(np.float32),
    "a.bias": RANDOM.randn(5),
    "half": RANDOM.randn(7).astype(np.float16),
    "steps": np.array(12, np.int64),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("write", [files.write, files.write_legacy])
def test_tensors_of_both_layouts(tmp_path, write):
    found = read_torch(write(tmp_path / "x.pth", ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def test_views_of_one_storage(tmp_path):
    """A transposed tensor, and one that begins inside the storage."""
    values = np.arange(12, dtype=np.float32)
    content = files.ordered(
        {
            "whole": files.tensor("FloatStorage", "0", 12, (3, 4), (4, 1)),
            "turned": files.tensor("FloatStorage", "0", 12, (4, 3), (1, 4)),
            "part": files.tensor("FloatStorage", "0", 12, (2,), (3,), offset=5),
        }
    )
    found = read_torch(files.write_archive(tmp_path / "x.pt", content, {"0": values.tobytes()}))
    assert np.array_equal(found["whole"], values.reshape(3, 4))
    assert np.array_equal(found["turned"], values.reshape(3, 4).T)
    assert np.array_equal(found["part"], [5, 8])


def test_parameters_bfloat16_and_a_dict_around(tmp_path):
    """Also what a state_dict keeps as _metadata, and numbers beside the weights."""
    values = np.array([1.5, -2, 0.0078125], np.float32)
    half = (values.view(np.uint32) >> 16).astype(np.uint16)
    tensor = files.tensor("BFloat16Storage", "0", 3, (3,), (1,))
    empty = files.called("collections", "OrderedDict", b")")
    parameter = files.called(
        "torch._utils", "_rebuild_parameter", b"(" + tensor + b"\x88" + empty + b"t"
    )
    state = files.ordered({"w": parameter}) + b"}" + files.text("_metadata") + empty + b"sb"
    content = files.ordered({"epoch": files.number(3), "state_dict": state})
    found = read_torch(files.write_archive(tmp_path / "x.pth", content, {"0": half.tobytes()}))
    assert list(found) == ["w"] and np.array_equal(found["w"], values)


class Harmful:
    """Its pickle calls os.mkdir."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_call_in_the_pickle_is_not_made(tmp_path):
    harm = tmp_path / "made"
    for protocol in (2, 4):
        data = pickle.dumps({"w": Harmful(harm)}, protocol)
        with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
            archive.writestr("archive/data.pkl", data)
        with pytest.raises(MaapError, match=r"x.pth: not a file of torch.save.*posix.mkdir called"):
            read_torch(tmp_path / "x.pth")
    (tmp_path / "y.pth").write_bytes(pickle.dumps(Harmful(harm)))
    with pytest.raises(MaapError, match="y.pth: not a file of torch.save"):
        read_torch(tmp_path / "y.pth")
    assert not harm.exists()


@pytest.mark.parametrize(
    "content, said",
    [
        (files.called("builtins", "eval", b"(" + files.text("1") + b"t"), "builtins.eval called"),
        (b"cos\nsystem\n", "no dict of tensors"),
        (b"(" + files.text("ls") + b"ios\nsystem\n", "the instruction INST"),
        (b"]" + files.number(1) + b"\x81", "the instruction NEWOBJ"),
        (files.ordered({}), "no tensor in it"),
        (files.number(7), "no dict of tensors"),
        (b"", "not a pickle that can be followed"),
        (b"}(" + files.number(1) + b"u", "SETITEMS on what is no dict"),
        (b"})" + files.number(1) + b"s", "neither text nor number"),
        (b"u", "no mark|not a pickle"),
        (b"h\x05", "not a pickle"),
        (b"]}b", "BUILD of what is no dict"),
    ],
)  # fmt: skip
def test_pickles_that_are_no_weights(tmp_path, content, said):
    files.write_archive(tmp_path / "x.pth", content, {})
    with pytest.raises(MaapError, match=f"x.pth: .*({said})"):
        read_torch(tmp_path / "x.pth")


def test_dicts_that_hold_themselves(tmp_path):
    inside = b"}q\x00" + files.text("me") + b"h\x00s"
    files.write_archive(tmp_path / "x.pth", inside, {})
    with pytest.raises(MaapError, match="no tensor in it"):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("FloatStorage", "0", 6, (2, 3), (3, 1), 1), "t is not inside its storage"),
        (("FloatStorage", "0", 6, (7,), (1,)), "t is not inside its storage"),
        (("FloatStorage", "0", 6, (100, 100), (0, 0)), "t repeats the values"),
        (("FloatStorage", "0", 6, (6,), (1, 1)), "a tensor's description"),
        (("FloatStorage", "0", 7, (6,), (1,)), "storage 0 has 24 bytes for 7 values"),
        (("FloatStorage", "1", 6, (6,), (1,)), "record 1 is missing"),
        (("FloatTensor", "0", 6, (6,), (1,)), "a storage described by"),
    ],
)
def test_tensors_that_do_not_fit_their_storage(tmp_path, arguments, said):
    content = files.ordered({"t": files.tensor(*arguments)})
    files.write_archive(tmp_path / "x.pth", content, {"0": np.zeros(6, np.float32).tobytes()})
    with pytest.raises(MaapError, match=said):
        read_torch(tmp_path / "x.pth")


HALVING = b")" + b"q\x00h\x00\x86" * 60  # a tuple of two, each of two ...: 2**60 of them


@pytest.mark.parametrize(
    "content, said",
    [
        (HALVING + b"Q", "a storage described by a tuple"),
        (HALVING + b")R", "have a tuple called"),
        (HALVING + HALVING + b"\x93", "STACK_GLOBAL of what is no text"),
        (b"}" + HALVING + b"Ns", "neither text nor number"),
        (b")" + b"\x85" * 100_000 + b")R", "have a tuple called"),
        (b"\x8a\xff" + b"\x7f" * 255 + b")R", "have a int called"),
    ],
)
def test_values_that_would_take_forever_to_show(tmp_path, content, said):
    files.write_archive(tmp_path / "x.pth", content, {})
    with pytest.raises(MaapError, match=said):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize("key", [b"]", HALVING, b"\x8a\xff" + b"\x7f" * 255, b"N"])
def test_keys_of_a_stream_that_are_no_text(tmp_path, key):
    path = files.write_legacy(tmp_path / "x.pth", {"w": np.ones(3, np.float32)})
    head, _, tail = path.read_bytes().rpartition(files.pickled(b"](" + files.text("0") + b"e"))
    assert head
    path.write_bytes(head + files.pickled(b"](" + key + b"e") + tail)
    with pytest.raises(MaapError, match="belongs to no tensor"):
        read_torch(path)


@pytest.mark.parametrize(
    "shape, strides",
    [((1,), (2**70,)), ((1,), (2**61,)), ((0, 2**62), (1, 1)), ((0, 2**80), (1, 1)),
     ((0, 2**31, 2**31, 2**31), (1, 1, 1, 1)), ((1,) * 100, (1,) * 100)],
)  # fmt: skip
def test_sizes_that_no_array_has(tmp_path, shape, strides):
    content = files.ordered({"t": files.tensor("FloatStorage", "0", 6, shape, strides)})
    files.write_archive(tmp_path / "x.pth", content, {"0": bytes(24)})
    with pytest.raises(MaapError, match="a tensor's (shape or strides|description)"):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "local, central, value, said",
    [
        (6, 8, 1, "encrypted"),  # flags
        (None, 6, 99, "version"),
        (None, 9, 8, "utf-8"),  # the name is UTF-8, which it is not
        (None, 42, 3, "magic number|header"),  # where the record is
    ],
)
def test_archives_that_zipfile_refuses_in_its_own_ways(tmp_path, local, central, value, said):
    path = files.write(tmp_path / "x.pth", {"w": np.ones(3, np.float32)})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + central] = value
    if local is not None:
        data[local] = value
    if central == 9:
        data[at + 46] = 0xFF
    path.write_bytes(data)
    with pytest.raises(MaapError, match=f"x.pth: not a file of torch.save.*({said})"):
        read_torch(path)


def test_a_shape_that_is_not_of_whole_numbers(tmp_path):
    """-1 could reach in front of the storage."""
    minus = files.tensor("FloatStorage", "0", 6, (2,), (1,)).replace(
        files.numbers((1,)), b"(J" + struct.pack("<i", -1) + b"t"
    )
    files.write_archive(tmp_path / "x.pth", files.ordered({"t": minus}), {"0": bytes(24)})
    with pytest.raises(MaapError, match="a tensor's description"):
        read_torch(tmp_path / "x.pth")


def test_archives_that_are_not_right(tmp_path):
    path = tmp_path / "x.pth"
    content, records = files.of_arrays({"w": np.zeros(2, np.float32)}), {"0": bytes(8)}
    files.write_archive(path, content, records, byteorder=b"big")
    with pytest.raises(MaapError, match="big-endian"):
        read_torch(path)
    files.write_archive(path, content, records, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(MaapError, match="or is compressed"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "x")
    with pytest.raises(MaapError, match="without data.pkl"):
        read_torch(path)
    whole = files.write(path, ARRAYS).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MaapError, match="x.pth: not a file of torch.save"):
        read_torch(path)
    damaged = bytearray(whole)
    damaged[whole.index(ARRAYS["a.weight"].tobytes()) + 5] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(MaapError, match="x.pth: not a file of torch.save, or damaged.*CRC"):
        read_torch(path)


def test_streams_that_are_not_right(tmp_path):
    path = files.write_legacy(tmp_path / "x.pth", ARRAYS)
    whole = path.read_bytes()
    for length in (0, 5, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(MaapError, match="x.pth: not a file of torch.save"):
            read_torch(path)
    files.write_legacy(path, ARRAYS, little=False)
    with pytest.raises(MaapError, match="big-endian"):
        read_torch(path)
    count = struct.pack("<q", 24)
    path.write_bytes(whole.replace(count, struct.pack("<q", 25)))
    with pytest.raises(MaapError, match="does not have 24 values"):
        read_torch(path)
    huge = files.number(24) + b"N"
    path.write_bytes(whole.replace(huge, b"\x8a\x07" + b"\xff" * 6 + b"\x00N"))
    with pytest.raises(MaapError, match="does not have|cut short"):
        read_torch(path)


def test_damage_anywhere_is_an_error_or_other_values(tmp_path):
    """Never another exception: one byte changed at each place of the pickle."""
    path = tmp_path / "x.pth"
    whole = files.write_legacy(path, {"w": np.ones(3, np.float32)}).read_bytes()
    for at in range(len(whole)):
        for byte in (0, 0x2E, 0x52, 0xFF):
            damaged = bytearray(whole)
            damaged[at] = byte
            path.write_bytes(damaged)
            try:
                read_torch(path)
            except MaapError:
                pass


def test_a_text_longer_than_any_memory(tmp_path):
    """The size that a stream claims is not asked of the memory."""
    path = files.write_legacy(tmp_path / "x.pth", {"w": np.ones(3, np.float32)})
    size = struct.pack("<Q", 2**62)
    path.write_bytes(path.read_bytes() + b"\x80\x04\x8d" + size)  # behind the last storage
    assert list(read_torch(path)) == ["w"]
    path.write_bytes(b"\x80\x04\x8d" + size + b"x")
    with pytest.raises(MaapError, match="no memory has|can be followed"):
        read_torch(path)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(MaapError, match="none.pth"):
        read_torch(tmp_path / "none.pth")
