"""Every public name of BVLC Caffe's headers is there, in the header of the same name."""

import csv
import re
from functools import cache
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
# docs/differences.md says of each why.
ABSENT = {
    "BlockingQueue::sync",
    "CAFFE_TMP_DIR_RETRIES",
    "CUDNN_CHECK",
    "CUDNN_VERSION_MIN",
    "DEFINE_VSL_BINARY_FUNC",
    "DEFINE_VSL_UNARY_FUNC",
    "DEFINE_VSL_UNARY_FUNC_WITH_PARAM",
    "cudnnGetErrorString",
    "path",
}


def rows():
    with (REPO / "tests/facts/caffe_interface.tsv").open(newline="") as file:
        return [(row["header"], row["name"]) for row in csv.DictReader(file, delimiter="\t")]


INTERFACE = rows()


@cache
def words(header):
    """What is written in a header and in those that it includes."""
    seen, waiting, found = set(), [f"caffe/{header}"], set()
    while waiting:
        name = waiting.pop()
        path = REPO / name
        if name in seen or not path.exists():
            continue
        seen.add(name)
        text = re.sub(r"//[^\n]*", "", path.read_text())
        waiting += re.findall(r'^#include "([^"]+)"', text, flags=re.M)
        found.update(re.findall(r"\w+", text))
        if "#include <cblas.h>" in text:
            found.update({"cblas_saxpby", "cblas_daxpby"})
        for base in re.findall(r"^CAFFE_MKL_\w+\((\w+),", text, flags=re.M):
            found.update({f"v{base}", f"vs{base}", f"vd{base}"})
    return found


def is_there(header, name):
    return (REPO / "caffe" / header).exists() and set(name.split("::")) <= words(header)


@pytest.mark.parametrize("header", sorted({header for header, _ in INTERFACE}))
def test_names(header):
    names = [name for other, name in INTERFACE if other == header]
    assert [name for name in names if not is_there(header, name) and name not in ABSENT] == []


def test_what_is_absent_is_absent():
    assert {name for header, name in INTERFACE if not is_there(header, name)} == ABSENT


def test_the_check_sees_a_missing_name():
    assert is_there("blob.hpp", "Blob::cpu_data")
    assert not is_there("blob.hpp", "Blob::tpu_data")
    assert not is_there("tensor.hpp", "Blob")
    assert len(INTERFACE) > 800
