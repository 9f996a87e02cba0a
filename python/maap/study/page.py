"""A study as people read it: a Markdown page, CSV files and pictures beside it.

A page ``tables.md`` has its files in the folder ``tables``: for each part the CSV files of
`sheets`, ``table3.png`` and, where rows are compared, ``table3_differences.png``. Shares are
percent on the page.
"""

from collections.abc import Sequence
from pathlib import Path

from maap.study import figures
from maap.study.cells import Cell, Head, LeftOut
from maap.study.cost import command, time_spent
from maap.study.definition import Row, net_name
from maap.study.differences import Difference, by_column, differences, findings
from maap.study.notes import notes
from maap.study.plot import plot, plot_differences
from maap.study.results import Column, Table, paper_figure, read_tables
from maap.study.sheets import cells_csv, differences_csv, runs_csv
from maap.util.files import cannot_write, write_atomically

NOT_RUN = "not run"
NOT_MEASURED = "not measured"
NOT_FOR_NET = "not for this net"


def write_page(
    page: Path, planned: Sequence[Cell], head: Head, left_out: Sequence[LeftOut] = ()
) -> list[str]:
    """Write the page and its files for the runs that are finished; returns the lines of its tables.

    Raises MaapError: a damaged run, a part without any finished run, a full disk.
    """
    tables = read_tables(planned, left_out)
    compared = [differences(table) for table in tables]
    folder = page.with_suffix("")
    blocks, shown = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table, found in zip(tables, compared):
            lines = table_lines(table)
            shown += [table.part.title, "", *lines, ""]
            blocks += _part(table, found, lines, folder, head)
        for lines in _without_cells(planned, left_out):
            shown += lines
            blocks += [f"## {lines[0]}", *lines[1:]]
    except OSError as error:
        raise cannot_write(folder, error) from None
    again = f"Made by `{head.command}`. The same command makes it again"
    again += "." if all(table.whole for table in tables) else f', and runs what reads "{NOT_RUN}".'
    said = findings(tables, compared)
    top = [text for text in (again, head.about, *said) if text]
    end = ["## Time and machine", "", time_spent(planned)]
    lines = [f"# {head.title}", "", *_spaced(top), *blocks, *end]
    write_atomically(page, "\n".join(lines).rstrip() + "\n")
    return [*shown, *_spaced(said)]


def _spaced(paragraphs: Sequence[str]) -> list[str]:
    return [line for text in paragraphs for line in (text, "")]


def _part(
    table: Table, found: Sequence[Difference], lines: Sequence[str], folder: Path, head: Head
) -> list[str]:
    """Write the files of a part, and remove those of an earlier page that it does not have; its
    section of the page."""
    part = table.part
    write_atomically(folder / f"{part.name}.csv", cells_csv(table))
    write_atomically(folder / f"{part.name}_runs.csv", runs_csv(table))
    (folder / f"{part.name}.png").write_bytes(plot(table))
    section = [f"## {part.title}", ""]
    section += [part.about, ""] if part.about else []
    made = ["", f"*Made by `{head.command}`.*", ""]
    section += [*lines, "", f"![{part.title}]({folder.name}/{part.name}.png)", *made]
    for end in ("csv", "png"):
        (folder / f"{part.name}_differences.{end}").unlink(missing_ok=True)
    if found:
        write_atomically(folder / f"{part.name}_differences.csv", differences_csv(found))
        section += [*difference_lines(found), ""]
        picture = plot_differences(found)
        if picture is not None:
            (folder / f"{part.name}_differences.png").write_bytes(picture)
            name = f"{folder.name}/{part.name}_differences.png"
            section += [f"![{part.title}: differences]({name})", *made]
        section += _spaced(by_column(found, len(part.nets) > 1))
    return [*section, *_spaced(notes(table, found)), *_commands(table, folder)]


def _without_cells(planned: Sequence[Cell], left_out: Sequence[LeftOut]) -> list[list[str]]:
    """Of each part that has no cell at all its title, and why no row of it is made."""
    known = {cell.part.name for cell in planned}
    parts = {each.part.name: each.part for each in left_out if each.part.name not in known}
    found = []
    for name, part in parts.items():
        rows = [each for each in left_out if each.part.name == name]
        said = [
            f'- "{each.row.label}" is not for {net_name(each.net)}: {each.why}' for each in rows
        ]
        found.append([part.title, "", *said, ""])
    return found


# ---- the tables ---------------------------------------------------------------------------------


def table_lines(table: Table) -> list[str]:
    """The table in Markdown: for every net others' figures beside ours, then each seed's."""
    part = table.part
    head = [""]
    for net in part.nets:
        name = net_name(net)
        head += [f"{name}: paper"] * (part.paper is not None)
        head += [f"{name}: others' repetitions"] * part.others
        head += [f"{name}: {column.title}" for column in table.columns]
        head += [f"seeds {', '.join(map(str, part.seeds))}"] * (len(part.seeds) > 1)
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in part.rows:
        words = [row.label]
        for net in part.nets:
            words += _words(table, row, net)
        lines.append(f"| {' | '.join(words)} |")
    return lines


def _words(table: Table, row: Row, net: str) -> list[str]:
    """What a row says of one net."""
    part, first = table.part, table.columns[0]
    words = [figures.shown(paper_figure(row, net))] * (part.paper is not None)
    others = ", ".join(figures.shown(each) for each in row.others)
    words += [others or figures.NONE_FOUND] * part.others
    words += [_cell(table, row, net, column) for column in table.columns]
    if len(part.seeds) > 1:
        values = table.values(row, net, first.key)
        each = [first.number(values[s]) if s in values else NOT_RUN for s in part.seeds]
        words.append("" if row.ours or (row.label, net) in table.not_for else ", ".join(each))
    return words


def _cell(table: Table, row: Row, net: str, column: Column) -> str:
    said = row.ours or _reason(table.not_for.get((row.label, net), ""))
    if said:
        return said if column is table.columns[0] else ""
    spread = table.spread(row, net, column.key)
    if spread is not None:
        return column.shown(spread.mean, spread.deviation)
    run = table.values(row, net, table.columns[0].key)
    return NOT_MEASURED if run else NOT_RUN


def _reason(why: str) -> str:
    """Why a row is not made with a net, for a cell; "" for a row that is."""
    return f"{NOT_FOR_NET}: {why}".replace("|", "\\|") if why else ""


def difference_lines(found: Sequence[Difference]) -> list[str]:
    """The differences between rows in Markdown, in the order of the rows."""
    nets = len({each.net for each in found}) > 1
    head = ["row", "less", *["net"] * nets, "measured", "difference", "95 % interval", "seeds"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for each in found:
        low, high = each.interval.low, each.interval.high
        ends = (
            "none" if low is None or high is None else f"{each.signed(low)} to {each.signed(high)}"
        )
        words = [each.row, each.against, *[net_name(each.net)] * nets]
        words.append(each.column.short or each.column.title)
        words += [each.signed(each.interval.mean), ends, str(each.interval.n)]
        lines.append(f"| {' | '.join(words)} |")
    return lines


# ---- commands -----------------------------------------------------------------------------------


def _commands(table: Table, folder: Path) -> list[str]:
    """The command of each row, for the first seed."""
    seed = table.part.seeds[0]
    cells = [cell for cell in table.cells if cell.seed == seed and cell.row.after is None]
    lines = list(dict.fromkeys(command(cell) for cell in cells))
    several = f"; those of the other seeds are in {folder.name}/{table.part.name}_runs.csv"
    text = f"Each run by itself, seed {seed}{several if len(table.part.seeds) > 1 else ''}:"
    return [text, "", "```", *lines, "```", ""]
