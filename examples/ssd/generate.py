#!/usr/bin/env python3
"""Writes an SSD with a small trunk: train, test and deploy prototxts and their solver.

    python examples/ssd/generate.py                         # the files of this folder, 300 x 300
    python examples/ssd/generate.py --out DIR --data DATA --size 96   # others

The net is W. Liu et al., "SSD: Single Shot MultiBox Detector" (ECCV 2016) in small: 3 x 3
convolutions as in VGG, with a quarter of its channels and batch normalisation, because it is
trained from nothing; boxes are predicted on its last maps, each with priors of its own size.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe import NetSpec, layers, params
from caffe.proto import caffe_pb2
from google.protobuf import text_format

HERE = Path(__file__).resolve().parent
FILLER = dict(type="msra")
MEAN = (104, 117, 123)  # B, G, R
VARIANCE = [0.1, 0.1, 0.2, 0.2]
ASPECT_RATIOS = [2.0]


@dataclass(frozen=True)
class Settings:
    """What differs between sizes of the net and data sets."""

    size: int = 300  # height and width of the input
    classes: int = 11  # the background included
    data: str = "examples/ssd/data"  # what `maap data annotated` wrote
    batch: int = 16
    test_batch: int = 20
    test_images: int = 200
    iterations: int = 2000
    rate: float = 0.001
    prefix: str = "examples/ssd/snapshots/ssd"


def channels_of(size: int) -> tuple[list[int], int]:
    """The channels of each stage of the trunk, and the first stage on whose map boxes are
    predicted: its map has about 19 x 19 places for 300 x 300."""
    if size >= 200:
        return [16, 32, 64, 128, 128, 128], 3
    return [16, 32, 64, 128, 128], 2


def block(n: NetSpec, name: str, bottom: Any, channels: int, training: bool) -> Any:
    """Convolution 3 x 3, batch normalisation, ReLU: (N,C,H,W) to (N,channels,H,W)."""
    conv = layers.Convolution(
        bottom, num_output=channels, kernel_size=3, pad=1, bias_term=False, weight_filler=FILLER
    )
    setattr(n, name, conv)
    normal = layers.BatchNorm(
        conv,
        in_place=True,
        use_global_stats=not training,
        moving_average_fraction=0.9,
        param=[dict(lr_mult=0, decay_mult=0)] * 3,
    )
    setattr(n, f"{name}_bn", normal)
    scaled = layers.Scale(normal, in_place=True, bias_term=True)
    setattr(n, f"{name}_scale", scaled)
    top = layers.ReLU(scaled, in_place=True)
    setattr(n, f"{name}_relu", top)
    return top


def trunk(n: NetSpec, settings: Settings, training: bool) -> list[Any]:
    """The maps that boxes are predicted on, from the largest to the smallest."""
    channels, first = channels_of(settings.size)
    top, sources = n.data, []
    for stage, count in enumerate(channels, start=1):
        top = block(n, f"conv{stage}", top, count, training)
        if stage > first:
            sources.append(top)
        if stage < len(channels):  # a pool that nothing reads would be an output of the net
            top = layers.Pooling(top, kernel_size=2, stride=2, pool=params.Pooling.MAX)
            setattr(n, f"pool{stage}", top)
    return sources


def head(n: NetSpec, sources: list[Any], settings: Settings) -> tuple[Any, Any, Any]:
    """Locations (N,P*4), confidences (N,P*classes) and priors (1,2,P*4)."""
    locations, confidences, priors = [], [], []
    shares = [0.25 + 0.65 * i / len(sources) for i in range(len(sources) + 1)]
    places = 2 + 2 * len(ASPECT_RATIOS)  # two squares, each ratio and its inverse
    for number, source in enumerate(sources):
        name = f"map{number + 1}"
        for kind, outputs, parts in (
            ("loc", 4, locations),
            ("conf", settings.classes, confidences),
        ):
            conv = layers.Convolution(
                source,
                num_output=places * outputs,
                kernel_size=3,
                pad=1,
                weight_filler=dict(type="xavier"),
                param=[dict(lr_mult=1, decay_mult=1), dict(lr_mult=2, decay_mult=0)],
            )
            setattr(n, f"{name}_{kind}", conv)
            permuted = layers.Permute(conv, order=[0, 2, 3, 1])
            setattr(n, f"{name}_{kind}_perm", permuted)
            flat = layers.Flatten(permuted, axis=1)
            setattr(n, f"{name}_{kind}_flat", flat)
            parts.append(flat)
        prior = layers.PriorBox(
            source,
            n.data,
            min_size=round(shares[number] * settings.size),
            max_size=round(shares[number + 1] * settings.size),
            aspect_ratio=ASPECT_RATIOS,
            flip=True,
            clip=False,
            variance=VARIANCE,
        )
        setattr(n, f"{name}_priorbox", prior)
        priors.append(prior)
    n.loc = layers.Concat(*locations, axis=1)
    n.conf = layers.Concat(*confidences, axis=1)
    n.priors = layers.Concat(*priors, axis=2)
    return n.loc, n.conf, n.priors


def augmentation(settings: Settings) -> dict[str, Any]:
    """SSD's transform_param for training: colours, a larger canvas, any interpolation, mirror."""
    modes = params.Resize
    return dict(
        mirror=True,
        mean_value=list(MEAN),
        scale=1 / 64,
        resize_param=dict(
            prob=1,
            resize_mode=modes.WARP,
            height=settings.size,
            width=settings.size,
            interp_mode=[modes.LINEAR, modes.AREA, modes.NEAREST, modes.CUBIC, modes.LANCZOS4],
        ),
        emit_constraint=dict(emit_type=caffe_pb2.EmitConstraint.CENTER),
        distort_param=dict(
            brightness_prob=0.5,
            brightness_delta=32,
            contrast_prob=0.5,
            contrast_lower=0.5,
            contrast_upper=1.5,
            saturation_prob=0.5,
            saturation_lower=0.5,
            saturation_upper=1.5,
            hue_prob=0.5,
            hue_delta=18,
        ),
        expand_param=dict(prob=0.3, max_expand_ratio=2),
    )


def samplers() -> list[dict[str, Any]]:
    """SSD's crops: the whole image, or one that overlaps an object by at least so much."""
    shape = dict(min_scale=0.5, max_scale=1.0, min_aspect_ratio=0.5, max_aspect_ratio=2.0)
    crops: list[dict[str, Any]] = [dict(max_sample=1, max_trials=1)]
    for least in (0.5, 0.7, 0.9):
        limits = dict(min_jaccard_overlap=least)
        crops.append(dict(sampler=shape, sample_constraint=limits, max_sample=1, max_trials=50))
    return crops


def data_layer(n: NetSpec, settings: Settings, training: bool) -> None:
    """n.data (N,3,size,size) and n.label (1,1,G,8)."""
    split = "train" if training else "test"
    plain = dict(
        mean_value=list(MEAN),
        scale=1 / 64,
        resize_param=dict(height=settings.size, width=settings.size),
    )
    own = dict(label_map_file=f"{settings.data}/labelmap.prototxt")
    if training:
        own["batch_sampler"] = samplers()
    n.data, n.label = layers.AnnotatedData(
        ntop=2,
        name="data",
        transform_param=augmentation(settings) if training else plain,
        data_param=dict(
            source=f"{settings.data}/{split}_lmdb",
            batch_size=settings.batch if training else settings.test_batch,
            backend=params.Data.LMDB,
        ),
        annotated_data_param=own,
    )


def train_net(settings: Settings) -> Any:
    """The net that learns: MultiBoxLoss."""
    n = NetSpec()
    data_layer(n, settings, training=True)
    loc, conf, priors = head(n, trunk(n, settings, training=True), settings)
    box = params.PriorBox
    n.mbox_loss = layers.MultiBoxLoss(
        loc,
        conf,
        priors,
        n.label,
        propagate_down=[True, True, False, False],
        loss_param=dict(normalization=params.Loss.VALID),
        multibox_loss_param=dict(
            num_classes=settings.classes,
            overlap_threshold=0.5,
            neg_pos_ratio=3,
            neg_overlap=0.5,
            code_type=box.CENTER_SIZE,
        ),
    )
    return n.to_proto()


def detections(n: NetSpec, settings: Settings) -> None:
    """n.detection_out (1,1,K,7) from n.data."""
    loc, conf, priors = head(n, trunk(n, settings, training=False), settings)
    n.conf_reshape = layers.Reshape(conf, shape=dict(dim=[0, -1, settings.classes]))
    n.conf_softmax = layers.Softmax(n.conf_reshape, axis=2)
    n.conf_flatten = layers.Flatten(n.conf_softmax, axis=1)
    n.detection_out = layers.DetectionOutput(
        loc,
        n.conf_flatten,
        priors,
        num_classes=settings.classes,
        share_location=True,  # these two are defaults, which OpenCV 4 wants to see
        background_label_id=0,
        code_type=params.PriorBox.CENTER_SIZE,
        confidence_threshold=0.01,
        keep_top_k=200,
        nms_param=dict(nms_threshold=0.45, top_k=400),
    )


def test_net(settings: Settings) -> Any:
    """The net that a solver tests with: DetectionEvaluate."""
    n = NetSpec()
    data_layer(n, settings, training=False)
    detections(n, settings)
    n.detection_eval = layers.DetectionEvaluate(
        n.detection_out,
        n.label,
        num_classes=settings.classes,
        overlap_threshold=0.5,
        evaluate_difficult_gt=False,
    )
    return n.to_proto()


def deploy_net(settings: Settings) -> Any:
    """The net for use: one image to detections."""
    n = NetSpec()
    n.data = layers.Input(shape=dict(dim=[1, 3, settings.size, settings.size]))
    detections(n, settings)
    return n.to_proto()


def solver(settings: Settings, folder: str) -> str:
    """The solver's prototxt; ``folder`` is where the nets are."""
    tests = math.ceil(settings.test_images / settings.test_batch)
    return f"""train_net: "{folder}/train.prototxt"
test_net: "{folder}/test.prototxt"
test_iter: {tests}
test_interval: {settings.iterations}
test_initialization: false
eval_type: "detection"
ap_version: "11point"
show_per_class_result: true
type: "Adam"
base_lr: {settings.rate}
lr_policy: "multistep"
gamma: 0.1
stepvalue: {round(0.7 * settings.iterations)}
stepvalue: {round(0.9 * settings.iterations)}
momentum: 0.9
momentum2: 0.999
weight_decay: 0.0005
display: 20
average_loss: 20
max_iter: {settings.iterations}
snapshot: {settings.iterations}
snapshot_prefix: "{settings.prefix}"
solver_mode: CPU
random_seed: 1
"""


def texts(settings: Settings, folder: str) -> dict[str, str]:
    """The content of each file, by its name."""
    nets = {
        "train.prototxt": train_net(settings),
        "test.prototxt": test_net(settings),
        "deploy.prototxt": deploy_net(settings),
    }
    result = {}
    for name, net in nets.items():
        net.name = f"SSD small, {settings.size} x {settings.size}"
        result[name] = "# Written by examples/ssd/generate.py\n" + text_format.MessageToString(net)
    result["solver.prototxt"] = "# Written by examples/ssd/generate.py\n" + solver(settings, folder)
    return result


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Write the prototxts of a small SSD.")
    default = Settings()
    parser.add_argument("--out", default="examples/ssd", help="the folder of the files")
    parser.add_argument("--data", default=default.data, help="what `maap data annotated` wrote")
    parser.add_argument("--size", type=int, default=default.size, help="of the input")
    parser.add_argument("--classes", type=int, default=default.classes, help="with the background")
    parser.add_argument("--iterations", type=int, default=default.iterations)
    parser.add_argument("--test-images", type=int, default=default.test_images)
    args = parser.parse_args()
    settings = Settings(
        size=args.size,
        classes=args.classes,
        data=args.data,
        iterations=args.iterations,
        test_images=args.test_images,
        prefix=f"{args.out}/snapshots/ssd",
    )
    (Path(args.out) / "snapshots").mkdir(parents=True, exist_ok=True)
    for name, text in texts(settings, args.out).items():
        (Path(args.out) / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
