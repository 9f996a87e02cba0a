"""A miniature data set for the tests: coloured squares on noise, as class folders of PNGs."""

from pathlib import Path

import cv2
import numpy as np

_COLOURS = ((250, 60, 60), (60, 250, 60), (60, 60, 250), (240, 240, 60))


def make(root: Path, train: int = 12, test: int = 5, side: int = 64) -> Path:
    """Write ``train`` and ``test`` images of each of four classes below ``root``; returns it."""
    random = np.random.RandomState(0)
    for split, count in (("train", train), ("test", test)):
        for label, colour in enumerate(_COLOURS):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                image = random.randint(0, 120, (side, side, 3)).astype(np.uint8)
                x, y = random.randint(side // 8, side * 5 // 8, 2)
                cv2.rectangle(image, (x, y), (x + side // 4, y + side // 4), colour, -1)
                cv2.imwrite(str(folder / f"{number}.png"), image)
    return root
