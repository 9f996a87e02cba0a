#!/usr/bin/env python3
"""Pictures of the documentation's front page and of a run's report, as a browser shows them:

    ./maap docs build && ./maap python tools/screenshots.py RUN

Writes docs/figures/site.jpg and docs/figures/report.jpg. Needs chromium on PATH (apt-get install
chromium).
"""

import functools
import http.server
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click
import cv2
import numpy as np

REPO = Path(__file__).resolve().parents[1]
LIMIT = 150_000  # bytes of a picture
SIZES = {"site": (1280, 900), "report": (1200, 1320)}  # of the browser's window, in pixels
WIDTH = 1000  # of a picture


@click.command(help=__doc__)
@click.argument("run")
@click.option("--runs-dir", default="runs", show_default=True)
def main(run: str, runs_dir: str) -> None:
    pages = {"site": REPO / "build/site/index.html", "report": Path(runs_dir) / run / "report.html"}
    for name, page in pages.items():
        if not page.is_file():
            sys.exit(f"error: {page} is not there")
        path = REPO / "docs/figures" / f"{name}.jpg"
        path.write_bytes(small_jpeg(shown(served(page.resolve()), *SIZES[name])))
        click.echo(f"{path}  {path.stat().st_size / 1000:.0f} kB")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


def served(page: Path) -> str:
    """The address of a page, whose folder is served until this program ends."""
    handler = functools.partial(Quiet, directory=str(page.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/{page.name}"


def shown(page: str, width: int, height: int) -> np.ndarray:
    """The top of a page in a window of that size, as an image WIDTH pixels wide."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("error: no chromium here; apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "page.png"
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--window-size={width},{height}", "--virtual-time-budget=3000"]
        command += [f"--user-data-dir={folder}/profile", f"--screenshot={picture}", page]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode or not picture.is_file():
            sys.exit(f"error: chromium made no picture of {page}: {done.stderr[-500:]}")
        image = cv2.imread(str(picture))
    return cv2.resize(image, (WIDTH, height * WIDTH // width), interpolation=cv2.INTER_AREA)


def small_jpeg(picture: np.ndarray) -> bytes:
    """The best JPEG of at most LIMIT bytes."""
    for quality in range(92, 20, -4):
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= LIMIT:
            return data
    sys.exit(f"error: the picture is larger than {LIMIT} bytes at any quality")


if __name__ == "__main__":
    main()
