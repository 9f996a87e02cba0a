"""Writes and reads snapshots, weights and data sets; runs the command line tools."""

from __future__ import annotations

import hashlib
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case
from host import Arrays, Host, names
from run_layer import fill_params, keep, params
from run_solver import make, train

ITERATIONS = 50


class Skipped(Exception):
    """The case cannot run; the text says why."""


@contextmanager
def inside(folder: Path):
    """In this folder: a solverstate names its weights relative to where it was written."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def snapshot(host: Host, case: Case) -> Arrays:
    """Trains, writes a snapshot and weights on the way, and trains on."""
    out: Arrays = {}
    with inside(host.folder(case)):
        solver = make(host, case)
        fill_params(case, solver.net)
        train(case, solver, case.settings["snapshot_at"])
        solver.snapshot()
        keep(out, "param_then", params(solver.net, "data"))
        solver.net.save("saved.caffemodel")
        solver.net.save_hdf5("saved.h5")
        losses = train(case, solver, ITERATIONS - case.settings["snapshot_at"])
        out["files"] = names(sorted(path.name for path in Path().glob("s*")))
        out |= described(host)
    keep(out, "param", params(solver.net, "data"))
    keep(out, "loss", losses)
    return out


def described(host: Host) -> Arrays:
    """What the weights files here say besides numbers; text is compared exactly."""
    import h5py

    message = host.caffe.proto.caffe_pb2.NetParameter()
    message.ParseFromString(Path("saved.caffemodel").read_bytes())
    layers = [
        f"{layer.name} {layer.type} {list(layer.bottom)} {list(layer.top)} {layer.phase} "
        f"{[list(blob.shape.dim) for blob in layer.blobs]}"
        for layer in message.layer
    ]
    found: list[str] = []
    with h5py.File("saved.h5", "r") as file:
        file.visititems(lambda name, item: found.append(f"{name} {getattr(item, 'shape', '')}"))
    return {"caffemodel": names(layers), "hdf5": names(found)}


def resume(host: Host, case: Case) -> Arrays:
    """From every host's snapshot to the end; and every host's weights into a fresh net."""
    out: Arrays = {}
    at = case.settings["snapshot_at"]
    ending = ".h5" if "HDF5" in case.settings["solver"] else ""
    for writer, files in host.written.items():
        solver = make(host, case)
        with inside(files / case.settings["of"]):
            solver.restore(f"snap_iter_{at}.solverstate{ending}")
            out[f"{writer}/iteration"] = np.array(solver.iter)
            keep(out, f"{writer}/restored", params(solver.net, "data"))
            losses = train(case, solver, ITERATIONS - at)
            keep(out, f"{writer}/param", params(solver.net, "data"))
            keep(out, f"{writer}/loss", losses)
            for name in ("saved.caffemodel", "saved.h5"):
                keep(out, f"{writer}/{name}", params(loaded(host, case, name), "data"))
    return out


def loaded(host: Host, case: Case, weights: str) -> Any:
    net = host.net(case)
    net.copy_from(weights)
    return net


def tool(host: Host, case: Case) -> Arrays:
    """Runs the commands and returns what they made: records, bytes or text, and what they printed.

    Settings: ``weights`` names a file for the weights of the case's net, ``cifar`` a folder for
    files in the form of CIFAR-10, ``printed`` a program whose output counts; with ``digest`` a data
    set's records count as one hash.
    """
    folder = host.folder(case)
    out: Arrays = {}
    for name, text in case.settings.get("texts", {}).items():
        host.write(case, name, text)
    if "weights" in case.settings:
        net = host.net(case)
        fill_params(case, net)
        net.save(str(folder / case.settings["weights"]))
    if "cifar" in case.settings:
        write_cifar(folder / case.settings["cifar"])
    for number, (program, *arguments) in enumerate(case.settings["commands"]):
        path = host.tool(program)
        if host.tools and not Path(path).exists():
            raise Skipped(f"not built: {program}")
        command = [path, *(host.text(case, argument) for argument in arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [""]
            fatal = [line for line in said if line.startswith(("F", "E"))] or said
            raise RuntimeError(f"{program} ended with {done.returncode}: {fatal[-1]}")
        if program == case.settings.get("printed"):
            printed = done.stdout.replace(str(host.files), "")
            out[f"printed/{number}"] = names(printed.splitlines())
    for name in case.settings["made"]:
        made = contents(host, folder / name)
        if case.settings.get("digest"):
            made = {name: names([digest(made)])}
        out.update(made)
    return out


def write_cifar(folder: Path) -> None:
    """The six files of CIFAR-10, of 10000 images each, few of which are not black."""
    folder.mkdir()
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        images = np.zeros((10000, 1 + 3072), np.uint8)
        images[:, 0] = (np.arange(10000) + number) % 10
        images[::997, 1:] = np.random.RandomState(number).randint(0, 256, (11, 3072))
        (folder / f"{name}.bin").write_bytes(images.tobytes())


def digest(arrays: Arrays) -> str:
    """A hash of the arrays and their names."""
    state = hashlib.sha256()
    for name in sorted(arrays):
        state.update(name.encode() + arrays[name].tobytes())
    return state.hexdigest()


def contents(host: Host, path: Path) -> Arrays:
    """An LMDB's keys and values, a prototxt's fields, any other file's bytes."""
    if path.is_dir():
        import lmdb

        with lmdb.open(str(path), readonly=True, lock=False) as data, data.begin() as records:
            pairs = [(key, value) for key, value in records.cursor()]
        values = {
            f"value/{i}": np.frombuffer(value, np.uint8) for i, (_, value) in enumerate(pairs)
        }
        return {"keys": names(key.decode() for key, _ in pairs), **values}
    if path.suffix == ".prototxt":
        return {"text": names(path.read_text().splitlines())}
    return {path.name: np.frombuffer(path.read_bytes(), np.uint8)}


def read(host: Host, case: Case) -> Arrays:
    """Reads the data set that each host wrote through a Data layer."""
    out: Arrays = {}
    for writer, files in host.written.items():
        source = files / case.settings["of"] / case.settings["source"]
        if not source.exists():
            raise Skipped(f"{writer} wrote no {case.settings['of']}")
        path = host.write(case, "net.prototxt", case.net.replace("@SOURCE@", str(source)))
        net = host.caffe.Net(path, host.caffe.TRAIN)
        net.forward()
        keep(out, writer, {name: blob.data for name, blob in net.blobs.items()})
    return out
