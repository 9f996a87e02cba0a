"""Files that one host writes and the other reads, and the tools that make and convert data sets."""

from __future__ import annotations

from .case import RUN_LIMIT, Case, input_layer, layer
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


def data(source: str, backend: str = "LMDB", batch: int = 6) -> str:
    body = f'data_param {{ source: "{source}" backend: {backend} batch_size: {batch} }}'
    return layer("Data", body, (), ("data", "label"))


def tools() -> list[Case]:
    files, out = "@FILES@", "@OUT@"
    convert = ["convert_imageset", "--backend=lmdb"]
    listed = [f"{files}/", f"{files}/images.txt"]
    # Of other files BVLC Caffe stores what has other channels than were asked for.
    lists = {"convert_encoded": "color_images", "convert_encoded_gray": "gray_images"}
    size = ["--resize_height=12", "--resize_width=10"]
    runs = {
        "convert": [*size],
        "convert_gray": [*size, "--gray"],
        "convert_encoded": ["--encoded"],
        "convert_encoded_gray": ["--encoded", "--gray"],
        "convert_encoded_png": ["--encoded", "--encode_type=png", *size],
        "convert_encoded_jpg": ["--encoded", "--encode_type=jpg", *size],
        "convert_original_sizes": [],
    }
    cases = []
    for name, flags in runs.items():
        chosen = f"{files}/{lists.get(name, 'images')}.txt"
        command = [*convert, *flags, f"{files}/", chosen, f"{out}/made_lmdb"]
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
    read = {"settings": settings, "exact": ("*",), "net": data("@SOURCE@")}
    cases.append(Case("read_converted", "Tools", "read", **read))
    return cases


def examples() -> list[Case]:
    """The programs of Caffe's examples."""
    files, out = "@FILES@/mnist_images", "@OUT@"
    commands = [
        ["convert_mnist_data", files, "@FILES@/mnist_labels", f"{out}/made_lmdb"],
        ["convert_mnist_data", "-backend", "leveldb", files, "@FILES@/mnist_labels"]
        + [f"{out}/made_leveldb"],
    ]
    group = "Examples"
    settings = {"commands": commands, "made": ["made_lmdb"]}
    cases = [Case("convert_mnist", group, "tool", settings=settings, exact=("*",))]
    settings = {"of": "convert_mnist", "source": "made_leveldb"}
    net = data("@SOURCE@", "LEVELDB", 30)
    cases.append(
        Case("read_leveldb", group, "read", net=net, settings=settings, exact=("*",), phase="TEST")
    )
    settings = {
        "cifar": "cifar",
        "commands": [["convert_cifar_data", f"{out}/cifar", out, "lmdb"]],
        "made": ["cifar10_train_lmdb", "cifar10_test_lmdb"],
        "digest": True,
    }
    cases.append(Case("convert_cifar", group, "tool", settings=settings, exact=("*",)))
    return cases + [classification(channels) for channels in (3, 1)]


def classification(channels: int) -> Case:
    net = input_layer("data", (10, channels, 12, 14))
    net += layer("InnerProduct", "inner_product_param { num_output: 7 }", ("data",), ("ip",), "ip")
    net += layer("Softmax", "", ("ip",), ("prob",), "prob")
    shape = ["--resize_height=9", "--resize_width=8", *(["--gray"] if channels == 1 else [])]
    of = ["@FILES@/", "@FILES@/images.txt", "@OUT@/mean_lmdb"]
    files = ["net.prototxt", "net.caffemodel", "mean.binaryproto", "labels.txt"]
    command = ["classification", *(f"@OUT@/{name}" for name in files)]
    images = ["a.png", "c.jpg", "gray.png", "gray.jpg", "alpha.png"]
    settings = {
        "texts": {"labels.txt": "".join(f"n{i:08d} class {i}, other\n" for i in range(7))},
        "weights": "net.caffemodel",
        "commands": [
            ["convert_imageset", *shape, *of],
            ["compute_image_mean", "@OUT@/mean_lmdb", "@OUT@/mean.binaryproto"],
            *([*command, f"@FILES@/images/{image}"] for image in images),
        ],
        "printed": "classification",
        "made": [],
    }
    params = {"ip": [("uniform", -0.003, 0.003), ("uniform", -0.1, 0.1)]}
    return Case(
        f"classification_{channels}", "Examples", "tool", net=net, params=params,
        settings=settings, phase="TEST", exact=("*",),
    )  # fmt: skip


def cases() -> list[Case]:
    return snapshots() + tools() + examples()
