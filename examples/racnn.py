"""Train RA-CNN with two SqueezeNets on a data set of maap, and show what its squares are worth.

    ./maap python examples/racnn.py demo_hard published --seeds 1 2 3

The attention starts from the Elimination layer's regions; then classifiers and attention learn in
turns (Fu, Zheng and Mei, "Look Closer to See Better", 2017). For each seed it prints one line of
JSON: top-1 of the first scale, of the second and of the mean of both, and how well the squares fit
the true boxes, after the start and after each turn. The nets are those of
prototxt/squeezenet/racnn. `study_row` makes a row of a study (docs/studies.md):
`maap study methods` has two.
"""

import argparse
import json
import runpy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import caffe
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "python"))

from maap.data.find import find_data  # noqa: E402
from maap.data.store import Dataset  # noqa: E402
from maap.images.boxes import iou  # noqa: E402
from maap.weights.published import find_weights  # noqa: E402

FOLDER = ROOT / "prototxt" / "squeezenet" / "racnn"
# What a row of a study depends on, beside this file.
STUDY_FILES = (FOLDER / "generate.py", FOLDER / "start_weights.py")
STUDY_NETS = ("squeezenet",)
RACNN = runpy.run_path(str(FOLDER / "generate.py"))
DOUBLED = runpy.run_path(str(FOLDER / "start_weights.py"))["doubled"]
SIDE = RACNN["SIDE"]
STORED = 256  # pixels a side of the images of a data set that is made now
TURNS = 2


def overlaps(squares, boxes, shift, side):
    """The intersection over union of each square (tx, ty, tl), cut to the image, with a box.

    squares: (N, 3) in pixels of the net's input, side x side, which lies ``shift`` pixels inside
    the stored image; boxes: (N, 4) in pixels of the stored image, x1, y1, x2, y2. Returns (N,).
    """
    centre, half = squares[:, :2], squares[:, 2:]
    corners = np.clip(np.hstack([centre - half, centre + half]), 0, side) + shift
    return np.array([iou(square, box) for square, box in zip(corners, boxes)])


class Training:
    """The nets of one seed in a folder of their own, and the weights between its turns.

    start: the weights of both scales (`doubled`).
    """

    def __init__(self, folder, settings, data, start):
        self.folder, self.settings, self.data = folder, settings, data
        for name, text in RACNN["texts"](settings, str(folder)).items():
            (folder / name).write_text(text)
        self.first, self.latest = start, folder / "latest.caffemodel"
        self.whole = False  # whether `latest` has both scales: the start's net has no second one
        self.records = data.split("test").records

    def load(self, net):
        """Give a net the weights so far."""
        if not self.whole:
            net.copy_from(str(self.first))
        if self.latest.exists():
            net.copy_from(str(self.latest))
        return net

    def test_net(self, name):
        """A net for the test images, with the weights so far."""
        return self.load(caffe.Net(str(self.folder / f"{name}.prototxt"), caffe.TEST))

    def train(self, name, iterations):
        """Train by solver_NAME.prototxt; returns the mean of the last 20 losses."""
        caffe.set_random_seed(self.settings.seed)
        trained = caffe.get_solver(str(self.folder / f"solver_{name}.prototxt"))
        self.load(trained.net)
        (loss,) = [b for b in trained.net.outputs if b.endswith("loss")] or ["loss2"]
        losses = []
        for _ in range(iterations):
            trained.step(1)
            losses.append(float(trained.net.blobs[loss].data))
        trained.net.save(str(self.latest))
        self.whole = name != "start"
        return round(float(np.mean(losses[-20:])), 4)

    def test(self):
        """Top-1 of both scales and of their mean, and the squares' fit, over all test images."""
        net = self.test_net("test")
        right, squares, count = dict(prob1=0, prob2=0, prob=0), [], len(self.records)
        while len(squares) < count:
            net.forward()
            left = count - len(squares)
            labels = net.blobs["label"].data[:left].astype(int)
            for blob in right:
                scores = net.blobs[blob].data[:left].reshape(len(labels), -1)
                right[blob] += int((scores.argmax(axis=1) == labels).sum())
            squares.extend(net.blobs["square"].data[:left].copy())
        names = dict(prob1="scale 1", prob2="scale 2", prob="mean of both")
        found = {names[blob]: round(100 * n / count, 2) for blob, n in right.items()}
        return {**found, **self.fit(np.array(squares))}

    def regions(self):
        """The mean IoU of what the start learns: the squares around the Elimination layer's regions
        of the test images, by the first scale as it is; None if the images have no boxes."""
        net, squares = self.test_net("start_test"), []
        while len(squares) < len(self.records):
            net.forward()
            squares.extend(net.blobs["found"].data * SIDE * self.settings.zoom)
        return self.fit(np.array(squares[: len(self.records)])).get("IoU")

    def fit(self, squares):
        """The squares beside the true boxes: mean IoU, the share above 0.5, and the mean IoU of a
        square around the image's centre with the same half sides."""
        boxed = [n for n, record in enumerate(self.records) if record.box is not None]
        side = SIDE * self.settings.zoom
        found = {"half side, share": round(float(squares[:, 2].mean()) / side, 3)}
        if not boxed:
            return found
        boxes = np.array([self.records[n].box for n in boxed])
        shift = (self.data.size[0] - side) // 2
        iou = overlaps(squares[boxed], boxes, shift, side)
        centred = squares[boxed].copy()
        centred[:, :2] = side / 2
        found["IoU"] = round(float(iou.mean()), 4)
        found["IoU above 0.5"] = round(100 * float((iou > 0.5).mean()), 2)
        found["IoU of centred squares"] = round(
            float(overlaps(centred, boxes, shift, side).mean()), 4
        )
        return found


def doubled(weights, folder):
    """The file, in a folder, of the weights that both scales start from."""
    path = folder / "start.caffemodel"
    path.write_bytes(DOUBLED(str(weights)).SerializeToString())
    return path


def one_seed(folder, settings, data, start, turns):
    """Train with one seed; what is printed for it.

    start: the file that `doubled` made. turns: of the attention and the classifiers, each a
    quarter of the classifiers' first training.
    """
    training = Training(folder, settings, data, start)
    found, rows = training.regions(), []
    for turn in range(turns + 1):
        row, iterations = dict(turn=turn), settings.iterations
        if turn == 0:
            row["start loss"] = training.train("start", settings.start_iterations)
        else:
            row["attention loss"] = training.train("attention", settings.attention_iterations)
            iterations = max(1, iterations // 4)
        row["classifiers loss"] = training.train("classifiers", iterations)
        rows.append({**row, **training.test()})
    return {
        "seed": settings.seed,
        "gradient": settings.gradient,
        "zoom": settings.zoom,
        "IoU of the found regions' squares": found,
        "rows": rows,
    }


def for_data(settings, data, **changes):
    """The settings for a data set, with other changes."""
    own = dict(classes=len(data.classes), data=str(data.folder))
    return replace(settings, **own, test_images=len(data.split("test").records), **changes)


def demo_settings():
    """The settings with the iterations that the demo sets need."""
    turns = dict(start_iterations=60, iterations=240, attention_iterations=40)
    return replace(RACNN["Settings"](), **turns)


def study_row(data, weights, seed, gradient="EXACT"):
    """A row of a study: top-1 of the mean of both scales as ``top1``, of the second one, which sees
    the squares, as ``cut``, and all that `one_seed` found as ``found``.

    data: the folder of a data set of maap. weights: SqueezeNet v1.1's. Shares are 0 to 1.
    """
    opened = Dataset.open(Path(data))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        changes = dict(seed=seed, gradient=gradient, prefix=f"{folder}/")
        own = for_data(demo_settings(), opened, **changes)
        found = one_seed(folder, own, opened, doubled(weights, folder), TURNS)
    last = found["rows"][-1]
    return {"top1": last["mean of both"] / 100, "cut": last["scale 2"] / 100, "found": found}


def main():
    default = demo_settings()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="demo, demo_hard, or the folder of a data set of maap")
    parser.add_argument("weights", help="SqueezeNet v1.1's: published, or a .caffemodel")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--turns", type=int, default=TURNS, help="of the attention, after its start"
    )
    parser.add_argument("--gradient", choices=("EXACT", "MASK"), default=default.gradient)
    parser.add_argument("--zoom", type=int, default=default.zoom)
    parser.add_argument("--batch", type=int, default=default.batch)
    parser.add_argument("--start-iterations", type=int, default=default.start_iterations)
    parser.add_argument(
        "--iterations", type=int, default=default.iterations, help="of the classifiers, at first"
    )
    parser.add_argument(
        "--attention-iterations", type=int, default=default.attention_iterations, help="each turn"
    )
    parser.add_argument("--rate", type=float, default=default.rate)
    parser.add_argument("--attention-rate", type=float, default=default.attention_rate)
    options = vars(parser.parse_args())
    data = Dataset.open(find_data(options.pop("data"), STORED))
    weights = find_weights(options.pop("weights"), "squeezenet")
    seeds, turns = options.pop("seeds"), options.pop("turns")
    settings = for_data(default, data, **options)
    with tempfile.TemporaryDirectory() as shared:
        start = doubled(weights, Path(shared))
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                own = replace(settings, seed=seed, prefix=f"{folder}/")
                row = one_seed(Path(folder), own, data, start, turns)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
