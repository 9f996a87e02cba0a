"""The pages of the C++ layers and of the C++ interface, from the headers' own comments."""

import re
from pathlib import Path
from typing import NamedTuple

_LAYERS_HEAD = """# Layers

Every layer type of this Caffe, with the contract that stands in its header: what it computes,
which shapes it takes, whether it works in place. Parameters are on the page
[Prototxt parameters](prototxt.md).
Enhancement and Elimination are this project's; those whose header lies in a folder below
`caffe/layers` come from other forks of Caffe ([Layers of other forks](../forks.md)); all others are
Caffe's.
"""
_API_HEAD = """# C++ interface

What a program or a layer of your own uses. The paths are Caffe's, so `#include "caffe/caffe.hpp"`
brings all of it; see [Contributing](../contributing.md) for a whole layer. The texts are those of
the headers.
"""
_API = (
    "caffe/blob.hpp",
    "caffe/syncedmem.hpp",
    "caffe/layer.hpp",
    "caffe/layers/portable.hpp",
    "caffe/layer_factory.hpp",
    "caffe/net.hpp",
    "caffe/solver.hpp",
    "caffe/solver_factory.hpp",
    "caffe/data_transformer.hpp",
    "caffe/filler.hpp",
    "kernels/parallel.hpp",
)
_CLASS = re.compile(
    r"((?:^[ \t]*///.*\n)+)(?:^[ \t]*template.*\n)?^[ \t]*(?:class|struct)\s+(\w+)[^;\n]*", re.M
)
_TYPE = re.compile(r'type\(\) const override \{\s*return "(\w+)"')
_DECLARED = re.compile(
    r"((?:^[ \t]*///.*\n)+)((?:^(?![ \t]*//).+\n)+?)(?=^[ \t]*$|^[ \t]*//|^[ \t]*\})", re.M
)


class Layer(NamedTuple):
    """A layer type, its header and the comment above its class."""

    type: str
    header: str
    text: str


def comment_of(lines: str) -> str:
    """The text of a run of `///` lines, line ends kept."""
    return "\n".join(re.sub(r"^[ \t]*///? ?", "", line) for line in lines.rstrip().splitlines())


def layers(repo: Path) -> list[Layer]:
    """The layers in the headers of both folders and those below, by type."""
    found = []
    for folder in ("caffe/layers", "caffe_layers"):
        for path in sorted((repo / folder).rglob("*_layer.hpp")):
            text = path.read_text(encoding="utf-8")
            header = str(path.relative_to(repo))
            classes = [m for m in _CLASS.finditer(text) if m.group(2).endswith("Layer")]
            ends = [m.start() for m in classes[1:]] + [len(text)]
            for match, end in zip(classes, ends):
                kind = _TYPE.search(text, match.end(), end)
                if kind:
                    found.append(Layer(kind.group(1), header, comment_of(match.group(1))))
    return sorted(found, key=lambda layer: layer.type.lower())


def layers_page(repo: Path) -> str:
    """The page of the layers as Markdown."""
    parts = [_LAYERS_HEAD]
    for layer in layers(repo):
        parts.append(f"\n## {layer.type}\n\n`{layer.header}`\n\n```text\n{layer.text}\n```\n")
    return "\n".join(parts)


def essay(text: str) -> str:
    """The comment at the top of a header, behind its guard."""
    match = re.search(r"#define \w+_\n\n((?://.*\n)+)", text)
    return (
        "\n".join(line[2:].removeprefix(" ") for line in match.group(1).splitlines())
        if match
        else ""
    )


def api_page(repo: Path) -> str:
    """The page of the C++ interface as Markdown."""
    parts = [_API_HEAD]
    for header in _API:
        text = (repo / header).read_text(encoding="utf-8")
        parts.append(f"\n## {header}\n")
        about = essay(text)
        if about:
            parts.append(f"```text\n{about}\n```\n")
        for said, declared in _DECLARED.findall(text):
            code = _head_of(declared)
            parts.append(f"```cpp\n{code}\n```\n\n{_paragraph(comment_of(said))}\n")
    return "\n".join(parts)


def _head_of(declared: str) -> str:
    """A declaration without the body of its function or class."""
    lines = declared.rstrip().splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    text = "\n".join(line[indent:] for line in lines)
    return re.sub(r"\s*(:\s*\w+\(.*)?\{.*", ";", text, count=1, flags=re.S) if "{" in text else text


def _paragraph(text: str) -> str:
    return re.sub(r"([|*_\[\]])", r"\\\1", text.replace("<", "&lt;"))
