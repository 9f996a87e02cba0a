"""Makes one wheel for several Pythons of the plain one that pip built; a part of tools/wheel.

    wheel_pack.py PLAIN_DIR OUT_DIR PLATFORM 311 3.13 3.14

The libraries that the wheel's files need are put inside (auditwheel), with the licences of all of
them, read from the Debian packages that they come from.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

NOTE = """The libraries in maap_caffe.libs come from these Debian packages; each one's licence is
the file of its name. opencv was built from Debian's source package.

"""


def run(*command: object) -> str:
    return subprocess.run(
        [str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def tool(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def package_of(library: Path) -> str:
    """The Debian package that a library comes from."""
    if str(library).startswith("/opt/opencv/"):
        return "opencv"
    for path in (library, Path(str(library).removeprefix("/usr"))):  # as dpkg wrote it down
        found = subprocess.run(["dpkg", "-S", path], stdout=subprocess.PIPE, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    raise SystemExit(f"error: no Debian package has {library}")


def copyright_of(package: str) -> str:
    if package == "opencv":
        return Path("/opt/opencv/copyright").read_text(encoding="utf-8")
    return Path(f"/usr/share/doc/{package}/copyright").read_text(encoding="utf-8")


def needed(folder: Path) -> dict[str, Path]:
    """{file name: path} of the libraries outside of the folder that its ELF files need."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.read_bytes()[:4] == b"\x7fELF":
            for where in re.findall(r"=> (/\S+)", run("ldd", path)):
                library = Path(where).resolve()
                found[library.name] = library
    return found


def add_licences(unpacked: Path, libraries: dict[str, Path]) -> None:
    inside = {re.sub(r"-[0-9a-f]{8}(?=\.)", "", f.name) for f in unpacked.glob("*.libs/*")}
    folder = next(unpacked.glob("*.dist-info")) / "licenses" / "libraries"
    folder.mkdir(parents=True)
    lines = {}
    for name, path in sorted(libraries.items()):
        if name in inside:
            lines.setdefault(package_of(path), []).append(name)
    missing = inside - {name for names in lines.values() for name in names}
    if missing:
        raise SystemExit(f"error: no package found for {', '.join(sorted(missing))}")
    for package in lines:
        (folder / package).write_text(copyright_of(package), encoding="utf-8")
    listed = "".join(f"{package}: {', '.join(names)}\n" for package, names in lines.items())
    (folder / "README").write_text(NOTE + listed, encoding="utf-8")


def main(plain: Path, out: Path, platform: str, pythons: list[str]) -> None:
    tags = ".".join("cp" + version.replace(".", "") for version in pythons)
    (wheel,) = plain.glob("*.whl")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run(tool("wheel"), "unpack", "-d", work / "plain", wheel)
        libraries = needed(next((work / "plain").iterdir()))
        run(tool("wheel"), "tags", "--python-tag", tags, "--abi-tag", tags, "--remove", wheel)
        (wheel,) = plain.glob("*.whl")
        run(
            tool("auditwheel"), "repair", "--plat", platform, "--strip", "-w", work / "whole", wheel
        )
        run(tool("wheel"), "unpack", "-d", work / "unpacked", next((work / "whole").iterdir()))
        unpacked = next((work / "unpacked").iterdir())
        add_licences(unpacked, libraries)
        out.mkdir(parents=True, exist_ok=True)
        run(tool("wheel"), "pack", "-d", out, unpacked)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
