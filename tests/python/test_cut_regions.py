"""What the images of phase 2 are cut by: regions found, true boxes, random ones, whole images."""

import collections
import dataclasses
import json

import cv2
import numpy as np
import pytest
from maap.config.check import check_settings, read_yaml, to_yaml, validate
from maap.config.fields import A_STARS, REGIONS, TrainConfig
from maap.data.feeder import Feeder, Transform
from maap.data.records import Record
from maap.data.store import Split
from maap.errors import MaapError
from maap.images import boxes, render
from maap.images.a_star import find_a_star
from maap.rewrite.output import read_findings
from maap.rewrite.regions import FOUND, TITLES, Regions
from maap.rewrite.request import Request
from maap.runs.run import default_name
from rewrite_fakes import MEAN, SIZE, make_source, run
from test_rewrite import found_alone, records_of, same_files


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """40 images, each with a true box."""
    return make_source(tmp_path_factory.mktemp("source") / "data", count=40, boxless=0)


def box_found(image):
    """The region that the stand-in finds in one image, in stored pixels."""
    return boxes.scale_box(found_alone(image).regions[0], (35, 35), SIZE)


def size_of(box):
    return box[2] - box[0], box[3] - box[1]


# ---- the boxes ----------------------------------------------------------------------------------


def test_the_box_of_each_choice():
    record = Record("k", 0, "p", (3.5, 4.0, 20.2, 30.0))
    found = (10, 12, 40, 30)
    assert Regions("found").box(found, record, (48, 64)) == found
    assert Regions("true").box(found, record, (48, 64)) == (3, 4, 21, 30)
    assert Regions("whole").box(found, record, (48, 64)) == (0, 0, 64, 48)
    moved = Regions("random", 1).box(found, record, (48, 64))
    assert size_of(moved) == (30, 18) and moved != found
    assert list(TITLES) == list(REGIONS)


def test_each_place_inside_the_image_is_as_likely():
    """3 x 4 places for a box of 6 x 3 in an image of 8 x 6: 12,000 keys, 1,000 a place."""
    counts = collections.Counter(
        Regions("random", 7).box((1, 1, 7, 4), Record(str(key), 0, "p"), (6, 8))
        for key in range(12_000)
    )
    assert set(counts) == {(x, y, x + 6, y + 3) for x in range(3) for y in range(4)}
    chi2 = sum((n - 1000) ** 2 / 1000 for n in counts.values())
    assert chi2 < 31.3  # the 99.9 % quantile for 11 degrees of freedom


def test_a_random_box_depends_on_seed_and_key_alone():
    record, size = Record("k", 0, "p"), (256, 256)
    places = [Regions("random", seed).box((0, 0, 9, 9), record, size) for seed in range(20)]
    assert len(set(places)) > 15
    assert Regions("random", 3).box((50, 60, 59, 69), record, size) == places[3]
    other = Record("l", 0, "p")
    assert Regions("random", 3).box((0, 0, 9, 9), other, size) != places[3]
    assert Regions("random", 3).box((0, 0, 256, 256), record, size) == (0, 0, 256, 256)


# ---- rewriting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["true", "random", "whole"])
@pytest.mark.parametrize("a_star", ["ROI", "REDUCE"])
def test_the_box_takes_the_place_of_the_region(source, tmp_path, how, a_star):
    regions = Regions(how, 5)
    result = run(source, tmp_path / "out", a_star, regions=regions)
    out = Split.open(tmp_path / "out", "train")
    findings = read_findings(tmp_path / "out" / "regions.csv")
    for index, finding in enumerate(findings):
        before, record = source.read(index)[0], source.records[index]
        assert finding.box == regions.box(box_found(before), record, SIZE)
        found = found_alone(before)  # the attention is the found one
        wanted = render.render(before, finding.box, found.attention[0], a_star, MEAN)
        assert np.abs(out.read(index)[0].astype(np.float64) - wanted).max() <= 1e-3
        if a_star == "ROI":
            moved = boxes.into_crop(record.box, finding.box, SIZE)
            assert out.records[index].box == (moved and pytest.approx(moved, rel=1e-4))
    made = result.manifest
    assert made["rewritten"]["regions"] == how and TITLES[how] in made["name"]
    assert made["rewritten"].get("regions_seed") == (5 if how == "random" else None)


def test_what_is_cut_to_true_boxes_is_the_object(source, tmp_path):
    run(source, tmp_path / "out", regions=Regions("true"))
    for record in Split.open(tmp_path / "out", "train").records:
        assert record.box == pytest.approx((0, 0, SIZE[1], SIZE[0]))


def test_random_boxes_have_the_sizes_found_and_survive_a_stop(source, tmp_path):
    regions = Regions("random", 2)
    run(source, tmp_path / "whole", batch=2, regions=regions)
    with pytest.raises(MaapError, match="enough"):
        run(source, tmp_path / "out", batch=2, regions=regions, quit_after=30)
    run(source, tmp_path / "out", batch=2, regions=regions)
    assert records_of(tmp_path / "out") == records_of(tmp_path / "whole")
    same_files(tmp_path / "out", tmp_path / "whole")
    run(source, tmp_path / "found", batch=2)
    run(source, tmp_path / "batch", batch=8, regions=regions)
    run(source, tmp_path / "seed", batch=2, regions=Regions("random", 3))
    found, stopped, batch, seed = (
        [each.box for each in read_findings(tmp_path / name / "regions.csv")]
        for name in ("found", "out", "batch", "seed")
    )
    assert list(map(size_of, stopped)) == list(map(size_of, found)) and stopped != found
    assert batch == stopped and seed != stopped
    with pytest.raises(MaapError, match="other weights, settings or data"):
        run(source, tmp_path / "out", batch=2, regions=Regions("random", 3))
    with pytest.raises(MaapError, match="other weights, settings or data"):
        run(source, tmp_path / "found", batch=2, regions=Regions("whole"))


@pytest.mark.parametrize("jpeg", [True, False])
def test_a_whole_image_comes_back_byte_for_byte(tmp_path, jpeg):
    source = make_source(tmp_path / "data", count=9, jpeg=jpeg)
    result = run(source, tmp_path / "out", regions=Regions("whole"), flat=2)
    out = Split.open(tmp_path / "out", "train")
    assert not out.mean_subtracted and result.fallbacks == 0
    for index in range(9):
        before, after = source.read(index)[0], out.read(index)[0]
        assert after.dtype == np.uint8 and after.tobytes() == before.tobytes()
    assert out.records == source.records


def test_flat_maps_count_where_they_decide_the_box(source, tmp_path):
    for how, count in dict(found=1, random=1, true=0, whole=0).items():
        result = run(source, tmp_path / how, regions=Regions(how), flat=13)
        finding = read_findings(tmp_path / how / "regions.csv")[13]
        assert (result.fallbacks, finding.fallback) == (count, bool(count))
        if count:
            assert finding.box == (0, 0, SIZE[1], SIZE[0])


@pytest.mark.parametrize("a_star", ["ROI", "UNCORRELATED", "REDUCE"])
def test_a_net_is_fed_the_same_by_whole_regions_and_by_the_original(source, tmp_path, a_star):
    """Where D* = D inside R: the batches of phase 2 are those of a control, bit for bit."""
    run(source, tmp_path / "out", a_star, regions=Regions("whole"))
    transform = Transform(crop_size=40, mirror=True, mean=MEAN, scale=0.02)
    splits = (source, Split.open(tmp_path / "out", "train"))
    with Feeder(splits[0], transform, 8, 3) as one, Feeder(splits[1], transform, 8, 3) as other:
        for _ in range(6):
            (a, labels), (b, same) = one.next(), other.next()
            assert a.tobytes() == b.tobytes() and labels.tobytes() == same.tobytes()


def test_without_true_boxes_the_error_names_the_image_and_the_sets(tmp_path):
    source = make_source(tmp_path / "data", count=9, boxless=2)
    with pytest.raises(MaapError) as error:
        run(source, tmp_path / "out", regions=Regions("true"))
    assert "2 of the 9 train images" in str(error.value) and "images/1/7.jpg" in str(error.value)
    assert "demo, demo_hard, aircraft, cars, cub" in str(error.value)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".partial-out").exists()


def test_what_is_not_asked_for_leaves_no_trace(source, tmp_path):
    """Regions found: request and name are those of a version without the setting."""
    made = run(source, tmp_path / "out").manifest
    assert not {"regions", "regions_seed"} & set(made["rewritten"])
    assert (
        made["name"] == "patches, ROI"
        and Request.from_json(made["rewritten"]).cut_by.how == "found"
    )
    text = json.dumps(made["rewritten"])
    assert json.dumps(Request.from_json(json.loads(text)).to_json()) == text


def test_the_contact_sheet_says_it(source, tmp_path):
    heights = {}
    for how in ("found", "whole"):
        run(source, tmp_path / how, regions=Regions(how))
        sheet = cv2.imread(str(tmp_path / how / "contact_sheet.jpg"))
        heights[how] = sheet.shape[0]
    dark = (sheet[: heights["whole"] - heights["found"]] < 128).sum()
    assert heights["whole"] == heights["found"] + 22 and dark > 300  # a line of text


# ---- the setting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, said",
    [
        (dict(variant="baseline"), "is for haap and maap, not for baseline"),
        (dict(variant="laap", control=True), "is for haap and maap, not for laap"),
        (dict(haap_mode="online"), "--haap online finds the regions inside the net"),
        (dict(a_star="allsoft"), "with --a-star allsoft an image does not depend on the region"),
        (dict(a_star="allsoft_plus_one"), "does not depend on the region"),
    ],
)
@pytest.mark.parametrize("how", ["true", "random", "whole"])
def test_where_it_would_change_nothing_it_is_refused(settings, said, how):
    with pytest.raises(MaapError, match=f"--regions {how}.*{said}"):
        validate(TrainConfig(regions=how, **settings))
    validate(TrainConfig(**settings))


def test_which_a_star_depend_on_the_region():
    using = [name for name in A_STARS if find_a_star(name).uses_region]
    assert using[:4] == ["roi", "uncorrelated", "enhance", "reduce"]
    assert "allsoft" not in using and "allsoft_plus_one" not in using


def test_yaml_s_true_is_a_word_here(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("regions: true\n")
    assert read_yaml(path) == {"regions": "true"}
    path.write_text(to_yaml(TrainConfig(regions="true")))
    assert read_yaml(path)["regions"] == "true"
    with pytest.raises(MaapError, match="did you mean found"):
        check_settings({"regions": "fond"})
    with pytest.raises(MaapError, match="False is not text"):
        check_settings({"regions": False})
    with pytest.raises(MaapError, match="True is not text"):
        check_settings({"variant": True})


def test_names_of_runs_say_it():
    config = TrainConfig(net="alexnet", variant="haap", data="demo")
    assert default_name(config) == "alexnet-haap-demo"
    for how in REGIONS[1:]:
        named = default_name(dataclasses.replace(config, regions=how))
        assert named == f"alexnet-haap-{how}-regions-demo"


def test_the_default_is_the_paper_s():
    assert Regions.of(TrainConfig()) == FOUND == Regions("found", 1)
    assert Regions.of(TrainConfig(regions="random", seed=8)) == Regions("random", 8)
