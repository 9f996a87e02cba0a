"""The work of `parity`: runs both sides, compares, prints the table."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import golden
import numpy as np
import sides
from cases import Case, all_cases, select
from compare import DIFFERS, FAILED, Outcome, alike, compare, read, table

READERS = ("resume", "read")  # kinds of cases that read what the hosts wrote


def run(arguments: argparse.Namespace) -> int:
    """Returns the exit status."""
    cases = select(arguments.only)
    if not cases:
        print(f"no case or group is called {arguments.only}")
        return 2
    work = arguments.work.resolve()
    files = copy_files(work)
    if not Path(arguments.plugin).is_file():
        print(f"{arguments.plugin} is not there: BVLC Caffe runs without the MAAP layers")
        arguments.plugin = ""
    bvlc = sides.bvlc_side(arguments.plugin)
    if arguments.write_golden:
        run_all(bvlc, origins(cases), work, files, {bvlc.name: work / bvlc.name / "files"})
        return write_golden(cases, work)
    if arguments.noise:
        fork = dataclasses.replace(
            sides.bvlc_side(arguments.plugin, threads=1), name="bvlc_one_thread"
        )
    else:
        fork = sides.fork_side(arguments.python, arguments.build.resolve())
    if arguments.golden:
        run_all(
            fork,
            [case.name for case in cases],
            work,
            files,
            {bvlc.name: files / "written"},
        )
        outcomes = [judge_golden(case, work / fork.name) for case in cases]
        outcomes = [outcome for outcome in outcomes if outcome]
    else:
        run_both(bvlc, fork, cases, work, files, arguments.reuse)
        outcomes = [judge(case, work / bvlc.name, work / fork.name) for case in cases]
    print(table(outcomes, arguments.all))
    return 1 if any(o.status in (DIFFERS, FAILED) for o in outcomes) else 0


def run_both(
    bvlc: sides.Side, fork: sides.Side, cases: Sequence[Case], work: Path, files: Path, reuse: bool
) -> None:
    """Runs BVLC Caffe and the fork, then each again for the cases that read both results."""
    firsts = [case for case in cases if case.kind not in READERS]
    readers = [case.name for case in cases if case.kind in READERS]
    written = {side.name: work / side.name / "files" for side in (bvlc, fork)}
    if not reuse:
        sides.run(bvlc, origins(firsts), work, files)
    sides.run(fork, [case.name for case in firsts], work, files, {bvlc.name: written[bvlc.name]})
    for side in (bvlc, fork):
        sides.run(side, readers, work, files, written)


def run_all(
    side: sides.Side, names: Sequence[str], work: Path, files: Path, written: Mapping[str, Path]
) -> None:
    """Runs one side: first the cases that write files, then those that read ``written``."""
    kinds = {name: all_cases()[name].kind for name in names}
    for reading in (False, True):
        chosen = [name for name in names if (kinds[name] in READERS) == reading]
        sides.run(side, chosen, work, files, written)


def copy_files(work: Path) -> Path:
    """A copy of the input files in a writable folder (LMDB makes a lock file there)."""
    files = work / "files"
    shutil.rmtree(files, ignore_errors=True)
    if golden.FILES.is_dir():
        shutil.copytree(golden.FILES, files)
    else:
        files.mkdir(parents=True)
    return files


def origins(cases: Sequence[Case]) -> list[str]:
    """The names of the cases whose BVLC results are needed, each once."""
    return list(dict.fromkeys(case.origin for case in cases))


def judge(case: Case, reference: Path, result: Path) -> Outcome:
    a = read(reference, all_cases()[case.origin])
    b = read(result, case)
    if isinstance(a, Outcome):
        return dataclasses.replace(a, case=case, reason=f"BVLC: {a.reason}")
    if isinstance(b, Outcome):
        return b
    return compare(case, a, b)


def judge_golden(case: Case, result: Path) -> Outcome | None:
    """None for a case that has no golden arrays."""
    stored = golden.read(case)
    if stored is None:
        return None
    b = read(result, case)
    return b if isinstance(b, Outcome) else compare(case, stored, golden.condense(b))


def write_golden(cases: Sequence[Case], work: Path) -> int:
    results: dict[str, Mapping[str, np.ndarray]] = {}
    bad = []
    for case in cases:
        if case.reference:
            continue
        arrays = read(work / "bvlc", case)
        if isinstance(arrays, Outcome):
            bad.append(arrays)
        else:
            results[case.name] = arrays
    golden.write(cases, results)
    golden.keep_written(cases, work / "bvlc" / "files")
    for line in alike(bad):
        print(line)
    print(f"{len(results)} cases written, {golden.total_size() / 1e6:.2f} MB in all")
    return 1 if any(outcome.status == FAILED for outcome in bad) else 0
