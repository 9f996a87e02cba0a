"""What tests of the examples share: scripts as modules, and plain shapes in place of birds."""

import cv2
from loaded_scripts import load_script
from maap.data.importing.demo_pictures import SPECIES


def load_example(path):
    """A script as a module of its own name and its folder's."""
    return load_script(path, f"{path.parent.name}_{path.stem}")


def write_cut_outs(cache, shapes):
    """The demo set's cache with pictures (H, W, 4), BGRA, as the cut-outs of its first species: so
    that nothing is downloaded."""
    (cache / "birds").mkdir(parents=True)
    for name, shape in zip(SPECIES, shapes):
        cv2.imwrite(str(cache / "birds" / f"{name}.png"), shape)
    (cache / "birds" / "copyright").write_text("of made-up shapes\n")
