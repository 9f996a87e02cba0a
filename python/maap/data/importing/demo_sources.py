"""Where the demo sets' pictures come from: real photographs that a Debian machine can fetch.

- Cut-outs (RGBA): the package tuxpaint-stamps-default, downloaded with apt-get and unpacked, not
  installed. Its copyright file and the pictures that a set draws are kept in the cache.
- Background photographs: the data folder of the installed scikit-image (python3-skimage).

Downloads are checked (size, SHA-256) and cached; a rename puts them in place.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import tarfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from re import Pattern
from typing import Optional

from maap.data.disk import need_space
from maap.errors import MaapError
from maap.util import progress
from maap.util.files import file_sha256, partial_path, remove_partial

PACKAGE = "tuxpaint-stamps-default"
# version: (bytes, SHA-256), of Debian 11 and 12; their cut-outs have the same visible pixels
PACKAGES: dict[str, tuple[int, str]] = {
    "2014.08.23-3.1": (
        163057512,
        "4b198dd826e8bfc51489b642665f8c42fa661e6002f1c107916f0e8c3e2b16ee",
    ),
    "2022.06.04-1": (
        160880444,
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    ),
}
_STAMPS = r"^(?:\./)?usr/share/tuxpaint/stamps/"


@dataclass(frozen=True)
class Cutouts:
    """Pictures of the package: the cache's folder for them, what they show, and a pattern whose
    group is a picture's path in that folder."""

    folder: str
    what: str
    pattern: Pattern[str]


BIRDS = Cutouts("birds", "bird", re.compile(_STAMPS + r"animals/birds/([a-z_-]+\.png)$"))
STAMPS = Cutouts(
    "stamps",
    "animal",
    re.compile(
        _STAMPS + r"((?:animals|food|hobbies|household|plants)"
        r"(?:/[a-z_]+)*/[A-Za-z0-9_-]+\.png)$"
    ),
)
_COPYRIGHT = f"usr/share/doc/{PACKAGE}/copyright"
_SPACE = 400_000_000

PHOTOGRAPHS: dict[str, str] = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "motorcycle_right.png": "5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}


def photographs(names: list[str]) -> dict[str, Path]:
    """The background photographs ``names`` in the installed scikit-image.

    Raises MaapError when scikit-image or one of them is missing; says so when one differs from the
    known file.
    """
    spec = importlib.util.find_spec("skimage")
    fix = "install Debian's package python3-skimage (or: pip install scikit-image)"
    if spec is None or spec.origin is None:
        raise MaapError(
            f"the demo set needs the photographs of scikit-image, which is missing: {fix}"
        )
    folder = Path(spec.origin).parent / "data"
    result = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            raise MaapError(f"scikit-image's photograph {path} is missing: {fix}")
        if file_sha256(path) != PHOTOGRAPHS.get(name):
            progress.say(f"warning: {path} is not the file known here; the demo set will differ")
        result[name] = path
    return result


def cutouts(cache: Path, package: Optional[Path] = None, kind: Cutouts = BIRDS) -> Path:
    """The folder with the cut-outs (*.png) and ``copyright``; fetched when the cache lacks it.

    ``package`` is a .deb of tuxpaint-stamps-default to use instead of a download. Raises MaapError
    when the package cannot be fetched or is not the one known for its version."""
    folder = Path(cache) / kind.folder
    if folder.is_dir():
        return folder
    work = partial_path(folder)
    remove_partial(folder)
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise MaapError(f"cannot write to the cache folder {cache}: {error.strerror}") from None
    try:
        need_space(work, _SPACE, "the demo set's pictures")
        archive = Path(package) if package else _download(work)
        check_package(archive)
        _take_out(archive, work / kind.folder, kind)
        (work / kind.folder).rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def check_package(archive: Path) -> None:
    """Compare a package with what is known of its version; an unknown version gets a warning."""
    version = archive.name.split("_")[1] if archive.name.count("_") >= 2 else "?"
    if not archive.is_file():
        raise MaapError(f"{archive} does not exist: give the file of package {PACKAGE}")
    if version not in PACKAGES:
        progress.say(
            f"warning: {archive.name} is a version not known here (known: {', '.join(PACKAGES)}); "
            "its pictures may differ"
        )
        return
    size, digest = PACKAGES[version]
    if archive.stat().st_size != size or file_sha256(archive) != digest:
        raise MaapError(
            f"{archive} is damaged ({archive.stat().st_size} bytes; {size} with another SHA-256 "
            "expected): download it again"
        )


def _take_out(archive: Path, into: Path, kind: Cutouts) -> None:
    into.mkdir()
    progress.say(f"take the {kind.what} pictures out of {archive.name} ...")
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise MaapError(
            f"cannot run dpkg-deb ({error.strerror}): install Debian's package dpkg"
        ) from None
    try:
        with process, tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            for member in tar:
                match = kind.pattern.match(member.name)
                copyright_file = member.name.endswith(_COPYRIGHT)
                if member.isfile() and (match or copyright_file):
                    path = into / (match.group(1) if match else "copyright")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(tar.extractfile(member).read())
    except tarfile.TarError:
        raise MaapError(f"{archive} is not a whole Debian package: download it again") from None
    if process.returncode != 0 or not any(into.rglob("*.png")):
        raise MaapError(f"{archive} holds no {kind.what} pictures: is it the package {PACKAGE}?")


def _download(work: Path) -> Path:
    """Fetch the package into ``work`` with apt-get, from the machine's own package sources."""
    if shutil.which("apt-get") is None:
        raise MaapError(
            f"apt-get is not here: fetch Debian's package {PACKAGE} and give the .deb file"
        )
    log = _apt(["download", PACKAGE], work, f"download {PACKAGE} (MB)")
    found = list(work.glob("*.deb"))
    if not found:
        # no package lists (a container, often): fetch them into the cache, not into the system
        lists = [
            *("-o", f"Dir::State::Lists={work / 'lists'}"),
            *("-o", f"Dir::Cache={work / 'apt'}"),
        ]
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "apt" / "archives" / "partial").mkdir(parents=True)
        log += _apt([*lists, "update"], work, "fetch the package lists")
        log += _apt([*lists, "download", PACKAGE], work, f"download {PACKAGE} (MB)")
        found = list(work.glob("*.deb"))
    if not found:
        lines = [line for line in log.splitlines() if line.startswith(("E:", "W: Failed"))]
        errors = list(dict.fromkeys(lines))
        raise MaapError(
            f"apt-get could not download {PACKAGE} "
            f"({'; '.join(errors[:3]) or 'no reason given'}): check the "
            "network and /etc/apt/sources.list, or fetch the .deb elsewhere and give its path"
        )
    return found[0]


def _apt(arguments: list[str], work: Path, what: str) -> str:
    """Run apt-get in ``work``, showing the megabytes that arrive; returns what it printed."""
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", *arguments]
    expected = max(size for size, _ in PACKAGES.values()) / 1e6 if "download" in arguments else None
    process = subprocess.Popen(
        command,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive"),
    )
    text: list[bytes] = []
    reader = threading.Thread(target=lambda: text.append(process.stdout.read()), daemon=True)
    reader.start()
    before = _megabytes(work)
    with progress.track(what, expected) as bar:
        while reader.is_alive():
            reader.join(0.2)
            bar.advance(_megabytes(work) - before - bar.done)
    process.wait()
    return b"".join(text).decode("utf-8", "replace")


def _megabytes(folder: Path) -> float:
    """What the files below ``folder`` hold; files may come and go meanwhile."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(root) / name).stat().st_size
    return total / 1e6
