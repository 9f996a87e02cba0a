"""Files of exactly the published layouts: their sizes, what maap reads in them, Caffe loads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import published_files
import pytest
from maap.errors import MaapError
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net, write_text
from maap.nets.resolve import resolve_deploy, resolve_train
from maap.weights import caffemodel, published

NETS = ("alexnet", "vgg19", "resnet152")
CLASSIFIER = dict(  # in the published net, in ours
    alexnet=("fc8", "fc8_cub"), vgg19=("fc8", "fc8_cub"), resnet152=("fc1000", "fc_cub")
)

LOAD = """
import sys
import caffe
sys.path.insert(0, sys.argv[4])
import numpy as np, published_files
net = caffe.Net(sys.argv[1], caffe.TEST)
net.copy_from(sys.argv[2])
loaded = 0
for layer, shapes in published_files.layers(sys.argv[3]):
    for number, shape in enumerate(shapes):
        blob = net.params[layer.name][number].data
        assert blob.shape == shape, (layer.name, blob.shape)
        wanted = published_files.values(layer.name, number, blob.size)
        assert np.array_equal(blob.ravel(), wanted), layer.name
        loaded += blob.size
assert loaded == sum(blob.data.size for blobs in net.params.values() for blob in blobs)
print(loaded)
"""


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(find_net("alexnet").folder.parents[1])


@pytest.fixture(scope="module", params=NETS)
def written(request, tmp_path_factory):
    """(net's name, a file of its published layout)."""
    folder = tmp_path_factory.mktemp("published")
    path = published_files.write(request.param, folder / "w.caffemodel")
    yield request.param, path
    path.unlink()


def test_the_file_has_the_published_size(written):
    net, path = written
    assert path.stat().st_size == published.read_table()[net].size == published_files.size(net)


def test_what_maap_reads_in_it(written):
    net, path = written
    known = published_files.layers(net)
    stored = caffemodel.stored_layers(path)
    assert [layer.name for layer in stored] == [layer.name for layer, _ in known]
    assert len(stored) == dict(alexnet=24, vgg19=45, resnet152=720)[net]
    assert sum(layer.name.endswith("_split") for layer in stored) == 50 * (net == "resnet152")
    for found, (_, shapes) in zip(stored, known):
        assert [np.prod(s) for s in found.shapes] == [np.prod(s) for s in shapes]
        assert all(len(s) == 4 for s in found.shapes) or net == "resnet152"


@pytest.mark.parametrize("laap", [False, True])
def test_all_but_the_new_classifier_start_from_it(written, laap):
    net, path = written
    source = resolve_train(find_net(net), laap, 200, 2, False)
    found = caffemodel.check_weights(source, path)
    old, new = CLASSIFIER[net]
    assert found["unused"] == [old] and found["missing"] == [new]
    assert len(found["matched"]) == dict(alexnet=7, vgg19=18, resnet152=465)[net]


def test_caffe_loads_every_value(written, tmp_path):
    net, path = written
    deploy = tmp_path / "deploy.prototxt"
    write_text(resolve_deploy(find_net(net), False, 1000, 1), deploy)
    old, new = CLASSIFIER[net]
    deploy.write_text(deploy.read_text().replace(f'"{new}"', f'"{old}"'))
    command = [sys.executable, "-c", LOAD, deploy, path, net, Path(__file__).parent]
    environment = dict(os.environ, GLOG_minloglevel="2")
    done = subprocess.run(command, capture_output=True, env=environment, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = dict(alexnet=60965224, vgg19=143667240, resnet152=60192808 + 151579)
    assert int(done.stdout) == counts[net]


def test_each_networks_weights_are_refused_for_the_others(written):
    net, path = written
    for other in set(NETS) - {net}:
        source = read_net(find_net(other).deploy(False))
        with pytest.raises(MaapError, match="weights of another network"):
            caffemodel.check_weights(source, path)
