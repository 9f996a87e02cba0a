"""What the generators of all net folders share: one net body in, the whole set of files out.

A folder's generate.py describes its network once, with pycaffe's NetSpec, and hands it over as a
``Recipe``; ``run`` derives from it

    train_val.prototxt      training and testing         solver.prototxt         phase 1
    deploy.prototxt         images in, probabilities out  solver_phase2.prototxt  phase 2
    rewrite.prototxt        up to the Elimination layer

and the same five with ``_laap`` in the name, which have the Enhancement layer. With ``dropouts``,
``train_val_dropout_LAYER.prototxt`` is the baseline with Dropout after LAYER. The variants are
edits of the one layer list, so they cannot drift apart.
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))

from caffe import NetSpec, layers  # noqa: E402
from caffe.proto import caffe_pb2  # noqa: E402
from maap.config import presets  # noqa: E402
from maap.nets.prototxt import to_text  # noqa: E402

PHASE2 = "phase2"  # the stage at which training reads the rewritten images


def fine_tuning(net: str, **first: tuple[Any, str]) -> tuple[int, dict[str, tuple[Any, str]]]:
    """The batch of a net and, after ``first``, its Recipe.solver (maap/hyperparameters.yaml)."""
    found = presets.numbers(net, "solver")
    batch, _ = found.pop("batch")
    mode = ("CPU", "`caffe train -gpu 0` uses the GPU whatever stands here")
    return batch, dict(first, **found, solver_mode=mode)


@dataclass(frozen=True)
class Data:
    """Where images come from, and how they enter the net."""

    crop: int
    mean: tuple[float, ...]  # B, G, R
    mean_note: str
    train_batch: int
    test_batch: int
    train: str  # LMDB of the original training images
    test: str
    rewritten: str  # LMDB that phase 2 of the net without Enhancement reads
    rewritten_laap: str  # ... and of the net with it
    scale: float = 1  # of the mean-subtracted values


@dataclass(frozen=True)
class Recipe:
    """One network: its body, the two insertion points, its data and its solver.

    ``body(spec)`` adds the layers from ``spec.data`` to the classifier and returns the classifier's
    top. ``solver`` maps a SolverParameter field to (value, where the value is from).
    """

    name: str  # as in the files' `name:`
    folder: str  # from the root of the repository
    what: str  # the first comment line's subject
    body: Callable[[NetSpec], Any]
    enhance: tuple[str, str]  # (after this layer, name of the Enhancement layer)
    eliminate: tuple[str, str]
    data: Data
    solver: dict[str, tuple[Any, str]]
    deploy_batch: int = 10
    about: str = ""  # further header lines, the same in every net file
    notes: dict[str, str] = field(default_factory=dict)  # layer name -> comment
    dropouts: dict[str, str] = field(default_factory=dict)  # after this layer -> Dropout's name


def run(recipe: Recipe) -> int:
    """The command line of a generate.py: write the files, or compare them (--check)."""
    parser = argparse.ArgumentParser(description=f"Write the files in {recipe.folder}/.")
    parser.add_argument("--check", action="store_true", help="compare only; 1 if one differs")
    parser.add_argument("--out", type=Path, default=ROOT / recipe.folder, help="another folder")
    args = parser.parse_args()
    stale = []
    for name, text in sorted(files(recipe).items()):
        path = args.out / name
        if args.check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not args.check:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{recipe.folder}/generate.py would write otherwise: {', '.join(stale)}")
    return 1 if stale else 0


def files(recipe: Recipe) -> dict[str, str]:
    """Every prototxt of the folder: name -> text."""
    written = {}
    for laap in (False, True):
        end = "_laap.prototxt" if laap else ".prototxt"
        written["train_val" + end] = _train_val(recipe, laap)
        written["deploy" + end] = _deploy(recipe, laap)
        written["rewrite" + end] = _rewrite(recipe, laap)
        written["solver" + end] = _solver(recipe, laap, phase=1)
        written["solver" + end.replace(".", "_phase2.")] = _solver(recipe, laap, phase=2)
    for after in recipe.dropouts:
        written[f"train_val_dropout_{after}.prototxt"] = _train_val(recipe, False, after)
    return written


# ---- nets ---------------------------------------------------------------------------------------


def _train_val(recipe: Recipe, laap: bool, dropout: str = "") -> str:
    data = recipe.data
    rewritten = data.rewritten_laap if laap else data.rewritten
    heads = [
        (
            f"Phase 1: the original training images.\n{data.mean_note}",
            _data_layer(data, data.train, True, PHASE2, ""),
        ),
        (
            f'Phase 2 (a solver with train_state {{ stage: "{PHASE2}" }}): the rewritten images.\n'
            "With an A* other than ROI they are floats with the mean already subtracted:\n"
            "take the mean_value lines out of this layer then.",
            _data_layer(data, rewritten, True, "", PHASE2),
        ),
        ("Always tested on the original images.", _data_layer(data, data.test, False, "", "")),
    ]
    parts = _layers(recipe, laap, ["accuracy", "loss"])
    kind = "with Enhancement (LAAP)" if laap else "the baseline"
    if dropout:
        _insert_dropout(recipe, parts, dropout)
        kind = f"Dropout after {dropout} (paper, table 2)"
    return _net_text(recipe, f"training and testing, {kind}", heads + parts)


def _deploy(recipe: Recipe, laap: bool) -> str:
    head = [("", _input_layer(recipe))]
    kind = "with Enhancement (LAAP)" if laap else "the baseline"
    return _net_text(
        recipe, f"images in, probabilities out; {kind}", head + _layers(recipe, laap, ["prob"])
    )


def _rewrite(recipe: Recipe, laap: bool) -> str:
    after, name = recipe.eliminate
    parts = _layers(recipe, laap, [])
    names = [layer.name for _, layer in parts]
    kept = parts[: names.index(after) + 1]
    blob = kept[-1][1].top[0]
    elimination = caffe_pb2.LayerParameter(
        name=name,
        type="Elimination",
        bottom=[blob, "data"],
        top=["dstar", "region", "attention", "stats"],
    )
    elimination.python_param.param_str = "a_star: ROI"
    note = (
        f"High-level attention (HAAP): A = logistic(mean over the channels of {blob}), upsampled\n"
        "to the input, Otsu's threshold, largest component, its bounding box R; D* = A* x data.\n"
        "Tops: D* as data; R (N,4) as x1 y1 x2 y2 in pixels, half-open; A (N,1,H,W); per image\n"
        "(N,5): threshold, map minimum, map maximum, component area in pixels, 1 if R is the\n"
        "whole image for want of a foreground.\n"
        "a_star: ROI | UNCORRELATED | ENHANCE | REDUCE | ALLSOFT | ALLSOFT_PLUS_ONE.\n"
        "threshold_at: INPUT (default) | MAP, separated by a blank."
    )
    title = "the rewriting net, up to the Elimination layer, "
    title += "with Enhancement (LAAP)" if laap else "without Enhancement"
    parts = [("", _input_layer(recipe)), *kept, (note, elimination)]
    return _net_text(recipe, title, parts)


def _net_text(recipe: Recipe, title: str, parts: list[tuple[str, Any]]) -> str:
    net = caffe_pb2.NetParameter(name=recipe.name, layer=[layer for _, layer in parts])
    notes = {f"layer[{i}]": note for i, (note, _) in enumerate(parts) if note}
    return to_text(net, f"{recipe.what}: {title}.\n{recipe.about}\n{_written_by(recipe)}", notes)


def _written_by(recipe: Recipe) -> str:
    return f"Written by {recipe.folder}/generate.py: change that and run it, or edit a copy."


def _layers(recipe: Recipe, laap: bool, ends: list[str]) -> list[tuple[str, Any]]:
    """The layers between the data and the classifier, then those named in ``ends``, with notes."""
    spec = NetSpec()
    spec.data, spec.label = layers.DummyData(ntop=2)
    scores = recipe.body(spec)
    spec.accuracy = layers.Accuracy(scores, spec.label, include=dict(phase=caffe_pb2.TEST))
    spec.loss = layers.SoftmaxWithLoss(scores, spec.label)
    spec.prob = layers.Softmax(scores)
    made = [layer for layer in spec.to_proto().layer if layer.type != "DummyData"]
    body = [layer for layer in made if layer.name not in ("accuracy", "loss", "prob")]
    parts = [(recipe.notes.get(layer.name, ""), layer) for layer in body]
    if laap:
        _insert_enhancement(recipe, parts)
    return parts + [("", layer) for layer in made if layer.name in ends]


def _insert_enhancement(recipe: Recipe, parts: list[tuple[str, Any]]) -> None:
    after, name = recipe.enhance
    at = [layer.name for _, layer in parts].index(after)
    blob = parts[at][1].top[0]
    note = (
        f"Low-level attention (LAAP), in place: A = logistic(mean over the channels of {blob}),\n"
        f"{blob} = (1 + A) x {blob}."
    )
    layer = caffe_pb2.LayerParameter(name=name, type="Enhancement", bottom=[blob], top=[blob])
    parts.insert(at + 1, (note, layer))


def _insert_dropout(recipe: Recipe, parts: list[tuple[str, Any]], after: str) -> None:
    at = [layer.name for _, layer in parts].index(after)
    blob = parts[at][1].top[0]
    note = f"Dropout where the paper's table 2 compares it with attention, in place after {after}."
    name = recipe.dropouts[after]
    layer = caffe_pb2.LayerParameter(name=name, type="Dropout", bottom=[blob], top=[blob])
    layer.dropout_param.dropout_ratio = 0.5
    parts.insert(at + 1, (note, layer))


def _data_layer(data: Data, source: str, train: bool, not_stage: str, stage: str) -> Any:
    phase = caffe_pb2.TRAIN if train else caffe_pb2.TEST
    layer = caffe_pb2.LayerParameter(name="data", type="Data", top=["data", "label"])
    rule = layer.include.add(phase=phase)
    rule.stage.extend([stage] if stage else [])
    rule.not_stage.extend([not_stage] if not_stage else [])
    transform = layer.transform_param
    transform.crop_size = data.crop
    transform.mirror = train
    if data.scale != 1:
        transform.scale = data.scale
    transform.mean_value.extend(data.mean)
    layer.data_param.source = source
    layer.data_param.batch_size = data.train_batch if train else data.test_batch
    layer.data_param.backend = caffe_pb2.DataParameter.LMDB
    return layer


def _input_layer(recipe: Recipe) -> Any:
    crop = recipe.data.crop
    layer = caffe_pb2.LayerParameter(name="data", type="Input", top=["data"])
    layer.input_param.shape.add(dim=[recipe.deploy_batch, 3, crop, crop])
    return layer


# ---- solvers ------------------------------------------------------------------------------------


def _solver(recipe: Recipe, laap: bool, phase: int) -> str:
    end = "_laap" if laap else ""
    stem = f"{Path(recipe.folder).name}{end}"
    solver = caffe_pb2.SolverParameter(net=f"{recipe.folder}/train_val{end}.prototxt")
    notes = {}
    for name, (value, note) in recipe.solver.items():
        notes[f"{name}[0]" if isinstance(value, list) else name] = note
        if isinstance(value, list):
            getattr(solver, name).extend(value)
        elif name == "solver_mode":
            solver.solver_mode = caffe_pb2.SolverParameter.SolverMode.Value(value)
        else:
            setattr(solver, name, value)
    solver.snapshot_prefix = f"{recipe.folder}/snapshots/{stem}_phase{phase}"
    file = f"solver{end}{'' if phase == 1 else '_phase2'}.prototxt"
    command = f"caffe train -solver {recipe.folder}/{file}"
    if phase == 2:
        solver.train_state.stage.append(PHASE2)
        notes["train_state"] = "reads the rewritten training images"
        weights = f"{recipe.folder}/snapshots/{stem}_phase1_iter_{solver.max_iter}.caffemodel"
        command += f" \\\n      -weights {weights}"
        subject = "phase 2, on the rewritten images, from phase 1's weights"
    else:
        command += " -weights PUBLISHED.caffemodel"
        subject = "phase 1, on the original images"
    header = (
        f"{recipe.what}: the solver of {subject};\n"
        f"{'with Enhancement (LAAP)' if laap else 'without Enhancement'}.\n"
        f"From the root of the repository:\n  {command}\n{_written_by(recipe)}"
    )
    return to_text(solver, header, notes, first=["net", "train_state", *recipe.solver])
