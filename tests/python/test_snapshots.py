"""Snapshots are whole or not there, on a full disk too."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_disk
from maap.errors import MaapError
from maap.runs.snapshots import Snapshots, restore, walk_wire
from maap.util.schema import caffe_pb2


class FakeSolver:
    """Writes what a Caffe solver would, in the current folder."""

    def __init__(self, iteration=3, values=1000):
        blob = SimpleNamespace(data=np.arange(values, dtype=np.float32))
        self.net = SimpleNamespace(params={"ip": [blob]}, layers=["data", "ip"])
        self.iter = iteration
        self.cut = 0  # bytes missing at the end of both files

    def messages(self):
        net, state = caffe_pb2.NetParameter(name="n"), caffe_pb2.SolverState(iter=self.iter)
        for name in self.net.layers:
            net.layer.add(name=name)
        for blobs in self.net.params.values():
            for blob in blobs:
                net.layer[1].blobs.add(data=blob.data)
                state.history.add(data=blob.data)
        return net, state

    def snapshot(self):
        for message, end in zip(self.messages(), ("caffemodel", "solverstate")):
            data = message.SerializeToString()
            path = Path(f"snapshot_iter_{self.iter}.{end}")
            path.write_bytes(data[: len(data) - self.cut])

    def restore(self, name):
        state = caffe_pb2.SolverState()
        state.ParseFromString(Path(name).read_bytes())
        self.iter = state.iter


def test_saves_restores_and_keeps_two(tmp_path):
    snapshots = Snapshots(tmp_path)
    for iteration in (2, 9, 10):
        snapshots.save(FakeSolver(iteration))
    assert [snapshot.iteration for snapshot in snapshots.all()] == [9, 10]
    solver, here = FakeSolver(0), Path.cwd()
    restore(solver, snapshots.latest())
    assert solver.iter == 10 and Path.cwd() == here


def test_saving_again_changes_nothing(tmp_path):
    snapshots = Snapshots(tmp_path)
    first = snapshots.save(FakeSolver())
    times = [path.stat().st_mtime_ns for path in sorted(first.folder.iterdir())]
    assert snapshots.save(FakeSolver()) == first
    assert [path.stat().st_mtime_ns for path in sorted(first.folder.iterdir())] == times


@pytest.mark.parametrize("cut", [1, 100, 4000])
def test_a_file_cut_short_is_an_error_and_the_last_snapshot_stays(tmp_path, cut):
    snapshots = Snapshots(tmp_path)
    snapshots.save(FakeSolver(1))
    solver = FakeSolver(2)
    solver.cut = cut
    with pytest.raises(MaapError, match="cut short"):
        snapshots.save(solver)
    assert snapshots.latest().iteration == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1"]


def test_a_file_cut_between_two_fields_is_noticed(tmp_path):
    class LayerLost(FakeSolver):
        def messages(self):
            net, state = super().messages()
            del net.layer[1]
            return net, state

    with pytest.raises(MaapError, match="cut short"):
        Snapshots(tmp_path).save(LayerLost())


@pytest.mark.parametrize("end", ["caffemodel", "solverstate"])
@pytest.mark.parametrize("harm", ["truncate", "delete", "grow"])
def test_a_damaged_snapshot_is_passed_over(tmp_path, end, harm):
    snapshots = Snapshots(tmp_path)
    for iteration in (1, 2):
        snapshots.save(FakeSolver(iteration))
    path = tmp_path / "2" / f"snapshot_iter_2.{end}"
    if harm == "delete":
        path.unlink()
    else:
        size = path.stat().st_size
        os.truncate(path, size - 1 if harm == "truncate" else size + 1)
    assert snapshots.latest().iteration == 1
    snapshots.save(FakeSolver(2))  # and is replaced
    assert snapshots.latest().iteration == 2


def test_leftovers_are_removed(tmp_path):
    snapshots = Snapshots(tmp_path)
    (tmp_path / ".partial-7").mkdir()
    (tmp_path / ".partial-7" / "snapshot_iter_7.caffemodel").write_bytes(b"x")
    assert snapshots.latest() is None
    snapshots.clean()
    assert list(tmp_path.iterdir()) == []


def test_walk_reads_every_wire_type(tmp_path):
    net = caffe_pb2.NetParameter(name="tiny", force_backward=True)
    net.layer.add(name="a", loss_weight=[1.5])
    state = tmp_path / "x"
    state.write_bytes(net.SerializeToString())
    assert set(walk_wire(state)) == {1, 5, 100}  # name, force_backward, layer


def test_walk_refuses_other_files(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(MaapError, match="x: "):
        walk_wire(path)


def test_too_little_space_is_told_before_anything_is_written(tmp_path, monkeypatch):
    snapshots = Snapshots(tmp_path)
    monkeypatch.setattr("maap.runs.snapshots.free_bytes", lambda folder: 100)
    with pytest.raises(MaapError, match=r"disk is full.*needs 1\.1 MB.*0\.0 MB are free"):
        snapshots.save(FakeSolver())
    assert list(tmp_path.iterdir()) == []


# ---- a disk that is really full ----

_ON_A_SMALL_DISK = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_snapshots import FakeSolver
import maap.runs.snapshots
from maap.errors import MaapError
disk = Path(sys.argv[1])
snapshots = maap.runs.snapshots.Snapshots(disk)
snapshots.save(FakeSolver(1, values=100000))
(disk / "filler").write_bytes(b"x" * int(maap.runs.snapshots.free_bytes(disk) - 500000))
if sys.argv[3] == "unforeseen":  # another program takes the space while we write
    maap.runs.snapshots.free_bytes = lambda folder: 10**9
try:
    snapshots.save(FakeSolver(2, values=100000))
    print("no error")
except MaapError as error:
    print("error:", error)
print("latest", snapshots.latest().iteration, sorted(p.name for p in disk.iterdir()))
"""


@pytest.mark.skipif(small_disk.WAY is None, reason="needs the right to mount a tmpfs")
@pytest.mark.parametrize("how", ["foreseen", "unforeseen"])
def test_full_disk(tmp_path, how):
    script, disk = tmp_path / "script.py", tmp_path / "disk"
    script.write_text(_ON_A_SMALL_DISK)
    disk.mkdir()
    command = [sys.executable, str(script), str(disk), str(Path(__file__).parent), how]
    done = small_disk.run(disk, "2m", command)
    assert done.returncode == 0, done.stderr
    error, state = done.stdout.splitlines()
    assert "the disk is full" in error and "--resume" in error
    assert state == "latest 1 ['1', 'filler']"
