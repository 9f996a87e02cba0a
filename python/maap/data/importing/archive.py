"""Taking the images and lists out of a published tar archive, and nothing else."""

import re
import shutil
import tarfile
from pathlib import Path

from maap.data.disk import disk_full_is_error, need_space
from maap.errors import MaapError
from maap.util import progress

ENDINGS = (".tgz", ".tar.gz", ".tar")


def is_archive(path: Path) -> bool:
    """Whether the name is that of a tar archive."""
    return path.name.lower().endswith(ENDINGS)


def unpack(archive: Path, into: Path, wanted: str, where: str) -> None:
    """Unpack the files whose whole path in the archive matches ``wanted`` (a regular expression),
    none outside ``into``.

    ``where`` says where to get a whole copy. Raises MaapError: no tar archive, an incomplete one,
    nothing wanted in it, no space."""
    pattern = re.compile(wanted)
    into.mkdir(parents=True, exist_ok=True)
    need_space(into, int(1.1 * archive.stat().st_size), f"unpacking {archive}")
    count = 0
    try:
        with tarfile.open(archive) as tar, progress.track(f"unpack {archive.name}") as bar:
            for member in tar:
                named = pattern.match(member.name) and ".." not in member.name
                if not member.isfile() or not named or member.name.startswith("/"):
                    continue
                target = into / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with (
                    disk_full_is_error(into, str(target)),
                    target.open("wb") as stream,
                ):
                    shutil.copyfileobj(tar.extractfile(member), stream)
                count += 1
                bar.advance()
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise MaapError(
            f"{archive} is not a complete tar archive: download it again; {where}"
        ) from None
    if not count:
        raise MaapError(f"{archive} holds no images and lists; {where}")


def first_names(archive: Path, most: int = 50) -> list[str]:
    """The paths of the first members of an archive; none of what is no tar archive."""
    names: list[str] = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                names.append(member.name)
                if len(names) == most:
                    break
    except (tarfile.TarError, EOFError, OSError):
        pass
    return names
