"""A `Seen` image as one picture: stages, attention, binarised map, region and each D*, labelled.

Pictures are (H,W,3) uint8 BGR arrays; `pixels.to_png` and `pixels.to_jpeg` make files of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from maap.attention.inside import Attention, Seen, StageMap
from maap.images import boxes
from maap.images import draw as pictures
from maap.images.a_star import find_a_star
from maap.images.region_options import RegionOptions

TILE = 176  # pixels of a tile's longer side
_GAP, _CAPTION, _HEADING, _MARGIN, _LINE = 10, 34, 34, 16, 18  # pixels

_SCALE = 90  # pixels of the colour scale in the legend
_LEGEND = ("weak to strong, each map on its own scale (the numbers)  ", "#5d6678")
_REGION = ("■ region R, which the network found  ", "#c98510")
_TRUE_BOX = ("■ true box  ", "#3f9e4d")
_MASK = "Binarised: white is the {component} component, grey the other pixels above", "#5d6678"


@dataclass(frozen=True)
class Tile:
    """A small picture with two lines over it."""

    image: np.ndarray
    caption: str
    small: str = ""


def sections(seen: Seen, side: int = TILE) -> list[tuple[str, list[Tile]]]:
    """The rows of a picture: heading and tiles, whose longer side has ``side`` pixels."""
    height, width = tile_size(seen.image.shape[:2], side)
    image = Tile(cv2.resize(seen.image, (width, height), interpolation=cv2.INTER_AREA), "image")
    rows = []
    for heading, maps in seen.rows:
        title = "Average feature map after each stage" + (f": {heading}" if heading else "")
        rows.append((title, [image, *(_stage_tile(one, height, width) for one in maps)]))
    if seen.attention is not None:
        rows += _attention_rows(seen, seen.attention, height, width)
    return rows


def tile_size(shape: tuple[int, ...], side: int = TILE) -> tuple[int, int]:
    """(height, width) of the tiles of an image of that size."""
    scale = side / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _stage_tile(one: StageMap, height: int, width: int) -> Tile:
    h, w = one.map.shape
    about = one.note or f"{one.channels} channels"
    return Tile(
        pictures.heat(one.map, height, width),
        f"{one.blob}  {h}×{w}",
        f"{_short(one.map.min())} to {_short(one.map.max())}, {about}",
    )


def _attention_rows(
    seen: Seen, found: Attention, height: int, width: int
) -> list[tuple[str, list[Tile]]]:
    boxed = _small(seen.image, height, width)
    for box, colour in ((seen.box, pictures.BOX_COLOUR), (found.region, pictures.REGION_COLOUR)):
        if box is not None:
            box = boxes.scale_box(box, seen.image.shape[:2], (height, width))
        boxed = pictures.draw_box(boxed, box, colour)
    x1, y1, x2, y2 = found.region
    kept = (x2 - x1) * (y2 - y1) / (seen.image.shape[0] * seen.image.shape[1])
    region = "flat: the whole image" if found.fallback else f"keeps {kept:.0%}"
    levels = np.array([24, 140, 255], np.uint8)[found.mask]
    mask = cv2.resize(levels, (width, height), interpolation=cv2.INTER_NEAREST)
    low, high = _short(found.map.min()), _short(found.map.max())
    tiles = [
        Tile(pictures.heat(found.map, height, width), "attention A", f"{low} to {high}"),
        Tile(_small(pictures.overlay(seen.image, found.map), height, width), "A over the image"),
        Tile(
            cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR),
            "binarised A",
            f"above {_short(found.threshold)} ({_threshold(found.options)})",
        ),
        Tile(boxed, "region R", region),
    ]
    changed = [
        Tile(_small(image, height, width), name, find_a_star(name).formula)
        for name, image in found.d_stars.items()
    ]
    title = "High-level attention: what Elimination finds"
    return [
        (f"{title} in {found.source}" if found.source else title, tiles),
        ("The modified images D*", changed),
    ]


def _threshold(options: RegionOptions) -> str:
    if options.threshold == "fraction":
        return f"{options.threshold_fraction:g} of the range"
    return {"otsu": "Otsu", "mean": "the mean"}[options.threshold]


def _small(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _short(value: float) -> str:
    return f"{float(value):.2g}" if abs(value) < 100 else f"{float(value):.0f}"


# ---- drawing ------------------------------------------------------------------------------------


def draw(
    seen: Seen, title: Optional[str] = None, only: Optional[Sequence[int]] = None
) -> np.ndarray:
    """The picture of an image. ``only``: which of `sections`' rows, all by default."""
    rows = sections(seen)
    rows = rows if only is None else [rows[n] for n in only]
    return compose(seen.name if title is None else title, rows, legend(seen))


def legend(seen: Seen) -> list[tuple[str, str]]:
    """What `compose` writes under the rows of an image."""
    if seen.attention is None:
        return [_LEGEND]
    text, colour = _MASK
    mask = (text.format(component=seen.attention.options.component), colour)
    return [_LEGEND, _REGION, *([_TRUE_BOX] if seen.box is not None else []), mask]


def compose(
    title: str,
    rows: Sequence[tuple[str, Sequence[Tile]]],
    notes: Sequence[tuple[str, str]] = (),
    columns: int = 6,
    column: int = TILE - 16,
) -> np.ndarray:
    """Rows of tiles of one size on white, with a title and a legend of (text, colour) parts after
    the maps' colour scale. ``columns``: for how many tiles there is room at least; ``column``: how
    many pixels a caption has at least. A tab in a heading starts the next part of the row."""
    columns = max(columns, *(len(tiles) for _, tiles in rows))
    height, width = rows[0][1][0].image.shape[:2]
    column = max(width, column) + _GAP
    top = _MARGIN + (26 if title else 0)
    below = 2 * _LINE * len(notes) + _MARGIN  # cut off where it is not used
    total = top + len(rows) * (_HEADING + _CAPTION + height) + below
    sheet = _Sheet(2 * _MARGIN + columns * column - _GAP, total)
    if title:
        sheet.write(_MARGIN, _MARGIN + 9, title, fontsize=11, weight="bold", color="#1d2433")
    for heading, tiles in rows:
        parts = heading.split("\t")
        for n, part in enumerate(parts):
            x = _MARGIN + n * len(tiles) // len(parts) * column
            sheet.write(x, top + 21, part, fontsize=9, weight="bold", color="#2563a8")
        top += _HEADING
        for n, tile in enumerate(tiles):
            x = _MARGIN + n * column
            caption = sheet.write(x, top + 10, tile.caption, fontsize=8, color="#1d2433")
            small = sheet.write(x, top + 24, tile.small, fontsize=6.8, color="#5d6678")
            sheet.fit((caption, small), column - _GAP // 2)
            sheet.paste(x, top + _CAPTION - 4, tile.image)
        top += _CAPTION + height
    return sheet.picture(_write_notes(sheet, top, notes) if notes else top + _MARGIN - 4)


class _Sheet:
    """White paper of (width, height) pixels; y grows downward; y is a text's baseline."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self._figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)
        self._pasted: list[tuple[int, int, np.ndarray]] = []

    def write(self, x: float, y: float, text: str, **how: Any) -> Text:
        at = (x / self.width, 1 - y / self.height)
        plain = text.replace("$", r"\$")  # not mathematics
        return self._figure.text(*at, plain, ha="left", family="DejaVu Sans", **how)

    def extent(self, text: Text) -> float:
        """The width of what `write` wrote."""
        return text.get_window_extent(self._canvas.get_renderer()).width

    def fit(self, texts: Sequence[Text], width: float) -> None:
        """Smaller letters for those that are wider."""
        for text in texts:
            extent = self.extent(text)
            if extent > width:
                text.set_fontsize(text.get_fontsize() * width / extent)

    def move(self, text: Text, x: float, y: float) -> None:
        text.set_position((x / self.width, 1 - y / self.height))

    def paste(self, x: int, y: int, image: np.ndarray) -> None:
        self._pasted.append((x, y, image))

    def picture(self, height: int) -> np.ndarray:
        """The upper `height` pixels."""
        self._canvas.draw()
        picture = np.asarray(self._canvas.buffer_rgba())[:height, :, 2::-1].copy()
        for x, y, image in self._pasted:
            picture[y : y + image.shape[0], x : x + image.shape[1]] = image
        return picture


def _write_notes(sheet: _Sheet, top: int, notes: Sequence[tuple[str, str]]) -> int:
    """The colour scale and the notes after it, in as many lines as they need; where they end."""
    ramp = np.tile(np.linspace(0, 1, _SCALE, dtype=np.float32), (12, 1))
    sheet.paste(_MARGIN, top + 14, pictures.heat(ramp, *ramp.shape))
    x: float = _MARGIN + _SCALE + 8
    y = top + 24
    for text, colour in notes:
        drawn = sheet.write(x, y, text, fontsize=7.5, color=colour)
        width = sheet.extent(drawn)
        if x > _MARGIN and x + width > sheet.width - _MARGIN:
            x, y = _MARGIN, y + _LINE
            sheet.move(drawn, x, y)
        x += width + 6
    return y + 12
