"""Boxes: scaling, overlap, the crop's coordinates, quality figures."""

import numpy as np
import pytest
from maap.images import boxes as regions


def test_scaled_box_holds_the_region_and_no_pixel_more():
    random = np.random.RandomState(0)
    for _ in range(500):
        source, target = random.randint(1, 300, 2), random.randint(1, 300, 2)
        (sh, sw), (th, tw) = source, target
        x1, y1 = random.randint(0, sw), random.randint(0, sh)
        x2, y2 = random.randint(x1 + 1, sw + 1), random.randint(y1 + 1, sh + 1)
        a, b, c, d = regions.scale_box((x1, y1, x2, y2), tuple(source), tuple(target))
        assert 0 <= a < c <= tw and 0 <= b < d <= th
        assert a * sw <= x1 * tw < (a + 1) * sw and (c - 1) * sw < x2 * tw <= c * sw
        assert b * sh <= y1 * th < (b + 1) * sh and (d - 1) * sh < y2 * th <= d * sh


def test_a_whole_image_stays_whole():
    assert regions.scale_box((0, 0, 227, 227), (227, 227), (256, 300)) == (0, 0, 300, 256)


def test_iou_against_counted_pixels():
    random = np.random.RandomState(1)
    for _ in range(200):
        masks, boxes = [], []
        for _ in range(2):
            x1, x2 = sorted(random.choice(21, 2, replace=False))
            y1, y2 = sorted(random.choice(21, 2, replace=False))
            mask = np.zeros((20, 20), bool)
            mask[y1:y2, x1:x2] = True
            masks.append(mask)
            boxes.append((x1, y1, x2, y2))
        wanted = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
        assert regions.iou(*boxes) == pytest.approx(wanted)


def test_box_in_the_crop():
    size = (100, 200)
    assert regions.into_crop((50, 25, 100, 50), (50, 25, 150, 75), size) == (0, 0, 100, 50)
    assert regions.into_crop((0, 0, 60, 30), (50, 25, 150, 75), size) == (0, 0, 20, 10)
    assert regions.into_crop((0, 0, 50, 25), (50, 25, 150, 75), size) is None
    assert regions.into_crop((3, 4, 5, 6), regions.whole(size), size) == (3, 4, 5, 6)


def test_half_area():
    box = regions.centred_half((60, 90))
    assert regions.area(box) == pytest.approx(60 * 90 / 2)
    assert box[0] + box[2] == pytest.approx(90) and box[1] + box[3] == pytest.approx(60)


def test_quality():
    boxes = [(0, 0, 10, 10), (10, 10, 20, 20)]
    found = [(0, 0, 10, 10), (0, 0, 10, 10)]
    result = regions.quality(found, boxes, [(20, 20)] * 2)
    assert result == {"mean_iou": 0.5, "centre_hit": 0.5, "area_kept": 0.25}
