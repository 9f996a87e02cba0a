"""What stands under a table of a study: what was measured on what, and what it cannot say."""

import math
from collections.abc import Sequence
from pathlib import Path

from maap.config.fields import TrainConfig
from maap.images.boxes import SIZES
from maap.study import figures
from maap.study.cells import trained
from maap.study.definition import Row, net_name
from maap.study.differences import Difference, note
from maap.study.results import Table, paper_figure


def notes(table: Table, found: Sequence[Difference] = ()) -> list[str]:
    """The paragraphs under a table; ``found``: its differences."""
    data = table.evaluation.data
    said = [_measured(table), data.note or "", _numbers(table), *table.part.notes]
    said += [note(found), *_about_paper(table), *_rows(table)]
    return [text for text in said if text]


def _measured(table: Table) -> str:
    evaluation, part = table.evaluation, table.part
    about, several = evaluation.data, len(part.seeds) > 1
    over = "mean and sample standard deviation over the seeds" if several else "one seed"
    if part.measure == "regions":
        return (
            f"Regions that the net finds after phase 1 in the {about.test} test images of "
            f"{about.name}, against their true boxes; {over}. Objects are small below "
            f"{SIZES[0]:.0%} of the image, large from {SIZES[1]:.0%} on, else medium."
        )
    text = (
        f"Ours: top-1 on the {about.test} original test images of {about.name} "
        f"({len(about.classes)} classes, chance {100 * evaluation.chance:.1f}%), after "
        f"the last phase, {over}. A share of {about.test} images has a standard error of up to "
        f"{100 * math.sqrt(0.25 / about.test):.1f} points."
    )
    if any(column.key == "cut" for column in table.columns):
        text += (
            " The paper tests whole images. Cut: each test image is cut to the region that the "
            "same net finds in it, and enlarged."
        )
    if any(column.key == "true_box" for column in table.columns):
        text += " Cut to the true box: likewise, by the box that the data set has; it is a ceiling."
    return text


def _numbers(table: Table) -> str:
    """How each net was trained."""
    words = []
    for net in table.part.nets:
        cells = [cell.resolved for cell in trained(table.cells) if cell.net == net]
        if cells:
            words.append(
                f"{net_name(net)}: {_phases(cells)}, batch {_each(cells, 'batch')}{_rates(cells)}"
            )
    return f"{'; '.join(words)}. Host: {table.cells[0].resolved.host}."


def _phases(configs: Sequence[TrainConfig]) -> str:
    starts = [Path(each.weights).name if each.weights else "random weights" for each in configs]
    starts = ["published weights" if start == "published" else start for start in starts]
    phases = f"from {' or '.join(dict.fromkeys(starts))}, {_each(configs, 'max_iter')} iterations"
    rewriting = [each for each in configs if each.haap]
    longer = [each for each in configs if each.control]
    if rewriting:
        phases += f", then {_each(rewriting, 'phase2_iter')} on the rewritten images"
    elif longer:
        phases += f", then {_each(longer, 'phase2_iter')} on the original images"
    return f"{phases} at most"


def _rates(configs: Sequence[TrainConfig]) -> str:
    """The learning rates at the start of the phases, where they are known."""
    first = _each(configs, "base_lr")
    later = _each([each for each in configs if each.haap or each.control], "phase2_lr")
    return (f", learning rate {first}" + (f", then {later}" if later else "")) if first else ""


def _each(configs: Sequence[TrainConfig], name: str) -> str:
    """A number of some runs; where rows differ in it, each number once: 6 or 9."""
    values = [getattr(each, name) for each in configs if getattr(each, name) is not None]
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return " or ".join(dict.fromkeys(texts))


def _about_paper(table: Table) -> list[str]:
    """Where the paper's figures come from, and what makes them differ from ours by design."""
    part = table.part
    if part.paper is None:
        return []
    known = [paper_figure(row, net) for row in part.rows for net in part.nets]
    found = [figure for figure in known if figure is not None]
    if not found:
        return ["The paper has no figures for these rows and nets."]
    data = table.evaluation.data.name
    text = f"The paper's figures ({part.paper.source}) are {part.paper.of}"
    if data != part.paper.data:
        text += f", so they cannot be compared with ours on {data}: only the order of the rows can"
    text += "."
    if any(figure.status == figures.TRANSCRIBED for figure in found):
        text += " They are copied from a transcription and were not compared with the print."
    if any(figure.status == figures.DOUBTFUL for figure in found):
        text += f' "{figures.DOUBTFUL}": at second hand, to be checked in the paper.'
    return [text, part.paper.note]


def _rows(table: Table) -> list[str]:
    """Notes of single rows, and the sources of figures that have their own."""
    said = []
    for row in table.part.rows:
        words = [row.note] if row.note else []
        words += _sources(row, "" if table.part.paper is None else table.part.paper.source)
        if words:
            said.append(f'"{row.label}": {" ".join(words)}')
    return said


def _sources(row: Row, common: str) -> list[str]:
    found = []
    for what, given in (("Paper", row.paper.values()), ("Repetition", row.others)):
        for each in given:
            if each.source != common:
                about = f", {each.what}" if each.what else ""
                found.append(f"{what}: {each.shown}{about} ({each.source}).")
    return found
