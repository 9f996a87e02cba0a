"""Show how large the map is that a run's net attends to, before the logistic function.

    ./maap python examples/map_range.py RUN [--phase 1] [--data DATA]

The Elimination layer takes the mean over the channels of a layer's map and puts it through the
logistic function, which makes all large values equal: from 8 on they differ by less than 0.0004. So
where many values are larger, no threshold can divide them. This prints the mean's least and
greatest value over the test images of the run, some quantiles, and the share of the values above 8.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "python"))

from maap.attention.region_net import RegionNet  # noqa: E402
from maap.errors import MaapError  # noqa: E402
from maap.nets.attention_layers import elimination_of  # noqa: E402
from maap.nets.attention_source import class_map_of  # noqa: E402
from maap.nets.prototxt import read_net  # noqa: E402
from maap.rewrite.rewrite import Pool, batches_of, default_workers  # noqa: E402
from maap.rewrite.worker import Job  # noqa: E402
from maap.runs.request import Request  # noqa: E402
from maap.runs.subject import resolve  # noqa: E402

LARGE = 8  # the logistic function of it is 0.9997
QUANTILES = (0.05, 0.5, 0.95)


def mean_maps(net, weights, split, transform, batch):
    """(N,h,w) float32: the mean over the channels of what the Elimination layer of a resolved
    rewrite net looks at, for every image of a split.

    net, weights: Paths. transform: a `maap.data.feeder.Transform`. Raises MaapError for a net whose
    attention is no mean.
    """
    message = read_net(net)
    if class_map_of(message) is not None:
        raise MaapError(f"{net}: its attention is no mean of a layer's channels")
    blob = elimination_of(message).bottom[0]
    finder = RegionNet(net, weights, batch, attention=False, keep=[blob])
    job = Job.of(split, finder.size, transform, batch)
    batches = batches_of(0, len(split), batch)
    found = []
    with Pool(job, batches, min(default_workers(), len(batches))) as pool:
        for number, indices in enumerate(batches):
            finder.find(pool.loaded(number).images)
            found.append(finder.net.blobs[blob].data[: len(indices)].mean(axis=1))
    return np.concatenate(found)


def lines(maps):
    """What is printed of maps (N,h,w)."""
    ends = ", ".join(f"{100 * q:g} %: {np.quantile(maps, q):.1f}" for q in QUANTILES)
    greatest = maps.max(axis=(1, 2))
    return [
        f"{len(maps)} maps of {maps.shape[1]} x {maps.shape[2]}: {maps.min():.1f} to "
        f"{maps.max():.1f}",
        f"quantiles of the values: {ends}",
        f"greatest value of a map: {greatest.min():.1f} to {greatest.max():.1f}",
        f"values above {LARGE}: {(maps > LARGE).mean():.1%}; maps with any: "
        f"{(greatest > LARGE).mean():.1%}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="its name, or its folder")
    parser.add_argument("--runs-dir", default="runs")
    parser.add_argument("--phase", type=int, default=1, help="whose weights; 1 finds regions")
    parser.add_argument("--data", help="other images, as for maap evaluate")
    request = Request(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as work:
        try:
            found = resolve(request, Path(work))
            if found.finder is None:
                raise MaapError(f"{found.title}: it has no net that finds regions")
            images = found.dataset.split("test")
            net = (found.finder, found.weights)
            maps = mean_maps(*net, images, found.transform, found.batch)
        except MaapError as error:
            sys.exit(f"error: {error}")
    print(f"{found.title}, {found.dataset.name}", *lines(maps), sep="\n")


if __name__ == "__main__":
    main()
