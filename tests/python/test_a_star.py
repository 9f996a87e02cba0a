"""The definitions of A* are the same in the layer's parameters, in its kernels and in Python."""

import re
from pathlib import Path

from maap.images import a_star

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
    table = {each.name: (each.inside, each.outside) for each in a_star.TABLE if not each.crops}
    assert said == table
