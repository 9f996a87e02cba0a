#!/usr/bin/env python3
"""Makes the image files of tests/golden/images again: one picture in every kind of file.

    ./maap python tests/golden/make_images.py

The picture has six blocks of 8 x 8 pixels, three in a row, each of one color or one gray value
(tests/cpp/engine/image_kinds.hpp has the same numbers), so JPEG keeps it within 3 of 255. Of the
files with an alpha channel the alpha differs from block to block. turned.jpg lies on its side, and
its Exif data say so.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

FOLDER = Path(__file__).resolve().parent / "images"
COLORS = [(200, 30, 40), (30, 180, 60), (50, 60, 220), (240, 230, 20), (10, 10, 10)]
COLORS += [(250, 250, 250)]  # red, green, blue
GRAYS = [15, 60, 105, 150, 195, 240]
ALPHAS = [255, 0, 128, 200, 1, 254]
JPEG = {"quality": 95, "subsampling": 0}
ORIENTATION = 0x112  # the Exif tag; 6: turn by 90 degrees clockwise


def blocks(values: list) -> np.ndarray:
    """(16, 24) or (16, 24, C) uint8 from one value or color per block."""
    six = np.array(values, np.uint8).reshape(2, 3, -1).squeeze(-1 if np.ndim(values) == 1 else ())
    return six.repeat(8, axis=0).repeat(8, axis=1)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    color, gray, alpha = blocks(COLORS), blocks(GRAYS), blocks(ALPHAS)
    rgb = Image.fromarray(color)
    for name in ("color.png", "color.bmp", "color.tif"):
        rgb.save(FOLDER / name)
    rgb.save(FOLDER / "color.webp", lossless=True)
    rgb.save(FOLDER / "color.jpg", **JPEG)
    Image.fromarray(gray).save(FOLDER / "gray.png")
    Image.fromarray(gray).save(FOLDER / "gray.jpg", **JPEG)
    Image.fromarray(np.dstack([color, alpha])).save(FOLDER / "alpha.png")
    Image.fromarray(np.dstack([gray, alpha]), "LA").save(FOLDER / "gray_alpha.png")
    palette = rgb.quantize(len(COLORS))
    palette.save(FOLDER / "palette.png")
    palette.save(FOLDER / "palette_alpha.png", transparency=2)
    palette.save(FOLDER / "palette.bmp")
    bits = Image.fromarray(gray).convert("1", dither=Image.Dither.NONE)
    bits.save(FOLDER / "bits.png")
    rgb.convert("CMYK").save(FOLDER / "cmyk.jpg", **JPEG)
    wide = np.dstack([color[..., ::-1], alpha]).astype(np.uint16) * 257
    cv2.imwrite(str(FOLDER / "color16.png"), wide[..., :3])
    cv2.imwrite(str(FOLDER / "alpha16.png"), wide)
    cv2.imwrite(str(FOLDER / "gray16.png"), gray.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(color)))
    turned.save(FOLDER / "turned.jpg", exif=exif, **JPEG)


if __name__ == "__main__":
    main()
