"""What a benchmark says of the machine: processor, instruction set, threads, load, versions.

A program makes a `Load` when it starts to measure and prints `line(load, threads)` when it has
measured. What it prints after that line is Markdown, which bench/all puts into docs/benchmarks.md.
The load is what others took of the processors meanwhile: time that the hypervisor gave to another
machine (stolen), and time of processes that the program did not start. A run where the two come to
more than DISTURBED is marked "disturbed". Linux only; elsewhere the load is unknown.

With `use_avx2()`, or CAFFE_CPU_ISA=AVX2 in the environment, the programs that are measured do not
use AVX-512.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DISTURBED = 0.05  # share of the processors' time
PREFIX = "machine: "  # how `line` begins

#: What hides AVX-512 from the engine, oneDNN (PyTorch's, too), OpenBLAS, PyTorch, MKL and OpenCV.
#: ONNX Runtime asks the processor itself, and has no such setting.
AVX2 = {
    "CAFFE_CPU_ISA": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX512F",
}


def use_avx2() -> None:
    """Hides AVX-512 from the processes that this one starts."""
    os.environ.update(AVX2)


def is_hidden() -> bool:
    """Whether AVX-512 is hidden."""
    return os.environ.get("CAFFE_CPU_ISA") == "AVX2"


def bvlc() -> list[str]:
    """The words before a command of the BVLC host, whose environment is a clean one."""
    hide = ["env", f"OPENBLAS_CORETYPE={AVX2['OPENBLAS_CORETYPE']}"] if is_hidden() else []
    return [str(ROOT / "tools/host/bvlc"), *hide]


# ---- the processor


@dataclass(frozen=True)
class Processor:
    """One of /proc/cpuinfo: its name, and the flags of its instructions."""

    name: str
    flags: frozenset[str]

    @classmethod
    def parse(cls, cpuinfo: str) -> Processor:
        """The first processor of the text of /proc/cpuinfo. Arm processors have no name there."""
        fields: dict[str, str] = {}
        for line in cpuinfo.splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
        name = fields.get("model name") or fields.get("Model") or "unknown processor"
        name = re.sub(r"\((R|TM)\)| (CPU|Processor)\b| @ .*", "", name)
        if not re.search(r"\d", name) and "cpu family" in fields:  # a virtual machine hides it
            name += f" (family {fields['cpu family']}, model {fields.get('model', '?')})"
        flags = fields.get("flags") or fields.get("Features") or ""
        return cls(name, frozenset(flags.split()))

    @property
    def widest(self) -> str:
        """The widest vector instructions that it has."""
        for flag, title in (
            ("avx512f", "AVX-512"),
            ("avx2", "AVX2"),
            ("avx", "AVX"),
            ("asimd", "NEON"),
        ):
            if flag in self.flags:
                return title
        return "SSE2"

    def in_use(self, hidden: bool) -> str:
        """The instructions that the measured programs use."""
        if hidden and self.widest == "AVX-512":
            return "AVX2 (AVX-512 hidden)"
        return self.widest


def processor() -> Processor:
    """This machine's."""
    return Processor.parse(_read("/proc/cpuinfo"))


# ---- the load


@dataclass(frozen=True)
class Times:
    """Clock ticks since the start of the machine: all of them, those stolen, those of any process,
    and those of this process and the ones it started."""

    total: int
    stolen: int
    busy: int
    own: int

    @classmethod
    def parse(cls, stat: str, own: int) -> Times:
        """From the text of /proc/stat. Its columns are user, nice, system, idle, iowait, irq,
        softirq, steal, guest, guest_nice; time of guests is in that of user already."""
        found = re.search(r"^cpu +(\d[\d ]*)$", stat, re.M)
        if not found:
            raise ValueError("/proc/stat has no line of all processors")
        columns = [int(word) for word in found[1].split()]
        user, nice, system, idle, wait, irq, softirq, steal = (columns + [0] * 8)[:8]
        busy = user + nice + system + irq + softirq
        return cls(busy + idle + wait + steal, steal, busy, own)

    @classmethod
    def now(cls) -> Times | None:
        """At this moment; None where there is no /proc/stat."""
        stat = _read("/proc/stat")
        return cls.parse(stat, own_ticks(os.getpid(), _processes())) if stat else None


def own_ticks(process: int, stats: Iterable[str]) -> int:
    """Ticks of a process, of its children that have ended, and of the living ones with theirs.

    ``stats`` are the texts of /proc/PID/stat: number, (name), state, parent, ...; the columns 14 to
    17 are user, system, and both for ended children that were waited for.
    """
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for text in stats:
        number, rest = int(text.split(" ", 1)[0]), text.rpartition(")")[2].split()
        ticks[number] = sum(int(word) for word in rest[11:15])
        children.setdefault(int(rest[1]), []).append(number)
    found, waiting = 0, [process]
    while waiting:
        number = waiting.pop()
        found += ticks.get(number, 0)
        waiting += children.get(number, [])
    return found


def _processes() -> list[str]:
    paths = (path / "stat" for path in Path("/proc").glob("[0-9]*"))
    return [text for text in map(_read, paths) if text]


def _read(path: os.PathLike[str] | str) -> str:
    """The text of a file; "" where there is none (a process may have ended)."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


class Load:
    """What others took of the processors since this was made."""

    def __init__(self) -> None:
        self.began = Times.now()

    def shares(self) -> tuple[float, float] | None:
        """(stolen, of other processes), each a share of all processors' time; None: unknown."""
        now = Times.now()
        return None if self.began is None or now is None else shares(self.began, now)


def shares(began: Times, ended: Times) -> tuple[float, float]:
    """`Load.shares` between two moments."""
    total = max(ended.total - began.total, 1)
    others = (ended.busy - began.busy) - (ended.own - began.own)
    return (ended.stolen - began.stolen) / total, max(others, 0) / total


def load_text(found: tuple[float, float] | None) -> str:
    """The load in words, with "disturbed" if it is above DISTURBED."""
    if found is None:
        return "load unknown"
    stolen, others = found
    text = f"{stolen:.1%} of the time stolen, {others:.1%} other processes'"
    return f"**disturbed**: {text}" if stolen + others > DISTURBED else text


# ---- versions


def versions(build: Path | None = None) -> dict[str, str]:
    """The libraries that the engine of a build folder is linked with, and the compiler."""
    build = build or Path(os.environ.get("MAAP_ENGINE_BUILD", ROOT / "build/fork"))
    found = {}
    linked = _linked(build / "lib/libcaffe.so")
    for title, stem, ask in (("oneDNN", "libdnnl", _onednn), ("OpenBLAS", "libopenblas", _blas)):
        for path in linked:
            if Path(path).name.startswith(stem):
                found[title] = ask(path)
    for path in sorted(build.glob("CMakeFiles/*/CMakeCXXCompiler.cmake")):
        names = dict(re.findall(r"set\(CMAKE_CXX_COMPILER_(ID|VERSION) \"(.*?)\"\)", _read(path)))
        if len(names) == 2:
            found[names["ID"].replace("GNU", "GCC")] = names["VERSION"]
    return {title: version for title, version in found.items() if version}


def _linked(library: Path) -> list[str]:
    """The paths of the libraries that a library is linked with."""
    try:
        done = subprocess.run(["ldd", str(library)], stdout=subprocess.PIPE, text=True)
    except OSError:
        return []
    return re.findall(r"=> (/\S+)", done.stdout)


def _onednn(path: str) -> str:
    class Version(ctypes.Structure):
        _fields_ = [(name, ctypes.c_int) for name in ("major", "minor", "patch")]

    ask = ctypes.CDLL(path).dnnl_version
    ask.restype = ctypes.POINTER(Version)
    found = ask().contents
    return f"{found.major}.{found.minor}.{found.patch}"


def _blas(path: str) -> str:
    ask = ctypes.CDLL(path).openblas_get_config
    ask.restype = ctypes.c_char_p
    found = re.search(r"\d+\.\d+(\.\d+)?", ask().decode())
    return found[0] if found else ""


# ---- what the programs print


def line(load: Load, threads: int, more: Mapping[str, str] | None = None) -> str:
    """The line that every benchmark prints once. ``more``: other programs' versions by name."""
    return text_of(processor(), is_hidden(), threads, load.shares(), {**versions(), **(more or {})})


def text_of(
    cpu: Processor,
    hidden: bool,
    threads: int,
    load: tuple[float, float] | None,
    programs: Mapping[str, str],
) -> str:
    """`line` of given facts."""
    count = f"{threads} thread{'s' if threads != 1 else ''}"
    parts = [f"{cpu.name}, {cpu.in_use(hidden)}, {count}", load_text(load)]
    parts.append(", ".join(f"{name} {version}" for name, version in programs.items()))
    parts.append(time.strftime("%Y-%m-%d"))
    return PREFIX + "; ".join(part for part in parts if part)


def verdict(missed: Sequence[str]) -> str:
    """Markdown that says which targets were missed."""
    if not missed:
        return "Every target is met."
    return "\n".join(["Missed:", "", *(f"- {text}" for text in missed)])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An aligned Markdown table: the first column to the left, the others to the right."""
    lines = [list(heads), *map(list, rows)]
    wide = [max(4, *(len(row[i]) for row in lines)) for i in range(len(heads))]

    def text(row: Sequence[str]) -> str:
        cells = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, wide))]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(wide)]
    return "\n".join([text(lines[0]), text(rule), *map(text, lines[1:])])
