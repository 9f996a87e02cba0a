"""python -m caffe.onnx: what it writes and says, and what it refuses."""

import re
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import onnx
import onnxruntime
import pytest
from caffe import onnx as caffe_onnx
from caffe.onnx import differences as checks
from caffe.onnx import examples, main
from onnx_nets import inputs, layer, saved

CONV, POOL = "num_output: 4 kernel_size: 3", "kernel_size: 2 stride: 2"


def chain(kind, bottom, top, settings="", name=None):
    return layer(kind, settings, bottom.split(), [top], name or top)


CHAIN = (
    inputs((2, 3, 20, 20))
    + chain("Convolution", "data", "conv", f"convolution_param {{ {CONV} }}")
    + chain("ReLU", "conv", "conv", name="relu")
    + chain("Dropout", "conv", "conv", name="drop")
    + chain("Pooling", "conv", "pool", f"pooling_param {{ {POOL} }}")
    + chain("Dropout", "pool", "dropped")
    + chain("Concat", "pool dropped", "both")
    + chain("InnerProduct", "both", "fc", "inner_product_param { num_output: 5 }")
    + chain("Softmax", "fc", "prob")
)


def program(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "caffe.onnx", *map(str, arguments)], capture_output=True, text=True
    )


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_the_program_writes_a_file_that_others_run(tmp_path):
    out = tmp_path / "net.onnx"
    files = saved(tmp_path, CHAIN)
    done = program(*files, out, "--batch", "dynamic")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    blobs = [line.split()[0] for line in lines if re.search(r" \d\.\de[+-]\d\d$", line)]
    assert blobs == ["conv", "pool", "dropped", "both", "fc", "prob"]
    assert lines[-2].startswith("largest difference: ")
    assert lines[-1].startswith(f"{out}: opset 17, IR 8, ")
    onnx.checker.check_model(onnx.load(out), full_check=True)
    images = np.random.default_rng(5).standard_normal((7, 3, 20, 20)).astype(np.float32)
    (prob,) = session(out).run(["prob"], {"data": images})
    net = caffe.Net(*map(str, files), caffe.TEST)
    net.blobs["data"].reshape(*images.shape)
    assert np.abs(net.forward(data=images)["prob"] - prob).max() < 1e-5
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "net.caffemodel", "net.onnx", "net.prototxt",
    ]  # fmt: skip


def test_every_blob_is_a_tensor_of_its_name(tmp_path):
    model = caffe_onnx.export(*saved(tmp_path, CHAIN)).model
    made = [name for node in model.graph.node for name in node.output]
    assert {"conv", "pool", "dropped", "both", "fc", "prob"} <= set(made)
    assert len(set(made)) == len(made)
    assert [x.name for x in model.graph.input] == ["data"]
    assert [x.name for x in model.graph.output] == ["prob"]
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("opset", [13, 16, 17, 18, 20, 21])
def test_opsets(tmp_path, opset):
    text = (
        CHAIN
        + layer("MVN", bottoms=["conv"], tops=["mvn"], name="mvn")
        + layer("Slice", "slice_param { axis: 1 }", ["mvn"], ["a", "b"], "slice")
        + layer("Reduction", "reduction_param { axis: 1 operation: SUMSQ }", ["a"], ["sum"], "sum")
        + layer("Enhancement", bottoms=["b"], tops=["c"], name="enhance")
    )
    exported = caffe_onnx.export(*saved(tmp_path, text), opset=opset, batch="dynamic")
    assert exported.model.opset_import[0].version == opset
    assert exported.model.ir_version <= 10
    assert max(d.relative for d in main.compare(exported)) < 1e-5


def test_a_batch_of_another_size(tmp_path):
    files = saved(tmp_path, CHAIN)
    exported = caffe_onnx.export(*files, batch=5)
    shape = exported.model.graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim] == [5, 3, 20, 20]
    assert max(d.relative for d in main.compare(exported)) < 1e-5


def test_a_layer_that_works_in_place_on_an_input(tmp_path):
    text = (
        inputs((2, 3))
        + layer("Power", "power_param { shift: 1 }", tops=["data"])
        + layer("TanH", tops=["y"], name="tanh")
    )
    exported = caffe_onnx.export(*saved(tmp_path, text))
    found = {d.blob: d.relative for d in main.compare(exported)}
    assert set(found) == {"data", "y"} and max(found.values()) < 1e-6
    only = inputs((2, 3)) + layer("Power", "power_param { shift: 1 }", tops=["data"])
    exported = caffe_onnx.export(*saved(tmp_path, only))
    assert exported.model.graph.output[0].name != "data"
    assert max(d.relative for d in main.compare(exported)) < 1e-6


def test_a_net_of_an_old_form(tmp_path):
    old = (
        'input: "data" input_dim: 2 input_dim: 3 input_dim: 8 input_dim: 8 '
        'layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" '
        "convolution_param { num_output: 2 kernel_size: 3 } } "
        'layers { name: "p" type: SOFTMAX bottom: "c" top: "p" }'
    )
    exported = caffe_onnx.export(*saved(tmp_path, old))
    assert [x.name for x in exported.model.graph.output] == ["p"]
    assert max(d.relative for d in main.compare(exported)) < 1e-6


def test_only_layers_of_the_test_phase(tmp_path):
    text = CHAIN + layer(
        "Convolution",
        "convolution_param { num_output: 1 kernel_size: 3 } include { phase: TRAIN }",
        ["conv"],
        ["auxiliary"],
        "auxiliary",
    )
    model = caffe_onnx.export(*saved(tmp_path, text)).model
    assert "auxiliary" not in [name for node in model.graph.node for name in node.output]


def test_images(tmp_path):
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(1)
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), random.integers(0, 255, (30 + i, 25, 3), np.uint8))
    exported = caffe_onnx.export(*saved(tmp_path, CHAIN))
    batches = main.image_inputs(exported, folder)
    assert [b["data"].shape for b in batches] == [(2, 3, 20, 20)] * 2
    first = cv2.imread(str(folder / "0.png"))[0, 0] - np.array(examples.MEAN)
    assert batches[0]["data"][0, :, 0, 0] == pytest.approx(first)
    done = program(tmp_path / "net.prototxt", tmp_path / "net.caffemodel", tmp_path / "x.onnx",
                   "--images", folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    with pytest.raises(ValueError, match="has no images"):
        (tmp_path / "none").mkdir()
        main.image_inputs(exported, tmp_path / "none")


def spoil(exported):
    """Change one weight of the model."""
    for tensor in exported.model.graph.initializer:
        if tensor.name.endswith("weight"):
            values = onnx.numpy_helper.to_array(tensor).copy()
            values.reshape(-1)[0] += 0.05
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
            return
    raise AssertionError("no weights")


def test_a_wrong_weight_is_seen_and_the_file_marked(tmp_path):
    exported = caffe_onnx.export(*saved(tmp_path, CHAIN))
    spoil(exported)
    out = tmp_path / "net.onnx"
    with pytest.raises(
        main.WrongValues, match=r"net.onnx.failed: the difference is .*above 0.0001$"
    ):
        main.write(exported, out)
    assert not out.exists() and (tmp_path / "net.onnx.failed").exists()


def test_differences():
    a = np.array([1.0, -4.0, 2.0], np.float32)
    assert checks.relative(a, a) == 0
    assert checks.relative(a, np.array([1.0, -4.0, 2.1])) == pytest.approx(0.025)
    assert checks.relative(a, a[:2]) == np.inf
    assert checks.relative(a, np.array([1.0, np.nan, 2.0])) == np.inf
    infinite = np.array([1.0, np.inf, np.nan])
    assert checks.relative(infinite, infinite) == 0
    assert checks.relative(infinite, -infinite) == np.inf
    assert checks.relative(np.zeros(2), np.array([0.0, 3.0])) == 3
    assert checks.relative(np.zeros((0, 7)), np.zeros((0, 7))) == 0


LABELS = inputs((4, 5), (4,))
PYTHON = 'python_param { module: "engine_layers" layer: "Double" }'
REFUSED = [
    (
        LABELS + layer("SoftmaxWithLoss", bottoms=["data", "second"]),
        "layer 'tested' of type SoftmaxWithLoss: it is for training and testing; export the deploy",
    ),
    (
        LABELS + layer("Accuracy", bottoms=["data", "second"]),
        "layer 'tested' of type Accuracy: it is for training and testing",
    ),
    (
        inputs((2, 3)) + layer("Python", PYTHON),
        "layer 'tested' of type Python: its code is Python",
    ),
    (
        inputs((2, 3, 4, 5, 6, 7)) + layer("Convolution", f"convolution_param {{ {CONV} }}"),
        "layer 'tested' of type Convolution: it has 4 spatial axes",
    ),
    (
        inputs((2, 3, 5, 5))
        + layer("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }"),
        "layer 'tested' of type Pooling: STOCHASTIC pooling has no operator",
    ),
    (
        inputs((2, 3, 6, 6)) + layer("Pooling", "pooling_param { kernel_size: 1 stride: 4 }"),
        "layer 'tested' of type Pooling: its last window lies outside the image",
    ),
    (
        inputs((2, 3)) + layer("Dropout", "dropout_param { sample_weights_test: true }"),
        "layer 'tested' of type Dropout: it drops values in testing",
    ),
    (inputs((2, 3)), "computes nothing"),
]


@pytest.mark.parametrize("text, why", REFUSED, ids=[why[:30] for _, why in REFUSED])
def test_what_cannot_be_said_names_the_layer(tmp_path, text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        caffe_onnx.export(*saved(tmp_path, text))


def test_every_type_of_bvlc_caffe_is_written_or_known_not_to_be():
    from caffe.onnx.convert import CONVERTERS

    table = (FACTS / "layer_types.tsv").read_text().splitlines()[1:]
    kinds = {line.split("\t")[0] for line in table}
    assert len(kinds) > 55
    missing = kinds - set(CONVERTERS)
    assert {kind for kind in missing if not kind.endswith(("Loss", "Data"))} == NOT_WRITTEN


FACTS = Path(__file__).resolve().parents[2] / "facts"
NOT_WRITTEN = {"Accuracy", "HDF5Output", "Input", "Python"}


@pytest.mark.parametrize(
    "options, why",
    [
        (["--opset", "9"], "opset 9: choose one of 13 to 21"),
        (["--batch", "many"], "--batch many: give a size, or dynamic"),
        (["--batch", "0"], "--batch 0: give a size"),
        (["--images", "/nowhere"], "/nowhere: No such file or directory"),
    ],
)
def test_wrong_options(tmp_path, options, why):
    done = program(*saved(tmp_path, CHAIN), tmp_path / "x.onnx", *options)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {why}"), done.stderr
    assert not list(tmp_path.glob("x.onnx*"))


def test_wrong_files(tmp_path):
    files = saved(tmp_path, CHAIN)
    for arguments in (
        [tmp_path / "missing.prototxt", files[1], tmp_path / "x.onnx"],
        [files[0], tmp_path / "missing.caffemodel", tmp_path / "x.onnx"],
        [files[0], files[1], tmp_path / "nowhere" / "x.onnx"],
    ):
        done = program(*arguments)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")


def test_a_batch_that_the_net_cannot_change(tmp_path):
    text = inputs((2, 3)) + layer("Reshape", "reshape_param { shape { dim: 2 dim: 3 } }")
    files = saved(tmp_path, text)
    with pytest.raises(ValueError, match="the batch of this net cannot be dynamic.*tested"):
        caffe_onnx.export(*files, batch="dynamic")
    text = inputs((2, 3)) + layer("Reduction", "reduction_param { axis: 0 }")
    caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")
    text = inputs((2, 3)) + layer("InnerProduct", "inner_product_param { num_output: 2 axis: 0 }")
    with pytest.raises(ValueError, match="tested"):
        caffe_onnx.export(*saved(tmp_path, text), batch="dynamic")


def test_without_the_packages(tmp_path):
    for package in ("onnx", "onnxruntime"):
        blocked = tmp_path / package
        blocked.mkdir()
        (blocked / f"{package}.py").write_text('raise ImportError("not here")\n')
        code = (
            f"import sys; sys.path.insert(0, {str(blocked)!r})\n"
            "from caffe.program import run\n"
            "from importlib import import_module\n"
            f"run(lambda: import_module('caffe.onnx.needs').runtime())\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 1
        assert f"needs the package {package}: pip install onnx onnxruntime" in done.stderr
