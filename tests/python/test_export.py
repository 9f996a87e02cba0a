"""``maap export``: a run's net as an ONNX file, on the engine; on BVLC Caffe an error."""

import shutil

import numpy as np
import pytest
from evaluate_fakes import make_run
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.host import loader
from maap.measure.export import export_net
from maap.runs.request import Request
from test_cli import maap
from test_subject import run  # noqa: F401  the fixture

pytestmark = pytest.mark.usefixtures("private_cache")
IS_ENGINE = loader.name_of(loader.load()) == "fork"
engine_only = pytest.mark.skipif(not IS_ENGINE, reason="caffe.onnx belongs to the engine")


@pytest.mark.skipif(IS_ENGINE, reason="is about BVLC Caffe")
def test_bvlc_caffe_says_what_to_do(tmp_path):
    with pytest.raises(MaapError, match="needs the engine of this repository: leave out --host"):
        export_net(Request(run="birds"), tmp_path / "x.onnx", None, None)


@engine_only
def test_a_run(run, tmp_path):  # noqa: F811
    import onnx
    import onnxruntime

    out = tmp_path / "new" / "birds.onnx"
    text = maap("export", str(run.folder), "--out", str(out), status=0)
    lines = text.splitlines()
    assert lines[0] == "birds after phase 1"
    assert lines[1].startswith("input data: N x 3 x 56 x 56, B, G, R, 0 to 255 less the mean (")
    assert lines[1].endswith(", times 0.5")
    assert lines[-1].startswith(f"{out}: opset 17, IR 8")
    about = {x.key: x.value for x in onnx.load(str(out)).metadata_props}
    classes = Dataset.open(run.folder.parents[1] / "data").classes
    assert about["classes"].splitlines() == list(classes) and about["scale"] == "0.5"

    caffe = loader.load()
    net = caffe.Net(
        str(run.folder / "deploy.prototxt"),
        caffe.TEST,
        weights=str(run.folder / "phase1" / "final.caffemodel"),
    )
    images = np.random.RandomState(0).uniform(-100, 100, (3, 3, 56, 56)).astype(np.float32)
    net.blobs["data"].reshape(*images.shape)
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    (prob,) = session.run(None, {"data": images})
    assert np.abs(net.forward(data=images)["prob"] - prob).max() < 1e-5


@engine_only
def test_without_the_data_set(run, tmp_path):  # noqa: F811
    shutil.copytree(run.folder, tmp_path / "birds")
    state = tmp_path / "birds" / "state.json"
    state.write_text(state.read_text().replace(str(run.folder.parents[1] / "data"), "/nowhere"))
    lines = export_net(Request(run=str(tmp_path / "birds")), None, 2, 18)
    assert lines[0].startswith("note: compared on random inputs alone: ")
    assert (tmp_path / "birds" / "deploy.onnx").is_file()
    assert "opset 18" in lines[-1]


@engine_only
def test_the_comparison_sees_the_test_images(tmp_path, monkeypatch):
    """A file that is right on random inputs alone would not do."""
    from caffe.onnx import main
    from evaluate_fakes import TRANSFORM
    from maap.measure import export
    from maap.runs.subject import Subject

    folder = make_run(tmp_path)
    split = Dataset.open(folder / "data").split("test")
    weights = folder / "phase1" / "final.caffemodel"
    subject = Subject(
        "made up", folder / "deploy.prototxt", None, None, weights, TRANSFORM, (40, 40), "warp", 4,
        "roi", Dataset.open(folder / "data"),
    )  # fmt: skip
    monkeypatch.setattr(export, "resolve", lambda *_, **__: subject)
    seen = []
    monkeypatch.setattr(main, "write", lambda exported, target, more: seen.extend(more) or [])
    export_net(Request(run="x"), tmp_path / "x.onnx", None, None)
    assert [batch["data"].shape for batch in seen] == [(4, 3, 40, 40)] * 2
    assert np.array_equal(seen[1]["data"][3], TRANSFORM.apply(split.read(7)[0]))


@engine_only
@pytest.mark.parametrize(
    "words, expected",
    [
        (["export", "birds"], "birds"),
        (["export"], "--weights"),
        (["export", "birds", "--batch", "many"], "give a number of images, or dynamic"),
        (["export", "birds", "--net", "alexnet"], "--net"),
    ],
)
def test_mistakes(tmp_path, words, expected):
    assert expected in maap(*words, cwd=tmp_path)
