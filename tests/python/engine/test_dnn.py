"""caffe.dnn beside OpenCV 4's dnn: the same program, one import changed, the same results.

OpenCV 5 no longer reads Caffe's files; with it, the comparisons are skipped and the rest runs.
"""

import caffe
import cv2
import numpy as np
import pytest
from caffe import dnn

theirs = pytest.mark.skipif(int(cv2.__version__.split(".")[0]) > 4, reason="OpenCV 5 has no Caffe")

NET = """
name: "two outputs"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 12 dim: 14 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.3 }
    bias_filler { type: "uniform" min: -1 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "side" type: "Convolution" bottom: "conv1" top: "side_blob"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "halves" type: "Slice" bottom: "pool1" top: "s1" top: "s2"
  slice_param { axis: 1 slice_point: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "s1" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
TWO_INPUTS = """
input: "a" input_shape { dim: 1 dim: 3 dim: 8 dim: 9 }
input: "b" input_shape { dim: 1 dim: 4 dim: 6 dim: 7 }
layer { name: "c" type: "Convolution" bottom: "a" top: "cb"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "s" type: "Sigmoid" bottom: "cb" top: "sb" }
layer { name: "sum" type: "Eltwise" bottom: "sb" bottom: "b" top: "eb" }
layer { name: "o1" type: "ReLU" bottom: "eb" top: "o1b" }
layer { name: "o2" type: "TanH" bottom: "eb" top: "o2b" }
"""

INPUT = b'input: "x" input_shape { dim: 2 }'
DATA = b'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }'


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{name: (prototxt, caffemodel)} of the two nets above, with random weights."""
    folder = tmp_path_factory.mktemp("dnn")
    found = {}
    caffe.set_random_seed(7)
    for name, text in {"net": NET, "two": TWO_INPUTS}.items():
        prototxt, weights = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
        prototxt.write_text(text)
        caffe.Net(prototxt, caffe.TEST).save(str(weights))
        found[name] = (str(prototxt), str(weights))
    return found


@pytest.fixture
def both(files):
    """{name: [the net here, the net in OpenCV]}."""
    return {
        name: [library.readNetFromCaffe(*pair) for library in (dnn, cv2.dnn)]
        for name, pair in files.items()
    }


def same(mine, other) -> bool:
    if isinstance(other, (tuple, list)):
        return (
            type(mine) is type(other)
            and len(mine) == len(other)
            and all(same(m, o) for m, o in zip(mine, other))
        )
    if isinstance(other, np.ndarray):
        mine = np.asarray(mine)
        if (mine.shape, mine.dtype) != (other.shape, other.dtype) or not other.size:
            return (mine.shape, mine.dtype) == (other.shape, other.dtype)
        return float(np.abs(mine - other).max()) <= 1e-5 * float(np.abs(other).max())
    return mine == other


# ---- nets


@theirs
@pytest.mark.parametrize("name", ["net", "two"])
def test_what_a_net_says_of_itself(both, name):
    mine, other = both[name]
    for ask in (
        "getLayerNames",
        "getUnconnectedOutLayers",
        "getUnconnectedOutLayersNames",
        "getLayerTypes",
        "empty",
    ):
        assert same(getattr(mine, ask)(), getattr(other, ask)()), ask
    for layer in [*mine.getLayerNames(), "nobody"]:
        assert mine.getLayerId(layer) == other.getLayerId(layer)
    for k in range(len(mine.getLayerNames()) + 1):
        assert mine.getLayer(k).name == other.getLayer(k).name
        assert mine.getLayer(k).type == other.getLayer(k).type
        assert [b.shape for b in mine.getLayer(k).blobs] == [
            b.shape for b in other.getLayer(k).blobs
        ]
    assert mine.getLayersCount("Convolution") == other.getLayersCount("Convolution")
    if name == "net":  # OpenCV's Python takes one shape here
        shape = (1, 3, 12, 14)
        assert mine.getMemoryConsumption(shape) == other.getMemoryConsumption(shape)
        assert same(mine.getLayersShapes(shape), other.getLayersShapes(shape))
    else:
        assert mine.getMemoryConsumption([(2, 3, 8, 9), (2, 4, 6, 7)]) == (448, 4 * 2 * 1224)


@theirs
@pytest.mark.parametrize(
    "wanted",
    [(), ("conv1",), ("relu1",), ("side_blob",), ("halves",), ("",), (["prob", "side_blob"],),
     (["side_blob", "conv1", "fc"],), (("pool1",),)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("shape", [(1, 3, 12, 14), (3, 3, 12, 14)], ids=str)
def test_forward(both, wanted, shape):
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    results = []
    for net in both["net"]:
        net.setInput(x)
        results.append(net.forward(*wanted))
    assert same(*results)


@theirs
def test_forward_and_retrieve(both):
    x = np.random.default_rng(1).normal(size=(2, 3, 12, 14)).astype(np.float32)
    for net in both["net"]:
        net.setInput(x)
    mine, other = (net.forwardAndRetrieve(["halves", "prob"]) for net in both["net"])
    assert [[m.shape for m in arrays] for arrays in mine] == [[(2, 2, 5, 6)] * 2, [(2, 5)]]
    for m, o in zip(mine, other):
        assert same(tuple(m), tuple(o))


@theirs
def test_two_inputs_with_mean_and_scale(both):
    r = np.random.default_rng(2)
    a = r.integers(0, 255, (2, 3, 8, 9)).astype(np.uint8)
    b = r.normal(size=(2, 4, 6, 7)).astype(np.float32)
    results = []
    for net in both["two"]:
        net.setInput(a, "a", 1 / 64, (100, 110, 120))
        net.setInput(b, name="b")
        results.append(net.forward(net.getUnconnectedOutLayersNames()))
    assert same(*results)


@theirs
def test_a_whole_program(both):
    """An image of an odd size through blob, net and all outputs."""
    image = np.random.default_rng(3).integers(0, 255, (45, 61, 3)).astype(np.uint8)
    results = []
    for library, net in zip((dnn, cv2.dnn), both["net"]):
        blob = library.blobFromImage(image, 0.02, (14, 12), (104, 117, 123), swapRB=True, crop=True)
        net.setInput(blob)
        results.append(net.forward(net.getUnconnectedOutLayersNames()))
    assert same(*results)


@theirs
def test_no_names_are_the_last_layer(both):
    for net in both["net"]:
        net.setInput(np.ones((1, 3, 12, 14), np.float32))
        (out,) = net.forward([])
        assert np.array_equal(out, net.forward())


def test_the_output_is_a_copy(files):
    net = dnn.readNetFromCaffe(*files["net"])
    net.setInput(np.ones((1, 3, 12, 14), np.float32))
    first = net.forward()
    kept = first.copy()
    net.setInput(np.zeros((1, 3, 12, 14), np.float32))
    assert not np.allclose(net.forward(), kept) and np.array_equal(first, kept)


def test_a_blob_is_found_by_its_name_as_well(files):
    net = dnn.readNetFromCaffe(*files["net"])
    net.setInput(np.ones((1, 3, 12, 14), np.float32))
    own = caffe.Net(files["net"][0], caffe.TEST, weights=files["net"][1])
    own.blobs["data"].data[...] = 1
    own.forward()
    for name in ("s2", "side_blob"):
        assert np.allclose(net.forward(name), own.blobs[name].data, atol=1e-6)


def test_layers_share_memory(files):
    net = dnn.readNetFromCaffe(*files["net"])
    net.setInput(np.ones((1, 3, 12, 14), np.float32))
    names = net.getLayerNames()
    together = net.forward(names)
    with pytest.raises(caffe.CaffeError, match="given up"):
        _ = net._net.blobs["conv1"].data
    for name, values in reversed(list(zip(names, together))):
        assert np.array_equal(net.forward(name), values), name


def test_the_content_of_files(files):
    prototxt, weights = (np.fromfile(path, np.uint8) for path in files["net"])
    nets = [dnn.readNetFromCaffe(*files["net"]), dnn.readNetFromCaffe(prototxt, weights)]
    nets.append(dnn.readNetFromCaffe(prototxt.tobytes(), weights.tobytes()))
    nets += [dnn.readNet(*files["net"]), dnn.readNet(*files["net"][::-1])]
    x = np.random.default_rng(1).normal(size=(1, 3, 12, 14))
    for net in nets:
        net.setInput(x)
    results = [net.forward() for net in nets]
    assert all(np.array_equal(result, results[0]) for result in results)


def test_params(files):
    net = dnn.readNetFromCaffe(*files["net"])
    net.setParam("fc", 0, np.zeros((5, 60)))
    net.setParam("fc", 1, [0, 0, 9, 0, 0])
    net.setInput(np.ones((1, 3, 12, 14)))
    assert net.forward().argmax() == 2 and not net.getParam("fc").any()


def test_where_the_time_goes(files):
    net = dnn.readNetFromCaffe(*files["net"])
    net.setInput(np.ones((1, 3, 12, 14)))
    net.forward()
    total, layers = net.getPerfProfile()
    assert total > 0 and layers.shape == (8,) and (layers >= 0).all()


def test_backends_are_accepted(files):
    net = dnn.readNetFromCaffe(*files["net"])
    net.setPreferableBackend(dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(dnn.DNN_TARGET_CPU)
    net.enableFusion(False)
    net.setInput(np.ones((1, 3, 12, 14)))
    assert net.forward().shape == (1, 5)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda net: net.setInput(0, "nobody"), "no input 'nobody'; it has data"),
        (lambda net: net.setInput("text"), "arrays of numbers"),
        (lambda net: net.setInput(0, mean="text"), "arrays of numbers"),
        (lambda net: net.forward(), "call setInput first"),
        (lambda net: net.forward(5), "a list of names"),
        (lambda net: _given(dnn.readNetFromCaffe(INPUT), (2,)).forward(), "no layer but its"),
        (lambda net: dnn.readNetFromCaffe(DATA).setInput(0), "the net has no inputs"),
        (lambda net: dnn.ClassificationModel(net).classify(None), "there is no image"),
        (lambda net: _given(net).forward("nobody"), "no layer 'nobody'; the layers are conv1, "),
        (lambda net: _given(net, (1, 2, 12, 14)).forward(), "conv1"),
        (lambda net: net.getLayer("nobody"), "no layer 'nobody'"),
        (lambda net: net.getLayer(99), "no layer 99"),
        (lambda net: net.getParam("relu1"), "has 0 blobs"),
        (lambda net: net.setParam("fc", 1, [1]), r"the shape \(1, 5\)"),
        (lambda net: dnn.Net().forward(), "the net is empty"),
        (lambda net: dnn.readNetFromCaffe("/nowhere"), "/nowhere"),
        (lambda net: dnn.readNetFromCaffe(NET.encode(), b"junk"), "net.caffemodel"),
        (lambda net: _given(dnn.readNetFromCaffe(NET.encode())).forward(), "without weights"),
        (lambda net: dnn.readNet("x.onnx", "", "onnx"), "caffe.dnn reads Caffe nets"),
    ],
)
def test_errors(files, use, says):
    net = dnn.readNetFromCaffe(*files["net"])
    with pytest.raises(dnn.error, match=says):
        use(net)
    assert issubclass(dnn.error, cv2.error) and issubclass(dnn.error, caffe.CaffeError)


def _given(net, shape=(1, 3, 12, 14)):
    net.setInput(np.ones(shape, np.float32))
    return net


# ---- images


def test_blobs_of_images_are_opencvs():
    """500 random images and arguments, values to float rounding."""
    r = np.random.default_rng(0)
    for _ in range(500):
        channels = (0, 1, 3, 4)[r.integers(4)]
        shape = tuple(r.integers(1, 40, 2)) + ((channels,) if channels else ())
        kind = (np.uint8, np.float32, np.float64, np.uint16, np.int16)[r.integers(5)]
        image = (r.random(shape) * 255).astype(kind)
        arguments = {
            "scalefactor": (1.0, 0.0078, 2.0)[r.integers(3)],
            "size": (0, 0) if r.random() < 0.3 else tuple(int(v) for v in r.integers(1, 40, 2)),
            "mean": ((), (10, 20, 30), (104.0, 117, 123, 5), 7.0)[r.integers(4)],
            "swapRB": bool(r.integers(2)),
            "crop": bool(r.integers(2)),
        }
        mine, other = (lib.blobFromImage(image, **arguments) for lib in (dnn, cv2.dnn))
        assert mine.shape == other.shape and mine.dtype == other.dtype
        assert np.allclose(mine, other, rtol=1e-5, atol=2e-4), (shape, kind, arguments)


def test_blobs_of_several_images_and_of_bytes():
    r = np.random.default_rng(0)
    images = [r.integers(0, 255, (h, w, 3)).astype(np.uint8) for h, w in ((9, 7), (4, 11))]
    for arguments in ({}, {"size": (6, 5), "crop": True}, {"ddepth": cv2.CV_8U, "swapRB": True}):
        mine, other = (lib.blobFromImages(images, **arguments) for lib in (dnn, cv2.dnn))
        assert mine.dtype == other.dtype and np.allclose(mine, other, atol=1e-4)
    blob = dnn.blobFromImages(images, size=(6, 5))
    mine, other = (lib.imagesFromBlob(blob) for lib in (dnn, cv2.dnn))
    assert same(tuple(mine), tuple(other))


IMAGE = np.random.default_rng(3).integers(0, 255, (4, 5, 3)).astype(np.uint8)


def test_none_is_opencvs_default():
    """Of each argument; a mean of None was a NaN."""
    for name in ("scalefactor", "size", "mean", "swapRB", "crop"):
        mine, other = (lib.blobFromImage(IMAGE, **{name: None}) for lib in (dnn, cv2.dnn))
        assert np.array_equal(mine, other) and np.isfinite(mine).all(), name
    assert dnn.NMSBoxes(None, None, 0.1, 0.1) == cv2.dnn.NMSBoxes(None, None, 0.1, 0.1) == ()


@pytest.mark.parametrize("boxes", [[[1, 1, 2, 2, 3]], [["a", 1, 2, 3]], [[1, 2], [3, 4]]])
def test_boxes_of_other_than_four_numbers(boxes):
    with pytest.raises(dnn.error, match="boxes are rows of"):
        dnn.NMSBoxes(boxes, [0.5], 0.1, 0.1)


@pytest.mark.parametrize(
    "use",
    [
        lambda lib: lib.blobFromImages([]),
        lambda lib: lib.blobFromImage(None),
        lambda lib: lib.blobFromImage(np.zeros((3, 4, 2), np.uint8)),
        lambda lib: lib.blobFromImage(np.zeros((3, 4, 3), np.uint8), ddepth=cv2.CV_64F),
        lambda lib: lib.blobFromImage(np.zeros((3, 4, 3), np.uint8), 2.0, ddepth=cv2.CV_8U),
        lambda lib: lib.blobFromImages([np.zeros((3, 4, 3)), np.zeros((3, 4))]),
        lambda lib: lib.NMSBoxes([[0, 0, 1, 1]], [0.1, 0.2], 0.1, 0.1),
        lambda lib: lib.blobFromImages(None),
        *(
            lambda lib, size=size: lib.blobFromImage(IMAGE, size=size)
            for size in ((5,), 5, "a", (1, 2, 3))
        ),
        lambda lib: lib.blobFromImage(IMAGE, mean="text"),
        lambda lib: lib.blobFromImage(IMAGE, mean=(1, 2, 3, 4, 5)),
        lambda lib: lib.NMSBoxes([[0, 0, 1, 1]], [0.1], 0.1, -0.1),
        lambda lib: lib.NMSBoxes([[0, 0, 1, 1]], [0.1], np.nan, 0.1),
        lambda lib: lib.NMSBoxes([[0, 0, 1, 1]], [0.1], 0.1, np.nan),
    ],
)
def test_what_opencv_refuses(use):
    with pytest.raises(cv2.error):
        use(cv2.dnn)
    with pytest.raises(dnn.error):
        use(dnn)


def test_an_image_that_was_not_read():
    with pytest.raises(dnn.error, match="cv2.imread gives None"):
        dnn.blobFromImage(cv2.imread("no such file"))


# ---- boxes


def random_boxes(r) -> tuple:
    """Boxes with ties and coincidences, scores, classes, thresholds."""
    n = r.integers(0, 30)
    boxes = np.round(r.random((n, 4)) * (5, 50)[r.integers(2)], r.integers(0, 3))
    scores = np.round(r.random(n), r.integers(1, 4)).tolist()
    classes = r.integers(0, 4, n).tolist()
    limits = (0.0, 0.1, 0.5)[r.integers(3)], (0.0, 0.3, 0.5, 0.7, 1.0)[r.integers(5)]
    return boxes, scores, classes, limits, (0, 0, 1, 5, 20)[r.integers(5)]


def test_suppression_is_opencvs():
    """400 random sets of boxes, to the index."""
    r = np.random.default_rng(0)
    for _ in range(400):
        boxes, scores, classes, limits, top_k = random_boxes(r)
        eta = (1.0, 0.9, 0.5)[r.integers(3)]
        mine, other = (
            (
                lib.NMSBoxes(boxes.tolist(), scores, *limits, eta, top_k),
                lib.NMSBoxesBatched(boxes.tolist(), scores, classes, *limits, eta, top_k),
            )
            for lib in (dnn, cv2.dnn)
        )
        assert same(mine, other), (boxes, scores, classes, limits, eta, top_k)


def test_soft_suppression_is_opencvs():
    r = np.random.default_rng(0)
    for _ in range(200):
        boxes, scores, _, limits, top_k = random_boxes(r)
        whole = boxes.astype(int).tolist()
        for method in (dnn.SOFT_NMSMETHOD_SOFTNMS_LINEAR, dnn.SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN):
            mine, other = (
                lib.softNMSBoxes(whole, scores, *limits, top_k, 0.5, method)
                for lib in (dnn, cv2.dnn)
            )
            assert np.array_equal(mine[1], other[1])
            assert np.allclose(mine[0], other[0], atol=1e-6)


# ---- models


@theirs
def test_models(both):
    image = np.random.default_rng(3).integers(0, 255, (45, 61, 3)).astype(np.uint8)
    results = []
    for library, net in zip((dnn, cv2.dnn), both["net"]):
        model = library.ClassificationModel(net)
        model.setInputParams(0.02, (14, 12), (104, 117, 123), True, False)
        model.setOutputNames(["prob"])
        model.setEnableSoftmaxPostProcessing(True)
        plain = library.Model(net)
        plain.setInputSize(14, 12).setInputScale(0.02).setInputMean((1, 2, 3)).setInputCrop(True)
        segmented = library.SegmentationModel(net)
        segmented.setInputSize((14, 12)).setOutputNames(["pool1"])
        results.append((model.classify(image), plain.predict(image), segmented.segment(image)))
    mine, other = results
    assert type(mine[1]) is type(other[1]) or isinstance(other[1], (tuple, list))
    assert mine[0][0] == other[0][0] and abs(mine[0][1] - other[0][1]) < 1e-6
    assert same(tuple(mine[1]), tuple(other[1])) and same(mine[2], other[2])


DETECTOR = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 32 dim: 48 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 stride: 8 weight_filler { type: "xavier" } } }
layer { name: "loc" type: "Convolution" bottom: "conv" top: "loc"
  convolution_param { num_output: 12 kernel_size: 1 weight_filler { type: "gaussian" std: 0.05 } } }
layer { name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "loc_flat" type: "Flatten" bottom: "loc_perm" top: "loc_flat" }
layer { name: "conf" type: "Convolution" bottom: "conv" top: "conf"
  convolution_param { num_output: 9 kernel_size: 1 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "conf_rows" type: "Reshape" bottom: "conf_perm" top: "conf_rows"
  reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "conf_soft" type: "Softmax" bottom: "conf_rows" top: "conf_soft"
  softmax_param { axis: 2 } }
layer { name: "conf_flat" type: "Flatten" bottom: "conf_soft" top: "conf_flat" }
layer { name: "priors" type: "PriorBox" bottom: "conv" bottom: "data" top: "priors"
  prior_box_param { min_size: 12 aspect_ratio: 2 clip: false variance: 0.1 variance: 0.1
                    variance: 0.2 variance: 0.2 } }
layer { name: "detections" type: "DetectionOutput" bottom: "loc_flat" bottom: "conf_flat"
  bottom: "priors" top: "detections"
  detection_output_param { num_classes: 3 share_location: true background_label_id: 0
    nms_param { nms_threshold: 0.6 top_k: 50 }
    code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.05 } }
"""


@theirs
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("thresholds", [(0.2, 0.0), (0.3, 0.3), (0.45, 0.0), (0.99, 0.4)], ids=str)
def test_a_detector(tmp_path, thresholds, across):
    prototxt, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    prototxt.write_text(DETECTOR)
    caffe.set_random_seed(5)
    caffe.Net(prototxt, caffe.TEST).save(str(weights))
    image = np.random.default_rng(3).integers(0, 255, (90, 140, 3)).astype(np.uint8)
    found = []
    for library in (dnn, cv2.dnn):
        model = library.DetectionModel(library.readNetFromCaffe(str(prototxt), str(weights)))
        model.setInputParams(0.02, (48, 32), (104, 117, 123), False, False)
        model.setNmsAcrossClasses(across)
        found.append(model.detect(image, *thresholds))
    mine, other = (tuple(np.asarray(part) for part in result) for result in found)
    assert len(mine[0]) == len(other[0]) and (len(mine[0]) > 3 or thresholds[0] > 0.9)
    assert np.array_equal(mine[0], other[0]) and np.allclose(mine[1], other[1], atol=1e-5)
    assert np.abs(mine[2].reshape(-1, 4) - other[2].reshape(-1, 4)).max(initial=0) <= 1  # a pixel
    assert mine[0].dtype == np.int32 or not len(mine[0])
