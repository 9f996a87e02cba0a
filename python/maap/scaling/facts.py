"""What a net has to add up, and how long an iteration of it takes on this machine."""

import tempfile
import time
from pathlib import Path
from typing import Optional

import numpy as np

from maap.host import loader, ranks
from maap.host.types import CaffeNet, CaffeSolver
from maap.nets.folder import NetFiles, find_net
from maap.nets.prototxt import read_net, write_text
from maap.nets.resolve import resolve_solver, resolve_train
from maap.nets.transform import data_transform
from maap.runs.snapshots import working_in
from maap.scaling.model import Facts, Work, buckets_of
from maap.util.clock import best_seconds
from maap.util.schema import NetParameter

BUCKET = 4 << 20  # bytes; kBucketBytes of the engine
BACKWARD = 2 / 3  # of an iteration, where only its whole time is known
TIMED = 3  # iterations, after one that does not count


def facts_of(
    net: str, classes: int, batch: Optional[int], step: Optional[float], gpu: Optional[int]
) -> Facts:
    """The facts of a net by its name or folder. batch: images in an iteration of one rank; None:
    the net folder's. step: seconds of such an iteration; None: it is timed here, with random
    images. Raises MaapError: no such net, no GPU."""
    files = find_net(net)
    if batch is None:
        batch = int(data_transform(read_net(files.train_val(False)), "TRAIN")["batch_size"])
    text, made = _solver(files, classes, batch if step is None else 1, gpu)
    params = _params(text, made.net)
    buckets = buckets_of(params, BUCKET)
    if step is None:
        _feed(made.net, classes)
        passes = (made.net.forward, made.net.backward, lambda: made.step(1))
        forward, backward, whole = (best_seconds(each, TIMED) for each in passes)
        update = max(0.0, whole - forward - backward)
    else:
        forward, backward, update = step * (1 - BACKWARD), step * BACKWARD, 0.0
    work = Work(forward / batch, backward / batch, update, buckets)
    values = sum(size for size, _ in params) // 4
    return Facts(Path(files.name).name, batch, classes, work, values, step is None)


def _params(text: NetParameter, net: CaffeNet) -> list[tuple[int, float]]:
    """(bytes, share of the backward pass after which its gradient is complete) of each learnable
    parameter, from the last layer to the first. A layer's part of the pass is taken to be that of
    its multiplications. Parameters with the same name are one, complete after the first layer that
    uses it."""
    layers = [layer for layer in text.layer if layer.name in net.params]
    work = [_multiplications(net, layer.name, layer.top[0]) for layer in layers]
    whole, done = max(sum(work), 1.0), 0.0
    found: dict[object, tuple[int, float]] = {}
    for layer, own in reversed(list(zip(layers, work))):
        done += own
        for index, blob in enumerate(net.params[layer.name]):
            spec = layer.param[index] if index < len(layer.param) else None
            if layer.type == "BatchNorm" or (spec is not None and spec.lr_mult == 0):
                continue
            key = spec.name if spec is not None and spec.name else (layer.name, index)
            found.pop(key, None)
            found[key] = (int(np.prod(blob.shape)) * 4, done / whole)
    return list(found.values())


def _multiplications(net: CaffeNet, layer: str, top: str) -> float:
    """Of a layer and image, roughly: its weights, at each place of its output."""
    shape = net.blobs[top].shape
    places = float(np.prod(shape[2:])) if len(shape) == 4 else 1.0
    return float(np.prod(net.params[layer][0].shape)) * places


def _solver(
    files: NetFiles, classes: int, batch: int, gpu: Optional[int]
) -> tuple[NetParameter, CaffeSolver]:
    """The training net of a net folder, and its solver with random weights, whose iteration is one
    forward and one backward pass."""
    text = resolve_train(files, False, classes, batch, from_scratch=True)
    mode = dict(solver_mode="CPU" if gpu is None else "GPU", random_seed=1, iter_size=1)
    solver = resolve_solver(files, False, 1, mode)
    caffe = loader.load()
    loader.set_device(caffe, gpu)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(text, folder / "net.prototxt")
        write_text(solver, folder / "solver.prototxt")
        with working_in(folder):
            return text, caffe.get_solver("solver.prototxt")


def _feed(net: CaffeNet, classes: int) -> None:
    """Give each forward pass the same random images."""
    random = np.random.RandomState(0)
    images = random.randn(*net.blobs["data"].shape).astype(np.float32)
    labels = random.randint(0, classes, net.blobs["label"].shape)

    def fill(layer: int) -> None:
        if layer == 0:
            net.blobs["data"].data[...] = images
            net.blobs["label"].data[...] = labels

    net.before_forward(fill)


def step_seconds(
    net: str, classes: int, batch: int, iterations: int, together: bool, gpu: Optional[int] = None
) -> float:
    """The median seconds of an iteration of the ranks of `ranks.here`, of ``batch`` images each,
    from barrier to barrier; ``together``: they train one net, else each its own, so that the
    difference is what the sums cost. Called on every rank."""
    group = ranks.here()
    _, solver = _solver(find_net(net), classes, batch, gpu)
    _feed(solver.net, classes)
    if together and group.size > 1:
        solver.train_together(group)
    times = []
    for _ in range(iterations + 1):
        group.barrier()
        started = time.monotonic()
        solver.step(1)
        group.barrier()
        times.append(time.monotonic() - started)
    return float(np.median(times[1:]))
