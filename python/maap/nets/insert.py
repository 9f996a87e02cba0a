"""`maap insert`: the two attention layers for any Caffe classification network.

From a train_val or deploy prototxt (`imported`) it makes a net folder like prototxt/alexnet
(`write`), the layers where they were asked for or are recommended (`placement`), which
``maap train --net-dir`` trains. This runs in the child process; `maap.cli.insert` calls it.
"""

import copy
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from maap.config import presets
from maap.errors import MaapError
from maap.nets import candidates, graph, layer_types
from maap.nets.attention_layers import with_enhancement
from maap.nets.imported import Network, read_network
from maap.nets.placement import Plan, plan
from maap.nets.prototxt import read_solver
from maap.nets.request import InsertRequest
from maap.nets.shapes import blob_shapes
from maap.nets.write import NetFolder, Site, SolverValues, write_folder
from maap.util.schema import LayerParameter, caffe_pb2

_TEST_ITER = 100  # batches; the number of test images is the data's and not known here


def insert(request: InsertRequest) -> list[str]:
    """Write the net folder that is asked for (or, with ``dry_run``, nothing); lines that say what
    is in it.

    Raises MaapError: not a classification network, no such layer, a map that cannot be attended
    to, a folder that is there, a solver file that cannot be read.
    """
    network = read_network(request.file, request.input_size)
    shapes = blob_shapes(network)
    asked = request.enhance_after, request.eliminate_after
    if request.dry_run:
        return candidates.dry_run(network, shapes, *asked)
    if request.out is None:
        raise MaapError("say where the net folder goes: --out DIR (or look first: --dry-run)")
    made = plan(network, shapes, *asked)
    lines = candidates.describe(made, *asked)
    if request.mean:
        _set_mean(network, request.mean)
    renamed = {} if request.keep_classifier else _new_classifiers(network)
    removed = [] if request.keep_classifier else _without_dead_ends(network)
    count = write_folder(describe_folder(made, request.out, request.solver), request.out)
    if not _enhanced_in_place(made):
        lines.append("Enhancement has a blob of its own: in place it would spoil a gradient")
    lines += [
        f"classifier {old} is now called {new} and has ten times the learning rate; it starts from "
        "random numbers, with --weights too"
        for old, new in renamed.items()
    ]
    lines += [
        f"{name}, the ReLU behind {classifier}, is left out: behind a classifier that starts from "
        "random numbers it can become 0 for every image, and then nothing is learnt"
        for name, classifier in removed
    ]
    lines += _missing_means(network)
    return [
        *lines,
        f"{request.out}: {count} files; maap train --net-dir {shlex.quote(str(request.out))}",
    ]


def describe_folder(made: Plan, out: Path, solver: Optional[Path] = None) -> NetFolder:
    """The net folder ``out`` of a planned insertion, for `write.write_folder`."""
    network = made.network
    enhance, eliminate = made.layer_names()
    sources = {phase: data.source for phase, data in network.data.items()}
    for phase, data in network.data.items():
        data.source = sources[phase] or f"data/{out.name}/{phase.lower()}_lmdb"
    command = f"maap insert {network.file.name} --enhance-after {made.enhance.after} "
    return NetFolder(
        folder=out,
        name=network.name,
        what=network.name,
        by=f"Written by: {command}--eliminate-after {made.eliminate.after}",
        paths_from="From the folder in which `maap insert` was run",
        train=_training_layers(network),
        deploy=[*network.path, _softmax(network)],
        enhance=Site(made.enhance.after, enhance),
        eliminate=Site(made.eliminate.after, eliminate),
        transforms=network.transforms,
        data=network.data,
        rewritten={
            laap: f"data/{out.name}_{'maap' if laap else 'haap'}/train_lmdb"
            for laap in (False, True)
        },
        solver=_solver_values(solver, network.data["TEST"].batch_size),
    )


def _enhanced_in_place(made: Plan) -> bool:
    layers = with_enhancement(_training_layers(made.network), made.enhance.after, "enhance")
    return next(graph.in_place(layer) for layer in layers if layer.type == "Enhancement")


def _missing_means(network: Network) -> list[str]:
    files = {how.mean_file for how in network.transforms.values() if how.mean_file}
    return [
        f"the mean image {file} is not there: training will ask for it; make it with "
        "compute_image_mean, or insert again with --mean 104,117,123 (ImageNet's)"
        for file in sorted(files)
        if not Path(file).is_file()
    ]


# ---- changes to the network ---------------------------------------------------------------------


def _set_mean(network: Network, mean: Sequence[float]) -> None:
    for transform in network.transforms.values():
        transform.ClearField("mean_file")
        transform.ClearField("mean_value")
        transform.mean_value.extend(mean)


def _new_classifiers(network: Network) -> dict[str, str]:
    """Rename the classifiers and let them learn ten times as fast; old name -> new one.

    The usual convention of fine-tuning: weights load by name, and those of other classes do not
    fit. One that learns ten times as fast as the others already keeps its rate: with a hundred
    times theirs the training diverges.
    """
    names = [layer.name for layer in (*network.train, *network.path)]
    renamed = {name: graph.unused_name(f"{name}_new", names) for name in network.classifiers}
    usual = _usual_rate(network)
    for layer in (*network.train, *network.path):
        if layer.name not in renamed:
            continue
        layer.name = renamed[layer.name]
        while len(layer.param) < layer_types.blob_count(layer):
            layer.param.add(lr_mult=1, decay_mult=1)
        own = layer.param[0].lr_mult if layer.param else 0
        times = min(10, max(1, 10 * usual / own)) if own > 0 else 10
        for spec in layer.param:
            spec.lr_mult *= times
    network.classifiers = [renamed[name] for name in network.classifiers]
    return renamed


def _usual_rate(network: Network) -> float:
    """The factor at which most layers but the classifiers learn; 1 where all are frozen."""
    rates = [
        layer.param[0].lr_mult if layer.param else 1.0
        for layer in network.path
        if layer_types.of(layer).classifies and layer.name not in network.classifiers
    ]
    learning = [rate for rate in rates if rate > 0]
    return max(learning, key=learning.count) if learning else 1.0


def _without_dead_ends(network: Network) -> list[tuple[str, str]]:
    """Take the ReLUs between the classifiers and the losses out; (name, its classifier) of each.

    SqueezeNet and Network in Network were published with one. It has no weights, and a score below
    0 is as good as one above.
    """
    found: dict[str, str] = {}
    for layers in (network.train, network.path):
        for layer in list(layers):
            classifier = _classifier_before(layers, layer)
            if classifier not in network.classifiers or not graph.can_die(layer):
                continue
            found[layer.name] = classifier
            layers.remove(layer)
            if not graph.in_place(layer):  # the scores keep their name
                graph.rename_blob(layers, layer.bottom[0], layer.top[0])
    return list(found.items())


def _classifier_before(layers: Sequence[LayerParameter], end: LayerParameter) -> str:
    """The classifier whose scores arrive at ``end``, by way of poolings and the like; "": none."""
    before = list(layers)[: list(layers).index(end)]
    found = graph.scorer(before, end.bottom[0]) if end.bottom else None
    return found.name if found is not None else ""


def _training_layers(network: Network) -> list[LayerParameter]:
    """The training net's layers behind the data; for a deploy net with what it lacks."""
    layers = copy.deepcopy(network.train)
    if not network.is_deploy:
        return layers
    for layer in layers:
        _fill(layer, layer.name in network.classifiers)
    names = [layer.name for layer in layers]
    accuracy, loss = (graph.unused_name(name, names) for name in ("accuracy", "loss"))
    ends = [network.scores, "label"]
    measure = caffe_pb2.LayerParameter(name=accuracy, type="Accuracy", bottom=ends, top=[accuracy])
    measure.include.add(phase=caffe_pb2.TEST)
    softmax = caffe_pb2.LayerParameter(name=loss, type="SoftmaxWithLoss", bottom=ends, top=[loss])
    return [*layers, measure, softmax]


def _softmax(network: Network) -> LayerParameter:
    """What ends the deploy net: the softmax it had, or one of the main loss's scores."""
    if network.is_deploy:
        end = copy.deepcopy(network.end)
        end.ClearField("include")
        return end
    prob = graph.unused_name("prob", [layer.name for layer in network.path])
    end = caffe_pb2.LayerParameter(name=prob, type="Softmax", bottom=[network.scores], top=[prob])
    if network.end.HasField("softmax_param"):
        end.softmax_param.CopyFrom(network.end.softmax_param)
    return end


def _fill(layer: LayerParameter, is_classifier: bool) -> None:
    """Give a layer of a deploy net, which has no fillers, some that it can learn from; a classifier
    the one that is usual for it: its scores begin near 0."""
    if not layer_types.of(layer).classifies:
        return
    param = layer_types.learnt(layer)
    if param.HasField("weight_filler"):
        return
    if is_classifier:
        param.weight_filler.type = "gaussian"
        param.weight_filler.std = 0.01
    else:
        param.weight_filler.type = "msra" if layer.type == "Convolution" else "xavier"


# ---- the solver's numbers -----------------------------------------------------------------------


def _solver_values(file: Optional[Path], batch: int) -> SolverValues:
    """SolverParameter fields as (value, comment): those of ``file``, or hyperparameters.yaml's;
    ``batch`` is the number of test images a batch."""
    standard = presets.numbers("any", "solver")
    del standard["batch"]
    images = f"x {batch} = {_TEST_ITER * batch:,} images: set it to yours / {batch}, rounded up"
    test_iter = ([_TEST_ITER], images)
    if file is None:  # what follows a semicolon is about CUB-200-2011
        general = {name: (value, note.split(";")[0]) for name, (value, note) in standard.items()}
        return dict(test_iter=test_iter, **general)
    given = read_solver(file)
    for name in ("net", "train_net", "test_net", "net_param", "train_net_param", "test_net_param"):
        given.ClearField(name)
    for name in ("snapshot_prefix", "train_state", "test_state", "test_iter", "solver_mode"):
        given.ClearField(name)
    values = {
        field.name: (list(value) if field.label == field.LABEL_REPEATED else value, "")
        for field, value in given.ListFields()
    }
    values["test_iter"] = test_iter
    values.setdefault("test_interval", standard["test_interval"])
    return values
