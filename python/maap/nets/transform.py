"""How a net's Data layer turns stored images into input: crop, mean, scale."""

from pathlib import Path
from typing import Optional, TypedDict, Union

import numpy as np

from maap.errors import MaapError
from maap.nets import graph
from maap.util.files import cannot_read
from maap.util.schema import LayerParameter, NetParameter, caffe_pb2

# From random weights: MSRA fillers (He et al. 2015) assume inputs of about unit variance, which
# mean-subtracted bytes reach at this scale (0.017 = 1/58.8, their usual standard deviation).
SCRATCH_SCALE = 0.017


class DataTransform(TypedDict):
    """How a Data layer turns stored images into input."""

    crop_size: int  # pixels a side; 0: none
    mirror: bool  # half of the images, at random
    mean_value: list[float]  # one value, or B, G, R, or empty
    mean_file: Optional[Path]  # a .binaryproto that exists
    scale: float  # of the mean-subtracted values
    batch_size: int


def data_transform(net: NetParameter, phase: str, from_scratch: bool = False) -> DataTransform:
    """How the Data layer of ``phase`` ("TRAIN" or "TEST") turns stored images into input.

    ``from_scratch`` replaces a scale of 1 by SCRATCH_SCALE, which the fillers of
    ``resolve_train(from_scratch=True)`` need. Raises MaapError: no Data layer for the phase, a mean
    image that is not there, both kinds of mean.
    """
    layer = data_layer(net, phase)
    given = layer.transform_param
    mean_file = Path(given.mean_file) if given.mean_file else None
    if mean_file is not None and not mean_file.is_file():
        raise MaapError(
            f"{mean_file}: no such file; layer {layer.name} of net {net.name} subtracts this mean "
            "image (make it with compute_image_mean, or use mean_value)"
        )
    if mean_file is not None and given.mean_value:
        raise MaapError(f"layer {layer.name}: both mean_file and mean_value; remove one of them")
    scaled = from_scratch and given.scale == 1
    return DataTransform(
        crop_size=given.crop_size,
        mirror=given.mirror,
        mean_value=list(given.mean_value),
        mean_file=mean_file,
        scale=SCRATCH_SCALE if scaled else _short(given.scale),
        batch_size=layer.data_param.batch_size,
    )


def read_mean(path: Union[str, Path]) -> np.ndarray:
    """The mean image in a .binaryproto: float32 (K,H,W), channels in B, G, R order."""
    path = Path(path)
    blob = caffe_pb2.BlobProto()
    try:
        blob.ParseFromString(path.read_bytes())
        values = np.array(blob.data or blob.double_data, dtype=np.float32)
        shape = list(blob.shape.dim) or [blob.num, blob.channels, blob.height, blob.width]
        return values.reshape(shape[-3:])
    except OSError as error:
        raise cannot_read(path, error, ".binaryproto") from None
    except Exception as error:  # a DecodeError's class differs between protobuf implementations
        raise MaapError(
            f"{path}: not a mean image (a .binaryproto of compute_image_mean): {error}"
        ) from None


def _short(value: float) -> float:
    """A float32 as the decimal a person wrote: 0.017, not 0.01700000092387199."""
    return float(np.format_float_positional(np.float32(value), unique=True))


def data_layer(net: NetParameter, phase: str) -> LayerParameter:
    """The Data layer of ``phase``, "TRAIN" or "TEST". Raises MaapError when there is none."""
    for layer in net.layer:
        if layer.type == "Data" and graph.active(layer, phase):
            return layer
    raise MaapError(
        f"net {net.name}: no Data layer for phase {phase}, so its crop and mean are unknown; "
        f'give it one (layer {{ type: "Data" include {{ phase: {phase} }} ... }})'
    )
