"""Setting up a run: all that it needs before its first iteration, in its folder.

`set_up` fills a new run folder with every number and prototxt. Nothing later reads the net folder
or the defaults again, so that a run resumed next year on another version trains the same net.
"""

from pathlib import Path
from typing import Optional

from maap.config import presets
from maap.config.fields import FIELDS, TrainConfig, in_group
from maap.config.resolve import resolve, solver_overrides
from maap.data.store import Dataset
from maap.errors import MaapError, NotForNet
from maap.images.region_options import RegionOptions
from maap.nets.attention_source import AttentionSource, attended
from maap.nets.crop_size import set_input
from maap.nets.folder import NetFiles, find_net
from maap.nets.online import online_net
from maap.nets.prototxt import read_net, read_solver, write_text
from maap.nets.resolve import (
    check_border,
    resolve_deploy,
    resolve_rewrite,
    resolve_solver,
    resolve_train,
)
from maap.nets.transform import data_transform
from maap.rewrite.regions import Regions
from maap.runs.feed import manifest_hash
from maap.runs.run import FINDER, Run
from maap.runs.stages import stage_list
from maap.runs.state import DataNote, InputNote, RunState, Stage, WeightsNote
from maap.training.phase import seed_of
from maap.training.sharing import check_phase1
from maap.util.files import file_sha256, put_file
from maap.util.progress import say
from maap.util.schema import LayerParameter, caffe_pb2
from maap.weights.caffemodel import check_weights, has_weights
from maap.weights.published import find_weights

Net = caffe_pb2.NetParameter


def set_up(run: Run, config: TrainConfig, dataset: Dataset, seconds: float) -> TrainConfig:
    """Fill a run folder from its settings; returns them resolved. ``seconds``: what the data took.

    Raises MaapError: unknown net, wrong weights, a setting the solver does not know ...
    """
    files = find_net(config.net)
    laap = config.laap
    solvers = [read_solver(files.solver(laap, phase)) for phase in (1, 2)]
    source = read_net(files.train_val(laap, config.dropout_after))
    batch = data_transform(source, "TRAIN")["batch_size"]
    config = resolve(config, dataset.kind, *solvers, batch)
    Regions.of(config).check(dataset.split("train"))
    classes = len(dataset.classes)
    resolved = _resolve_nets(files, config, classes)
    net = resolved["net"]
    weights = _check_weights(net, config)
    stages = stage_list(config)
    for stage in stages:
        if stage.kind == "train":
            later = config.online and stage.number != 1
            trained = online_net(net, resolved["rewrite"]) if later else net
            _write_phase(run.folder / stage.name, trained, files, config, stage)
    for name in resolved.keys() - {"net"}:
        write_text(resolved[name], run.folder / f"{name}.prototxt")
    note = presets.note(config.net, str(config.preset))
    if note:
        say(note)
    state = RunState(
        name=run.name,
        note=note,
        input={phase: _input(run, source, phase, config) for phase in ("TRAIN", "TEST")},
        data=DataNote(str(dataset.folder), manifest_hash(dataset), seconds),
        weights=weights,
        stages=stages,
    )
    run.write_state(state)
    check_phase1(run, config, state)
    run.write_config(config)
    return config


def check_finder(config: TrainConfig, classes: int) -> None:
    """Raises NotForNet where the nets of a run with these resolved settings could not find regions
    as they say."""
    files = find_net(config.net)
    found = _resolve_nets(files, config, classes)
    if not found.keys() & {"rewrite", Path(FINDER).stem}:
        raise NotForNet(f"net {files.name}: it has no rewrite net, which finds regions")


def _resolve_nets(files: NetFiles, config: TrainConfig, classes: int) -> dict[str, Net]:
    """The training net ("net"), "deploy" and the net that finds regions: "rewrite" where images are
    rewritten, else "regions" if the net folder has one."""
    found = dict(
        net=resolve_train(
            files,
            config.laap,
            classes,
            config.batch,
            config.from_scratch,
            config.dropout_after,
            config.batch_norm,
            config.batch_norm_fraction,
        ),
        deploy=resolve_deploy(files, config.laap, classes, config.batch),
    )
    if config.haap:
        found["rewrite"] = resolve_rewrite(
            files, config.laap, config.batch, config.a_star, RegionOptions.of(config)
        )
    else:
        finder = _finder(files, config, found["net"])
        found.update({} if finder is None else {Path(FINDER).stem: finder})
    for net in found.values() if config.crop_size else ():
        set_input(net, config.crop_size)
    for name in found.keys() & {"rewrite", Path(FINDER).stem}:
        found[name] = attended(found[name], found["deploy"], AttentionSource.of(config))
        check_border(found[name], config.border)
    return found


def _finder(files: NetFiles, config: TrainConfig, train: Net) -> Optional[Net]:
    """The net that finds regions for a run that rewrites nothing, so that the same is measured of
    every run; None where the net folder has none that fits.

    Raises MaapError only where a setting asks for it: without one, the run can do without regions.
    """
    try:
        files.rewrite(config.laap)
    except MaapError:
        return None
    try:
        net = resolve_rewrite(files, config.laap, config.batch, "ROI", RegionOptions.of(config))
        own = {layer.name: layer.type for layer in train.layer}
        for layer in net.layer:
            if _has_weights(layer) and own.get(layer.name) != layer.type:
                raise NotForNet(f"{net.name}: the training net lacks layer {layer.name}")
    except MaapError as error:
        if any(getattr(config, name) != FIELDS[name].default for name in in_group("region")):
            raise
        say(f"no regions will be measured: {error}")
        return None
    return net


def _has_weights(layer: LayerParameter) -> bool:
    """Whether a layer has weights; of a type that maap does not know it is taken for granted."""
    try:
        return has_weights(layer)
    except MaapError:
        return True


def _write_phase(
    folder: Path, net: Net, files: NetFiles, config: TrainConfig, stage: Stage
) -> None:
    folder.mkdir(exist_ok=True)
    phase = min(int(stage.number or 1), 2)
    overrides = solver_overrides(config, phase)
    overrides["random_seed"] = seed_of(config.seed, stage.name, "net")
    solver = resolve_solver(files, config.laap, phase, overrides, "net.prototxt")
    write_text(net, folder / "net.prototxt")
    write_text(solver, folder / "solver.prototxt")


def _check_weights(net: Net, config: TrainConfig) -> Optional[WeightsNote]:
    """What is known of the weights to start from. Raises MaapError when they do not fit the net."""
    if config.weights is None:
        return None
    path = find_weights(config.weights, config.net)
    found = check_weights(net, path, bool(config.allow_partial))
    matched, missing = found["matched"], found["missing"]
    _check_statistics(path, net, config, missing)
    new = f", new: {', '.join(missing)}" if missing else ""
    say(f"{path.name}: {len(matched)} of {len(matched) + len(missing)} layers with weights{new}")
    return WeightsNote(str(path), file_sha256(path))


def _check_statistics(path: Path, net: Net, config: TrainConfig, missing: list[str]) -> None:
    """Raises MaapError where BatchNorm would be frozen at statistics that no file has."""
    norms = {layer.name for layer in net.layer if layer.type == "BatchNorm"}
    without = [name for name in missing if name in norms]
    if without and config.batch_norm == "frozen":
        raise MaapError(
            f"{path}: no statistics of {without[0]} ({len(without)} of {len(norms)} BatchNorm "
            "layers) to freeze; give --batch-norm train"
        )


# ---- what the nets are fed ----------------------------------------------------------------------


def _input(run: Run, source: Net, phase: str, config: TrainConfig) -> InputNote:
    """How stored images become input, as the Data layer says; a mean image is copied to the run."""
    how = data_transform(source, phase, config.from_scratch)
    if how["mean_file"] is not None:
        put_file(how["mean_file"], run.folder / "mean.binaryproto", link=False)
    return InputNote(
        crop_size=config.crop_size or how["crop_size"],
        mirror=how["mirror"],
        mean_value=how["mean_value"],
        mean_file="mean.binaryproto" if how["mean_file"] is not None else None,
        scale=how["scale"] if config.input_scale is None else config.input_scale,
    )
