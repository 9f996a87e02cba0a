#!/usr/bin/env python3
"""Writes RA-CNN's files with two SqueezeNets; --check says whether they are as it would write them.

    python prototxt/squeezenet/racnn/generate.py                      # the files of this folder
    python prototxt/squeezenet/racnn/generate.py --out DIR --data DATA --classes 100     # others

The method is J. Fu, H. Zheng and T. Mei, "Look Closer to See Better: Recurrent Attention
Convolutional Neural Network for Fine-grained Image Recognition" (CVPR 2017). Its authors published
no training files; README.md says what is ours.
"""

import argparse
import math
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "prototxt"))

from caffe import NetSpec, layers, params  # noqa: E402
from caffe.proto import caffe_pb2  # noqa: E402
from google.protobuf import text_format  # noqa: E402
from recipe import deliver  # noqa: E402

SQUEEZENET = runpy.run_path(str(HERE.parent / "generate.py"))["squeezenet"]
SIDE = 227  # of what a SqueezeNet takes
MEAN = (104, 117, 123)  # B, G, R
FINE = "fine_"  # before the names of the second scale's layers and blobs
LEARNT = ("Convolution", "InnerProduct")
HALVES = (0.1, 0.5)  # of a square: its half side, as shares of the image's side
# The attention's 25,088 inputs are about 2.4 each; as they are, a step of Adam would drive its TanH
# far into its flat ends.
SMALL = 0.001


@dataclass(frozen=True)
class Settings:
    """What differs between data sets and ways to train."""

    classes: int = 200
    data: str = "data/cub"  # a data set of maap; its images are at least `zoom` times 227 a side
    zoom: int = 1  # the image that the square is cut from is this much larger than 227
    gradient: str = "EXACT"  # AttentionCrop's
    margin: float = 0.05  # of the ranking loss (paper)
    hidden: int = 64  # outputs of the attention's first layer
    batch: int = 16
    test_batch: int = 50
    test_images: int = 5794
    rate: float = 0.001  # of the classifiers
    attention_rate: float = 0.001
    start_iterations: int = 2000
    iterations: int = 20000  # of a turn of the classifiers
    attention_iterations: int = 2000  # of a turn of the attention
    seed: int = 1
    prefix: str = "prototxt/squeezenet/racnn/snapshots/"


class Scale:
    """The NetSpec that a body is written into, under names of a scale's own."""

    def __init__(self, spec: NetSpec, data: Any, before: str = "") -> None:
        vars(self).update(spec=spec, data=data, before=before)

    def __setattr__(self, name: str, top: Any) -> None:
        self.spec[self.before + name] = top

    def __getattr__(self, name: str) -> Any:
        return self.spec[self.before + name]

    __setitem__, __getitem__ = __setattr__, __getattr__


def images(n: NetSpec, settings: Settings, phase: str) -> None:
    """n.data (N,3,S,S) and n.label (N) of the phase's images, S = 227 zoom."""
    train = phase == "TRAIN"
    n.data, n.label = layers.Data(
        ntop=2,
        include=dict(phase=getattr(caffe_pb2, phase)),
        transform_param=dict(crop_size=SIDE * settings.zoom, mirror=train, mean_value=MEAN),
        data_param=dict(
            source=f"{settings.data}/{'train' if train else 'test'}_lmdb",
            batch_size=settings.batch if train else settings.test_batch,
            backend=params.Data.LMDB,
        ),
    )


def first_scale(n: NetSpec, settings: Settings) -> Any:
    """The class scores (N,classes,1,1) of the whole image, at 227 x 227."""
    view = n.data
    if settings.zoom > 1:
        size = dict(kernel_size=settings.zoom, stride=settings.zoom)
        n.view = view = layers.Pooling(n.data, pool=params.Pooling.AVE, **size)
    return SQUEEZENET(Scale(n, view))


def attention(n: NetSpec, settings: Settings) -> None:
    """n.square (N,3): tx, ty, tl in pixels, of the first scale's last map; n.share: the same as
    shares of the image's side."""
    filler = dict(weight_filler=dict(type="xavier"))
    half = dict(kernel_size=2, stride=2)
    n.apn_pool = layers.Pooling(n["fire9/concat"], pool=params.Pooling.AVE, **half)
    n.apn_input = layers.Power(n.apn_pool, scale=SMALL)
    n.apn1 = layers.InnerProduct(n.apn_input, num_output=settings.hidden, **filler)
    n.apn_tanh = layers.TanH(n.apn1, in_place=True)
    n.apn2 = layers.InnerProduct(n.apn1, num_output=3, **filler)
    n.apn_sigmoid = layers.Sigmoid(n.apn2, in_place=True)
    n.apn_centre, n.apn_half = layers.Slice(n.apn2, ntop=2, name="apn_slice", slice_point=2)
    n.half_share = layers.Power(n.apn_half, scale=HALVES[1] - HALVES[0], shift=HALVES[0])
    n.share = layers.Concat(n.apn_centre, n.half_share)
    n.square = layers.Power(n.share, scale=SIDE * settings.zoom)


def second_scale(n: NetSpec, settings: Settings, learns: bool) -> Any:
    """The class scores of the square; ``learns``: whether the attention does."""
    param = dict(output_size=SIDE, gradient=getattr(params.AttentionCrop, settings.gradient))
    if settings.gradient == "MASK":
        param["mean_value"] = MEAN
    n.crop = layers.AttentionCrop(
        n.data, n.square, attention_crop_param=param, propagate_down=[False, learns]
    )
    return SQUEEZENET(Scale(n, n.crop, FINE))


def found_square(n: NetSpec, settings: Settings) -> None:
    """n.found (N,3): the square around the Elimination layer's region, as n.share."""
    bottoms = n["fire9/concat"], n.view if settings.zoom > 1 else n.data
    n.rewritten, n.region = layers.Elimination(*bottoms, ntop=2, name="elimination")
    n.x1, n.y1, n.x2, n.y2 = layers.Slice(n.region, ntop=4, name="corners")
    half = dict(operation=params.Eltwise.SUM, coeff=[0.5, 0.5])
    n.x = layers.Eltwise(n.x1, n.x2, **half)
    n.y = layers.Eltwise(n.y1, n.y2, **half)
    half["coeff"] = [-0.5, 0.5]
    n.half_width = layers.Eltwise(n.x1, n.x2, **half)
    n.half_height = layers.Eltwise(n.y1, n.y2, **half)
    n.half = layers.Eltwise(n.half_width, n.half_height, operation=params.Eltwise.MAX)
    n.found_pixels = layers.Concat(n.x, n.y, n.half)
    n.found = layers.Power(n.found_pixels, scale=1 / SIDE)
    n.silence = layers.Silence(n.rewritten, ntop=0)


def start_net(settings: Settings, phase: str) -> Any:
    """The attention learns the Elimination layer's regions; the first scale stays as it is."""
    n = NetSpec()
    images(n, settings, phase)
    scores = first_scale(n, settings)
    attention(n, settings)
    found_square(n, settings)
    n.start_loss = layers.EuclideanLoss(n.share, n.found, propagate_down=[True, False])
    n.unread = layers.Silence(n.label, scores, n.square, ntop=0)
    return finished(n, settings, learning="apn")


def classifiers_net(settings: Settings, phase: str) -> Any:
    """Both scales learn the classes; the attention stays as it is."""
    n = NetSpec()
    images(n, settings, phase)
    first = first_scale(n, settings)
    attention(n, settings)
    second = second_scale(n, settings, learns=False)
    if phase == "TRAIN":
        n.loss1 = layers.SoftmaxWithLoss(first, n.label)
        n.loss2 = layers.SoftmaxWithLoss(second, n.label)
    else:
        probabilities(n, first, second)
        n.accuracy1 = layers.Accuracy(n.prob1, n.label)
        n.accuracy2 = layers.Accuracy(n.prob2, n.label)
        n.accuracy = layers.Accuracy(n.prob, n.label)
    return finished(n, settings, learning="classifiers")


def probabilities(n: NetSpec, first: Any, second: Any) -> None:
    """n.prob1, n.prob2 and their mean n.prob, (N,classes,1,1) each."""
    n.prob1 = layers.Softmax(first)
    n.prob2 = layers.Softmax(second)
    mean = dict(operation=params.Eltwise.SUM, coeff=[0.5, 0.5])
    n.prob = layers.Eltwise(n.prob1, n.prob2, **mean)


def attention_net(settings: Settings, phase: str) -> Any:
    """The attention learns by the ranking loss; both scales stay as they are."""
    n = NetSpec()
    images(n, settings, phase)
    first = first_scale(n, settings)
    attention(n, settings)
    n.prob1 = layers.Softmax(first)
    n.prob2 = layers.Softmax(second_scale(n, settings, learns=True))
    n.rank_loss = layers.ScaleRankLoss(
        n.prob1,
        n.prob2,
        n.label,
        propagate_down=[False, True, False],
        scale_rank_loss_param=dict(margin=settings.margin),
    )
    return finished(n, settings, learning="apn")


def deploy_net(settings: Settings) -> Any:
    """Images in; the probabilities of both scales, their mean and the square out."""
    n = NetSpec()
    side = SIDE * settings.zoom
    n.data = layers.Input(shape=dict(dim=[10, 3, side, side]))
    first = first_scale(n, settings)
    attention(n, settings)
    probabilities(n, first, second_scale(n, settings, learns=False))
    return finished(n, settings, learning="")


def finished(n: NetSpec, settings: Settings, learning: str) -> Any:
    """The net's message: the classes of both scales, rates of 0 for what does not learn, and
    Dropout only where a classifier learns."""
    net = n.to_proto()
    kept = []
    for layer in net.layer:
        if layer.name.endswith("conv10_cub"):
            layer.convolution_param.num_output = settings.classes
        learns = "apn" if layer.name.startswith("apn") else "classifiers"
        if layer.type in LEARNT and learns != learning:
            del layer.param[:]
            if learning:
                layer.param.extend(caffe_pb2.ParamSpec(lr_mult=0, decay_mult=0) for _ in range(2))
        if layer.type != "Dropout" or learning == "classifiers":
            kept.append(layer)
    made = caffe_pb2.NetParameter(name="RA-CNN, two scales of SqueezeNet")
    made.layer.extend(kept)
    return made


def solver(settings: Settings, folder: str, name: str) -> str:
    """The prototxt of one of the three solvers; ``folder`` is where the nets are."""
    tests = math.ceil(settings.test_images / settings.test_batch)
    apn = name != "classifiers"
    iterations = {
        "start": settings.start_iterations,
        "classifiers": settings.iterations,
        "attention": settings.attention_iterations,
    }[name]
    # Adam for the attention: the size of its gradients differs by gradient: and by data set.
    rule = (
        f'type: "Adam"\nbase_lr: {settings.attention_rate}\nlr_policy: "fixed"\n'
        "momentum: 0.9\nmomentum2: 0.999\n"
        if apn
        else f'type: "SGD"\nbase_lr: {settings.rate}\nlr_policy: "step"\ngamma: 0.1\n'
        f"stepsize: {max(1, iterations * 4 // 5)}\nmomentum: 0.9\nweight_decay: 0.0005\n"
        "clip_gradients: 5\n"  # as maap's trainings have; without it the first steps spoil weights
    )
    return (
        f'train_net: "{folder}/{name}.prototxt"\n'
        f'test_net: "{folder}/{"test" if name != "start" else "start_test"}.prototxt"\n'
        f"test_iter: {tests}\ntest_interval: {iterations}\ntest_initialization: false\n{rule}"
        f"display: 20\naverage_loss: 20\nmax_iter: {iterations}\nsnapshot: {iterations}\n"
        f'snapshot_prefix: "{settings.prefix}{name}"\nsolver_mode: CPU\n'
        f"random_seed: {settings.seed}\n"
    )


def texts(settings: Settings, folder: str) -> dict[str, str]:
    """The content of each file, by its name."""
    nets = {
        "start": start_net(settings, "TRAIN"),
        "start_test": start_net(settings, "TEST"),
        "classifiers": classifiers_net(settings, "TRAIN"),
        "attention": attention_net(settings, "TRAIN"),
        "test": classifiers_net(settings, "TEST"),
        "deploy": deploy_net(settings),
    }
    by = "# Written by prototxt/squeezenet/racnn/generate.py\n"
    found = {
        f"{name}.prototxt": by + text_format.MessageToString(net) for name, net in nets.items()
    }
    for name in ("start", "classifiers", "attention"):
        found[f"solver_{name}.prototxt"] = by + solver(settings, folder, name)
    return found


def main() -> int:
    """Write the files, or compare them."""
    default = Settings()
    parser = argparse.ArgumentParser(description="Write the prototxts of RA-CNN.")
    parser.add_argument("--check", action="store_true", help="compare only; 1 if one differs")
    parser.add_argument("--out", default="prototxt/squeezenet/racnn", help="the files' folder")
    parser.add_argument("--data", default=default.data, help="a data set of maap")
    parser.add_argument("--classes", type=int, default=default.classes)
    parser.add_argument("--test-images", type=int, default=default.test_images)
    parser.add_argument("--zoom", type=int, default=default.zoom, help="1: images of 227 x 227")
    parser.add_argument("--gradient", choices=("EXACT", "MASK"), default=default.gradient)
    args = parser.parse_args()
    settings = Settings(
        classes=args.classes,
        data=args.data,
        zoom=args.zoom,
        gradient=args.gradient,
        test_images=args.test_images,
        prefix=f"{args.out}/snapshots/",
    )
    if not args.check:
        (Path(args.out) / "snapshots").mkdir(parents=True, exist_ok=True)
    made = texts(settings, args.out)
    return deliver(made, Path(args.out), args.check, "prototxt/squeezenet/racnn/generate.py")


if __name__ == "__main__":
    sys.exit(main())
