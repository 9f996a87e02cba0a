"""Importing Stanford Cars, FGVC-Aircraft and Flowers-102, on miniature copies of their layouts."""

import dataclasses
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from data_fakes import picture, save
from maap.data import find
from maap.data import importer as registry
from maap.data.importers.aircraft import import_aircraft
from maap.data.importers.cars import import_cars
from maap.data.importers.flowers import import_flowers
from maap.data.importing.layout import Expected
from maap.errors import MaapError
from maap.images import pixels
from test_data_cub import make_2010, make_2011

scipy_io = pytest.importorskip("scipy.io")

MODELS = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012")
VARIANTS = ("707-320", "F/A-18", "Cessna 172")


def make_cars(root: Path, train: int = 6, test: int = 3) -> Path:
    """Image i is of class i % 3, its box 11..40 x 6..(20 + i), counted from 1, the last inside."""
    kind = [(name, "O") for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    for split, count in (("train", train), ("test", test)):
        table = np.empty((1, count), kind)
        for i in range(count):
            name = f"{i + 1:05d}.jpg"
            save(root / f"cars_{split}" / name, picture(i + 100 * (split == "test"), 60, 80))
            table[0, i] = (11, 6, 40, 20 + i, i % 3 + 1, name)
        folder = root / "devkit"
        folder.mkdir(exist_ok=True)
        if split == "train":
            scipy_io.savemat(folder / "cars_train_annos.mat", {"annotations": table})
        else:
            scipy_io.savemat(root / "cars_test_annos_withlabels.mat", {"annotations": table})
    names = np.empty((1, 3), object)
    names[0, :] = MODELS
    scipy_io.savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
    return root


def make_aircraft(root: Path) -> Path:
    """Three variants; two images each in train, one in val, one in test, the banner white."""
    data = root / "data"
    (data / "images").mkdir(parents=True)
    (data / "variants.txt").write_text("".join(f"{name}\n" for name in VARIANTS))
    lists = {"train": [], "val": [], "test": []}
    boxes, number = [], 1025000
    for variant in VARIANTS:
        for split in ("train", "train", "val", "test"):
            number += 1
            image = picture(number, 84, 64)
            image[-20:] = 255
            image[:-20] //= 2
            save(data / "images" / f"{number}.jpg", image)
            lists[split].append(f"{number} {variant}")
            boxes.append(f"{number} 3 5 34 70")
    for split, lines in lists.items():
        (data / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")
    (data / "images_box.txt").write_text("\n".join(boxes) + "\n")
    return root


def make_flowers(root: Path) -> Path:
    """Three classes of four images: two for training, one for validation, one for testing."""
    for number in range(1, 13):
        save(root / "jpg" / f"image_{number:05d}.jpg", picture(number))
    labels = np.array([[(n - 1) // 4 + 1 for n in range(1, 13)]], np.uint8)
    scipy_io.savemat(root / "imagelabels.mat", {"labels": labels})
    sets = {
        "trnid": np.array([[2, 1, 5, 6, 9, 10]], np.uint16),
        "valid": np.array([[3, 7, 11]], np.uint16),
        "tstid": np.array([[4, 8, 12]], np.uint16),
    }
    scipy_io.savemat(root / "setid.mat", sets)
    return root


MAKE = dict(cars=make_cars, aircraft=make_aircraft, flowers=make_flowers)
IMPORT = dict(cars=import_cars, aircraft=import_aircraft, flowers=import_flowers)
SMALL = dict(cars=Expected(3, 6, 3), aircraft=Expected(3, 9, 3), flowers=Expected(3, 9, 3))
REAL = dict(
    cars=r"16,185 \(8,144, 8,041\) of 196",
    aircraft=r"10,000 \(6,667, 3,333\) of 100",
    flowers=r"8,189 \(2,040, 6,149\) of 102",
)
KINDS = tuple(MAKE)


def made(kind, tmp_path, **more):
    source = MAKE[kind](tmp_path / "in")
    return IMPORT[kind](source, tmp_path / "set", 64, expected=SMALL[kind], **more)


def test_cars(tmp_path):
    dataset = made("cars", tmp_path)
    assert dataset.classes == list(MODELS) and dataset.kind == "cars"
    train, test = dataset.split("train"), dataset.split("test")
    assert (len(train), len(test)) == (6, 3)
    assert [record.path for record in test.records] == [f"cars_test/{i:05d}.jpg" for i in (1, 2, 3)]
    for split in (train, test):
        for i, record in enumerate(split.records):
            number = int(record.path[-9:-4]) - 1
            assert split.read(i)[1] == record.label == number % 3
            wanted = (10 * 64 / 80, 5 * 64 / 60, 40 * 64 / 80, (20 + number) * 64 / 60)
            np.testing.assert_allclose(record.box, wanted, rtol=1e-4)


def test_aircraft(tmp_path):
    dataset = made("aircraft", tmp_path, encode="raw")
    assert dataset.classes == list(VARIANTS) and "banner" in dataset.note
    train, test = dataset.split("train"), dataset.split("test")
    assert (len(train), len(test)) == (9, 3) and [r.label for r in test.records] == [0, 1, 2]
    source = pixels.read(tmp_path / "in" / "data" / "images" / test.records[0].path)
    wanted = pixels.fit(source[:64], (64, 64), "warp")[0]
    np.testing.assert_array_equal(test.read(0)[0], wanted)  # nothing of the banner
    np.testing.assert_allclose(test.records[0].box, (2, 4, 34, 64))  # 70 lies in the banner


def test_flowers(tmp_path):
    dataset = made("flowers", tmp_path)
    assert dataset.classes == ["flower 001", "flower 002", "flower 003"]
    train, test = dataset.split("train"), dataset.split("test")
    assert sorted(int(r.path[6:11]) for r in train.records) == [1, 2, 3, 5, 6, 7, 9, 10, 11]
    assert [(int(r.path[6:11]), r.label) for r in test.records] == [(4, 0), (8, 1), (12, 2)]
    assert all(r.label == (int(r.path[6:11]) - 1) // 4 and r.box is None for r in train.records)


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_counts_are_demanded_by_default(tmp_path, kind):
    with pytest.raises(MaapError, match=f"is not the whole .*{REAL[kind]}"):
        IMPORT[kind](MAKE[kind](tmp_path / "in"), tmp_path / "set")
    assert not (tmp_path / "set").exists() and not (tmp_path / ".partial-set").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_is_taken_when_allowed(tmp_path, kind, capsys):
    dataset = IMPORT[kind](MAKE[kind](tmp_path / "in"), tmp_path / "set", 64, allow_partial=True)
    assert "warning: " in capsys.readouterr().out
    small = SMALL[kind]
    counts = [len(dataset.split(name)) for name in ("train", "test")]
    assert [len(dataset.classes), *counts] == [small.classes, small.train, small.test]
    assert f"Not the whole {dataset.name}: it lists " in dataset.note


def pack(archive: Path, folder: Path, name: str) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, name)


def packed(kind: str, root: Path) -> Path:
    """The published archives in place of the folders; returns what is imported."""
    if kind == "aircraft":
        pack(root.parent / "a.tar.gz", root, "fgvc-aircraft-2013b")
        return root.parent / "a.tar.gz"
    names = dict(
        cars=dict(cars_train="cars_train", cars_test="cars_test", devkit="car_devkit"),
        flowers=dict(jpg="102flowers"),
    )[kind]
    for folder, archive in names.items():
        pack(root / f"{archive}.tgz", root / folder, folder)
        shutil.rmtree(root / folder)
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_archives_give_the_same_data_set(tmp_path, kind):
    one = made(kind, tmp_path)
    source = packed(kind, tmp_path / "in")
    two = IMPORT[kind](source, tmp_path / "two", 64, expected=SMALL[kind])
    for name in ("train", "test"):
        a, b = one.split(name), two.split(name)
        assert a.records == b.records
        assert all(a.raw(i) == b.raw(i) for i in range(len(a)))
    assert not (tmp_path / "two" / "unpacked").exists()
    archive = source if source.is_file() else next(source.glob("*.tgz"))
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(MaapError, match=f"{archive.name} is not a complete tar archive"):
        IMPORT[kind](source, tmp_path / "three", 64, expected=SMALL[kind])


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def edit_mat(path: Path, **variables) -> None:
    content = {k: v for k, v in scipy_io.loadmat(path).items() if not k.startswith("__")}
    scipy_io.savemat(path, {**content, **variables})


DEVKIT = "devkit/cars_train_annos.mat"
DAMAGES = [
    ("cars", lambda r: (r / "cars_test_annos_withlabels.mat").unlink(), "lacks cars_test_annos_wi"),
    ("cars", lambda r: (r / "devkit/cars_meta.mat").unlink(), "cars_meta.mat is missing"),
    ("cars", lambda r: shutil.rmtree(r / "devkit"), "neither devkit/ nor car_devkit.tgz"),
    ("cars", lambda r: shutil.rmtree(r / "cars_test"), "neither cars_test/ nor cars_test.tgz"),
    ("cars", lambda r: (r / "cars_train/00002.jpg").unlink(), "1 of 9 images are missing.*00002"),
    ("cars", lambda r: (r / DEVKIT).write_bytes(b"MATLAB 5.0 no"), "not a whole MATLAB file"),
    ("cars", lambda r: shutil.copy(r / "devkit/cars_meta.mat", r / DEVKIT), "no variable annotati"),
    (
        "cars",
        lambda r: edit_mat(r / "devkit/cars_meta.mat", class_names=np.array([["a", "b"]], object)),
        "00003.jpg has class 3, but cars_meta.mat names 2",
    ),
    (
        "cars",
        lambda r: scipy_io.savemat(r / DEVKIT, {"annotations": np.zeros((1, 2), [("fname", "O")])}),
        "lacks bbox_x1, bbox_y1, bbox_x2, bbox_y2, class",
    ),
    ("aircraft", lambda r: (r / "data/images_box.txt").unlink(), "lacks images_box.txt"),
    ("aircraft", lambda r: shutil.rmtree(r / "data/images"), "lacks images/"),
    ("aircraft", lambda r: shutil.rmtree(r / "data"), "is not FGVC-Aircraft"),
    (
        "aircraft",
        lambda r: change(r / "data/images_box.txt", "1025002 3 5 34 70\n", ""),
        "images_box.txt lacks image 1025002",
    ),
    (
        "aircraft",
        lambda r: change(r / "data/images_variant_val.txt", "1025003 707-320\n", ""),
        r"images_box.txt has image 1025003, which images_variant_\*.txt lacks",
    ),
    (
        "aircraft",
        lambda r: change(r / "data/images_box.txt", "1025002 3 5", "1025002 3"),
        "the box of image 1025002 is damaged",
    ),
    (
        "aircraft",
        lambda r: change(r / "data/images_variant_val.txt", "F/A-18", "F-18"),
        "variant 'F-18', which variants.txt lacks",
    ),
    (
        "aircraft",
        lambda r: change(r / "data/images_variant_test.txt", " 707-320", ""),
        "images_variant_test.txt, line 1 is damaged",
    ),
    ("flowers", lambda r: (r / "setid.mat").unlink(), "setid.mat is missing"),
    ("flowers", lambda r: shutil.rmtree(r / "jpg"), "neither jpg/ nor 102flowers.tgz"),
    ("flowers", lambda r: (r / "jpg/image_00007.jpg").unlink(), "missing.*image_00007.jpg"),
    (
        "flowers",
        lambda r: edit_mat(r / "setid.mat", valid=np.array([[3, 7, 99]])),
        "setid.mat names image 99, but imagelabels.mat has 12",
    ),
    (
        "flowers",
        lambda r: edit_mat(r / "setid.mat", valid=np.array([[3, 7, 4]])),
        "image_00004.jpg more than once",
    ),
    (
        "flowers",
        lambda r: edit_mat(r / "imagelabels.mat", labels=np.zeros((1, 12))),
        "label 0 is below 1",
    ),
    (
        "flowers",
        lambda r: edit_mat(r / "imagelabels.mat", labels=np.full((1, 12), np.nan)),
        "label 1 is .*nan.*not a whole number",
    ),
]


@pytest.mark.parametrize("kind, damage, words", DAMAGES)
def test_damaged_and_missing_pieces_are_named(tmp_path, kind, damage, words):
    root = MAKE[kind](tmp_path / "in")
    damage(root)
    with pytest.raises(MaapError, match=words) as error:
        IMPORT[kind](root, tmp_path / "set", 64, expected=SMALL[kind])
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_other_release_of_cars_is_refused_by_name(tmp_path):
    (tmp_path / "cars_annos.mat").write_bytes(b"")
    with pytest.raises(MaapError, match="car_ims/, cars_annos.mat.*cars_train/ and cars_test/ is"):
        import_cars(tmp_path, tmp_path / "set")


@pytest.mark.parametrize("kind", KINDS)
def test_no_source(tmp_path, kind):
    with pytest.raises(MaapError, match="nowhere (is not a folder|does not exist).*get "):
        IMPORT[kind](tmp_path / "nowhere", tmp_path / "set")


@pytest.mark.parametrize("kind", [*KINDS, "cub"])
def test_a_folder_is_recognised_packed_or_not(tmp_path, kind):
    make = {**MAKE, "cub": make_2011}[kind]
    root = make(tmp_path / "in")
    above = tmp_path if kind in ("aircraft", "cub") else root
    assert registry.recognise(root) == (kind, root)
    assert registry.recognise(tmp_path) == (kind, above)
    if kind == "cub":
        pack(tmp_path / "cub.tgz", root, "CUB_200_2011")
        assert registry.recognise(tmp_path / "cub.tgz") == ("cub", tmp_path / "cub.tgz")
        return
    source = packed(kind, root)
    assert registry.recognise(source) == (kind, source)
    for part in source.glob("*.tgz") if source.is_dir() else ():
        assert registry.recognise(part) == (kind, source)


def test_other_folders_are_recognised(tmp_path):
    save(tmp_path / "mine" / "train" / "a" / "1.jpg", picture(1))
    save(tmp_path / "flat" / "a" / "1.jpg", picture(1))
    assert registry.recognise(tmp_path / "mine")[0] == "folder"
    assert registry.recognise(tmp_path / "flat")[0] == "folder"
    assert registry.recognise(make_2010(tmp_path / "2010"))[0] == "cub"  # which refuses it by name


def test_training_finds_the_importer_and_keeps_the_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make_aircraft(tmp_path / "in")
    asked = []

    def make(source, out, **how):
        asked.append(("aircraft", source, how))
        return import_aircraft(source, out, expected=SMALL["aircraft"], **how)

    fake = dataclasses.replace(registry.importers()["aircraft"], make=make)
    monkeypatch.setitem(registry.importers(), "aircraft", fake)
    folders = [find.find_data(str(root), 64, policy) for policy in ("warp", "short_side", "warp")]
    assert folders[0] == folders[2] != folders[1]
    assert [(kind, how["policy"]) for kind, _, how in asked] == [
        ("aircraft", "warp"),
        ("aircraft", "short_side"),
    ]
    assert "importing" in capsys.readouterr().out


@pytest.mark.parametrize("crop, stored", [(0, 256), (224, 256), (227, 256), (448, 512), (299, 342)])
def test_stored_size(crop, stored):
    assert pixels.stored_size(crop) == stored
