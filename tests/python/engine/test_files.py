"""Files by other names, with a byte-order mark, or of another kind than asked for."""

import subprocess
import sys

import caffe
import h5py
import numpy as np
import pytest
from PIL import Image

NAMES = ["./b", "a/./b", "a//b", "/b", ".", "b/0", "b"]  # HDF5 changes or cannot hold them
LOSS = "layer { name: 'l' type: 'Reduction' bottom: 't0' top: 'l' loss_weight: 1 }"


def chain(names) -> str:
    text = "layer { name: 'd' type: 'Input' top: 'd' input_param { shape { dim: 2 dim: 3 } } }\n"
    bottom = "d"
    for number, name in enumerate(names):
        text += (
            f"layer {{ name: '{name}' type: 'InnerProduct' bottom: '{bottom}' top: 't{number}' "
            "inner_product_param { num_output: 3 weight_filler { type: 'gaussian' std: 1 } } }\n"
        )
        bottom = f"t{number}"
    return text


def equal(one, other) -> bool:
    return all(
        np.array_equal(blob.data, same.data)
        for name, blobs in one.params.items()
        for blob, same in zip(blobs, other.params[name])
    )


@pytest.mark.parametrize("save, name", [("save", "w.h5"), ("save_hdf5", "w.caffemodel")])
def test_weights_are_told_by_their_content(make_net, tmp_path, save, name):
    one, other = make_net(chain(NAMES)), make_net(chain(NAMES))
    assert not equal(one, other)
    getattr(one, save)(tmp_path / name)
    other.copy_from(tmp_path / name)
    assert equal(one, other)


def test_a_solver_state_under_another_name(make_solver, tmp_path):
    net = chain(["b"]) + LOSS
    solver = make_solver(net)
    solver.step(2)
    solver.snapshot()
    (tmp_path / "snap_iter_2.solverstate").rename(tmp_path / "state.h5")
    other = make_solver(net)
    other.restore(tmp_path / "state.h5")
    assert other.iter == 2
    with pytest.raises(caffe.CaffeError, match="is not a solver state; it is a net's weights"):
        other.restore(tmp_path / "snap_iter_2.caffemodel")


def test_a_byte_order_mark(make_net, tmp_path):
    assert list(make_net("\ufeff" + chain(["b"])).params) == ["b"]
    text = tmp_path / "utf16.prototxt"
    text.write_text(chain(["b"]), encoding="utf-16")
    with pytest.raises(caffe.CaffeError, match="it is text in UTF-16: save it as UTF-8"):
        caffe.Net(text, caffe.TEST)


def data_layer(kind: str, source: str, more: str = "", after: str = "") -> str:
    param = {"Data": "data_param", "ImageData": "image_data_param", "HDF5Data": "hdf5_data_param"}
    top = "top: 'data'" + (" top: 'label'" if kind != "HDF5Data" else "")
    return (
        f"layer {{ name: 'd' type: '{kind}' {top} {after} "
        f"{param[kind]} {{ source: '{source}' batch_size: 2 {more} }} }}"
    )


# Each runs in a process of its own: none may crash or hang.
MISTAKES = {
    "no lmdb": (data_layer("Data", "none_lmdb", "backend: LMDB"), "none_lmdb"),
    "empty folder": (data_layer("Data", "folder", "backend: LMDB"), "is not an LMDB"),
    "default backend": (data_layer("Data", "folder"), "LEVELDB"),
    "empty list": (data_layer("ImageData", "empty.txt"), "empty.txt"),
    "missing image": (data_layer("ImageData", "gone.txt"), "gone.jpg"),
    "image as list": (data_layer("ImageData", "one.png"), "'one.png' is a PNG image"),
    "empty HDF5 list": (data_layer("HDF5Data", "empty.txt"), "empty.txt"),
    "HDF5 as list": (data_layer("HDF5Data", "x.h5"), "'x.h5' is an HDF5 file itself"),
    "missing mean": (
        data_layer("ImageData", "one.txt", "", "transform_param { mean_file: 'gone.binaryproto' }"),
        "gone.binaryproto",
    ),
    "mean as npy": (
        data_layer("ImageData", "one.txt", "", "transform_param { mean_file: 'mean.npy' }"),
        "mean.npy",
    ),
}
RUN = "import caffe\nnet = caffe.Net({!r}, caffe.TEST)\nnet.forward()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("mistakes")
    (path / "folder").mkdir()
    (path / "empty.txt").touch()
    (path / "gone.txt").write_text("gone.jpg 0\n")
    (path / "one.txt").write_text("one.png 0\n")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path / "one.png")
    np.save(path / "mean.npy", np.zeros((3, 4, 4)))
    with h5py.File(path / "x.h5", "w") as file:
        file["data"] = np.zeros((4, 2), np.float32)
    return path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_name_the_file(folder, mistake):
    text, said = MISTAKES[mistake]
    net = f"{mistake.replace(' ', '_')}.prototxt"
    (folder / net).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(net)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert said in done.stderr.strip().splitlines()[-1]


def test_the_gpu_mode_of_a_build_for_the_cpu(make_net):
    """A net can be made, read and saved; only computing needs the GPU."""
    try:
        caffe.set_device(0)
    except caffe.CaffeError:
        pass
    else:
        pytest.skip("there is a GPU")
    caffe.set_mode_gpu()
    try:
        net = make_net(chain(["b"]))
        assert net.blobs["d"].data.sum() == 0
        with pytest.raises(caffe.CaffeError, match="without CUDA"):
            net.forward()
    finally:
        caffe.set_mode_cpu()
    assert net.forward()["t0"].shape == (2, 3)


def test_data_layers_in_the_gpu_mode_of_a_build_for_the_cpu(make_net, folder, monkeypatch):
    try:
        caffe.set_device(0)
    except caffe.CaffeError:
        pass
    else:
        pytest.skip("there is a GPU")
    monkeypatch.chdir(folder)
    caffe.set_mode_gpu()
    try:
        net = make_net(data_layer("ImageData", "one.txt"))
    finally:
        caffe.set_mode_cpu()
    assert net.forward()["data"].shape == (2, 3, 4, 4)


def test_snapshots_are_named_after_the_solver(tmp_path):
    net = chain(["b"]) + LOSS
    (tmp_path / "net.prototxt").write_text(net)
    text = f"net: '{tmp_path}/net.prototxt' base_lr: 0.1 lr_policy: 'fixed' "
    (tmp_path / "my.solver.prototxt").write_text(text)
    (tmp_path / "folder.prototxt").write_text(text + f"snapshot_prefix: '{tmp_path}'")
    for name in ("my.solver", "folder"):
        caffe.get_solver(tmp_path / f"{name}.prototxt").snapshot()
        assert (tmp_path / f"{name}_iter_0.caffemodel").is_file()
