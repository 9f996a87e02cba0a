"""Checks random results against their distribution.

Each check returns integers that are the same on every correct host: ``violations``, how often a
certain property failed (0), and ``likely``, 1 if a statistic is within six standard deviations of
its expected value (a correct host fails once in 10^9 times).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case
from host import Arrays, Host

SIGMAS = 6.0


def run(host: Host, case: Case) -> Arrays:
    host.caffe.set_random_seed(1)
    counts = CHECKS[case.settings["check"]](host, case)
    return {name: np.array(int(value)) for name, value in counts.items()}


def close(value: float, expected: float, deviation: float) -> bool:
    return abs(value - expected) <= SIGMAS * deviation


def even(counts: np.ndarray) -> bool:
    """Whether chi-square of counts that should be equal is within reach of its mean."""
    expected = counts.sum() / counts.size
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    freedom = counts.size - 1
    return close(chi_square, freedom, (2 * freedom) ** 0.5)


def crops(host: Host, case: Case) -> dict:
    """6 x 6 crops of an 8 x 9 ramp: 3 x 4 places, each as likely; every crop in one piece."""
    net = host.net(case)
    counts = np.zeros((3, 4, 2), int)
    violations = 0
    ramp = np.arange(72).reshape(8, 9)
    for _ in range(30):
        net.forward()
        for image in net.blobs["data"].data[:, 0]:
            mirrored = int(image[0, 0] > image[0, 1])
            seen = image[:, ::-1] if mirrored else image
            y, x = divmod(int(seen[0, 0]), 9)
            whole = y <= 2 and x <= 3 and np.array_equal(seen, ramp[y : y + 6, x : x + 6])
            violations += not whole
            if whole:
                counts[y, x, mirrored] += 1
    if case.settings.get("central"):
        counts, elsewhere = counts[1:2, 1:2], counts.sum() - counts[1, 1].sum()
        violations += elsewhere
    if not case.settings.get("mirror"):
        violations += counts[..., 1].sum()
        counts = counts[..., 0]
    return {"violations": violations, "likely": even(counts)}


def dropout(host: Host, case: Case) -> dict:
    """Zeros with probability ``ratio``, the rest scaled by 1 / (1 - ratio); the same ones back."""
    net, ratio = host.net(case), case.settings["ratio"]
    x, y = net.blobs["x"], net.blobs["y"]
    rng = np.random.RandomState(3)
    violations, kept = 0, []
    for _ in range(2):
        x.data[...] = rng.uniform(0.5, 1, x.data.shape)
        net.forward()
        mask = y.data != 0
        y.diff[...] = rng.uniform(0.5, 1, x.data.shape)
        net.backward()
        for before, after in ((x.data, y.data), (y.diff, x.diff)):
            wrong = np.abs(after - np.where(mask, before / (1 - ratio), 0)) > 1e-5 * before / (
                1 - ratio
            )
            violations += np.count_nonzero(wrong)
        kept.append(mask)
    share = float(np.mean(kept))
    agree = float(np.mean(kept[0] == kept[1]))  # of two masks drawn apart
    count = kept[0].size
    alike = ratio**2 + (1 - ratio) ** 2
    return {
        "violations": violations,
        "likely": close(share, 1 - ratio, (ratio * (1 - ratio) / count / 2) ** 0.5)
        and close(agree, alike, (alike * (1 - alike) / count) ** 0.5),
    }


def shuffle(host: Host, case: Case) -> dict:
    """Every epoch has every record once; 20 epochs have more than one order."""
    net = host.net(case)
    orders = []
    for _ in range(20):
        net.forward()
        orders.append(tuple(net.blobs["label"].data.ravel()))
    complete = [sorted(order) == sorted(set(orders[0])) for order in orders]
    return {"violations": complete.count(False), "likely": len(set(orders)) > 3}


def skip(host: Host, case: Case) -> dict:
    """A fresh net starts at one of the first ``skip`` records."""
    starts = []
    for seed in range(40):
        host.caffe.set_random_seed(seed)
        net = host.net(case)
        net.forward()
        starts.append(int(net.blobs["label"].data.item()))
    possible = set(range(case.settings["skip"]))
    return {"violations": len(set(starts) - possible), "likely": len(set(starts)) > 1}


def values_of(host: Host, case: Case) -> Any:
    net = host.net(case)
    net.forward()
    return np.array(net.blobs["y"].data, np.float64)


def filler(host: Host, case: Case) -> dict:
    values, want = values_of(host, case), case.settings
    mean, deviation = float(values.mean()), float(values.std())
    violations = 0
    if want["least"] is not None:
        slack = 1e-6 * (want["greatest"] - want["least"])
        violations += np.count_nonzero(values < want["least"] - slack)
        violations += np.count_nonzero(values > want["greatest"] + slack)
    error = want["deviation"] / values.size**0.5
    return {
        "violations": violations,
        "likely": close(mean, want["mean"], error) and close(deviation, want["deviation"], error),
    }


def unitball(host: Host, case: Case) -> dict:
    values = values_of(host, case)
    sums = values.reshape(values.shape[0], -1).sum(axis=1)
    violations = np.count_nonzero(values < 0) + np.count_nonzero(np.abs(sums - 1) > 1e-4)
    return {"violations": violations, "likely": np.std(values) > 0}


CHECKS = {
    "crops": crops,
    "dropout": dropout,
    "shuffle": shuffle,
    "skip": skip,
    "filler": filler,
    "unitball": unitball,
}
