"""The command line: one clear line for every mistake, exit status 1, no stack trace."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("private_cache")
TINY = str(REPO / "tests" / "nets" / "tiny")


def maap(*words, cwd=None, status=1):
    """Run `maap WORDS`; its output, stderr after stdout. Checks status and the error's form."""
    done = subprocess.run(
        [sys.executable, "-m", "maap", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    if status == 1:
        lines = done.stderr.strip().splitlines()
        assert lines and lines[0].startswith("error: "), done.stderr
        assert "unexpected" not in lines[0], done.stderr
        assert len(lines) <= 2, done.stderr  # the second may name a log
    return done.stdout + done.stderr


def test_help_and_version():
    text = maap("--help", status=0)
    for verb in ("train", "rewrite", "evaluate", "report", "data", "runs"):
        assert f"\n  {verb}" in text
    assert "maap" in maap("--version", status=0)


def test_help_imports_no_command():
    """`maap --help` is quick because it imports no more of maap than this."""
    code = "import sys; from maap.cli.main import cli; cli.main(['--help'], standalone_mode=False)"
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    loaded = set(done.stdout.decode().splitlines()[-1].split())
    needed = {
        "cli",
        "cli.main",
        "cli.group",
        "errors",
        "host",
        "host.launched",
        "util",
        "util.text",
    }
    assert {name for name in loaded if name.startswith("maap.")} == {f"maap.{n}" for n in needed}
    assert not {"yaml", "subprocess", "multiprocessing", "rich", "numpy"} & loaded


def test_every_command_explains_itself():
    from maap.cli.main import COMMANDS

    for name in [name for section in COMMANDS.values() for name in section]:
        text = maap(name, "--help", status=0)
        assert text.startswith(f"Usage: maap {name} ") and len(text.splitlines()) > 5, name


@pytest.mark.parametrize("command", ["train", "evaluate", "visualize"])
def test_the_environment_may_name_the_gpu(command, monkeypatch):
    program = getattr(importlib.import_module(f"maap.cli.{command}"), command)

    def gpu(*words):
        return program.make_context(command, ["alexnet", *words]).params["gpu"]

    monkeypatch.setenv("MAAP_DEFAULT_GPU", "")
    assert gpu() is None
    monkeypatch.setenv("MAAP_DEFAULT_GPU", "2")
    assert int(gpu()) == 2
    assert int(gpu("--gpu", "1")) == 1


def test_importing_maap_and_its_command_line_loads_no_caffe_or_numpy():
    code = "import sys, maap, maap.cli.main; maap.train; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    loaded = done.stdout.decode().split()
    assert not {"caffe", "numpy", "skimage", "matplotlib", "cv2"} & set(loaded)


def test_train_help_shows_every_setting():
    from maap.config.fields import FIELDS, option_name

    text = maap("train", "--help", status=0)
    for name in FIELDS:
        assert name == "net" or option_name(name) in text


@pytest.mark.parametrize(
    "words, expected",
    [
        (["trian"], "did you mean train"),
        (["train", "--bath", "3"], "--bath"),
        (["train", "--batch", "x"], "whole number"),
        (["train", "--variant", "mapp"], "did you mean maap"),
        (["train", "alxnet"], "did you mean alexnet"),
        (["train", "--data", "dmo"], "did you mean demo"),
        (["train", "--data", "nothere/photos"], "nothere/photos"),
        (["train", "--weights", "nothere.caffemodel"], "nothere.caffemodel"),
        (["train", "--config", "nothere.yaml"], "nothere.yaml"),
        (["train", "--resume"], "no unfinished run"),
        (["train", "--resume", "birds"], "no run birds"),
        (["train", "--name", "a/b"], "run name"),
        (["report", "birds"], "birds"),
        (["evaluate", "birds"], "birds"),
        (["evaluate"], "--weights"),
        (["rewrite", "birds", "--out", "x"], "birds"),
        (["data", "fodler"], "did you mean folder"),
        (["data", "folder", "nothere"], "nothere"),
    ],
)
def test_mistakes(tmp_path, words, expected):
    assert expected in maap(*words, cwd=tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] in ([], ["data"])


def test_a_yaml_file_with_a_wrong_setting(tmp_path):
    (tmp_path / "c.yaml").write_text("bsae_lr: 1\n")
    text = maap("train", "--config", "c.yaml", cwd=tmp_path)
    assert "c.yaml" in text and "did you mean base_lr" in text


def test_weights_that_are_no_caffemodel(tmp_path, mini_images):
    (tmp_path / "w.caffemodel").write_bytes(b"<html>404</html>")
    words = ["train", TINY, "--data", mini_images, "--image-size", 64]
    assert "w.caffemodel" in maap(*words, "--weights", "w.caffemodel", cwd=tmp_path)


def test_a_prototxt_with_an_unknown_field(tmp_path, mini_images):
    shutil.copytree(TINY, tmp_path / "net")
    for path in (tmp_path / "net").glob("train_val*.prototxt"):
        path.write_text(path.read_text().replace("kernel_size", "kernel_sise", 1))
    text = maap("train", "net", "--data", mini_images, "--image-size", 64, cwd=tmp_path)
    assert "kernel_sise" in text and "train_val" in text


def test_a_missing_mean_file(tmp_path, mini_images):
    shutil.copytree(TINY, tmp_path / "net")
    for path in (tmp_path / "net").glob("train_val*.prototxt"):
        text = re.sub(r"mean_value: \S+", "", path.read_text())
        path.write_text(text.replace("crop_size", 'mean_file: "no.binaryproto" crop_size'))
    text = maap("train", "net", "--data", mini_images, "--image-size", 64, cwd=tmp_path)
    assert "no.binaryproto" in text


def test_images_of_one_class(tmp_path, mini_images):
    shutil.copytree(Path(mini_images) / "train" / "class0", tmp_path / "set" / "train" / "one")
    text = maap("train", TINY, "--data", "set", "--image-size", 64, cwd=tmp_path)
    assert "holds only the class 'one'" in text and "at least two" in text


@pytest.mark.parametrize("verb", [["train", TINY, "--data"], ["data", "cub"]])
def test_the_bird_set_of_2010(tmp_path, verb):
    from test_data_cub import make_2010

    source = make_2010(tmp_path / "CUB_200_2010")
    text = maap(*verb, source, cwd=tmp_path)
    assert "CUB-200-2010" in text and "CUB_200_2011.tgz" in text


def test_a_net_that_caffe_refuses_gives_caffes_words(tmp_path, mini_images):
    """A CHECK inside Caffe ends the process; the user still gets a sentence."""
    shutil.copytree(TINY, tmp_path / "net")
    for path in (tmp_path / "net").glob("train_val*.prototxt"):
        path.write_text(path.read_text().replace('type: "ReLU"', 'type: "ReLu"', 1))
    text = maap("train", "net", "--data", mini_images, "--image-size", 64, cwd=tmp_path)
    assert "Caffe stopped" in text and "ReLu" in text and "log: " in text


def test_a_truncated_jpeg(tmp_path, mini_images):
    import cv2

    shutil.copytree(mini_images, tmp_path / "set")
    image = tmp_path / "set" / "train" / "class1" / "3.png"
    data = cv2.imencode(".jpg", cv2.imread(str(image)))[1].tobytes()
    image.with_name("broken.jpg").write_bytes(data[: len(data) // 2])
    assert "broken.jpg" in maap("train", TINY, "--data", "set", "--image-size", 64, cwd=tmp_path)
    assert not list((tmp_path / "runs").rglob("config.yaml"))


def test_a_label_out_of_range(tmp_path, mini_images):
    maap("data", "folder", mini_images, "--size", 64, "--out", "set", cwd=tmp_path, status=0)
    lines = (tmp_path / "set" / "train.csv").read_text().splitlines()
    row = lines[3].split(",")
    lines[3] = ",".join([row[0], "7", *row[2:]])
    (tmp_path / "set" / "train.csv").write_text("\n".join(lines) + "\n")
    text = maap("train", TINY, "--data", "set", cwd=tmp_path)
    assert "train.csv" in text and "label 7" in text


def test_an_empty_class(tmp_path, mini_images):
    shutil.copytree(mini_images, tmp_path / "set")
    for path in (tmp_path / "set" / "train" / "class2").iterdir():
        path.unlink()
    text = maap("train", TINY, "--data", "set", "--image-size", 64, cwd=tmp_path)
    assert "class2" in text
