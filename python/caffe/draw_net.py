"""Draws a net: python -m caffe.draw_net [options] NET.prototxt PICTURE.png

Needs pydot and the program dot of Graphviz.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import CaffeError, draw, io
from .program import run
from .proto import caffe_pb2

PHASES = {"TRAIN": caffe_pb2.TRAIN, "TEST": caffe_pb2.TEST, "ALL": None}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.draw_net", description="Draw a net as a graph of layers and blobs."
    )
    add = parser.add_argument
    add("input_net_proto_file", help="the net's prototxt")
    add("output_image_file", help="the picture; its ending says the format: png, svg, pdf, dot")
    add(
        "--rankdir",
        choices=["LR", "RL", "TB", "BT"],
        default="LR",
        help="the direction, LR for left to right (%(default)s)",
    )
    add(
        "--phase",
        choices=sorted(PHASES),
        default="ALL",
        help="draw only the layers of this phase (%(default)s)",
    )
    add(
        "--display_lrm",
        action="store_true",
        help="show the learning rate multipliers of convolutions and inner products",
    )
    return parser.parse_args(argv)


def read_net(path: Path) -> Any:
    """The NetParameter of a prototxt. Raises ValueError if it is none."""
    try:
        return io.read_net(path)
    except CaffeError as error:
        raise ValueError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    net = read_net(Path(args.input_net_proto_file))
    print(f"Drawing net to {args.output_image_file}")
    target = args.output_image_file
    try:
        draw.draw_net_to_file(net, target, args.rankdir, PHASES[args.phase], args.display_lrm)
    except AssertionError as error:  # what pydot makes of a dot that fails
        raise ValueError(f"{target}: dot cannot draw it: {error}") from None


if __name__ == "__main__":
    run(main)
