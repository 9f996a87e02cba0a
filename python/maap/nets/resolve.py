"""The nets that the drivers run: a net folder's files with the numbers of one run filled in.

A *resolved* net has the same layers, with this run's classes, batch size and A*, and with Input
layers in place of Data layers, because the drivers feed images themselves, in an order that depends
on the seed alone.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional, Union

from maap.config.values import Value
from maap.errors import MaapError, NotForNet
from maap.images.a_star import NAMES as A_STARS
from maap.images.region_options import PAPERS, RegionOptions
from maap.nets import graph, layer_types
from maap.nets.attention_layers import REWRITE_TOPS, also, elimination_of, elimination_text
from maap.nets.folder import NetFiles
from maap.nets.map_sizes import map_sizes
from maap.nets.prototxt import read_net, read_solver
from maap.nets.transform import data_layer
from maap.util.schema import LayerParameter, NetParameter, SolverParameter, caffe_pb2
from maap.util.text import nearest

PHASE2 = "phase2"  # the stage of the Data layer that reads rewritten images


def resolve_train(
    files: NetFiles,
    laap: bool,
    classes: int,
    batch: int,
    from_scratch: bool,
    dropout_after: Optional[str] = None,
    batch_norm: Optional[str] = None,
    batch_norm_fraction: Optional[float] = None,
) -> NetParameter:
    """The train_val net as the drivers run it, in both phases of Caffe.

    In place of each phase's Data layer stands an Input layer of the same name, with tops data
    (batch, 3, crop, crop) and label (batch). The classifier gets ``classes`` outputs. With
    ``from_scratch`` every layer learns at the same rate, biases start at zero and convolutions, but
    for a classifier, from MSRA's filler; otherwise fillers and rates stay (ten times the rate for
    the classifier). ``dropout_after``: see `NetFiles.train_val`. ``batch_norm``: "frozen"
    normalises with the stored statistics in training, too, "train" with each batch's own, of which
    the stored ones become averages that keep ``batch_norm_fraction`` of the old at each batch; None
    leaves the file's.
    """
    path = files.train_val(laap, dropout_after)
    net = read_net(path)
    _set_classes(net, classes, path)
    _feed(net, batch, path)
    if from_scratch:
        _start_from_scratch(net)
    if batch_norm is not None:
        _set_batch_norm(net, batch_norm, batch_norm_fraction)
    return net


def resolve_deploy(files: NetFiles, laap: bool, classes: int, batch: int) -> NetParameter:
    """The deploy net with that many classes and images a pass."""
    path = files.deploy(laap)
    net = read_net(path)
    _set_classes(net, classes, path)
    _set_batch(net, batch, path)
    return net


def resolve_rewrite(
    files: NetFiles,
    laap: bool,
    batch: int,
    a_star: str = "ROI",
    options: RegionOptions = PAPERS,
) -> NetParameter:
    """The rewrite net; tops dstar, region, attention, stats. ``a_star`` is one of A_STARS;
    ``options``: how the region is found."""
    path = files.rewrite(laap)
    net = read_net(path)
    a_star = _choice("A*", a_star, A_STARS)
    found = [layer for layer in net.layer if layer.type == "Elimination"]
    if len(found) != 1:
        raise MaapError(f"{path}: {len(found)} Elimination layers; a rewrite net ends with one")
    if list(found[0].top) != list(REWRITE_TOPS):
        raise MaapError(
            f"{path}: layer {found[0].name} has tops {', '.join(found[0].top)}; "
            f"rewriting needs {', '.join(REWRITE_TOPS)}"
        )
    found[0].python_param.param_str = f"a_star: {a_star} {options.check().text}"
    _set_batch(net, batch, path)
    return net


def with_region_options(net: NetParameter, options: RegionOptions) -> NetParameter:
    """A copy of a resolved rewrite net whose Elimination layer finds the region by ``options``, and
    keeps its A*."""
    changed = copy.deepcopy(net)
    layer = elimination_of(changed)
    a_star = re.search(r"a_star\s*:\s*\S+", elimination_text(layer))
    words = [a_star.group()] if a_star else []
    layer.python_param.param_str = " ".join([*words, options.check().text])
    if "elimination_param" in layer.DESCRIPTOR.fields_by_name:
        layer.ClearField("elimination_param")
    return changed


def with_other_regions(net: NetParameter, others: Sequence[RegionOptions]) -> NetParameter:
    """A copy of a resolved rewrite net that finds regions in several ways in one pass: behind its
    own Elimination layer one more for each of ``others``, which looks at the same map. Their names
    and tops are those of `attention_layers.also`.

    Raises MaapError for options that cannot be."""
    changed = copy.deepcopy(net)
    own = elimination_of(net)
    for number, options in enumerate(others, 1):
        check_border(net, options.border)
        layer = elimination_of(with_region_options(net, options))
        layer.name = also(own.name, number)
        layer.top[:] = [also(top, number) for top in REWRITE_TOPS]
        changed.layer.append(layer)
    return changed


def check_border(net: NetParameter, border: int) -> None:
    """Raises NotForNet where ``border`` is too wide for the map that a rewrite net looks at."""
    if not border:
        return
    blob = elimination_of(net).bottom[0]
    try:
        height, width = map_sizes(net)[blob]
    except MaapError:
        return  # of a type that is not known here: the layer itself says it later
    most = (min(height, width) - 1) // 2
    if border > most:
        raise NotForNet(
            f"setting border: {border} is too large for the map of {height} x {width} at {blob}",
            f"give at most {most}",
        )


def resolve_solver(
    files: NetFiles,
    laap: bool,
    phase: int,
    overrides: Optional[Mapping[str, Value]] = None,
    net_path: Union[str, Path] = "net.prototxt",
) -> SolverParameter:
    """The solver of ``phase`` for a resolved net at ``net_path``.

    It tests nothing and writes no snapshot of its own (the drivers do both), and its snapshots are
    named ``snapshot_iter_N`` in the current folder. ``overrides`` sets SolverParameter fields by
    name; None leaves a field as the file has it, a list sets a repeated one.
    """
    path = files.solver(laap, phase)
    solver = read_solver(path)
    for name in ("test_iter", "test_interval", "test_initialization", "train_state", "test_state"):
        solver.ClearField(name)
    for name in ("net_param", "train_net", "train_net_param", "test_net", "test_net_param"):
        solver.ClearField(name)
    solver.net = str(net_path)
    solver.snapshot = 0
    solver.snapshot_after_train = False
    solver.snapshot_prefix = "snapshot"
    if "continue_on_nonfinite_loss" in solver.DESCRIPTOR.fields_by_name:  # the drivers look at it
        solver.continue_on_nonfinite_loss = True
    for name, value in (overrides or {}).items():
        if value is not None:
            _override(solver, name, value, path)
    return solver


def _override(solver: SolverParameter, name: str, value: Value, path: Path) -> None:
    field = solver.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        hint = nearest(name, solver.DESCRIPTOR.fields_by_name, "the file's own schema has them all")
        raise MaapError(f"{path}: a solver has no setting {name}; {hint}")
    try:
        if field.label == field.LABEL_REPEATED:
            del getattr(solver, name)[:]
            getattr(solver, name).extend(value)
        elif field.enum_type is not None and isinstance(value, str):
            setattr(solver, name, field.enum_type.values_by_name[value.upper()].number)
        else:
            setattr(solver, name, value)
    except (TypeError, ValueError, KeyError) as error:
        raise MaapError(f"{path}: solver setting {name} cannot be {value!r} ({error})") from None


def _choice(what: str, value: str, known: Sequence[str]) -> str:
    name = value.upper().replace("-", "_")
    if name not in known:
        raise MaapError(f"{what}: {value!r} is none of {', '.join(known)}")
    return name


def _feed(net: NetParameter, batch: int, path: Path) -> None:
    """Replace the Data layers by one Input layer for each of Caffe's phases."""
    inputs = []
    for phase in ("TRAIN", "TEST"):
        data = data_layer(net, phase)
        if list(data.top) != ["data", "label"]:
            raise MaapError(f"{path}: layer {data.name}: its tops must be data and label")
        crop = data.transform_param.crop_size
        if not crop:
            raise MaapError(f"{path}: layer {data.name}: give its transform_param a crop_size")
        layer = caffe_pb2.LayerParameter(name=data.name, type="Input", top=data.top)
        layer.include.add(phase=caffe_pb2.Phase.Value(phase))
        layer.input_param.shape.add(dim=[batch, 3, crop, crop])
        layer.input_param.shape.add(dim=[batch])
        inputs.append(layer)
    others = [copy.deepcopy(layer) for layer in net.layer if layer.type != "Data"]
    del net.layer[:]
    net.layer.extend(inputs + others)


def _classifiers(net: NetParameter, path: Path) -> list[LayerParameter]:
    """The layers whose outputs are the classes, auxiliary classifiers included."""
    found = graph.classifiers(net)
    if not found:
        raise MaapError(f"{path}: no Softmax or SoftmaxWithLoss layer, so no classifier is known")
    for end, scores, layer in found:
        if layer is None:
            raise MaapError(
                f"{path}: layer {end.name} does not take its scores ({scores}) from an "
                "InnerProduct or Convolution layer, so the number of classes cannot be set"
            )
    return [layer for _, _, layer in found]


def _set_classes(net: NetParameter, classes: int, path: Path) -> None:
    if classes < 2:
        raise MaapError(f"{path}: {classes} class; a classifier needs at least two")
    for layer in _classifiers(net, path):
        layer_types.learnt(layer).num_output = classes


def _set_batch(net: NetParameter, batch: int, path: Path) -> None:
    inputs = [layer for layer in net.layer if layer.type == "Input"]
    if not inputs or not inputs[0].input_param.shape:
        raise MaapError(f"{path}: no Input layer with a shape; give it one in place of `input:`")
    for layer in inputs:
        for shape in layer.input_param.shape:
            shape.dim[0] = batch


def _set_batch_norm(net: NetParameter, how: str, fraction: Optional[float]) -> None:
    """Without use_global_stats Caffe takes the batch's statistics in TRAIN, the stored in TEST."""
    for layer in net.layer:
        if layer.type != "BatchNorm":
            continue
        param = layer.batch_norm_param
        if how == "frozen":
            param.use_global_stats = True
            continue
        param.ClearField("use_global_stats")
        if fraction is not None:
            param.moving_average_fraction = fraction


def _start_from_scratch(net: NetParameter) -> None:
    """InnerProduct layers and classifiers keep the file's fillers, or get that of AlexNet's fc6:
    small gaussians start the scores near zero. With MSRA's there too the loss starts at 14 (of 8
    classes) and is NaN after 5 iterations.
    """
    scores = {found.layer.name for found in graph.classifiers(net) if found.layer is not None}
    for layer in net.layer:
        if not layer_types.of(layer).classifies:
            continue
        param = layer_types.learnt(layer)
        if layer.type == "Convolution" and layer.name not in scores:
            param.weight_filler.Clear()
            param.weight_filler.type = "msra"
        elif not param.HasField("weight_filler"):
            param.weight_filler.type = "gaussian"
            param.weight_filler.std = 0.005
        if param.bias_term:
            param.bias_filler.Clear()
            param.bias_filler.type = "constant"
        _equal_rates(layer)


def _equal_rates(layer: LayerParameter) -> None:
    """Scale the layer's rates so that its weights learn at 1; frozen layers (0) stay frozen."""
    times = layer.param[0].lr_mult if layer.param else 1
    if times > 0:
        for spec in layer.param:
            spec.lr_mult = spec.lr_mult / times
