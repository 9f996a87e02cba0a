"""Which functors the sources run on a GPU: read from the calls of parallel_for and the like."""

from __future__ import annotations

import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
FOLDERS = ("kernels", "caffe", "caffe_layers")
CALL = re.compile(r"\b(parallel_for|parallel_rows|parallel_planes|parallel_teams|parallel_tiles)\(")
MACRO_PARAMETERS = ("Functor",)
FUNCTOR = re.compile(r"(?:\w+::)*(\w+)(?:<[^{}]*>)?\{")
ALIAS = re.compile(r"\busing (\w+) =([^;]*<[^;]*);")
CHOICE = re.compile(r"(?<!::)\b(\w+)<")  # of an alias: its templates but those of std


def arguments(text: str, begin: int) -> list[str]:
    """The arguments of the call whose opening bracket ends at `begin`."""
    found, depth, start = [], 1, begin
    for at in range(begin, len(text)):
        if text[at] in "([{":
            depth += 1
        elif text[at] in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and text[at] == ","):
            found.append(text[start:at].strip())
            start = at + 1
        if depth == 0:
            return found
    return []


def gpu_functors() -> dict[str, str]:
    """Name of functor: file. The last argument is the GPU's functor, in every form of the calls.

    An alias stands for all functors that it chooses from. A functor that stands in a variable, or
    is a template's argument, is not seen.
    """
    found, aliases = {}, {}
    for folder in FOLDERS:
        for path in sorted((REPO / folder).rglob("*")):
            if path.suffix not in (".cu", ".hpp") or "onednn" in path.parts:
                continue
            text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8")).replace("->", "..")
            aliases.update(ALIAS.findall(text))
            for call in CALL.finditer(text):
                name = FUNCTOR.match(last_of(arguments(text, call.end())))
                if name and name.group(1) not in MACRO_PARAMETERS:
                    found[name.group(1)] = path.relative_to(REPO).as_posix()
    return {
        name: file
        for called, file in found.items()
        for name in CHOICE.findall(aliases.get(called, "")) or [called]
    }


def last_of(parts: list[str]) -> str:
    """The last argument; a template with commas was cut at them."""
    last = ""
    for part in reversed(parts):
        last = f"{part},{last}" if last else part
        if last.count("<") >= last.count(">"):
            break
    return last
