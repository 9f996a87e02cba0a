"""Makes a database of images with boxes: python -m caffe.convert_annoset [FLAGS] ROOT LIST DB

Each line of LIST has an image's path and its annotation's, both relative to ROOT, with a space
between them (with --anno_type=classification, an image's path and its label). AnnotatedData reads
the database. The flags are those of SSD's convert_annoset, written as gflags takes them (-flag,
--flag=value, --noflag).
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .annotations import annotated_datum, read_label_map, read_text, read_txt, read_voc
from .program import check_folder, run
from .proto import caffe_pb2

SWITCHES = ("gray", "shuffle", "check_label", "check_size", "encoded")
FIRST_MAP = 1 << 28  # bytes of the database's map, doubled when full
RECORDS = 1000  # in a transaction


def _is_true(text: str) -> bool:
    if text.lower() in ("true", "t", "yes", "y", "1"):
        return True
    if text.lower() in ("false", "f", "no", "n", "0"):
        return False
    raise ValueError


def as_gflags(argv: Sequence[str] | None) -> list[str]:
    """The arguments (None: the command line's) with --flag=value for each switch, and two dashes
    before each flag."""
    result = []
    for word in sys.argv[1:] if argv is None else argv:
        name = word.lstrip("-")
        if not word.startswith("-") or not name:
            result.append(word)
        elif name in SWITCHES:
            result.append(f"--{name}=true")
        elif name.startswith("no") and name[2:] in SWITCHES:
            result.append(f"--{name[2:]}=false")
        else:
            result.append(f"--{name}")
    return result


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.convert_annoset",
        description="Convert images and their annotations into a database for AnnotatedData.",
        epilog="Each line of LIST: IMAGE ANNOTATION, both relative to ROOT. A switch is also "
        "written --noshuffle or --shuffle=false.",
    )
    add = parser.add_argument
    add("root", metavar="ROOT", help="the folder that the paths in LIST begin in")
    add("list_file", metavar="LIST", help="the list of images and annotations")
    add("db", metavar="DB", help="the new database")
    add("--gray", type=_is_true, default=False, help="images in gray")
    add("--shuffle", type=_is_true, default=False, help="in a random order")
    add("--backend", default="lmdb", help="lmdb")
    add("--anno_type", default="classification", choices=("classification", "detection"))
    add("--label_type", default="xml", help="xml (PASCAL VOC) or txt (label xmin ymin xmax ymax)")
    add("--label_map_file", default="", help="names and labels, a prototxt of LabelMap")
    add("--check_label", type=_is_true, default=False, help="names and labels must differ")
    add("--min_dim", type=int, default=0, help="the shorter side is resized to this length")
    add("--max_dim", type=int, default=0, help="and the longer side to at most this one")
    add("--resize_width", type=int, default=0, help="width images are resized to")
    add("--resize_height", type=int, default=0, help="height images are resized to")
    add("--check_size", type=_is_true, default=False, help="all images must have one size")
    add("--encoded", type=_is_true, default=False, help="store images encoded, a file as it is")
    add("--encode_type", default="", help="how to encode: png, jpg ... (the file's own)")
    args = parser.parse_args(as_gflags(argv))
    _check(parser, args)
    return args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.backend != "lmdb":
        parser.error(f"--backend={args.backend} is not built: use lmdb")
    if args.label_type not in ("xml", "txt"):
        parser.error(f"--label_type={args.label_type} is not built: use xml or txt")
    if args.anno_type == "detection" and args.label_type == "xml" and not args.label_map_file:
        parser.error("--label_type=xml needs --label_map_file")
    if args.encode_type and not args.encoded:
        parser.error("--encode_type needs --encoded")
    for name in ("min_dim", "max_dim", "resize_height", "resize_width"):
        if getattr(args, name) < 0:
            parser.error(f"--{name}={getattr(args, name)} is below 0")
    if (args.resize_height > 0) != (args.resize_width > 0):
        parser.error("give both --resize_height and --resize_width")
    if args.resize_height > 0 and (args.min_dim > 0 or args.max_dim > 0):
        parser.error("--resize_height and --min_dim or --max_dim exclude each other")


def read_list(path: Path) -> list[tuple[str, str]]:
    """The pairs of words in a file's lines; the last space is between them.

    Raises ValueError naming the line that has one word.
    """
    pairs = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        first, _, second = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not first:
            raise ValueError(f"{path}, line {number}: {line!r} has one word, not two")
        pairs.append((first.strip(), second))
    return pairs


def new_size(height: int, width: int, args: argparse.Namespace) -> tuple[int, int]:
    """Height and width of the stored image."""
    if args.resize_height > 0:
        return args.resize_height, args.resize_width
    scale = 1.0
    if args.min_dim > 0:
        scale = args.min_dim / min(height, width)
    if args.max_dim > 0 and (args.min_dim <= 0 or scale * max(height, width) > args.max_dim):
        scale = args.max_dim / max(height, width)
    return max(1, round(scale * height)), max(1, round(scale * width))


def _encoded(image: np.ndarray, file: bytes, kept: bool, args: argparse.Namespace, name: str):
    """The bytes of an encoded image: the file's own if they hold this image in that encoding."""
    import cv2

    own = Path(name).suffix.lstrip(".").lower()
    wanted = args.encode_type.lower() or own
    if kept and {"jpeg": "jpg"}.get(own, own) == {"jpeg": "jpg"}.get(wanted, wanted):
        return file
    try:
        done, encoded = cv2.imencode(f".{wanted}", image)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"{name}: cannot be encoded as {wanted!r}; give another --encode_type")
    return encoded.tobytes()


def _resized(image: np.ndarray, height: int, width: int, name: str) -> np.ndarray:
    import cv2

    try:
        return cv2.resize(image, (width, height))
    except cv2.error:
        raise ValueError(f"{name}: cannot be resized to {height} x {width}") from None


def read_datum(path: Path, args: argparse.Namespace) -> tuple[Any, tuple[int, int]] | None:
    """An image as a Datum, and the height and width of the file's image; None if there is none."""
    import cv2

    try:
        file = path.read_bytes()
    except OSError:
        return None
    flag = cv2.IMREAD_GRAYSCALE if args.gray else cv2.IMREAD_COLOR
    array = np.frombuffer(file, np.uint8)
    image = cv2.imdecode(array, flag) if array.size else None
    if image is None:
        return None
    size = image.shape[:2]
    stored = new_size(*size, args)
    kept = stored == size and np.array_equal(image, cv2.imdecode(array, cv2.IMREAD_UNCHANGED))
    if stored != size:
        image = _resized(image, *stored, str(path))
    datum = caffe_pb2.Datum(
        channels=1 if args.gray else 3, height=stored[0], width=stored[1], encoded=args.encoded
    )
    if args.encoded:
        datum.data = _encoded(image, file, kept, args, str(path))
    else:
        datum.data = (image if args.gray else image.transpose(2, 0, 1)).tobytes()
    return datum, size


def records(args: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """Keys and records. Images that cannot be read are left out, with a line on stderr."""
    pairs = read_list(Path(args.list_file))
    if args.shuffle:
        random.shuffle(pairs)
    labels = read_label_map(args.label_map_file, args.check_label) if args.label_map_file else {}
    print(f"A total of {len(pairs)} images.")
    first = None
    for number, (name, annotation) in enumerate(pairs):
        found = read_datum(Path(args.root) / name, args)
        if found is None:
            print(f"{name} cannot be read and is left out", file=sys.stderr)
            continue
        datum, size = found
        first = first or (datum.height, datum.width)
        if args.check_size and (datum.height, datum.width) != first:
            raise ValueError(
                f"{name} is {datum.height} x {datum.width}, the first image {first[0]} x "
                f"{first[1]}: give --resize_height and --resize_width"
            )
        yield f"{number:08d}_{name}", _record(datum, annotation, size, labels, args)


def _record(
    datum: Any,
    annotation: str,
    size: tuple[int, int],
    labels: dict[str, int],
    args: argparse.Namespace,
) -> bytes:
    if args.anno_type == "classification":
        try:
            datum.label = int(annotation)
        except ValueError:
            raise ValueError(f"{args.list_file}: {annotation!r} is not a label") from None
        return caffe_pb2.AnnotatedDatum(datum=datum).SerializeToString()
    path = Path(args.root) / annotation
    boxes = read_voc(path, labels, *size) if args.label_type == "xml" else read_txt(path, *size)
    return annotated_datum(datum, boxes).SerializeToString()


def write_lmdb(path: Path, pairs: Iterator[tuple[str, bytes]]) -> int:
    """Write a new LMDB; returns the number of records.

    Raises ValueError if the path exists, there are no records, or LMDB cannot store one. On an
    error in between, nothing stays of it.
    """
    import lmdb

    if path.exists():
        raise ValueError(f"{path} already exists: remove it or choose another name")
    first = next(pairs, None)
    if first is None:
        raise ValueError("none of the images could be read: is ROOT right?")
    try:
        return _fill(path, itertools.chain([first], pairs))
    except lmdb.Error as error:
        shutil.rmtree(path, ignore_errors=True)
        raise ValueError(f"{path}: {error}") from None
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _fill(path: Path, pairs: Iterator[tuple[str, bytes]]) -> int:
    import lmdb

    count = 0
    with lmdb.open(str(path), map_size=FIRST_MAP) as environment:
        waiting: list[tuple[str, bytes]] = []
        for pair in pairs:
            if len(waiting) == RECORDS:
                count += _put(environment, waiting)
                print(f"Processed {count} files.")
                waiting = []
            waiting.append(pair)
        count += _put(environment, waiting)
    print(f"Processed {count} files.")
    return count


def _put(environment: Any, pairs: list[tuple[str, bytes]]) -> int:
    import lmdb

    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in pairs:
                    if len(key.encode()) > environment.max_key_size():
                        raise ValueError(f"{key}: the name is too long for LMDB's keys")
                    transaction.put(key.encode(), value)
            return len(pairs)
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])


def main(argv: Sequence[str] | None = None) -> None:
    """Run with a command line."""
    args = parse_args(argv)
    check_folder(args.db)
    write_lmdb(Path(args.db), records(args))


if __name__ == "__main__":
    run(main)
