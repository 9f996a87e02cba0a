"""Class folders as people have them: what is left out, which part is which, and the messages."""

import json
import os
import zlib
from pathlib import Path

import cv2
import pytest
from data_fakes import picture, save
from maap.data.folder import import_folder
from maap.data.importing.tree import leftover
from maap.errors import MaapError

MAC = b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(100)
NAMES = ("a bird", "Zaunkönig 鳥")


def fill(root: Path, part: str = "train", count: int = 5, names=NAMES) -> None:
    """Images of each class, no two alike."""
    for name in names:
        for i in range(count):
            path = f"{part}/{name}/{i} x.JPG"
            save(root / path, picture(zlib.crc32(path.encode()), 20, 24))


@pytest.fixture
def both(tmp_path):
    """A folder with train/ and test/ of two classes: 10 and 4 images."""
    fill(tmp_path / "set")
    fill(tmp_path / "set", "test", 2)
    return tmp_path / "set"


def imported(root: Path, capsys, **more):
    """(counts of both parts, the lines that are not progress, the data set)."""
    capsys.readouterr()
    data = import_folder(root, root.parent / f"out{len(list(root.parent.iterdir()))}", 16, **more)
    said = capsys.readouterr().out.replace(str(root), "SET").splitlines()
    lines = [line for line in said if not line.startswith(("import ", "unpack "))]
    return [len(data.split(name)) for name in ("train", "test")], lines, data


def test_a_tidy_set_needs_no_word(both, capsys):
    counts, lines, data = imported(both, capsys)
    assert counts == [10, 4] and lines == [] and data.classes == sorted(NAMES)
    assert "left_out" not in data.manifest["source"]


def leave_mac(root):
    for path in list(root.rglob("*.JPG")):
        (path.parent / f"._{path.name}").write_bytes(MAC)
    (root / "train" / ".DS_Store").write_bytes(b"x")
    (root / "train" / NAMES[0] / "Thumbs.db").write_bytes(b"x")


def leave_macosx(root):
    save(root / "train" / "__MACOSX" / "x.jpg", picture(1))
    (root / "train" / "__MACOSX" / "a").mkdir()
    (root / "train" / "__MACOSX" / "a" / "._0.jpg").write_bytes(MAC)


def leave_jupyter(root):
    for folder in ("train", f"train/{NAMES[0]}", "test"):
        save(root / folder / ".ipynb_checkpoints" / "0 x-checkpoint.JPG", picture(3))


def leave_drives(root):
    """A network drive's small copies, a basket, Windows' settings, an editor's folder."""
    save(root / "train" / NAMES[0] / "@eaDir" / "0 x.JPG" / "THUMB_XL.jpg", picture(4))
    save(root / "train" / "$RECYCLE.BIN" / "old.jpg", picture(5))
    (root / "train" / NAMES[1] / "desktop.ini").write_text("[x]")
    save(root / "train" / ".thumbnails" / "1.png", picture(6))


def leave_words(root):
    (root / "train" / NAMES[0] / "readme.txt").write_text("x")
    (root / "train" / NAMES[0] / "LICENSE").write_text("x")
    (root / "train" / "labels.csv").write_text("x")
    save(root / "train" / "stray.jpg", picture(7))
    (root / "test" / NAMES[0] / "gone.jpg").symlink_to(root / "nowhere.jpg")


@pytest.mark.parametrize(
    "leave, said",
    [
        (leave_mac, ".DS_Store (1), ._* (14), Thumbs.db (1)"),
        (leave_macosx, "files in __MACOSX (2)"),
        (leave_jupyter, "files in .ipynb_checkpoints (3)"),
        (
            leave_drives,
            "desktop.ini (1), files in $RECYCLE.BIN (1), files in @eaDir (1), hidden files (1)",
        ),
        (
            leave_words,
            ".txt files (1), broken links (1), files without an ending (1), images in no class "
            "folder (1), other files in no class folder (1)",
        ),
    ],
)
def test_what_is_left_out_is_counted_and_said(both, capsys, leave, said):
    leave(both)
    counts, lines, data = imported(both, capsys)
    assert counts == [10, 4] and data.classes == sorted(NAMES)
    assert lines == [f"SET: left out: {said}"]
    manifest = json.loads((data.folder / "manifest.json").read_text())
    assert ", ".join(f"{kind} ({n})" for kind, n in manifest["source"]["left_out"].items()) == said


def test_copies_in_checkpoints_do_not_come_into_the_test_part(tmp_path, capsys):
    root = tmp_path / "set"
    fill(root, ".", 10)
    for path in list(root.rglob("*.JPG")):
        checkpoint = path.parent / ".ipynb_checkpoints" / f"{path.stem}-checkpoint.JPG"
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.write_bytes(path.read_bytes())
    counts, lines, _ = imported(root, capsys)
    assert counts == [16, 4] and lines[-1] == "SET: left out: files in .ipynb_checkpoints (20)"


@pytest.mark.parametrize("name", ["._x.jpg", "__MACOSX", "THUMBS.DB", ".git", "Icon\r"])
def test_names_of_other_programs(name):
    assert leftover(name)


@pytest.mark.parametrize("name", ["x.jpg", "_x.jpg", "MACOSX", "thumbs", "a.b", "x~1.jpg"])
def test_names_of_images(name):
    assert leftover(name) is None


# ---- formats ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["webp", "bmp", "tif", "TIFF", "png", "jpeg"])
def test_formats_that_are_read(both, capsys, suffix):
    for i in range(3):
        save(both / "train" / NAMES[0] / f"w{i}.{suffix}", picture(50 + i, 20, 24))
    counts, lines, _ = imported(both, capsys)
    assert counts == [13, 4] and lines == []


def test_formats_that_are_not_read(both, capsys):
    (both / "train" / NAMES[0] / "g.gif").write_bytes(b"GIF89a")
    (both / "train" / NAMES[1] / "h.HEIC").write_bytes(b"x")
    (both / "train" / NAMES[1] / "i.heic").write_bytes(b"x")
    counts, lines, _ = imported(both, capsys)
    assert counts == [10, 4]
    assert lines == [
        "SET: left out: .gif files (1), .heic files (2)",
        "warning: SET: 3 images are not read (.gif, .heic): save them as JPEG or PNG to use them",
    ]


def test_a_class_of_unread_images_only_is_named(both):
    (both / "train" / "gifs").mkdir()
    (both / "train" / "gifs" / "g.gif").write_bytes(b"GIF89a")
    with pytest.raises(MaapError) as error:
        import_folder(both, both.parent / "out", 16)
    assert str(error.value) == (
        f"{both}/train/gifs: class 'gifs' is empty (no .jpg, .jpeg, .jpe, .jfif, .png, .bmp, "
        ".webp, .tif, .tiff file): add images or remove the folder"
    )


@pytest.mark.parametrize(
    "content, what",
    [
        (b"<!DOCTYPE html><html>403</html>", "is a web page or SVG, no pixels"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "is a HEIC; save it as JPEG"),
        (MAC, "is metadata of macOS, not an image"),
        (b"nothing known", "is not an image that OpenCV can decode"),
    ],
)
def test_a_file_that_is_something_else_is_told_by_its_content(both, content, what):
    (both / "train" / NAMES[0] / "odd.jpg").write_bytes(content)
    with pytest.raises(MaapError, match=f"odd.jpg {what}"):
        import_folder(both, both.parent / "out", 16)


# ---- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev"])
def test_a_validation_folder_in_place_of_test(tmp_path, capsys, name):
    fill(tmp_path / "set")
    fill(tmp_path / "set", name, 2)
    counts, lines, _ = imported(tmp_path / "set", capsys)
    assert counts == [10, 4]
    assert lines == [f"SET has no test folder: {name}/ is the test part"]


def test_a_validation_folder_beside_test_is_said_to_be_unused(both, capsys):
    fill(both, "valid", 3)
    counts, lines, _ = imported(both, capsys)
    assert counts == [10, 4]
    assert lines == [
        "SET/valid is used neither for training nor for the test (6 files): test/ is the test part"
    ]


@pytest.mark.parametrize("train, test", [("Train", "TEST"), ("training", "testing")])
def test_other_names_of_the_parts(tmp_path, capsys, train, test):
    fill(tmp_path / "set", train)
    fill(tmp_path / "set", test, 2)
    assert imported(tmp_path / "set", capsys)[:2] == ([10, 4], [])


@pytest.mark.parametrize(
    "parts, words",
    [
        (("train", "val", "valid"), "holds val/ and valid/, which may all be the same part: keep"),
        (("train", "Train", "test"), "holds Train/ and train/, which may all be the same part"),
        (("test",), "holds test/ with class folders, but no train/: name the folder with the trai"),
    ],
)
def test_parts_that_are_not_clear(tmp_path, parts, words):
    for part in parts:
        fill(tmp_path / "set", part, 2)
    with pytest.raises(MaapError, match=words):
        import_folder(tmp_path / "set", tmp_path / "out", 16)


def test_test_images_without_classes_are_not_tested_on(tmp_path, capsys):
    fill(tmp_path / "set")
    for i in range(3):
        save(tmp_path / "set" / "test" / f"{i}.jpg", picture(i))
    counts, lines, _ = imported(tmp_path / "set", capsys)
    assert counts == [8, 2]
    assert lines == [
        "warning: SET/test holds no class folders (3 files), so nothing can be tested on it; it is "
        "not used",
        "SET has no test folder: seed 1 chose 2 of 10 images for the test",
    ]


@pytest.mark.parametrize("valid", [None, "val"])
def test_test_folders_without_images_are_not_tested_on(tmp_path, capsys, valid):
    fill(tmp_path / "set")
    for name in NAMES:
        (tmp_path / "set" / "test" / name).mkdir(parents=True)
    if valid:
        fill(tmp_path / "set", valid, 3)
    counts, lines, _ = imported(tmp_path / "set", capsys)
    assert counts == ([10, 6] if valid else [8, 2])
    assert lines[0] == (
        "warning: SET/test holds no images (0 files), so nothing can be tested on it; it is not "
        "used"
    )


def test_a_class_may_be_called_train(tmp_path, capsys):
    fill(tmp_path / "set", ".", 5, ("bus", "car", "train", "test"))
    counts, _, data = imported(tmp_path / "set", capsys)
    assert counts == [16, 4] and data.classes == ["bus", "car", "test", "train"]


@pytest.mark.parametrize("wrapped", ["car_data", "car_data/car_data"])
def test_folders_around_the_set_are_passed(tmp_path, capsys, wrapped):
    fill(tmp_path / "set" / wrapped)
    fill(tmp_path / "set" / wrapped, "test", 2)
    (tmp_path / "set" / "names.csv").write_text("x")
    (tmp_path / "set" / "__MACOSX").mkdir()
    counts, lines, _ = imported(tmp_path / "set", capsys)
    assert counts == [10, 4] and lines == [f"SET: the class folders are in {wrapped}/"]


def test_linked_folders(both, capsys):
    os.rename(both / "train", both.parent / "elsewhere")
    (both / "train").symlink_to(both.parent / "elsewhere")
    more = both.parent / "elsewhere" / NAMES[0]
    save(both.parent / "more" / "new.jpg", picture(9))
    (more / "more").symlink_to(both.parent / "more")
    (more / "again").symlink_to(more)
    counts, lines, _ = imported(both, capsys)
    assert counts == [11, 4] and lines == ["SET: left out: folders linked twice (1)"]


# ---- classes ------------------------------------------------------------------------------------


def test_classes_in_one_part_only(both, capsys):
    fill(both, "train", 1, ("c", "d", "e", "f"))
    counts, lines, _ = imported(both, capsys)
    assert counts == [14, 4]
    assert lines == [
        "warning: SET/test has no images of 4 classes ('c', 'd', 'e', ...): the test says nothing "
        "of them"
    ]
    (both / "train" / "c" / "0 x.JPG").rename(both / "train" / "d" / "1.JPG")
    (both / "train" / "c").rename(both / "test" / "c")
    save(both / "test" / "c" / "1.jpg", picture(3))
    save(both / "test" / "g" / "1.jpg", picture(4))
    with pytest.raises(MaapError) as error:
        import_folder(both, both.parent / "out", 16)
    assert str(error.value) == (
        f"{both}/test: class 'c' is not in {both}/train (2 such classes in all): rename or remove "
        "it"
    )


def test_classes_of_one_image_without_a_test_folder(tmp_path):
    fill(tmp_path / "set", ".", 5)
    fill(tmp_path / "set", ".", 1, ("rare", "rarer"))
    with pytest.raises(MaapError) as error:
        import_folder(tmp_path / "set", tmp_path / "out", 16)
    assert str(error.value) == (
        f"{tmp_path}/set: class 'rare' has one image, too few to divide into training and test (2 "
        "such classes in all): add images, or make a test folder"
    )


def test_class_names_that_are_nearly_the_same(both, capsys):
    os.rename(both / "test" / NAMES[0], both / "test" / "A Bird ")
    os.rename(both / "test" / NAMES[1], both / "test" / "Zaunko\u0308nig 鳥")
    counts, lines, data = imported(both, capsys)
    assert counts == [10, 4] and data.classes == sorted(NAMES)
    assert lines == ["SET/test: class 'A Bird' is taken for 'a bird' of SET/train"]
    records = data.split("test").records
    assert all(record.label == record.path.startswith("A Bird /") for record in records)


def test_classes_that_differ_in_case_stay_two(both, capsys):
    fill(both, "train", 2, ("A Bird",))
    counts, lines, data = imported(both, capsys)
    assert counts == [12, 4] and len(data.classes) == 3
    assert lines[0] == (
        "warning: SET: the classes 'A Bird' and 'a bird' differ in upper and lower case only; they "
        "stay two classes"
    )


def test_folders_that_differ_in_blanks_are_put_together(both, capsys):
    save(both / "train" / "a bird " / "9.jpg", picture(99))
    counts, lines, data = imported(both, capsys)
    assert counts == [11, 4] and data.classes == sorted(NAMES)
    assert lines == ["SET/train: the folders of class 'a bird' are put together"]


def test_names_that_are_not_utf8(tmp_path, capsys):
    root = os.fsencode(tmp_path / "set")
    content = cv2.imencode(".jpg", picture(1))[1].tobytes()
    for i, name in enumerate((b"Zaunk\xf6nig", b"Amsel")):
        os.makedirs(root + b"/" + name)
        for j in range(3):
            with open(root + b"/" + name + b"/%d\xe9.jpg" % j, "wb") as stream:
                stream.write(content[:-2] + bytes([i, j]) + content[-2:])
    data = imported(tmp_path / "set", capsys)[2]
    assert data.classes == ["Amsel", "Zaunkönig"]
    assert data.split("train").read(0)[0].shape == (16, 16, 3)
