"""What the generators of all net folders share: a net body in NetSpec in, a folder of files out.

A folder's generate.py describes its network once, with pycaffe's NetSpec, and hands it over as a
``Recipe``. ``run`` makes its layers and has `maap.nets.write` derive every file from them, as
`maap insert` does for other networks.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "python"))  # behind a built pycaffe

from caffe import NetSpec, layers  # noqa: E402
from maap.config import presets  # noqa: E402
from maap.nets.write import NetFolder, Site, SolverValues, batches_for, texts  # noqa: E402
from maap.util.files import write_atomically  # noqa: E402
from maap.util.schema import (  # noqa: E402
    DataParameter,
    LayerParameter,
    TransformationParameter,
    caffe_pb2,
)

CUB_TEST_IMAGES = 5794
# A classifier of CUB-200-2011's species in a net of published weights, and what is said of it.
NEW_CLASSIFIER = dict(
    num_output=200,
    param=[dict(lr_mult=10, decay_mult=1), dict(lr_mult=10, decay_mult=1)],
    weight_filler=dict(type="gaussian", std=0.01),
)
ABOUT_NEW_CLASSIFIER = (
    "The new classifier, 200 species: ten times the learning rate of the layers that\n"
    "start from published weights."
)
TORCHVISION_MEAN = (103.53, 116.28, 123.675)  # B, G, R: 255 x (0.406, 0.456, 0.485)


def fine_tuning(net: str, test_batch: int) -> tuple[int, SolverValues]:
    """The training batch of a net and its Recipe.solver (maap/config/hyperparameters.yaml), which
    tests on all of CUB-200-2011's test images."""
    found = presets.numbers(net, "solver")
    batch, _ = found.pop("batch")
    mode = ("CPU", "`caffe train -gpu 0` uses the GPU whatever is set here")
    test_iter = batches_for(test_batch, CUB_TEST_IMAGES, "CUB's")
    return batch, dict(test_iter=test_iter, **found, solver_mode=mode)


@dataclass(frozen=True)
class Data:
    """Where images come from, and how they enter the net."""

    crop: int
    mean: tuple[float, ...]  # B, G, R
    mean_note: str
    train_batch: int
    test_batch: int
    rewritten: str  # LMDB that phase 2 of the net without Enhancement reads
    rewritten_laap: str  # ... and of the net with it
    train: str = "data/cub/train_lmdb"  # LMDB of the original training images
    test: str = "data/cub/test_lmdb"
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
    solver: SolverValues
    deploy_batch: int = 10
    about: str = ""  # further header lines, the same in every net file
    notes: Mapping[str, str] = field(default_factory=dict)  # layer name -> comment
    dropouts: Mapping[str, str] = field(default_factory=dict)  # after this layer -> Dropout's name


def of_torchvision(
    recipe: Recipe, net: str, name: str, about: str = "", crop: int = 0, **changes: Any
) -> Recipe:
    """The recipe of torchvision's kind of a published net, in prototxt/``net``.

    ``name`` is the net's own; ``about`` goes on where the text on the weights ends; ``crop`` is the
    published net's if 0; ``changes`` are further fields of the recipe.
    """
    _, solver = fine_tuning(net, recipe.data.test_batch)
    data = replace(
        recipe.data,
        crop=crop or recipe.data.crop,
        mean=TORCHVISION_MEAN,
        mean_note="mean_value: 255 times the mean that torchvision's weights expect (B, G, R).",
        rewritten=f"data/cub_haap_{net}/train_lmdb",
        rewritten_laap=f"data/cub_maap_{net}/train_lmdb",
    )
    return replace(
        recipe,
        name=name,
        folder=f"prototxt/{net}",
        what=f"torchvision's {recipe.what}",
        about="torchvision's weights load by layer name once they are in Caffe's format\n"
        f"(maap weights convert); only the classifier is new.{about}",
        data=data,
        solver=solver,
        **changes,
    )


def run(recipe: Recipe) -> int:
    """The command line of a generate.py: write the files, or compare them (--check)."""
    parser = argparse.ArgumentParser(description=f"Write the files in {recipe.folder}/.")
    parser.add_argument("--check", action="store_true", help="compare only; 1 if one differs")
    parser.add_argument("--out", type=Path, default=ROOT / recipe.folder, help="another folder")
    args = parser.parse_args()
    made = texts(describe_folder(recipe))
    return deliver(made, args.out, args.check, f"{recipe.folder}/generate.py")


def deliver(made: Mapping[str, str], out: Path, check: bool, by: str) -> int:
    """Write the files, by their names, into a folder, or compare them; 1 if ``check`` and one
    differs. ``by``: the program that makes them."""
    stale = []
    for name, text in sorted(made.items()):
        path = out / name
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            write_atomically(path, text)
    if stale:
        print(f"{by} would write other text: {', '.join(stale)}")
    return 1 if stale else 0


def describe_folder(recipe: Recipe) -> NetFolder:
    """The recipe as `maap.nets.write` takes it."""
    data = recipe.data
    return NetFolder(
        folder=Path(recipe.folder),
        name=recipe.name,
        what=recipe.what,
        by=f"Written by {recipe.folder}/generate.py: change that and run it, or edit a copy.",
        paths_from="From the root of the repository",
        train=_layers(recipe, "accuracy", "loss"),
        deploy=_layers(recipe, "prob"),
        enhance=Site(*recipe.enhance),
        eliminate=Site(*recipe.eliminate),
        transforms={"TRAIN": _transform(data, mirror=True), "TEST": _transform(data, mirror=False)},
        data={
            "TRAIN": _lmdb(data.train, data.train_batch),
            "TEST": _lmdb(data.test, data.test_batch),
        },
        rewritten={False: data.rewritten, True: data.rewritten_laap},
        solver=recipe.solver,
        deploy_batch=recipe.deploy_batch,
        about=recipe.about,
        mean_note=data.mean_note,
        notes=recipe.notes,
        dropouts=recipe.dropouts,
    )


def _layers(recipe: Recipe, *ends: str) -> list[LayerParameter]:
    """The layers between the data and the classifier, then those named in ``ends``."""
    spec = NetSpec()
    spec.data, spec.label = layers.DummyData(ntop=2)
    scores = recipe.body(spec)
    spec.accuracy = layers.Accuracy(scores, spec.label, include=dict(phase=caffe_pb2.TEST))
    spec.loss = layers.SoftmaxWithLoss(scores, spec.label)
    spec.prob = layers.Softmax(scores)
    made = [layer for layer in spec.to_proto().layer if layer.type != "DummyData"]
    return [
        layer
        for layer in made
        if layer.name in ends or layer.name not in ("accuracy", "loss", "prob")
    ]


def _transform(data: Data, mirror: bool) -> TransformationParameter:
    made = caffe_pb2.TransformationParameter(
        crop_size=data.crop, mirror=mirror, mean_value=data.mean
    )
    if data.scale != 1:
        made.scale = data.scale
    return made


def _lmdb(source: str, batch: int) -> DataParameter:
    backend = caffe_pb2.DataParameter.LMDB
    return caffe_pb2.DataParameter(source=source, batch_size=batch, backend=backend)
