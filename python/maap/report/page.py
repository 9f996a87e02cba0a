"""report.html of a run: one self-contained page with what was trained, how it went and what came
of it. What it shows is gathered in `contents`, how it looks is in ``templates/report.html``."""

from pathlib import Path

from maap.report import html
from maap.report.contents import gather
from maap.util.files import write_atomically


def write_report(run_dir: Path) -> Path:
    """Writes `run_dir`/report.html in one step and returns its path.

    Raises MaapError when the folder is no run, or a file in it is damaged (names it).
    """
    report = gather(Path(run_dir))
    path = Path(run_dir) / "report.html"
    write_atomically(path, html.page("report.html", report=report))
    return path
