"""Which data set does a ``--data`` value stand for?

    demo            the built-in demo set, made once and kept in the cache
    a data set      a folder with a manifest.json: used where it is
    anything else   a published set or class folders: imported once and kept in the cache

A built-in name wins over a file or folder of that name, as for networks; ``./demo`` is the folder.
"""

import dataclasses
import hashlib
from pathlib import Path

from maap.config.fields import TrainConfig
from maap.data.importers import published
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.images import pixels
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net
from maap.nets.transform import data_transform
from maap.util.files import default_cache, one_at_a_time
from maap.util.progress import say
from maap.util.text import nearest

DEMO = "demo"
DEMO_SEED = 1  # of the demo images: one set for every run, so that runs can be compared


def find_data(data: str, size: int, policy: str = "warp") -> Path:
    """The data-set folder for a ``--data`` value, made and kept in the cache when it is not there.

    ``size`` (pixels) and ``policy`` (``images.fit``) are those of a set that is made now.
    Raises MaapError for an unknown name, with the nearest one, and for everything that making the
    set raises.
    """
    check_data_name(data)
    if data == DEMO:
        return _demo(size)
    path = Path(data).expanduser()
    if (path / "manifest.json").is_file():
        return path.resolve()
    return _imported(path.resolve(), size, policy)


def data_for(config: TrainConfig) -> tuple[TrainConfig, Dataset]:
    """A new run's data set, and its settings with the size that images are stored at.

    Raises MaapError as `find_data` does, and for an unknown net.
    """
    config = dataclasses.replace(config, image_size=stored_size(config))
    folder = find_data(config.data, int(config.image_size or 0), config.resize)
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
    if data != DEMO and not Path(data).expanduser().exists():
        raise MaapError(
            f"data {data!r}: no such file or folder; {nearest(data, [DEMO])} (demo is built in; "
            "or give CUB-200-2011, Stanford Cars, FGVC-Aircraft or Flowers-102 as published, or a "
            "folder train/CLASS/*.jpg)"
        )


def _demo(size: int) -> Path:
    from maap.data.importers import common, demo, demo_sources

    code = hashlib.sha256()
    for module in (demo, demo_sources, pixels, common):  # other code, other pictures
        code.update(Path(module.__file__).read_bytes())
    folder = _cache() / f"demo-{size}-{code.hexdigest()[:8]}"
    with one_at_a_time(folder):
        if not (folder / "manifest.json").is_file():
            say(f"making the demo data set in {folder} (once)")
            demo.make_demo(folder, seed=DEMO_SEED, size=size)
    return folder


def _imported(source: Path, size: int, policy: str) -> Path:
    """A published set or class folders as a data set in the cache, named after its source."""
    kind, source = published.recognise(source)
    stem = source.name.split(".")[0] or "data"
    how = "" if policy == "warp" else f"-{policy}"
    folder = _cache() / f"{stem}-{size}{how}-{_signature(source)}"
    with one_at_a_time(folder):
        if not (folder / "manifest.json").is_file():
            say(f"importing {source} ({kind}) to {folder} (once)")
            published.importer_of(kind)(source, folder, size=size, policy=policy)
    return folder


def _signature(source: Path) -> str:
    """Changes with every file's name, size and time of change."""
    digest = hashlib.sha256(str(source).encode())
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    for path in files:
        stat = path.stat()
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "replace"))
    return digest.hexdigest()[:12]


def _cache() -> Path:
    folder = default_cache() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
