"""The definitions of A*, and the options of the region, are the same in the layer's parameters, in
its kernels and in Python."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from maap.config.check import validate
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.images import a_star
from maap.images.region_options import (
    COMPONENTS,
    NAMES,
    THRESHOLD_AT,
    THRESHOLDS,
    RegionOptions,
)

REPO = Path(__file__).resolve().parents[2]
FACTORS = {"zero": a_star.ZERO, "one": a_star.ONE, "a": a_star.A, "a_plus_one": a_star.A_PLUS_ONE}


def proto_values():
    """{name: number} of the enum in maap.proto."""
    text = (REPO / "kernels/maap.proto").read_text()
    values = re.search(r"enum AStar \{(.*?)\n  \}", text, flags=re.S).group(1)
    return {name: int(number) for name, number in re.findall(r"(\w+) = (\d+);", values)}


def kernel_enum():
    """{kName: number} of the enum in render.hpp."""
    text = (REPO / "kernels/render.hpp").read_text()
    values = re.search(r"enum class AStar \{(.*?)\n\};", text, flags=re.S).group(1)
    return {name: int(number) for name, number in re.findall(r"(k\w+) = (\d+),", values)}


def kernel_cases(result):
    """{kName: what follows return} of the cases in render.cu that return ``result``."""
    text = (REPO / "kernels/render.cu").read_text()
    return dict(re.findall(rf"case AStar::(k\w+):\s*return {result};", text))


def test_the_table_has_the_names_of_the_protos_enum_in_its_order():
    values = proto_values()
    assert list(values) == list(a_star.NAMES)
    assert list(values.values()) == list(range(len(a_star.NAMES)))


def test_the_kernels_have_the_same_numbers_and_names():
    names = kernel_cases(r'"(\w+)"')
    assert {names[key]: number for key, number in kernel_enum().items()} == proto_values()


def test_the_kernels_multiply_by_the_factors_of_the_table():
    names, factors = kernel_cases(r'"(\w+)"'), kernel_cases(r"\{(\w+, \w+)\}")
    said = {}
    for key, pair in factors.items():
        inside, outside = pair.split(", ")
        said[names[key]] = (FACTORS[inside], FACTORS[outside])
    table = {each.name: (each.inside, each.outside) for each in a_star.TABLE if each.inside}
    assert said == table
    assert {each.name for each in a_star.TABLE} - set(table) == {"ROI", "DROP"}


def test_the_options_of_the_region_are_the_protos():
    """Names, defaults and the enums' values in their order, which the C functions count by."""
    text = (REPO / "kernels/maap.proto").read_text()
    fields = re.findall(r"optional (\w+) (\w+) = \d+ \[default = ([\w.]+)\]", text)
    own = {"threshold_fraction": "fraction"}
    paper = RegionOptions()
    wanted = {own.get(name, name): str(getattr(paper, name)).upper() for name in NAMES}
    found = {name: value for kind, name, value in fields if name != "a_star"}
    assert list(found) == list(wanted)
    for name, value in found.items():
        number = value.replace(".", "").isdigit()
        assert float(value) == float(wanted[name]) if number else value == wanted[name], name
    enums = {"ThresholdAt": THRESHOLD_AT, "Threshold": THRESHOLDS, "Component": COMPONENTS}
    for name, words in enums.items():
        body = re.search(rf"enum {name} \{{(.*?)\n  \}}", text, flags=re.S).group(1)
        values = re.findall(r"^    (\w+) = (\d+);", body, re.M)
        assert values == [(word.upper(), str(number)) for number, word in enumerate(words)]


@pytest.mark.parametrize(
    "options, text",
    [
        (dict(), "threshold_at: INPUT"),
        (dict(threshold_at="map", border=2), "threshold_at: MAP border: 2"),
        (
            dict(threshold="fraction", threshold_fraction=0.3, component="strongest"),
            "threshold_at: INPUT threshold: FRACTION fraction: 0.3 component: STRONGEST",
        ),
        (dict(connectivity=4, padding=0.1), "threshold_at: INPUT connectivity: 4 padding: 0.1"),
    ],
)
def test_options_are_written_and_read(options, text):
    made = RegionOptions(**options)
    assert made.check().text == text
    assert RegionOptions.read(f"a_star: DROP {text}") == made
    assert RegionOptions.read(text.replace(" ", "\n").replace(":\n", ": ")) == made
    assert RegionOptions.read("") == RegionOptions()


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(threshold="median"), "threshold: 'median'(;| is none of otsu, mean,)"),
        (dict(connectivity=6), "connectivity: 6 is none of 4, 8"),
        (dict(threshold="fraction", threshold_fraction=1.0), "threshold_fraction: 1.0; give 0 to"),
        (dict(threshold_fraction=0.25), "is for threshold fraction, not for otsu"),
        (dict(padding=10.5), "padding: 10.5; give 0 to 10"),
        (dict(padding=-0.5), "padding: -0.5; give 0 to 10"),
        (dict(border=-1), "border: -1 is too small"),
    ],
)
def test_options_that_cannot_be_are_explained(options, message):
    with pytest.raises(MaapError, match=message):
        RegionOptions(**options).check()
    with pytest.raises(MaapError, match=message):
        validate(TrainConfig(**options))


def test_another_threshold_leaves_the_fraction_of_a_run_behind():
    run = RegionOptions(threshold="fraction", threshold_fraction=0.3, padding=0.2)
    otsu = run.changed(SimpleNamespace(threshold="otsu", border=1)).check()
    assert otsu == RegionOptions(padding=0.2, border=1)
    assert run.changed(SimpleNamespace(threshold="fraction")) == run
    assert run.changed(SimpleNamespace(threshold_fraction=0.7)).threshold_fraction == 0.7
    with pytest.raises(MaapError, match="give --threshold fraction"):
        run.changed(SimpleNamespace(threshold="otsu", threshold_fraction=0.3)).check()
