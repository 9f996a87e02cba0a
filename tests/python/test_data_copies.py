"""Images in both parts, images that are turned, very large ones: counted, said, stored right."""

import os
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_fakes import picture, save
from maap.data import find
from maap.data.folder import import_folder
from maap.data.importers.cub import import_cub
from maap.data.importing.layout import Expected
from maap.errors import MaapError
from maap.images import pixels
from maap.images.structure import orientation
from test_data_cub import CLASSES, SMALL, make_2011


def warnings_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("import ")]


@pytest.fixture
def both(tmp_path):
    """Two classes, five training and two test images each, no two alike."""
    for part, count in (("train", 5), ("test", 2)):
        for name in "ab":
            for i in range(count):
                path = f"{part}/{name}/{i}.png"
                save(tmp_path / "set" / path, picture(zlib.crc32(path.encode()), 40, 50))
    return tmp_path / "set"


def said(root: Path, capsys, **more):
    capsys.readouterr()
    data = import_folder(root, root.parent / "out", 32, **more)
    return warnings_of(capsys.readouterr().out.replace(str(root), "SET")), data


def test_images_of_both_parts_are_counted(both, capsys):
    shutil.copy(both / "train/a/3.png", both / "test/a/copy.png")
    image = cv2.imread(str(both / "train/b/1.png"))
    save(both / "test/b/1.bmp", image)  # the same pixels in another format
    lines, data = said(both, capsys)
    assert lines == [
        "warning: SET: 2 of 6 test images are also in the training part, with the same pixels "
        "(a/copy.png = a/3.png, b/1.bmp = b/1.png): the accuracy will be too high; remove them "
        "from one of the parts"
    ]
    assert data.note == "2 of 6 test images are also in the training part."


def test_a_set_from_the_cache_says_it_again(both, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(both.parent / "cache"))
    shutil.copy(both / "train/a/3.png", both / "test/a/copy.png")
    find.find_data(str(both), 32)
    capsys.readouterr()
    find.find_data(str(both), 32)
    assert capsys.readouterr().out == (
        f"warning: {both}: 1 of 5 test images is also in the training part. The accuracy will be "
        "too high.\n"
    )


def test_many_copies_are_one_short_line(both, capsys):
    shutil.rmtree(both / "test")
    shutil.copytree(both / "train", both / "test")
    lines, data = said(both, capsys)
    assert len(lines) == 1 and "10 of 10 test images are also in the training part" in lines[0]
    assert lines[0].count(" = ") == 3 and ", ...)" in lines[0]


def test_one_image_of_both_parts(both, capsys):
    shutil.copy(both / "train/a/3.png", both / "test/a/copy.png")
    lines, data = said(both, capsys)
    assert "1 of 5 test images is also in the training part" in lines[0]


def test_an_image_in_two_classes(both, capsys):
    shutil.copy(both / "train/a/3.png", both / "train/b/x.png")
    lines, data = said(both, capsys)
    assert len(lines) == 2 and data.note == ""
    pair = {"a/3.png of 'a'", "b/x.png of 'b'"}
    start = "warning: SET: 1 image is in two classes, with the same pixels ("
    assert lines[0].startswith(start) and lines[0].endswith("): remove the wrong ones")
    assert set(lines[0][len(start) : lines[0].index(")")].split(" = ")) == pair
    assert lines[1] == "SET: 1 training image is more than once in that part"


def test_copies_within_the_parts(both, capsys):
    for i in range(2):
        shutil.copy(both / "train/a/3.png", both / f"train/a/x{i}.png")
        shutil.copy(both / "test/b/0.png", both / f"test/b/x{i}.png")
    assert said(both, capsys)[0] == [
        "SET: 2 training images are more than once in that part",
        "SET: 2 test images are more than once in that part",
    ]


def test_nearly_equal_images_are_not_called_copies(both, capsys):
    image = cv2.imread(str(both / "train/a/3.png"))
    image[0, 0, 0] ^= 128
    save(both / "test/a/near.png", cv2.resize(image, (32, 32)))
    assert said(both, capsys)[0] == []


def test_a_division_keeps_copies_together(tmp_path, capsys):
    root = tmp_path / "set"
    for name in "ab":
        for i in range(10):
            save(root / name / f"{i}.jpg", picture(ord(name) * 100 + i, 40, 50))
            shutil.copy(root / name / f"{i}.jpg", root / name / f"{i} (1).jpg")
    for seed in range(4):
        capsys.readouterr()
        data = import_folder(root, tmp_path / f"out{seed}", 32, seed=seed)
        parts = [{r.path[:3] for r in data.split(n).records} for n in ("train", "test")]
        assert not parts[0] & parts[1] and len(data.split("test")) == 8
        assert "warning" not in capsys.readouterr().out
    for path in root.rglob("[1-9]*.jpg"):
        path.unlink()
    with pytest.raises(MaapError, match="class 'a' has one image, too few to divide"):
        import_folder(root, tmp_path / "one", 32)


def test_published_sets_are_checked_for_copies(tmp_path, capsys):
    root = make_2011(tmp_path / "cub")
    birds = root / "images" / CLASSES[0]
    shutil.copy(birds / "bird_0001.jpg", birds / "bird_0004.jpg")
    data = import_cub(root, tmp_path / "set", 64, expected=SMALL)
    lines = warnings_of(capsys.readouterr().out)
    assert lines[0].startswith(f"warning: {root}: 1 of 4 test images is also in the training part")
    assert data.note == "1 of 4 test images is also in the training part."


# ---- EXIF ---------------------------------------------------------------------------------------


def turn(path: Path, value: int, order: str = "<") -> None:
    """Give a JPEG file an EXIF orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, value, 0)
    exif = b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)
    data = path.read_bytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(data[:2] + segment + data[2:])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value", range(1, 9))
def test_orientations_are_those_that_opencv_applies(tmp_path, value, order):
    path = save(tmp_path / "x.jpg", picture(3, 24, 40))
    plain = pixels.read(path)
    turn(path, value, order)
    assert orientation(path.read_bytes()) == value
    wanted = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.transpose(1, 0, 2),
        6: cv2.rotate(plain, cv2.ROTATE_90_CLOCKWISE),
        7: plain[::-1, ::-1].transpose(1, 0, 2),
        8: cv2.rotate(plain, cv2.ROTATE_90_COUNTERCLOCKWISE),
    }[value]
    np.testing.assert_array_equal(pixels.read(path), wanted)
    np.testing.assert_array_equal(pixels.read(path, orient=False), plain)


def test_no_orientation(tmp_path):
    path = save(tmp_path / "x.jpg", picture(3))
    assert orientation(path.read_bytes()) == 1
    turn(path, 9)
    assert orientation(path.read_bytes()) == 1
    assert [orientation(data) for data in (b"", b"\xff\xd8", b"\x89PNG", b"\xff\xd8\xff\xe1")] == [
        1
    ] * 4
    assert orientation(b"\xff\xd8\xff\xe1\0\x10Exif\0\0II*\0\xff\xff\xff\xff") == 1


def test_damaged_exif_is_no_orientation(tmp_path):
    path = save(tmp_path / "x.jpg", picture(3))
    turn(path, 6)
    data, random = path.read_bytes(), np.random.RandomState(2)
    assert orientation(data[:24] + bytes([0]) + data[25:]) in range(1, 9)
    for at in range(4, 46):
        for value in (0, 255, random.randint(256)):
            damaged = data[:at] + bytes([value]) + data[at + 1 :]
            assert orientation(damaged) in range(1, 9)
            assert orientation(damaged[: at + 2]) in range(1, 9)


def test_turned_photographs_in_class_folders_are_stored_upright(both, capsys):
    path = save(both / "train/a/turned.jpg", picture(77, 40, 80))
    turn(path, 6)
    turn(save(both / "test/a/turned.jpg", picture(78, 40, 80)), 3)
    lines, data = said(both, capsys, encode="raw")
    assert lines == [
        "SET: 2 images are turned, as EXIF data says (the first is a/turned.jpg): stored upright"
    ]
    train = data.split("train")
    (place,) = [i for i, record in enumerate(train.records) if record.path == "a/turned.jpg"]
    wanted = pixels.fit(pixels.read(path), (32, 32), "warp")[0]
    np.testing.assert_array_equal(train.read(place)[0], wanted)


def with_bright_box(path: Path, box: tuple[int, int, int, int]) -> None:
    """Make a picture black, and white in the box (x1, y1, x2, y2)."""
    image = cv2.imread(str(path)) * 0
    image[box[1] : box[3], box[0] : box[2]] = 255
    assert cv2.imwrite(str(path), image)


def check_boxes(data, path: str) -> None:
    """The white pixels of the stored image are those of its true box."""
    for split in (data.split("train"), data.split("test")):
        for i, record in enumerate(split.records):
            if record.path == path:
                rows, columns = np.nonzero(split.read(i)[0][..., 0] > 127)
                seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                np.testing.assert_allclose(seen, record.box, atol=1)
                return
    raise AssertionError(f"no record of {path}")


@pytest.mark.parametrize("value", [3, 6, 8])
def test_boxes_of_cub_are_of_the_pixels_in_the_file(tmp_path, capsys, value):
    root = make_2011(tmp_path / "cub")
    path = root / "images" / CLASSES[0] / "bird_0002.jpg"
    with_bright_box(path, (20, 10, 60, 30))
    turn(path, value)
    data = import_cub(root, tmp_path / "set", 64, expected=SMALL)
    check_boxes(data, f"{CLASSES[0]}/bird_0002.jpg")
    assert warnings_of(capsys.readouterr().out) == [
        f"warning: {root}: 1 image is turned, as EXIF data says (the first is "
        f"{CLASSES[0]}/bird_0002.jpg): stored with the pixels as they are in the file, which the "
        "set's boxes are for"
    ]


def test_boxes_of_the_other_sets_are_of_the_pixels_in_the_file(tmp_path, capsys):
    pytest.importorskip("scipy.io")
    from maap.data.importers.aircraft import import_aircraft
    from maap.data.importers.cars import import_cars
    from maap.data.importers.flowers import import_flowers
    from test_data_published import make_aircraft, make_cars, make_flowers

    cars = make_cars(tmp_path / "cars")
    with_bright_box(cars / "cars_train/00003.jpg", (10, 5, 40, 22))
    turn(cars / "cars_train/00003.jpg", 6)
    data = import_cars(cars, tmp_path / "cars-set", 64, expected=Expected(3, 6, 3))
    check_boxes(data, "cars_train/00003.jpg")
    craft = make_aircraft(tmp_path / "aircraft")
    path = craft / "data/images/1025002.jpg"
    with_bright_box(path, (2, 4, 34, 64))  # the rest of the box lies in the banner
    turn(path, 8)
    data = import_aircraft(craft, tmp_path / "aircraft-set", 64, expected=Expected(3, 9, 3))
    check_boxes(data, "1025002.jpg")
    flowers = make_flowers(tmp_path / "flowers")
    turn(flowers / "jpg/image_00004.jpg", 6)
    capsys.readouterr()
    import_flowers(flowers, tmp_path / "flowers-set", 64, expected=Expected(3, 9, 3))
    assert warnings_of(capsys.readouterr().out) == [
        f"warning: {flowers}: 1 image is turned, as EXIF data says (the first is image_00004.jpg): "
        "stored with the pixels as they are in the file"
    ]


# ---- large images -------------------------------------------------------------------------------


def test_an_image_of_100_megabytes(both, capsys):
    image = np.zeros((5800, 5800, 3), np.uint8)
    image[:, :2900] = (10, 200, 90)
    path = save(both / "train/a/large.bmp", image)
    assert path.stat().st_size > 100e6
    lines, data = said(both, capsys, encode="raw")
    train = data.split("train")
    (place,) = [i for i, record in enumerate(train.records) if record.path == "a/large.bmp"]
    stored = train.read(place)[0]
    assert lines == [] and stored.shape == (32, 32, 3)
    assert (stored[:, :16] == (10, 200, 90)).all() and (stored[:, 16:] == 0).all()


def png(path: Path, width: int, height: int) -> Path:
    """A black image with two colours, small in the file however large it is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compressobj(1)
    data = b"".join(rows.compress(bytes(1 + width // 8) * 100) for _ in range(height // 100))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    body = chunk(b"IDAT", data + rows.flush()) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    return path


def test_an_image_with_more_pixels_than_opencv_decodes(both):
    path = png(both / "train/a/huge.png", 40000, 30000)
    assert path.stat().st_size < 3e6
    with pytest.raises(MaapError) as error:
        import_folder(both, both.parent / "out", 32)
    assert str(error.value) == (
        f"{path} has more pixels than OpenCV decodes (2^30): make it smaller or remove it"
    )
    assert os.listdir(both.parent) == ["set"]
