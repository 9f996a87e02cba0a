"""Files that one host writes and the other reads, and the tools that make and convert data sets."""

from __future__ import annotations

from .case import RUN_LIMIT, Case, layer
from .nets import V0, V1
from .solvers import FED, INPUTS, perceptron

SOLVERS = {
    "sgd": 'base_lr: 0.1 momentum: 0.9 lr_policy: "step" gamma: 0.5 stepsize: 15',
    "adam": 'type: "Adam" base_lr: 0.02 momentum: 0.9 momentum2: 0.999 lr_policy: "fixed"',
    "adadelta": 'type: "AdaDelta" base_lr: 1 momentum: 0.95 delta: 1e-6 lr_policy: "fixed"',
    "multistep": 'base_lr: 0.1 lr_policy: "multistep" gamma: 0.3 stepvalue: 10 stepvalue: 30',
}
SNAPSHOT_AT = 20


def snapshots() -> list[Case]:
    """Per solver and format: training with a snapshot, and continuing from each host's snapshot."""
    out = []
    for name, text in SOLVERS.items():
        for form in ("BINARYPROTO", "HDF5"):
            text_in_form = (
                f'{text} weight_decay: 0.01 snapshot_format: {form} snapshot_prefix: "snap"'
            )
            settings = {"solver": text_in_form, "snapshot_at": SNAPSHOT_AT}
            more = {"net": FED + perceptron(), "inputs": INPUTS, "limit": RUN_LIMIT}
            wrote = f"snapshot_{name}_{form.lower()}"
            group = "Snapshots"
            out.append(Case(wrote, group, "snapshot", settings=settings, **more))
            settings = {**settings, "of": wrote}
            resumed = f"resume_{name}_{form.lower()}"
            out.append(Case(resumed, group, "resume", settings=settings, **more))
    return out


def lmdb(source: str, batch: int = 6) -> str:
    body = f'data_param {{ source: "{source}" backend: LMDB batch_size: {batch} }}'
    return layer("Data", body, (), ("data", "label"))


def tools() -> list[Case]:
    files, out = "@FILES@", "@OUT@"
    convert = ["convert_imageset", "--backend=lmdb"]
    listed = [f"{files}/", f"{files}/images.txt"]
    size = ["--resize_height=12", "--resize_width=10"]
    runs = {
        "convert": [*size],
        "convert_gray": [*size, "--gray"],
        "convert_encoded": ["--encoded"],
        "convert_encoded_png": ["--encoded", "--encode_type=png", *size],
        "convert_encoded_jpg": ["--encoded", "--encode_type=jpg", *size],
        "convert_original_sizes": [],
    }
    cases = []
    for name, flags in runs.items():
        command = [*convert, *flags, *listed, f"{out}/made_lmdb"]
        settings = {"commands": [command], "made": ["made_lmdb"]}
        cases.append(Case(name, "Tools", "tool", settings=settings, exact=("*",)))
    mean = [
        [*convert, *size, *listed, f"{out}/made_lmdb"],
        ["compute_image_mean", "--backend=lmdb", f"{out}/made_lmdb", f"{out}/mean.binaryproto"],
    ]
    stored = [
        ["compute_image_mean", "--backend=lmdb", f"{files}/bytes_lmdb", f"{out}/mean.binaryproto"]
    ]
    floats = [
        ["compute_image_mean", "--backend=lmdb", f"{files}/floats_lmdb", f"{out}/mean.binaryproto"]
    ]
    for name, commands in (("mean", mean), ("mean_stored", stored), ("mean_floats", floats)):
        settings = {"commands": commands, "made": ["mean.binaryproto"]}
        cases.append(Case(name, "Tools", "tool", settings=settings, exact=("*",)))
    for name, text in (("v1", V1), ("v0", V0)):
        settings = {
            "texts": {"old.prototxt": text},
            "commands": [["upgrade_net_proto_text", f"{out}/old.prototxt", f"{out}/new.prototxt"]],
            "made": ["new.prototxt"],
        }
        cases.append(Case(f"upgrade_{name}_text", "Tools", "tool", settings=settings, exact=("*",)))
    settings = {
        "texts": {"old.prototxt": 'net: "x" base_lr: 1 lr_policy: "fixed" solver_type: ADAGRAD\n'},
        "commands": [["upgrade_solver_proto_text", f"{out}/old.prototxt", f"{out}/new.prototxt"]],
        "made": ["new.prototxt"],
    }
    cases.append(Case("upgrade_solver_text", "Tools", "tool", settings=settings, exact=("*",)))
    settings = {"of": "convert", "source": "made_lmdb"}
    read = {"settings": settings, "exact": ("*",), "net": lmdb("@SOURCE@")}
    cases.append(Case("read_converted", "Tools", "read", **read))
    return cases


def cases() -> list[Case]:
    return snapshots() + tools()
