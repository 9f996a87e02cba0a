"""Each D* against a rendering of the paper's equations 4 to 8, and of the attention drop, by NumPy
and scikit-image."""

import subprocess
import sys

import numpy as np
import pytest
from maap.config.fields import FIELDS
from maap.errors import MaapError
from maap.images import a_star as table
from maap.images import render
from maap.images.a_star import NAMES, AStar, Factor, find_a_star
from maap.images.boxes import scale_box
from paper_render import bilinear, factor, paper

STORED = (256, 192)
NET_INPUT = (227, 227)


@pytest.mark.parametrize("a_star", NAMES)
@pytest.mark.parametrize("box", [(50, 40, 171, 200), (0, 0, 227, 227), (226, 0, 227, 1)])
def test_equals_the_equations_within_one_grey_level(a_star, box):
    random = np.random.RandomState(7)
    image = random.randint(0, 256, (*STORED, 3)).astype(np.uint8)
    attention = random.rand(*NET_INPUT).astype(np.float32)
    mean = np.array([104.0, 117.0, 123.0])
    region = scale_box(box, NET_INPUT, STORED)
    drawn = render.render(image, region, attention, a_star, mean, 0.625)
    wanted = paper(image, region, attention, a_star, mean, 0.625)
    assert drawn.shape == image.shape
    assert drawn.dtype == (np.uint8 if a_star == "ROI" else np.float32)
    assert np.abs(drawn.astype(np.float64) - wanted).max() <= (1.0 if a_star == "ROI" else 1e-3)


def test_a_wrong_region_would_be_noticed():
    """The comparison above has teeth: a region one pixel off differs by more than a grey level."""
    image = np.random.RandomState(7).randint(0, 256, (*STORED, 3)).astype(np.uint8)
    good = paper(image, (10, 10, 100, 100), None, "ROI", 0)
    off = render.render(image, (11, 10, 101, 100), None, "ROI")
    assert np.abs(off - good).max() > 10


@pytest.mark.parametrize("a_star", [a for a in NAMES if a != "ROI"])
def test_what_is_removed_becomes_the_mean_colour(a_star):
    image = np.full((20, 20, 3), 200, np.uint8)
    drawn = render.render(image, (5, 5, 10, 10), np.zeros((9, 9)), a_star, 50.0, -1.0)
    inside, outside = (
        150 * float(factor(a_star, where, np.zeros(()), -1.0)) for where in (True, False)
    )
    assert drawn[0, 0, 0] == outside and drawn[5, 5, 0] == inside and drawn[9, 9, 0] == inside
    assert drawn[10, 10, 0] == outside


def test_nothing_is_dropped_without_a_threshold():
    """A flat map has none: its resized values may lie above their own by the last bit."""
    image = np.random.RandomState(1).randint(0, 256, (30, 20, 3)).astype(np.uint8)
    attention = np.full((7, 7), np.float32(1) / 3)
    kept = render.render(image, (0, 0, 20, 30), attention, "DROP", 100.0)
    assert np.array_equal(kept, image.astype(np.float32) - 100)
    with pytest.raises(ValueError, match="depends on the attention map"):
        render.render(image, (0, 0, 20, 30), None, "DROP", 100.0, 0.5)


def test_a_mean_image_is_resized_and_in_plane_order():
    mean = np.zeros((3, 2, 2), np.float32)
    mean[0], mean[2] = 10, 30
    planes = render.mean_image(mean, 6, 4)
    assert planes.shape == (6, 4, 3) and (np.abs(planes - [10, 0, 30]) < 1e-4).all()
    image = np.full((6, 4, 3), 40, np.uint8)
    drawn = render.render(image, (0, 0, 4, 6), None, "UNCORRELATED", mean)
    assert (np.abs(drawn - [30, 40, 10]) < 1e-4).all()


def test_a_float_image_stays_float_in_roi():
    image = np.random.RandomState(0).randn(16, 16, 3).astype(np.float32)
    drawn = render.render(image, (4, 4, 12, 12), None, "ROI")
    assert drawn.dtype == np.float32
    assert np.allclose(drawn, bilinear(image[4:12, 4:12], 16, 16), atol=1e-5)


def test_unknown_a_star_names_the_six():
    with pytest.raises(MaapError, match="ALLSOFT_PLUS_ONE"):
        render.render(np.zeros((4, 4, 3), np.uint8), (0, 0, 4, 4), None, "soft")
    assert find_a_star("allsoft-plus-one").name == "ALLSOFT_PLUS_ONE"


# ---- the table ----------------------------------------------------------------------------------


def test_settings_take_the_table():
    assert FIELDS["a_star"].metadata["choices"] == table.OPTIONS
    assert FIELDS["a_star"].default in table.OPTIONS


def test_words_of_the_six():
    wanted = {
        "ROI": ("R cropped and enlarged", "crop to R"),
        "UNCORRELATED": ("1 inside R, 0 outside", "D in R, else 0"),
        "ENHANCE": ("A+1 inside R, 0 outside", "(A+1) D in R, else 0"),
        "REDUCE": ("1 inside R, A outside", "D in R, else A D"),
        "ALLSOFT": ("A everywhere", "A D"),
        "ALLSOFT_PLUS_ONE": ("A+1 everywhere", "(A+1) D"),
    }
    six = [find_a_star(name) for name in wanted]
    assert {each.name: (each.explanation, each.formula) for each in six} == wanted
    assert [each.name for each in six if each.crops] == ["ROI"]
    soft = ["ENHANCE", "REDUCE", "ALLSOFT", "ALLSOFT_PLUS_ONE"]
    assert [each.name for each in six if each.needs_attention] == soft


def test_words_of_the_drop():
    drop = find_a_star("drop")
    assert (drop.explanation, drop.formula) == (
        "0 where A is above the threshold, else 1",
        "0 where A is high, else D",
    )
    assert drop.needs_attention and not drop.crops
    assert drop not in table.PAPERS and table.PAPERS + (drop,) == table.TABLE


def test_one_more_line_in_the_table_is_drawn(monkeypatch):
    dim = AStar("DIM", "dim", inside=Factor(0.5), outside=table.A)
    monkeypatch.setattr(table, "TABLE", (*table.TABLE, dim))
    attention = np.full((5, 5), 0.25, np.float32)
    image = np.full((5, 5, 3), 110, np.uint8)
    drawn = render.render(image, (1, 1, 3, 4), attention, "dim", 10.0)
    wanted = np.full((5, 5, 3), 25.0)
    wanted[1:4, 1:3] = 50
    assert np.array_equal(drawn, wanted) and find_a_star("dim").needs_attention
    assert (dim.explanation, dim.formula) == ("0.5 inside R, A outside", "0.5 D in R, else A D")


def test_what_nobody_handles_is_an_error():
    with pytest.raises(MaapError, match="'DIM' is unknown; use one of ROI, UNCORRELATED"):
        find_a_star("DIM")
    with pytest.raises(ValueError, match="one side"):
        AStar("DIM", "dim", inside=table.ONE)
    with pytest.raises(ValueError, match="needs the attention map"):
        render.render(np.zeros((4, 4, 3), np.uint8), (0, 0, 2, 2), None, "REDUCE")


def test_the_table_does_not_slow_the_command_line_down():
    code = "import sys, maap.images.a_star; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
