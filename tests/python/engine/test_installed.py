"""What other people build against an installed Caffe, in the style of 2016: tests/cpp/installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest
from google.protobuf import text_format

REPO = Path(__file__).resolve().parents[3]
BUILD = Path(caffe.__file__).parents[2]
SOURCES = REPO / "tests/cpp/installed"
NVCC = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"

NET = """
layer { name: "data" type: "DummyData" top: "data" top: "wanted" dummy_data_param {
  shape { dim: %(batch)d dim: 3 dim: 5 dim: 4 } shape { dim: %(batch)d dim: 2 }
  data_filler { type: "gaussian" } data_filler { type: "uniform" } } }
layer { name: "ip1" type: "%(prefix)sInnerProduct" bottom: "data" top: "ip1"
  param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  inner_product_param { num_output: %(hidden)d weight_filler { type: "xavier" }
                        bias_filler { type: "uniform" min: -1 max: 1 } } }
layer { name: "relu1" type: "%(prefix)sReLU" bottom: "ip1" top: "relu1"
  relu_param { negative_slope: 0.1 } }
layer { name: "ip2" type: "%(prefix)sInnerProduct" bottom: "relu1" top: "ip2"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip2" bottom: "wanted" top: "loss" }
"""
SGD = dict(momentum=0.9, weight_decay=0.004, lr_policy="step", stepsize=7, gamma=0.5)


def run(*command):
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A Caffe as `cmake --install` makes it."""
    prefix = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", BUILD, "--prefix", prefix)
    return prefix


def test_the_installed_programs_start(installed):
    """They find the installed libcaffe.so, not the build's."""
    library = next(installed.glob("lib*/libcaffe.so")).resolve()
    programs = sorted(installed.glob("bin/*"))
    assert len(programs) >= 11
    for program in programs:
        clean = {"PATH": os.environ["PATH"]}
        done = subprocess.run(["ldd", program], env=clean, stdout=subprocess.PIPE, text=True)
        paths = [line.split()[2] for line in done.stdout.splitlines() if "libcaffe.so" in line]
        assert [Path(path).resolve() for path in paths] == [library], program


@pytest.fixture(scope="session")
def built(installed, tmp_path_factory):
    """The folder of the programs and of libold_style.so."""
    folder = tmp_path_factory.mktemp("old_style")
    run("cmake", "-G", "Ninja", "-S", SOURCES, "-B", folder, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", folder, "--parallel", "2")
    return folder


def write_net(folder, text):
    path = folder / "net.prototxt"
    path.write_text(text)
    return path


def write_solver(folder, net, kind="SGD", **settings):
    net = write_net(folder, net)
    param = caffe.proto.caffe_pb2.SolverParameter(
        net=str(net),
        type=kind,
        base_lr=0.01,
        max_iter=20,
        random_seed=5,
        snapshot_after_train=False,
    )
    for name, value in {"lr_policy": "fixed", **settings}.items():
        setattr(param, name, value)
    path = folder / "solver.prototxt"
    path.write_text(text_format.MessageToString(param))
    return path


def test_arithmetic(built):
    assert run(built / "arithmetic").endswith("OK\n")


def test_layers(built):
    assert run(built / "layers").endswith("OK\n")


def test_files(built, tmp_path):
    assert run(built / "files", tmp_path).endswith("OK\n")


def test_nets(built, tmp_path):
    power = 'layer { name: "p" type: "Power" bottom: "data" top: "p" power_param { scale: 2 } }'
    pool = (
        'layer { name: "pool" type: "Pooling" bottom: "p" top: "pool" '
        "pooling_param { pool: AVE global_pooling: true } }"
    )
    net = write_net(
        tmp_path,
        'layer { name: "data" type: "Input" top: "data" '
        f"input_param {{ shape {{ dim: 1 dim: 3 dim: 6 dim: 7 }} }} }} {power} {pool}",
    )
    assert run(built / "nets", net).endswith("2.0000\n4.0000\n6.0000\n")


def test_solvers(built, tmp_path):
    net = """
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 dim: 5 } data_filler { type: "gaussian" }
  data_filler { type: "constant" } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
    assert run(built / "solvers", write_solver(tmp_path, net)).endswith("\n00015\n")


# In a process of its own: a library of layers cannot be unloaded.
TRAIN = """
import sys
import caffe
import numpy as np

library, solver, out = sys.argv[1:]
if library != "-":
    caffe.load_layers(library)
caffe.set_mode_cpu()
solver = caffe.get_solver(solver)
losses = []
for _ in range(20):
    solver.step(1)
    losses.append(float(solver.net.blobs["loss"].data))
arrays = [blob.data for blobs in solver.net.params.values() for blob in blobs]
np.savez(out, np.array(losses), *arrays, *[blob.diff for blob in solver.net.params["ip1"]])
"""


def train(folder, library, prefix, solver, **settings):
    """The losses of 20 iterations, then the weights and some of their last updates."""
    folder.mkdir()
    shape = {key: settings.pop(key) for key in ("batch", "hidden")}
    path = write_solver(folder, NET % {"prefix": prefix, **shape}, solver, **settings)
    run(sys.executable, "-c", TRAIN, library, path, folder / "out.npz")
    with np.load(folder / "out.npz") as out:
        return [out[name] for name in out.files]


@pytest.mark.parametrize(
    ("kind", "batch", "hidden", "settings"),
    [
        ("SGD", 6, 7, SGD),
        ("SGD", 16, 600, {**SGD, "iter_size": 3}),
        ("SGD", 1, 40, {**SGD, "clip_gradients": 0.5}),
        ("Adam", 6, 7, {"momentum": 0.9, "momentum2": 0.999, "weight_decay": 0.01}),
    ],
)
def test_an_old_library_trains_as_the_built_in_classes(
    built, tmp_path, kind, batch, hidden, settings
):
    """Bit for bit: the same layers and solver, written with Caffe's functions."""
    size = {"batch": batch, "hidden": hidden}
    old = train(
        tmp_path / "old", built / "libold_style.so", "Old", "Old" + kind, **size, **settings
    )
    new = train(tmp_path / "new", "-", "", kind, **size, **settings)
    assert len(old) == len(new) == 7
    assert old[0][0] != old[0][-1]
    for one, other in zip(old, new):
        assert np.abs(one - other).max() == 0


@pytest.mark.skipif(not Path(NVCC).exists(), reason="needs a CUDA toolkit")
def test_old_cu_files_compile(installed, tmp_path):
    """A build with CUDA has the same headers, without CPU_ONLY, and those of its toolkit."""
    folder = tmp_path / "cuda"
    prefix = tmp_path / "with_cuda"
    shutil.copytree(installed, prefix, symlinks=True)
    targets = next(prefix.rglob("CaffeTargets.cmake"))
    text = targets.read_text()
    targets.write_text(text.replace("CPU_ONLY;", ""))
    assert targets.read_text() != text or "CPU_ONLY" not in text
    options = [f"-DCMAKE_PREFIX_PATH={prefix}", "-DCUDA_NAMES=ON", f"-DCMAKE_CUDA_COMPILER={NVCC}"]
    run("cmake", "-G", "Ninja", "-S", SOURCES, "-B", folder, *options)
    run("cmake", "--build", folder, "--target", "old_style_cuda")


def test_the_detector_of_the_examples(installed, tmp_path):
    """examples/programs/detect_objects.cpp finds what pycaffe finds."""
    import cv2
    from test_dnn import DETECTOR

    build = tmp_path / "build"
    source = REPO / "examples" / "programs"
    run("cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", build)
    prototxt, weights = tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel"
    prototxt.write_text(DETECTOR)
    caffe.set_random_seed(5)
    net = caffe.Net(prototxt, caffe.TEST)
    net.save(str(weights))
    labels = tmp_path / "labels.prototxt"
    labels.write_text(
        'item { name: "n1" label: 1 display_name: "bird" } item { name: "x" label: 2 }'
    )
    image = np.random.default_rng(3).integers(0, 255, (90, 140, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    (tmp_path / "list.txt").write_text(f"{tmp_path}/image.png\n")
    options = ["-labels", labels, "-threshold", "0.5"]
    printed = run(build / "detect_objects", prototxt, weights, tmp_path / "list.txt", *options)
    lines = [line.split() for line in printed.splitlines() if line.startswith(str(tmp_path))]
    data = cv2.resize(image, (48, 32)).astype(np.float32) - np.float32([104, 117, 123])
    net.blobs["data"].data[0] = data.transpose(2, 0, 1)
    rows = [row for row in net.forward()["detections"][0, 0] if row[2] >= 0.5]
    assert len(rows) == len(lines) > 3
    for row, (_, label, *numbers) in zip(rows, lines):
        assert label == {1: "bird", 2: "x"}[int(row[1])]
        wanted = [row[2], *(row[3:] * np.float32([140, 90, 140, 90]))]
        assert np.allclose([float(n) for n in numbers], wanted, atol=0.06)
    # -mean and -scale prepare images as a transform_param does.
    options += ["-mean", "90,100,110", "-scale", "0.25"]
    printed = run(build / "detect_objects", prototxt, weights, tmp_path / "list.txt", *options)
    scores = [line.split()[2] for line in printed.splitlines() if line.startswith(str(tmp_path))]
    data = (cv2.resize(image, (48, 32)) - np.float32([90, 100, 110])) / 4
    net.blobs["data"].data[0] = data.transpose(2, 0, 1)
    rows = [row for row in net.forward()["detections"][0, 0] if row[2] >= 0.5]
    assert len(rows) == len(scores) > 3
    assert np.allclose([float(score) for score in scores], [row[2] for row in rows], atol=0.001)

    (tmp_path / "list.txt").write_text("/nowhere.png\n")
    for given, said in [
        (weights, "cannot read the image /nowhere.png"),
        (tmp_path / "none.caffemodel", "none.caffemodel: cannot be opened"),
    ]:
        done = subprocess.run(
            [build / "detect_objects", prototxt, given, tmp_path / "list.txt"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 1 and said in done.stderr
