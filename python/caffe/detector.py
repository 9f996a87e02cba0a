"""Classifies windows of an image, as in R-CNN (Girshick et al., CVPR 2014)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np

from . import io
from .classifier import make_transformer
from .proto.caffe_pb2 import TEST
from .pycaffe import Net
from .shapes import shape_text


class Detector(Net):
    """A net that classifies windows of images.

    context_pad: how many pixels of the net's input, on each side, show the window's surroundings;
    outside the image they are the mean. mean, input_scale, raw_scale, channel_swap: see
    io.Transformer.
    """

    def __init__(
        self,
        model_file: str | PathLike[str],
        pretrained_file: str | PathLike[str],
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = make_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(
        self, images_windows: Iterable[tuple[str, np.ndarray]]
    ) -> list[dict[str, Any]]:
        """The net's output for windows of image files.

        images_windows: pairs of a file and its windows, each ymin, xmin, ymax, xmax in pixels,
        ends not included. Returns a dict for each window: "window", "filename" and "prediction",
        the row of the first output.
        """
        places = []
        crops = []
        name = self.inputs[0]
        for filename, windows in images_windows:
            image = io.load_image(filename).astype(np.float32)
            for window in windows:
                places.append((filename, window))
                crops.append(self.transformer.preprocess(name, self.crop(image, window)))
        if not crops:
            return []
        predictions = self.forward_all(**{name: np.stack(crops)})[self.outputs[0]]
        return [
            {"window": window, "prediction": prediction.squeeze(), "filename": filename}
            for (filename, window), prediction in zip(places, predictions)
        ]

    def detect_selective_search(self, image_fnames: Sequence[str]) -> list[dict[str, Any]]:
        """detect_windows on the windows that Selective Search proposes.

        Needs the Python module selective_search_ijcv_with_python, which runs the search's own
        program in MATLAB; ImportError without it.
        """
        import selective_search_ijcv_with_python as selective_search

        names = [str(name) for name in image_fnames]
        windows = selective_search.get_windows(names, cmd="selective_search_rcnn")
        return self.detect_windows(zip(names, windows))

    def crop(self, im: np.ndarray, window: Sequence[float]) -> np.ndarray:
        """A window of an image, H x W x K, with context as context_pad says.

        window: ymin, xmin, ymax, xmax. Without context returns the window unchanged, ValueError if
        it is empty; with context an image of the size of the net's input.
        """
        window = np.asarray(window)
        if not self.context_pad:
            ymin, xmin, ymax, xmax = window.astype(int)
            part = im[ymin:ymax, xmin:xmax]
            if part.size == 0:
                raise ValueError(
                    f"the window {window.tolist()} (ymin, xmin, ymax, xmax) has no pixels in an "
                    f"image of {shape_text(im.shape[:2])}"
                )
            return part
        size = np.array(self.crop_dims)
        # The window must fill the input except the border, so it is enlarged about its centre.
        centre = (window[:2] + window[2:]) / 2.0
        half = (window[2:] - window[:2]) / 2.0 * size / (size - 2.0 * self.context_pad)
        low = np.round(centre - half).astype(int)
        high = np.maximum(np.round(centre + half).astype(int), low + 1)
        inside_low = np.clip(low, 0, np.array(im.shape[:2]) - 1)
        inside_high = np.clip(high, inside_low + 1, im.shape[:2])
        scale = size / (high - low)
        begin = np.clip(np.round((inside_low - low) * scale).astype(int), 0, size - 1)
        length = np.round((inside_high - inside_low) * scale).astype(int)
        end = np.clip(begin + length, begin + 1, size)
        result = np.ones((*self.crop_dims, im.shape[2]), dtype=np.float32) * self.crop_mean
        part = im[inside_low[0] : inside_high[0], inside_low[1] : inside_high[1]]
        result[begin[0] : end[0], begin[1] : end[1]] = io.resize_image(part, end - begin)
        return result

    @property
    def context_pad(self) -> int | None:
        """How many pixels of the net's input show context; setting it is configure_crop."""
        return self._context_pad

    @context_pad.setter
    def context_pad(self, pad: int | None) -> None:
        self.configure_crop(pad)

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how many pixels of the net's input show context, on each side; None or 0 for none.

        Raises ValueError if no pixel of the input would be left for the window.
        """
        name = self.inputs[0]
        self.crop_dims = tuple(self.blobs[name].shape[2:])
        if context_pad and 2 * context_pad >= min(self.crop_dims):
            raise ValueError(
                f"a context_pad of {context_pad} leaves nothing of {shape_text(self.crop_dims)}"
            )
        self._context_pad = context_pad
        if not context_pad:
            return
        # The mean in terms of an image before preprocessing: it becomes 0 in the input.
        mean = self.transformer.mean.get(name)
        if mean is None:
            self.crop_mean = np.zeros((*self.crop_dims, self.blobs[name].shape[1]), np.float32)
            return
        mean = np.broadcast_to(mean, (self.blobs[name].shape[1], *mean.shape[1:]))
        swap = self.transformer.channel_swap.get(name)
        if swap is not None:
            mean = mean[np.argsort(swap)]
        self.crop_mean = mean.transpose(1, 2, 0) / self.transformer.raw_scale.get(name, 1)
