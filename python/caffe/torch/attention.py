"""MAAP's two attention layers (docs/design.md, section 4)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import torch
from google.protobuf import text_format
from torch.nn import functional as F

from ..proto import maap_pb2
from .layer import Layer, Result, Shape, layer

_PARAM = maap_pb2.EliminationParameter


@layer("Enhancement")
class Enhancement(Layer):
    """F' = (1 + A) F with A the logistic function of the mean over channels (paper, eq. 1-3); a
    second top has A (N, 1, h, w). The gradient goes through A."""

    def forward(self, x: torch.Tensor) -> Result:
        attention = torch.sigmoid(x.mean(1, keepdim=True))
        return ((1 + attention) * x, attention)[: max(1, len(self.param.top))]


@layer("Elimination")
class Elimination(Layer):
    """D* = A* D: bottoms F (N, C, h, w) and the images D (N, K, H, W).

    Tops: D*; R (N, 4) as x1, y1, x2, y2, half-open; A (N, 1, H, W); statistics (N, 5). A and R are
    constants: the gradient goes to D alone. The engine's own functions find R, on the CPU.
    """

    def build(self, shapes: Sequence[Shape]) -> None:
        text = self.param.python_param.param_str
        self.settings = text_format.Parse(text, _PARAM()) if text else _PARAM()
        self.settings.MergeFrom(self.param.elimination_param)

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        count, _, height, width = shapes[1]
        tops = [tuple(shapes[1]), (count, 4), (count, 1, height, width), (count, 5)]
        return tops[: len(self.param.top)]

    def forward(self, x: torch.Tensor, images: torch.Tensor) -> Result:
        attention = torch.sigmoid(x.detach().mean(1, keepdim=True))
        found = find_regions(attention, tuple(images.shape[2:]), self.settings)
        regions, stats, upsampled = (part.to(images) for part in found)
        made = self._product(images, regions, upsampled, stats)
        return (made, regions, upsampled, stats)[: max(1, len(self.param.top))]

    def _product(
        self,
        images: torch.Tensor,
        regions: torch.Tensor,
        attention: torch.Tensor,
        stats: torch.Tensor,
    ) -> torch.Tensor:
        kind = self.settings.a_star
        boxes = [[int(edge) for edge in row] for row in regions.tolist()]
        if kind == _PARAM.ROI:
            size = tuple(images.shape[2:])
            parts = [
                F.interpolate(image[None, :, y1:y2, x1:x2], size, mode="bilinear")
                for image, (x1, y1, x2, y2) in zip(images, boxes)
            ]
            return torch.cat(parts)
        if kind == _PARAM.DROP:
            return (attention <= stats[:, :1, None, None]).to(images) * images
        inside = torch.zeros_like(attention)
        for plane, (x1, y1, x2, y2) in zip(inside, boxes):
            plane[:, y1:y2, x1:x2] = 1
        factors = {
            _PARAM.UNCORRELATED: inside,
            _PARAM.ENHANCE: inside * (attention + 1),
            _PARAM.REDUCE: inside + (1 - inside) * attention,
            _PARAM.ALLSOFT: attention,
            _PARAM.ALLSOFT_PLUS_ONE: attention + 1,
        }
        return factors[kind] * images


class _Rule(ctypes.Structure):
    """maap_region_rule of the engine's C functions."""

    _fields_ = [
        ("threshold_at", ctypes.c_int),
        ("threshold", ctypes.c_int),
        ("fraction", ctypes.c_float),
        ("component", ctypes.c_int),
        ("connectivity", ctypes.c_int),
        ("padding", ctypes.c_float),
        ("border", ctypes.c_int),
    ]


def find_regions(
    attention: torch.Tensor, size: tuple[int, int], settings: maap_pb2.EliminationParameter
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Regions (N, 4), statistics (N, 5) and maps of the images' size (N, 1, H, W), on the CPU.

    attention: N x 1 x h x w in (0, 1). Raises ValueError for a map with a NaN or an infinity, and
    for settings that cannot be.
    """
    from .. import _caffe

    library = ctypes.CDLL(_caffe.__file__)  # and what it is linked with: libcaffe has the functions
    library.maap_last_error.restype = ctypes.c_char_p
    maps = np.ascontiguousarray(attention.detach().cpu().numpy(), np.float32)
    count, _, height, width = maps.shape
    results = [np.empty(shape, np.float32) for shape in ((count, 4), (count, 5), (count, 1, *size))]
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (maps, *results)]
    most = 2**31 - 1  # of an int, which the settings' whole numbers may exceed
    rule = _Rule(**{name: getattr(settings, name) for name, kind in _Rule._fields_})
    rule.connectivity, rule.border = min(settings.connectivity, most), min(settings.border, most)
    failed = library.maap_regions_by_rule_f32(
        pointers[0], count, height, width, *size, ctypes.byref(rule), *pointers[1:]
    )
    if failed:
        raise ValueError(library.maap_last_error().decode())
    return tuple(torch.from_numpy(array) for array in results)
