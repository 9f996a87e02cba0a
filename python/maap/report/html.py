"""The parts a report is put together from: page frame, tables, pictures and curves as HTML text.

Everything is inline (styles, images as data URIs), so that the page is one file that can be
mailed. All text from outside goes through `escape`.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any, Optional

STYLE = """
:root { --ink: #1d2433; --soft: #5d6678; --line: #e3e6ec; --back: #f6f7f9; --accent: #2563a8;
        --amber: #e09a1a; --green: #3f9e4d; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
       font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
header h1 { margin: 0; font-size: 28px; letter-spacing: -0.01em; }
header p { margin: 4px 0 0; color: var(--soft); max-width: none; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px;
          padding: 20px 24px 22px; margin-top: 20px; }
h2 { margin: 0 0 10px; font-size: 18px; }
h3 { margin: 20px 0 8px; font-size: 14px; color: var(--soft); font-weight: 600; }
p { margin: 0 0 10px; max-width: 78ch; }
.cards { display: flex; flex-wrap: wrap; gap: 14px; margin-top: 20px; }
.card { flex: 1 1 200px; background: #fff; border: 1px solid var(--line); border-radius: 10px;
        padding: 14px 18px; }
.card b { display: block; font-size: 27px; line-height: 1.25; font-weight: 650;
          font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 6px 18px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; }
tr.strong td { font-weight: 650; }
tr.reference td { color: var(--soft); }
.note { border-left: 3px solid var(--amber); padding-left: 14px; }
.scroll + p { margin-top: 12px; }
.small { color: var(--soft); font-size: 13px; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 16px; }
.curves img, .wide img { width: 100%; height: auto; display: block; }
.beside { display: flex; flex-wrap: wrap; gap: 36px; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 14px; }
figure { margin: 0; }
figure img { width: 100%; border-radius: 6px; display: block; }
figcaption { font-size: 12.5px; color: var(--soft); margin-top: 5px; line-height: 1.4; }
figcaption b { color: var(--ink); }
.right { color: var(--green); } .wrong { color: #b3423a; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 12px; }
.confusion td, .confusion th { padding: 4px 7px; text-align: center; border: 1px solid #fff;
                               font-size: 12.5px; }
.confusion th:first-child { text-align: right; }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole HTML document of ready-made parts."""
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A titled block; nothing when it has no content."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>" if body else ""


def text(content: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(content)}</p>' if kind else f"<p>{escape(content)}</p>"


def cards(entries: Sequence[tuple[str, str]]) -> str:
    """Large figures, each a (figure, explanation)."""
    inner = "".join(
        f'<div class="card"><b>{escape(figure)}</b><span>{escape(label)}</span></div>'
        for figure, label in entries
    )
    return f'<div class="cards">{inner}</div>' if inner else ""


def table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], kinds: Optional[Sequence[str]] = None
) -> str:
    """A table. A column is set right when its cells are numbers or end in a number's unit.

    `kinds`: a class per row ("strong", "reference" or "").
    """
    if not rows:
        return ""
    cells = [[("" if value is None else str(value)) for value in row] for row in rows]
    numeric = [
        all(row[k] == "" or row[k][0] in "0123456789-+" for row in cells) for k in range(len(head))
    ]
    classes = [' class="n"' if right else "" for right in numeric]
    top = "".join(f"<th{c}>{escape(name)}</th>" for c, name in zip(classes, head))
    lines = []
    for row, kind in zip(cells, kinds or [""] * len(cells)):
        inner = "".join(f"<td{c}>{escape(value)}</td>" for c, value in zip(classes, row))
        lines.append(f'<tr class="{kind}">{inner}</tr>' if kind else f"<tr>{inner}</tr>")
    body = "\n".join(lines)
    return f'<div class="scroll"><table>\n<tr>{top}</tr>\n{body}\n</table></div>'


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """A confusion matrix, rows the true class; darker is more of the row."""
    head = "".join(f"<th>{n + 1}</th>" for n in range(len(names)))
    rows = []
    for number, (name, counts) in enumerate(zip(names, matrix)):
        total = max(1, sum(counts))
        cells = []
        for column, count in enumerate(counts):
            share = count / total
            tint = "37,99,168" if column == number else "179,66,58"
            ink = "#fff" if share > 0.55 else "inherit"
            cells.append(
                f'<td style="background:rgba({tint},{0.04 + 0.9 * share:.2f});color:{ink}">'
                f"{count or ''}</td>"
            )
        rows.append(f"<tr><th>{escape(name)} {number + 1}</th>{''.join(cells)}</tr>")
    return (
        '<div class="scroll"><table class="confusion">'
        f"<tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
    )


def picture(data: bytes, kind: str = "jpeg", description: str = "") -> str:
    """An image as a data URI; kind is jpeg, png or svg+xml."""
    code = base64.b64encode(data).decode("ascii")
    return f'<img alt="{escape(description)}" src="data:image/{kind};base64,{code}">'


def curve(
    title: str,
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    ylabel: str,
    faint: Sequence[str] = (),
) -> str:
    """A line chart as inline SVG: (name, x, y) each; names in `faint` are drawn thin and pale."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = {"svg.hashsalt": "maap", "font.size": 10, "font.family": "DejaVu Sans"}
    with rc_context({**style, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(5.6, 3.2))
        canvas = FigureCanvasSVG(figure)
        axes = figure.add_subplot(111)
        colours = iter(["#2563a8", "#e09a1a", "#3f9e4d", "#b3423a"])
        for name, x, y in series:
            pale = name in faint
            colour = "#b9c6d8" if pale else next(colours)
            axes.plot(x, y, color=colour, linewidth=0.8 if pale else 1.8, label=name)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("iteration")
        axes.set_ylabel(ylabel)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#e3e6ec")
        axes.set_axisbelow(True)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=9)
        figure.tight_layout()
        buffer = io.BytesIO()
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
    return picture(buffer.getvalue(), "svg+xml", title)
