"""The model behind `maap plan`, against values worked out by hand; and what it is fed with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from maap.host import ranks
from maap.nets.folder import find_net
from maap.scaling import facts, model, page, sums
from maap.scaling.model import Bucket, Link, Machines, Sums, Work, buckets_of, step, stops_at
from rank_fakes import together

GB, US = 1e9, 1e-6
SLOW = Link(1 * GB, 10 * US)
ONE = Machines(SLOW, SLOW, 8)


def test_a_ring():
    """240 MB over 4 ranks: 6 messages of 60 MB, 60 ms each at 1 GB/s, and 6 x 10 us."""
    assert SLOW.sum_seconds(240e6, 4) == pytest.approx(0.360 + 60e-6)
    assert SLOW.sum_seconds(240e6, 2) == pytest.approx(0.240 + 20e-6)
    assert SLOW.sum_seconds(240e6, 1) == 0


def test_two_sums_behind_a_backward_pass():
    """100 ms backward, 2 ranks, no latency. The first bucket (30 MB, 30 ms) is ready at 20 ms and
    ends at 50; the second (40 MB) is ready at 100 and ends at 140. So 40 ms show."""
    work = Work(0.005, 0.010, 0.010, [Bucket(30_000_000, 0.2), Bucket(40_000_000, 1.0)])
    link = Link(GB, 0)
    found = step(work, Machines(link, link, 8), 2, 10, None)
    assert found.compute == pytest.approx(0.160)
    assert found.sums == pytest.approx(0.070)
    assert found.hidden == pytest.approx(0.030)
    assert found.seconds == pytest.approx(0.200)
    assert found.images == 20 and found.rate == pytest.approx(100)
    assert found.efficiency == pytest.approx(0.8)  # 100 images/s against 2 x 62.5


def test_a_sum_waits_for_the_one_before():
    """Both are ready at 50 ms of 100; 40 ms each: the second ends at 130."""
    work = Work(0, 0.1, 0, [Bucket(40_000_000, 0.5), Bucket(40_000_000, 0.5)])
    link = Link(GB, 0)
    found = step(work, Machines(link, link, 8), 2, 1, None)
    assert found.seconds == pytest.approx(0.130) and found.hidden == pytest.approx(0.050)


def test_the_link_between_machines_counts_as_soon_as_there_are_two():
    machines = Machines(Link(100 * GB, 0), Link(10 * GB, 0), 4)
    assert machines.link(4).bandwidth == 100 * GB and machines.link(5).bandwidth == 10 * GB


def test_one_rank_adds_up_nothing():
    work = Work(0.01, 0.02, 0.005, [Bucket(1 << 30, 1.0)])
    found = step(work, ONE, 1, 8, None)
    assert (found.sums, found.efficiency) == (0, 1) and found.seconds == pytest.approx(0.245)


def test_a_batch_that_is_shared_out():
    """64 images, 1 ms each, 4 ms of update. 1 rank: 68 ms. 4 ranks: 16 + 4 ms: 3200 images/s, where
    4 times the first would have 4 x 941."""
    work = Work(0.0004, 0.0006, 0.004, [])
    found = step(work, ONE, 4, 99, 64)
    assert found.images == 64 and found.seconds == pytest.approx(0.020)
    assert found.efficiency == pytest.approx(68 / 80)


def test_where_it_stops():
    """A step of 100 ms, all of the sum after it. 1 GB at 10 GB/s takes (n - 1) / n x 200 ms: 100 ms
    with 2 ranks (efficiency 1/2), 150 with 4 (0.4)."""
    work, link = Work(0.1, 0, 0, [Bucket(1_000_000_000, 1.0)]), Link(10 * GB, 0)
    assert step(work, Machines(link, link, 8), 2, 1, None).efficiency == pytest.approx(0.5)
    assert stops_at(work, Machines(link, link, 8), 1, None, 0.499) == 4
    free = Link(1e15, 0)
    assert stops_at(work, Machines(free, free, 8), 1, None) is None
    assert stops_at(work, Machines(free, free, 8), 1, 24) == 32  # no image is left for some


def test_the_ranks_that_are_shown():
    assert list(model.doubling(1)) == [1]
    assert list(model.doubling(64)) == [1, 2, 4, 8, 16, 32, 64]
    assert list(model.doubling(6)) == [1, 2, 4, 6]


def test_buckets():
    params = [(3, 0.1), (2, 0.2), (9, 0.5), (1, 0.6), (4, 1.0)]
    assert buckets_of(params, 5) == [Bucket(5, 0.2), Bucket(9, 0.5), Bucket(5, 1.0)]


def test_a_link_from_two_sums_is_that_link():
    whole, alone = SLOW.sum_seconds(80e6, 4), SLOW.sum_seconds(0, 4)
    once = 100.0  # of the times of either kind one may be anything
    for times in ([whole] * 9, [alone / 9, *[whole] * 8], [*[whole] * 8, once]):
        for others in ([alone] * 9, [alone] * 5 + [once] * 4):
            found = Sums(4, 80_000_000, times, others).link
            assert found.bandwidth == pytest.approx(GB) and found.latency == pytest.approx(10 * US)


@pytest.mark.parametrize(
    "whole",
    [
        [50e-6] * 9,
        [20e-6] * 9,  # shorter than those of one value
        [150e-6] * 9,
        [48e-6, 51e-6, *[900e-6] * 7],
    ],
)
def test_a_sum_that_takes_no_longer_than_one_of_one_value_says_nothing_of_a_bandwidth(whole):
    found = Sums(2, 4096, whole, [49e-6, 50e-6, 50e-6, 50e-6, 51e-6, 51e-6, 52e-6, 53e-6, 9.0])
    assert found.link is None
    assert f"4096 bytes of gradients took {1e6 * sorted(whole)[4]:.0f} us" in found.said
    assert found.said.endswith("one of a single value 51 us")


def test_sums_are_timed_on_all_ranks():
    for found in together(2, lambda: sums.measured(4096)):
        assert (found.ranks, found.size) == (2, 4096)
        for times in (found.whole, found.of_one_value):
            assert len(times) == sums.TIMES and min(times) > 0
    assert ranks.here().size == 1


def test_the_command_asks_for_a_bandwidth_where_none_can_be_measured(monkeypatch, capsys):
    """And takes the measured one where it can."""
    from maap.cli import plan
    from maap.cli.main import main

    about = facts.Facts("Tiny", 8, 1000, Work(0.001, 0.002, 0.0, [Bucket(4096, 1.0)]), 1024, True)
    times = {"short": [50e-6] * 9, "long": [1050e-6] * 9}

    def called(target, *_, **__):
        found = Sums(2, 4096, times[which], [50e-6] * 9)
        return about if target.endswith("facts_of") else found

    monkeypatch.setattr(plan, "call", called)
    monkeypatch.setattr(plan, "_check_measuring", lambda: None)
    which = "short"
    with pytest.raises(SystemExit) as end:
        main(["plan", "tiny"])
    said = capsys.readouterr()
    assert end.value.code == 1 and "GB/s" not in said.out
    assert said.err.startswith("error: with Tiny the link cannot be measured: a sum of its 4096 b")
    assert "give --bandwidth (and --latency)" in said.err and "Traceback" not in said.err
    which = "long"
    with pytest.raises(SystemExit) as end:
        main(["plan", "tiny"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and "0.0041 GB/s and 25 us" in said and "-0%" not in said


# ---- a net ----

TINY = str(Path(__file__).resolve().parents[2] / "tests" / "nets" / "tiny")


def test_the_facts_of_a_net():
    """The tiny net's learnable values by hand: 20 x 3 x 5 x 5 and 32 x 20 x 3 x 3 weights of
    convolutions, 64 x (32 x 7 x 7) and 4 x 64 of inner products, and a bias for each output."""
    found = facts.facts_of(TINY, 4, 8, 0.03, None)
    assert found.params == 1500 + 20 + 5760 + 32 + 100352 + 64 + 256 + 4
    assert found.work.size == 4 * found.params
    assert found.work.forward == pytest.approx(0.01 / 8)
    assert found.work.backward == pytest.approx(0.02 / 8)
    assert found.work.buckets[-1].ready == 1.0 and not found.timed


def test_statistics_are_not_added_up_and_the_published_counts_come_out():
    """SqueezeNet 1.1 and AlexNet as torchvision counts them; ResNet-152 without statistics."""
    counts = {"squeezenet": 1235496, "alexnet_tv": 61100840, "resnet152": 60192808}
    for net, count in counts.items():
        assert facts.facts_of(net, 1000, 8, 0.1, None).params == count


def test_an_iteration_is_timed():
    found = facts.facts_of(TINY, 4, 8, None, None)
    assert found.timed and 0 < found.work.forward < 1 and 0 < found.work.backward < 1


def test_an_iteration_is_one_pass_whatever_the_solver_says(tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    path = folder / "solver.prototxt"
    path.write_text(path.read_text() + "iter_size: 4\n")
    _, made = facts._solver(find_net(str(folder)), 4, 8, None)
    if not hasattr(made.param, "iter_size"):
        pytest.skip("BVLC Caffe's Python does not show iter_size")
    assert made.param.iter_size == 1


def test_the_page():
    work = Work(0.001, 0.002, 0.0, [Bucket(40_000_000, 1.0)])
    about = facts.Facts("net", 10, 1000, work, 10_000_000, False)
    text = "\n".join(page.lines(about, ONE, 4, None, 1000, "as given"))
    assert "10000000 learnable values, 40 MB of gradients in 1 sums" in text
    rows = [line.split() for line in text.splitlines() if line[:8].strip().isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "4"]
    assert rows[1][1:6] == ["20", "70.02", "ms", "40.02", "ms"]
    assert rows[1][-1] == "43%" and "falls under 50 % at 2 ranks" in text
    text = "\n".join(page.lines(about, ONE, 64, 6, 1000, "as given"))
    rows = [line.split() for line in text.splitlines() if line[:8].strip().isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "4", "6"]  # no rank without an image


def test_the_command():
    command = "plan alexnet --step-ms 100 --batch-each 16 --bandwidth 10 --gpus 4".split()
    done = subprocess.run(
        [sys.executable, "-m", "maap", *command], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "60965224 learnable values, 243.9 MB of gradients" in done.stdout
    assert all(f"\n    {n} " in done.stdout for n in (1, 2, 4))


def test_without_mpi_a_bandwidth_has_to_be_given():
    command = [sys.executable, "-m", "maap", "plan", "alexnet", "--step-ms", "1"]
    path = {**os.environ, "PATH": "/nowhere", "MAAP_HOST": "fork"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=path)
    assert done.returncode == 1
    assert "apt-get install openmpi-bin" in done.stderr and "or give --bandwidth" in done.stderr
