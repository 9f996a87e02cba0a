"""Every setting of a training run, in one place.

`TrainConfig` is what the command line's options, a YAML file (``maap train --config FILE``) and
``maap.train(TrainConfig(...))`` all become. A field that is None takes its value from the preset
(hyperparameters.yaml), and where that is silent from the net folder's solver and train_val files;
what a run used stands in full in its ``config.yaml``.

Each field carries its help, its unit and the source of its default:

    design      docs/design.md        paper   He & Peng, PRCV 2018
    solver      the net folder's solver prototxt, which says where its numbers come from
    demo        measured on the demo set (two CPU cores)
    ours        a choice of ours, with no outside source
"""

import dataclasses
import os
from dataclasses import dataclass, field
from typing import Any, Optional

from maap.config import presets
from maap.config.values import Value
from maap.images.a_star import OPTIONS as A_STARS
from maap.images.region_options import COMPONENTS, THRESHOLD_AT, THRESHOLDS

ATTENTIONS = ("mean", "scaled_mean", "cam", "grad_cam")
HAAP_MODES = ("rewrite", "online")
VARIANTS = ("baseline", "laap", "haap", "maap")
HOSTS = ("fork", "bvlc")
MATH_MODES = ("float", "tf32", "fp16", "bf16")
REGIONS = ("found", "true", "random", "whole")


def _setting(
    default: Value,
    help: str,
    source: str,
    unit: str = "",
    choices: tuple[str, ...] = (),
    group: str = "",
    may_change: bool = False,
    flag: str = "",
) -> Any:
    """A dataclass field with what the command line and the documentation need to know of it;
    ``flag``: the option, where it is not the field's name."""
    about = dict(help=help, source=source, unit=unit, choices=choices, group=group, flag=flag)
    return field(default=default, metadata=dict(about, may_change=may_change))


@dataclass
class TrainConfig:
    """The settings of one run; see the module's text. `validate` says what cannot be."""

    # What is trained, on what
    net: str = _setting(
        "alexnet", "Net: a name under prototxt/, or a folder like prototxt/alexnet.", "design"
    )
    data: str = _setting(
        "demo",
        "Images: demo or demo_hard (built in); a published data set that `maap data --help` lists "
        "(folder or archive); a folder train/CLASS/*.jpg [test/CLASS/*.jpg]; or a data set that "
        "`maap data` made.",
        "design",
    )
    name: Optional[str] = _setting(
        None, "Name of the run, the folder in --runs-dir. Default: NET-VARIANT-DATA.", "ours"
    )
    runs_dir: str = _setting("runs", "Folder of the runs.", "design", may_change=True)
    weights: Optional[str] = _setting(
        None,
        "Start from this .caffemodel (layers are matched by name) or .pth of torchvision, or from "
        "published weights, downloaded once: published (the net's own), or a name of "
        "`maap weights list`. Default: random weights; squeezenet: published.",
        "paper",
    )
    allow_partial: bool = _setting(
        False, "Accept --weights that have less than half of the net's layers.", "design"
    )
    allow_partial_data: bool = _setting(
        False, "Take --data that is only a part of a published data set.", "design"
    )
    from_scratch: Optional[bool] = _setting(
        None,
        "Use MSRA fillers and one learning rate for all layers. Default: only where all weights "
        "are random. Without --weights, squeezenet does not start from its published ones then.",
        "He et al. 2015, arXiv 1502.01852",
    )
    input_scale: Optional[float] = _setting(
        None,
        "Factor on the pixels after the mean is subtracted. Default: the net's own, 0.017 from "
        "scratch.",
        "design",
    )
    image_size: Optional[int] = _setting(
        None,
        "Width and height that images are stored at. Default: 256; for a net whose input is much "
        "smaller or larger, 8/7 of it (448: 512).",
        "published AlexNet",
        unit="pixels",
    )
    resize: str = _setting(
        "warp",
        "How stored images become square. warp: proportions change; short_side: the shorter side "
        "fits, the centre is kept, what is beyond it is cut off.",
        "published solver of the paper's group, for 256 x 256",
        choices=("warp", "short_side"),
    )
    crop_size: Optional[int] = _setting(
        None,
        "Width and height of the net's input, such as 448. The last pooling before the classifier "
        "is changed so that weights for the net's own input still fit. Default: the net's own.",
        "ours",
        unit="pixels",
    )

    # The method
    variant: str = _setting(
        "maap",
        "baseline: the plain net; laap: with Enhancement; haap: with rewritten images; maap: both.",
        "paper, table 1",
        choices=VARIANTS,
        group="method",
    )
    a_star: str = _setting(
        "roi",
        "What a rewritten image shows: roi: the region, enlarged; uncorrelated: the region alone; "
        "drop: all but what is attended to; the others weaken or strengthen pixels by the "
        "attention (`maap table 3` compares the paper's).",
        "design",
        choices=A_STARS,
        group="method",
    )
    threshold_at: str = _setting(
        "input",
        "Find the region after (input) or before (map) the attention map is upsampled.",
        "design",
        choices=THRESHOLD_AT,
        group="method",
    )
    haap_mode: str = _setting(
        "rewrite",
        "For haap and maap. rewrite: write the changed images as a data set for phase 2; online: "
        "change each batch inside phase 2's net and write nothing.",
        "paper (rewrite); ours (online)",
        choices=HAAP_MODES,
        group="method",
        flag="--haap",
    )
    control: bool = _setting(
        False,
        "baseline, laap: a phase 2 on the original images, as long as that of haap and maap, to "
        "compare them with.",
        "ours",
        group="method",
    )
    phase1_from: Optional[str] = _setting(
        None,
        "Take phase 1 from this run (its name or folder) instead of training it. The run must have "
        "the same settings for phase 1.",
        "ours",
        group="method",
    )
    dropout_after: Optional[str] = _setting(
        None,
        "Put Dropout after this layer of the baseline: relu1 to relu5 of AlexNet.",
        "paper, table 2",
        group="method",
    )
    batch_norm: Optional[str] = _setting(
        None,
        "What batch normalisation uses while training. frozen: the statistics of --weights; train: "
        "those of each batch. Default: frozen with --weights, else train.",
        "published ResNet-152; design",
        choices=("frozen", "train"),
        group="method",
    )
    batch_norm_fraction: Optional[float] = _setting(
        None,
        "With --batch-norm train: share of the running statistics that a batch keeps. Default: the "
        "net's own.",
        "net; demo",
        group="method",
    )
    rounds: int = _setting(
        1, "How many times images are rewritten and trained on.", "paper, algorithm 1", "rounds",
        group="method",
    )  # fmt: skip

    # The region
    regions: str = _setting(
        "found",
        "For haap and maap: what the images of phase 2 are cut by. found: the regions that the net "
        "found. To compare with: true: the true boxes; random: boxes of the same sizes anywhere in "
        "the image; whole: the whole image, so that nothing changes.",
        "paper (found); ours",
        choices=REGIONS,
        group="region",
    )
    threshold: str = _setting(
        "otsu",
        "What a pixel's attention must be greater than. otsu: the value that divides the map best; "
        "mean: the map's mean; fraction: a share of the way from its least to its greatest value.",
        "paper (otsu); MMAL-Net, arXiv 2003.09150 (mean); WS-DAN, arXiv 1901.09891 (fraction)",
        choices=THRESHOLDS,
        group="region",
    )
    threshold_fraction: float = _setting(
        0.5, "That share, from 0 to less than 1.", "WS-DAN, arXiv 1901.09891", group="region"
    )
    component: str = _setting(
        "largest",
        "Which connected part of the foreground the region bounds: the largest, or the strongest, "
        "which holds the map's greatest value.",
        "paper (largest); ours (strongest)",
        choices=COMPONENTS,
        group="region",
    )
    connectivity: int = _setting(
        8, "Whether pixels that meet at a corner are connected (8) or not (4).", "ours",
        group="region",
    )  # fmt: skip
    padding: float = _setting(
        0.0,
        "Share of its width that the region grows by on the left and on the right, and of its "
        "height above and below; 0 to 10.",
        "ours",
        group="region",
    )
    border: int = _setting(
        0,
        "Rows and columns at each edge of the attention map whose values are replaced by those "
        "beside them: the zero padding of convolutions leaves its mark there.",
        "ours",
        group="region",
    )
    attention: str = _setting(
        "mean",
        "What the region is found from. mean: the mean over the channels of a layer's map; "
        "scaled_mean: the same, divided by its greatest value before the logistic function, which "
        "makes large values all but equal. The others show one class, the image's own in "
        "rewriting, the predicted one in testing. cam: the map that the classifier averages, for "
        "nets that end in an average pooling; grad_cam: the layer's channels, weighted by the "
        "gradient of the class's score.",
        "paper (mean); ours (scaled_mean); Zhou et al. 2016 (cam); Selvaraju et al. 2017, arXiv "
        "1610.02391 (grad_cam)",
        choices=ATTENTIONS,
        group="region",
    )
    attention_layer: Optional[str] = _setting(
        None,
        "Layer whose map the region is found from (not with cam). Default: the net's own.",
        "paper, section 3",
        group="region",
    )

    # The solver (Caffe's own terms)
    preset: str = _setting(
        "auto",
        "Set of defaults: demo, finetune (with --weights) or scratch; auto picks one.",
        "ours",
        choices=("auto",) + presets.NAMES,
        group="solver",
    )
    seed: int = _setting(1, "Random seed: order, crops, initial weights, dropout.", "ours",
                         group="solver")  # fmt: skip
    batch: Optional[int] = _setting(
        None, "Images in one iteration.", "net; demo", "images", group="solver"
    )
    max_iter: Optional[int] = _setting(
        None, "Most iterations of phase 1.", "solver; demo", "iterations", group="solver"
    )
    phase2_iter: Optional[int] = _setting(
        None,
        "Most iterations of a phase after a rewriting.",
        "solver; demo",
        "iterations",
        group="solver",
    )
    base_lr: Optional[float] = _setting(
        None, "Learning rate at the start of phase 1.", "solver; demo", group="solver"
    )
    phase2_lr: Optional[float] = _setting(
        None, "Learning rate at the start of later phases.", "solver; demo", group="solver"
    )
    lr_policy: Optional[str] = _setting(
        None,
        "How the learning rate falls.",
        "solver; demo",
        choices=("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid"),
        group="solver",
    )
    gamma: Optional[float] = _setting(None, "Factor of lr_policy.", "solver; demo", group="solver")
    power: Optional[float] = _setting(
        None, "Exponent of lr_policy inv and poly.", "solver; demo", group="solver"
    )
    stepsize: Optional[int] = _setting(
        None,
        "Iterations between two steps of lr_policy step.",
        "solver; demo",
        "iterations",
        group="solver",
    )
    stepvalue: Optional[list[int]] = _setting(
        None,
        "Iterations at which multistep lowers the rate, such as 100,200.",
        "solver",
        "iterations",
        group="solver",
    )
    momentum: Optional[float] = _setting(None, "Momentum.", "solver; demo", group="solver")
    weight_decay: Optional[float] = _setting(None, "Weight decay.", "solver; demo", group="solver")
    clip_gradients: Optional[float] = _setting(
        None, "Scale the gradient down to this L2 norm when it is larger.", "solver", group="solver"
    )
    iter_size: Optional[int] = _setting(
        None,
        "Batches whose gradients are added up before the weights change.",
        "solver",
        "batches",
        group="solver",
    )
    converge_window: Optional[int] = _setting(
        None,
        "A phase ends early when the mean training loss over this many iterations ...",
        "design; ours",
        "iterations",
        group="solver",
    )
    converge_fraction: Optional[float] = _setting(
        None,
        "... has fallen by less than this share against the window before; 0: never early.",
        "design; ours",
        group="solver",
    )

    # Reports and safety
    display: Optional[int] = _setting(
        None,
        "Iterations between two lines of Caffe's log.",
        "solver",
        "iterations",
        group="output",
        may_change=True,
    )
    snapshot: Optional[int] = _setting(
        None,
        "Iterations between two snapshots, from which a run can be resumed.",
        "solver; ours",
        "iterations",
        group="output",
        may_change=True,
    )
    test_interval: int = _setting(
        0,
        "Iterations between two tests on the test images; 0: test only at the end.",
        "ours",
        "iterations",
        group="output",
    )

    tensorboard: bool = _setting(
        False, "Also write event files for TensorBoard, to RUN/tensorboard (needs tensorboardX).",
        "ours", group="output", may_change=True,
    )  # fmt: skip

    # The machine
    host: str = _setting(
        os.environ.get("MAAP_HOST") or "fork", "Which Caffe does the work (./maap --host sets it).",
        "design", choices=HOSTS, group="machine",
    )  # fmt: skip
    gpu: Optional[int] = _setting(
        None,
        "GPU number. Default: $MAAP_DEFAULT_GPU or, if that is not set, the CPU.",
        "Caffe",
        group="machine",
        may_change=True,
    )
    math: str = _setting(
        "float",
        "What activations are stored in and matrices multiplied in, in training and where images "
        "are rewritten. On the CPU: float or bf16. Tests compute in float.",
        "ours",
        choices=MATH_MODES,
        group="machine",
    )
    threads: Optional[int] = _setting(
        None,
        "CPU threads. Default: all cores. The same number gives the same bytes.",
        "ours",
        "threads",
        group="machine",
        may_change=True,
    )
    ranks: int = _setting(
        1,
        "Processes that train together, each with a batch of its own; the cores are divided among "
        "them. They are started here; under mpirun or srun, leave it out. Needs the engine.",
        "ours",
        "processes",
        group="machine",
        may_change=True,
    )
    resume: bool = _setting(
        False, "Continue a run that was stopped or killed.", "design", group="machine",
        may_change=True,
    )  # fmt: skip

    @property
    def laap(self) -> bool:
        """Whether the nets have the Enhancement layer."""
        return self.variant in ("laap", "maap")

    @property
    def haap(self) -> bool:
        """Whether training images are changed by the high-level attention."""
        return self.variant in ("haap", "maap")

    @property
    def online(self) -> bool:
        """Whether they are changed in the training net, not written."""
        return self.haap and self.haap_mode == "online"

    @property
    def images_per_iteration(self) -> int:
        """Of training, over all ranks, in resolved settings."""
        return (self.batch or 1) * (self.iter_size or 1) * self.ranks


FIELDS: dict[str, dataclasses.Field] = {f.name: f for f in dataclasses.fields(TrainConfig)}


def in_group(group: str) -> list[str]:
    """The names of the fields of a group."""
    return [name for name, each in FIELDS.items() if each.metadata["group"] == group]


def option_name(name: str) -> str:
    """The command line's option of a field: ``--base-lr``."""
    return FIELDS[name].metadata["flag"] or "--" + name.replace("_", "-")
