"""The three networks of tests/nets/other, which are not the paper's, and folders made of them."""

from pathlib import Path

from maap.nets import imported, insert

FOLDER = Path(__file__).resolve().parents[1] / "nets" / "other"
FILES = dict(
    squeeze=FOLDER / "squeeze_deploy.prototxt",
    inception=FOLDER / "inception_train_val.prototxt",
    lenet=FOLDER / "lenet_train_val.prototxt",
)
SIZES = dict(lenet=28)  # the others say it themselves


def read(name):
    """The Network of that name."""
    return imported.read_network(FILES[name], SIZES.get(name))


def folder_of(name, out, **settings):
    """A net folder of that network in ``out``; returns the lines that `insert` prints."""
    settings = dict(out=str(out), input_size=SIZES.get(name), **settings)
    return insert.work(str(FILES[name]), settings)
