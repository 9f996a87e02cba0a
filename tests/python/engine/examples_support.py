"""What tests of the examples share: scripts as modules, and plain shapes in place of birds."""

import importlib.util
import sys

import cv2
from maap.data.importing.demo_pictures import SPECIES


def load_script(path):
    """A script as a module of its own name and its folder's."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks for it
    spec.loader.exec_module(module)
    return module


def write_cut_outs(cache, shapes):
    """The demo set's cache with pictures (H, W, 4), BGRA, as the cut-outs of its first species: so
    that nothing is downloaded."""
    (cache / "birds").mkdir(parents=True)
    for name, shape in zip(SPECIES, shapes):
        cv2.imwrite(str(cache / "birds" / f"{name}.png"), shape)
    (cache / "birds" / "copyright").write_text("of made-up shapes\n")
