"""caffe.torch's layers against the engine's: outputs to 1e-5, gradients to 1e-4."""

import caffe
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not here: tools/engine/torch installs it")

import caffe.torch  # noqa: E402
import torch_cases  # noqa: E402
from torch_nets import FORWARD, GRADIENT, Pair, input_text  # noqa: E402


def net_text(case, values):
    shapes = {name: np.shape(value) for name, value in values.items()}
    if case.kind == "Parameter":
        shapes = {"x": torch_cases.MAP}
    bottoms = "".join(f'bottom: "{name}" ' for name, _ in case.inputs)
    tops = "".join(f'top: "{top}" ' for top in case.tops)
    return (
        "force_backward: true\n"
        + input_text(shapes)
        + f'layer {{ name: "layer" type: "{case.kind}" {bottoms} {tops} {case.text} }}\n'
        + case.extra
    )


@pytest.mark.parametrize("case", torch_cases.CASES, ids=str)
def test_layer(case, tmp_path):
    values = case.values()
    if case.kind == "Parameter":
        values = {"x": np.random.RandomState(3).randn(*torch_cases.MAP)}
    pair = Pair(net_text(case, values), tmp_path, case.phase)
    pair.check(values, case.gradient)
    # A smaller batch, where the first axis is the batch.
    if case.kind in ("Convolution", "Pooling", "BatchNorm", "LRN", "Enhancement"):
        pair = Pair(net_text(case, values), tmp_path, case.phase)
        pair.check({name: value[:1] for name, value in values.items()}, case.gradient)


def test_every_type_has_a_case():
    assert {case.kind for case in torch_cases.CASES} == set(caffe.torch.layer_types())


def test_all_of_other_forks_are_there_or_known_not_to_be():
    from caffe.torch.layer import NOT_HERE
    from caffe.torch.net import SOURCES

    here = set(caffe.torch.layer_types())
    known = set(NOT_HERE) | SOURCES
    tests = {"Elimination", "HDF5Output"}
    assert not here & set(NOT_HERE)
    assert set(caffe.layer_type_list()) - here - known <= tests


def test_all_of_bvlc_that_compute_are_there():
    """What is left out reads or writes data, or runs Python."""
    without = {"Data", "ImageData", "HDF5Data", "MemoryData", "WindowData", "DummyData", "Input",
               "HDF5Output", "Python"}  # fmt: skip
    import net_facts

    wanted = {row["type"] for row in net_facts.rows("layer_types")} - without
    assert wanted <= set(caffe.torch.layer_types())


INFOGAIN = """
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 4 } }
layer { name: "loss" type: "InfogainLoss" bottom: "ip" bottom: "y" bottom: "h" top: "t" }
"""


def test_infogain_gradient(tmp_path):
    """Without force_backward: the matrix is a bottom that has no gradient."""
    random = np.random.RandomState(4)
    values = dict(x=random.randn(6, 5), y=random.randint(0, 4, 6), h=random.rand(4, 4))
    shapes = {name: value.shape for name, value in values.items()}
    pair = Pair(input_text(shapes) + INFOGAIN, tmp_path)
    assert max(pair.forward(values).values()) <= FORWARD
    found = pair.backward(())
    assert len(found) == 2 and max(found.values()) <= GRADIENT


def test_infogain_matrix_of_a_file(tmp_path):
    """As the same matrix given as a bottom."""
    random = np.random.RandomState(5)
    gains = random.rand(1, 1, 4, 4)
    path = tmp_path / "h.binaryproto"
    path.write_bytes(caffe.io.array_to_blobproto(gains).SerializeToString())
    values = dict(x=random.randn(6, 4), y=random.randint(0, 4, 6))
    shapes = {name: value.shape for name, value in values.items()}
    text = (
        'force_backward: true layer { name: "loss" type: "InfogainLoss" bottom: "x" bottom: "y" '
        f'top: "t" infogain_loss_param {{ source: "{path}" }} }}'
    )
    Pair(input_text(shapes) + text, tmp_path).check(values, ("x",))


@pytest.mark.parametrize(
    "param, trained, tested",
    [
        ("", 1.25, 1),
        ("scale_train: false", 1, 0.8),
        ("sample_weights_test: true", 1.25, None),
        ("sample_weights_test: true scale_train: false", 1, None),
    ],
)
def test_dropout_in_training(tmp_path, param, trained, tested):
    """tested: each value in testing, None if values are dropped there as well."""
    text = (
        input_text({"x": (50, 100)})
        + 'layer { name: "d" type: "Dropout" bottom: "x" top: "y" '
        + f"dropout_param {{ dropout_ratio: 0.2 {param} }} }}"
    )
    (tmp_path / "net.prototxt").write_text(text)
    net = caffe.torch.module(tmp_path / "net.prototxt", phase=caffe.TRAIN)
    torch.manual_seed(1)
    for _ in range(1 if tested else 2):
        found = net(torch.ones(50, 100))["y"]
        kept = found != 0
        assert abs(kept.float().mean() - 0.8) < 0.03
        assert torch.allclose(found[kept], torch.tensor(float(trained)))
        net.eval()
    if tested:
        assert torch.allclose(net(torch.ones(50, 100))["y"], torch.full((50, 100), float(tested)))


def test_stochastic_pooling_draws_by_value(tmp_path):
    text = (
        input_text({"x": (1, 1, 2, 2)})
        + 'layer { name: "p" type: "Pooling" bottom: "x" top: "y" '
        + "pooling_param { pool: STOCHASTIC kernel_size: 2 } }"
    )
    (tmp_path / "net.prototxt").write_text(text)
    net = caffe.torch.module(tmp_path / "net.prototxt", phase=caffe.TRAIN)
    torch.manual_seed(1)
    x = torch.tensor([[1.0, 0.0], [2.0, 5.0]]).expand(4000, 1, 2, 2)
    found = net(x)["y"].flatten()
    for value, share in ((1, 1 / 8), (0, 0), (2, 2 / 8), (5, 5 / 8)):
        assert abs(float((found == value).float().mean()) - share) < 0.03


def test_lstm_goes_on_between_batches(tmp_path):
    """Where cont is 1 in the first row, from the state after the last batch; as in the engine."""
    case = next(case for case in torch_cases.CASES if case.kind == "LSTM")
    values = case.values()
    pair = Pair(net_text(case, values), tmp_path)
    values["y"] = np.ones((4, 3))
    for _ in range(3):
        assert max(pair.forward(values).values()) <= FORWARD
    first = pair.found["t"]
    pair.module.layers["layer"].reset()
    assert not torch.allclose(pair.module(**pair.inputs)["t"], first, atol=1e-3)
