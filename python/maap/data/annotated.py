"""A data set with true boxes as databases of AnnotatedDatums, which SSD's layers train on.

    DIR/train_lmdb/     DIR/test_lmdb/   for each image: the image as stored, its class and its box
    DIR/train.csv       DIR/test.csv     the data set's lists
    DIR/train_name_size.txt  ...         "name height width", a line for each image
    DIR/labelmap.prototxt                a LabelMap: 0 is the background, class i has label i + 1

Boxes are in shares of the image's width and height.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from maap.data.records import Record
from maap.data.store import Dataset, Split
from maap.data.write import making, write_split
from maap.errors import MaapError
from maap.util.files import sync_folder
from maap.util.schema import caffe_pb2


def annotated(split: Split, index: int) -> bytes:
    """Record ``index`` as a serialised AnnotatedDatum.

    Raises MaapError naming the record when it has no box.
    """
    record, (height, width) = split.records[index], split.size
    if record.box is None:
        raise MaapError(
            f"{split.folder}/{split.name}.csv: {record.path} has no box: AnnotatedDatums need "
            "a box for each image"
        )
    x1, y1, x2, y2 = record.box
    result = caffe_pb2.AnnotatedDatum(type=caffe_pb2.AnnotatedDatum.BBOX)
    result.datum.CopyFrom(split.datum(index))
    group = result.annotation_group.add(group_label=record.label + 1)
    box = group.annotation.add(instance_id=0).bbox
    box.xmin, box.ymin, box.xmax, box.ymax = x1 / width, y1 / height, x2 / width, y2 / height
    box.difficult = False
    return result.SerializeToString()


def label_map(classes: list[str]) -> Any:
    """The LabelMap of these classes, the background first."""
    result = caffe_pb2.LabelMap()
    result.item.add(name="none_of_the_above", label=0, display_name="background")
    for label, name in enumerate(classes, start=1):
        result.item.add(name=name, label=label, display_name=name)
    return result


def _records(split: Split) -> Iterator[bytes]:
    return (annotated(split, index) for index in range(len(split)))


def write_annotated(source: Path, out: Path) -> None:
    """Write the data set in the folder ``source`` as ``out``, a new folder (see above).

    Raises MaapError when ``source`` is not a data set, has float images or an image without a box,
    when ``out`` exists, and when the host's Caffe has no AnnotatedDatum (BVLC's).
    """
    if not hasattr(caffe_pb2, "AnnotatedDatum"):
        raise MaapError("this host's Caffe has no AnnotatedDatum: use --host fork")
    dataset = Dataset.open(Path(source))
    splits = [dataset.split(name) for name in sorted(dataset.manifest["splits"], reverse=True)]
    if any(split.mean_subtracted for split in splits):
        raise MaapError(f"{source} holds floats without their mean: give the set it was made from")
    with making(Path(out)) as partial:
        for split in splits:
            write_split(partial, split.name, split.records, _records(split))
            lines = [_size_line(record, split.size) for record in split.records]
            (partial / f"{split.name}_name_size.txt").write_text("".join(lines), encoding="utf-8")
        text = text_format.MessageToString(label_map(dataset.classes))
        (partial / "labelmap.prototxt").write_text(text, encoding="utf-8")
        partial.rename(out)
        sync_folder(Path(out).parent)


def _size_line(record: Record, size: tuple[int, int]) -> str:
    name = Path(record.path).stem.replace(" ", "_")
    return f"{name} {size[0]} {size[1]}\n"
