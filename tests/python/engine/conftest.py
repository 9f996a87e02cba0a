"""Tests of the engine's pycaffe; on any other Caffe they are left out as a whole.

PYTHONPATH=build/fork/python python -m pytest tests/python/engine
"""

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "golden" / "pycaffe"


def _is_engine() -> bool:
    """Whether the `caffe` that would be imported is the engine's, without importing it."""
    spec = importlib.util.find_spec("caffe")
    origin = spec.origin if spec else None
    return (
        bool(origin)
        and bool(list(Path(origin).parent.glob("_caffe*.so")))
        and (Path(origin).with_name("py.typed").exists())
    )


if not _is_engine():
    collect_ignore_glob = ["test_*.py"]
else:
    import caffe

    caffe.init_log(1)  # of this process alone: programs that other tests start say what they say
sys.path.append(str(HERE))


@pytest.fixture
def golden():
    """The folder of what BVLC Caffe made of the same."""
    return GOLDEN


def new_file(folder, name, text):
    """A file of that text; its number is one that no other thread or process has."""
    number = len(list(folder.iterdir()))
    while True:
        path = folder / name.format(number)
        try:
            with path.open("x") as file:
                file.write(text)
            return path
        except FileExistsError:
            number += 1


@pytest.fixture
def make_net(tmp_path):
    """make_net(text or NetSpec, phase=TEST, weights=None): a caffe.Net."""
    import caffe

    def make(net, phase=caffe.TEST, **arguments):
        text = net if isinstance(net, str) else str(net.to_proto())
        return caffe.Net(new_file(tmp_path, "net{}.prototxt", text), phase, **arguments)

    return make


@pytest.fixture
def make_solver(tmp_path):
    """make_solver(net's text, name=value ...): a solver whose snapshots go into tmp_path."""
    import caffe
    from google.protobuf import text_format

    def make(net, cls=None, **settings):
        number = len(list(tmp_path.iterdir()))
        (tmp_path / f"train{number}.prototxt").write_text(net)
        param = caffe.proto.caffe_pb2.SolverParameter(
            net=str(tmp_path / f"train{number}.prototxt"),
            snapshot_prefix=str(tmp_path / "snap"),
            **{**dict(lr_policy="fixed", base_lr=0.1, max_iter=20, random_seed=1), **settings},
        )
        path = tmp_path / f"solver{number}.prototxt"
        path.write_text(text_format.MessageToString(param))
        return (cls or caffe.get_solver)(path)

    return make
