"""The pictures and the page of ``maap visualize``: what a trained net sees in images.

Called in the child process (`draw_images`).
"""

import dataclasses
import os
import re
import shlex
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from maap.attention import figure
from maap.attention.inside import Inside, Source
from maap.data.importing.tree import entries
from maap.errors import MaapError
from maap.images import pixels
from maap.images.pixels import SUFFIXES
from maap.report import html
from maap.runs.request import Request
from maap.runs.run import all_runs, run_at
from maap.runs.subject import Subject, of_run, resolve
from maap.util.files import cannot_write, folder_for, given_path, write_atomically
from maap.util.progress import say, track
from maap.util.text import nearest


def draw_images(
    paths: list[str],
    request: Request,
    out: Path,
    blobs: Optional[str] = None,
    baseline: Optional[str] = None,
) -> list[str]:
    """Draw every image into the folder ``out``; lines to print.

    blobs: names with commas between them, None = after each stage. baseline: a run or a weights
    file to compare with. Nothing is written when an image cannot be read or the net and the
    weights do not fit.
    """
    loaded, shown = _read(paths), []
    names = [name.strip() for name in blobs.split(",")] if blobs else None
    with tempfile.TemporaryDirectory() as work:
        subject = _subject(request, Path(work))
        source = source_of(subject)
        compared = _baseline(baseline, Path(request.runs_dir), source)
        inside = Inside(source, baseline=compared, blobs=names, gpu=request.gpu)
        with folder_for(out), track("looking at images", total=len(loaded)) as progress:
            for number, (path, image) in enumerate(zip(paths, loaded), start=1):
                drawn = figure.draw(inside.look(path, image), title="")
                stem = re.sub(r"[^\w.-]", "_", Path(path).stem)
                _write(out / f"{number:02d}_{stem}.png", pixels.to_png(drawn))
                name = os.fsencode(path).decode("utf-8", "replace")
                shown.append(html.Picture(pixels.to_jpeg(drawn, 88), name))
                progress.advance()
    page = html.page(
        "visualize.html", about=subject.title, weights=str(source.weights), images=shown
    )
    write_atomically(out / "index.html", page)
    pictures = "1 picture" if len(loaded) == 1 else f"{len(loaded)} pictures"
    return [subject.title, f"{pictures} and {out / 'index.html'}"]


@dataclass(frozen=True)
class _File:
    path: Path


def _read(paths: list[str]) -> list[np.ndarray]:
    """The images, (H,W,3) uint8 BGR each. Raises MaapError for a folder, with what to give."""
    for path in map(Path, paths):
        if path.is_dir():
            raise MaapError(f"{path} is a folder: give image files{_example(path)}")
    items = [_File(Path(path)) for path in paths]
    with ThreadPoolExecutor(2) as pool:
        return pixels.decode_watched(items, lambda item: pixels.read(item.path), pool, say)


def _example(folder: Path) -> str:
    """The files to give instead of a folder: those directly in it, or a class folder's."""
    near = [folder, *(path for path in entries(folder) if path.is_dir())]
    for place in near:
        endings = sorted(
            {path.suffix for path in entries(place) if path.suffix.lower() in SUFFIXES}
        )
        if endings:
            return f", such as {shlex.quote(str(place))}/*{endings[0]}"
    return "; there is none in it"


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise cannot_write(path, error) from None


# ---- the net and its weights --------------------------------------------------------------------


def _subject(request: Request, work: Path) -> Subject:
    """What the request names; without a run and weights, the run last worked on."""
    request.check(own_weights=True)
    if request.run is None and request.weights is None:
        known = all_runs(Path(request.runs_dir))
        if not known:
            raise MaapError(
                f"no runs in {request.runs_dir}; give --weights FILE, or train: maap train"
            )
        request = dataclasses.replace(request, run=str(known[0].folder))
    return resolve(request, work, with_data=False)


def source_of(subject: Subject) -> Source:
    """The subject as `attention.inside` takes it."""
    return Source(
        deploy=subject.deploy,
        weights=subject.weights,
        transform=subject.transform,
        stored=subject.stored,
        policy=subject.policy,
        rewrite=subject.attention,
    )


def _baseline(word: Optional[str], runs_dir: Path, source: Source) -> Optional[tuple[str, Source]]:
    """The run or the weights file that the maps are compared with."""
    if word is None:
        return None
    run, path = run_at(runs_dir, word), given_path(word)
    if run is not None:
        subject = of_run(run)
        return subject.title, source_of(subject)
    if path.is_file():
        return path.name, dataclasses.replace(source, weights=path)
    known = [other.name for other in all_runs(runs_dir)]
    raise MaapError(f"--baseline {word}: no such run and no such file; {nearest(word, known)}")


__all__ = ["draw_images", "source_of"]
