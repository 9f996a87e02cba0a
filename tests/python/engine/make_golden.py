"""Writes tests/golden/pycaffe: tools/host/bvlc python3 tests/python/engine/make_golden.py

Python 3.9, and no image files: that Caffe's load_image does not work with its scikit-image.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "golden" / "pycaffe"
sys.path.insert(0, str(HERE))

CLASSIFIER = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 10 dim: 3 dim: 4 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
PREPROCESSING = dict(
    mean=np.array([0.1, 0.2, 0.3]), raw_scale=2, channel_swap=(2, 1, 0), input_scale=0.5
)


def images():
    random = np.random.RandomState(3)
    return [random.rand(9, 7, 3).astype(np.float32) for _ in range(3)]


def big_image():
    return np.random.RandomState(4).rand(20, 24, 3).astype(np.float32)


WINDOWS = [("a", [[1, 1, 5, 6], [0, 0, 9, 7]]), ("b", [[2, 3, 15, 20], [10, 10, 20, 24]])]


def classifier_files(folder, caffe):
    """A small net with random weights: the names of its prototxt and caffemodel."""
    (folder / "net.prototxt").write_text(CLASSIFIER)
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    net.params["ip"][0].data[...] = np.random.RandomState(2).randn(5, 48) * 0.1
    net.save(str(folder / "net.caffemodel"))
    return str(folder / "net.prototxt"), str(folder / "net.caffemodel")


def resized(caffe):
    random = np.random.RandomState(0)
    colour, many, grey = random.rand(6, 8, 3), random.rand(6, 8, 5), random.rand(6, 8, 1)
    io = caffe.io
    return {
        "down": io.resize_image(colour.astype(np.float32), (3, 4)),
        "up": io.resize_image(colour.astype(np.float32), (9, 10)),
        "nearest": io.resize_image(colour * 255, (2, 8), interp_order=0),
        "many": io.resize_image(many, (3, 4)),
        "grey": io.resize_image(grey, (12, 4)),
        "flat": io.resize_image(np.full((4, 5, 3), 7, np.uint8), (2, 9)),
    }


def transformed(caffe):
    """The input after each step that is set, and back."""
    image = images()[0]
    transformer = caffe.io.Transformer({"data": (1, 3, 4, 4)})
    results = {"resize": transformer.preprocess("data", image)}
    for step, value in [
        ("transpose", (2, 0, 1)),
        ("channel_swap", (2, 1, 0)),
        ("raw_scale", 255.0),
        ("mean", np.array([104, 117, 123.0])),
        ("input_scale", 0.017),
    ]:
        getattr(transformer, "set_" + step)("data", value)
        results[step] = transformer.preprocess("data", image)
    results["deprocess"] = transformer.deprocess("data", results["input_scale"][np.newaxis])
    transformer.set_mean("data", np.random.RandomState(1).rand(3, 5, 6) * 100)
    results["mean_resized"] = transformer.mean["data"]
    results["mean_image"] = transformer.preprocess("data", image)
    return results


def oversampled(caffe):
    results = {}
    for height, width, crop in [(6, 8, (4, 4)), (7, 9, (4, 4)), (5, 7, (4, 2)), (7, 8, (3, 5))]:
        image = np.arange(height * width * 2).reshape(height, width, 2).astype(np.float32)
        results[f"{height}x{width}"] = caffe.io.oversample([image, -image], crop)
    return results


def predicted(caffe):
    with tempfile.TemporaryDirectory() as folder:
        files = classifier_files(Path(folder), caffe)
        classifier = caffe.Classifier(*files, image_dims=(6, 5), **PREPROCESSING)
        detector = caffe.Detector(*files, **PREPROCESSING)
        plain = caffe.Classifier(*files).predict(images(), False)
    caffe.io.load_image = lambda name: {"a": images()[0], "b": big_image()}[name]
    windows = [(name, np.array(boxes)) for name, boxes in WINDOWS]
    return {
        "oversampled": classifier.predict(images()),
        "centre": classifier.predict(images(), False),
        "plain": plain,
        "windows": np.stack([found["prediction"] for found in detector.detect_windows(windows)]),
    }


def arrays(caffe):
    found = {}
    for kind in (resized, transformed, oversampled, predicted):
        for name, array in kind(caffe).items():
            found[kind.__name__ + "/" + name] = array
    return found


def main():
    import caffe
    import interface
    import specs

    GOLDEN.mkdir(parents=True, exist_ok=True)
    for spec in specs.SPECS:
        (GOLDEN / (spec.__name__ + ".prototxt")).write_text(str(spec()))
    (GOLDEN / "coordinate_maps.json").write_text(json.dumps(specs.coordinate_maps()) + "\n")
    (GOLDEN / "interface.json").write_text(json.dumps(interface.interface(caffe), indent=1) + "\n")
    np.savez_compressed(GOLDEN / "arrays.npz", **arrays(caffe))


if __name__ == "__main__":
    main()
