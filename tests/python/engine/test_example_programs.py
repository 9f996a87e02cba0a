"""The programs in examples/programs, of the kind that others wrote for Caffe, on a small net."""

import json
import re
import struct
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest
from examples_support import load_example

PROGRAMS = Path(__file__).resolve().parents[3] / "examples" / "programs"
NET = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 24 dim: 32 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 12 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    folder = tmp_path_factory.mktemp("net")
    definition, weights = folder / "deploy.prototxt", folder / "net.caffemodel"
    definition.write_text('name: "small"' + NET)
    caffe.set_random_seed(3)
    caffe.Net(definition, caffe.TEST).save(str(weights))
    return str(definition), str(weights)


def picture(path, seed, shape=(40, 56, 3)):
    """Smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    cv2.imwrite(str(path), cv2.blur(noise, (5, 5)))
    return cv2.imread(str(path))


def program(name):
    return load_example(PROGRAMS / f"{name}.py")


@pytest.fixture(scope="module")
def service(net):
    command = [sys.executable, PROGRAMS / "feature_service.py", *net, "--blob", "conv2"]
    running = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
    line = running.stdout.readline()
    yield re.search(r"http://\S+", line)[0]
    running.kill()
    running.wait()
    running.stdout.close()


def ask(address, content):
    with urllib.request.urlopen(urllib.request.Request(address, content), timeout=60) as answer:
        return json.load(answer)


def test_the_service_answers_with_features(service, net, tmp_path):
    images = [picture(tmp_path / f"{k}.png", k) for k in range(6)]
    with ThreadPoolExecutor(6) as pool:  # at a time, so that some go through the net together
        contents = [(tmp_path / f"{k}.png").read_bytes() for k in range(6)]
        answers = list(pool.map(lambda content: ask(service, content), contents))
    own = caffe.Net(net[0], caffe.TEST, weights=net[1])
    for image, answer in zip(images, answers):
        data = cv2.resize(image, (32, 24)).astype(np.float32) - np.float32([104, 117, 123])
        own.blobs["data"].data[0] = data.transpose(2, 0, 1)
        wanted = own.forward()["conv2"][0]
        assert answer["blob"] == "conv2" and answer["shape"] == [12, 12, 16]
        assert np.allclose(answer["features"], wanted.ravel(), rtol=1e-4, atol=1e-3)


def test_the_service_refuses_what_is_no_image(service):
    for content in (b"junk", b""):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(service, content)
        assert refused.value.code == 400 and "not an image" in refused.value.read().decode()


@pytest.mark.parametrize("length", ["-1", "text", "1.5", "99999999999999", "\u00b2"])
def test_the_service_refuses_lengths(service, length):
    """A negative one waited for the other side to close; the others had no answer."""
    request = urllib.request.Request(service, b"junk", {"Content-Length": length})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 400 and "Content-Length is" in refused.value.read().decode()


def test_the_service_answers_where_opencv_throws(service):
    """A PNG of 200000 x 200000 pixels in a hundred bytes."""

    def chunk(kind, data):
        end = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", end)

    size = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", size), chunk(b"IDAT", zlib.compress(bytes(99))), chunk(b"IEND", b"")
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(service, b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert refused.value.code == 400 and "not an image" in refused.value.read().decode()


def test_the_painters_gradient(net, tmp_path):
    """Against central differences, along random directions."""
    style = program("style_transfer")
    painter = style.Painter(*net, ["conv2"], ["conv1", "conv2", "pool1"], 1e2)
    mean = np.float32([104, 117, 123])
    shape = (3, 20, 28)
    for k in (1, 2):
        picture(tmp_path / f"{k}.png", k)
    photo, painting = (style.read(str(tmp_path / f"{k}.png"), 28, mean) for k in (1, 2))
    assert photo.shape == shape
    painter.remember(photo, painting)
    r = np.random.default_rng(0)
    at = photo.ravel().astype(np.float64) + r.normal(size=photo.size)
    _, gradient = painter(at)
    for _ in range(3):
        direction = r.normal(size=at.size)
        step = 1e-2
        slope = (painter(at + step * direction)[0] - painter(at - step * direction)[0]) / (2 * step)
        assert abs(slope - gradient @ direction) < 2e-2 * np.linalg.norm(gradient)


def test_a_picture_is_painted(net, tmp_path):
    for name, seed in (("photo", 1), ("painting", 2)):
        picture(tmp_path / f"{name}.png", seed)
    command = [sys.executable, PROGRAMS / "style_transfer.py", *net]
    command += [tmp_path / "photo.png", tmp_path / "painting.png", tmp_path / "out.png"]
    options = ["--content", "conv2", "--style", "conv1,conv2", "--iterations", "30"]
    done = subprocess.run(
        [*command, *options, "--width", "48"], stdout=subprocess.PIPE, text=True, check=True
    )
    before, after = re.search(r"loss (\S+) -> (\S+) in \d+ iterations", done.stdout).groups()
    assert float(after) < 0.5 * float(before)
    assert cv2.imread(str(tmp_path / "out.png")).shape == (34, 48, 3)
