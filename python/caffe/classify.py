"""Classifies images: python -m caffe.classify [options] INPUT OUTPUT.npy

The output is an array of images x classes, a row for each image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import Classifier, io, set_mode_cpu, set_mode_gpu
from .program import check_folder, height_width, numbers, read_mean, run


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.classify", description="Classify images with a trained net."
    )
    add = parser.add_argument
    add("input_file", help="an image, a folder of images, or a .npy of images x H x W x channels")
    add("output_file", help="the .npy that the predictions are written to, images x classes")
    add("--model_def", required=True, help="the net's deploy.prototxt")
    add("--pretrained_model", required=True, help="its weights, a .caffemodel")
    add("--gpu", action="store_true", help="compute on the GPU")
    add(
        "--center_only",
        action="store_true",
        help="predict from the centre alone, instead of the mean over ten crops",
    )
    add(
        "--images_dim",
        default="256,256",
        type=height_width,
        help="height,width to which images are resized before they are cropped (%(default)s)",
    )
    add("--mean_file", help="the mean to subtract, .npy or .binaryproto; by default none")
    add("--input_scale", type=float, help="the factor for the net's input, after all else")
    add("--raw_scale", type=float, default=255.0, help="the factor for images in [0, 1] (255)")
    add("--channel_swap", help="the order of the channels (2,1,0, RGB to BGR, if there are three)")
    add("--ext", default="jpg", help="the ending of a folder's images (%(default)s)")
    return parser.parse_args(argv)


def is_npy(path: Path) -> bool:
    """Whether a file is a .npy, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(6) == b"\x93NUMPY"


def load_inputs(path: Path, ext: str, color: bool) -> list[np.ndarray]:
    """The images of a .npy, of a folder in the order of their names, or of one file.

    Raises ValueError if a folder has none.
    """
    if is_npy(path):
        print(f"Loading file: {path}")
        return list(np.load(path))
    if not path.is_dir():
        print(f"Loading file: {path}")
        return [io.load_image(path, color)]
    print(f"Loading folder: {path}")
    files = sorted(path.glob(f"*.{ext}"))
    if not files:
        raise ValueError(f"{path} has no *.{ext}; --ext says which files are images")
    return [io.load_image(file, color) for file in files]


def make_classifier(args: argparse.Namespace) -> Classifier:
    """The net, with the steps that the options say."""
    classifier = Classifier(
        args.model_def,
        args.pretrained_model,
        image_dims=args.images_dim,
        mean=read_mean(args.mean_file) if args.mean_file else None,
        input_scale=args.input_scale,
        raw_scale=args.raw_scale,
    )
    name = classifier.inputs[0]
    swap = args.channel_swap
    if swap is None:
        swap = "2,1,0" if classifier.blobs[name].shape[1] == 3 else ""
    if swap:
        classifier.transformer.set_channel_swap(name, numbers(swap))
    return classifier


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    check_folder(args.output_file)
    (set_mode_gpu if args.gpu else set_mode_cpu)()
    print("GPU mode" if args.gpu else "CPU mode")
    classifier = make_classifier(args)
    channels = classifier.blobs[classifier.inputs[0]].shape[1]
    inputs = load_inputs(Path(args.input_file), args.ext, color=channels != 1)
    print(f"Classifying {len(inputs)} inputs.")
    start = time.time()
    predictions = classifier.predict(inputs, not args.center_only)
    print(f"Done in {time.time() - start:.2f} s.")
    print(f"Saving results into {args.output_file}")
    with open(args.output_file, "wb") as stream:  # under this name: np.save would append .npy
        np.save(stream, predictions)


if __name__ == "__main__":
    run(main)
