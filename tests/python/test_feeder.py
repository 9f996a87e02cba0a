"""Batches: a function of seed and iteration, Caffe's own transformation, workers that go with their
parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_fakes import make_dataset, picture
from maap.data import records
from maap.data.feeder import Feeder, Plan, Transform
from maap.data.store import Split
from maap.errors import MaapError
from maap.host import workers
from waiting import has_ended, wait_until

MEAN = np.array([104, 117, 123], np.float32)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("raw") / "set", kind="raw")


@pytest.fixture(scope="module")
def train(raw) -> Split:
    return Split.open(raw, "train")


def take(split: Split, count: int, **arguments) -> list:
    options = dict(transform=Transform(27, True, MEAN, 0.017), batch=5, seed=3)
    with Feeder(split, **{**options, **arguments}) as feeder:
        return [feeder.next() for _ in range(count)]


def same(a: list, b: list) -> bool:
    return len(a) == len(b) and all(
        x[0].tobytes() == y[0].tobytes() and x[1].tobytes() == y[1].tobytes() for x, y in zip(a, b)
    )


def test_resumed_feeder_continues_bit_for_bit(train):
    whole = take(train, 12)
    for start in (1, 5, 7):
        assert same(take(train, 12 - start, start=start), whole[start:])
    assert same(take(train, 12, processes=2, prefetch=4), whole)
    assert same(take(train, 12, prefetch=1), whole)
    assert not same(take(train, 12, seed=4), whole)
    large = take(train, 2, seed=3 + (1 << 32))
    assert not same(large, whole[:2])


def test_batches_are_what_the_plan_and_the_transform_say(train):
    transform = Transform(27, True, MEAN, 0.017)
    plan = Plan(len(train), 5, 3, True)
    flips = []
    for iteration, (data, labels) in enumerate(take(train, 8)):
        assert data.shape == (5, 3, 27, 27) and data.dtype == labels.dtype == np.float32
        places = plan.placement(iteration, transform, train.size)
        for slot, index in enumerate(plan.indices(iteration)):
            (top, left), flip = places[slot]
            image = picture(index, 40, 40)[top : top + 27, left : left + 27].astype(np.float32)
            wanted = ((image - MEAN) * np.float32(0.017)).transpose(2, 0, 1)
            wanted = wanted[:, :, ::-1] if flip else wanted
            np.testing.assert_array_equal(data[slot], wanted)
            assert labels[slot] == index % 3
            flips.append(flip)
    assert 0 < sum(flips) < len(flips)


def test_every_epoch_is_a_permutation_and_differs():
    plan = Plan(13, 5, 7, True)
    stream = np.concatenate([plan.indices(i) for i in range(13)])
    epochs = stream.reshape(5, 13)
    assert all(sorted(epoch) == list(range(13)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_crops_reach_every_place_and_mirror_can_be_off():
    plan = Plan(100, 50, 7, True)
    places = [place for i in range(40) for place in plan.placement(i, Transform(8), (10, 11))]
    assert {at for at, _ in places} == {(y, x) for y in range(3) for x in range(4)}
    assert not any(flip for _, flip in places)


def test_test_split_is_in_order_centred_and_padded(raw):
    split = Split.open(raw, "test")
    transform = Transform(27, True, MEAN)
    with Feeder(split, transform, 3, seed=1, train=False) as feeder:
        batches, valid = [], []
        for data, labels in feeder:
            batches.append((data, labels))
            valid.append(feeder.valid)
        with pytest.raises(StopIteration):
            feeder.next()
    assert valid == [3, 3, 1]
    for number in range(9):
        index = min(number, 6)
        image = picture(1000 + index, 40, 40)[6:33, 6:33].astype(np.float32) - MEAN
        np.testing.assert_array_equal(batches[number // 3][0][number % 3], image.transpose(2, 0, 1))
        assert batches[number // 3][1][number % 3] == index % 3


def test_mean_image_is_cropped_and_flipped_with_the_image():
    image = picture(1, 20, 24)
    mean = np.random.RandomState(0).rand(3, 20, 24).astype(np.float32) * 255
    wanted = (image.transpose(2, 0, 1).astype(np.float32) - mean)[:, 3:13, 5:15]
    transform = Transform(10, True, mean)
    np.testing.assert_array_equal(transform.apply(image, (3, 5)), wanted)
    np.testing.assert_array_equal(transform.apply(image, (3, 5), True), wanted[:, :, ::-1])
    assert transform.centre((20, 24)) == (5, 7) and Transform(9).centre((20, 24)) == (5, 7)
    with pytest.raises(MaapError, match="mean image has 20 x 24"):
        transform.output_size((24, 20))
    with pytest.raises(MaapError, match="must be"):
        Transform(mean=np.zeros((5, 5)))


def test_whole_images_without_a_crop(train):
    data, _ = take(train, 1, transform=Transform())[0]
    index = Plan(len(train), 5, 3, True).indices(0)[0]
    np.testing.assert_array_equal(data[0], picture(index, 40, 40).transpose(2, 0, 1))


def test_floats_with_the_mean_off_do_not_lose_it_twice(tmp_path, train):
    floats = Split.open(make_dataset(tmp_path / "set", kind="float"), "train")
    assert same(take(floats, 5), take(train, 5))


def test_data_goes_where_the_caller_wants_it(train):
    blob = np.zeros((5, 3, 27, 27), np.float32)
    with Feeder(train, Transform(27, True, MEAN, 0.017), 5, seed=3) as feeder:
        data, _ = feeder.next(blob)
        first = data.copy()
        kept, _ = feeder.next()
    assert data is blob and kept is not blob
    assert same([(first, kept[:0]), (kept, kept[:0])], [(x, kept[:0]) for x, _ in take(train, 2)])


def test_errors_name_the_record(tmp_path):
    import lmdb

    folder = make_dataset(tmp_path / "set")
    with pytest.raises(MaapError, match="crop_size 99 is larger than the stored images .40 x 40"):
        Feeder(Split.open(folder, "train"), Transform(99), 5, seed=1)
    with lmdb.open(str(folder / "train_lmdb")) as env, env.begin(write=True) as transaction:
        transaction.put(b"00000004_c1/4.jpg", records.encode_pixels(picture(1, 30, 30), 1))
        transaction.put(b"00000007_c1/7.jpg", b"\xff\xff")
    split = Split.open(folder, "train")
    order = Plan(len(split), 1, 1, True)
    where = {int(order.indices(iteration)[0]): iteration for iteration in range(12)}
    for index, words in ((4, "c1/4.jpg is stored with shape"), (7, "record 00000007_c1/7.jpg")):
        with Feeder(split, Transform(8), 1, seed=1, start=where[index]) as feeder:
            with pytest.raises(MaapError, match=words) as caught:
                feeder.next()
            assert "Traceback" not in str(caught.value)
    feeder.close()
    with pytest.raises(MaapError, match="closed"):
        feeder.next()


def test_workers_die_with_a_killed_parent(raw):
    code = f"""
import time
from pathlib import Path
from maap.data.feeder import Feeder, Transform
from maap.data.store import Split
feeder = Feeder(Split.open(Path({str(raw)!r}), "train"), Transform(27), 4, seed=1, processes=2)
feeder.next()
print(*[worker.pid for worker in feeder._workers], flush=True)
time.sleep(60)
"""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    )
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2 and not any(map(has_ended, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: all(map(has_ended, pids)))


def test_close_ends_the_workers(train):
    feeder = Feeder(train, Transform(27), 4, seed=1)
    pid = feeder._workers[0].pid
    feeder.close()
    assert has_ended(pid)
    feeder.close()


def test_a_dead_worker_is_an_error_not_a_hang(train):
    with Feeder(train, Transform(27), 4, seed=1, prefetch=1) as feeder:
        os.kill(feeder._workers[0].pid, signal.SIGKILL)
        with pytest.raises(MaapError, match="feeder 0"):
            for _ in range(3):
                feeder.next()


def test_batches_are_prepared_ahead_by_the_worker_alone(train, monkeypatch):
    """Taking one costs the caller a copy; in milliseconds: bench/feeder.py."""

    def never(*_):
        raise AssertionError("the caller decodes or transforms an image")

    expected = take(train, 6)
    asked = []
    send = workers.Worker.send
    monkeypatch.setattr(
        workers.Worker, "send", lambda self, what: (asked.append(what), send(self, what))
    )
    for place in ("maap.data.feeder._image", "maap.data.feeder.Transform.apply"):
        monkeypatch.setattr(place, never)
    transform = Transform(27, True, MEAN, 0.017)
    with Feeder(train, transform, 5, seed=3, prefetch=3) as feeder:
        for number, (data, labels) in enumerate(expected):
            _, *requests = asked  # the first one started the worker
            assert [iteration for iteration, _ in requests] == list(range(number + 3))
            taken = feeder.next()
            assert same([taken], [(data, labels)])
