"""Writes net folders: one description in, the whole set of files out.

Both `prototxt/*/generate.py` and `maap insert` describe their network as a `NetFolder`; `texts`
derives from it

    train_val.prototxt      training and testing          solver.prototxt         phase 1
    deploy.prototxt         images in, probabilities out  solver_phase2.prototxt  phase 2
    rewrite.prototxt        up to the Elimination layer

and the same five with ``_laap`` in the name, which have the Enhancement layer. With ``dropouts``,
``train_val_dropout_LAYER.prototxt`` is the baseline with Dropout after LAYER. The variants are
edits of one list of layers, so they cannot drift apart.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from maap.config.values import Value
from maap.errors import MaapError
from maap.nets.attention_layers import with_elimination, with_enhancement
from maap.nets.prototxt import to_text
from maap.nets.resolve import PHASE2
from maap.util.files import cannot_write, partial_path, sync_file, sync_folder
from maap.util.schema import (
    DataParameter,
    LayerParameter,
    SolverParameter,
    TransformationParameter,
    caffe_pb2,
)

SolverValues = Mapping[str, tuple[Value, str]]  # SolverParameter field -> (value, comment)
Parts = list[tuple[str, LayerParameter]]  # comment before the layer, layer


class Site(NamedTuple):
    """An attention layer of a net: the layer it stands behind, and its own name."""

    after: str
    name: str


@dataclass(frozen=True)
class NetFolder:
    """A network, where its attention layers go, what it is trained on and how."""

    folder: Path  # as the files name it
    name: str  # as in the files' `name:`
    what: str  # the subject of every file's first comment
    by: str  # the last comment at the top: who wrote the file
    paths_from: str  # "From the root of the repository": where the paths in the files start
    # Layers without those that bring images and labels, `data` and `label`, and without attention
    # layers: from the images to the losses; from the images to the probabilities.
    train: Sequence[LayerParameter]
    deploy: Sequence[LayerParameter]
    enhance: Site
    eliminate: Site
    # For each of Caffe's phases, "TRAIN" and "TEST". `data` of TRAIN is that of phase 1.
    transforms: Mapping[str, TransformationParameter]
    data: Mapping[str, DataParameter]
    rewritten: Mapping[bool, str]  # with Enhancement or not -> the LMDB that phase 2 reads
    solver: SolverValues
    deploy_batch: int = 10
    about: str = ""  # further lines at the top of every net
    mean_note: str = ""  # where the mean is from
    notes: Mapping[str, str] = field(default_factory=dict)  # layer -> comment before it
    dropouts: Mapping[str, str] = field(default_factory=dict)  # after this layer -> Dropout's name

    def layers(self, layers: Sequence[LayerParameter], laap: bool) -> list[LayerParameter]:
        """``layers``, with the Enhancement layer when ``laap``."""
        return with_enhancement(layers, *self.enhance) if laap else list(layers)


def write_folder(description: NetFolder, out: Path) -> int:
    """Make the folder ``out`` with all files of a net folder; returns their number.

    The folder appears whole, after its content is on the disk. Raises MaapError when it is there
    and not empty, and when it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MaapError(f"{out}: is there already and not empty; give another --out, or remove it")
    partial, written = partial_path(out), texts(description)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "snapshots").mkdir(parents=True)
        for name, text in written.items():
            (partial / name).write_text(text, encoding="utf-8")
            sync_file(partial / name)
        sync_folder(partial)
        if out.exists():
            out.rmdir()
        partial.replace(out)
        sync_folder(out.parent)
    except OSError as error:
        raise cannot_write(out, error) from None
    return len(written)


def texts(description: NetFolder) -> dict[str, str]:
    """Every file of the folder: name -> text."""
    written = {}
    for laap in (False, True):
        end = "_laap.prototxt" if laap else ".prototxt"
        written["train_val" + end] = _train_val(description, laap)
        written["deploy" + end] = _deploy(description, laap)
        written["rewrite" + end] = _rewrite(description, laap)
        written["solver" + end] = _solver(description, laap, phase=1)
        written["solver" + end.replace(".", "_phase2.")] = _solver(description, laap, phase=2)
    for after in description.dropouts:
        written[f"train_val_dropout_{after}.prototxt"] = _train_val(description, False, after)
    return written


# ---- nets ---------------------------------------------------------------------------------------


def _train_val(net: NetFolder, laap: bool, dropout: str = "") -> str:
    mean = "mean_value lines" if net.transforms["TRAIN"].mean_value else "mean"
    originals = _data_layer(net, "TRAIN", net.data["TRAIN"].source, not_stage=PHASE2)
    rewritten = _data_layer(net, "TRAIN", net.rewritten[laap], stage=PHASE2)
    parts: Parts = [
        (f"Phase 1: the original training images.\n{net.mean_note}".rstrip(), originals),
        (
            f'Phase 2 (a solver with train_state {{ stage: "{PHASE2}" }}): the rewritten images.\n'
            "With an A* other than ROI they are floats with the mean already subtracted:\n"
            f"take the {mean} out of this layer then.",
            rewritten,
        ),
        (
            "Always tested on the original images.",
            _data_layer(net, "TEST", net.data["TEST"].source),
        ),
    ]
    body = _with_notes(net, net.layers(net.train, laap))
    kind = "with Enhancement (LAAP)" if laap else "the baseline"
    if dropout:
        _insert_dropout(net, body, dropout)
        kind = f"Dropout after {dropout} (paper, table 2)"
    return _net_text(net, f"training and testing, {kind}", parts + body)


def _deploy(net: NetFolder, laap: bool) -> str:
    kind = "with Enhancement (LAAP)" if laap else "the baseline"
    body = _with_notes(net, net.layers(net.deploy, laap))
    return _net_text(net, f"images in, probabilities out; {kind}", [("", _input_layer(net)), *body])


def _rewrite(net: NetFolder, laap: bool) -> str:
    layers = net.layers(net.deploy, laap)
    same = laap and net.eliminate.after == net.enhance.after
    after = net.enhance.name if same else net.eliminate.after  # F' is the map then
    layers = with_elimination(layers, after, net.eliminate.name)
    kind = "with Enhancement (LAAP)" if laap else "without Enhancement"
    title = f"the rewriting net, up to the Elimination layer, {kind}"
    return _net_text(net, title, [("", _input_layer(net)), *_with_notes(net, layers)])


def _net_text(net: NetFolder, title: str, parts: Parts) -> str:
    message = caffe_pb2.NetParameter(name=net.name)
    message.layer.extend([layer for _, layer in parts])
    notes = {f"layer[{number}]": note for number, (note, _) in enumerate(parts) if note}
    return to_text(message, _header(f"{net.what}: {title}.", net.about, net.by), notes)


def _header(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _with_notes(net: NetFolder, layers: Sequence[LayerParameter]) -> Parts:
    own = {"Enhancement": _enhancement_note, "Elimination": _elimination_note}
    return [
        (own[layer.type](layer) if layer.type in own else net.notes.get(layer.name, ""), layer)
        for layer in layers
    ]


def _enhancement_note(layer: LayerParameter) -> str:
    blob, top = layer.bottom[0], layer.top[0]
    where = "in place" if blob == top else f"to {top}"
    return (
        f"Low-level attention (LAAP), {where}: A = logistic(mean over the channels of {blob}),\n"
        f"{top} = (1 + A) x {blob}."
    )


def _elimination_note(layer: LayerParameter) -> str:
    return (
        f"High-level attention (HAAP): A = logistic(mean over the channels of {layer.bottom[0]}), "
        "upsampled\n"
        "to the input, Otsu's threshold, largest component, its bounding box R; D* = A* x data.\n"
        "Tops: D* as data; R (N,4) as x1 y1 x2 y2 in pixels, half-open; A (N,1,H,W); per image\n"
        "(N,5): threshold, map minimum, map maximum, component area in pixels, 1 if R is the\n"
        "whole image because there was no foreground.\n"
        "a_star: ROI (default), or another A* (`maap train --help` names them).\n"
        "threshold_at: INPUT (default) | MAP, separated by a blank."
    )


def _insert_dropout(net: NetFolder, parts: Parts, after: str) -> None:
    at = [layer.name for _, layer in parts].index(after)
    blob = parts[at][1].top[0]
    note = f"Dropout where the paper's table 2 compares it with attention, in place after {after}."
    name = net.dropouts[after]
    layer = caffe_pb2.LayerParameter(name=name, type="Dropout", bottom=[blob], top=[blob])
    layer.dropout_param.dropout_ratio = 0.5
    parts.insert(at + 1, (note, layer))


def _data_layer(
    net: NetFolder, phase: str, source: str, stage: str = "", not_stage: str = ""
) -> LayerParameter:
    layer = caffe_pb2.LayerParameter(name="data", type="Data", top=["data", "label"])
    rule = layer.include.add(phase=caffe_pb2.Phase.Value(phase))
    rule.stage.extend([stage] if stage else [])
    rule.not_stage.extend([not_stage] if not_stage else [])
    layer.transform_param.CopyFrom(net.transforms[phase])
    layer.data_param.CopyFrom(net.data[phase])
    layer.data_param.source = source
    if stage:  # what maap writes
        layer.data_param.backend = caffe_pb2.DataParameter.LMDB
    return layer


def _input_layer(net: NetFolder) -> LayerParameter:
    crop = net.transforms["TEST"].crop_size
    layer = caffe_pb2.LayerParameter(name="data", type="Input", top=["data"])
    layer.input_param.shape.add(dim=[net.deploy_batch, 3, crop, crop])
    return layer


# ---- solvers ------------------------------------------------------------------------------------


def batches_for(batch: int, images: int, of: str) -> tuple[list[int], str]:
    """test_iter for ``images`` test images, and the comment that says how many that are:
    ``of`` says whose they are. The last batch begins again from the first image."""
    count = math.ceil(images / batch)
    note = f"x {batch} = {count * batch:,}"
    if count * batch == images:
        return [count], f"{note}: {of} test images"
    again = count * batch - images
    return [count], f"{note}: {of} {images:,} test images and the first {again} once more"


def _solver(net: NetFolder, laap: bool, phase: int) -> str:
    end = "_laap" if laap else ""
    solver = caffe_pb2.SolverParameter(net=str(net.folder / f"train_val{end}.prototxt"))
    notes = {}
    for name, (value, note) in net.solver.items():
        notes[f"{name}[0]" if isinstance(value, list) else name] = note
        _set(solver, name, value)
    snapshots = net.folder / "snapshots" / f"{net.folder.name}{end}"
    solver.snapshot_prefix = f"{snapshots}_phase{phase}"
    file = net.folder / f"solver{end}{'' if phase == 1 else '_phase2'}.prototxt"
    command = f"caffe train -solver {file}"
    if phase == 2:
        solver.train_state.stage.append(PHASE2)
        notes["train_state"] = "reads the rewritten training images"
        weights = f"{snapshots}_phase1_iter_{solver.max_iter}.caffemodel"
        command += f" \\\n      -weights {weights}"
        subject = "phase 2, on the rewritten images, from phase 1's weights"
    else:
        command += " -weights PUBLISHED.caffemodel"
        subject = "phase 1, on the original images"
    header = (
        f"{net.what}: the solver of {subject};\n"
        f"{'with Enhancement (LAAP)' if laap else 'without Enhancement'}.\n"
        f"{net.paths_from}:\n  {command}\n{net.by}"
    )
    return to_text(solver, header, notes, first=["net", "train_state", *net.solver])


def _set(solver: SolverParameter, name: str, value: Value) -> None:
    """Set a field; an enumeration by its number or its name, a repeated one by a list."""
    field = solver.DESCRIPTOR.fields_by_name[name]
    if isinstance(value, list):
        getattr(solver, name).extend(value)
    elif field.enum_type is not None and isinstance(value, str):
        setattr(solver, name, field.enum_type.values_by_name[value].number)
    else:
        setattr(solver, name, value)
