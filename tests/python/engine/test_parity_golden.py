"""The engine against golden files that tests/parity/parity wrote from BVLC Caffe."""

import importlib.util
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPO / "tests" / "parity"))

import golden  # noqa: E402
import live  # noqa: E402
import sides  # noqa: E402
from cases import all_cases  # noqa: E402
from compare import OK, SKIPPED, alike  # noqa: E402

CASES = [case for case in all_cases().values() if golden.path(case.group).exists()]
GROUPS = list(dict.fromkeys(case.group for case in CASES))


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """The folder of the engine's results, all cases in as few processes as it survives."""
    build = Path(importlib.util.find_spec("caffe").origin).parents[2]  # of BUILD/python/caffe
    work = tmp_path_factory.mktemp("parity")
    files = live.copy_files(work)
    side = sides.fork_side(sys.executable, build)
    names = [case.name for case in CASES]
    live.run_all(side, names, work, files, {"bvlc": files / "written"})
    return work / side.name


def test_golden_files_are_small():
    assert golden.total_size() < 3_000_000


@pytest.mark.parametrize("group", GROUPS)
def test_group(results, group):
    outcomes = [live.judge_golden(case, results) for case in CASES if case.group == group]
    outcomes = [outcome for outcome in outcomes if outcome]
    bad = [outcome for outcome in outcomes if outcome.status not in (OK, SKIPPED)]
    assert not bad, "\n".join(alike(bad))
    if all(outcome.status == SKIPPED for outcome in outcomes):
        pytest.skip("; ".join(alike(outcomes)))
