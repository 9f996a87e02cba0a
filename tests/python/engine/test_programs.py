"""python -m caffe.classify, detect and draw_net."""

import csv
import re
import subprocess
import sys
import types
from pathlib import Path

import caffe
import make_golden
import numpy as np
import pytest
from caffe import classify, detect, draw, draw_net
from PIL import Image


@pytest.fixture
def files(tmp_path):
    """Options for a net of 5 classes with an input of 3 x 4 x 4."""
    model, weights = make_golden.classifier_files(tmp_path, caffe)
    return ["--model_def", str(model), "--pretrained_model", str(weights)]


@pytest.fixture
def images(tmp_path):
    """A folder of three images of different sizes, b.jpg before c.jpg, and others."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in [("c.jpg", (9, 8)), ("b.jpg", (12, 6)), ("a.png", (7, 7))]:
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def classifier(files, **options):
    defaults = dict(image_dims=[6, 6], raw_scale=255, channel_swap=(2, 1, 0))
    return caffe.Classifier(files[1], files[3], **{**defaults, **options})


def classified(files, tmp_path, source, *options):
    out = tmp_path / "predictions.npy"
    classify.main([*files, "--images_dim", "6,6", *options, str(source), str(out)])
    return np.load(out)


def test_classify_one_image(files, images, tmp_path, capsys):
    found = classified(files, tmp_path, images / "a.png")
    expected = classifier(files).predict([caffe.io.load_image(images / "a.png")])
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (1, 5)
    said = capsys.readouterr().out
    for text in ("CPU mode", "Classifying 1 inputs.", "Done in ", "Saving results into "):
        assert text in said


def test_classify_a_folder(files, images, tmp_path):
    found = classified(files, tmp_path, images)
    both = [caffe.io.load_image(images / name) for name in ("b.jpg", "c.jpg")]
    np.testing.assert_array_equal(found, classifier(files).predict(both))
    assert classified(files, tmp_path, images, "--ext", "png").shape == (1, 5)
    with pytest.raises(ValueError, match=r"no \*\.bmp"):
        classified(files, tmp_path, images, "--ext", "bmp")


def test_options_of_classify(files, tmp_path):
    arrays = np.random.default_rng(1).random((3, 8, 8, 3)).astype(np.float32)
    np.save(tmp_path / "in.npy", arrays)
    mean = np.array([10.0, 20, 30])
    np.save(tmp_path / "mean.npy", mean)
    blob = caffe.io.array_to_blobproto(mean.reshape(1, 3, 1, 1))
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    expected = classifier(
        files, mean=mean, raw_scale=100, input_scale=0.5, channel_swap=(0, 2, 1)
    ).predict(arrays, oversample=False)
    for kind in ("npy", "binaryproto"):
        options = ["--center_only", "--mean_file", str(tmp_path / f"mean.{kind}")]
        options += ["--raw_scale", "100", "--input_scale", "0.5", "--channel_swap", "0,2,1"]
        found = classified(files, tmp_path, tmp_path / "in.npy", *options)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    plain = classified(files, tmp_path, tmp_path / "in.npy")
    assert not np.allclose(plain, expected)
    (tmp_path / "in.npy").rename(tmp_path / "images")  # the content tells what it is
    np.testing.assert_array_equal(classified(files, tmp_path, tmp_path / "images"), plain)


def test_classify_with_a_net_for_grey_images(images, tmp_path):
    net = tmp_path / "grey.prototxt"
    net.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 4 '
        'dim: 4 } } } layer { name: "sum" type: "Reduction" bottom: "x" top: "sum" '
        "reduction_param { axis: 1 } }"
    )
    caffe.Net(net, caffe.TEST).save(tmp_path / "grey.caffemodel")
    options = ["--model_def", str(net), "--pretrained_model", str(tmp_path / "grey.caffemodel")]
    assert classified(options, tmp_path, images).shape == (2, 1)


def test_defaults():
    options = ["--model_def", "net", "--pretrained_model", "weights", "in", "out"]
    args = classify.parse_args(options)
    assert (args.images_dim, args.raw_scale, args.ext) == ([256, 256], 255, "jpg")
    assert not args.gpu and not args.center_only and args.mean_file is None
    args = detect.parse_args(options)
    assert (args.crop_mode, args.context_pad, args.channel_swap) == (
        "selective_search",
        16,
        "2,1,0",
    )
    args = draw_net.parse_args(["in", "out"])
    assert (args.rankdir, args.phase, args.display_lrm) == ("LR", "ALL", False)


@pytest.mark.parametrize(
    "program", ["classify", "detect", "draw_net", "parse_log", "plot_training_log"]
)
def test_the_page_has_every_option(program):
    page = (Path(__file__).parents[3] / "docs/reference/python-programs.md").read_text()
    section = page.split(f"## caffe.{program}\n")[1].split("\n## ")[0]
    said = run(program, "--help").stdout
    options = set(re.findall(r"--\w+", said)) - {"--help"}
    named = set(re.findall(r"`(--\w+)[` ]", section))
    assert options == named
    for option, default in re.findall(r"^\| `(--\w+)` \| ([\w,]+) \|", section, re.M):
        if default != "none":
            line = said[said.rindex(option + " ") :]
            assert default in line, (option, default)


def run(program, *arguments):
    command = [sys.executable, "-m", f"caffe.{program}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_as_programs(files, images, tmp_path):
    out = tmp_path / "p.npy"
    done = run("classify", *files, "--images_dim", "6,6", images, out)
    assert done.returncode == 0, done.stderr
    assert np.load(out).shape == (2, 5)
    for arguments, message in [
        ((*files, images / "none.jpg", out), f"error: {images}/none.jpg: No such file"),
        ((*files, "--images_dim", "2,9", images, out), "images of 2 x 9 are smaller than"),
        ((*files, images, images / "nowhere" / "p.npy"), f"{images}/nowhere: No such folder"),
        ((*files, "--mean_file", images / "notes.txt", images, out), "notes.txt holds no mean"),
        ((*files[:2], "--pretrained_model", "none.caffemodel", images, out), "none.caffemodel"),
    ]:
        done = run("classify", *arguments)
        assert done.returncode == 1
        assert message in done.stderr.splitlines()[-1]
    assert run("classify", "--help").stdout.startswith("usage: python -m caffe.classify")


WINDOWS = [(0, 0, 5, 5), (1.5, 2, 6, 7), (0, 1, 6, 6)]


@pytest.fixture
def windows(images, tmp_path):
    path = tmp_path / "windows.csv"
    names = [images / "b.jpg", images / "c.jpg", images / "b.jpg"]
    lines = [",".join(map(str, (name, *window))) for name, window in zip(names, WINDOWS)]
    path.write_text("\n".join(["filename,ymin,xmin,ymax,xmax", *lines]) + "\n")
    return path


def test_detect(files, images, windows, tmp_path, capsys):
    out = tmp_path / "found.csv"
    options = ["--crop_mode", "list", "--context_pad", "1"]
    detect.main([*files, *options, str(windows), str(out)])
    rows = list(csv.DictReader(out.open()))
    assert list(rows[0]) == ["filename", *detect.COORD_COLS, *(f"class{i}" for i in range(5))]
    detector = caffe.Detector(
        files[1], files[3], raw_scale=255, channel_swap=(2, 1, 0), context_pad=1
    )
    b, c = str(images / "b.jpg"), str(images / "c.jpg")
    by_image = [(b, np.array([WINDOWS[0], WINDOWS[2]])), (c, np.array([WINDOWS[1]]))]
    expected = detector.detect_windows(by_image)
    assert [row["filename"] for row in rows] == [b, b, c]
    for row, found in zip(rows, expected):
        assert [float(row[name]) for name in detect.COORD_COLS] == list(found["window"])
        prediction = [float(row[f"class{i}"]) for i in range(5)]
        np.testing.assert_allclose(prediction, found["prediction"], rtol=1e-6)
    assert "Processed 3 windows in " in capsys.readouterr().out


def test_detect_with_pandas(files, windows, tmp_path, monkeypatch):
    out, options = tmp_path / "found.h5", ["--crop_mode", "list", "--context_pad", "0"]
    monkeypatch.setitem(sys.modules, "tables", None)
    monkeypatch.setattr(detect, "Detector", None)  # said before anything is computed
    with pytest.raises(ImportError, match="pip install pandas tables"):
        detect.main([*files, *options, str(windows), str(out)])
    monkeypatch.undo()
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    detect.main([*files, *options, str(windows), str(out)])
    frame = pandas.read_hdf(out, "df")
    assert list(frame.columns) == ["prediction", *detect.COORD_COLS]
    assert frame.index.name == "filename" and len(frame) == 3
    assert np.vstack(frame.prediction.values).shape == (3, 5)


def test_detect_by_selective_search(files, images, tmp_path, monkeypatch):
    names = tmp_path / "names.txt"
    names.write_text(f"\ufeff{images / 'b.jpg'}\n\n{images / 'c.jpg'}\n")
    proposed = [np.array([[0, 0, 4, 4]]), np.array([[1, 1, 5, 5], [0, 0, 6, 6]])]
    asked = []
    search = types.SimpleNamespace(get_windows=lambda names, cmd: asked.extend(names) or proposed)
    monkeypatch.setitem(sys.modules, "selective_search_ijcv_with_python", search)
    out = tmp_path / "found.csv"
    detect.main([*files, "--context_pad", "0", str(names), str(out)])
    assert asked == [str(images / "b.jpg"), str(images / "c.jpg")]
    assert [row["filename"] for row in csv.DictReader(out.open())] == [asked[0], asked[1], asked[1]]


def test_mistakes_of_detect(files, windows, tmp_path):
    listed = [*files, "--crop_mode", "list", "--context_pad", "1"]
    (tmp_path / "no.csv").write_text("filename,ymin,xmin,ymax\na,1,2,3\n")
    (tmp_path / "word.csv").write_text("filename,ymin,xmin,ymax,xmax\na,1,2,3,4\nb,1,2,x,4\n")
    (tmp_path / "names.txt").write_text("a.jpg\n")
    for source, out, message in [
        ("names.txt", "o.csv", "windows from a .csv"),
        ("windows.csv", "o.txt", "a .csv or an .h5"),
        ("no.csv", "o.csv", "no column xmax"),
        ("word.csv", "o.csv", "line 3: not four numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            detect.main([*listed, str(tmp_path / source), str(tmp_path / out)])
    with pytest.raises(ValueError, match="images from a .txt"):
        detect.main([*files, str(windows), "o.csv"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        detect.main([*listed, str(windows), str(tmp_path / "nowhere" / "o.csv")])
    for window in [(3, 3, 3, 3), (4, 4, 0, 0), (50, 0, 60, 4)]:
        with pytest.raises(ValueError, match=r"has no pixels in an image of 9 x 8"):
            caffe.Detector(files[1], files[3]).crop(np.zeros((9, 8, 3)), window)


@pytest.mark.parametrize("size", ["256", "1,2,3", "a,b", ""])
def test_images_dim_is_a_height_and_a_width(files, size, capsys):
    with pytest.raises(SystemExit):
        classify.parse_args([*files, "--images_dim", size, "in.jpg", "out.npy"])
    assert "argument --images_dim: invalid height_width value" in capsys.readouterr().err


def test_draw_net(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(draw, "draw_net_to_file", lambda *arguments: calls.append(arguments))
    path = tmp_path / "net.prototxt"
    path.write_text('\ufeffname: "n" layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')
    draw_net.main([str(path), "n.png"])
    options = ["--rankdir", "TB", "--phase", "TEST", "--display_lrm"]
    draw_net.main([*options, str(path), "n.svg"])
    assert [call[1:] for call in calls] == [
        ("n.png", "LR", None, False),
        ("n.svg", "TB", caffe.TEST, True),
    ]
    assert calls[0][0].layer[0].name == "r"
    assert capsys.readouterr().out.splitlines() == ["Drawing net to n.png", "Drawing net to n.svg"]


def test_draw_net_of_an_old_form_and_of_a_fork(tmp_path, monkeypatch):
    nets = []
    monkeypatch.setattr(draw, "draw_net_to_file", lambda net, *_: nets.append(net))
    path = tmp_path / "net.prototxt"
    for text in ("layers { name: 'r' type: RELU }", "layer { type: 'ReLU' forward_type: FLOAT }"):
        path.write_text(text)
        draw_net.main([str(path), "n.png"])
    assert [net.layer[0].type for net in nets] == ["ReLU", "ReLU"]


def test_mistakes_of_draw_net(tmp_path, monkeypatch):
    path = tmp_path / "net.prototxt"

    def fail(*_):
        raise AssertionError("dot returned code 1")

    path.write_text('name: "n"')
    monkeypatch.setattr(draw, "draw_net_to_file", fail)
    with pytest.raises(ValueError, match="n.nope: dot cannot draw it: dot returned code 1"):
        draw_net.main([str(path), "n.nope"])
    for text, message in [
        ("layer {", "net.prototxt:1:8: Expected"),
        ("no_such_field: 1", "net.prototxt:1:14: .*no_such_field"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            draw_net.main([str(path), "n.png"])
    path.write_bytes(b"\n\x04net\xff\xfe")
    with pytest.raises(ValueError, match="net.prototxt:2:1: Invalid control characters"):
        draw_net.main([str(path), "n.png"])
