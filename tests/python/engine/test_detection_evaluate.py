"""DetectionEvaluate and the average precisions of its rows beside NumPy in double."""

import re

import caffe
import numpy as np
import pytest
from fork_nets import forward, load, one

CLASSES = 4  # the background included


def made_up(seed, images=3, count=40):
    """Detections (1,1,K,7) and true boxes (1,1,G,8); many detections are near a true box."""
    random = np.random.RandomState(seed)
    truths, found = [], []
    for image in range(images):
        for _ in range(random.randint(1, 6)):
            corner, size = random.uniform(0, 0.6, 2), random.uniform(0.1, 0.4, 2)
            label = random.randint(1, CLASSES)
            truths.append([image, label, 0, *corner, *(corner + size), random.rand() < 0.3])
    for _ in range(count):
        image, label, _, *box, _ = truths[random.randint(len(truths))]
        box = np.asarray(box) + random.uniform(-0.06, 0.06, 4)
        label = label if random.rand() < 0.8 else random.randint(1, CLASSES)
        found.append([image, label, random.rand(), *box])
    shape = (1, 1, -1)
    return (
        np.array(found, np.float32).reshape(*shape, 7),
        np.array(truths, np.float32).reshape(*shape, 8),
    )


def overlaps(box, boxes):
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return shared / (np.prod(box[2:] - box[:2]) + areas - shared)


def judged(found, truths, threshold, with_difficult):
    """{class: (number of true boxes, [(score, true, false)])}, by the rules, in double."""
    found, truths = found[0, 0].astype(float), truths[0, 0].astype(float)
    result = {}
    for label in range(1, CLASSES):
        of_class = truths[truths[:, 1] == label]
        count = len(of_class) if with_difficult else int((of_class[:, 7] == 0).sum())
        rows, taken = [], set()
        for detection in sorted(found[found[:, 1] == label], key=lambda row: -row[2]):
            there = np.flatnonzero(of_class[:, 0] == detection[0])
            near = overlaps(detection[3:], of_class[there, 3:7])
            if not len(near) or near.max() < threshold:
                rows.append((detection[2], 0, 1))
                continue
            best = there[near.argmax()]
            if of_class[best, 7] and not with_difficult:
                rows.append((detection[2], 0, 0))
            else:
                rows.append((detection[2], int(best not in taken), int(best in taken)))
                taken.add(best)
        result[label] = (count, rows)
    return result


def average_precision(count, rows, version):
    rows = [row for row in sorted(rows, key=lambda row: -row[0]) if row[1] or row[2]]
    if not rows or not count:
        return 0.0
    true, false = np.cumsum([row[1] for row in rows]), np.cumsum([row[2] for row in rows])
    recall, precision = true / count, true / (true + false)
    if version == "11point":
        levels = [precision[recall >= k / 10].max(initial=0) for k in range(11)]
        return float(np.mean(levels))
    if version == "MaxIntegral":
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * np.diff(recall, prepend=0)).sum())


@pytest.mark.parametrize("with_difficult", [True, False])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_rows_are_the_rules(threshold, with_difficult):
    param = (
        f"detection_evaluate_param {{ num_classes: {CLASSES} overlap_threshold: {threshold} "
        f"evaluate_difficult_gt: {str(with_difficult).lower()} }}"
    )
    kinds = set()
    for seed in range(10):
        found, truths = made_up(seed)
        arrays = {"found": found, "truths": truths}
        rows = forward(load(one("DetectionEvaluate", param, arrays)), arrays)[0, 0]
        expected = judged(found, truths, threshold, with_difficult)
        heads, rest = rows[: CLASSES - 1], rows[CLASSES - 1 :]
        assert (heads[:, [0, 3, 4]] == -1).all()
        assert heads[:, 1:3].tolist() == [[label, n] for label, (n, _) in expected.items()]
        order = np.lexsort((-rest[:, 2], rest[:, 1], rest[:, 0]))
        assert (order == np.arange(len(rest))).all()
        for label, (_, wanted) in expected.items():
            of_class = rest[rest[:, 1] == label]
            got = sorted((tuple(row) for row in of_class[:, 2:].tolist()), key=lambda r: -r[0])
            assert got == [tuple(map(float, row)) for row in wanted]
            kinds |= {row[1:] for row in got}
    assert kinds >= {(1, 0), (0, 1)} and ((0, 0) in kinds) == (not with_difficult)


NET = """layer {{ name: "in" type: "Input" top: "found" top: "truths" input_param {{
  shape {{ dim: 1 dim: 1 dim: {} dim: 7 }} shape {{ dim: 1 dim: 1 dim: {} dim: 8 }} }} }}
layer {{ name: "e" type: "DetectionEvaluate" bottom: "found" bottom: "truths"
  top: "detection_eval" detection_evaluate_param {{ num_classes: 4 }} }}"""
TRAIN = """layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 } } }
layer { name: "loss" type: "Reduction" bottom: "x" top: "loss" loss_weight: 1 }"""


@pytest.mark.parametrize("version", ["11point", "MaxIntegral", "Integral"])
def test_a_solver_shows_the_mean_average_precision(version, tmp_path, capfd):
    found, truths = made_up(3, count=60)
    (tmp_path / "test.prototxt").write_text(NET.format(found.shape[2], truths.shape[2]))
    (tmp_path / "train.prototxt").write_text(TRAIN)
    (tmp_path / "solver.prototxt").write_text(
        f'train_net: "{tmp_path}/train.prototxt" test_net: "{tmp_path}/test.prototxt" '
        'test_iter: 1 test_interval: 1 base_lr: 0 lr_policy: "fixed" snapshot_after_train: false '
        f'max_iter: 1 eval_type: "detection" ap_version: "{version}" '
        "show_per_class_result: true test_initialization: false"
    )
    solver = caffe.get_solver(str(tmp_path / "solver.prototxt"))
    solver.test_nets[0].blobs["found"].data[...] = found
    solver.test_nets[0].blobs["truths"].data[...] = truths
    caffe.init_log(0)
    try:
        solver.solve()
    finally:
        caffe.init_log(1)
    log = capfd.readouterr().err
    expected = {
        label: average_precision(count, rows, version)
        for label, (count, rows) in judged(found, truths, 0.5, True).items()
    }
    for label, wanted in expected.items():
        shown = float(re.search(rf"class{label}: (\S+)", log).group(1))
        assert shown == pytest.approx(wanted, abs=1e-5)
    mean = float(re.search(r"    Test net output #0: detection_eval = (\S+)", log).group(1))
    assert mean == pytest.approx(np.mean(list(expected.values())), abs=1e-5)
    assert 0.2 < mean < 0.95
