#!/usr/bin/env python3
"""Makes docs/figures/*.png and docs/pictures.md from a finished run, and docs/tables.md:

    ./maap python tools/figures.py RUN [--baseline RUN] [--tables "1 3 --nets alexnet"]

RUN rewrote its images (variant maap or haap). --tables is what `maap table` is given beside --out;
tables whose runs are finished are only written again. Without it docs/tables.md stays.
"""

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Optional

os.environ.setdefault("GLOG_minloglevel", "2")

import click
import numpy as np
from maap.attention import figure
from maap.attention.inside import Inside, Seen
from maap.errors import MaapError
from maap.host import loader
from maap.images import draw
from maap.images.a_star import PAPERS
from maap.measure.samples import Sample, read_samples
from maap.report.visualize import source_of
from maap.runs import feed
from maap.runs.evaluation import Evaluation, PhaseResult, RegionQuality, read_evaluation
from maap.runs.request import Request
from maap.runs.run import Run, find_run
from maap.runs.subject import of_run
from maap.util.files import make_folder, write_atomically

DOCS = Path(__file__).resolve().parents[1] / "docs"
LIMIT = 300_000  # bytes of a picture
SIDE = 148  # pixels of a tile


@click.command(help=__doc__)
@click.argument("run")
@click.option("--baseline", metavar="RUN", help="A run of the plain net. [default: same weights]")
@click.option("--runs-dir", default="runs", show_default=True)
@click.option("--tables", metavar="WORDS", help="Make docs/tables.md, too: words for maap table.")
@click.option("--out", default=str(DOCS), metavar="DIR", help="In place of docs/.")
def main(run: str, baseline: Optional[str], runs_dir: str, tables: Optional[str], out: str) -> None:
    folder = Path(out)
    try:
        words = [run, *(["--baseline", baseline] if baseline else [])]
        words += ["--tables", tables] if tables else []
        for path in make(run, baseline, Path(runs_dir), folder, shlex.join(words)):
            click.echo(f"{path}  {path.stat().st_size / 1000:.0f} kB")
    except MaapError as error:
        sys.exit(f"error: {error}")
    if tables:
        command = [sys.executable, "-m", "maap", "table", *shlex.split(tables)]
        command += ["--runs-dir", runs_dir, "--out", str(folder / "tables.md")]
        sys.exit(subprocess.run(command).returncode)


def make(
    name: str, baseline: Optional[str], runs_dir: Path, folder: Path, words: str
) -> list[Path]:
    """Writes the pictures and the page; their paths."""
    run = find_run(runs_dir, name)
    evaluation = read_evaluation(run.folder)
    if evaluation is None:
        raise MaapError(f"{run.folder}/evaluation.json is not there: the run is not finished")
    if not evaluation.regions:
        raise MaapError(f"run {name} has no regions; give one of the variant maap or haap")
    loader.load()
    source = source_of(of_run(run, Request(phase=1)))
    plain = None
    if baseline:
        plain = (baseline, source_of(of_run(find_run(runs_dir, baseline))))
    inside = Inside(source, baseline=plain)
    seen = _look(inside, run)
    make_folder(folder / "figures")
    made = []
    for stem, picture in (
        ("stages", _stages(seen)),
        ("attention", _attention(seen)),
        ("dstar", _d_stars(seen)),
    ):
        made.append(folder / "figures" / f"{stem}.png")
        made[-1].write_bytes(small_png(picture))
    page = folder / "pictures.md"
    write_atomically(page, _page(run, evaluation, words, plain is not None))
    return [*made, page]


_WORDS = {
    "best": "among the best regions",
    "worst": "among the worst",
    "spread": "picked without looking",
}


def _look(inside: Inside, run: Run) -> list[tuple[str, Seen]]:
    """(what it is, Seen) of two best, two evenly spaced and two worst test images of the run, of as
    many classes as there are."""
    samples = read_samples(run.folder / "samples")
    if not samples:
        raise MaapError(f"{run.folder}/samples/samples.json is not there: the run is not finished")
    split = feed.open_data(run.state()).split("test")
    index = {record.key: n for n, record in enumerate(split.records)}
    found = []
    for sample in _chosen(samples):
        record = split.records[index[sample.key]]
        image = draw.to_grey_levels(split.read(index[sample.key])[0], None)
        rated = "" if sample.iou is None else f"IoU {sample.iou:.2f}, "
        title = f"{sample.name}: {rated}{_WORDS[sample.group]}"
        found.append((title, inside.look(record.path, image, record.box)))
    return found


def _chosen(samples: list[Sample]) -> list[Sample]:
    """Two of each group, of other classes than those before them where there are such."""
    chosen: list[Sample] = []
    for group in ("best", "spread", "worst"):
        members = [sample for sample in samples if sample.group == group]
        for _ in range(min(2, len(members))):
            taken = {sample.name for sample in chosen}
            new = [sample for sample in members if sample.name not in taken]
            chosen.append((new or members)[0])
            members.remove(chosen[-1])
    return chosen


# ---- pictures -----------------------------------------------------------------------------------


def _stages(seen: list[tuple[str, Seen]]) -> np.ndarray:
    """Feature maps of a best image and one picked without looking, every row of both."""
    rows = []
    for title, one in (seen[0], seen[len(seen) // 2]):
        maps = figure.sections(one, SIDE)[: len(one.rows)]
        for (heading, _), (_, tiles) in zip(one.rows, maps):
            short = [figure.Tile(tile.image, tile.caption, _range(tile)) for tile in tiles]
            rows.append((f"{title.split(':')[0]}, {heading}".rstrip(", "), short))
    return figure.compose("", rows, figure.legend(seen[0][1])[:1], column=SIDE)


def _range(tile: figure.Tile) -> str:
    """A stage tile's range of values without what works there."""
    return tile.small.split(",")[0]


def _attention(seen: list[tuple[str, Seen]]) -> np.ndarray:
    """For each image region and true box, A and its binarisation, two images in a row."""
    rows = []
    for left in range(0, len(seen), 2):
        tiles, titles = [], []
        for title, one in seen[left : left + 2]:
            soft, _, mask, boxed = figure.sections(one, SIDE)[len(one.rows)][1]
            tiles += [boxed, soft, mask]
            titles.append(title)
        rows.append(("\t".join(titles), tiles))
    return figure.compose("", rows, figure.legend(seen[0][1]), column=SIDE)


def _d_stars(seen: list[tuple[str, Seen]]) -> np.ndarray:
    rows = []
    for title, one in (seen[0], seen[len(seen) // 2]):
        rows.append((title, figure.sections(one, SIDE)[-1][1][: len(PAPERS)]))
    return figure.compose("", rows, column=SIDE)


def small_png(image: np.ndarray) -> bytes:
    """A PNG of at most LIMIT bytes: of 256 dithered colours, or of as many as fit."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    for colours, dither in ((256, 3), (256, 0), (128, 0), (64, 0), (32, 0)):  # 3: Floyd-Steinberg
        buffer = io.BytesIO()
        palette = picture.quantize(colours)
        picture.quantize(palette=palette, dither=dither).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= LIMIT:
            return buffer.getvalue()
    raise MaapError(f"a picture has {buffer.tell()} bytes, more than {LIMIT}: make SIDE smaller")


# ---- the page -----------------------------------------------------------------------------------


def _page(run: Run, evaluation: Evaluation, words: str, other: bool) -> str:
    config, data = run.config(), evaluation.data
    first, last = evaluation.phases[0], evaluation.last
    start = f"from `{Path(config.weights).name}`" if config.weights else "from random weights"
    return PAGE.format(
        words=words,
        net=Path(config.net).name,
        variant=config.variant,
        seed=config.seed,
        start=start,
        iterations=" + ".join(str(phase.iterations) for phase in evaluation.phases),
        data=f"{data.name} ({data.train} training images, {len(data.classes)} classes)",
        accuracy=f"{first.top1:.1%} {first.title}, {last.top1:.1%} {last.title}",
        chance=f"{evaluation.chance:.1%}",
        note=data.note,
        baseline="the baseline run's net" if other else "the same weights, the layer left out",
        quality=_quality(evaluation.regions[0], last),
    )


def _quality(quality: RegionQuality, last: PhaseResult) -> str:
    """The figures of the regions as a table, and accuracy on images cut to them; "" without true
    boxes."""
    if not quality.n:
        return ""
    figures = {
        "region R": quality, "true box": quality.true_box, "whole image": quality.whole,
        "centred box of half the area": quality.centred_half,
    }  # fmt: skip
    lines = [f"Over the {quality.n} test images with a true box:", ""]
    lines += [
        "| | mean IoU with the true box | holds its centre | area kept |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {q.mean_iou:.3f} | {q.centre_hit:.1%} | {q.area_kept:.1%} |"
        for name, q in figures.items()
        if q
    ]
    cut = last.cropped
    if cut is not None:
        cuts = {
            "whole": cut.whole,
            "cut to the region": cut.region,
            "cut to the true box": cut.true_box,
        }
        shares = [f"{name} {found.top1:.1%}" for name, found in cuts.items() if found]
        lines += ["", f"Top-1 {last.title} on these images: {', '.join(shares)}."]
    return "\n" + "\n".join(lines) + "\n"


PAGE = """# What a trained net sees

`./maap visualize IMAGE...` makes such pictures of your own images, and every run's `report.html`
has them.

The net: {net}, `--variant {variant}`, seed {seed}, {start}, {iterations} iterations on
{data}; top-1 {accuracy} (chance {chance}). The pictures are of
test images and of the net after phase 1, the one that rewrote the training images.

{note}

## Average feature maps (the paper's figure 2)

The mean over the channels after each stage, after the ReLU and before pooling: without the
Enhancement layer ({baseline}) and with it. Each map is drawn on its
own scale; the numbers are its least and its greatest value.

![average feature maps](figures/stages.png)

*Made by `./maap python tools/figures.py {words}`.*

## From attention to region

A is the logistic function of the mean over the channels of the map that Elimination looks at,
upsampled. Otsu's threshold makes it black and white; R is the bounding box of the largest white
component. Two of the best regions, two test images picked without looking, two of the worst.

![attention, binarised map and region](figures/attention.png)

*Made by `./maap python tools/figures.py {words}`.*
{quality}
## The six modified images D*

What each of the paper's six definitions (`--a-star`) makes of an image. Five of them multiply the
image less its mean, so that what they take away becomes the mean colour.

![the six D*](figures/dstar.png)

*Made by `./maap python tools/figures.py {words}`.*
"""


if __name__ == "__main__":
    main()
