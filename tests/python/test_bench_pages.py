"""bench/all: the sections of docs/benchmarks.md, what it keeps, that no program is forgotten."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "bench"))

import machine  # noqa: E402
import net_speed  # noqa: E402
import pages  # noqa: E402

PAGE = (REPO / "docs/benchmarks.md").read_text()
LINE = "AMD, AVX2, 2 threads; 0.0% of the time stolen, 0.1% other processes'; 2026-01-02"
TABLE = "| net | ms |\n| --- | ---: |\n| AlexNet | 1.5 |"


# ---- the page


def test_the_page_has_a_section_for_every_entry():
    assert sorted(pages.sections(PAGE)) == sorted(pages.ENTRIES)


@pytest.mark.parametrize("name", pages.ENTRIES)
def test_a_section_names_its_command_above_its_tables(name):
    section = pages.sections(PAGE)[name]
    found = pages.commands(section)
    assert found and section.startswith("*")
    for command in found:
        program, *_ = shlex.split(command)
        assert (REPO / program).is_file()
        assert command == f"bench/all {name}" or program == f"bench/{pages.ENTRIES[name].program}"
    measured = [command for command in found if not command.startswith("bench/all")]
    tables = re.findall(r"^\|[ :|-]+\|$", section, flags=re.M)
    assert len(tables) >= len(measured)


def test_every_program_is_run_or_listed():
    begins = r'^if __name__ == "__main__"|^int main\('
    files = [path for path in (REPO / "bench").iterdir() if path.suffix in (".py", ".cpp")]
    programs = {path.name for path in files if re.search(begins, path.read_text(), flags=re.M)}
    run, listed = {entry.program for entry in pages.ENTRIES.values()}, pages.by_hand()
    assert len(programs) > 12
    forgotten = programs - run - set(listed) - {"pages.py"}
    assert not forgotten, f"{forgotten}: add them to ENTRIES or BY_HAND of bench/pages.py"
    assert run | set(listed) <= programs and not run & set(listed)
    assert all(len(why) > 20 for why in listed.values())


@pytest.mark.parametrize("program", sorted({e.program for e in pages.ENTRIES.values()}))
def test_a_program_that_is_run_says_the_machine_before_its_tables(program):
    text = (REPO / "bench" / program).read_text()
    assert text.index("machine.line(load") < text.rindex("machine.table(")


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("<!-- bench: a -->\n<!-- bench: b -->\n<!-- end of bench -->", "line 2: section b in a"),
        ("<!-- end of bench -->", "line 1: the end of no section"),
        ("text\n<!-- bench: a -->\n", "section a has no end"),
        ("<!-- bench: a -->\n<!-- end of bench -->\n" * 2, "line 3: .*a second time"),
    ],
)
def test_marks_that_do_not_pair_are_errors(page, says):
    with pytest.raises(ValueError, match=says):
        pages.sections(page)


def test_a_section_is_replaced_and_the_rest_is_kept():
    page = "# A\n<!-- bench: a -->\n\nold\n\n<!-- end of bench -->\n\n"
    page += "<!-- bench: b -->\nb\n<!-- end of bench -->\ntext\n"
    new = pages.replaced(page, "a", "new \\1 text")
    assert new == page.replace("old", "new \\1 text")
    assert pages.sections(new) == {"a": "new \\1 text", "b": "b"}
    with pytest.raises(ValueError, match="no section c"):
        pages.replaced(page, "c", "x")


# ---- results


def result(**changes):
    facts = dict(command="bench/x.py", commit="1", hidden=False, machine=LINE, text=TABLE)
    return pages.Result(**{**facts, **changes})


def test_what_a_program_prints_becomes_a_section():
    line, text = pages.parse(f"round 1: 5\n\nmachine: {LINE}\nmedians:\n\n{TABLE}\n")
    assert (line, text) == (LINE, f"medians:\n\n{TABLE}")
    assert pages.parse(f"machine: {LINE}\n{TABLE}")[0] == LINE
    assert pages.parse("Traceback: no machine: here\n") is None
    made = pages.content([result(), result(hidden=True)])
    assert pages.commands(made) == ["bench/x.py", "bench/x.py"]
    assert made.count(TABLE) == 2 and made.count("with `CAFFE_CPU_ISA=AVX2`*") == 1


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """bench/all with one program, whose output the test sets, and a page of its own."""

    class Bench:
        ran = []
        status, output = 0, f"machine: {LINE}\n{TABLE}\n"

    def run(words, hidden):
        Bench.ran.append((words[0], hidden))
        return Bench.status, Bench.output

    page = tmp_path / "page.md"
    page.write_text("<!-- bench: x -->\nnothing\n<!-- end of bench -->\n")
    monkeypatch.setattr(pages, "PAGE", page)
    monkeypatch.setattr(pages, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(pages, "ENTRIES", {"x": pages.Entry("x.py", both=True)})
    monkeypatch.setattr(pages, "run", run)
    monkeypatch.setattr(pages, "commit", lambda: "1")
    cpu = machine.Processor("a processor", frozenset({"avx2", "avx512f"}))
    monkeypatch.setattr(machine, "processor", lambda: cpu)
    monkeypatch.delenv("CAFFE_CPU_ISA", raising=False)
    Bench.ran, Bench.page = [], page

    def all_of_them(*words):
        monkeypatch.setattr(sys, "argv", ["bench/all", *words])
        return pages.main()

    Bench.call = staticmethod(all_of_them)
    return Bench


def test_both_instruction_sets_come_into_the_page_and_are_not_measured_again(bench, monkeypatch):
    assert bench.call() == 0
    assert bench.ran == [("bench/x.py", False), ("bench/x.py", True)]
    section = pages.sections(bench.page.read_text())["x"]
    assert section.count(TABLE) == 2 and len(pages.commands(section)) == 2
    assert bench.call() == 0 and len(bench.ran) == 2
    assert bench.call("--again", "x") == 0 and len(bench.ran) == 4
    for commit in ("2", ""):  # other code, or code that no commit has
        monkeypatch.setattr(pages, "commit", lambda commit=commit: commit)
        bench.ran.clear()
        assert bench.call() == 0 and len(bench.ran) == 2


def test_a_disturbed_run_is_written_and_measured_again(bench):
    bench.output = bench.output.replace("0.0%", "**disturbed**: 9.0%")
    assert bench.call() == 0
    assert "**disturbed**" in bench.page.read_text()
    assert bench.call() == 0 and len(bench.ran) == 4


def test_a_missed_target_is_written_a_failure_is_not(bench):
    bench.status = 1
    assert bench.call() == 1 and TABLE in bench.page.read_text()
    bench.page.write_text("<!-- bench: x -->\nnothing\n<!-- end of bench -->\n")
    for file in (pages.KEPT).iterdir():
        file.unlink()
    bench.output = "Traceback\n"
    assert bench.call() == 1 and "nothing" in bench.page.read_text()


@pytest.mark.parametrize("option", ["--quick", "--no-page"])
def test_nothing_is_written_where_it_is_not_wanted(bench, option):
    assert bench.call(option) == 0 and len(bench.ran) == 2
    assert "nothing" in bench.page.read_text()
    assert pages.KEPT.exists() == (option == "--no-page")


def test_avx512_that_is_hidden_already_is_not_hidden_twice(bench, monkeypatch):
    monkeypatch.setenv("CAFFE_CPU_ISA", "AVX2")
    assert bench.call() == 0 and bench.ran == [("bench/x.py", False)]


def test_the_list_names_everything():
    shown = pages.listing()
    for name, entry in pages.ENTRIES.items():
        assert name in shown and entry.program in shown
    assert all(program in shown for program in pages.by_hand())


@pytest.mark.skipif(os.environ.get("MAAP_HOST") != "fork", reason="the engine's Python runs it")
def test_the_program_starts():
    done = subprocess.run(
        [str(REPO / "bench/all"), "--list"], stdout=subprocess.PIPE, universal_newlines=True
    )
    assert done.returncode == 0 and "by hand:" in done.stdout


# ---- bench/net_speed.py's targets and table


class Timed:
    def __init__(self, name, median, peak=1000.0):
        self.name, self.median, self.memory = name, median, (100.0, peak)
        self.times = [0.5 * median, median, 2 * median]


BVLC, FLAT = net_speed.BVLC, net_speed.TORCH[0]


@pytest.mark.parametrize(
    ("net", "others", "wide", "missed"),
    [
        ("alexnet", [(BVLC, 3.1), (FLAT, 2.4)], False, 0),
        ("alexnet", [(BVLC, 3.1), (FLAT, 2.4)], True, 2),
        ("alexnet", [(BVLC, 6.1), (FLAT, 2.6)], True, 1),
        ("vgg19", [(BVLC, 1.0), (FLAT, 2.5)], True, 0),
        ("vgg19", [(FLAT, 2.3)], True, 1),
        ("resnet152", [(FLAT, 1.51)], False, 0),
        ("resnet152", [(BVLC, 9.0)], False, 0),
    ],
)
def test_targets_of_training(net, others, wide, missed):
    programs = [Timed("engine", 1.0), *(Timed(*other) for other in others)]
    assert len(net_speed.misses(net, programs, wide)) == missed


def test_large_nets_are_to_take_no_more_memory_than_pytorch():
    programs = [Timed("engine", 1.0, 2000.0), Timed(FLAT, 5.0, 1999.0), Timed(BVLC, 9.0, 100.0)]
    assert net_speed.misses("alexnet", programs, True) == []
    for net in ("vgg19", "resnet152"):
        assert net_speed.misses(net, programs, True) == ["2000 MB, at most PyTorch's 1999 MB"]


def test_a_row_of_the_table():
    programs = [Timed("engine", 0.1), Timed(FLAT, 0.25, 1500.0)]
    assert net_speed.row("AlexNet", programs) == [
        "AlexNet", "100.0 (50.0)", "-", "2.50 (2.50)", "1000, -, 1500",
    ]  # fmt: skip
    assert len(net_speed.HEADS) == 5
