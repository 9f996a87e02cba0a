"""OpenCV 4's models: a net together with how its images are prepared and its outputs are read."""

from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from .blobs import blobFromImage
from .errors import error
from .net import Net, readNet


class Model:
    """A net and the preparation of its images, as ``cv2.dnn.Model``.

    Made of a `Net`, or of the files that `readNet` takes.
    """

    def __init__(self, model: Union[Net, str], config: str = "") -> None:
        self._net = model if isinstance(model, Net) else readNet(model, config)
        self._scale: Any = 1.0
        self._size: tuple[int, int] = (0, 0)
        self._mean: Any = ()
        self._swap_rb = self._crop = False
        self._outputs: tuple[str, ...] = ()

    def setInputParams(  # noqa: N802
        self,
        scale: Any = 1.0,
        size: Sequence[int] = (0, 0),
        mean: Any = (),
        swapRB: bool = False,  # noqa: N803
        crop: bool = False,
    ) -> None:
        """Set how an image becomes a blob; the arguments of `blobFromImage`."""
        self._scale, self._mean = scale, mean
        self._size = (int(size[0]), int(size[1]))
        self._swap_rb, self._crop = bool(swapRB), bool(crop)

    def setInputSize(self, width: Any, height: int = -1) -> "Model":  # noqa: N802
        """Set the blob's size: a pair, or width and height."""
        size = (width, height) if np.isscalar(width) else tuple(width)
        self._size = (int(size[0]), int(size[1]))
        return self

    def setInputMean(self, mean: Any) -> "Model":  # noqa: N802
        """Set the mean that is subtracted."""
        self._mean = mean
        return self

    def setInputScale(self, scale: Any) -> "Model":  # noqa: N802
        """Set what the values are multiplied by."""
        self._scale = scale
        return self

    def setInputCrop(self, crop: bool) -> "Model":  # noqa: N802
        """Choose whether the centre is cut out."""
        self._crop = bool(crop)
        return self

    def setInputSwapRB(self, swapRB: bool) -> "Model":  # noqa: N802, N803
        """Choose whether the first and the third channel change places."""
        self._swap_rb = bool(swapRB)
        return self

    def setOutputNames(self, outNames: Sequence[str]) -> "Model":  # noqa: N802, N803
        """Choose the layers that `predict` returns; the net's own outputs if not called."""
        self._outputs = tuple(outNames)
        return self

    def setPreferableBackend(self, backendId: int) -> "Model":  # noqa: N802, N803
        """See `Net.setPreferableBackend`."""
        self._net.setPreferableBackend(backendId)
        return self

    def setPreferableTarget(self, targetId: int) -> "Model":  # noqa: N802, N803
        """See `Net.setPreferableTarget`."""
        self._net.setPreferableTarget(targetId)
        return self

    def enableWinograd(self, useWinograd: bool) -> "Model":  # noqa: N802, N803
        """Nothing to choose: the engine takes the fastest algorithm."""
        return self

    def predict(self, frame: np.ndarray) -> tuple[np.ndarray, ...]:
        """The outputs of the net for an image, height x width x channels."""
        size = self._size if min(self._size) > 0 else np.shape(frame)[1::-1]
        blob = blobFromImage(frame, self._scale, size, self._mean, self._swap_rb, self._crop)
        self._net.setInput(blob)
        return self._net.forward(self._outputs or self._net.getUnconnectedOutLayersNames())


class ClassificationModel(Model):
    """A classifier, as ``cv2.dnn.ClassificationModel``."""

    _softmax = False

    def setEnableSoftmaxPostProcessing(self, enable: bool) -> "ClassificationModel":  # noqa: N802
        """Choose whether `classify` puts a softmax behind the net."""
        self._softmax = bool(enable)
        return self

    def getEnableSoftmaxPostProcessing(self) -> bool:  # noqa: N802
        """Whether `classify` puts a softmax behind the net."""
        return self._softmax

    def classify(self, frame: np.ndarray) -> tuple[int, float]:
        """(class, its score) of an image.

        Raises:
            caffe.dnn.error: the net has several outputs.
        """
        outputs = self.predict(frame)
        if len(outputs) != 1:
            raise error(f"a classifier has one output, this net has {len(outputs)}")
        scores = outputs[0].reshape(-1)
        if self._softmax:
            scores = np.exp(scores - scores.max())
            scores /= scores.sum()
        best = int(scores.argmax())
        return best, float(scores[best])


class SegmentationModel(Model):
    """A net that gives scores for each pixel, as ``cv2.dnn.SegmentationModel``."""

    def segment(self, frame: np.ndarray) -> np.ndarray:
        """The best class of each pixel, uint8, at the size of the output."""
        outputs = self.predict(frame)
        if len(outputs) != 1 or outputs[0].ndim != 4:
            raise error("a segmentation has one output of N x classes x height x width")
        return outputs[0][0].argmax(axis=0).astype(np.uint8)


class DetectionModel(Model):
    """A net that ends in DetectionOutput, as ``cv2.dnn.DetectionModel``."""

    _across = False

    def setNmsAcrossClasses(self, value: bool) -> "DetectionModel":  # noqa: N802
        """Kept for programs that call it; see `detect`."""
        self._across = bool(value)
        return self

    def getNmsAcrossClasses(self) -> bool:  # noqa: N802
        """What was set."""
        return self._across

    def detect(
        self,
        frame: np.ndarray,
        confThreshold: float = 0.5,  # noqa: N803
        nmsThreshold: float = 0.0,  # noqa: N803
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The objects of an image, best first: classes (int32), scores, boxes (x, y, w, h).

        nmsThreshold changes nothing, in OpenCV as well: DetectionOutput has suppressed already.

        Raises:
            caffe.dnn.error: no layer of the net is a DetectionOutput.
        """
        if not self._net.getLayersCount("DetectionOutput"):
            raise error("DetectionModel needs a net that ends in a DetectionOutput layer")
        rows = np.concatenate([out.reshape(-1, 7) for out in self.predict(frame)])
        rows = rows[rows[:, 2] >= np.float32(confThreshold)]
        rows = rows[np.argsort(-rows[:, 2], kind="stable")]
        corners = _corners(rows, frame.shape[1], frame.shape[0])
        return rows[:, 1].astype(np.int32), rows[:, 2], corners


def _corners(rows: np.ndarray, width: int, height: int) -> np.ndarray:
    """Boxes x, y, width, height in pixels of rows (image, class, score, x1, y1, x2, y2)."""
    pixels = rows[:, 3:].astype(np.int32)
    small = (pixels[:, 2:] - pixels[:, :2] + 1 <= 2).any(axis=1)  # they are shares of the image
    scaled = (rows[:, 3:] * np.float32([width, height, width, height])).astype(np.int32)
    pixels = np.where(small[:, np.newaxis], scaled, pixels)
    sizes = pixels[:, 2:] - pixels[:, :2] + 1
    limit = np.array([width, height], np.int32)
    start = np.clip(pixels[:, :2], 0, limit - 1)
    sizes = np.clip(sizes, 1, limit - start)
    return np.concatenate([start, sizes], axis=1).astype(np.int32).reshape(-1, 4)
