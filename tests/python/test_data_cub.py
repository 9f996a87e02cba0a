"""Importing CUB-200-2011 and class folders, on miniature copies of their layouts."""

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_fakes import picture, save
from maap.data.importers.cub import import_cub
from maap.data.importers.folder import import_folder
from maap.data.importing.layout import Expected
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.images import pixels

CLASSES = ("001.Black_footed_Albatross", "002.Dodo")
SMALL = Expected(classes=2, train=6, test=4)


def make_2011(root: Path) -> Path:
    """Two classes of five images, three of each for training; one is grey."""
    lists = {
        name: [] for name in ("images", "image_class_labels", "train_test_split", "bounding_boxes")
    }
    identity = 0
    for label, name in enumerate(CLASSES, start=1):
        for number in range(5):
            identity += 1
            path = f"{name}/bird_{identity:04d}.jpg"
            image = picture(identity, 40 + identity, 80)
            save(root / "images" / path, image[..., 0] if identity == 2 else image)
            lists["images"].append(path)
            lists["image_class_labels"].append(str(label))
            lists["train_test_split"].append(str(int(number < 3)))
            lists["bounding_boxes"].append("20.0 10.0 40.0 20.0")
    for name, lines in lists.items():
        text = "".join(f"{i} {line}\n" for i, line in enumerate(lines, start=1))
        (root / f"{name}.txt").write_text(text)
    (root / "classes.txt").write_text("".join(f"{i} {c}\n" for i, c in enumerate(CLASSES, 1)))
    return root


def make_2010(root: Path) -> Path:
    save(root / "images" / "001.Black_footed_Albatross" / "a_1.jpg", picture(1))
    for name in ("lists", "annotations-mat"):
        (root / name).mkdir()
    for name in ("train.txt", "test.txt", "classes.txt", "files.txt"):
        (root / "lists" / name).write_text("001.Black_footed_Albatross/a_1.jpg\n")
    return root


def check_imported(dataset: Dataset) -> None:
    assert dataset.classes == ["Black footed Albatross", "Dodo"] and dataset.size == (64, 64)
    train, test = dataset.split("train"), dataset.split("test")
    assert (len(train), len(test)) == (6, 4)
    assert [record.key for record in train.records] == sorted(
        record.key for record in train.records
    )
    assert [record.path[-8:-4] for record in test.records] == ["0004", "0005", "0009", "0010"]
    for split in (train, test):
        for i, record in enumerate(split.records):
            image, label = split.read(i)
            identity = int(record.path[-8:-4])
            assert image.shape == (64, 64, 3) and label == int(identity > 5)
            scale = 64 / (40 + identity)
            wanted = (16.0, 10 * scale, 48.0, 30 * scale)
            np.testing.assert_allclose(record.box, wanted, rtol=1e-4)
    grey = next(i for i, record in enumerate(train.records) if "0002" in record.path)
    image = train.read(grey)[0].astype(int)
    assert np.abs(image[..., 0] - image[..., 2]).max() <= 2  # JPEG's rounding


def test_folder_and_archive_give_the_same_data_set(tmp_path):
    root = make_2011(tmp_path / "CUB_200_2011")
    with tarfile.open(tmp_path / "CUB_200_2011.tgz", "w:gz") as tar:
        tar.add(root, "CUB_200_2011")
        tar.add(root / "classes.txt", "../outside.txt")
        tar.add(root / "classes.txt", "attributes.txt")
    one = import_cub(root, tmp_path / "one", size=64, expected=SMALL)
    two = import_cub(tmp_path / "CUB_200_2011.tgz", tmp_path / "two", size=64, expected=SMALL)
    three = import_cub(tmp_path, tmp_path / "three", size=64, expected=SMALL)
    for dataset in (one, two, three):
        check_imported(dataset)
    for name in ("train", "test"):
        a, b = one.split(name), two.split(name)
        assert a.records == b.records and [a.raw(i) for i in range(len(a))] == [
            b.raw(i) for i in range(len(b))
        ]
    assert (
        not (tmp_path / "two" / "unpacked").exists()
        and not (tmp_path.parent / "outside.txt").exists()
    )


def test_seed_decides_the_training_order(tmp_path):
    root = make_2011(tmp_path / "cub")
    sets = [import_cub(root, tmp_path / str(n), 64, seed=n % 2, expected=SMALL) for n in range(3)]
    orders = [[record.path for record in dataset.split("train").records] for dataset in sets]
    assert orders[0] == orders[2] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_warp_is_opencv_linear(tmp_path):
    root = make_2011(tmp_path / "cub")
    split = import_cub(root, tmp_path / "set", 64, encode="raw", expected=SMALL).split("test")
    source = cv2.imread(str(root / "images" / split.records[0].path))
    wanted = cv2.resize(source, (64, 64), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(split.read(0)[0], wanted)


def test_the_real_counts_are_demanded_by_default(tmp_path):
    with pytest.raises(
        MaapError, match=r"10 images \(6 training, 4 test\) of 2 classes, where 11,788"
    ):
        import_cub(make_2011(tmp_path / "cub"), tmp_path / "set")
    assert not (tmp_path / "set").exists() and not (tmp_path / ".partial-set").exists()


@pytest.mark.parametrize("archive", [False, True])
def test_2010_is_refused_by_name(tmp_path, archive):
    source = make_2010(tmp_path / "birds")
    if archive:
        with tarfile.open(tmp_path / "birds.tgz", "w:gz") as tar:
            tar.add(source, "birds")
        source = tmp_path / "birds.tgz"
    with pytest.raises(
        MaapError, match="is CUB-200-2010 .found lists/.*CUB_200_2011.tgz from https"
    ):
        import_cub(source, tmp_path / "set", expected=SMALL)


def cut_line(root: Path, name: str) -> None:
    path = root / name
    path.write_text("".join(path.read_text().splitlines(True)[:-1]))


def rewrite(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new, 1))


def truncate(root: Path) -> None:
    path = root / "images" / CLASSES[1] / "bird_0007.jpg"
    path.write_bytes(path.read_bytes()[:-50])


def damage_scan(root: Path) -> None:
    path = root / "images" / CLASSES[1] / "bird_0007.jpg"
    data = cv2.imencode(".jpg", picture(7, 300, 300))[1].tobytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 1500 :])


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda r: (r / "bounding_boxes.txt").unlink(), "lacks bounding_boxes.txt"),
        (lambda r: (r / "images.txt").unlink(), "has no images.txt"),
        (lambda r: cut_line(r, "bounding_boxes.txt"), "bounding_boxes.txt lacks image 10"),
        (lambda r: cut_line(r, "classes.txt"), "has class 2, but classes.txt has only 1"),
        (lambda r: rewrite(r, "bounding_boxes.txt", "3 20.0", "3 x"), "box of image 3 is damaged"),
        (
            lambda r: rewrite(r, "images.txt", "4 ", "3 "),
            "images.txt, line 4 has 3 again, which line 3 has",
        ),
        (
            lambda r: (r / "images" / CLASSES[0] / "bird_0003.jpg").unlink(),
            "missing.*bird_0003.jpg",
        ),
        (truncate, "bird_0007.jpg is truncated"),
        (damage_scan, "bird_0007.jpg is damaged"),
    ],
)
def test_damaged_copies_are_named(tmp_path, damage, words):
    root = make_2011(tmp_path / "cub")
    damage(root)
    with pytest.raises(MaapError, match=words):
        import_cub(root, tmp_path / "set", 64, expected=SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cub"]


def test_cut_archive_is_an_error(tmp_path):
    root = make_2011(tmp_path / "cub")
    whole = tmp_path / "whole.tgz"
    with tarfile.open(whole, "w:gz") as tar:
        tar.add(root, "CUB_200_2011")
    cut = tmp_path / "cut.tgz"
    for share in (0.5, 0.9):
        cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        with pytest.raises(MaapError, match="cut.tgz is not a complete tar archive"):
            import_cub(cut, tmp_path / "set", 64, expected=SMALL)
    cut.write_bytes(b"no archive at all")
    with pytest.raises(MaapError, match="cut.tgz is no archive, neither tar nor zip"):
        import_cub(cut, tmp_path / "set", 64, expected=SMALL)
    with pytest.raises(MaapError, match="nowhere.tgz does not exist"):
        import_cub(tmp_path / "nowhere.tgz", tmp_path / "set", 64)


def test_harmless_remark_of_the_decoder_is_said_not_fatal(tmp_path, capfd):
    root = make_2011(tmp_path / "cub")
    path = root / "images" / CLASSES[0] / "bird_0001.jpg"
    data = bytearray(cv2.imencode(".jpg", picture(1, 300, 300))[1].tobytes())
    path.write_bytes(bytes(data[:-2]) + b"\x01\x02\x03\x04" + bytes(data[-2:]))
    cv2.imread(str(path))
    if "Corrupt JPEG data" not in capfd.readouterr().err:
        pytest.skip("this build of OpenCV has no remark on such a file")
    import_cub(root, tmp_path / "set", 64, expected=SMALL)
    assert "bird_0001.jpg: Corrupt JPEG data: " in capfd.readouterr().out


def make_folder(root: Path, splits: dict) -> Path:
    number = 0
    for split, classes in splits.items():
        for name, count in classes.items():
            (root / split / name).mkdir(parents=True)
            for _ in range(count):
                number += 1
                suffix = ".png" if number % 3 == 0 else ".jpg"
                save(root / split / name / f"{number}{suffix}", picture(number))
    return root


def test_class_folders(tmp_path):
    root = make_folder(tmp_path / "in", {"train": {"b": 4, "a": 3}, "test": {"a": 2, "b": 1}})
    dataset = import_folder(root, tmp_path / "set", size=32)
    assert dataset.classes == ["a", "b"] and dataset.kind == "folder" and dataset.name == "in"
    train, test = dataset.split("train"), dataset.split("test")
    assert sorted(record.path for record in train.records) == sorted(
        path.relative_to(root / "train").as_posix() for path in (root / "train").rglob("*.*")
    )
    assert [record.label for record in test.records] == [0, 0, 1]
    assert all(record.label == "ab".index(record.path[0]) for record in train.records)
    assert train.records[0].box is None and train.read(0)[0].shape == (32, 32, 3)


@pytest.mark.parametrize("top", ["train", "."])
def test_without_a_test_folder_the_seed_divides(tmp_path, capsys, top):
    root = make_folder(tmp_path / "in", {top: {"a": 10, "b": 5}})
    sets = [import_folder(root, tmp_path / str(n), size=32, seed=n % 2) for n in range(3)]
    assert "has no test folder: seed 0 chose 3 of 15 images" in capsys.readouterr().out
    tests = [[r.path for r in dataset.split("test").records] for dataset in sets]
    assert tests[0] == tests[2] != tests[1] and [path[0] for path in tests[0]] == ["a", "a", "b"]
    trained = {record.path for record in sets[0].split("train").records}
    assert len(trained) == 12 and not trained & set(tests[0])


@pytest.mark.parametrize(
    "splits, words",
    [
        ({"train": {"a": 3}}, "only the class 'a'"),
        ({"train": {}}, "no class folder|is not a folder"),
        ({"train": {"a": 3, "b": 0}}, "class 'b' is empty"),
        ({"train": {"a": 3, "b": 3}, "test": {"c": 1}}, "class 'c' is not in"),
        ({"train": {"a": 3, "b": 1}}, "class 'b' has one image"),
    ],
)
def test_unusable_folders_are_named(tmp_path, splits, words):
    (tmp_path / "in").mkdir()
    root = make_folder(tmp_path / "in", splits)
    with pytest.raises(MaapError, match=words):
        import_folder(root, tmp_path / "set")


def test_unusable_arguments(tmp_path):
    root = make_folder(tmp_path / "in", {"train": {"a": 2, "b": 2}})
    for arguments in ({"size": 5}, {"policy": "squash"}, {"encode": "gif"}, {"test_share": 1.5}):
        with pytest.raises(MaapError):
            import_folder(root, tmp_path / "set", **arguments)
    with pytest.raises(MaapError, match="is not a folder"):
        import_folder(tmp_path / "nowhere", tmp_path / "set")
    (root / "train" / "a" / "zero.jpg").write_bytes(b"")
    with pytest.raises(MaapError, match="zero.jpg is empty"):
        import_folder(root, tmp_path / "set")


def test_truncated_image_in_a_folder_is_named(tmp_path):
    root = make_folder(tmp_path / "in", {"train": {"a": 2, "b": 2}})
    path = save(root / "train" / "a" / "torn.jpg", picture(9, 300, 300))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(MaapError, match="torn.jpg is truncated"):
        import_folder(root, tmp_path / "set")


def test_exif_orientation_is_kept_out_of_cub_and_used_elsewhere(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # turn right
    data = cv2.imencode(".jpg", picture(1, 40, 80))[1].tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    assert pixels.read(path, orient=False).shape == (40, 80, 3)
    assert pixels.read(path, orient=True).shape == (80, 40, 3)


def test_manifest_says_how_it_was_made(tmp_path):
    import_cub(
        make_2011(tmp_path / "cub"), tmp_path / "set", 64, "short_side", expected=SMALL, seed=5
    )
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert manifest["source"]["seed"] == 5 and manifest["source"]["policy"] == "short_side"
    assert manifest["format"] == 1 and manifest["splits"]["train"] == {"count": 6}
