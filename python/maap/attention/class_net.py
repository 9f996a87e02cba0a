"""Maps made outside Caffe's layers as what the Elimination layer looks at: the scaled mean, CAM and
Grad-CAM.

The scaled mean is the paper's mean over the channels of F. The others are class activation maps:
they make one map for an image and a class k, the image's label where it is known (rewriting),
else the net's own first choice in the same pass (testing):

    CAM         sum over c of W[k,c] F_c, where the scores are W times the means of F's channels
                (plus a bias, which is left out); F_k without its bias where they are the means
    Grad-CAM    ReLU of the sum over c of a_c F_c, with a_c the mean over the places of the
                gradient of the score of k, before the softmax, for F_c

Zhou et al. 2016, "Learning deep features for discriminative localization", and Selvaraju et al.
2017, arXiv 1610.02391, equations 1 and 2. Where F is what the classifier averages, Grad-CAM is the
positive part of CAM up to a factor.

A map is divided by its greatest value and given to an Elimination layer as a map F of one channel.
So everything behind it is as for the mean over channels: A = sigmoid(map), upsampling, threshold,
component, box, D*. A is 0.73 (sigmoid(1)) at the place that speaks most for the class, in every
image, 0.5 where the map is 0, and less where CAM is negative; D* that weaken by A (REDUCE,
ALLSOFT) leave half of the pixels' values at the places that Grad-CAM calls irrelevant. A map
without a positive value is flat: R is the whole image, and it is counted as a fallback.
"""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Protocol, Union

import numpy as np

from maap.attention.region_net import (
    Found,
    NotFinite,
    RegionNet,
    need_weights,
    open_net,
)
from maap.errors import MaapError
from maap.host import loader
from maap.host.types import CaffeNet
from maap.nets import class_maps
from maap.nets.attention_source import ClassMap, class_map_of, scorer_of
from maap.nets.prototxt import read_net, write_text
from maap.util.schema import NetParameter

Labels = Optional[Sequence[int]]


class Maps(Protocol):
    """What makes class maps; `find` of ClassNet explains the arguments."""

    size: tuple[int, int]

    def of(self, images: np.ndarray, labels: Labels) -> np.ndarray: ...  # (N,h,w) float32


class ClassNet:
    """A resolved rewrite prototxt with a class map, with weights, loaded into the host's Caffe.

    `size` is the (height, width) of its input; `net` ends in the Elimination layer. The arguments
    are RegionNet's. Raises MaapError when a file is missing, the weights lack a layer, or the net
    says nothing of a class map.
    """

    def __init__(
        self,
        net: Path,
        weights: Path,
        batch: int,
        gpu: Optional[int] = None,
        attention: bool = True,
        keep: Sequence[str] = (),
    ):
        message = read_net(net)
        about = class_map_of(message)
        if about is None:
            raise MaapError(f"{net}: no class map in it; its attention is the mean of a layer")
        need_weights(Path(net), weights)
        self.path, self.batch = Path(net), batch
        kinds = {"scaled_mean": MeanMaps, "cam": AveragedMaps, "grad_cam": GradientMaps}
        with tempfile.TemporaryDirectory() as work:
            loading = _Loading(Path(work), weights, batch, gpu)
            self.maps: Maps = kinds[about.kind](message, about, loading)
            end = loading.written(_elimination_net(message, batch))
            self._end = RegionNet(end, None, batch, gpu, attention, keep)
        self._end.path = self.path  # for errors
        self.net, self.size, self._blob = self._end.net, self._end.size, about.blob

    def find(self, images: np.ndarray, labels: Labels = None) -> Found:
        """images: (N,3,H,W) float32 as the net expects them, N = batch. labels: their classes, at
        least one; the last stands for those that are missing. None: the classes that the net
        chooses. The result is RegionNet's. Raises NotFinite."""
        self._attend(images, labels)
        return self._end.find(images)

    def find_each(self, images: np.ndarray, labels: Labels = None) -> list[Found]:
        """As `find`; the result is that of RegionNet's `find_each`."""
        self._attend(images, labels)
        return self._end.find_each(images)

    def _attend(self, images: np.ndarray, labels: Labels) -> None:
        """Give the Elimination layers the maps of images."""
        maps = self.maps.of(images, labels)
        wrong = np.flatnonzero(~np.isfinite(maps).all(axis=(1, 2)))
        if len(wrong):
            raise NotFinite(int(wrong[0]), f"class map of image {wrong[0]} in the batch")
        self.net.blobs[self._blob].data[:, 0] = normalised(maps)


def open_finder(
    net: Path,
    weights: Path,
    batch: int,
    gpu: Optional[int] = None,
    attention: bool = True,
    keep: Sequence[str] = (),
) -> Union[RegionNet, ClassNet]:
    """RegionNet or ClassNet, as the resolved rewrite prototxt ``net`` asks for; their arguments.

    Raises MaapError as they do."""
    if class_map_of(read_net(net)) is None:
        return RegionNet(net, weights, batch, gpu, attention, keep)
    return ClassNet(net, weights, batch, gpu, attention, keep)


def normalised(maps: np.ndarray) -> np.ndarray:
    """Maps (N,h,w), each divided by its greatest value; 0 where it has none above 0."""
    greatest = maps.max(axis=(1, 2), keepdims=True)
    positive = greatest > 0
    return np.where(positive, maps / np.where(positive, greatest, 1), 0).astype(np.float32)


def chosen_classes(scores: np.ndarray, labels: Labels) -> np.ndarray:
    """(N) class numbers for scores (N,K): ``labels``, the last one repeated to N, or else the best.

    Raises MaapError for a label that is none of the K classes."""
    count, classes = scores.shape
    if labels is None:
        return scores.argmax(axis=1)
    given = np.asarray(labels, np.int64)
    if given.min() < 0 or given.max() >= classes:
        raise MaapError(
            f"an image of class {given.max() if given.max() >= classes else given.min()}, and the "
            f"net has {classes} classes, 0 to {classes - 1}; use the data set it was trained for"
        )
    return np.concatenate([given, np.repeat(given[-1:], count - len(given))])


# ---- the kinds of maps --------------------------------------------------------------------------


class _Loading:
    """Loads nets that are parts of one, whose weights are all in the file, by way of files in a
    folder."""

    def __init__(self, folder: Path, weights: Path, batch: int, gpu: Optional[int]):
        self.folder, self.weights, self.batch, self.gpu = folder, weights, batch, gpu
        self._count = 0

    def written(self, net: NetParameter) -> Path:
        self._count += 1
        path = self.folder / f"net{self._count}.prototxt"
        write_text(net, path)
        return path

    def of_images(self, net: NetParameter) -> CaffeNet:
        """A net whose input is `data`, for a batch of images."""
        return open_net(self.written(net), self.weights, self.gpu, self.batch)

    def trunk(self, net: NetParameter, about: ClassMap) -> tuple[class_maps.Cut, CaffeNet]:
        """A net cut behind the layer whose map is taken, and its first part."""
        cut = class_maps.cut_after(scorer_of(net).path, str(about.after))
        return cut, self.of_images(class_maps.net_of(cut.trunk, net.name))

    def of_blobs(self, net: NetParameter) -> CaffeNet:
        """A net of other inputs, with the shapes that it says."""
        return open_net(self.written(net), self.weights, self.gpu)


def _forward(net: CaffeNet, images: np.ndarray) -> None:
    net.blobs["data"].data[...] = images
    net.forward()


class MeanMaps:
    """The mean over the channels of F, whatever the class."""

    def __init__(self, net: NetParameter, about: ClassMap, loading: _Loading):
        self.cut, self.net = loading.trunk(net, about)
        self.size = tuple(self.net.blobs["data"].shape)[2:]
        loader.keep_only(self.net, [self.cut.features])

    def of(self, images: np.ndarray, labels: Labels) -> np.ndarray:
        """(N,h,w) float32."""
        _forward(self.net, images)
        features = self.net.blobs[self.cut.features].data
        return features.mean(axis=1, dtype=np.float64).astype(np.float32)


class AveragedMaps:
    """CAM: the classifier's weights of a class on the map that it averages."""

    def __init__(self, net: NetParameter, about: ClassMap, loading: _Loading):
        path, self._scores, _ = scorer_of(net)
        self.net = loading.of_images(class_maps.net_of(path, net.name))
        shapes = {name: tuple(blob.shape) for name, blob in self.net.blobs.items()}
        found = class_maps.averaged(path, self._scores, shapes)
        if found is None:
            raise MaapError(f"net {net.name}: its classifier averages no map")
        self._blob = found.blob
        self._weights: Optional[np.ndarray] = None  # (K,C)
        self._biases: Optional[np.ndarray] = None  # (K)
        if found.classifier is not None:
            self._weights = self._matrix(found, shapes[found.blob][1])
        elif found.bias is not None:
            self._biases = np.array(self.net.params[found.bias][1].data, np.float64).ravel()
        self.size = shapes["data"][2:]
        loader.keep_only(self.net, [self._blob, self._scores])

    def of(self, images: np.ndarray, labels: Labels) -> np.ndarray:
        """(N,h,w) float32."""
        _forward(self.net, images)
        scores = self.net.blobs[self._scores].data
        classes = chosen_classes(scores.reshape(len(scores), -1), labels)
        features = self.net.blobs[self._blob].data
        return np.stack([self._map(f, k) for f, k in zip(features, classes)]).astype(np.float32)

    def _matrix(self, found: class_maps.Averaged, channels: int) -> np.ndarray:
        weights = np.array(self.net.params[str(found.classifier)][0].data, np.float64)
        if found.transposed:
            return weights.reshape(channels, -1).T
        return weights.reshape(-1, channels)

    def _map(self, features: np.ndarray, number: int) -> np.ndarray:
        """Of one image: (h,w) float64 from (C,h,w)."""
        if self._weights is not None:
            return (self._weights[number][:, None, None] * features).sum(axis=0)
        return features[number] - (0.0 if self._biases is None else self._biases[number])


class GradientMaps:
    """Grad-CAM: the net in two parts, up to F and behind it; the second runs backward."""

    def __init__(self, net: NetParameter, about: ClassMap, loading: _Loading):
        self._scores = scorer_of(net).scores
        self.cut, self.trunk = loading.trunk(net, about)
        shapes = {name: tuple(blob.shape) for name, blob in self.trunk.blobs.items()}
        head = class_maps.head_net(self.cut, shapes, f"{net.name}, behind {about.after}")
        self.head = loading.of_blobs(head)
        self.size = shapes["data"][2:]
        loader.keep_only(self.trunk, self.cut.crossing)
        loader.keep_only(self.head, [self._scores])

    def of(self, images: np.ndarray, labels: Labels) -> np.ndarray:
        """(N,h,w) float32."""
        _forward(self.trunk, images)
        for name in self.cut.crossing:
            self.head.blobs[name].data[...] = self.trunk.blobs[name].data
        self.head.forward()
        scores = self.head.blobs[self._scores]
        count = len(scores.data)
        classes = chosen_classes(scores.data.reshape(count, -1), labels)
        wanted = np.zeros((count, scores.data.size // count), np.float32)
        wanted[np.arange(count), classes] = 1
        scores.diff[...] = wanted.reshape(scores.data.shape)
        self.head.backward()
        return self._maps()

    def _maps(self) -> np.ndarray:
        features = self.trunk.blobs[self.cut.features].data
        weights = self.head.blobs[self.cut.features].diff.mean(axis=(2, 3), dtype=np.float64)
        maps = [(w[:, None, None] * f).sum(axis=0) for w, f in zip(weights, features)]
        return np.maximum(np.stack(maps), 0).astype(np.float32)


def _elimination_net(net: NetParameter, batch: int) -> NetParameter:
    """The images, the class map and the Elimination layers alone."""
    kept = copy.deepcopy([layer for layer in net.layer if layer.type == "Input"])
    for layer in kept:
        for shape in layer.input_param.shape:
            shape.dim[0] = batch
    ends = [layer for layer in net.layer if layer.type == "Elimination"]
    return class_maps.net_of([*kept, *ends], net.name)
