"""_caffe.pyi says what the module has; every public thing has a docstring."""

import ast
import inspect
import re
from pathlib import Path

import caffe
import caffe.coord_map
import caffe.draw
import pytest
from caffe import _caffe

STUB = ast.parse(Path(caffe.__file__).with_name("_caffe.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
# Of pybind11 itself; attributes that only an instance of a Python layer has.
NOT_IN_STUB = {"_pybind11_conduit_v1_"}
OF_INSTANCES = {"Layer": {"param_str", "phase"}}


def members(cls):
    """What a class itself adds to its base."""
    special = ("__init__", "__len__", "__getitem__", "__iter__", "__contains__")
    return {
        name
        for name in vars(cls)
        if name in special or not (name.startswith("__") and name.endswith("__"))
    } - NOT_IN_STUB


def test_names_of_the_module():
    module = {name for name in dir(_caffe) if not name.startswith("_")}
    assert module == set(CLASSES) | set(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_members(name):
    cls = getattr(_caffe, name)
    stub = {
        node.name if isinstance(node, ast.FunctionDef) else node.target.id
        for node in CLASSES[name].body
        if isinstance(node, (ast.FunctionDef, ast.AnnAssign))
    }
    runtime = members(cls)
    base = cls.__mro__[1].__name__
    if base in CLASSES or name in (
        "BlobVec",
        "CaffeError",
        "Communicator",
        "LayerParameter",
        "Solver",
    ):
        runtime.discard("__init__")  # as the base's, or for nobody to call
        stub.discard("__init__")
    assert runtime == stub - OF_INSTANCES.get(name, set())
    assert [ast.unparse(node) for node in CLASSES[name].bases] == (
        [base] if base not in ("object", "pybind11_object") else []
    )


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_arguments(name):
    names = [argument.arg for argument in FUNCTIONS[name].args.args]
    text = getattr(_caffe, name).__doc__.splitlines()[0]
    assert [part.split(":")[0] for part in text[text.index("(") + 1 :].split(", ")] == (
        names if names else [text[text.index("(") + 1 :]]
    ) or not names


def described(thing):
    """Whether there is more than pybind11's line of arguments."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    return any(
        line and not re.match(r"(\d+\. )?\w+\(.*\)( -> .*)?$|Overloaded", line) for line in lines
    )


def test_docstrings():
    owners = [getattr(_caffe, name) for name in CLASSES]
    owners += [caffe.io.Transformer, caffe.NetSpec, caffe.Classifier, caffe.Detector]
    for owner in owners:
        assert described(owner), owner
        for name in vars(owner):
            if not name.startswith("_"):
                assert described(inspect.getattr_static(owner, name)), f"{owner.__name__}.{name}"
    modules = [caffe.io, caffe.net_spec, caffe.coord_map, caffe.draw, caffe.pycaffe]
    for owner in modules:
        assert described(owner), owner
        for name, thing in vars(owner).items():
            if inspect.isfunction(thing) and thing.__module__ == owner.__name__:
                assert described(thing) or name.startswith("_"), f"{owner.__name__}.{name}"
    for name in FUNCTIONS:
        assert described(getattr(_caffe, name)), name


def test_package_names():
    """What BVLC's `dir(caffe)` has, but for NCCL."""
    names = """AdaDeltaSolver AdaGradSolver AdamSolver Classifier Detector Layer NesterovSolver Net
    NetSpec RMSPropSolver SGDSolver TEST TRAIN Timer classifier detector get_solver has_nccl
    init_log io layer_type_list layers log net_spec params proto pycaffe set_device set_mode_cpu
    set_mode_gpu set_multiprocess set_random_seed set_solver_count set_solver_rank solver_count
    solver_rank to_proto""".split()
    assert set(names) <= set(dir(caffe))
    assert set(caffe.__all__) <= set(dir(caffe))


def test_stubs_of_the_messages():
    """Where protoc can write them (3.20 and later)."""
    path = Path(caffe.__file__).parent / "proto" / "caffe_pb2.pyi"
    if not path.exists():
        pytest.skip("protoc is older than 3.20")
    stub = ast.parse(path.read_text())
    names = {node.name for node in stub.body if isinstance(node, ast.ClassDef)}
    assert {"NetParameter", "LayerParameter", "Phase"} <= names
    assert names <= set(dir(caffe.proto.caffe_pb2))
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and "maap_pb2" in [alias.name for alias in node.names]:
            assert node.module == "caffe.proto"
