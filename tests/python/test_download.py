"""Downloads from mirrors that cut off, lie, are dead, or know no ranges."""

import errno
import hashlib
import subprocess
import sys

import numpy as np
import pytest
from file_server import dead_url, serving
from maap.errors import MaapError
from maap.weights import download as module
from maap.weights.download import download, partial_path, wrong_with
from waiting import wait_until

CONTENT = np.random.RandomState(3).bytes(1_000_000)
OTHER = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
HASHES = {name: hashlib.new(name, CONTENT).hexdigest() for name in ("md5", "sha1", "sha384")}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.0)


def get(tmp_path, *urls):
    return download(urls, tmp_path / "deep" / "file.bin", len(CONTENT), HASHES)


def whole(path):
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]
    return path.read_bytes() == CONTENT


@pytest.mark.parametrize("ranges, length", [(True, True), (False, True), (False, False)])
def test_a_file_arrives(tmp_path, capsys, ranges, length):
    with serving(CONTENT, ranges=ranges, length=length) as server:
        assert whole(get(tmp_path, server.url))
    assert server.asked == [None]
    assert "download file.bin (MB)" in capsys.readouterr().out


def test_a_connection_that_is_cut_goes_on_where_it_was(tmp_path):
    with serving(CONTENT, cut=[300_000, 200_000]) as server:
        assert whole(get(tmp_path, server.url))
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_killed_process_leaves_what_it_had(tmp_path):
    partial = partial_path(tmp_path / "deep" / "file.bin")
    code = (
        "import sys, pathlib, maap.weights.download as d;"
        f"d.download([sys.argv[1]], pathlib.Path(sys.argv[2]), {len(CONTENT)}, {HASHES})"
    )
    with serving(CONTENT, stall=300_000) as server:
        command = [sys.executable, "-c", code, server.url, tmp_path / "deep" / "file.bin"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: partial.exists() and partial.stat().st_size >= 300_000, process)
        finally:
            process.kill()
            process.wait()
    with serving(CONTENT) as server:
        assert whole(get(tmp_path, server.url))
    assert server.asked == ["bytes=300000-"]


def test_without_ranges_it_begins_anew(tmp_path):
    with serving(CONTENT, ranges=False, cut=[300_000]) as server:
        assert whole(get(tmp_path, server.url))
    assert server.asked == [None, "bytes=300000-"]


def test_a_later_call_goes_on_at_another_mirror(tmp_path):
    partial = partial_path(tmp_path / "deep" / "file.bin")
    said = pytest.raises(MaapError, match=r"0.4 MB are kept, the same command continues")
    with serving(CONTENT, cut=[400_000] + [0] * 30) as first, said:
        get(tmp_path, first.url)
    assert partial.read_bytes() == CONTENT[:400_000]
    with serving(CONTENT) as second:
        assert whole(get(tmp_path, second.url))
    assert second.asked == ["bytes=400000-"]


def test_a_mirror_that_never_ends_is_left(tmp_path):
    with serving(CONTENT, cut=[10] * 100) as slow, serving(CONTENT) as good:
        assert whole(get(tmp_path, slow.url, good.url))
    assert len(slow.asked) == module._TRIES


@pytest.mark.parametrize(
    "bad, words",
    [
        (dict(content=OTHER), "another file: (MD5|SHA)"),
        (dict(content=CONTENT[:-1]), "another file: 999,999 bytes, not 1,000,000"),
        (dict(content=CONTENT + b"x", length=False), "more than 1,000,000 bytes"),
        (dict(content=b"<html>moved</html>", mime="text/html", length=False), "a web page"),
        (dict(status=404), "HTTP status 404"),
        (None, "no answer .Connection refused"),
        ("ftp://127.0.0.1/file", "not an address that begins with http"),
        ("nonsense", "not an address that begins with http"),
    ],
    ids=["bytes", "short", "long", "html", "404", "dead", "ftp", "no url"],
)
def test_a_bad_first_mirror_is_left_for_the_next(tmp_path, bad, words):
    with serving(**(bad if isinstance(bad, dict) else {})) as first, serving(CONTENT) as second:
        url = first.url if isinstance(bad, dict) else (bad or dead_url())
        with pytest.raises(MaapError, match=words) as error:
            get(tmp_path, url)
        assert "\n" not in str(error.value) and "--from FILE" in str(error.value)
        assert whole(get(tmp_path, url, second.url))


def test_a_wrong_beginning_is_thrown_away(tmp_path):
    """What another mirror left is of another file: the same mirror gives it from the start."""
    target = tmp_path / "deep" / "file.bin"
    target.parent.mkdir()
    partial_path(target).write_bytes(bytes(1000))
    with serving(CONTENT) as server:
        assert whole(get(tmp_path, server.url))
    assert server.asked == ["bytes=1000-", None]


@pytest.mark.parametrize("left", [len(CONTENT), len(CONTENT) + 5])
def test_what_is_already_whole_or_too_long(tmp_path, left):
    target = tmp_path / "deep" / "file.bin"
    target.parent.mkdir()
    partial_path(target).write_bytes((CONTENT + bytes(5))[:left])
    with serving(CONTENT) as server:
        assert whole(get(tmp_path, server.url))
    assert len(server.asked) == (left > len(CONTENT))


def test_no_space(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda folder: 1000)
    with pytest.raises(MaapError, match="1.0 MB are needed, the disk has 0.0 MB free"):
        get(tmp_path, "http://127.0.0.1:9/")


def test_a_disk_that_becomes_full_is_not_the_mirrors_fault(tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def tell(self):
            return self.file.tell()

        def write(self, block):
            raise OSError(errno.ENOSPC, "No space left on device")

    opened = module._open
    monkeypatch.setattr(module, "_open", lambda *args: Full(opened(*args)))
    said = pytest.raises(MaapError, match="No space left on device.; make room")
    with serving(CONTENT) as server, said:
        get(tmp_path, server.url, server.url)
    assert len(server.asked) == 1


def test_what_is_wrong_with_a_file(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(CONTENT)
    assert wrong_with(path, len(CONTENT), HASHES) is None
    assert wrong_with(path, len(CONTENT), {**HASHES, "sha1": "0" * 40}).startswith("SHA1 ")
    path.write_bytes(OTHER)
    for name, digest in HASHES.items():
        assert wrong_with(path, len(OTHER), {name: digest}).startswith(name.upper())
