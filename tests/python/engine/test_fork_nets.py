"""The nets of tests/nets/forks, in the styles of other forks: they open, run and learn."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

import caffe
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "nets" / "forks"
ITERATIONS = 10
Fill = Union[np.ndarray, Callable[[np.random.RandomState, tuple], np.ndarray]]


def whole(below: int, least: int = 0) -> Fill:
    """Random whole numbers from `least` to `below` - 1."""
    return lambda random, shape: random.randint(least, below, shape)


def share(rate: float, value: float = 1) -> Fill:
    """`value` at a share of the places, 0 elsewhere."""
    return lambda random, shape: value * (random.uniform(size=shape) < rate)


def regions(random: np.random.RandomState, shape: tuple) -> np.ndarray:
    """Regions of image 0, of 32 x 32 pixels: index, x1, y1, x2, y2."""
    first = random.randint(0, 16, (shape[0], 2))
    return np.hstack([np.zeros((shape[0], 1)), first, first + random.randint(4, 16, first.shape)])


def flow(random: np.random.RandomState, shape: tuple) -> np.ndarray:
    """A true flow of which one value is not known."""
    values = random.normal(size=shape)
    values[0, :, 1, 1] = np.nan
    return values


def first_steps(_: np.random.RandomState, shape: tuple) -> np.ndarray:
    """Indicators of sequences that all begin at step 0."""
    return (np.arange(shape[0]) > 0)[:, np.newaxis] * np.ones(shape)


@dataclass(frozen=True)
class Case:
    """A net: its dialect, its loss if it can learn, and what its inputs hold (else noise)."""

    name: str
    dialect: str
    loss: str = ""
    fill: Mapping[str, Fill] = field(default_factory=dict)
    rate: float = 0.05
    layers: Mapping[str, str] = field(default_factory=dict)  # layer: LayerParameter.dialect
    skipped: tuple = ()  # what the log warns of

    def __str__(self) -> str:
        return self.name


BOXES = np.array(
    [
        [0, 1, 0, 0.1, 0.1, 0.5, 0.5, 0],
        [0, 2, 0, 0.5, 0.4, 0.9, 0.9, 0],
        [1, 1, 0, 0.2, 0.3, 0.6, 0.8, 0],
    ]
).reshape(1, 1, 3, 8)
NV_NET = tuple(
    f"default_{way}_{what}" for way in ("forward", "backward") for what in ("type", "math")
)
CASES = [
    Case("ssd_train", "ssd", "mbox_loss", {"label": BOXES}, 0.001, {"conv4_3_norm": "ssd"}),
    Case("ssd_deploy", "ssd"),
    Case(
        "fast_rcnn",
        "textboxes",  # which has scale_train as well
        "loss_cls",
        {"rois": regions, "labels": whole(3), "bbox_loss_weights": share(0.3)},
        0.01,
        {"loss_bbox": "ssd"},
    ),
    Case(
        "faster_rcnn",
        "pvanet",
        "rpn_cls_loss",
        {
            "im_info": np.array([[64, 64, 1]]),
            "rpn_labels": whole(2, -1),
            "rpn_bbox_inside_weights": share(0.2),
            "rpn_bbox_outside_weights": share(0.2, 0.01),
        },
        0.2,
        {"rpn_loss_bbox": "faster_rcnn"},
    ),
    Case("faster_rcnn_regions", "pvanet", fill={"im_info": np.array([[96, 128, 1]])}),
    Case(
        "rfcn",
        "ms_caffe",
        "loss_cls",
        {"rois": regions, "labels": whole(3), "bbox_loss_weights": share(0.3)},
        0.5,
    ),
    Case("pspnet", "pspnet", "loss", {"label": whole(4)}, layers={"conv1/bn": "pspnet"}),
    Case(
        "segnet",
        "segnet",
        "loss",
        {"label": whole(4)},
        layers={"conv1_1_bn": "segnet", "upsample1": "segnet"},
        skipped=("weight_by_label_freqs", "class_weighting"),
    ),
    Case("enet", "segnet", "loss", {"label": whole(3)}, layers={"bn1": "segnet"}),
    Case("deeplab2", "pspnet", "loss", {"label": whole(4)}, 0.5, skipped=("update_global_stats",)),
    Case("deconvnet", "deconvnet", "seg_loss", {"label": whole(3)}, layers={"bn1_1": "segnet"}),
    Case("mobilenet", "yolo_eric612", "loss", {"label": whole(3)}),
    Case("shufflenet", "shufflenet_holmesshuan", "loss", {"label": whole(3)}, 0.02),
    Case("senet", "senet", "loss", {"label": whole(3)}),
    Case("yolo_reorg", "yolo_eric612", layers={"upsample": "yolo_eric612"}),
    Case(
        "crnn",
        "crnn",
        "ctcloss",
        {"label": np.array([[1, 2, 0], [3, 0, 0], [2, 4, 1], [1, 0, 0]])},
    ),
    Case(
        "caffe_ocr",
        "caffe_ocr",
        "ctcloss",
        {
            "label": np.array([[1, 2, 4], [3, 4, 4], [2, 0, 1], [1, 4, 4]]),
            "lengths": np.array([6, 4, 6, 5]),
            "indicator": first_steps,
        },
    ),
    Case(
        "textboxes",
        "textboxes",
        "loss",
        {"cont": first_steps, "label": np.array([[0, 1], [2, -1], [3, -1], *[[-1, -1]] * 3])},
        layers={"loss": "textboxes"},
    ),
    Case("center_loss", "caffe_face", "softmax_loss", {"label": whole(4)}, 0.01),
    Case("triplet", "happynear", "loss", rate=0.2, layers={"norm_p": "happynear"}),
    Case(
        "focal",
        "focal_chuanqi305",
        "focal_loss",
        {"label": whole(3)},
        layers={"focal_loss": "focal_chuanqi305"},
    ),
    Case("stn", "stn", "loss", {"label": whole(3)}),
    Case("flownet", "flownet2", "flow_loss", {"flow_gt": flow}, 0.01, {"flow_loss": "flownet2"}),
    Case(
        "nv017",
        "nv017",
        "bbox_loss",
        rate=0.002,
        layers={"bbox_loss": "nv017"},
        skipped=(*NV_NET, "forward_type", "cudnn_math_override", "conv_algos_override"),
    ),
    Case("intel", "", "loss", {"label": whole(3)}, skipped=("engine MKLDNN", "engine MKL2017")),
]


def path_of(case: Case) -> Path:
    return FOLDER / f"{case.name}.prototxt"


def cases(learning: bool = False) -> list:
    """The cases as parameters."""
    return [pytest.param(case, id=case.name) for case in CASES if case.loss or not learning]


def fill(net: caffe.Net, case: Case) -> None:
    """Writes a net's inputs, the same ones each time."""
    random = np.random.RandomState(1)
    for name in net.inputs or inputs_of(net):
        blob = net.blobs[name]
        given: Optional[Fill] = case.fill.get(name)
        noise = random.normal(size=blob.data.shape)
        values = given(random, blob.data.shape) if callable(given) else given
        blob.data[...] = noise if values is None else values


def inputs_of(net: caffe.Net) -> list:
    """The tops of the first layer, Input."""
    return net.top_names[net._layer_names[0]]


@pytest.fixture
def all_lines():
    caffe.init_log(0)
    yield
    caffe.init_log(1)


def test_every_file_has_a_case():
    assert sorted(path_of(case) for case in CASES) == sorted(FOLDER.glob("*.prototxt"))
    assert len(CASES) >= 20


@pytest.mark.parametrize("case", cases())
def test_opens_and_runs(case, capfd, all_lines):
    net = caffe.Net(str(path_of(case)), caffe.TEST)
    log = capfd.readouterr().err
    found = re.findall(r"Dialect: (\w+) \(from ", log)
    assert found == ([case.dialect] if case.dialect else [])
    dialects = {
        name: dialect
        for layer in log.split("layer {\n")
        for name, dialect in re.findall(r'\A  name: "([^"]+)"[\s\S]*\n  dialect: "(\w+)"', layer)
    }
    assert {name: dialects.get(name) for name in case.layers} == dict(case.layers)
    for name in case.skipped:
        assert len(re.findall(rf"'{name}' is a field of|{name} is one of", log)) == 1, name
    fill(net, case)
    before = {name: net.blobs[name].data.copy() for name in inputs_of(net)}
    for name, values in net.forward().items():
        assert np.isfinite(values).all(), name
    for name, values in before.items():
        assert np.array_equal(net.blobs[name].data, values, equal_nan=True), name


@pytest.mark.parametrize("case", cases(learning=True))
def test_learns(case, tmp_path):
    solver_file = tmp_path / "solver.prototxt"
    solver_file.write_text(
        f'net: "{path_of(case)}" base_lr: {case.rate} lr_policy: "fixed" momentum: 0.9 '
        "max_iter: 100 random_seed: 3 snapshot: 0 snapshot_after_train: false solver_mode: CPU"
    )
    solver = caffe.get_solver(str(solver_file))
    fill(solver.net, case)
    losses = []
    for _ in range(ITERATIONS):
        solver.step(1)
        losses.append(float(solver.net.blobs[case.loss].data))
    assert np.isfinite(losses).all()
    assert max(losses[-3:]) < 0.95 * losses[0], losses
