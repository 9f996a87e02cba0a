#!/usr/bin/env python3
"""Checks the machine code of a CUDA build's kernels, which shows what the source does not say.

    tools/gpu_code.py [--cuobjdump PROGRAM] FILE...      objects, libraries or cubins

Two rules, with exceptions in tools/gpu_code.tsv, each with its reason:

  memory   A kernel keeps its variables in registers: no stack and no spill, which are local memory
           and so as slow as any other.
  fp64     A kernel with no `double` among its types has no FP64 instruction: Turing's and Ada's
           GPUs compute these at 1/32 and 1/64 of the rate of float.

An exception that nothing needs any more is an error, too. Exit status: 0 if all is well, 1 if not.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

EXCEPTIONS = Path(__file__).resolve().with_suffix(".tsv")
RULES = ("memory", "fp64")

ARCHITECTURE = re.compile(r"^\s*(?:arch = |code for |\.target\s+)(sm_\w+)")
FUNCTION = re.compile(r"^\s*Function\s*:?\s*(\S+?):?\s*$")
RESOURCES = re.compile(r"\bREG:(\d+)\s+STACK:(\d+).*\bLOCAL:(\d+)")
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)")
FP64 = re.compile(r"^D(ADD|MUL|FMA|SETP?|MNMX|MMA)\b|\.F64\b|64H\b")
SPILL = re.compile(r"^(LDL|STL)\b")


@dataclass
class Kernel:
    """A kernel's code for one architecture."""

    name: str  # demangled
    architecture: str
    registers: int = 0
    stack: int = 0  # bytes per thread, local arrays and spilled registers
    local_accesses: int = 0  # instructions that read or write the stack
    fp64: set[str] = field(default_factory=set)  # instructions

    @property
    def for_double(self) -> bool:
        return re.search(r"\bdouble\b", self.name) is not None

    def faults(self) -> dict[str, str]:
        """What breaks a rule, by rule."""
        found = {}
        if self.stack or self.local_accesses:
            found["memory"] = f"{self.stack} bytes of stack, {self.local_accesses} accesses"
        if self.fp64 and not self.for_double:
            found["fp64"] = " ".join(sorted(self.fp64))
        return found


@dataclass
class Allowed:
    """Kernels that may break a rule."""

    rule: str
    pattern: str  # a regular expression, found in the kernel's demangled name
    reason: str
    used: bool = False

    def allows(self, rule: str, kernel: Kernel) -> bool:
        return self.rule == rule and re.search(self.pattern, kernel.name) is not None


def read_exceptions(text: str) -> list[Allowed]:
    """Raises ValueError for a line that is not: rule, pattern and reason, divided by tabs."""
    found = []
    for row in csv.reader(text.splitlines(), delimiter="\t"):
        if not row or row[0].startswith("#"):
            continue
        if len(row) != 3 or row[0] not in RULES or not row[2].strip():
            raise ValueError(f"not a rule ({', '.join(RULES)}), a pattern and a reason: {row}")
        found.append(Allowed(*row))
    return found


def functions(text: str) -> Iterator[tuple[str, str, str]]:
    """(architecture, mangled name, line) for every line that belongs to a function."""
    architecture = name = ""
    for line in text.splitlines():
        if match := ARCHITECTURE.match(line):
            architecture, name = match[1], ""
        elif match := FUNCTION.match(line):
            name = match[1]
        elif name:
            yield architecture, name, line


def read_kernels(resources: str, code: str) -> list[Kernel]:
    """Kernels from what `cuobjdump -res-usage` and `cuobjdump -sass` print; names as they are.

    Raises ValueError if one of the two lists kernels that the other lacks.
    """
    kernels: dict[tuple[str, str], Kernel] = {}
    for architecture, name, line in functions(resources):
        if match := RESOURCES.search(line):
            registers, stack, local = (int(v) for v in match.groups())
            kernels[name, architecture] = Kernel(name, architecture, registers, stack + local)
    seen = set()
    for architecture, name, line in functions(code):
        key = (name, architecture)
        if match := INSTRUCTION.match(line):
            if key not in kernels:
                raise ValueError(f"no resources are listed for {name} ({architecture})")
            seen.add(key)
            kernels[key].local_accesses += SPILL.match(match[1]) is not None
            if FP64.search(match[1]):
                kernels[key].fp64.add(match[1])
    if missing := set(kernels) - seen:
        raise ValueError(f"no code is listed for {missing.pop()}")
    return list(kernels.values())


def demangle(names: Iterable[str]) -> list[str]:
    text = "\n".join(names)
    done = subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def kernels_of(cuobjdump: str, file: Path) -> list[Kernel]:
    """The kernels of a file, with demangled names. A file without GPU code has none."""
    printed = []
    for what in ("-res-usage", "-sass"):
        done = subprocess.run(
            [cuobjdump, what, str(file)], capture_output=True, text=True, check=False
        )
        if "does not contain device code" in done.stdout + done.stderr:
            return []
        if done.returncode != 0:
            raise ValueError(f"{cuobjdump} {what} {file}: {done.stderr.strip()}")
        printed.append(done.stdout)
    kernels = read_kernels(*printed)
    for kernel, name in zip(kernels, demangle(k.name for k in kernels)):
        kernel.name = name
    return kernels


def judge(kernels: Iterable[Kernel], exceptions: list[Allowed]) -> list[str]:
    """One line for each fault that no exception allows; marks the exceptions that are used."""
    lines = []
    for kernel in kernels:
        for rule, what in kernel.faults().items():
            allowing = [e for e in exceptions if e.allows(rule, kernel)]
            for exception in allowing:
                exception.used = True
            if not allowing:
                lines.append(f"{rule}: {kernel.architecture} {kernel.name}: {what}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--cuobjdump", default="cuobjdump")
    args = parser.parse_args()
    exceptions = read_exceptions(EXCEPTIONS.read_text())
    kernels = [k for file in args.files for k in kernels_of(args.cuobjdump, file)]
    if not kernels:
        print("error: no file has a kernel", file=sys.stderr)
        return 1
    faults = judge(kernels, exceptions)
    faults += [f"unused exception: {e.rule} {e.pattern}" for e in exceptions if not e.used]
    for line in sorted(set(faults)):
        print(line)
    architectures = ", ".join(sorted({k.architecture for k in kernels}))
    most = max(kernels, key=lambda k: k.registers)
    print(f"{len(kernels)} kernels for {architectures}; most registers: {most.registers}")
    print(f"{len(set(faults))} faults, {sum(e.used for e in exceptions)} exceptions")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
