"""A layer of a prototxt, and of the net Caffe makes of it, in the columns of tests/facts/*.tsv."""

import csv
from pathlib import Path
from typing import Any

from maap.util.schema import caffe_pb2

FACTS = Path(__file__).resolve().parents[1] / "facts"
PAPER = dict(  # behind which layers the paper has Enhancement and Elimination: docs/design.md, 5
    alexnet=("relu1", "relu5"),
    vgg19=("relu1_1", "relu5_4"),
    resnet152=("conv1_relu", "res4b2_branch2b_relu"),
)


def rows(name: str) -> list[dict[str, str]]:
    with (FACTS / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def describe(layer: Any) -> dict[str, str]:
    """The columns that the text of ``layer`` alone decides; those not given do not apply."""
    told = dict(
        name=layer.name,
        type=layer.type,
        bottoms=",".join(layer.bottom),
        tops=",".join(layer.top),
        in_place="yes" if set(layer.bottom) & set(layer.top) else "no",
    )
    special = _COLUMNS.get(layer.type)
    return {**told, **(special(layer) if special else {})}


def describe_blobs(layer: Any, net: Any) -> dict[str, str]:
    """The columns that only a loaded net (pycaffe) knows: blob and top shapes, counts."""
    blobs = net.params.get(layer.name, [])
    shapes = [tuple(blob.data.shape) for blob in blobs]
    count = "n_stats" if layer.type == "BatchNorm" else "n_learnable"
    return {
        "blob_shapes": ";".join("x".join(map(str, shape)) for shape in shapes),
        "n_learnable": "",
        "n_stats": "",
        "top_shapes": ";".join(_shape(net.blobs[top].data.shape) for top in layer.top),
        **({count: str(sum(blob.data.size for blob in blobs))} if shapes else {}),
    }


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _rates(layer: Any, bias_term: bool) -> dict[str, str]:
    """A blob without a ParamSpec has the schema's defaults."""
    specs = list(layer.param)
    specs += [caffe_pb2.ParamSpec() for _ in range(len(specs), 2 if bias_term else 1)]
    return dict(
        lr_mult=",".join(f"{spec.lr_mult:g}" for spec in specs),
        decay_mult=",".join(f"{spec.decay_mult:g}" for spec in specs),
    )


def _filler(param: Any, name: str) -> str:
    filler = getattr(param, name)
    if not param.HasField(name):
        return ""
    if filler.type == "gaussian":
        return f"gaussian(mean={filler.mean:g},std={filler.std:g})"
    return f"{filler.type}(value={filler.value:g})"


def _learning(layer: Any, param: Any) -> dict[str, str]:
    return dict(
        _rates(layer, param.bias_term),
        num_output=str(param.num_output),
        bias_term=str(param.bias_term).lower(),
        weight_filler=_filler(param, "weight_filler"),
        bias_filler=_filler(param, "bias_filler"),
    )


def _first(values: Any, default: int) -> str:
    return str(values[0] if values else default)


def _convolution(layer: Any) -> dict[str, str]:
    param = layer.convolution_param
    return dict(
        _learning(layer, param),
        kernel=_first(param.kernel_size, 0),
        stride=_first(param.stride, 1),
        pad=_first(param.pad, 0),
        dilation=_first(param.dilation, 1),
        group=str(param.group),
    )


def _pooling(layer: Any) -> dict[str, str]:
    param = layer.pooling_param
    method = caffe_pb2.PoolingParameter.PoolMethod.Name(param.pool)
    return dict(
        pool=method, kernel=str(param.kernel_size), stride=str(param.stride), pad=str(param.pad)
    )


def _lrn(layer: Any) -> dict[str, str]:
    param = layer.lrn_param
    return dict(
        lrn_region=caffe_pb2.LRNParameter.NormRegion.Name(param.norm_region),
        lrn_local_size=str(param.local_size),
        lrn_alpha=f"{param.alpha:g}",
        lrn_beta=f"{param.beta:g}",
        lrn_k=f"{param.k:g}",
    )


def _batch_norm(layer: Any) -> dict[str, str]:
    """The rates are 0 whatever the file says; the published one says nothing, so ours may not."""
    param = layer.batch_norm_param
    return dict(
        lr_mult=",".join(f"{spec.lr_mult:g}" for spec in layer.param) or "0,0,0",
        bn_use_global_stats=str(param.use_global_stats).lower(),
        bn_eps=f"{param.eps:g}",
        bn_moving_average_fraction=f"{param.moving_average_fraction:g}",
    )


def _scale(layer: Any) -> dict[str, str]:
    param = layer.scale_param
    assert not param.HasField("filler") and not param.HasField("bias_filler")
    return dict(
        _rates(layer, param.bias_term),
        bias_term=str(param.bias_term).lower(),
        scale_axis=str(param.axis),
    )


def _eltwise(layer: Any) -> dict[str, str]:
    operation = caffe_pb2.EltwiseParameter.EltwiseOp.Name(layer.eltwise_param.operation)
    assert not layer.eltwise_param.coeff
    return dict(eltwise_op=operation)


_COLUMNS = {
    "BatchNorm": _batch_norm,
    "Eltwise": _eltwise,
    "Scale": _scale,
    "Convolution": _convolution,
    "InnerProduct": lambda layer: _learning(layer, layer.inner_product_param),
    "Pooling": _pooling,
    "LRN": _lrn,
    "Dropout": lambda layer: dict(dropout_ratio=f"{layer.dropout_param.dropout_ratio:g}"),
    "ReLU": lambda layer: dict(relu_negative_slope=f"{layer.relu_param.negative_slope:g}"),
}
