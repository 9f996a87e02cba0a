"""The demo set: repeatable, with exact boxes, on photographs of its own for the test.

The cut-outs are made up here (plain coloured shapes), so that the tests need no download; the
photographs are the real ones."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from maap.data.importers.demo import make_demo
from maap.data.importing import demo_hard_pictures as hard
from maap.data.importing import demo_pictures as demo
from maap.data.importing import demo_sources
from maap.data.importing.demo_pictures import Look
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.images import pixels

MAGENTA = (255, 0, 255, 255)
PLAIN = Look(light=0.0, colour=0.0)  # the shapes keep their colour


def make_birds(cache: Path) -> Path:
    folder = cache / "birds"
    folder.mkdir(parents=True)
    for number, name in enumerate(demo.SPECIES[:4]):
        shape = np.zeros((90, 60 + 30 * number, 4), np.uint8)
        shape[10:80, 15:-10] = MAGENTA
        shape[20 : 30 + 5 * number, :] = MAGENTA
        cv2.imwrite(str(folder / f"{name}.png"), shape)
    (folder / "copyright").write_text("of the made-up birds\n")
    return folder


def files_of(folder: Path) -> dict:
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock.mdb"
    }


def small(out: Path, cache: Path, **arguments) -> Dataset:
    numbers = dict(species=3, per_species_train=4, per_species_test=2, look=PLAIN)
    return make_demo(out, cache, **{**numbers, **arguments})


def test_same_seed_same_bytes(tmp_path):
    make_birds(tmp_path / "cache")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        small(tmp_path / name, tmp_path / "cache", seed=seed)
    a, b, c = (files_of(tmp_path / name) for name in "abc")
    assert a == b
    pictures = [path for path in a if path.suffix == ".jpg"]
    assert len(pictures) == 18 and not any(a[path] == c[path] for path in pictures)


def test_more_images_leave_the_first_ones_as_they_are(tmp_path):
    make_birds(tmp_path / "cache")
    small(tmp_path / "few", tmp_path / "cache")
    small(tmp_path / "many", tmp_path / "cache", per_species_train=5, species=4)
    few, many = files_of(tmp_path / "few" / "original"), files_of(tmp_path / "many" / "original")
    crow = Path("images/001.Crow")
    for number in range(1, 5):
        assert few[crow / f"Crow_{number:04d}.jpg"] == many[crow / f"Crow_{number:04d}.jpg"]


def test_layout_counts_and_note(tmp_path):
    make_birds(tmp_path / "cache")
    dataset = small(tmp_path / "set", tmp_path / "cache")
    assert dataset.kind == "demo" and dataset.classes == ["Crow", "Hen", "Owl"]
    assert "says nothing about CUB accuracy" in dataset.note
    train, test = dataset.split("train"), dataset.split("test")
    assert (len(train), len(test)) == (12, 6)
    assert [sum(r.label == k for r in train.records) for k in range(3)] == [4, 4, 4]
    notice = (dataset.folder / "original" / "NOTICE").read_text()
    assert "of the made-up birds" in notice and "tuxpaint-stamps-default" in notice
    sizes = {pixels.read(p).shape for p in (dataset.folder / "original").rglob("*.jpg")}
    assert len(sizes) > 10 and all(300 <= side <= 400 for size in sizes for side in size[:2])


def magenta_box(image: np.ndarray) -> np.ndarray:
    """Around the pixels nearer to the bird's colour than to any other (blue and red high, green
    low)."""
    blue, green, red = (image[..., k].astype(int) for k in range(3))
    found = (np.minimum(blue, red) - green) > 100
    columns, rows = np.flatnonzero(found.any(0)), np.flatnonzero(found.any(1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def test_boxes_are_exact_on_the_drawn_image(tmp_path):
    birds = make_birds(tmp_path / "cache")
    grey = [np.full((500, 600, 3), 128, np.uint8)]
    for number, name in enumerate(demo.SPECIES[:4]):
        cutout = demo.read_cutout(birds / f"{name}.png")
        for index in range(25):
            random = np.random.RandomState([number, index])
            image, box = demo.compose(random, cutout, grey, PLAIN)
            # half opaque over grey 128 is the middle between the two: green 64, blue and red 191
            assert np.abs(magenta_box(image) - box).max() <= 1, (name, index)
            assert 0 <= box[0] < box[2] <= image.shape[1] and 0 <= box[1] < box[3] <= image.shape[0]
            longer = max(box[2] - box[0], box[3] - box[1]) / min(image.shape[:2])
            assert 0.4 < longer <= 1.0


def test_stored_boxes_follow_the_resize(tmp_path):
    make_birds(tmp_path / "cache")
    split = small(tmp_path / "set", tmp_path / "cache").split("test")
    for i, record in enumerate(split.records):
        image, _ = split.read(i)
        assert np.abs(magenta_box(image) - record.box).max() <= 3, record


def test_photographs_of_test_and_training_are_disjoint(tmp_path):
    assert not set(demo.TRAIN_PHOTOGRAPHS) & set(demo.TEST_PHOTOGRAPHS)
    paths = demo_sources.photographs(list(demo.TRAIN_PHOTOGRAPHS + demo.TEST_PHOTOGRAPHS))
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths.values()}
    assert digests == set(demo_sources.PHOTOGRAPHS.values())
    with pytest.raises(MaapError, match="lenna.png is missing"):
        demo_sources.photographs(["lenna.png"])


@pytest.mark.parametrize("numbers", [{"species": 1}, {"species": 99}, {"per_species_test": 0}])
def test_impossible_numbers(tmp_path, numbers):
    with pytest.raises(MaapError):
        small(tmp_path / "set", tmp_path / "cache", **numbers)
    assert not list(tmp_path.iterdir())


def build_package(folder: Path, version: str, birds: bool = True) -> Path:
    """A Debian package by dpkg-deb with a cut-out in the place where the real one has them."""
    root = folder / "root"
    place = root / "usr/share/tuxpaint/stamps/animals" / ("birds" if birds else "fish")
    place.mkdir(parents=True)
    cv2.imwrite(str(place / "crow.png"), np.full((4, 4, 4), 255, np.uint8))
    (root / "usr/share/doc" / demo_sources.PACKAGE).mkdir(parents=True)
    (root / "usr/share/doc" / demo_sources.PACKAGE / "copyright").write_text("free\n")
    (root / "DEBIAN").mkdir()
    control = f"Package: {demo_sources.PACKAGE}\nVersion: {version}\nArchitecture: all\n"
    control += "Maintainer: nobody <nobody@example.org>\nDescription: test\n"
    (root / "DEBIAN/control").write_text(control)
    path = folder / f"{demo_sources.PACKAGE}_{version}_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(root), str(path)], check=True, stdout=subprocess.DEVNULL)
    return path


def test_unknown_version_is_taken_with_a_warning(tmp_path, capsys):
    package = build_package(tmp_path, "2099.01.01-1")
    folder = demo_sources.cutouts(tmp_path / "cache", package)
    assert sorted(path.name for path in folder.iterdir()) == ["copyright", "crow.png"]
    assert "version not known here" in capsys.readouterr().out
    package.unlink()
    assert demo_sources.cutouts(tmp_path / "cache") == folder  # from the cache
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["birds"]


def test_damaged_and_wrong_packages_are_refused(tmp_path):
    package = build_package(tmp_path, "2022.06.04-1")
    with pytest.raises(MaapError, match="damaged.*160880444"):
        demo_sources.cutouts(tmp_path / "cache", package)
    with pytest.raises(MaapError, match="does not exist"):
        demo_sources.cutouts(tmp_path / "cache", tmp_path / "no.deb")
    (tmp_path / "fish").mkdir()
    with pytest.raises(MaapError, match="holds no bird pictures"):
        demo_sources.cutouts(
            tmp_path / "cache", build_package(tmp_path / "fish", "3-1", birds=False)
        )
    torn = tmp_path / "x_9_all.deb"
    torn.write_bytes(package.read_bytes()[:300])
    with pytest.raises(MaapError, match="x_9_all.deb"):
        demo_sources.cutouts(tmp_path / "cache", torn)
    assert not list((tmp_path / "cache").iterdir())


def test_failing_download_says_what_to_do(tmp_path, monkeypatch):
    def apt(arguments, work, what):
        return "E: Unable to locate package\n"

    monkeypatch.setattr(demo_sources, "_apt", apt)
    with pytest.raises(MaapError, match="Unable to locate package.*give its path"):
        demo_sources.cutouts(tmp_path / "cache")
    monkeypatch.setattr(demo_sources.shutil, "which", lambda name: None)
    with pytest.raises(MaapError, match="apt-get is not here"):
        demo_sources.cutouts(tmp_path / "cache")


def test_failed_making_leaves_nothing(tmp_path):
    birds = make_birds(tmp_path / "cache")
    (birds / "owl.png").write_bytes(b"no picture")
    with pytest.raises(MaapError, match="owl.png"):
        small(tmp_path / "set", tmp_path / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_cutout_rims_are_cut_and_premultiplied(tmp_path):
    picture = np.zeros((20, 30, 4), np.uint8)
    picture[5:15, 6:20] = (200, 100, 50, 255)
    picture[5, 6:20, 3] = 128
    cv2.imwrite(str(tmp_path / "x.png"), picture)
    cutout = demo.read_cutout(tmp_path / "x.png")
    assert cutout.shape == (10, 14, 4) and np.isclose(cutout[0, 0, 0], 200 * 128 / 255)
    assert cutout[..., 3].max() == 1.0


def test_package_members_outside_the_pictures_are_left_alone():
    """Only the names of pictures are taken from an archive, wherever else it points."""
    stamps = "./usr/share/tuxpaint/stamps"
    for name in (f"{stamps}/animals/birds/../../evil.png", "/evil.png", f"{stamps}/town/a.png"):
        assert not demo_sources.BIRDS.pattern.match(name)
        assert not demo_sources.STAMPS.pattern.match(name)
    fox = demo_sources.STAMPS.pattern.match(f"{stamps}/animals/mammals/dogs/fox.png")
    assert fox and fox.group(1) == "animals/mammals/dogs/fox.png"


# ---- the harder set


def make_stamps(cache: Path, animals: int = 5) -> Path:
    """Magenta animals of several proportions, and green clutter."""
    folder = cache / "stamps"
    for number, name in enumerate(hard.ANIMALS[:animals]):
        shape = np.zeros((200 + 150 * number, 300, 4), np.uint8)
        shape[5:-5, 5:-5] = MAGENTA
        write_stamp(folder, name, shape)
    green = np.full((40, 60, 4), (0, 255, 0, 255), np.uint8)
    for names in hard.CLUTTER.values():
        for name in names:
            write_stamp(folder, name, green)
    (folder / "copyright").write_text("of the made-up animals\n")
    return folder


def write_stamp(folder: Path, name: str, picture: np.ndarray) -> None:
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def test_the_harder_set(tmp_path):
    make_stamps(tmp_path / "cache")
    look = replace(hard.LOOK, light=0.0, colour=0.0)
    numbers = dict(species=5, per_species_train=12, per_species_test=4, look=look)
    for name, how in (("a", {}), ("b", {}), ("other", dict(seed=2))):
        dataset = make_demo(tmp_path / name, tmp_path / "cache", hard=True, **numbers, **how)
    a, b, other = (files_of(tmp_path / name) for name in ("a", "b", "other"))
    assert a == b and a != other
    dataset = Dataset.open(tmp_path / "a")
    titles = ["Adelaide Rosella", "Blackbird", "Crow", "Crowned Crane", "Cuckoo"]
    assert dataset.kind == "demo_hard" and dataset.classes == titles
    assert (len(dataset.split("train")), len(dataset.split("test"))) == (60, 20)
    assert "of the made-up animals" in (dataset.folder / "original" / "NOTICE").read_text()
    shares, green = [], 0
    split = dataset.split("train")
    for i, record in enumerate(split.records):
        image, _ = split.read(i)
        x1, y1, x2, y2 = record.box
        shares.append((x2 - x1) * (y2 - y1) / 256**2)
        assert np.abs(magenta_box(image) - record.box).max() <= 3, record  # whole, in front
        blue, middle, red = (image[..., k].astype(int) for k in range(3))
        green += int((middle - np.maximum(blue, red) > 100).any())
    assert min(shares) < 0.2 and max(shares) > 0.5 and min(shares) > 0.03
    assert green > 50  # clutter may be hidden, but not in most images


def test_the_harder_sets_pictures():
    """No picture is in both parts, none is a class and clutter, and the names differ."""
    train, test = (set(hard.CLUTTER[split]) for split in ("train", "test"))
    assert not train & test and not (train | test) & set(hard.ANIMALS)
    titles = {demo._title(name) for name in hard.ANIMALS}
    assert len(titles) == len(hard.ANIMALS) >= 100
    for name in (*hard.ANIMALS, *train, *test):
        assert demo_sources.STAMPS.pattern.match(f"usr/share/tuxpaint/stamps/{name}.png"), name


def test_large_cutouts_are_read_smaller(tmp_path):
    folder = make_stamps(tmp_path)
    name = hard.ANIMALS[4]  # 800 x 300 with empty rims of 5
    assert demo.Pictures(folder, hard.ANIMALS).read(name).shape == (790, 290, 4)
    small = demo.Pictures(folder, hard.ANIMALS, most=512).read(name)
    assert small.shape == (512, 188, 4) and small[..., 3].max() == 1.0


def test_the_harder_set_by_its_commands(tmp_path):
    """`maap data demo --hard` and `maap data demo_hard` make the same set."""
    make_stamps(tmp_path / "cache" / "maap", animals=3)
    env = dict(os.environ, XDG_CACHE_HOME=str(tmp_path / "cache"))
    numbers = ["--species", "3", "--train", "2", "--test", "1", "--size", "64"]
    for name, words in (("a", ["demo", "--hard"]), ("b", ["demo_hard"])):
        command = [sys.executable, "-m", "maap", "data", *words, *numbers, "--out", name]
        subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert Dataset.open(tmp_path / "a").kind == "demo_hard"
