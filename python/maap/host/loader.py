"""The Caffe that runs the nets, with the MAAP layers loaded into it.

Everything that imports ``caffe`` goes through ``load``; the layers' library also serves arrays
without any net (``find_regions``).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from maap.errors import MaapError
from maap.host import ranks
from maap.host.types import CaffeNet
from maap.images import region_options
from maap.images.region_options import RegionOptions
from maap.util.text import times


class RegionRule(ctypes.Structure):
    """The layers' ``maap_region_rule``."""

    _fields_ = [
        ("threshold_at", ctypes.c_int),
        ("threshold", ctypes.c_int),
        ("fraction", ctypes.c_float),
        ("component", ctypes.c_int),
        ("connectivity", ctypes.c_int),
        ("padding", ctypes.c_float),
        ("border", ctypes.c_int),
    ]

    @classmethod
    def of(cls, options: RegionOptions) -> RegionRule:
        """The options with numbers for words."""
        return cls(
            region_options.THRESHOLD_AT.index(options.threshold_at),
            region_options.THRESHOLDS.index(options.threshold),
            options.threshold_fraction,
            region_options.COMPONENTS.index(options.component),
            options.connectivity,
            options.padding,
            options.border,
        )


@dataclass(frozen=True)
class Regions:
    """What ``find_regions`` found in N maps.

    Attributes:
        boxes: (N, 4) int: x1, y1, x2, y2 in pixels of the input, half-open.
        stats: (N, 5) float32: threshold, least and greatest value of the thresholded map, pixels of
            the component, 1 where the map was flat and the box is the whole image.
        maps: (N, H, W) float32, the maps upsampled to the input's size.
    """

    boxes: np.ndarray
    stats: np.ndarray
    maps: np.ndarray


def repo_root() -> Path:
    """The folder of the repository this package lies in."""
    return Path(__file__).resolve().parents[3]


def plugin_path() -> Path:
    """Where BVLC Caffe's layers' library is: ``$MAAP_PLUGIN``, else ``build/bvlc`` in the
    repository."""
    named = os.environ.get("MAAP_PLUGIN")
    return Path(named) if named else repo_root() / "build" / "bvlc" / "libmaap_layers.so"


@functools.cache
def load(host: str | None = None) -> ModuleType:
    """Imports pycaffe and makes sure that it has the MAAP layers.

    Args:
        host: ``"fork"`` or ``"bvlc"``: the Caffe that ``import caffe`` must find; None: either.

    Returns:
        The module ``caffe``, in CPU mode.

    Raises:
        MaapError: no pycaffe here, or another host's; the layers' library is missing or does not
            load.
    """
    try:
        import caffe
    except ImportError as error:
        raise MaapError(
            f"this Python ({sys.executable}) cannot import caffe: {error}; start through ./maap"
        ) from error
    found = name_of(caffe)
    if host not in (None, found):
        raise MaapError(
            f"the run is for the host '{host}' and this Python's caffe is the host '{found}': "
            f"start with ./maap --host {host}"
        )
    lib()
    return caffe


def name_of(caffe: ModuleType) -> str:
    """``"fork"`` for the engine of this repository, ``"bvlc"`` for any other Caffe."""
    return "fork" if hasattr(caffe, "load_layers") else "bvlc"


def keep_only(net: CaffeNet, blobs: Iterable[str] = ()) -> None:
    """Lets the net use again the memory of all blobs but its inputs, its outputs and these, if its
    Caffe can do that."""
    if hasattr(net, "keep_only"):
        net.keep_only(list(blobs))


@functools.cache
def lib() -> ctypes.CDLL:
    """The library that holds the MAAP layers, with its C functions declared: the engine itself, or
    for another Caffe ``libmaap_layers.so``, which this loads for the whole process.

    Raises:
        MaapError: the file is missing or does not load.
    """
    import caffe

    if name_of(caffe) == "fork":
        library = ctypes.CDLL("libcaffe.so")  # in the process already, and so found by its name
    else:
        library = _load_plugin(plugin_path())
    floats, number = ctypes.POINTER(ctypes.c_float), ctypes.c_int
    rule = ctypes.POINTER(RegionRule)
    library.maap_regions_by_rule_f32.argtypes = [floats, *[number] * 5, rule, *[floats] * 3]
    library.maap_enhance_f32.argtypes = [floats, *[number] * 4, floats, floats]
    library.maap_enhance_backward_f32.argtypes = [*[floats] * 3, *[number] * 4, floats]
    library.maap_last_error.restype = ctypes.c_char_p
    library.maap_set_threads.argtypes = [number]
    library.maap_set_threads.restype = None
    return library


def _load_plugin(path: Path) -> ctypes.CDLL:
    if not path.is_file():
        raise MaapError(f"the layers' library {path} is not there; './maap setup' builds it")
    # RTLD_GLOBAL: the layers enter the registry of the libcaffe that pycaffe uses.
    try:
        return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise MaapError(
            f"the layers' library {path} does not load: {error}; "
            "'./maap setup' builds it for this host"
        ) from error


def set_device(caffe: ModuleType, gpu: int | None) -> None:
    """Chooses the CPU (``gpu=None``) or a GPU by number; of several ranks on a machine, each takes
    the next one, or the only one that CUDA_VISIBLE_DEVICES lets it see.

    Raises:
        MaapError: a GPU was asked for and this Caffe was built without CUDA.
    """
    if gpu is None:
        caffe.set_mode_cpu()
        return
    if not has_gpu():
        raise MaapError(
            f"GPU {gpu} was asked for, but this Caffe was built without CUDA; leave --gpu out, "
            "or build with CUDA: MAAP_USE_CUDA=ON ./maap setup (docs/gpu.md)"
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    sees_one = bool(visible) and "," not in visible  # its own: srun --gpus-per-task=1
    caffe.set_device(gpu if sees_one else gpu + ranks.here().local_rank)
    caffe.set_mode_gpu()


@contextlib.contextmanager
def math_mode(caffe: ModuleType, name: str) -> Iterator[None]:
    """Nets that this thread makes in the context compute in a mode of `TrainConfig.math`. The
    engine raises CaffeError where a net is made for a device that does not have it."""
    if name_of(caffe) != "fork":  # which has float alone; `validate` refuses the others
        yield
        return
    before = caffe.math_mode()
    caffe.set_math_mode(name)
    try:
        yield
    finally:
        caffe.set_math_mode(before)


def has_gpu() -> bool:
    """Whether the loaded layers have GPU methods (and so the Caffe they were built for)."""
    return bool(lib().maap_has_gpu())


def set_threads(count: int) -> None:
    """Sets the number of threads the layers use. OpenBLAS reads its own at start-up."""
    lib().maap_set_threads(count)


def find_regions(
    maps: np.ndarray, size: tuple[int, int], options: RegionOptions = region_options.PAPERS
) -> Regions:
    """Finds the region each attention map points at, as the Elimination layer does.

    Args:
        maps: (N, h, w), any floating type; used as float32.
        size: (H, W) of the input.
        options: how; the paper's way by default.

    Raises:
        MaapError: wrong shape or setting; a map holds a NaN, an infinity or a value too large for
            float32 (the text names it).
    """
    given = np.asarray(maps)
    with np.errstate(over="ignore"):
        maps = np.ascontiguousarray(given, dtype=np.float32)
    if maps.ndim != 3 or maps.size == 0:
        raise MaapError(
            f"attention maps have the shape (N, h, w), not empty; got {times(maps.shape)}"
        )
    rule = RegionRule.of(options.check())
    for index in np.argwhere(np.isinf(maps) & np.isfinite(given))[:1]:
        raise MaapError(
            f"map {index[0]} has the value {given[tuple(index)]:g}, which float32 cannot hold: "
            "scale the map"
        )
    count, height, width = maps.shape
    boxes = np.empty((count, 4), np.float32)
    stats = np.empty((count, 5), np.float32)
    upsampled = np.empty((count, *size), np.float32)
    failed = lib().maap_regions_by_rule_f32(
        pointer(maps), count, height, width, *size, ctypes.byref(rule),
        pointer(boxes), pointer(stats), pointer(upsampled),
    )  # fmt: skip
    if failed:
        raise MaapError(lib().maap_last_error().decode())
    return Regions(boxes.astype(int), stats, upsampled)


def pointer(array: np.ndarray) -> ctypes.Array:
    """The address of a contiguous float32 array, for the functions of ``lib``."""
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
