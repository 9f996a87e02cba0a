"""Rewriting a data set, with a stand-in for the network: what is kept, moved, what survives."""

import csv
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import lmdb
import numpy as np
import pytest
from maap.data.store import Split
from maap.data.write import begin, finish, write_split
from maap.errors import MaapError
from maap.images import render
from maap.images.a_star import NAMES
from maap.images.boxes import into_crop
from maap.rewrite.output import read_findings
from rewrite_fakes import MEAN, NET_INPUT, SIZE, FakeFinder, make_source, run
from waiting import has_ended, wait_until

FAKES = Path(__file__).with_name("rewrite_fakes.py")


def records_of(folder: Path):
    """Every key and value of the LMDB, as bytes, in its order."""
    opened = lmdb.open(str(folder / "train_lmdb"), readonly=True, lock=False)
    with opened as environment, environment.begin() as transaction:
        return list(transaction.cursor())


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("source") / "data", count=50)


def found_alone(image):
    """What the stand-in finds in one image, computed here from the stored image."""
    resized = render.resize(image, *NET_INPUT).astype(np.float32)
    planes = ((resized - MEAN) * 0.5).transpose(2, 0, 1)
    return FakeFinder().find(planes[None])


@pytest.mark.parametrize("a_star", NAMES)
def test_every_record_is_kept_and_rendered(source, tmp_path, a_star):
    result = run(source, tmp_path / "out", a_star)
    out = Split.open(tmp_path / "out", "train")
    assert result.count == len(out) == 50 and result.fallbacks == 0
    assert [r.key for r in out.records] == [r.key for r in source.records]
    assert [r.label for r in out.records] == [r.label for r in source.records]
    assert out.mean_subtracted == (a_star != "ROI")
    findings = read_findings(tmp_path / "out" / "regions.csv")
    for index, finding in enumerate(findings):
        before, label = source.read(index)
        after, same_label = out.read(index)
        assert (finding.key, same_label) == (source.records[index].key, label)
        found = found_alone(before)
        how = (found.attention[0], a_star, MEAN, found.stats[0, 0])
        wanted = render.render(before, finding.box, *how)
        assert after.dtype == wanted.dtype
        assert np.abs(after.astype(np.float64) - wanted).max() <= 1e-3
        x1, y1, x2, y2 = found.regions[0]
        height, width = SIZE
        scaled = (x1 * width / 35, y1 * height / 35, x2 * width / 35, y2 * height / 35)
        assert np.abs(np.subtract(finding.box, scaled)).max() < 1
        assert finding.threshold == found.stats[0, 0] and finding.area == found.stats[0, 3]


def test_boxes_move_into_the_crop_and_stay_otherwise(source, tmp_path):
    run(source, tmp_path / "roi", "ROI")
    run(source, tmp_path / "soft", "ALLSOFT")
    roi, soft = (Split.open(tmp_path / name, "train") for name in ("roi", "soft"))
    findings = read_findings(tmp_path / "roi" / "regions.csv")
    for before, moved, kept, finding in zip(source.records, roi.records, soft.records, findings):
        assert kept.box == before.box
        wanted = before.box and into_crop(before.box, finding.box, SIZE)
        assert moved.box == (wanted and pytest.approx(wanted, rel=1e-4))
    assert roi.records[-1].box is None


def test_manifest_and_files(source, tmp_path):
    run(source, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [n for n in names if n != "train_lmdb"] == [
        "contact_sheet.jpg",
        "manifest.json",
        "regions.csv",
        "train.csv",
    ]
    made = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert made["kind"] == "rewritten" and made["note"] == "made up"
    assert made["rewritten"]["a_star"] == "ROI" and made["rewritten"]["fallbacks"] == 0
    digest = __import__("hashlib").sha256(b"weights").hexdigest()
    assert made["rewritten"]["weights"]["sha256"] == digest
    with (tmp_path / "out" / "regions.csv").open() as file:
        assert len(list(csv.reader(file))) == 51


def test_a_float_source_stays_float_and_is_not_subtracted_twice(source, tmp_path):
    first = run(source, tmp_path / "soft", "ALLSOFT")
    again = Split.open(first.folder, "train")
    run(again, tmp_path / "roi", "ROI")
    out = Split.open(tmp_path / "roi", "train")
    assert out.mean_subtracted and out.read(0)[0].dtype == np.float32
    image = again.read(0)[0]
    planes = (render.resize(image, *NET_INPUT) * 0.5).transpose(2, 0, 1)
    region = FakeFinder().find(planes[None]).regions[0]
    finding = read_findings(tmp_path / "roi" / "regions.csv")[0]
    assert (
        finding.box[0] == region[0] * SIZE[1] // 35 and finding.box[1] == region[1] * SIZE[0] // 35
    )


def test_flat_maps_are_counted_and_said(source, tmp_path, capsys):
    result = run(source, tmp_path / "out", flat=13)
    assert result.fallbacks == 1 and result.manifest["rewritten"]["fallbacks"] == 1
    finding = read_findings(tmp_path / "out" / "regions.csv")[13]
    assert finding.fallback and finding.box == (0, 0, SIZE[1], SIZE[0])
    assert "1 of 50 attention maps were flat" in capsys.readouterr().out


def test_nothing_is_dropped_of_an_image_with_a_flat_map(source, tmp_path):
    run(source, tmp_path / "out", "DROP", flat=7)
    out = Split.open(tmp_path / "out", "train")
    kept = source.read(7)[0].astype(np.float32) - MEAN
    assert np.array_equal(out.read(7)[0], kept)
    other = source.read(8)[0].astype(np.float32) - MEAN
    lost = (out.read(8)[0] != other).any(axis=2)
    assert 0.05 < lost.mean() < 0.95 and not out.read(8)[0][lost].any()
    assert out.records[8].box == source.records[8].box


def test_nan_names_the_image(source, tmp_path):
    with pytest.raises(MaapError, match=source.records[21].key):
        run(source, tmp_path / "out", nan=21)
    assert not (tmp_path / "out").exists()


def test_a_stopped_rewriting_continues_to_the_same_bytes(source, tmp_path, capsys):
    run(source, tmp_path / "whole", batch=2)
    with pytest.raises(MaapError, match="enough"):
        run(source, tmp_path / "out", batch=2, quit_after=48)
    assert (tmp_path / ".partial-out").is_dir() and not (tmp_path / "out").exists()
    capsys.readouterr()
    run(source, tmp_path / "out", batch=2)
    assert records_of(tmp_path / "out") == records_of(tmp_path / "whole")
    same_files(tmp_path / "out", tmp_path / "whole")


def same_files(a: Path, b: Path) -> None:
    for name in ("regions.csv", "train.csv", "contact_sheet.jpg"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def test_kill_at_any_moment(tmp_path):
    source = make_source(tmp_path / "data", count=240)
    whole = tmp_path / "whole"
    run(source, whole, "REDUCE")
    command = [sys.executable, str(FAKES), str(tmp_path / "data"), str(tmp_path / "out"), "REDUCE"]
    rows = tmp_path / ".partial-out" / "regions.csv"
    dice, kills, log = random.Random(5), 0, tmp_path / "log"
    while not (tmp_path / "out").exists():
        with log.open("a") as output:
            process = subprocess.Popen([*command, "0.01"], stdout=output, stderr=output)
        target = size_of(rows) + dice.randint(1, 5000)  # bytes; a row has about 70
        while process.poll() is None and size_of(rows) < target:
            time.sleep(0.001)
        time.sleep(dice.random() * 0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        assert process.wait() in (0, -signal.SIGKILL), log.read_text()
        with pytest.raises(MaapError):
            Split.open(tmp_path / ".partial-out", "train")
        assert kills < 40, log.read_text()
    assert kills >= 3
    assert log.read_text().count("rewriting continues after") >= 3
    assert records_of(tmp_path / "out") == records_of(whole)
    same_files(tmp_path / "out", whole)


def size_of(path: Path) -> int:
    try:  # the rewriting may rename it at any moment
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_workers_die_with_the_rewriting(source, tmp_path):
    log = (tmp_path / "log").open("w")
    command = [sys.executable, str(FAKES), str(source.folder), str(tmp_path / "out"), "ROI", "5"]
    process = subprocess.Popen(command, stdout=log)
    wait_until(lambda: len(_children(process.pid)) == 2, process)
    children = [int(pid) for pid in _children(process.pid)]
    process.kill()
    process.wait()
    wait_until(lambda: all(map(has_ended, children)))


def _children(pid: int):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_rewriting_that_an_older_version_left_is_continued(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("maap.rewrite.output.COMMIT_EVERY", 4)
    with pytest.raises(MaapError, match="enough"):
        run(source, tmp_path / "out", batch=2, quit_after=48)
    (tmp_path / ".partial-out").rename(tmp_path / "out.partial")
    capsys.readouterr()
    run(source, tmp_path / "out", batch=2)
    assert "rewriting continues after" in capsys.readouterr().out
    whole = run(source, tmp_path / "whole", batch=2).folder
    assert records_of(tmp_path / "out") == records_of(whole)
    assert not (tmp_path / "out.partial").exists()


def test_finished_is_finished_and_another_request_is_refused(source, tmp_path, capsys):
    run(source, tmp_path / "out")
    before = (tmp_path / "out" / "train_lmdb" / "data.mdb").stat().st_mtime_ns
    assert run(source, tmp_path / "out").count == 50
    assert "complete already" in capsys.readouterr().out
    assert (tmp_path / "out" / "train_lmdb" / "data.mdb").stat().st_mtime_ns == before
    with pytest.raises(MaapError, match="other weights, settings or data"):
        run(source, tmp_path / "out", "REDUCE")


def test_a_partial_folder_of_another_request_is_begun_anew(source, tmp_path, capsys):
    with pytest.raises(MaapError, match="enough"):
        run(source, tmp_path / "out", "REDUCE", batch=2, quit_after=48)
    run(source, tmp_path / "out", "ROI")
    assert "another request" in capsys.readouterr().out
    assert not Split.open(tmp_path / "out", "train").mean_subtracted


def test_two_at_once_are_refused(source, tmp_path):
    command = [sys.executable, str(FAKES), str(source.folder), str(tmp_path / "out"), "ROI", "5"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not (tmp_path / ".partial-out" / "regions.csv").exists():
            assert process.poll() is None
            time.sleep(0.02)
        with pytest.raises(MaapError, match="another process"):
            run(source, tmp_path / "out")
    finally:
        process.kill()
        process.wait()


def test_not_enough_space_is_said_before_the_work(source, small_disk):
    (small_disk / "ballast").write_bytes(bytes(5_000_000))
    with pytest.raises(MaapError, match=r"needs about .* MB.*free some space"):
        run(source, small_disk / "out", "ALLSOFT")


def test_full_disk_loses_nothing(source, tmp_path, small_disk, monkeypatch):
    monkeypatch.setattr("maap.rewrite.output.need_space", lambda *_: None)
    monkeypatch.setattr("maap.rewrite.output.COMMIT_EVERY", 4)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4_600_000))
    with pytest.raises(MaapError, match=r"full.*free some space"):
        run(source, small_disk / "out", "ALLSOFT", batch=4)
    assert not (small_disk / "out").exists()
    kept = records_of(small_disk / ".partial-out")
    assert 0 < len(kept) < 50
    ballast.unlink()
    run(source, small_disk / "out", "ALLSOFT", batch=4)
    whole = run(source, tmp_path / "whole", "ALLSOFT", batch=4).folder
    assert records_of(small_disk / "out") == records_of(whole)
    same_files(small_disk / "out", whole)


def test_an_image_of_another_size_is_named(tmp_path):
    good = make_source(tmp_path / "good", count=10)
    partial = begin(tmp_path / "bad")
    datums = [good.raw(n) for n in range(10)]
    from maap.data.records import encode_pixels

    datums[4] = encode_pixels(np.zeros((9, 9, 3), np.uint8), 1)
    write_split(partial, "train", good.records, datums)
    manifest = json.loads((tmp_path / "good" / "manifest.json").read_text())
    finish(partial, tmp_path / "bad", manifest)
    with pytest.raises(MaapError, match=r"images/1/4.jpg.* 9 x 9 x 3, "):
        run(Split.open(tmp_path / "bad", "train"), tmp_path / "out")
