"""Anybody's classification network, read from a train_val or deploy prototxt.

What `maap insert` needs to know of a network stands in a `Network`: the layers from the images to
the class scores, the layers that training adds, the size of the images, how they are prepared.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from maap.errors import MaapError
from maap.nets import graph, layer_types
from maap.util.schema import (
    DataParameter,
    LayerParameter,
    NetParameter,
    TransformationParameter,
    caffe_pb2,
)

IMAGENET_MEAN = (104, 117, 123)  # B, G, R: ImageNet's mean image, rounded
_TRAIN_BATCH, _TEST_BATCH = 16, 50


@dataclass
class Network:
    """A classification network.

    ``path``: the layers from the image blob `data` to the scores, as they are while testing, the
    layer of the classes among them. ``train``: all layers of the training net but those that bring
    images and labels (`data`, `label`), both of Caffe's phases. ``end``: the softmax or loss that
    takes ``scores``. ``transforms`` and ``data``: TransformationParameter and DataParameter of each
    phase ("TRAIN", "TEST"), with this net's crop and batch filled in.
    """

    file: Path
    name: str
    path: list[LayerParameter]
    train: list[LayerParameter]
    end: LayerParameter
    scores: str
    classifiers: list[str]  # names of the layers of the classes, the main one last
    size: int  # pixels, height and width of the input
    transforms: dict[str, TransformationParameter]
    data: dict[str, DataParameter]
    is_deploy: bool  # the file had no loss

    @property
    def classifier(self) -> str:
        return self.classifiers[-1]


def read_network(file: Path, input_size: Optional[int] = None) -> Network:
    """The network in ``file``; ``input_size`` (pixels) where the file does not say it, or another.

    Raises MaapError: not a classification network, several inputs, grey images, a size that the
    file does not give, attention layers in it already.
    """
    net = graph.read_upgraded(file)
    there = [layer.name for layer in net.layer if layer_types.of(layer).attention]
    if there:
        raise MaapError(f"{file}: has attention layers already ({', '.join(there)})")
    main = _main_classifier(net, file)
    place = list(net.layer).index(main.end)
    before = [layer for layer in net.layer[:place] if graph.active(layer, "TEST")]
    path = graph.ancestors(before, main.scores)
    image = _image_blob(path, file)
    is_deploy = main.end.type == "Softmax"
    label = "label" if is_deploy else main.end.bottom[1]
    sources = [layer for layer in net.layer if graph.is_source(layer)]
    body = path if is_deploy else list(net.layer)
    body = [layer for layer in body if not graph.is_source(layer)]
    path = [layer for layer in path if not graph.is_source(layer)]
    _refuse_other_inputs(body, sources, {image, label}, file)
    sizes = _Input([layer for layer in sources if image in layer.top], file, input_size)
    network = Network(
        file=Path(file),
        name=net.name or Path(file).stem,
        path=copy.deepcopy(path),
        train=copy.deepcopy(body),
        end=copy.deepcopy(main.end),
        scores=main.scores,
        classifiers=_classifier_names(net),
        size=sizes.size,
        transforms=sizes.transforms,
        data=sizes.data,
        is_deploy=is_deploy,
    )
    for layer in network.path:
        layer.ClearField("include")
        layer.ClearField("exclude")
    _standard_names(network, image, label)
    return network


def _main_classifier(net: NetParameter, file: Path) -> graph.Classifier:
    found = graph.classifiers(net)
    if not found:
        last = f"; its last layer is {net.layer[-1].name} ({net.layer[-1].type})"
        raise MaapError(
            f"{file}: no classification network: there is no SoftmaxWithLoss and no Softmax at its "
            f"end{last}"
        )
    for end, scores, layer in found:
        if layer is None:
            raise MaapError(
                f"{file}: layer {end.name} does not take its scores ({scores}) from an "
                "InnerProduct or Convolution layer, so there is no classifier whose outputs could "
                "be the classes of other data"
            )
    return found[-1]


def _classifier_names(net: NetParameter) -> list[str]:
    """The names of the layers of the classes, each once, the main one last."""
    layers = [found.layer for found in graph.classifiers(net)]
    return list(dict.fromkeys(layer.name for layer in layers if layer is not None))


def _image_blob(path: list[LayerParameter], file: Path) -> str:
    """The one blob from outside that the scores are computed from."""
    read = {blob for layer in path for blob in layer.bottom}
    blobs = [blob for layer in path if graph.is_source(layer) for blob in layer.top if blob in read]
    if len(blobs) != 1:
        said = f"{len(blobs)} inputs ({', '.join(blobs)})" if blobs else "no input"
        raise MaapError(
            f"{file}: the scores come from {said} while testing; the drivers feed one blob of "
            "images (give the net's deploy prototxt, or a train_val with a Data layer for TEST)"
        )
    return blobs[0]


def _refuse_other_inputs(
    body: list[LayerParameter], sources: list[LayerParameter], known: set[str], file: Path
) -> None:
    for source in sources:
        for blob in set(source.top) - known:
            reader = next((layer for layer in body if blob in layer.bottom), None)
            if reader is not None:
                raise MaapError(
                    f"{file}: layer {reader.name} reads {blob} of {source.name} ({source.type}); "
                    "the drivers feed images and their labels alone"
                )


def _standard_names(network: Network, image: str, label: str) -> None:
    """Name the images `data` and the labels `label`; another blob of that name is renamed."""
    layers = [*network.train, *network.path, network.end]
    taken = [blob for layer in layers for blob in (*layer.bottom, *layer.top)]
    for old, new in ((image, "data"), (label, "label")):
        if old != new:
            graph.rename_blob(layers, new, graph.unused_name(f"{new}_2", taken))
            graph.rename_blob(layers, old, new)
    network.scores = network.end.bottom[0]


class _Input:
    """The input's size in pixels, and TransformationParameter and DataParameter of each phase."""

    def __init__(self, sources: list[LayerParameter], file: Path, wanted: Optional[int]) -> None:
        self.file = file
        by_phase = {
            phase: next((s for s in sources if graph.active(s, phase)), sources[-1])
            for phase in ("TRAIN", "TEST")
        }
        for source in by_phase.values():
            self._refuse_grey(source)
        sizes = [wanted] if wanted else [self._size(source) for source in by_phase.values()]
        known = sorted({size for size in sizes if size})
        if not known:
            raise MaapError(
                f"{file}: layer {by_phase['TEST'].name} has no crop_size, so the size of the net's "
                "input is unknown; give --input-size (pixels)"
            )
        if len(known) > 1:
            raise MaapError(
                f"{file}: inputs of {known[0]} and of {known[1]} pixels in the two phases; choose "
                "one with --input-size"
            )
        self.size = known[0]
        self.transforms = {phase: self._transform(s, phase) for phase, s in by_phase.items()}
        self.data = {phase: self._data(s, phase) for phase, s in by_phase.items()}

    def _refuse_grey(self, source: LayerParameter) -> None:
        channels = [s.dim[1] for s in source.input_param.shape[:1] if len(s.dim) > 1]
        channels += [source.memory_data_param.channels] if source.type == "MemoryData" else []
        grey = source.transform_param.force_gray
        grey = grey or (source.type == "ImageData" and not source.image_data_param.is_color)
        if grey or (channels and channels[0] != 3):
            count = 1 if grey else channels[0]
            raise MaapError(
                f"{self.file}: layer {source.name} brings in {count} channel(s); the drivers work "
                "on colour images alone: give the input 3 channels (the first convolution adapts)"
            )

    def _size(self, source: LayerParameter) -> Optional[int]:
        if source.type == "Input" and source.input_param.shape:
            sides = tuple(source.input_param.shape[0].dim[2:])
        elif source.type == "MemoryData":
            sides = (source.memory_data_param.height, source.memory_data_param.width)
        elif source.type == "ImageData" and not source.transform_param.crop_size:
            sides = (source.image_data_param.new_height, source.image_data_param.new_width)
        else:
            sides = (source.transform_param.crop_size,) * 2
        if len(sides) != 2 or sides[0] != sides[1]:
            raise MaapError(
                f"{self.file}: layer {source.name} has an input of "
                f"{' x '.join(map(str, sides)) or 'no'} pixels; the drivers feed square images"
            )
        return sides[0] or None

    def _transform(self, source: LayerParameter, phase: str) -> TransformationParameter:
        made = caffe_pb2.TransformationParameter()
        if source.HasField("transform_param"):
            given = source.transform_param
            for name in ("mirror", "scale", "mean_file"):
                if given.HasField(name):
                    setattr(made, name, getattr(given, name))
            made.mean_value.extend(given.mean_value)
        else:
            made.mirror = phase == "TRAIN"
            if source.type == "Input":
                made.mean_value.extend(IMAGENET_MEAN)
        made.crop_size = self.size
        return made

    def _data(self, source: LayerParameter, phase: str) -> DataParameter:
        made = caffe_pb2.DataParameter(backend=caffe_pb2.DataParameter.LMDB)
        if source.type == "Data":
            made.source, made.backend = source.data_param.source, source.data_param.backend
        given = source.data_param if source.type == "Data" else source.image_data_param
        there = source.type in ("Data", "ImageData") and given.batch_size > 1
        default = _TRAIN_BATCH if phase == "TRAIN" else _TEST_BATCH
        made.batch_size = given.batch_size if there else default
        return made
