"""The four networks of tests/nets/other, which are not the paper's, and folders made of them."""

from pathlib import Path

from maap.nets import imported
from maap.nets.insert import insert
from maap.nets.request import InsertRequest

FOLDER = Path(__file__).resolve().parents[1] / "nets" / "other"
FILES = dict(
    squeeze=FOLDER / "squeeze_deploy.prototxt",
    inception=FOLDER / "inception_train_val.prototxt",
    lenet=FOLDER / "lenet_train_val.prototxt",
    residual=FOLDER / "residual_deploy.prototxt",
)
SIZES = dict(lenet=28)  # the others say it themselves


def read(name):
    """The Network of that name."""
    return imported.read_network(FILES[name], SIZES.get(name))


def folder_of(name, out, **settings):
    """A net folder of that network in ``out``; returns the lines that `insert` prints."""
    settings.setdefault("input_size", SIZES.get(name))
    return insert(InsertRequest(file=FILES[name], out=Path(out), **settings))


def write(tmp_path, text):
    path = tmp_path / "net.prototxt"
    path.write_text(text, encoding="utf-8")
    return path


# Parts of a smallest network: HEAD + "dim: 3 dim: 20 dim: 20 } } } " + CONV + FC + SOFTMAX.
HEAD = 'name: "net" layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 '
CONV = (
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
    "convolution_param { num_output: 3 kernel_size: 3 } } "
)
FC = (
    'layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" '
    "inner_product_param { num_output: 3 } } "
)
SOFTMAX = 'layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" } '
