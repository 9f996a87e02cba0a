"""The C++ code keeps the rules of docs/design.md: floors, include guards, CUDA conditionals."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
FOLDERS = ["bench", "caffe", "caffe_layers", "kernels", "python/src", "tests", "tools"]
SUFFIXES = {".hpp", ".h", ".cpp", ".cu"}
# From the lowest floor to the highest; a file may include its own floor and those below.
FLOORS = ["kernels", "caffe", "caffe_layers"]


def sources():
    """{path in the repository: text} of every C++ file."""
    paths = [p for folder in FOLDERS for p in (REPO / folder).rglob("*") if p.suffix in SUFFIXES]
    return {p.relative_to(REPO).as_posix(): p.read_text() for p in sorted(paths)}


SOURCES = sources()


def guard_of(path):
    """caffe/layers/x.hpp: CAFFE_LAYERS_X_HPP_. That is why caffe_layers/ counts as maap_layers/."""
    path = re.sub(r"^caffe_layers/", "maap_layers/", path)
    return re.sub(r"[/.]", "_", path).upper() + "_"


def wrong_guard(path, text):
    """What is wrong with a header's guard; "" when nothing is."""
    guard = guard_of(path)
    code = re.sub(r"\A(\s*//[^\n]*\n|\s+)*", "", text)
    if not code.startswith(f"#ifndef {guard}\n#define {guard}\n"):
        return f"{path} does not begin with the guard {guard}"
    if not text.endswith(f"#endif  // {guard}\n"):
        return f"{path} does not end with #endif  // {guard}"
    return ""


def arrows_up(path, text):
    """The includes of a file, or imports of a .proto, that lead to a floor above its own."""
    parts = path.split("/")
    if parts[:2] == ["tests", "cpp"]:
        parts = parts[2:]
    if parts[0] not in FLOORS:
        return []
    above = FLOORS[FLOORS.index(parts[0]) + 1 :]
    named = re.findall(r'^\s*(?:#\s*include|import)\s*[<"]([^>"]+)', text, flags=re.M)
    return [n for n in named if re.sub(r"^tests/cpp/", "", n).split("/")[0] in above]


def cuda_conditionals(text):
    """The preprocessor's questions about CUDA in a file; its guard is none."""
    joined = re.sub(r"^#ifndef \w+_H(?:PP)?_$", "", text.replace("\\\n", " "), flags=re.M)
    lines = re.findall(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*", joined, flags=re.M)
    guards = re.compile(r"#\s*ifndef CAFFE_LAYERS_CUDNN_\w*_HPP_$")  # of a file's own
    lines = [line for line in lines if not guards.search(line.rstrip())]
    names = r"CUDA|CUDNN|NVCC|CPU_ONLY|MAAP_GPU|MAAP_SHADOW"
    return [line for line in lines if re.search(names, line)]


def test_there_is_something_to_check():
    assert len(SOURCES) > 300
    assert {path.split("/")[0] for path in SOURCES} >= set(FLOORS)


def test_guards_follow_the_path():
    headers = {p: t for p, t in SOURCES.items() if p.endswith((".hpp", ".h"))}
    assert [w for w in (wrong_guard(p, t) for p, t in headers.items()) if w] == []
    assert len({guard_of(path) for path in headers}) == len(headers)


def test_no_include_leads_to_a_higher_floor():
    protos = {
        p.relative_to(REPO).as_posix(): p.read_text() for p in REPO.glob("caffe/proto/*.proto")
    }
    protos["kernels/maap.proto"] = (REPO / "kernels/maap.proto").read_text()
    files = {**SOURCES, **protos}
    assert {path: up for path, text in files.items() if (up := arrows_up(path, text))} == {}


def test_cuda_conditionals_stand_where_the_design_says():
    design = re.sub(r"\s+", " ", (REPO / "docs/design.md").read_text())
    sentence = re.search(r"No CUDA conditional outside (.*?) and the build\.", design)
    places = re.findall(r"`([^`]+)`", sentence.group(1))
    assert sorted(p for p, text in SOURCES.items() if cuda_conditionals(text)) == sorted(places)


def test_nothing_is_probed_for():
    assert [path for path, text in SOURCES.items() if "__has_" + "include" in text] == []


def test_switches_of_the_maap_code_name_every_case():
    """A new A* must be handled, or be an error: no label takes what nobody thought of."""
    floors = {p: t for p, t in SOURCES.items() if p.startswith(("kernels/", "caffe_layers/"))}
    assert [path for path, text in floors.items() if re.search(r"^\s*default:", text, re.M)] == []


@pytest.mark.parametrize(
    ("path", "line", "found"),
    [
        ("kernels/x.hpp", '#include "caffe/blob.hpp"', ["caffe/blob.hpp"]),
        ("kernels/x.cu", "#include <caffe_layers/c_api.hpp>", ["caffe_layers/c_api.hpp"]),
        ("kernels/x.cu", '#include "kernels/error.hpp"', []),
        ("caffe/layers/x.cu", '# include "caffe_layers/c_api.hpp"', ["caffe_layers/c_api.hpp"]),
        ("caffe/layers/x.cu", '#include "caffe/blob.hpp"', []),
        ("caffe/proto/x.proto", 'import "caffe_layers/x.proto";', ["caffe_layers/x.proto"]),
        ("caffe_layers/x.cu", '#include "caffe/blob.hpp"', []),
        ("tests/cpp/kernels/x.cpp", '#include "caffe/blob.hpp"', ["caffe/blob.hpp"]),
    ],
)
def test_the_check_of_floors_sees_an_arrow(path, line, found):
    assert arrows_up(path, f"// a comment\n{line}\n") == found


def test_the_checks_of_guards_and_conditionals_see_a_fault():
    assert wrong_guard("caffe/x.hpp", "#ifndef X_HPP_\n#define X_HPP_\n#endif  // X_HPP_\n")
    good = "// What it is.\n#ifndef CAFFE_X_HPP_\n#define CAFFE_X_HPP_\n\n#endif  // CAFFE_X_HPP_\n"
    assert wrong_guard("caffe/x.hpp", good) == ""
    assert wrong_guard("caffe_layers/x.hpp", good.replace("CAFFE_X", "CAFFE_LAYERS_X"))
    assert cuda_conditionals("#ifdef __CUDACC__\n#endif\n") == ["#ifdef __CUDACC__"]
    assert cuda_conditionals("#if defined(A) && \\\n    !defined(CPU_ONLY)\n")
    assert cuda_conditionals("#if MAAP_GPU\n") == ["#if MAAP_GPU"]
    assert cuda_conditionals("#ifdef MAAP_SHADOW\n") == ["#ifdef MAAP_SHADOW"]
    assert cuda_conditionals("#ifndef TESTS_SHADOW_INCLUDE_CUDA_H_\n") == []
    assert cuda_conditionals("#ifdef USE_ONEDNN\n") == []
    assert cuda_conditionals("#ifndef CAFFE_LAYERS_CUDNN_RELU_LAYER_HPP_\n") == []


def test_no_two_test_modules_have_one_name():
    """pytest imports them by name alone, and stops at the second."""
    names = [path.name for path in sorted((REPO / "tests/python").rglob("test_*.py"))]
    assert len(names) > 100
    assert [name for name in set(names) if names.count(name) > 1] == []
