"""Data sets on disk: whole or refused, and never half-written under their final name."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import lmdb
import numpy as np
import pytest
from data_fakes import make_dataset, manifest, picture, record_list
from maap.data import disk, records, write
from maap.data.store import Dataset, Split
from maap.errors import MaapError


def through_jpeg(image: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("kind", ["jpeg", "raw", "float"])
def test_reads_back_what_was_written(tmp_path, kind):
    dataset = Dataset.open(make_dataset(tmp_path / "set", kind=kind))
    assert dataset.size == (40, 40) and len(dataset.classes) == 3
    split = dataset.split("train")
    assert len(split) == 12 and split.mean_subtracted == (kind == "float")
    for i, record in enumerate(split.records):
        image, label = split.read(i)
        assert label == record.label == i % 3 and record.box == (1.5, 2.0, 20.25, 30.0)
        wanted = picture(i, 40, 40)
        if kind == "jpeg":
            wanted = through_jpeg(wanted)
        if kind == "float":
            wanted = wanted - np.array([104, 117, 123], np.float32)
        np.testing.assert_array_equal(image, wanted)
    assert split.datum(3).label == 0
    assert Split.open(tmp_path / "set", "train")._env is split._env  # shared while one lives


def change_csv(folder: Path, old: str, new: str) -> None:
    text = (folder / "train.csv").read_text()
    assert old in text
    (folder / "train.csv").write_text(text.replace(old, new, 1))


def drop_record(folder: Path) -> None:
    with lmdb.open(str(folder / "train_lmdb")) as env, env.begin(write=True) as transaction:
        transaction.delete(b"00000002_c2/2.jpg")


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda f: (f / "manifest.json").unlink(), "manifest.json"),
        (lambda f: (f / "manifest.json").write_text('{"format": 1, "ki'), "manifest.json.*damaged"),
        (lambda f: (f / "train.csv").unlink(), "train.csv is missing"),
        (lambda f: shutil.rmtree(f / "train_lmdb"), "train_lmdb is not a readable LMDB"),
        (
            lambda f: (f / "train_lmdb" / "data.mdb").write_bytes(b"no"),
            "train_lmdb is not a readable",
        ),
        (lambda f: change_csv(f, "c1/1.jpg,1,", "c1/1.jpg,3,"), "label 3.*3 classes"),
        (lambda f: change_csv(f, "c1/1.jpg,1,", "c1/1.jpg,-1,"), "label -1"),
        (lambda f: change_csv(f, "c1/1.jpg,1,", "c1/1.jpg,one,"), "train.csv, line 3"),
        (lambda f: change_csv(f, "00000001_c1/1.jpg", "00000000_c0/0.jpg"), "repeats a key"),
        (drop_record, "counts of split train differ"),
    ],
)
def test_damaged_parts_are_named(tmp_path, damage, words):
    folder = make_dataset(tmp_path / "set")
    damage(folder)
    with pytest.raises(MaapError, match=words):
        Split.open(folder, "train")


def test_count_of_manifest_must_match(tmp_path):
    folder = make_dataset(tmp_path / "set", announce={"train": 13, "test": 7})
    with pytest.raises(MaapError, match="manifest.json says 13, train.csv has 12"):
        Split.open(folder, "train")


def test_class_without_training_images_is_named(tmp_path):
    folder = make_dataset(tmp_path / "set")
    data = json.loads((folder / "manifest.json").read_text())
    data["classes"].append("dodo")
    (folder / "manifest.json").write_text(json.dumps(data))
    Split.open(folder, "test")
    with pytest.raises(MaapError, match="'dodo' has no training image"):
        Split.open(folder, "train")


def replace_datum(folder: Path, datum: bytes) -> None:
    with lmdb.open(str(folder / "train_lmdb")) as env, env.begin(write=True) as transaction:
        transaction.put(b"00000001_c1/1.jpg", datum)


def test_damaged_record_is_named_when_read(tmp_path):
    folder = make_dataset(tmp_path / "set")
    image = picture(1, 200, 200)
    datum = records.encode_jpeg(image, 1)
    message = Split.open(folder, "train").datum(1)
    message.data = message.data[:-30]
    replace_datum(folder, message.SerializeToString())
    with pytest.raises(MaapError, match="00000001_c1/1.jpg.*truncated"):
        Split.open(folder, "train").read(1)
    replace_datum(folder, datum[: len(datum) // 2])
    with pytest.raises(MaapError, match="00000001_c1/1.jpg"):
        Split.open(folder, "train").read(1)
    replace_datum(folder, records.encode_jpeg(image, 2))
    with pytest.raises(MaapError, match="label 2, but train.csv says 1"):
        Split.open(folder, "train").read(1)


def test_unknown_folders_and_splits(tmp_path):
    with pytest.raises(MaapError, match="does not exist"):
        Dataset.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MaapError, match="holds no manifest.json"):
        Dataset.open(tmp_path / "empty")
    (tmp_path / "half.partial").mkdir()
    with pytest.raises(MaapError, match="never completed"):
        Dataset.open(tmp_path / "half")
    folder = make_dataset(tmp_path / "set")
    with pytest.raises(MaapError, match="no split 'val'"):
        Split.open(folder, "val")
    with pytest.raises(MaapError, match="already exists"):
        write.begin(folder)
    folder.rename(tmp_path / "set.partial")
    with pytest.raises(MaapError, match="never completed"):
        Dataset.open(tmp_path / "set.partial")


def test_writer_grows_its_map_and_continues_a_prefix(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "_FIRST_MAP", 1 << 16)
    monkeypatch.setattr(write, "_COMMIT_RECORDS", 4)
    wanted = record_list([0] * 30)
    datums = [records.encode_pixels(picture(i), 0) for i in range(30)]
    writer = write.SplitWriter(tmp_path, "train", wanted)
    for datum in datums[:10]:
        writer.append(datum)
    writer._env.close()  # as a kill would: eight are committed
    writer = write.SplitWriter(tmp_path, "train", wanted, resume=True)
    assert writer.done == 8
    for datum in datums[writer.done :]:
        writer.append(datum)
    with pytest.raises(MaapError, match="more images than the 30"):
        writer.append(datums[0])
    writer.close()
    write.finish(tmp_path, tmp_path.parent / "whole", manifest({"train": 30}, 1, 48))
    split = Split.open(tmp_path.parent / "whole", "train")
    assert [split.raw(i) for i in range(30)] == datums
    folder = split.folder
    del split  # one process may have an LMDB open only once
    with pytest.raises(MaapError, match="started from other data"):
        write.SplitWriter(folder, "train", record_list([1] * 30), resume=True)


def test_missing_records_and_unwritten_splits_are_errors(tmp_path):
    with pytest.raises(MaapError, match="1 images for 2 records"):
        write.write_split(tmp_path, "train", record_list([0, 1]), [b"x"])
    with pytest.raises(MaapError, match="split test of 5 records was never completed"):
        write.finish(tmp_path, tmp_path / "out", manifest({"test": 5}, 1, 8))
    backwards = record_list([0, 1])[::-1]
    with pytest.raises(MaapError, match="does not rise"):
        write.write_split(tmp_path, "train", backwards, [b"x", b"y"])


def test_killed_writer_leaves_no_data_set(tmp_path):
    out = tmp_path / "set"
    code = f"""
from data_fakes import *
partial = write.begin(Path({str(out)!r}))
write._COMMIT_RECORDS = 2
with write.SplitWriter(partial, "train", record_list([0] * 20000)) as writer:
    for i in range(20000):
        writer.append(records.encode_pixels(picture(0), 0))
        if i == 20: print("going", flush=True)
"""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=path)
    )
    assert process.stdout.readline() == b"going\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(MaapError, match="never completed"):
        Dataset.open(out)
    assert (
        write.SplitWriter(
            write.begin(out, resume=True), "train", record_list([0] * 20000), True
        ).done
        > 10
    )
    assert not list(write.begin(out).iterdir())  # without resume it starts again


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 4 MB; skips where mounting is not allowed."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)]
    if subprocess.run(command, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_full_disk_is_a_clear_error_and_what_is_whole_stays(small_disk):
    good = make_dataset(small_disk / "good", train=6, test=6)
    partial = write.begin(small_disk / "big")
    datums = (records.encode_pixels(picture(i, 200, 200), 0) for i in range(100))
    with pytest.raises(MaapError, match=r"disk that holds .* is full .*MB needed in all"):
        write.write_split(partial, "train", record_list([0] * 100), datums)
    with pytest.raises(MaapError, match="never completed"):
        Dataset.open(small_disk / "big")
    split = Split.open(good, "train")
    assert [split.read(i)[1] for i in range(6)] == [0, 1, 2, 0, 1, 2]


def test_too_little_space_is_seen_before_the_work(tmp_path, monkeypatch):
    with pytest.raises(MaapError, match=r"needs about .* MB free"):
        disk.need_space(tmp_path, 10**18, "the test")


@pytest.mark.parametrize(
    "needed, free, said",
    [
        (400, 100, "x needs less than 1 MB, but the disk that holds {} has less than 1 MB free"),
        (999_999, 0, "x needs less than 1 MB, but the disk that holds {} has 0 MB free"),
        (1_600_000, 1_499_999, "x needs about 2 MB, but the disk that holds {} has 1 MB free"),
    ],
)
def test_small_amounts_are_not_called_zero(tmp_path, monkeypatch, needed, free, said):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(MaapError) as error:
        disk.need_space(tmp_path, needed, "x")
    assert str(error.value).startswith(said.format(tmp_path) + ": free some space")
    with (
        pytest.raises(MaapError, match="full while writing x .*, (less than 1|about 2) MB needed"),
        disk.disk_full_is_error(tmp_path, "x", lambda: needed),
    ):
        raise OSError(errno.ENOSPC, "full")
