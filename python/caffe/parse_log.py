"""The numbers in a training's log: python -m caffe.parse_log [options] LOG FOLDER

Writes FOLDER/LOG.train and FOLDER/LOG.test, tables of NumIters, Seconds, LearningRate and the net's
outputs; of further test nets LOG.test1, LOG.test2 ... Reads what caffe and pycaffe log, with and
without the year that later releases of glog write.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from calendar import isleap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from os import PathLike
from pathlib import Path

from .program import run

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan)"
# I1128 06:28:22.787635 or I20261128 06:28:22.787635, also behind what another program wrote
_TIME = re.compile(r"(?:^|\s)[IWEF](\d{4})?(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6})")
_ITERATION = re.compile(r"Iteration (\d+)")
_LOSS = re.compile(rf"Iteration \d+.*, loss = ({_NUMBER})")
_RATE = re.compile(rf"Iteration (\d+), lr = ({_NUMBER})")
_TEST = re.compile(r"Iteration \d+, Testing net \(#(\d+)\)")
_OUTPUT = re.compile(rf"(Train|Test) net output #\d+: (.+?) = ({_NUMBER})(?=\s|$)")

Row = dict[str, float]  # NumIters, Seconds, LearningRate, then the outputs by name
FIRST_COLUMNS = ("NumIters", "Seconds", "LearningRate")


@dataclass
class TrainingLog:
    """What a log says: rows of training, of each test net, and (iteration, seconds, loss)."""

    train: list[Row] = field(default_factory=list)
    tests: dict[int, list[Row]] = field(default_factory=dict)
    losses: list[tuple[int, float, float]] = field(default_factory=list)
    rates: list[tuple[int, float, float]] = field(default_factory=list)


class _Clock:
    """Seconds since the training began, of the times that lines begin with."""

    def __init__(self, year: int) -> None:
        self.year = year
        self.start: datetime | None = None
        self.latest: datetime | None = None
        self.is_solving = False

    def read(self, line: str) -> None:
        found = _TIME.search(line)
        if found is None:
            return
        year, *rest = found.groups()
        if year is None and rest[:2] == ["02", "29"]:
            self._be_leap_year()
        try:
            now = datetime(int(year or self.year), *map(int, rest))
        except ValueError:  # no time, then
            return
        if year is None and self.latest is not None and (self.latest - now).days > 180:
            self.year += 1  # the new year has begun
            if (now.month, now.day) == (2, 29):
                self._be_leap_year()
            now = now.replace(year=self.year)
        self.latest = now
        begins = "] Solving" in line and not self.is_solving
        if self.start is None or begins:
            self.start, self.is_solving = now, begins

    def _be_leap_year(self) -> None:
        """The year is the last that has a 29 February, for the times before, too."""
        year = self.year
        while not isleap(self.year):
            self.year -= 1
        if self.year != year and self.start is not None and self.latest is not None:
            self.start = self.start.replace(year=self.start.year - year + self.year)
            self.latest = self.latest.replace(year=self.latest.year - year + self.year)

    def seconds(self) -> float:
        if self.latest is None or self.start is None:
            return math.nan
        return (self.latest - self.start).total_seconds()


def _add_output(row: Row, name: str, value: float) -> None:
    """An output of several values has columns name, name_1, name_2 ..."""
    column, number = name, 0
    while column in row:
        number += 1
        column = f"{name}_{number}"
    row[column] = value


def _fill_rates(rows: Iterable[Row], rates: Sequence[tuple[int, float, float]]) -> None:
    """The learning rate of each row's iteration, or the last one before, or else the first."""
    by_iteration = {iteration: rate for iteration, _, rate in rates}
    latest = rates[0][2] if rates else math.nan
    for row in rows:
        row["LearningRate"] = latest = by_iteration.get(int(row["NumIters"]), latest)


class _Reader:
    """Takes a log line by line."""

    def __init__(self, year: int) -> None:
        self.log = TrainingLog()
        self.clock = _Clock(year)
        self.iteration: int | None = None
        self.test_net = 0
        self.rows: dict[str, Row] = {}  # those that outputs are added to: "Train", "Test"

    def read(self, line: str) -> None:
        self.clock.read(line)
        if found := _ITERATION.search(line):
            self.iteration = int(found.group(1))
        if self.iteration is None:
            return
        now = self.iteration, self.clock.seconds()
        if found := _TEST.search(line):
            self.test_net = int(found.group(1))
            self.rows.pop("Test", None)
        elif found := _RATE.search(line):
            self.log.rates.append((*now, float(found.group(2))))
        elif found := _LOSS.search(line):
            self.log.losses.append((*now, float(found.group(1))))
            self.rows.pop("Train", None)
        elif found := _OUTPUT.search(line):
            kind, name, value = found.groups()
            if kind not in self.rows:
                self.rows[kind] = dict(zip(FIRST_COLUMNS, (*map(float, now), math.nan)))
                tests = self.log.tests.setdefault(self.test_net, []) if kind == "Test" else None
                (self.log.train if tests is None else tests).append(self.rows[kind])
            _add_output(self.rows[kind], name, float(value))


def read_log(path: str | PathLike[str]) -> TrainingLog:
    """The numbers of a log file.

    A training that was continued in the same log goes on in it. Raises ValueError if the file is no
    log of a training.
    """
    path = Path(path)
    reader = _Reader(datetime.fromtimestamp(path.stat().st_mtime).year)
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            reader.read(line)
    if reader.iteration is None:
        raise ValueError(f"{path} is not the log of a training: it names no iteration")
    log = reader.log
    for rows in (log.train, *log.tests.values()):
        _fill_rates(rows, log.rates)
    return log


def parse_log(path_to_log: str | PathLike[str]) -> tuple[list[Row], list[Row]]:
    """The rows of training, and those of the first test net.

    Each is a dict with NumIters, Seconds, LearningRate and the outputs. Raises ValueError if the
    file is no log of a training.
    """
    log = read_log(path_to_log)
    return log.train, log.tests.get(0, [])


def write_csv(path: str | PathLike[str], rows: Sequence[Row], delimiter: str = ",") -> None:
    """Rows as a table, its columns in the order in which they first appear; no rows, no lines."""
    columns = dict.fromkeys(name for row in rows for name in row)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(columns), delimiter=delimiter, lineterminator="\n")
        if rows:
            writer.writeheader()
        writer.writerows(rows)


def save_csv_files(
    logfile_path: str | PathLike[str],
    output_dir: str | PathLike[str],
    train_dict_list: Sequence[Row],
    test_dict_list: Sequence[Row],
    delimiter: str = ",",
    verbose: bool = False,
) -> None:
    """Write the rows to output_dir/LOG.train and output_dir/LOG.test."""
    for kind, rows in [("train", train_dict_list), ("test", test_dict_list)]:
        path = Path(output_dir) / f"{Path(logfile_path).name}.{kind}"
        write_csv(path, rows, delimiter)
        if verbose:
            print(f"Wrote {path}")


def delimiter(text: str) -> str:
    """One character, or \\t for a tab. ValueError for anything else."""
    if text == "\\t":
        return "\t"
    if len(text) != 1:
        raise ValueError(f"{text!r} is not one character")
    return text


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.parse_log",
        description="Write the numbers of a training's log as tables, LOG.train and LOG.test.",
    )
    add = parser.add_argument
    add("logfile_path", help="what caffe train wrote to stderr")
    add("output_dir", help="the folder that the tables are written to")
    add("--verbose", action="store_true", help="name the files that are written")
    add(
        "--delimiter",
        default=",",
        type=delimiter,
        help="the character between columns, \\t for a tab (%(default)s)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    log = read_log(args.logfile_path)
    first, *others = [log.tests.get(net, []) for net in range(max(log.tests, default=0) + 1)]
    save_csv_files(
        args.logfile_path, args.output_dir, log.train, first, args.delimiter, args.verbose
    )
    for number, rows in enumerate(others, 1):
        path = Path(args.output_dir) / f"{Path(args.logfile_path).name}.test{number}"
        write_csv(path, rows, args.delimiter)
        if args.verbose:
            print(f"Wrote {path}")


if __name__ == "__main__":
    run(main)
