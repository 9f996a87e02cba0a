"""Downloads that go on where they were cut, from several mirrors, checked before they count.

What has arrived lies beside the target under a name that begins with ``.partial-`` and stays there
when the connection or the process ends; the next call asks for the rest (HTTP's Range, RFC 9110
section 14), from whichever mirror answers. The file gets its name once its size and hashes are
right.
"""

import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from maap.errors import MaapError
from maap.util import progress
from maap.util.files import (
    cannot_write,
    free_bytes,
    megabytes,
    partial_path,
    sync_file,
    sync_folder,
)

TIMEOUT = 30.0  # seconds without a byte
PAUSE = 1.0  # seconds before a connection that was cut is made again
_BLOCK = 1 << 18
_TRIES = 20  # connections to one mirror, each of which brought bytes
_CUT = (OSError, http.client.HTTPException)


class _Mirror(Exception):
    """This mirror does not give the file; the text says why."""


def wrong_with(path: Path, size: Optional[int], hashes: Mapping[str, str]) -> Optional[str]:
    """What tells the file from the one with ``size`` bytes (None: not known) and those hashes
    (hashlib's names, in hexadecimal, or how they begin); None when it is that one."""
    found = path.stat().st_size
    if size is not None and found != size:
        return f"{found:,} bytes, not {size:,}"
    digests = {name: hashlib.new(name) for name in hashes}
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            for digest in digests.values():
                digest.update(block)
    for name, digest in digests.items():
        if not digest.hexdigest().startswith(hashes[name].lower()):
            return f"{name.upper()} {digest.hexdigest()}, not {hashes[name]}"
    return None


def download(urls: Sequence[str], target: Path, size: int, hashes: Mapping[str, str]) -> Path:
    """The file of ``size`` bytes with these ``hashes`` at ``target``, from the first of ``urls``
    (http, https) that gives it; a mirror that is dead, cuts off or serves something else is left
    for the next. Returns ``target``.

    Raises MaapError in one line that says what each mirror answered, and when the disk is full;
    bytes that may be right are kept for the next call."""
    partial = partial_path(target)
    reasons: list[str] = []
    if _length(partial) > size:
        partial.unlink()
    _need_space(target, size - _length(partial))
    with progress.track(f"download {target.name} (MB)", size / 1e6) as bar:
        bar.already(_length(partial) / 1e6)
        for url in urls:
            wrong = _from_mirror(url, partial, size, hashes, bar)
            if wrong is None:
                sync_file(partial)
                partial.replace(target)
                sync_folder(target.parent)
                return target
            reasons.append(f"{urllib.parse.urlsplit(url).netloc or url}: {wrong}")
            progress.say(f"{url}: {wrong}")
        raise MaapError(_failure(target.name, reasons, _length(partial)))


def length_at(urls: Sequence[str], name: str) -> int:
    """How long the file is, as the first of ``urls`` says that answers. Raises MaapError if none
    does."""
    reasons = []
    for url in urls:
        request = urllib.request.Request(
            url, headers={"User-Agent": "maap-caffe", "Accept-Encoding": "identity"}, method="HEAD"
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                length = response.headers.get("Content-Length", "")
            if length.isdigit() and int(length) > 0:
                return int(length)
            reasons.append(f"{urllib.parse.urlsplit(url).netloc}: does not say how long it is")
        except (*_CUT, ValueError) as error:
            reasons.append(f"{urllib.parse.urlsplit(url).netloc or url}: {_reason(error)}")
    raise MaapError(_failure(name, reasons, 0))


def _failure(name: str, reasons: list[str], kept: int) -> str:
    on = f"; {megabytes(kept)} are kept, the same command continues from there" if kept else ""
    return (
        f"{name} could not be downloaded ({'; '.join(reasons) or 'no address is known'}){on}; try "
        "later, or give another address or a copy of the file: maap weights fetch NAME --url URL, "
        "or --from FILE"
    )


def _from_mirror(
    url: str, partial: Path, size: int, hashes: Mapping[str, str], bar: Any
) -> Optional[str]:
    """Bring ``partial`` to the right content from one mirror; why not, or None."""
    for _ in range(_TRIES):
        begin = _length(partial)
        try:
            if begin < size:
                _get(url, partial, size, bar)
        except _Mirror as error:
            return str(error)
        except _CUT as error:
            if _length(partial) == begin:
                return _reason(error)
            time.sleep(PAUSE)
            continue
        wrong = wrong_with(partial, size, hashes)
        if wrong is None:
            return None
        partial.unlink()
        bar.advance(-bar.done)
        if begin == 0:
            return f"another file: {wrong}"
        progress.say(f"{partial.name}: {wrong}: starting again")
    return f"was cut off {_TRIES} times"


def _get(url: str, partial: Path, size: int, bar: Any) -> None:
    """One connection: append to ``partial`` what it lacks. OSError when the mirror cuts it off."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise _Mirror("not an address that begins with http:// or https://")
    begin = _length(partial)
    request = urllib.request.Request(url, headers={"User-Agent": "maap-caffe"})
    if begin:
        request.add_header("Range", f"bytes={begin}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and begin:  # its file ends before what is here begins
            raise _Mirror("another file: shorter than what is here already") from None
        raise _Mirror(f"HTTP status {error.code} ({error.reason})") from None
    with response:
        start = _check_answer(response, begin, size)
        with _open(partial, start) as file:
            bar.advance(start / 1e6 - bar.done)
            while True:
                block = response.read1(_BLOCK)  # what has arrived: all of it is kept
                if not block:
                    break
                if file.tell() + len(block) > size:
                    raise _Mirror(f"another file: more than {size:,} bytes")
                _write(file, block, partial)
                bar.advance(len(block) / 1e6)
    if _length(partial) < size:
        raise ConnectionError(f"cut off after {megabytes(_length(partial))}")


def _check_answer(response: Any, begin: int, size: int) -> int:
    """Where the answer's bytes belong in the file. Raises _Mirror when they are of another file."""
    whole: Optional[str]
    if response.status == 206:
        found = re.match(r"bytes (\d+)-\d+/(\d+|\*)$", response.headers.get("Content-Range", ""))
        if not found or int(found.group(1)) != begin:
            raise _Mirror("answered with another part of the file than was asked for")
        start, whole = begin, found.group(2)
    else:
        start, whole = 0, response.headers.get("Content-Length")
    if whole is not None and whole.isdigit() and int(whole) != size:
        raise _Mirror(f"another file: {int(whole):,} bytes, not {size:,}")
    if response.headers.get_content_type() == "text/html":
        raise _Mirror("a web page in place of the file")
    return start


def _open(partial: Path, start: int) -> Any:
    try:
        file = partial.open("r+b" if start else "wb", buffering=0)
    except OSError as error:
        raise cannot_write(partial, error) from None
    file.seek(start)
    return file


def _write(file: Any, block: bytes, partial: Path) -> None:
    try:
        file.write(block)
    except OSError as error:
        raise MaapError(
            f"{partial}: cannot be written ({error.strerror}); make room, then the same command "
            "continues from there"
        ) from None


def _length(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _need_space(target: Path, needed: int) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(target.parent, os.W_OK)
    except OSError as error:
        raise cannot_write(target, error) from None
    if not writable:
        raise MaapError(f"{target.parent}: no permission to write there; set XDG_CACHE_HOME")
    free = free_bytes(target.parent)
    if free < needed:
        raise MaapError(
            f"{target}: {megabytes(needed)} are needed, the disk has {megabytes(free)} free; make "
            "room there or set XDG_CACHE_HOME to another folder"
        )


def _reason(error: BaseException) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return f"no answer ({text})"
