"""maap's commands with --gpu: training, rewriting, evaluation, against the same on the CPU."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest

REPO = Path(__file__).resolve().parents[3]
TINY = str(REPO / "tests" / "nets" / "tiny")
# A rate at which rounding does not grow from iteration to iteration.
SETTINGS = "--image-size 64 --batch 8 --max-iter 12 --phase2-iter 4 --base-lr 0.001 --threads 1"


def maap(*words: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "maap", *words],
        cwd=folder,
        env=dict(os.environ, XDG_CACHE_HOME=str(folder / "cache")),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory, mini_images):
    """A folder with the run `cpu` and the run `gpu`: both phases with both layers."""
    folder = tmp_path_factory.mktemp("runs")
    for name, on in (("cpu", []), ("gpu", ["--gpu", "0"])):
        words = [TINY, "--data", str(mini_images), "--name", name, *SETTINGS.split(), *on]
        maap("train", *words, folder=folder)
    return folder


def metrics(run: Path, phase: int) -> list[list[float]]:
    with (run / f"phase{phase}" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [[float(row[k]) for k in ("iteration", "loss")] for row in rows if row["loss"]]


def test_phase_1_is_that_of_the_cpu(runs):
    cpu, gpu = (metrics(runs / "runs" / name, 1) for name in ("cpu", "gpu"))
    assert len(cpu) == len(gpu) == 12
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3)


def test_the_run_ends_with_a_report(runs):
    run = runs / "runs" / "gpu"
    assert (run / "report.html").is_file()
    assert (run / "phase2" / "final.caffemodel").is_file()
    losses = np.array(metrics(run, 2))
    assert len(losses) == 4 and np.isfinite(losses).all()


def records(folder: Path) -> list[tuple[bytes, bytes]]:
    with lmdb.open(str(folder), readonly=True, lock=False) as env, env.begin() as transaction:
        return list(transaction.cursor())


def test_rewriting_is_that_of_the_cpu(runs):
    """From the same weights: the same regions, and images that differ by rounding alone."""
    for name, on in (("on_cpu", []), ("on_gpu", ["--gpu", "0"])):
        maap("rewrite", "cpu", "--out", name, *on, folder=runs)
    cpu, gpu = (
        list(csv.DictReader((runs / n / "regions.csv").open())) for n in ("on_cpu", "on_gpu")
    )
    assert len(cpu) == len(gpu) == 48
    exact = [k for k in cpu[0] if k in ("key", "x1", "y1", "x2", "y2")]
    assert len(exact) == 5
    for a, b in zip(cpu, gpu):
        assert [a[k] for k in exact] == [b[k] for k in exact]
        for k in a.keys() - set(exact):
            assert float(b[k]) == pytest.approx(float(a[k]), rel=1e-4)
    assert records(runs / "on_cpu" / "train_lmdb") == records(runs / "on_gpu" / "train_lmdb")


def test_evaluation_is_that_of_the_cpu(runs):
    on_cpu = maap("evaluate", "cpu", folder=runs)
    on_gpu = maap("evaluate", "cpu", "--gpu", "0", folder=runs)
    results = [
        [line for line in said.splitlines() if "/s" not in line] for said in (on_cpu, on_gpu)
    ]
    assert results[0] == results[1]
    assert any("top-1" in line for line in results[0])
