"""Writes a net folder for a planned insertion: the files that prototxt/alexnet has, for any net."""

import copy
import shutil
from pathlib import Path
from typing import Any, Optional

from maap.config import presets
from maap.errors import MaapError
from maap.nets import graph, layer_types
from maap.nets.imported import Network
from maap.nets.insert import Plan, describe, with_enhancement
from maap.nets.layer_types import learnt
from maap.nets.prototxt import read_solver, to_text
from maap.nets.resolve import PHASE2, REWRITE_TOPS
from maap.util.files import PARTIAL, cannot_write
from maap.util.schema import caffe_pb2

DEPLOY_BATCH = 10


def write_folder(plan: Plan, settings: dict[str, Any]) -> list[str]:
    """Write the folder ``settings["out"]``; lines that say what was done.

    ``settings`` as in `insert.insert`. Raises MaapError: the folder is there and not empty, the
    disk is full, a solver file that cannot be read.
    """
    out = Path(settings["out"])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MaapError(f"{out}: is there already and not empty; give another --out, or remove it")
    if settings.get("mean"):
        _set_mean(plan.network, settings["mean"])
    renamed = {} if settings.get("keep_classifier") else _new_classifiers(plan.network)
    writer = _Writer(plan, out, _solver_values(settings.get("solver")))
    partial = out.with_name(PARTIAL + out.name)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "snapshots").mkdir(parents=True)
        for name, text in writer.files().items():
            (partial / name).write_text(text, encoding="utf-8")
        if out.exists():
            out.rmdir()
        partial.replace(out)
    except OSError as error:
        raise cannot_write(out, error) from None
    lines = describe(plan, settings.get("enhance_after"), settings.get("eliminate_after"))
    if not writer.enhanced_in_place:
        lines.append("Enhancement has a blob of its own: in place it would spoil a gradient")
    lines += [
        f"classifier {old} is now {new}, ten times the learning rate: weights of other classes "
        "load without it"
        for old, new in renamed.items()
    ]
    lines += _missing_means(plan.network)
    return [*lines, f"{out}: {len(writer.files())} files; maap train --net-dir {out}"]


def _missing_means(network: Network) -> list[str]:
    files = {how.mean_file for how in network.transforms.values() if how.mean_file}
    return [
        f"the mean image {file} is not there: training will ask for it; make it with "
        "compute_image_mean, or insert again with --mean 104,117,123 (ImageNet's)"
        for file in sorted(files)
        if not Path(file).is_file()
    ]


# ---- changes to the network ---------------------------------------------------------------------


def _set_mean(network: Network, mean: list[float]) -> None:
    for transform in network.transforms.values():
        transform.ClearField("mean_file")
        transform.ClearField("mean_value")
        transform.mean_value.extend(mean)


def _new_classifiers(network: Network) -> dict[str, str]:
    """Rename the classifiers and let them learn ten times as fast; old name -> new one.

    The usual convention of fine-tuning: weights load by name, and those of other classes do not
    fit.
    """
    names = [layer.name for layer in (*network.train, *network.path)]
    renamed = {name: graph.unused_name(f"{name}_new", names) for name in network.classifiers}
    for layer in (*network.train, *network.path):
        if layer.name not in renamed:
            continue
        layer.name = renamed[layer.name]
        specs = 1 + int(learnt(layer).bias_term)
        while len(layer.param) < specs:
            layer.param.add(lr_mult=1, decay_mult=1)
        for spec in layer.param:
            spec.lr_mult *= 10
    network.classifiers = [renamed[name] for name in network.classifiers]
    return renamed


def _solver_values(file: Optional[str]) -> dict[str, tuple[Any, str]]:
    """SolverParameter fields as (value, note): those of ``file``, or hyperparameters.yaml's."""
    standard = presets.numbers("any", "solver")
    del standard["batch"]
    standard = dict(test_iter=([100], "x the batch = test images"), **standard)
    if file is None:
        return standard
    given = read_solver(file)
    for name in ("net", "train_net", "test_net", "net_param", "train_net_param", "test_net_param"):
        given.ClearField(name)
    for name in ("snapshot_prefix", "train_state", "test_state", "test_iter", "solver_mode"):
        given.ClearField(name)
    values = {
        field.name: (list(value) if field.label == field.LABEL_REPEATED else value, "")
        for field, value in given.ListFields()
    }
    values["test_iter"] = standard["test_iter"]
    values.setdefault("test_interval", standard["test_interval"])
    return values


# ---- texts --------------------------------------------------------------------------------------


class _Writer:
    """The texts of the folder's files."""

    def __init__(self, plan: Plan, out: Path, solver: dict[str, tuple[Any, str]]) -> None:
        self.plan, self.network, self.out, self.solver = plan, plan.network, out, solver
        self.enhance, self.eliminate = plan.layer_names()
        self.train = self._training_layers()
        self.end = self._softmax()
        command = f"maap insert {self.network.file.name} --enhance-after {plan.enhance.after} "
        self.by = f"Written by: {command}--eliminate-after {plan.eliminate.after}"
        made = next(x for x in self._layers(self.train, True) if x.name == self.enhance)
        self.enhanced_in_place = graph.in_place(made)

    def files(self) -> dict[str, str]:
        """Name -> text."""
        written = {}
        for laap in (False, True):
            end = "_laap.prototxt" if laap else ".prototxt"
            written["train_val" + end] = self._train_val(laap)
            written["deploy" + end] = self._deploy(laap)
            written["rewrite" + end] = self._rewrite(laap)
            written["solver" + end] = self._solver(laap, 1)
            written["solver" + end.replace(".", "_phase2.")] = self._solver(laap, 2)
        return written

    # ---- layers ----

    def _layers(self, layers: list[Any], laap: bool) -> list[Any]:
        if not laap:
            return copy.deepcopy(layers)
        return with_enhancement(layers, self.plan.enhance.after, self.enhance)

    def _training_layers(self) -> list[Any]:
        """The training net's layers behind the data; for a deploy net with what it lacks."""
        network = self.network
        layers = copy.deepcopy(network.train)
        if not network.is_deploy:
            return layers
        for layer in layers:
            _fill(layer)
        names = [layer.name for layer in layers]
        accuracy, loss = (graph.unused_name(name, names) for name in ("accuracy", "loss"))
        ends = [network.scores, "label"]
        measure = caffe_pb2.LayerParameter(
            name=accuracy, type="Accuracy", bottom=ends, top=[accuracy]
        )
        measure.include.add(phase=caffe_pb2.TEST)
        softmax = caffe_pb2.LayerParameter(
            name=loss, type="SoftmaxWithLoss", bottom=ends, top=[loss]
        )
        return [*layers, measure, softmax]

    def _softmax(self) -> Any:
        """What ends the deploy net: the softmax it had, or one of the main loss's scores."""
        network = self.network
        if network.is_deploy:
            end = copy.deepcopy(network.end)
            end.ClearField("include")
            return end
        names = [layer.name for layer in network.path]
        prob = graph.unused_name("prob", names)
        end = caffe_pb2.LayerParameter(
            name=prob, type="Softmax", bottom=[network.scores], top=[prob]
        )
        if network.end.HasField("softmax_param"):
            end.softmax_param.CopyFrom(network.end.softmax_param)
        return end

    def _data_layer(self, phase: str, source: str, stage: str = "", not_stage: str = "") -> Any:
        layer = caffe_pb2.LayerParameter(name="data", type="Data", top=["data", "label"])
        rule = layer.include.add(phase=caffe_pb2.Phase.Value(phase))
        rule.stage.extend([stage] if stage else [])
        rule.not_stage.extend([not_stage] if not_stage else [])
        layer.transform_param.CopyFrom(self.network.transforms[phase])
        layer.data_param.CopyFrom(self.network.data[phase])
        layer.data_param.source = source
        if stage:
            layer.data_param.backend = caffe_pb2.DataParameter.LMDB
        return layer

    def _input_layer(self) -> Any:
        layer = caffe_pb2.LayerParameter(name="data", type="Input", top=["data"])
        layer.input_param.shape.add(dim=[DEPLOY_BATCH, 3, self.network.size, self.network.size])
        return layer

    # ---- nets ----

    def _train_val(self, laap: bool) -> str:
        folder = self.out.name
        sources = {phase: data.source for phase, data in self.network.data.items()}
        train = sources["TRAIN"] or f"data/{folder}/train_lmdb"
        test = sources["TEST"] or f"data/{folder}/test_lmdb"
        rewritten = f"data/{folder}_{'maap' if laap else 'haap'}/train_lmdb"
        parts = [
            (
                "Phase 1: the original training images.",
                self._data_layer("TRAIN", train, not_stage=PHASE2),
            ),
            (
                f'Phase 2 (a solver with train_state {{ stage: "{PHASE2}" }}): the rewritten '
                "images.\nWith an A* other than ROI they are floats with the mean already "
                "subtracted:\ntake the mean out of this layer then.",
                self._data_layer("TRAIN", rewritten, stage=PHASE2),
            ),
            ("Always tested on the original images.", self._data_layer("TEST", test)),
        ]
        parts += [("", layer) for layer in self._layers(self.train, laap)]
        kind = "with Enhancement (LAAP)" if laap else "the baseline"
        return self._text(f"training and testing, {kind}", parts)

    def _deploy(self, laap: bool) -> str:
        layers = [self._input_layer(), *self._layers([*self.network.path, self.end], laap)]
        kind = "with Enhancement (LAAP)" if laap else "the baseline"
        title = f"images in, probabilities out; {kind}"
        return self._text(title, [("", layer) for layer in layers])

    def _rewrite(self, laap: bool) -> str:
        layers = self._layers(self.network.path, laap)
        names = [layer.name for layer in layers]
        after = self.plan.eliminate.after
        if laap and after == self.plan.enhance.after:
            after = self.enhance
        cut = layers[: names.index(after) + 1]
        taken = [blob for layer in cut for blob in layer.top]
        for top in REWRITE_TOPS:  # a blob of that name gives way
            graph.rename_blob(cut, top, graph.unused_name(f"{top}_map", taken))
        blob = cut[-1].top[0]
        kept = graph.ancestors(cut, blob)
        elimination = caffe_pb2.LayerParameter(
            name=self.eliminate,
            type="Elimination",
            bottom=[blob, "data"],
            top=REWRITE_TOPS,
        )
        elimination.python_param.param_str = "a_star: ROI"
        note = (
            f"High-level attention (HAAP): A = logistic(mean over the channels of {blob}), "
            "upsampled\nto the input, Otsu's threshold, largest component, its bounding box R; "
            "D* = A* x data."
        )
        parts = [("", layer) for layer in (self._input_layer(), *kept)]
        kind = "with Enhancement (LAAP)" if laap else "without Enhancement"
        title = f"the rewriting net, up to the Elimination layer, {kind}"
        return self._text(title, [*parts, (note, elimination)])

    def _text(self, title: str, parts: list[tuple[str, Any]]) -> str:
        net = caffe_pb2.NetParameter(name=self.network.name)
        net.layer.extend([layer for _, layer in parts])
        notes = {f"layer[{number}]": note for number, (note, _) in enumerate(parts) if note}
        return to_text(net, f"{self.network.name}: {title}.\n{self.by}", notes)

    # ---- solvers ----

    def _solver(self, laap: bool, phase: int) -> str:
        end = "_laap" if laap else ""
        solver = caffe_pb2.SolverParameter(net=str(self.out / f"train_val{end}.prototxt"))
        notes = {}
        for name, (value, note) in self.solver.items():
            repeated = isinstance(value, list)
            notes[f"{name}[0]" if repeated else name] = note
            if repeated:
                getattr(solver, name).extend(value)
            else:
                setattr(solver, name, value)
        solver.snapshot_prefix = str(self.out / "snapshots" / f"{self.out.name}{end}_phase{phase}")
        subject = "phase 1, on the original images"
        if phase == 2:
            solver.train_state.stage.append(PHASE2)
            notes["train_state"] = "reads the rewritten training images"
            subject = "phase 2, on the rewritten images, from phase 1's weights"
        kind = "with Enhancement (LAAP)" if laap else "without Enhancement"
        header = (
            f"{self.network.name}: the solver of {subject}; {kind}.\n"
            f"Paths are from the folder in which `maap insert` was run.\n{self.by}"
        )
        return to_text(solver, header, notes, first=["net", "train_state", *self.solver])


def _fill(layer: Any) -> None:
    """Give a layer of a deploy net, which has no fillers, some that it can learn from."""
    if layer_types.of(layer).classifies and not learnt(layer).HasField("weight_filler"):
        learnt(layer).weight_filler.type = "msra" if layer.type == "Convolution" else "xavier"
