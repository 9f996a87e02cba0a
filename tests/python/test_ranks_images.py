"""Ranks share images out: in a training, when they are measured, when they are rewritten. Whatever
their number, the result is that of one."""

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from maap.attention.region_net import Found
from maap.data.feeder import Feeder, Plan, Transform
from maap.data.store import Split
from maap.data.views import View
from maap.errors import MaapError
from maap.host import ranks
from maap.measure import classify
from maap.measure import regions as region_measures
from maap.measure.samples import Samples
from maap.rewrite.output import Output
from rank_fakes import together
from rewrite_fakes import MEAN, FakeFinder, make_source, run

TRANSFORM = Transform(27, True, MEAN, 0.017)
COUNTS = (1, 2, 3, 9)  # of ranks; there are 7 batches


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("source") / "data", count=50, boxless=0)


# ---- training: the feeder ----


@pytest.mark.parametrize("size", [2, 4])
def test_the_batches_of_all_ranks_are_one_large_batch(source, size):
    """Same images, same crops, same order as one rank with a batch `size` times as large."""
    whole = Feeder(source, TRANSFORM, 3 * size, seed=5, start=2)
    parts = [Feeder(source, TRANSFORM, 3, seed=5, start=2, rank=n, ranks=size) for n in range(size)]
    for _ in range(12):
        data, labels = whole.next()
        found = [part.next() for part in parts]
        assert np.concatenate([each[0] for each in found]).tobytes() == data.tobytes()
        assert np.concatenate([each[1] for each in found]).tolist() == labels.tolist()
    for feeder in (whole, *parts):
        feeder.close()


def test_every_record_comes_once_an_epoch():
    plans = [Plan(60, 5, 1, True, rank=n, ranks=3) for n in range(3)]
    for epoch in range(3):
        iterations = range(4 * epoch, 4 * epoch + 4)
        seen = np.concatenate([plan.indices(i) for i in iterations for plan in plans])
        assert sorted(seen) == list(range(60))


@pytest.mark.parametrize("size", COUNTS)
def test_whole_batches_of_a_test_are_dealt_out(size):
    view = View(1)
    alone = Plan(50, 8, 0, False, view)
    plans = [Plan(50, 8, 0, False, view, n, size) for n in range(size)]
    assert sum(plan.batches() for plan in plans) == alone.batches() == 7
    for number in range(7):
        plan, own = plans[number % size], number // size
        assert plan.indices(own).tolist() == alone.indices(number).tolist()
        assert plan.valid(own) == alone.valid(number)
        how = (TRANSFORM, (48, 64))
        assert plan.placement(own, *how) == alone.placement(number, *how)


# ---- measuring ----


class Scores:
    """A classifier whose scores are pixels of the input."""

    size, batch, path = (27, 27), 8, "net"

    def __init__(self):
        self.input = np.zeros((8, 3, 27, 27), np.float32)

    def scores(self):
        return self.input[:, :, 13, 13].copy()


@pytest.mark.parametrize("size", COUNTS)
@pytest.mark.parametrize("crops", [1, 10])
def test_scores_are_those_of_one_rank(source, size, crops):
    def scores():
        return classify.class_scores(Scores(), source, TRANSFORM, view=View(crops))

    alone = scores()
    assert alone.shape == (50, 3)
    for found in together(size, scores):
        assert found.tobytes() == alone.tobytes()


@pytest.mark.parametrize("size", COUNTS)
def test_regions_are_those_of_one_rank(source, size, monkeypatch, tmp_path):
    monkeypatch.setattr(region_measures, "open_finder", lambda *_, **__: FakeFinder())

    def measured():
        samples = Samples(source)
        how = (Path("net"), Path("weights"), source, Transform(0, False, MEAN, 0.5), 8)
        return region_measures.measure_regions(*how, samples=samples), samples

    alone, samples = measured()
    assert len(alone.boxes) == 50 and alone.quality.mean_iou > 0.2
    for found, kept in together(size, measured):
        assert found == alone
        assert kept.chosen() == samples.chosen()
        assert all((kept._maps[n] == samples._maps[n]).all() for n in range(50))


# ---- rewriting ----


def files(folder):
    """Hashes of the files in a data set, by name; in the manifest, the path of the net left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            path.read_bytes().replace(str(folder.parent).encode(), b"")
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock.mdb"
    }


@pytest.fixture(scope="module")
def rewritten(source, tmp_path_factory):
    """By one rank: A* by its name."""
    folder = tmp_path_factory.mktemp("alone")
    for a_star in ("ROI", "REDUCE"):
        run(source, folder / a_star, a_star)
    return folder


@pytest.mark.parametrize("a_star", ["ROI", "REDUCE"])
@pytest.mark.parametrize("size", COUNTS)
def test_the_data_set_has_the_bytes_of_one_rank(source, rewritten, tmp_path, size, a_star):
    out = tmp_path / a_star
    results = together(size, lambda: run(source, out, a_star))
    assert files(out) == files(rewritten / a_star)
    assert [result.count for result in results] == [50] * size
    assert not list(tmp_path.glob(".partial*/*"))


@pytest.mark.parametrize("before, after", [(1, 3), (3, 1), (2, 9)])
def test_an_interrupted_rewriting_continues_with_other_ranks(
    source, rewritten, tmp_path, before, after, monkeypatch
):
    out, write = tmp_path / "ROI", Output.write

    def killed(self, datums, indices, *rest):
        if indices[0] >= 40:
            raise MaapError("enough")
        write(self, datums, indices, *rest)
        self._writer.commit()

    with monkeypatch.context() as patched, pytest.raises(MaapError, match="enough"):
        patched.setattr(Output, "write", killed)
        together(before, lambda: run(source, out))
    assert not out.exists()
    seen = []

    def watched(self, datums, indices, *rest):
        seen.extend(indices)
        write(self, datums, indices, *rest)

    monkeypatch.setattr(Output, "write", watched)
    together(after, lambda: run(source, out))
    assert seen == list(range(40, 50))
    ours, theirs = files(out), files(rewritten / "ROI")
    ours.pop("train_lmdb/data.mdb"), theirs.pop("train_lmdb/data.mdb")  # of more transactions
    assert ours == theirs
    for one, other in zip(records(out), records(rewritten / "ROI")):
        assert one == other


def records(folder):
    split = Split.open(folder, "train")
    return [(split.read(n)[0].tobytes(), split.read(n)[1]) for n in range(len(split))]


def test_a_full_disk_is_named_and_loses_nothing(source, rewritten, small_disk, monkeypatch):
    monkeypatch.setattr("maap.rewrite.output.need_space", lambda *_: None)
    monkeypatch.setattr("maap.rewrite.output.COMMIT_EVERY", 4)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4_600_000))
    with pytest.raises(MaapError, match=r"disk.*full.*free some space"):
        together(3, lambda: run(source, small_disk / "REDUCE", "REDUCE"))
    assert not (small_disk / "REDUCE").exists()
    ballast.unlink()
    together(2, lambda: run(source, small_disk / "REDUCE", "REDUCE"))
    assert records(small_disk / "REDUCE") == records(rewritten / "REDUCE")


def test_a_disk_that_is_full_for_another_rank_is_named_too(source, tmp_path, monkeypatch):
    opened = Path.open

    def full(self, *how, **more):
        if self.name == "part-1-1":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(self, *how, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(MaapError, match=r"disk.*full while writing .*part-1-1"):
        together(2, lambda: run(source, tmp_path / "ROI"))
    assert not (tmp_path / "ROI").exists()
    monkeypatch.undo()
    assert (tmp_path / ".partial-ROI" / "part-1-0").is_file()
    together(3, lambda: run(source, tmp_path / "ROI"))
    assert not list((tmp_path / "ROI").glob("part-*"))


class FailsOnRank(FakeFinder):
    """Fails on one rank, in its second batch."""

    def find(self, images, labels=None) -> Found:
        if ranks.here().rank == 1 and self.seen:
            raise MaapError("rank 1 has had enough")
        return super().find(images, labels)


def test_a_rank_that_fails_ends_all_and_leaves_no_data_set(source, tmp_path, monkeypatch):
    monkeypatch.setattr("rewrite_fakes.FakeFinder", FailsOnRank)
    with pytest.raises(MaapError, match="rank 1 has had enough"):
        together(3, lambda: run(source, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    together(2, lambda: run(source, tmp_path / "out"))
    assert len(Split.open(tmp_path / "out", "train")) == 50
