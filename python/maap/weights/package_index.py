"""Where a file of a Python package can be fetched: from the package index that pip is set to.

A machine that reaches only a mirror of the package index has its address in pip's configuration
(`pip config list`): in PIP_INDEX_URL or a configuration file. A mirror lists the files of a package
on a page with a link to each (PEP 503). No package is installed, and nothing in it is run.
"""

import configparser
import http.client
import os
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Optional

from maap.util import progress

TIMEOUT = 30.0  # seconds without a byte
_MOST = 1 << 22  # bytes of a page
_OPTIONS = ("index-url", "extra-index-url")


def links(package: str, file: str) -> list[str]:
    """Addresses of ``file``, one of ``package``'s, at the indexes that pip is set to; none if it is
    set to none. An index that does not answer, or lacks the file, is left out; the log says so."""
    found = []
    for index in indexes():
        page = f"{index.rstrip('/')}/{package}/"
        try:
            request = urllib.request.Request(
                page, headers={"User-Agent": "maap-caffe", "Accept": "text/html"}
            )
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                text = response.read(_MOST).decode("utf-8", "replace")
                link = link_to(file, text, response.geturl())
        except (OSError, http.client.HTTPException, ValueError) as error:
            progress.say(f"{page}: {error}")
            continue
        if link is None:
            progress.say(f"{page}: does not have {file}")
        else:
            found.append(link)
    return found


def link_to(file: str, page: str, address: str) -> Optional[str]:
    """The address of ``file`` on the page of ``address``; None: it is not there."""
    reader = _Links()
    reader.feed(page)
    for link in reader.found:
        url = urllib.parse.urldefrag(urllib.parse.urljoin(address, link)).url
        parts = urllib.parse.urlsplit(url)
        name = urllib.parse.unquote(parts.path.rpartition("/")[2])
        if name == file and parts.scheme in ("http", "https"):
            return url
    return None


class _Links(HTMLParser):
    """Collects the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def indexes() -> list[str]:
    """The indexes that pip is set to, without those that need a login; empty: pip's own."""
    configured = dict(_configured())
    words = [word for option in _OPTIONS for word in configured.get(option, "").split()]
    found = []
    for word in words:
        parts = urllib.parse.urlsplit(word)
        if parts.scheme in ("http", "https") and "@" not in parts.netloc:
            found.append(word)
    return found


def _configured() -> Iterator[tuple[str, str]]:
    """pip's options by name, the one that counts last: files, then the environment."""
    for file in _files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip says what is wrong with it
        for section in ("global", "download"):
            if parser.has_section(section):
                yield from parser.items(section)
    for option in _OPTIONS:
        value = os.environ.get(f"PIP_{option.upper().replace('-', '_')}")
        if value is not None:
            yield option, value


def _files() -> list[Path]:
    """pip's configuration files, the one that counts last."""
    given = os.environ.get("PIP_CONFIG_FILE")
    if given == os.devnull:
        return []
    system = [
        Path(folder) / "pip" for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    ]
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "pip"
    folders = [*system, Path("/etc"), Path.home() / ".pip", user, Path(sys.prefix)]
    files = [folder / "pip.conf" for folder in folders]
    return files + ([Path(given)] if given else [])
