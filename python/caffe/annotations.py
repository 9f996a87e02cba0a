"""Annotation files of detection data sets, and the records that AnnotatedData reads.

A box has its corners in shares of the image's width and height. A record (AnnotatedDatum) holds the
image and, for each class in the order of appearance, a group of its boxes, numbered from 0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from google.protobuf import text_format

from .proto import caffe_pb2


@dataclass(frozen=True)
class LabelledBox:
    """An object: its class and its box, corners in shares of the image (0 to 1)."""

    label: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: bool = False


def read_text(path: str | Path) -> str:
    """The content of a text file. Raises ValueError naming the file if it is not in UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text: {error}") from None


def read_label_map(path: str | Path, check: bool = False) -> dict[str, int]:
    """The classes of a label map, a prototxt of LabelMap: {name: label}.

    check: names and labels must be all different.
    Raises ValueError naming the file if it is not a label map.
    """
    label_map = caffe_pb2.LabelMap()
    try:
        text_format.Parse(read_text(path), label_map)
    except text_format.ParseError as error:
        raise ValueError(f"{path} is not a label map: {error}") from None
    labels: dict[str, int] = {}
    for item in label_map.item:
        if check and (item.name in labels or item.label in labels.values()):
            raise ValueError(f"{path} has the name {item.name!r} or the label {item.label} twice")
        labels[item.name] = item.label
    if not labels:
        raise ValueError(f"{path} has no item: it is not a label map")
    return labels


def write_label_map(path: str | Path, names: Iterable[str]) -> None:
    """Write a label map whose label 0 is the background; the names get 1, 2 ..."""
    label_map = caffe_pb2.LabelMap()
    label_map.item.add(name="none_of_the_above", label=0, display_name="background")
    for label, name in enumerate(names, start=1):
        label_map.item.add(name=name, label=label, display_name=name)
    Path(path).write_text(text_format.MessageToString(label_map), encoding="utf-8")


def box_of_pixels(
    label: int, corners: Iterable[float], height: int, width: int, where: str, difficult: bool
) -> LabelledBox | None:
    """The box with these corners (xmin, ymin, xmax, ymax in pixels) of an image of that size.

    A box that leaves the image is cut, with a warning; one without an area is left out (None), with
    a warning. ``where`` names the file for these. Raises ValueError for a corner that is NaN, and
    for a label that is no class: below 0, or above an int32.
    """
    xmin, ymin, xmax, ymax = corners = tuple(corners)
    if any(math.isnan(corner) for corner in corners):
        raise ValueError(f"{where}: a box has the corners {', '.join(f'{c:g}' for c in corners)}")
    if not 0 <= label < 2**31:
        raise ValueError(f"{where}: an object has the label {label}, which is no class")
    inside = (max(0.0, xmin), max(0.0, ymin), min(float(width), xmax), min(float(height), ymax))
    if not (inside[0] < inside[2] and inside[1] < inside[3]):
        warnings.warn(f"{where}: a box has no area in the image and is left out", stacklevel=2)
        return None
    if inside != (xmin, ymin, xmax, ymax):
        warnings.warn(f"{where}: a box leaves the image and is cut", stacklevel=2)
    return LabelledBox(
        label,
        inside[0] / width,
        inside[1] / height,
        inside[2] / width,
        inside[3] / height,
        difficult,
    )


def _number(element: Any, name: str, where: str) -> float:
    text = element.findtext(name)
    if text is None:
        raise ValueError(f"{where}: <{element.tag}> has no <{name}>")
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{where}: <{name}> of <{element.tag}> is {text!r}, not a number"
        ) from None


def read_voc(
    path: str | Path, labels: dict[str, int], height: int, width: int
) -> list[LabelledBox]:
    """The objects of a PASCAL VOC annotation (.xml) of an image of that size.

    labels: as `read_label_map` gives them. Corners are taken as they are written, in pixels.
    Raises ValueError naming the file if it is no such file, has an unknown class, or says another
    size of the image.
    """
    try:
        root = ElementTree.parse(str(path)).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # or an unknown encoding
        raise ValueError(f"{path} is not an XML file: {error}") from None
    if root.tag != "annotation":
        raise ValueError(f"{path} has <{root.tag}>, not <annotation>: it is not in VOC's format")
    size = root.find("size")
    if size is not None:
        said = (_number(size, "height", str(path)), _number(size, "width", str(path)))
        if said != (height, width):
            raise ValueError(
                f"{path} is about an image of {said[1]:g} x {said[0]:g}, but the image has {width} "
                f"x {height} (width x height)"
            )
    boxes = []
    for item in root.findall("object"):
        name = (item.findtext("name") or "").strip()
        box = item.find("bndbox")
        if name not in labels:
            raise ValueError(f"{path} has an object {name!r}, which the label map does not have")
        if box is None:
            raise ValueError(f"{path}: an object {name!r} has no <bndbox>")
        corners = [_number(box, corner, str(path)) for corner in ("xmin", "ymin", "xmax", "ymax")]
        difficult = (item.findtext("difficult") or "0").strip() not in ("", "0")
        boxes.append(box_of_pixels(labels[name], corners, height, width, str(path), difficult))
    return [box for box in boxes if box is not None]


def read_txt(path: str | Path, height: int, width: int) -> list[LabelledBox]:
    """The objects of a text file with lines of "label xmin ymin xmax ymax", corners in pixels.

    Raises ValueError naming the file and the line if a line is something else.
    """
    boxes = []
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            label, corners = int(words[0]), [float(word) for word in words[1:]]
            if len(corners) != 4:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: {line!r} is not: label xmin ymin xmax ymax"
            ) from None
        boxes.append(box_of_pixels(label, corners, height, width, str(path), False))
    return [box for box in boxes if box is not None]


def annotated_datum(datum: Any, boxes: Iterable[LabelledBox]) -> Any:
    """The AnnotatedDatum of an image (a Datum) with these objects."""
    record = caffe_pb2.AnnotatedDatum(type=caffe_pb2.AnnotatedDatum.BBOX)
    record.datum.CopyFrom(datum)
    groups: dict[int, Any] = {}
    for box in boxes:
        if box.label not in groups:
            groups[box.label] = record.annotation_group.add(group_label=box.label)
        group = groups[box.label]
        one = group.annotation.add(instance_id=len(group.annotation))
        one.bbox.xmin, one.bbox.ymin = box.xmin, box.ymin
        one.bbox.xmax, one.bbox.ymax = box.xmax, box.ymax
        one.bbox.difficult = box.difficult
    return record
