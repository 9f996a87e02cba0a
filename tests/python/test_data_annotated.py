"""A data set with boxes as databases of AnnotatedDatums."""

import cv2
import lmdb
import numpy as np
import pytest
from google.protobuf import text_format
from maap.data import annotated
from maap.data.records import Record, encode_jpeg, encode_pixels
from maap.data.store import Dataset
from maap.data.write import begin, finish, write_split
from maap.errors import MaapError
from maap.util.schema import caffe_pb2

pytestmark = pytest.mark.skipif(
    not hasattr(caffe_pb2, "AnnotatedDatum"), reason="BVLC Caffe has no AnnotatedDatum"
)
BOXES = [(0.0, 8.0, 16.0, 32.0), (4.0, 2.0, 20.0, 30.5)]


def make(folder, boxes=BOXES, floats=False):
    partial = begin(folder)
    image = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    splits = {}
    for name in ("train", "test"):
        records = [
            Record(f"{n:08d}_a {n}.jpg", n % 2, f"a {n}.jpg", box) for n, box in enumerate(boxes)
        ]
        encode = encode_pixels if floats else encode_jpeg
        pixels = image.astype(np.float32) if floats else image
        write_split(partial, name, records, [encode(pixels, r.label) for r in records])
        splits[name] = {"count": len(records)}
    manifest = dict(
        name="x", kind="folder", classes=["cat", "dog"], size=[32, 32], splits=splits,
        mean_subtracted=floats,
    )  # fmt: skip
    finish(partial, folder, manifest)
    return Dataset.open(folder)


def records_of(path):
    environment = lmdb.open(str(path), readonly=True, lock=False)
    with environment, environment.begin() as transaction:
        return [caffe_pb2.AnnotatedDatum.FromString(value) for _, value in transaction.cursor()]


def test_records_have_the_image_and_its_box(tmp_path):
    dataset = make(tmp_path / "set")
    annotated.write_annotated(tmp_path / "set", tmp_path / "boxes")
    for name in ("train", "test"):
        split = dataset.split(name)
        found = records_of(tmp_path / "boxes" / f"{name}_lmdb")
        assert len(found) == 2
        for number, record in enumerate(found):
            assert record.type == caffe_pb2.AnnotatedDatum.BBOX
            assert record.datum == split.datum(number)
            image = cv2.imdecode(np.frombuffer(record.datum.data, np.uint8), cv2.IMREAD_COLOR)
            assert np.array_equal(image, split.read(number)[0])
            (group,) = record.annotation_group
            (one,) = group.annotation
            assert group.group_label == number + 1 and one.instance_id == 0
            box = one.bbox
            corners = np.array([box.xmin, box.ymin, box.xmax, box.ymax]) * 32
            assert np.allclose(corners, BOXES[number]) and not box.difficult
        lines = (tmp_path / "boxes" / f"{name}_name_size.txt").read_text()
        assert lines == "a_0 32 32\na_1 32 32\n"
    label_map = text_format.Parse(
        (tmp_path / "boxes" / "labelmap.prototxt").read_text(), caffe_pb2.LabelMap()
    )
    assert [(item.label, item.name) for item in label_map.item] == [
        (0, "none_of_the_above"),
        (1, "cat"),
        (2, "dog"),
    ]


def test_errors(tmp_path):
    make(tmp_path / "set", boxes=[BOXES[0], None])
    with pytest.raises(MaapError, match=r"a 1.jpg has no box"):
        annotated.write_annotated(tmp_path / "set", tmp_path / "boxes")
    assert not (tmp_path / "boxes").exists()
    make(tmp_path / "floats", floats=True)
    with pytest.raises(MaapError, match="floats"):
        annotated.write_annotated(tmp_path / "floats", tmp_path / "boxes")
    make(tmp_path / "good")
    (tmp_path / "boxes").mkdir()
    with pytest.raises(MaapError, match="already exists"):
        annotated.write_annotated(tmp_path / "good", tmp_path / "boxes")
