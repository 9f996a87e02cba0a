"""A Caffe net behind the interface of OpenCV 4's dnn.Net."""

import re
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import cv2
import numpy as np

from .. import _caffe, pycaffe
from ..proto.caffe_pb2 import TEST
from .constants import (
    DNN_BACKEND_CUDA,
    DNN_BACKEND_DEFAULT,
    DNN_TARGET_CPU,
    DNN_TARGET_CUDA,
    DNN_TARGET_CUDA_FP16,
)
from .errors import error

_INPUTS = {"Input", "Data", "DummyData", "MemoryData", "HDF5Data", "ImageData", "WindowData"}
_INPUT_TYPE = "__NetInputLayer__"
Names = Union[str, Sequence[str]]


class _Row(NamedTuple):
    """A layer as OpenCV lists it."""

    name: str
    type: str
    index: int  # in the engine's net
    layer: str  # its name there
    tops: tuple[str, ...]


class Layer:
    """A layer: ``name``, ``type`` and its ``blobs`` (copies of weights and bias)."""

    def __init__(self, name: str, kind: str, blobs: list[np.ndarray]) -> None:
        self.name, self.type, self.blobs = name, kind, blobs

    def outputNameToIndex(self, outputName: str) -> int:  # noqa: N802, N803
        """0 for the layer's own name, else -1 (layers here have no other names of outputs)."""
        return 0 if outputName == self.name else -1


class Net:
    """A network for inference, as ``cv2.dnn.Net``.

    Made by `readNetFromCaffe`. The net takes the shape of each blob that it is given.
    """

    def __init__(self) -> None:
        self._net: Any = None
        self._rows: list[_Row] = []
        self._ids: dict[str, int] = {}
        self._given: dict[str, np.ndarray] = {}
        self._names: list[str] = []
        self._without_weights: Optional[str] = None
        self._backend, self._target = DNN_BACKEND_DEFAULT, DNN_TARGET_CPU
        self._ticks = 0

    # ---- what there is

    def empty(self) -> bool:
        """Whether nothing was read into it."""
        return self._net is None

    def getLayerNames(self) -> tuple[str, ...]:  # noqa: N802
        """The layers' names in order, without inputs. A Convolution goes by the name of its top."""
        return tuple(row.name for row in self._rows)

    def getLayerId(self, layer: str) -> int:  # noqa: N802
        """The layer's number, from 1 on; -1 if there is none of that name."""
        return self._ids.get(layer, -1)

    def getLayer(self, layerId: Union[int, str]) -> Layer:  # noqa: N802, N803
        """The layer of that number or name; 0 is the input.

        Raises:
            caffe.dnn.error: there is none.
        """
        number = self._ids.get(layerId, -1) if isinstance(layerId, str) else int(layerId)
        if number == 0:
            return Layer("_input", "", [])
        if not 0 < number <= len(self._rows):
            raise error(f"there is no layer {layerId!r}{self._meant(layerId)}")
        row = self._rows[number - 1]
        return Layer(row.name, row.type, [self._as_stored(row, k) for k in range(self._count(row))])

    def getLayerTypes(self) -> tuple[str, ...]:  # noqa: N802
        """The types of all layers, each once, sorted."""
        self._read()
        return tuple(sorted({_INPUT_TYPE, *(row.type for row in self._rows)}))

    def getLayersCount(self, layerType: str) -> int:  # noqa: N802, N803
        """How many layers have that type."""
        return sum(row.type == layerType for row in self._rows)

    def getUnconnectedOutLayers(self) -> np.ndarray:  # noqa: N802
        """Numbers of the layers whose output no layer reads, int32."""
        self._read()
        bottoms, tops = self._net.bottom_names, self._net.top_names
        maker: dict[str, str] = {}
        read: set[str] = set()
        for name in self._net._layer_names:
            read.update(maker[blob] for blob in bottoms[name] if blob in maker)
            maker.update((blob, name) for blob in tops[name])
        ids = [k + 1 for k, row in enumerate(self._rows) if row.layer not in read]
        return np.asarray(ids, np.int32)

    def getUnconnectedOutLayersNames(self) -> tuple[str, ...]:  # noqa: N802
        """Names of the layers whose output no layer reads."""
        return tuple(self._rows[number - 1].name for number in self.getUnconnectedOutLayers())

    def getParam(self, layer: Union[int, str], numParam: int = 0) -> np.ndarray:  # noqa: N802, N803
        """A copy of the layer's blob of that number: 0 weights, 1 bias."""
        blobs = self.getLayer(layer).blobs
        if not 0 <= numParam < len(blobs):
            raise error(f"layer {layer!r} has {len(blobs)} blobs, not a number {numParam}")
        return blobs[numParam]

    def setParam(self, layer: Union[int, str], numParam: int, blob: Any) -> None:  # noqa: N802, N803
        """Set the layer's blob of that number; as many values as it has."""
        old = self.getParam(layer, numParam)
        values = np.asarray(blob, np.float32)
        if values.size != old.size:
            raise error(f"blob {numParam} of layer {layer!r} has the shape {old.shape}")
        row = self._rows[(self._ids[layer] if isinstance(layer, str) else layer) - 1]
        data = self._net.params[row.layer][numParam].data
        data[...] = values.reshape(data.shape)
        self._without_weights = None

    def getLayersShapes(self, netInputShape: Any) -> tuple:  # noqa: N802, N803
        """(numbers, input shapes, output shapes) of all layers for inputs of the given shape(s)."""
        self._read()
        self._reshape(self._shapes(netInputShape))
        shape = {name: np.asarray(blob.shape, np.int32) for name, blob in self._net.blobs.items()}
        whole = tuple(shape[name] for name in self._net.inputs)
        bottoms, tops = self._net.bottom_names, self._net.top_names
        into = tuple(tuple(shape[b] for b in bottoms[row.layer]) for row in self._rows)
        out = tuple(tuple(shape[t] for t in tops[row.layer]) for row in self._rows)
        return np.arange(len(self._rows) + 1, dtype=np.int32), (whole, *into), (whole, *out)

    def getMemoryConsumption(self, netInputShape: Any) -> tuple[int, int]:  # noqa: N802, N803
        """Bytes of all weights, and of all layers' outputs for inputs of the given shape(s)."""
        _, _, out = self.getLayersShapes(netInputShape)
        params = [blob for blobs in self._net.params.values() for blob in blobs]
        values = sum(int(np.prod(shape)) for shapes in out for shape in shapes)
        return 4 * sum(blob.count for blob in params), 4 * values

    # ---- computing

    def setInput(  # noqa: N802
        self, blob: Any, name: str = "", scalefactor: float = 1.0, mean: Any = ()
    ) -> None:
        """Set an input: (blob - mean) * scalefactor, mean by channel.

        Args:
            blob: an array of any number type, copied; the net takes its shape.
            name: of the input; "" is the first.
            scalefactor: one number.
            mean: one number a channel (axis 1), or none.

        Raises:
            caffe.dnn.error: no input has that name.
        """
        self._read()
        if not self._net.inputs:
            raise error("the net has no inputs: its data layers read files")
        names = dict(zip(self._names, self._net.inputs))
        target = self._net.inputs[0] if name == "" else names.get(name, name)
        if target not in self._net.inputs:
            raise error(f"the net has no input {name!r}; it has {', '.join(self._net.inputs)}")
        try:
            values = np.array(blob, np.float32)
            means = np.atleast_1d(np.asarray(() if mean is None else mean, np.float32))
        except (TypeError, ValueError) as problem:
            raise error(f"a blob and its mean are arrays of numbers: {problem}") from None
        if means.size:
            channels = values.shape[1] if values.ndim > 1 else 1
            means = np.pad(means, (0, max(0, channels - len(means))))[:channels]
            values -= means.reshape([1, -1] + [1] * (values.ndim - 2))
        self._given[target] = values * np.float32(scalefactor)

    def forward(self, outputName: Optional[Names] = None) -> Any:  # noqa: N803
        """Compute the outputs of layers.

        Args:
            outputName: a layer's name (array), a list of names (tuple of arrays), or nothing: the
                last layer. A layer's output is what it itself makes: that of a convolution is not
                yet changed by a ReLU in place behind it. Names of blobs are taken as well.

        Returns:
            float32 arrays, copies.

        Raises:
            caffe.dnn.error: a name is not there, an input was not set, or its shape does not fit.
        """
        if outputName is None or isinstance(outputName, str):
            return self._compute([outputName or self._last()])[0][0]
        if not isinstance(outputName, Iterable):
            raise error(f"a name, or a list of names, is needed, not {outputName!r}")
        names = list(outputName) or [self._last()]
        return tuple(arrays[0] for arrays in self._compute(names))

    def forwardAndRetrieve(self, outBlobNames: Sequence[str]) -> tuple:  # noqa: N802, N803
        """All outputs of each layer of the list: a tuple of tuples of arrays."""
        return tuple(tuple(arrays) for arrays in self._compute(list(outBlobNames)))

    def getPerfProfile(self) -> tuple[int, np.ndarray]:  # noqa: N802
        """Ticks (see ``cv2.getTickFrequency``) of the last forward pass, and of each layer, which
        are measured now, in one more pass."""
        self._read()
        self._set_inputs()
        timings = []
        for row in self._rows:
            start = cv2.getTickCount()
            self._net._forward(row.index, row.index)
            timings.append(cv2.getTickCount() - start)
        return self._ticks, np.asarray(timings, np.float64)

    # ---- what OpenCV has and a Caffe net needs not

    def setPreferableBackend(self, backendId: int) -> None:  # noqa: N802, N803
        """DNN_BACKEND_CUDA asks for a GPU, if there is one; every other backend is this engine."""
        self._backend = int(backendId)
        self._choose_device()

    def setPreferableTarget(self, targetId: int) -> None:  # noqa: N802, N803
        """DNN_TARGET_CUDA asks for a GPU, if there is one; every other target is the CPU."""
        self._target = int(targetId)
        self._choose_device()

    def enableFusion(self, fusion: bool) -> None:  # noqa: N802
        """Nothing to choose: the engine joins layers where nobody can see it."""

    def enableWinograd(self, useWinograd: bool) -> None:  # noqa: N802, N803
        """Nothing to choose: the engine takes the fastest algorithm."""

    def setInputsNames(self, inputBlobNames: Sequence[str]) -> None:  # noqa: N802, N803
        """Names by which `setInput` finds the inputs, in their order; their own stay as well."""
        self._names = list(inputBlobNames)

    def setInputShape(self, inputName: str, shape: Sequence[int]) -> None:  # noqa: N802, N803
        """Give an input a shape before a blob is there."""
        self._read()
        self._reshape({inputName or self._net.inputs[0]: tuple(int(v) for v in shape)})

    # ---- inside

    def _adopt(self, net: Any, without_weights: Optional[str]) -> None:
        self._net, self._without_weights = net, without_weights
        net.keep_only([])  # an output is read right behind its layer's pass
        tops, bottoms = net.top_names, net.bottom_names
        for index, layer in enumerate(net._layer_names):
            kind = net.layers[index].type
            if kind in _INPUTS or kind == "Silence" or _is_inserted(kind, layer, tops[layer]):
                continue
            outputs = tuple(tops[layer])
            own = kind == "Convolution" and outputs[0] not in bottoms[layer]
            self._rows.append(_Row(outputs[0] if own else layer, kind, index, layer, outputs))
        for number, row in reversed(list(enumerate(self._rows, 1))):
            self._ids[row.layer] = number
        for number, row in reversed(list(enumerate(self._rows, 1))):
            self._ids[row.name] = number

    def _read(self) -> None:
        if self._net is None:
            raise error("the net is empty: read one with caffe.dnn.readNetFromCaffe")

    def _last(self) -> str:
        self._read()
        if not self._rows:
            raise error("the net has no layer but its inputs")
        return self._rows[-1].name

    def _count(self, row: _Row) -> int:
        return len(self._net.params.get(row.layer, ()))

    def _as_stored(self, row: _Row, k: int) -> np.ndarray:
        """A blob with the shape that OpenCV gives it: a bias is a column, or a row behind fc."""
        values = np.array(self._net.params[row.layer][k].data)
        if k == 1 and values.ndim == 1:
            if row.type in ("Convolution", "Deconvolution"):
                return values.reshape(-1, 1)
            if row.type == "InnerProduct":
                return values.reshape(1, -1)
        return values

    def _meant(self, name: Any) -> str:
        known = [row.name for row in self._rows]
        return f"; the layers are {', '.join(known)}" if 0 < len(known) <= 30 else ""

    def _wanted(self, name: str) -> tuple[int, tuple[str, ...], bool]:
        """(index of the engine's layer, tops, whether the blob is wanted as it is at the end)."""
        if name in self._ids:
            row = self._rows[self._ids[name] - 1]
            return row.index, row.tops, False
        for row in reversed(self._rows):
            if name in row.tops:
                return row.index, (name,), True
        if name in self._net.inputs:
            return 0, (name,), True
        raise error(f"there is no layer {name!r}{self._meant(name)}")

    def _compute(self, names: list[str]) -> list[list[np.ndarray]]:
        self._read()
        if self._without_weights:
            raise error(
                f"{self._without_weights}: the net was read without weights; give readNetFromCaffe "
                "its .caffemodel, or set them with setParam"
            )
        wanted = [self._wanted(name) for name in names]
        start = time.perf_counter()
        self._set_inputs()
        found: dict[int, list[np.ndarray]] = {}
        done = 0
        try:
            for order in sorted(range(len(wanted)), key=lambda k: wanted[k][0]):
                index, tops, _ = wanted[order]
                if index >= done:
                    self._net._forward(done, index)
                    done = index + 1
                found[order] = [np.array(self._net.blobs[top].data) for top in tops]
        except pycaffe.CaffeError as e:
            raise error(str(e)) from e
        self._ticks = int((time.perf_counter() - start) * cv2.getTickFrequency())
        return [found[k] for k in range(len(wanted))]

    def _set_inputs(self) -> None:
        missing = [name for name in self._net.inputs if name not in self._given]
        if missing:
            raise error(f"no blob was set for the input {missing[0]!r}: call setInput first")
        self._reshape({name: values.shape for name, values in self._given.items()})
        for name, values in self._given.items():
            self._net.blobs[name].data[...] = values

    def _reshape(self, shapes: dict[str, tuple[int, ...]]) -> None:
        blobs = self._net.blobs
        if any(name not in self._net.inputs for name in shapes):
            raise error(f"the net's inputs are {', '.join(self._net.inputs)}")
        if all(tuple(blobs[name].shape) == shape for name, shape in shapes.items()):
            return
        try:
            for name, shape in shapes.items():
                blobs[name].reshape(*shape)
            self._net.reshape()
        except pycaffe.CaffeError as e:
            raise error(str(e)) from e

    def _shapes(self, given: Any) -> dict[str, tuple[int, ...]]:
        one = len(given) and np.isscalar(given[0])
        shapes = [given] if one else list(given)
        if len(shapes) != len(self._net.inputs):
            raise error(f"the net has {len(self._net.inputs)} inputs, not {len(shapes)}")
        return {n: tuple(int(v) for v in s) for n, s in zip(self._net.inputs, shapes)}

    def _choose_device(self) -> None:
        """As everywhere in Caffe, the calling thread computes there from now on."""
        if self._backend == DNN_BACKEND_CUDA or self._target in (
            DNN_TARGET_CUDA,
            DNN_TARGET_CUDA_FP16,
        ):
            try:
                _caffe.set_device(0)
                _caffe.set_mode_gpu()
            except pycaffe.CaffeError as e:
                warnings.warn(f"computing on the CPU: {e}", stacklevel=3)
                _caffe.set_mode_cpu()
        else:
            _caffe.set_mode_cpu()


def _is_inserted(kind: str, name: str, tops: Sequence[str]) -> bool:
    """Whether the engine itself put the Split there."""
    return (
        kind == "Split"
        and name.endswith("_split")
        and all(re.fullmatch(re.escape(name) + r"_\d+", top) for top in tops)
    )


def _file(given: Any, folder: str, name: str) -> str:
    """The path given, or that of a file made of the bytes given."""
    if isinstance(given, (bytes, bytearray, memoryview, np.ndarray)):
        path = Path(folder) / name
        path.write_bytes(bytes(given))
        return str(path)
    return str(given)


def readNetFromCaffe(prototxt: Any, caffeModel: Any = "") -> Net:  # noqa: N802, N803
    """Read a Caffe net.

    Args:
        prototxt: path of the net's definition, or its content (bytes or a uint8 array).
        caffeModel: path of the weights, or their content. Without them, `Net.forward` is an error
            for a net that has weights.

    Raises:
        caffe.dnn.error: a file cannot be read, or the net cannot be made.
    """
    net = Net()
    with tempfile.TemporaryDirectory() as folder:
        definition = _file(prototxt, folder, "net.prototxt")
        weights = _file(caffeModel, folder, "net.caffemodel")
        try:
            if weights:
                made = pycaffe.Net(definition, TEST, weights=weights)
            else:
                made = pycaffe.Net(definition, TEST)
        except (pycaffe.CaffeError, OSError) as e:
            raise error(str(e)) from e
    lacking = not weights and any(len(blobs) for blobs in made.params.values())
    net._adopt(made, (definition if lacking else None))
    return net


def readNet(model: str, config: str = "", framework: str = "") -> Net:  # noqa: N802
    """Read a Caffe net: the weights and the definition, in either order.

    Raises:
        caffe.dnn.error: neither is a prototxt, or the framework is another one.
    """
    if framework.lower() not in ("", "caffe"):
        raise error(f"framework {framework!r}: caffe.dnn reads Caffe nets")
    files = [str(model), str(config)]
    if files[1].endswith((".prototxt", ".pbtxt")) or files[0].endswith(".caffemodel"):
        files.reverse()
    if not files[0]:
        raise error(f"{model}: its prototxt is missing: give it as config")
    return readNetFromCaffe(*files)
