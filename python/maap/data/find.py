"""Which data set does a ``--data`` value stand for?

    demo            the built-in demo set, made once and kept in the cache
    a data set      a folder with a manifest.json: used where it is
    anything else   a published set or class folders: imported once and kept in the cache

A built-in name wins over a file or folder of that name, as for networks; ``./demo`` is the folder.
"""

import dataclasses
import hashlib
import importlib
import os
from pathlib import Path

from maap.config.fields import TrainConfig
from maap.data.importer import Importer, importers, recognise
from maap.data.importing.tree import cannot_read, leftover
from maap.data.manifest import MANIFEST
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.images import pixels
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net
from maap.nets.transform import data_transform
from maap.util.files import default_cache, given_path, make_folder, one_at_a_time
from maap.util.progress import say
from maap.util.text import nearest

SEED = 1  # of a built-in set: one set for every run, so that runs can be compared


def find_data(data: str, size: int, policy: str = "warp", allow_partial: bool = False) -> Path:
    """The data-set folder for a ``--data`` value, made and kept in the cache when it is not there.

    ``size`` (pixels) and ``policy`` (``images.fit``) are those of a set that is made now;
    ``allow_partial``: it may be a part of a published set.
    Raises MaapError for an unknown name, with the nearest one, and for everything that making the
    set raises.
    """
    check_data_name(data)
    if data in _built_in():
        return _made(_built_in()[data], size)
    path = given_path(data)
    try:
        if (path / MANIFEST).is_file():
            return path.resolve()
        kind, source = recognise(path.resolve())
    except OSError as error:
        raise cannot_read(error.filename or path, error) from None
    return _imported(importers()[kind], source, size, policy, allow_partial)


def data_for(config: TrainConfig) -> tuple[TrainConfig, Dataset]:
    """A new run's data set, and its settings with the size that images are stored at.

    Raises MaapError as `find_data` does, and for an unknown net.
    """
    config = dataclasses.replace(config, image_size=stored_size(config))
    size = int(config.image_size or 0)
    folder = find_data(config.data, size, config.resize, config.allow_partial_data)
    return config, Dataset.open(folder)


def stored_size(config: TrainConfig) -> int:
    """Pixels a side of the images that a run stores: as set, else what its input asks for."""
    if config.image_size is not None:
        return config.image_size
    crop = config.crop_size
    if crop is None:
        source = read_net(find_net(config.net).train_val(config.laap))
        crop = data_transform(source, "TEST")["crop_size"]
    return pixels.stored_size(crop)


def check_data_name(data: str) -> None:
    """Raises MaapError when a ``--data`` value is neither built in nor a file or folder."""
    if data in _built_in() or given_path(data).exists():
        return
    built_in = list(_built_in())
    published = [importer.title for importer in importers().values() if importer.counted]
    raise MaapError(
        f"data {data!r}: no such file or folder; {nearest(data, built_in)} "
        f"({', '.join(built_in)} is built in; or give one of {', '.join(published)} as published, "
        "or a folder train/CLASS/*.jpg)"
    )


def _built_in() -> dict[str, Importer]:
    return {name: importer for name, importer in importers().items() if importer.built_in}


def _made(importer: Importer, size: int) -> Path:
    """A built-in set in the cache, named after the code that makes it."""
    code = hashlib.sha256()
    for name in importer.code:
        code.update(Path(str(importlib.import_module(name).__file__)).read_bytes())
    folder = _cache() / f"{importer.name}-{size}-{code.hexdigest()[:8]}"
    if not (folder / MANIFEST).is_file():  # a cache that may only be read serves what it has
        with one_at_a_time(folder):
            if not (folder / MANIFEST).is_file():
                say(f"making {importer.title} in {folder} (once)")
                importer.make(folder, seed=SEED, size=size)
    return folder


def _imported(importer: Importer, source: Path, size: int, policy: str, partial: bool) -> Path:
    """A published set or class folders as a data set in the cache, named after its source."""
    stem = source.name.split(".")[0] or "data"
    how = "" if policy == "warp" else f"-{policy}"
    folder = _cache() / f"{stem}-{size}{how}-{_signature(source)}"
    more = dict(allow_partial=True) if partial and importer.counted else {}
    made = not (folder / MANIFEST).is_file()
    if made:  # a cache that may only be read serves what it has
        with one_at_a_time(folder):
            if not (folder / MANIFEST).is_file():
                say(f"importing {source} ({importer.name}) to {folder} (once)")
                importer.make(source, folder, size=size, policy=policy, **more)
    dataset = Dataset.open(folder)
    facts = dataset.manifest.get("source", {})
    if facts.get("partial") and not partial:
        raise MaapError(f"{source}: {dataset.note} Give --allow-partial-data to use it")
    if facts.get("leak") and not made:  # when it was made, it was said
        say(f"warning: {source}: {facts['leak']} The accuracy will be too high.")
    return folder


def _signature(source: Path) -> str:
    """Changes with every file's name, size and time of change, except of what other programs leave
    (macOS writes .DS_Store whenever a folder is looked at)."""
    digest = hashlib.sha256(os.fsencode(source))
    for path in _files(source):
        try:
            stat = path.stat()
        except OSError as error:
            raise cannot_read(path, error) from None
        line = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:12]


def _files(source: Path) -> list[Path]:
    """The files of a source, those behind links to folders too. Raises MaapError for what cannot be
    read."""
    if source.is_file():
        return [source]
    found: list[Path] = []
    seen: set[str] = set()

    def stop(error: OSError) -> None:
        raise cannot_read(error.filename, error)

    for root, folders, names in os.walk(source, onerror=stop, followlinks=True):
        if os.path.realpath(root) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(root))
        folders[:] = [name for name in folders if leftover(name) is None]
        paths = (Path(root) / name for name in names if leftover(name) is None)
        found += [path for path in paths if path.is_file()]
    return sorted(found)


def _cache() -> Path:
    """The cache's folder for data sets. Raises MaapError when it cannot be made."""
    folder = default_cache() / "data"
    if not folder.is_dir():
        make_folder(folder)
    return folder
