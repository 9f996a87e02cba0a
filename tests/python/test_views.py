"""Crops and boxes of test images: pycaffe's oversample, and cut-outs made by hand."""

import cv2
import numpy as np
import pytest
from data_fakes import make_dataset
from maap.data.feeder import Feeder, Transform
from maap.data.store import Split
from maap.data.views import View
from maap.errors import MaapError
from maap.host import loader
from maap.images import boxes as regions
from rewrite_fakes import MEAN, SIZE, make_source

TRANSFORM = Transform(31, True, MEAN, 0.5)


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Split:
    return make_source(tmp_path_factory.mktemp("set") / "data", 7, jpeg=False)


def everything(split, view, batch=4, transform=TRANSFORM):
    """All slots of a pass, (images x crops, 3, h, w), and the labels."""
    data, labels = [], []
    with Feeder(split, transform, batch, seed=0, train=False, view=view) as feeder:
        for images, numbers in feeder:
            data.append(images[: feeder.valid])
            labels.append(numbers[: feeder.valid])
    return np.concatenate(data), np.concatenate(labels)


def test_ten_crops_are_those_of_pycaffe(split):
    caffe = loader.load()
    data, labels = everything(split, View(10))
    images = [split.read(n)[0].astype(np.float32) - MEAN for n in range(len(split))]
    wanted = caffe.io.oversample(images, (31, 31)).transpose(0, 3, 1, 2) * np.float32(0.5)
    assert data.shape == wanted.shape == (70, 3, 31, 31)
    assert np.array_equal(data, wanted)
    assert labels.tolist() == np.repeat([r.label for r in split.records], 10).tolist()


@pytest.mark.parametrize("batch", [3, 16, 100])
def test_crops_do_not_depend_on_the_batch(split, batch):
    assert np.array_equal(everything(split, View(10), batch)[0], everything(split, View(10), 7)[0])


def test_a_mean_image_is_cropped_along(split):
    mean = np.random.RandomState(0).uniform(80, 140, (3, *SIZE)).astype(np.float32)
    data, _ = everything(split, View(10), transform=Transform(31, mean=mean))
    image = split.read(2)[0].transpose(2, 0, 1) - mean
    assert np.array_equal(data[20 + 3], image[:, SIZE[0] - 31 :, SIZE[1] - 31 :])
    assert np.array_equal(data[20 + 6], image[:, :31, SIZE[1] - 31 :][:, :, ::-1])


def test_boxes_are_cut_out_and_resized(split):
    boxes = [(n, 2 * n, 30 + n, 20 + 2 * n) for n in range(len(split))]
    data, _ = everything(split, View(1, boxes), transform=Transform(0))
    for n, (x1, y1, x2, y2) in enumerate(boxes):
        wanted = cv2.resize(split.read(n)[0][y1:y2, x1:x2].copy(), SIZE[::-1])
        assert np.array_equal(data[n], wanted.transpose(2, 0, 1))


def test_the_whole_image_as_a_box_changes_nothing(split):
    whole = [regions.whole(split.size)] * len(split)
    assert np.array_equal(everything(split, View(10, whole))[0], everything(split, View(10))[0])


def test_what_cannot_be_seen_is_an_error(tmp_path):
    with pytest.raises(MaapError, match="5 crops"):
        View(5)
    square = Split.open(make_dataset(tmp_path / "set", size=40), "test")
    for crop in (0, 40):
        with pytest.raises(MaapError, match="10 crops of 40 x 40.*the same"):
            Feeder(square, Transform(crop), 4, seed=0, train=False, view=View(10))


def test_boxes_rounded_outward():
    assert regions.outward((1.5, 2.0, 20.25, 30.0), (48, 64)) == (1, 2, 21, 30)
    assert regions.outward((-3, 2.2, 70, 2.3), (48, 64)) == (0, 2, 64, 3)
    assert regions.outward((64, 48, 64, 48), (48, 64)) == (63, 47, 64, 48)
