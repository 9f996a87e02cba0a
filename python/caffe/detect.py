"""Classifies windows of images: python -m caffe.detect [options] INPUT OUTPUT.csv

INPUT is a .csv with the columns filename, ymin, xmin, ymax, xmax (--crop_mode list), or a .txt of
image files whose windows Selective Search proposes.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import Detector, set_mode_cpu, set_mode_gpu
from .program import check_folder, numbers, read_mean, run

CROP_MODES = ["list", "selective_search"]
COORD_COLS = ["ymin", "xmin", "ymax", "xmax"]
Windows = list[tuple[str, np.ndarray]]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.detect", description="Classify windows of images, as in R-CNN."
    )
    add = parser.add_argument
    add("input_file", help="a .csv of windows, or a .txt with an image file on each line")
    add("output_file", help="a .csv, or an .h5 for pandas.read_hdf(FILE, 'df')")
    add("--model_def", required=True, help="the net's deploy.prototxt")
    add("--pretrained_model", required=True, help="its weights, a .caffemodel")
    add(
        "--crop_mode",
        choices=CROP_MODES,
        default="selective_search",
        help="where windows come from: the .csv, or Selective Search (%(default)s)",
    )
    add("--gpu", action="store_true", help="compute on the GPU")
    add("--mean_file", help="the mean to subtract, .npy or .binaryproto; by default none")
    add("--input_scale", type=float, help="the factor for the net's input, after all else")
    add("--raw_scale", type=float, default=255.0, help="the factor for images in [0, 1] (255)")
    add("--channel_swap", default="2,1,0", help="the order of the channels (%(default)s)")
    add(
        "--context_pad",
        type=int,
        default=16,
        help="pixels of the net's input, on each side, around the window (%(default)s)",
    )
    return parser.parse_args(argv)


def read_list(path: Path) -> list[str]:
    """The image files that a .txt names, one on each line."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


def read_windows(path: Path) -> Windows:
    """The windows that a .csv lists, by image file.

    Raises ValueError that names the line for a column that is missing or is no number.
    """
    windows: dict[str, list[list[float]]] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream, skipinitialspace=True)
        missing = {"filename", *COORD_COLS} - set(rows.fieldnames or [])
        if missing:
            raise ValueError(f"{path} has no column {', '.join(sorted(missing))}")
        for row in rows:
            try:
                window = [float(row[name]) for name in COORD_COLS]
            except (TypeError, ValueError):
                raise ValueError(f"{path}, line {rows.line_num}: not four numbers") from None
            windows.setdefault(row["filename"], []).append(window)
    return [(filename, np.array(found)) for filename, found in windows.items()]


def write_csv(detections: list[dict[str, Any]], path: Path) -> None:
    """One line for each window: filename, ymin, xmin, ymax, xmax, class0, class1 ..."""
    count = np.size(detections[0]["prediction"]) if detections else 0
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["filename", *COORD_COLS, *(f"class{i}" for i in range(count))])
        for found in detections:
            prediction = np.ravel(found["prediction"]).tolist()
            window = [f"{value:.12g}" for value in found["window"]]
            writer.writerow([found["filename"], *window, *prediction])


def check_pandas() -> None:
    """Raises ImportError without pandas and PyTables."""
    try:
        import pandas  # noqa: F401
        import tables  # noqa: F401  # pandas needs it, and says so only when it writes
    except ImportError:
        raise ImportError(
            "an .h5 needs pandas and PyTables: pip install pandas tables; or write a .csv"
        ) from None


def write_hdf5(detections: list[dict[str, Any]], path: Path) -> None:
    """A pandas DataFrame "df", by filename: prediction, ymin, xmin, ymax, xmax.

    Raises ImportError without pandas and PyTables.
    """
    check_pandas()
    import pandas

    frame = pandas.DataFrame(
        [
            [found["filename"], found["prediction"], *map(float, found["window"])]
            for found in detections
        ],
        columns=["filename", "prediction", *COORD_COLS],
    )
    frame.set_index("filename").to_hdf(path, key="df", mode="w")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program. Raises ValueError for an input or output of another kind."""
    args = parse_args(argv)
    source, target = Path(args.input_file), Path(args.output_file)
    kind, write = source.suffix.lower(), {".csv": write_csv, ".h5": write_hdf5}
    if kind != (".csv" if args.crop_mode == "list" else ".txt"):
        raise ValueError(
            f"{source}: --crop_mode list reads windows from a .csv, selective_search the names of "
            "images from a .txt"
        )
    if target.suffix.lower() not in write:
        raise ValueError(f"{target}: the output is a .csv or an .h5")
    check_folder(target)
    if target.suffix.lower() == ".h5":
        check_pandas()
    (set_mode_gpu if args.gpu else set_mode_cpu)()
    print("GPU mode" if args.gpu else "CPU mode")
    detector = Detector(
        args.model_def,
        args.pretrained_model,
        mean=read_mean(args.mean_file) if args.mean_file else None,
        input_scale=args.input_scale,
        raw_scale=args.raw_scale,
        channel_swap=numbers(args.channel_swap) if args.channel_swap else None,
        context_pad=args.context_pad,
    )
    print("Loading input...")
    start = time.time()
    if args.crop_mode == "list":
        detections = detector.detect_windows(read_windows(source))
    else:
        detections = detector.detect_selective_search(read_list(source))
    print(f"Processed {len(detections)} windows in {time.time() - start:.3f} s.")
    start = time.time()
    write[target.suffix.lower()](detections, target)
    print(f"Saved to {target} in {time.time() - start:.3f} s.")


if __name__ == "__main__":
    run(main)
