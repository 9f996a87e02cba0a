"""The pictures and the page of ``maap visualize``: what a trained net sees in images.

Called in the child process (`draw_images`).
"""

import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from maap.attention import figure
from maap.attention.inside import Inside, Source
from maap.errors import MaapError
from maap.images import pixels
from maap.report import html
from maap.util.files import cannot_write, make_folder, write_atomically
from maap.util.progress import say, track


def draw_images(paths: list[str], options: dict[str, Any]) -> list[str]:
    """Draw every image into ``options["out"]``; lines to print. Nothing is written when an image
    cannot be read or the net and the weights do not fit."""
    loaded, shown = _read(paths), []
    with tempfile.TemporaryDirectory() as work:
        source, about = _source(options, Path(work))
        blobs = [name.strip() for name in options["blobs"].split(",")] if options["blobs"] else None
        baseline = _baseline(options["baseline"], options, source, Path(work))
        inside = Inside(source, baseline=baseline, blobs=blobs, gpu=options["gpu"])
        out = Path(options["out"])
        make_folder(out)
        with track("looking at images", total=len(loaded)) as progress:
            for number, (path, image) in enumerate(zip(paths, loaded), start=1):
                drawn = figure.draw(inside.look(path, image), title="")
                stem = re.sub(r"[^\w.-]", "_", Path(path).stem)
                _write(out / f"{number:02d}_{stem}.png", pixels.to_png(drawn))
                name = os.fsencode(path).decode("utf-8", "replace")
                shown.append(html.Picture(pixels.to_jpeg(drawn, 88), name))
                progress.advance()
    page = html.page("visualize.html", about=about, weights=str(source.weights), images=shown)
    write_atomically(out / "index.html", page)
    return [about, f"{len(loaded)} pictures and {out / 'index.html'}"]


@dataclass(frozen=True)
class _File:
    path: Path


def _read(paths: list[str]) -> list[np.ndarray]:
    """The images, (H,W,3) uint8 BGR each."""
    items = [_File(Path(path)) for path in paths]
    with ThreadPoolExecutor(2) as pool:
        return pixels.decode_watched(items, lambda item: pixels.read(item.path), pool, say)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise cannot_write(path, error) from None


# ---- what is looked with ------------------------------------------------------------------------


def _source(options: dict[str, Any], work: Path) -> tuple[Any, str]:
    """The source that the options name, and how to call it."""
    if options["run"] is None and options["weights"] is not None:
        return _of_weights(options, work)
    if options["net"] is not None and options["run"] is None:
        raise MaapError(f"--net {options['net']} needs --weights FILE, its trained weights")
    if options["run"] is not None and (options["net"] or options["weights"]):
        raise MaapError("--run has a net and weights of its own; give either it or --weights FILE")
    from maap.runs.run import all_runs, find_run

    runs_dir = Path(options["runs_dir"])
    if options["run"] is not None:
        run = find_run(runs_dir, options["run"])
    else:
        known = all_runs(runs_dir)
        if not known:
            raise MaapError(f"no runs in {runs_dir}; give --weights FILE, or train: maap train")
        run = known[0]
    return of_run(run, options["phase"])


def of_run(run: Any, phase: Optional[int] = None) -> tuple[Any, str]:
    """A run's net with the weights after a phase (None: the last that is done), and its title.

    A run that rewrites nothing borrows the rewrite net of its net folder, if that is still there.
    Raises MaapError when there are no weights yet.
    """
    from maap.nets.folder import find_net
    from maap.runs import feed

    state, config = run.state(), run.config()
    ready = sorted(run.folder.glob("phase*/final.caffemodel"))
    if phase is not None:
        ready = [path for path in ready if path.parent.name == f"phase{phase}"]
    if not ready:
        which = "no weights" if phase is None else f"no weights of phase {phase}"
        raise MaapError(f"run {run.name} has {which}; go on: maap train --resume {run.name}")
    rewrite: Optional[Path] = run.folder / "rewrite.prototxt"
    if not rewrite.is_file():
        try:
            files = find_net(config.net)
            rewrite = files.rewrite(config.laap)
        except MaapError:
            rewrite = None
    size, policy = _stored(Path(state["data"]["folder"]), config)
    source = Source(
        deploy=run.folder / "deploy.prototxt",
        weights=ready[-1],
        transform=feed.transform(run, state, "TEST"),
        stored=size,
        policy=policy,
        rewrite=rewrite,
    )
    phase_name = ready[-1].parent.name.replace("phase", "phase ")
    return source, f"{run.name} after {phase_name}"


def _stored(folder: Path, config: Any) -> tuple[tuple[int, int], str]:
    """Size of a run's stored images and how images were brought to it; when the data set is gone,
    what the settings say."""
    from maap.data.store import Dataset
    from maap.images.pixels import POLICIES

    try:
        manifest = Dataset.open(folder).manifest
    except MaapError:
        return (config.image_size or 256,) * 2, "warp"
    policy = (manifest.get("source") or {}).get("policy", "warp")
    return tuple(manifest["size"]), policy if policy in POLICIES else "short_side"


def _of_weights(options: dict[str, Any], work: Path) -> tuple[Any, str]:
    from maap.config.fields import TrainConfig
    from maap.data.find import stored_size
    from maap.nets.folder import find_net
    from maap.nets.prototxt import read_net, write_text
    from maap.nets.resolve import resolve_rewrite
    from maap.nets.transform import data_transform
    from maap.runs import feed
    from maap.weights.published import find_weights

    net = options["net"] or TrainConfig().net
    config = TrainConfig(net=net, variant=options["variant"])
    files = find_net(net)
    weights = find_weights(options["weights"], files.name)
    how = data_transform(read_net(files.train_val(config.laap)), "TEST")
    rewrite: Optional[Path] = work / "rewrite.prototxt"
    try:
        write_text(resolve_rewrite(files, config.laap, 1), rewrite)
    except MaapError:
        rewrite = None
    size = max(stored_size(config), how["crop_size"])
    source = Source(
        deploy=files.deploy(config.laap),
        weights=weights,
        transform=feed.make_transform(dict(how, scale=options["input_scale"] or how["scale"])),
        stored=(size, size),
        rewrite=rewrite,
    )
    return source, f"{files.name} with {weights.name}"


def _baseline(
    word: Optional[str], options: dict[str, Any], source: Any, work: Path
) -> Optional[tuple[str, Any]]:
    """The run or the weights file that the maps are compared with."""
    import dataclasses

    from maap.runs.run import Run, all_runs
    from maap.util.text import nearest

    if word is None:
        return None
    run = Run(Path(options["runs_dir"]) / word)
    if run.exists:
        other, name = of_run(run)
        return name, other
    if Path(word).expanduser().is_file():
        other = dataclasses.replace(source, weights=Path(word).expanduser())
        return Path(word).name, other
    known = [other.name for other in all_runs(run.folder.parent)]
    raise MaapError(f"--baseline {word}: no such run and no such file; {nearest(word, known)}")


__all__ = ["draw_images", "of_run"]
