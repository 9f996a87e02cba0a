"""Writes the sizes of images: python -m caffe.get_image_size [FLAGS] ROOT LIST OUT

SSD's program of that name. Each line of OUT is "name height width", for the fields name_size_file
of save_output_param and detection_evaluate_param; the name is that of the file without its folder
and ending, or with --name_id_file its identifier.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from .convert_annoset import as_gflags, read_list
from .program import check_folder, run


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.get_image_size",
        description="Write the sizes of a list's images, for name_size_file.",
    )
    add = parser.add_argument
    add("root", metavar="ROOT", help="the folder that the paths in LIST begin in")
    add("list_file", metavar="LIST", help="as for convert_annoset: image and annotation")
    add("out", metavar="OUT", help='the new file, "name height width" on each line')
    add("--name_id_file", default="", help='lines "name identifier", to write identifiers')
    return parser.parse_args(as_gflags(argv))


def sizes(root: Path, list_file: Path, identifiers: dict[str, str]) -> Iterator[str]:
    """A line for each image of the list, in its order.

    Raises ValueError for a file that is no image, and for a name without an identifier.
    """
    import cv2

    for image, _ in read_list(list_file):
        pixels = cv2.imread(str(root / image), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ValueError(f"{root / image} cannot be read: is ROOT right?")
        name = Path(image).stem
        if identifiers and name not in identifiers:
            raise ValueError(f"{image}: --name_id_file has no line for {name!r}")
        yield f"{identifiers.get(name, name)} {pixels.shape[0]} {pixels.shape[1]}\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Run with a command line."""
    args = parse_args(argv)
    check_folder(args.out)
    identifiers = dict(read_list(Path(args.name_id_file))) if args.name_id_file else {}
    lines = list(sizes(Path(args.root), Path(args.list_file), identifiers))
    Path(args.out).write_text("".join(lines), encoding="utf-8")
    print(f"Processed {len(lines)} files.")


if __name__ == "__main__":
    run(main)
