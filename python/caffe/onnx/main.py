"""Writes a net as an ONNX file, or the other way round, and compares the two, blob by blob:

python -m caffe.onnx [options] NET.prototxt WEIGHTS.caffemodel OUT.onnx
python -m caffe.onnx --to-caffe [options] MODEL.onnx OUT.prototxt OUT.caffemodel
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import _caffe
from ..program import check_folder
from . import alone, examples, source
from .differences import TOLERANCE, Difference, check, table
from .exporting import Exported, export
from .graph import DEFAULT_OPSET, OPSETS
from .importing import to_caffe

QUIET = 1  # the engine's log: warnings and errors
TO_CAFFE = "--to-caffe"
FAILED = ".failed"  # the ending of a file that gave other values


class WrongValues(ValueError):
    """The file gives other values than the engine. report: the comparison, as lines."""

    def __init__(self, message: str, report: list[str]) -> None:
        super().__init__(message)
        self.report = report


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.onnx",
        description="Write a net as an ONNX file, run it in ONNX Runtime beside the engine, and "
        "print the largest difference of each blob. Exit status 1 if one is above "
        f"{TOLERANCE:g}, as a share of the blob's largest value; the file is then called "
        f"OUT.onnx{FAILED}. The other way round: --to-caffe MODEL.onnx OUT.prototxt "
        "OUT.caffemodel (see python -m caffe.onnx --to-caffe --help).",
    )
    add = parser.add_argument
    add("net", metavar="NET.prototxt", help="the net; layers of the phase TEST are exported")
    add("weights", metavar="WEIGHTS.caffemodel", help="its weights (or .h5)")
    add("out", metavar="OUT.onnx", help="the file to write")
    add(
        "--opset",
        type=int,
        default=DEFAULT_OPSET,
        help=f"version of the operators, {OPSETS[0]} to {OPSETS[-1]} (%(default)s)",
    )
    add("--batch", help="dynamic: any size of batch; a number: that size; else the prototxt's")
    add("--images", metavar="DIR", help="compare on these images as well")
    add(
        "--without-losses",
        action="store_true",
        help="leave out losses, accuracies and the inputs that only they read",
    )
    add("--no-check", action="store_true", help="write the file without running it")
    return parser.parse_args(argv)


def _batch(text: str | None) -> str | int | None:
    if text is None or text == "dynamic":
        return text
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ValueError(f"--batch {text}: give a size, or dynamic")
    return int(text)


def random_inputs(exported: Exported) -> list[examples.Arrays]:
    """Two sets of random inputs, and one of another batch if the batch is free."""
    net = exported.source
    inputs = [examples.random_inputs(net, seed) for seed in (0, 1)]
    if net.batch_axis is not None:
        source.resize(net, source.other_batch(net))
        inputs.append(examples.random_inputs(net, 2))
        source.resize(net, 1)
    return inputs


def image_inputs(exported: Exported, folder: str | Path) -> list[examples.Arrays]:
    """Up to four batches of the images in a folder."""
    files = examples.images_in(folder)
    batch = exported.source.shapes[examples.image_input(exported.source)][0]
    starts = range(0, min(len(files), 4 * batch), batch)
    return [examples.with_images(exported.source, files[i : i + batch]) for i in starts]


def compare(exported: Exported, more: Sequence[examples.Arrays] = ()) -> list[Difference]:
    """Compare on random inputs, and on those given."""
    return check(exported, [*random_inputs(exported), *more])


def write(exported: Exported, out: Path, more: Sequence[examples.Arrays] = ()) -> list[str]:
    """Compare, and write the file. Returns what to tell its user, as lines.

    Raises WrongValues if the values differ; the file is then called OUT.failed.
    """
    inputs = [*random_inputs(exported), *more]
    differences = check(exported, inputs)
    worst = max(differences, key=lambda difference: difference.relative)
    wrong = [difference for difference in differences if not difference.relative <= TOLERANCE]
    lines = [f"note: {note}" for note in exported.notes]
    lines += [table(differences), f"largest difference: {worst.relative:.1e} (blob {worst.blob})"]
    excuse = alone.explained(exported, inputs, wrong, TOLERANCE) if wrong else None
    if excuse:
        lines.append(excuse)
    elif wrong:
        failed = out.with_name(out.name + FAILED)
        save(exported, failed)
        text = f"{failed}: the difference is {worst.relative:.1e} (blob {worst.blob})"
        raise WrongValues(f"{text}, above {TOLERANCE:g}", lines)
    save(exported, out)
    versions = f"opset {exported.model.opset_import[0].version}, IR {exported.model.ir_version}"
    return [*lines, f"{out}: {versions}, {out.stat().st_size / 1e6:.1f} MB"]


def save(exported: Exported, path: Path) -> None:
    """Write the model, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(exported.model.SerializeToString())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def parse_import(argv: Sequence[str]) -> argparse.Namespace:
    """The options of a command line with --to-caffe."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.onnx --to-caffe",
        description="Make a Caffe net of an ONNX classifier, run both, and print the largest "
        f"difference of each tensor. Exit status 1 if one is above {TOLERANCE:g}, as a share of "
        f"the tensor's largest value; the files' names then end in {FAILED}.",
    )
    parser.add_argument("model", metavar="MODEL.onnx", help="the model")
    parser.add_argument("prototxt", metavar="OUT.prototxt", help="the net to write")
    parser.add_argument("caffemodel", metavar="OUT.caffemodel", help="the weights to write")
    parser.add_argument("--batch", help="the net's batch; else the model's, or 1")
    return parser.parse_args([word for word in argv if word != TO_CAFFE])


def import_model(argv: Sequence[str]) -> None:
    """Run the program with --to-caffe."""
    args = parse_import(argv)
    for path in (args.prototxt, args.caffemodel):
        check_folder(path)
    _caffe.init_log(QUIET)
    batch = _batch(args.batch)
    if batch == "dynamic":
        raise ValueError("--batch dynamic: a Caffe net has a size of batch; give a number")
    found = to_caffe(args.model, args.prototxt, args.caffemodel, batch)
    worst = max(found, key=lambda difference: difference.relative)
    print(table(found))
    print(f"largest difference: {worst.relative:.1e} (tensor {worst.blob})")
    if not worst.relative <= TOLERANCE:
        for path in map(Path, (args.prototxt, args.caffemodel)):
            path.replace(path.with_name(path.name + FAILED))
        raise WrongValues(f"{args.prototxt}{FAILED}: the difference is above {TOLERANCE:g}", [])
    print(f"{args.prototxt}, {args.caffemodel}: written")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    argv = sys.argv[1:] if argv is None else argv
    if TO_CAFFE in argv:
        import_model(argv)
        return
    args = parse_args(argv)
    check_folder(args.out)
    _caffe.init_log(QUIET)
    exported = export(
        args.net,
        args.weights,
        opset=args.opset,
        batch=_batch(args.batch),
        without_losses=args.without_losses,
    )
    out = Path(args.out)
    if args.no_check:
        save(exported, out)
        print(f"{out}: not compared")
        return
    more = image_inputs(exported, args.images) if args.images else []
    try:
        print("\n".join(write(exported, out, more)))
    except WrongValues as error:
        print("\n".join(error.report))
        raise
