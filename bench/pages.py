"""Makes the tables of docs/benchmarks.md again: the program behind bench/all.

    bench/all [NAME ...] [--list] [--quick] [--again] [--no-page]

Each NAME is a section of the page, between the lines

    <!-- bench: NAME -->
    <!-- end of bench -->

and a program of bench/ with its options. Without names all are run, one after the other; programs
whose speed depends on it run twice on a processor with AVX-512, the second time with AVX-512
hidden. A section gets what the program prints from its machine line on: processor, instructions,
threads, load, versions, date, and then its tables. It is written as soon as its program has ended.

Results are kept in build/bench. What was measured with the same commit and the same command, on a
machine that was not disturbed, is not measured again, so an interrupted run can be started again;
--again measures everything. --quick takes one round, to see that everything works, and writes
nothing. Exit status 1 if a program failed or missed a target.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import machine

PAGE = machine.ROOT / "docs/benchmarks.md"
KEPT = machine.ROOT / "build/bench"


@dataclass(frozen=True)
class Entry:
    """A section of the page: a program of bench/ with its options.

    ``quick``: what makes it short. ``both``: it runs with AVX-512 hidden as well.
    """

    program: str
    options: tuple[str, ...] = ()
    quick: tuple[str, ...] = ("--rounds", "1")
    both: bool = False

    def words(self, quick: bool = False) -> list[str]:
        """The command, relative to the repository."""
        return [f"bench/{self.program}", *self.options, *(self.quick if quick else ())]


ENTRIES = {
    "alexnet": Entry("net_speed.py", ("alexnet",), both=True),
    "vgg19": Entry("net_speed.py", ("vgg19", "--batch", "4", "--rounds", "5"), both=True),
    "resnet152": Entry("net_speed.py", ("resnet152", "--batch", "4", "--rounds", "5"), both=True),
    "resnet152-16": Entry(
        "net_speed.py", ("resnet152", "--rounds", "3", "--without", "BVLC"), both=True
    ),
    "inference": Entry("inference.py", both=True),
    "recurrent": Entry("recurrent.py", both=True),
    "data": Entry("data_layer.py"),
    "feeder": Entry("feeder.py", quick=("--rounds", "3")),
    "laap": Entry("laap_overhead.py"),
    "regions": Entry("regions.py"),
    "rewriting": Entry("rewrite.py"),
    "reduce": Entry("rewrite.py", ("--a-star", "REDUCE", "--limit", "1.5")),
    "online": Entry("online.py"),
}

#: The Python programs that bench/all does not run, and why. It runs none in C++: they are there for
#: a kernel's author, or are started by tests/gpu.
BY_HAND = {
    "build_time.py": "a whole build, of many minutes",
    "torch_step.py": "needs a GPU; tests/gpu/run starts it",
    "two_engines.py": "needs a second system that has built the engine",
    "math_modes.py": "trains for many minutes; its tables are for docs/math-modes.md",
    "ranks.py": "times several processes, which need more cores than the tables' machine has",
    "plan.py": "times several processes, as ranks.py does",
    "gpu_counts.py": "counts on the shadow device, and times nothing",
}


def by_hand() -> dict[str, str]:
    """The programs that bench/all does not run: why, or the first sentence of what they say."""
    found = dict(BY_HAND)
    for path in sorted((machine.ROOT / "bench").glob("*.cpp")):
        comment = re.match(r"(?://.+\n)*", path.read_text())  # up to an empty line of it
        words = comment[0].replace("//", " ").split() if comment else []
        found[path.name] = re.split(r"(?<=\.) ", " ".join(words))[0].rstrip(".:")
    return found


# ---- the page

_BEGIN, _END = re.compile(r"<!-- bench: (\S+) -->"), "<!-- end of bench -->"


def sections(page: str) -> dict[str, str]:
    """The marked sections of a page by name. Raises ValueError for marks that do not pair."""
    found: dict[str, str] = {}
    name, lines = "", []
    for number, text in enumerate(page.splitlines(), 1):
        begins = _BEGIN.fullmatch(text.strip())
        if begins and (name or begins[1] in found):
            raise ValueError(f"line {number}: section {begins[1]} in {name}, or a second time")
        if begins:
            name, lines = begins[1], []
        elif text.strip() == _END:
            if not name:
                raise ValueError(f"line {number}: the end of no section")
            found[name], name = "\n".join(lines).strip(), ""
        elif name:
            lines.append(text)
    if name:
        raise ValueError(f"section {name} has no end")
    return found


def replaced(page: str, name: str, content: str) -> str:
    """The page with another content of a section. Raises ValueError when it has no such one."""
    if name not in sections(page):
        raise ValueError(f"no section {name}: add '<!-- bench: {name} -->' and '{_END}'")
    pattern = rf"(<!-- bench: {re.escape(name)} -->\n).*?({_END})"
    return re.sub(pattern, lambda m: f"{m[1]}\n{content}\n\n{m[2]}", page, count=1, flags=re.S)


def content(results: list[Result]) -> str:
    """A section of the page: for each result the machine and the command, then its tables."""
    parts = []
    for result in results:
        hidden = " with `CAFFE_CPU_ISA=AVX2`" if result.hidden else ""
        parts += [f"*{result.machine}; `{result.command}`{hidden}*", result.text]
    return "\n\n".join(parts)


def commands(section: str) -> list[str]:
    """The commands that a section names in the lines above its tables."""
    heads = re.findall(r"^\*.*\*$", section, flags=re.M)
    return [command for head in heads for command in re.findall(r"`(bench/.+?)`", head)]


# ---- results


@dataclass(frozen=True)
class Result:
    """What a program said: its machine line without the first word, and the Markdown below it."""

    command: str
    commit: str
    hidden: bool
    machine: str
    text: str

    @property
    def disturbed(self) -> bool:
        return "disturbed" in self.machine


def parse(output: str) -> tuple[str, str] | None:
    """(machine line, Markdown) of a program's output; None when it did not come so far."""
    head, mark, rest = output.rpartition("\n" + machine.PREFIX)
    if not mark and output.startswith(machine.PREFIX):
        rest = output[len(machine.PREFIX) :]
    elif not mark:
        return None
    line, _, text = rest.partition("\n")
    return line.strip(), text.strip()


def commit() -> str:
    """The checkout's commit; "" outside of git, and where files outside of docs/ differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(machine.ROOT), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs")
    return "" if changed else git("rev-parse", "HEAD")


def _file(name: str, hidden: bool) -> Path:
    return KEPT / f"{name}{'-avx2' if hidden else ''}.json"


def kept(name: str, hidden: bool) -> Result | None:
    """A result of an earlier call."""
    try:
        return Result(**json.loads(_file(name, hidden).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def run(words: list[str], hidden: bool) -> tuple[int, str]:
    """The exit status of a command and its output, which is shown as it comes."""
    environment = {**os.environ, **(machine.AVX2 if hidden else {})}
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=machine.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = []
    assert process.stdout
    for text in process.stdout:
        print(text, end="", flush=True)
        lines.append(text)
    return process.wait(), "".join(lines)


def measure(name: str, hidden: bool, args: argparse.Namespace) -> bool:
    """Runs an entry, unless its result is there already; whether all went well."""
    words, now = ENTRIES[name].words(args.quick), commit()
    command, old = shlex.join(words), kept(name, hidden)
    title = f"{name}{' without AVX-512' if hidden else ''}: {command}"
    if old and not args.again and not args.quick and not old.disturbed:
        if now and (old.command, old.commit) == (command, now):
            print(f"== {title}: measured already")
            return True
    print(f"== {title}", flush=True)
    status, output = run(words, hidden)
    found = parse(output)
    if found is None:
        print(f"error: {command} failed with status {status}", file=sys.stderr)
        return False
    if not args.quick:
        result = Result(command, now, hidden, *found)
        KEPT.mkdir(parents=True, exist_ok=True)
        _file(name, hidden).write_text(json.dumps(asdict(result), indent=1) + "\n")
    return status == 0


def write_page(name: str) -> None:
    """The kept results of a section into the page."""
    results = [found for hidden in (False, True) if (found := kept(name, hidden))]
    if results:
        PAGE.write_text(replaced(PAGE.read_text(), name, content(results)))


def listing() -> str:
    """What bench/all runs, and what it does not."""
    rows = [[name, shlex.join(entry.words())] for name, entry in ENTRIES.items()]
    lines = [f"{name:14} {command}" for name, command in rows]
    lines += ["", "by hand:", *(f"{name:15} {why}" for name, why in by_hand().items())]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/all", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="sections (default: all)")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--quick", action="store_true", help="one round; nothing is written")
    parser.add_argument("--again", action="store_true", help="measure what was measured, too")
    parser.add_argument("--no-page", action="store_true", help="write to build/bench alone")
    args = parser.parse_args()
    if args.list:
        print(listing())
        return 0
    if unknown := set(args.names) - set(ENTRIES):
        parser.error(f"no {', '.join(sorted(unknown))}; there are {', '.join(ENTRIES)}")
    wide = machine.processor().widest == "AVX-512" and not machine.is_hidden()
    good = True
    for name in args.names or ENTRIES:
        for hidden in (False, True) if wide and ENTRIES[name].both else (False,):
            good = measure(name, hidden, args) and good
            if not args.quick and not args.no_page:
                write_page(name)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
