"""Archives as people have them: told by content, with what other programs put in, and hostile."""

import contextlib
import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from data_fakes import picture, save
from maap.data import importer as registry
from maap.data.folder import import_folder
from maap.data.importers.aircraft import import_aircraft
from maap.data.importers.cars import import_cars
from maap.data.importers.cub import import_cub
from maap.data.importers.flowers import import_flowers
from maap.data.importing import archive
from maap.data.importing.layout import Expected
from maap.errors import MaapError
from test_data_cub import SMALL, check_imported, make_2011

MAC = b"\0\5\x16\7" + bytes(80)
JPG = r"^.+\.jpg$"


def zipped(path: Path, root: Path, top: str) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted(root.rglob("*")):
            packed.write(file, f"{top}/{file.relative_to(root).as_posix()}")
    return path


def tarred(path: Path, root: Path, top: str, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        tar.add(root, top)
    return path


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(("import ", "unpack "))]


def as_windows(root: Path) -> None:
    """The lists with a byte-order mark, Windows' line ends and blanks at the ends of lines."""
    for path in root.glob("*.txt"):
        lines = path.read_text().splitlines()
        path.write_bytes(b"\xef\xbb\xbf" + "".join(f"{line} \r\n" for line in lines).encode())


@pytest.mark.parametrize("ending", ["zip", "tgz"])
def test_an_archive_of_class_folders_counts_what_is_left_out(tmp_path, capsys, ending):
    root = tmp_path / "pets"
    for part, number in (("train", 3), ("test", 1)):
        for name in ("cat", "dog"):
            for i in range(number):
                save(root / part / name / f"{part}{i}.png", picture(len(name) + i, 20, 24))
    (root / "train" / "cat" / "phone.HEIC").write_bytes(b"x")
    (root / "train" / "cat" / "._train0.png").write_bytes(MAC)
    (root / "train" / "notes.txt").write_text("x")
    pack = zipped if ending == "zip" else tarred
    source = pack(tmp_path / f"pets.{ending}", root, "pets")
    import_folder(source, tmp_path / "out", 16)
    said = capsys.readouterr().out.replace(str(source), "SET")
    assert "SET: left out: ._* (1), .heic files (1), .txt files (1)\n" in said
    assert "warning: SET: 1 image is not read (.heic): save them as JPEG or PNG to use them" in said


def test_cub_as_a_zip_from_a_mac(tmp_path, capsys):
    root = make_2011(tmp_path / "CUB_200_2011")
    as_windows(root)
    source = zipped(tmp_path / "archive.zip", root, "CUB_200_2011")
    with zipfile.ZipFile(source, "a") as packed:
        for path in sorted(root.rglob("*.jpg")):
            inner = path.relative_to(tmp_path)
            packed.writestr(f"{inner.parent}/._{inner.name}", MAC)
            packed.writestr(f"__MACOSX/{inner}", MAC)
        packed.writestr("CUB_200_2011/.DS_Store", b"x")
    assert registry.recognise(source) == ("cub", source)
    check_imported(import_cub(source, tmp_path / "set", 64, expected=SMALL))
    assert lines_of(capsys.readouterr().out) == [
        f"{source}: left out: .DS_Store (1), ._* (10), files in __MACOSX (10)"
    ]


def test_cub_as_a_folder_from_a_mac(tmp_path, capsys):
    root = make_2011(tmp_path / "CUB_200_2011")
    as_windows(root)
    for path in list(root.rglob("*.jpg")):
        (path.parent / f"._{path.name}").write_bytes(MAC)
    first = next(root.glob("images/*/bird_0001.jpg"))
    save(first.parent / ".ipynb_checkpoints" / "bird_0001-checkpoint.jpg", picture(1))
    save(first.parent / "bird_0001 copy.jpg", picture(1))
    (root / "images" / ".DS_Store").write_bytes(b"x")
    check_imported(import_cub(root, tmp_path / "set", 64, expected=SMALL))
    assert lines_of(capsys.readouterr().out) == [
        f"{root}: left out: .DS_Store (1), ._* (10), files in .ipynb_checkpoints (1), images that "
        "no list names (1)"
    ]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_is_told_by_its_content(tmp_path, mode):
    root = make_2011(tmp_path / "CUB_200_2011")
    source = tarred(tmp_path / "birds.zip", root, "CUB_200_2011", mode)
    assert archive.kind(source) == "tar" and registry.recognise(source)[0] == "cub"
    check_imported(import_cub(source, tmp_path / "set", 64, expected=SMALL))
    other = zipped(tmp_path / "birds.tgz", root, "CUB_200_2011")
    assert archive.kind(other) == "zip" and registry.recognise(other)[0] == "cub"
    check_imported(import_cub(other, tmp_path / "set2", 64, expected=SMALL))


def test_published_sets_as_one_zip(tmp_path):
    pytest.importorskip("scipy.io")
    from test_data_published import make_aircraft, make_cars, make_flowers

    for make, take, counts in (
        (make_aircraft, import_aircraft, Expected(3, 9, 3)),
        (make_cars, import_cars, Expected(3, 6, 3)),
        (make_flowers, import_flowers, Expected(3, 9, 3)),
    ):
        name = make.__name__[5:]
        source = zipped(tmp_path / f"{name}.zip", make(tmp_path / name), "wrapped")
        assert registry.recognise(source) == (name, source)
        take(source, tmp_path / f"{name}-set", 32, expected=counts)


def test_parts_of_cars_as_zips(tmp_path):
    pytest.importorskip("scipy.io")
    from test_data_published import make_cars

    root = make_cars(tmp_path / "in")
    for folder, name in (("cars_train", "cars_train"), ("cars_test", "cars_test")):
        zipped(root / f"{name}.zip", root / folder, folder)
        shutil.rmtree(root / folder)
    tarred(root / "car_devkit.tar", root / "devkit", "devkit", "w")
    shutil.rmtree(root / "devkit")
    data = import_cars(root, tmp_path / "set", 32, expected=Expected(3, 6, 3))
    assert data.split("test").records[0].path == "cars_test/00001.jpg"
    assert registry.recognise(root / "cars_train.zip") == ("cars", root)
    import_cars(root / "cars_train.zip", tmp_path / "again", 32, expected=Expected(3, 6, 3))


@pytest.mark.parametrize("pack, name", [(zipped, "photos.zip"), (tarred, "photos.tar.gz")])
def test_class_folders_in_an_archive(tmp_path, capsys, pack, name):
    for i in range(8):
        save(tmp_path / "in" / "train" / "ab"[i % 2] / f"{i}.jpg", picture(i))
    save(tmp_path / "in" / "__MACOSX" / "x.jpg", picture(1))
    source = pack(tmp_path / name, tmp_path / "in", "photos")
    assert registry.recognise(source) == ("folder", source)
    data = import_folder(source, tmp_path / "set", 16)
    assert data.name == "photos" and data.classes == ["a", "b"]
    assert [len(data.split(n)) for n in ("train", "test")] == [6, 2]
    assert lines_of(capsys.readouterr().out) == [
        f"{source}: left out: files in __MACOSX (1)",
        f"{source}: the class folders are in photos/",
        f"{source} has no test folder: seed 1 chose 2 of 8 images for the test",
    ]
    assert data.manifest["source"]["left_out"] == {"files in __MACOSX": 1}


# ---- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["train/a/bad.jpg", "test/c/1.jpg"])
def test_messages_name_the_file_in_the_archive(tmp_path, bad):
    root = tmp_path / "in"
    for place in ("train/a/1.jpg", "train/b/1.jpg", "test/a/2.jpg"):
        save(root / place, picture(len(place)))
    (root / bad).parent.mkdir(exist_ok=True)
    (root / bad).write_bytes(b"")
    source = zipped(tmp_path / "set.zip", root, "set")
    with pytest.raises(MaapError) as error:
        import_folder(source, tmp_path / "out", 16)
    assert f"{source}/set/{bad[:4]}" in str(error.value)
    assert "unpacked" not in str(error.value) and "partial" not in str(error.value)


def test_names_in_zips_of_other_systems(tmp_path):
    """Backslashes of Windows; UTF-8 that is not announced; ./ at the beginning."""
    source = tmp_path / "x.zip"
    with zipfile.ZipFile(source, "w") as packed:
        for name in ("a\\b\\1.jpg", "./a/2.jpg"):
            info = zipfile.ZipInfo("x")
            info.filename = name
            packed.writestr(info, b"1")
        packed.writestr("Zaunk\u00f6nig/3.jpg", b"3")
    data = source.read_bytes()  # without the sign that the names are UTF-8
    at = data.index("Zaunkönig".encode()) - 30
    assert data[at : at + 4] == b"PK\3\4" and data[at + 7] == 8
    data = data[: at + 7] + b"\0" + data[at + 8 :]
    at = data.rindex("Zaunkönig".encode()) - 46
    assert data[at : at + 4] == b"PK\1\2" and data[at + 9] == 8
    source.write_bytes(data[: at + 9] + b"\0" + data[at + 10 :])
    archive.unpack(source, tmp_path / "out", JPG, "get it")
    found = sorted(
        p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("out/**/*.jpg")
    )
    assert found == ["Zaunkönig/3.jpg", "a/2.jpg", "a/b/1.jpg"]


# ---- hostile archives ---------------------------------------------------------------------------

OUTSIDE = ("../evil.jpg", "/tmp/evil.jpg", "a/../../evil.jpg", "C:/evil.jpg", "..\\evil.jpg")


def hostile_tar(path: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in ("good/1.jpg", *OUTSIDE):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"jpg"))
        for name, target, kind in (
            ("good/hard.jpg", "good/1.jpg", tarfile.LNKTYPE),
            ("good/soft.jpg", "1.jpg", tarfile.SYMTYPE),
            ("good/out.jpg", "../../etc/passwd", tarfile.SYMTYPE),
            ("good/abs.jpg", "/etc/passwd", tarfile.SYMTYPE),
            ("good/loop.jpg", "loop.jpg", tarfile.SYMTYPE),
            ("good/fifo.jpg", "", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return path


def hostile_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name in ("good/1.jpg", "good/hard.jpg", *OUTSIDE):
            packed.writestr(name, b"jpg")
        for name, target in (
            ("good/soft.jpg", "1.jpg"),
            ("good/out.jpg", "../../etc/passwd"),
            ("good/abs.jpg", "/etc/passwd"),
            ("good/loop.jpg", "loop.jpg"),
        ):
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            packed.writestr(info, target)
    return path


@pytest.mark.parametrize("make", [hostile_tar, hostile_zip])
def test_nothing_is_written_outside_and_links_stay_inside(tmp_path, capsys, make):
    source, into = make(tmp_path / "x.bin"), tmp_path / "deep" / "out"
    archive.unpack(source, into, JPG, "get it")
    found = sorted(p.relative_to(into).as_posix() for p in into.rglob("*") if not p.is_dir())
    assert found == ["good/1.jpg", "good/hard.jpg", "good/soft.jpg"]
    assert all((into / name).read_bytes() == b"jpg" for name in found)
    assert not any((into / name).is_symlink() for name in found)
    assert lines_of(capsys.readouterr().out) == [
        f"{source}: left out: entries that lead out of the archive's folder (5), links to nothing "
        "in the archive (3)"
    ]
    assert not Path("/tmp/evil.jpg").exists() and not list(tmp_path.rglob("evil.jpg"))


def test_a_name_that_is_a_file_and_a_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("a.jpg", b"1")
        packed.writestr("a.jpg/b.jpg", b"1")
    with pytest.raises(MaapError, match="cannot unpack .*x.zip: .*a.jpg: (File exists|Not a dir)"):
        archive.unpack(tmp_path / "x.zip", tmp_path / "out", JPG, "get it")


def damaged_gzip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "content, words",
    [
        (b"PK\3\4 and nothing more", "is not a complete zip archive: download it again; get it"),
        (b"<!DOCTYPE html><p>Sign in", "is a web page, not an archive: the download failed"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive, which is not read here: unpack it and give"),
        (b"Rar!\x1a\x07\x01", "is a RAR archive, which is not read here: unpack it and give"),
        (b"", "is empty: download it again; get it"),
        (b"Not Found", "is no archive, neither tar nor zip: download it again; get it"),
        (b"\x1f\x8b and nothing more", "is not a complete tar archive: download it again; get it"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path, content, words):
    path = tmp_path / "x.tgz"
    path.write_bytes(content)
    assert archive.first_names(path) == []
    with pytest.raises(MaapError, match=words):
        archive.unpack(path, tmp_path / "out", JPG, "get it")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_damaged_archive_is_one_line(tmp_path, mode):
    for i in range(3):
        save(tmp_path / "in" / f"{i}.jpg", picture(i, 200, 200))
    path = tarred(tmp_path / "x.tar", tmp_path / "in", "in", mode)
    damaged_gzip(path)
    with pytest.raises(MaapError, match="x.tar is not a complete tar archive"):
        archive.unpack(path, tmp_path / "out", JPG, "get it")


def damage(data: bytes, random: np.random.RandomState) -> bytes:
    """Some bytes changed; one in five is cut as well."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 5])):
        changed[random.randint(len(changed))] = random.randint(256)
    return bytes(changed[: random.randint(len(changed))] if random.rand() < 0.2 else changed)


@pytest.mark.parametrize(
    "mode", ["w", "w:gz", "w:bz2", "w:xz", zipfile.ZIP_STORED, zipfile.ZIP_LZMA]
)
def test_any_damage_is_one_line_or_nothing(tmp_path, mode):
    path, random = tmp_path / "x", np.random.RandomState(7)
    for i in range(3):
        save(tmp_path / "in" / f"{i}.jpg", picture(i, 20, 20))
    if isinstance(mode, str):
        tarred(path, tmp_path / "in", "in", mode)
    else:
        with zipfile.ZipFile(path, "w", mode) as packed:
            for i in range(3):
                packed.write(tmp_path / "in" / f"{i}.jpg", f"in/{i}.jpg")
    whole = path.read_bytes()
    for _ in range(60):
        path.write_bytes(damage(whole, random))
        archive.first_names(path)
        with contextlib.suppress(MaapError):
            archive.unpack(path, tmp_path / "out", r".+", "get it")
    assert {p.name for p in tmp_path.iterdir()} <= {"x", "in", "out"}


def test_a_zip_of_a_later_version(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("1.jpg", b"1")
    data = path.read_bytes()
    at = data.index(b"PK\1\2") + 6
    path.write_bytes(data[:at] + b"\x80" + data[at + 1 :])
    assert archive.first_names(path) == []
    with pytest.raises(MaapError, match="cannot be unpacked here .zip file version 12.8.: unpack"):
        archive.unpack(path, tmp_path / "out", JPG, "get it")


def test_a_zip_whose_content_does_not_agree(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("1.jpg", b"1" * 1000)
    path.write_bytes(path.read_bytes().replace(b"1" * 500, b"1" * 499 + b"2"))
    with pytest.raises(MaapError, match="x.zip is not a complete zip archive"):
        archive.unpack(path, tmp_path / "out", JPG, "get it")


def test_a_zip_with_a_password(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("1.jpg", b"1" * 1000)
    data = path.read_bytes()
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = data.index(magic) + at
        data = data[:place] + b"\1" + data[place + 1 :]
    path.write_bytes(data)
    with pytest.raises(MaapError, match="cannot be unpacked here .*password.*: unpack it and give"):
        archive.unpack(path, tmp_path / "out", JPG, "get it")


def test_the_room_that_a_zip_takes_is_known_before(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archive, "need_space", lambda *words: asked.append(words[1]))
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("1.jpg", bytes(1_000_000))
        packed.writestr("1.txt", bytes(1_000_000))
    archive.unpack(tmp_path / "x.zip", tmp_path / "out", JPG, "get it")
    assert asked == [1_000_000]
