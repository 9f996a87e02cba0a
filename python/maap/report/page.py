"""report.html of a run: one self-contained page with what was trained, how it went and what it is
worth.

Only files in the run folder are read: config.yaml, state.json, evaluation.json (see
`maap.measure.evaluation`), phase*/metrics.csv and accuracy.csv, rewrite*/manifest.json and
contact_sheet.jpg, samples/. What is not there yet is left out and said so.
"""

from pathlib import Path
from typing import Any, Optional

import numpy as np

from maap.config.check import read_yaml
from maap.config.fields import FIELDS
from maap.errors import MaapError
from maap.report.html import (
    cards,
    confusion,
    curve,
    escape,
    page,
    picture,
    section,
    table,
    text,
)
from maap.runs.files import read_columns as _columns
from maap.runs.files import read_json as _json
from maap.util.files import write_atomically
from maap.util.text import duration

POINTS = 600  # of a curve; longer ones are thinned out
MOST_CLASSES = 30  # for which the confusion matrix is shown whole
_QUALITY = ("mean_iou", "centre_hit", "area_kept")
_CUTS = {"whole": "whole image", "region": "cut to the region", "true_box": "cut to the true box"}


def write_report(run_dir: Path) -> Path:
    """Writes `run_dir`/report.html in one step and returns its path.

    Raises MaapError when the folder is no run, or a file in it is damaged (names it).
    """
    run_dir = Path(run_dir)
    if not (run_dir / "config.yaml").is_file() or not (run_dir / "state.json").is_file():
        raise MaapError(f"{run_dir} is no run folder (config.yaml or state.json is missing)")
    state, evaluation = _json(run_dir / "state.json"), _json(run_dir / "evaluation.json")
    config = read_yaml(run_dir / "config.yaml")
    try:
        parts = [
            _header(run_dir, config, evaluation),
            _headline(evaluation, state),
            _about_data(evaluation, state),
            _accuracy(evaluation),
            _curves(run_dir, state),
            _regions(evaluation),
            _cropped(evaluation),
            _samples(run_dir),
            _inside(run_dir),
            _rewritten(run_dir, state),
            _online(config, state),
            _classes(evaluation),
            _times(state),
            _configuration(config),
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise MaapError(
            f"{run_dir}: evaluation.json or state.json lacks something the report needs "
            f"({error!r}); evaluate the run again"
        ) from None
    path = run_dir / "report.html"
    write_atomically(path, page(f"{run_dir.resolve().name} · maap", parts))
    return path


def _of_kind(state: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [stage for stage in state["stages"] if stage["kind"] == kind]


# ---- numbers as people read them ----------------------------------------------------------------


def percent(share: Optional[float]) -> str:
    """0.2345 as 23.5%; a dash for nothing."""
    return "–" if share is None else f"{100 * share:.1f}%"


def _count(number: Any) -> str:
    return "–" if number is None else f"{number:,}".replace(",", "\u202f")


# ---- sections -----------------------------------------------------------------------------------

_VARIANTS = {
    "baseline": "the plain network",
    "laap": "with low-level attention (Enhancement)",
    "haap": "with high-level attention (images rewritten by Elimination)",
    "maap": "with both attentions (Enhancement, and images rewritten by Elimination)",
}


def _header(run_dir: Path, config: dict[str, Any], evaluation: dict[str, Any]) -> str:
    data = evaluation.get("data", {}).get("name", config.get("data", ""))
    variant = str(config.get("variant", ""))
    said = _VARIANTS.get(variant, variant)
    if config.get("haap_mode") == "online":
        said = said.replace("images rewritten by Elimination", "Elimination in the net, online")
    line = f"{Path(str(config.get('net'))).name}, {said}, on {data}"
    if config.get("weights"):
        line += f", from {Path(config['weights']).name}"
    elif config.get("from_scratch"):
        line += ", from random weights"
    line += f", seed {config.get('seed')}"
    name = run_dir.resolve().name
    return f"<header><h1>{escape(name)}</h1><p>{escape(line)}</p></header>"


def _headline(evaluation: dict[str, Any], state: dict[str, Any]) -> str:
    if not evaluation:
        return section("Not evaluated yet", text("The run has no evaluation.json so far."))
    last, chance = evaluation["phases"][-1], evaluation["chance"]
    entries = [
        (percent(last["top1"]), f"top-1 on {last['count']} test images, {last['title']}"),
        (f"{last['top1'] / chance:.1f} × chance", f"chance is {percent(chance)}"),
    ]
    if evaluation["regions"] and evaluation["regions"][0]["n"]:
        first = evaluation["regions"][0]
        reference = f"the whole image scores {first['whole']['mean_iou']:.2f}"
        entries.append((f"{first['mean_iou']:.2f}", f"mean IoU of regions; {reference}"))
    total = sum(float(stage["seconds"]) for stage in state["stages"])
    entries.append((duration(total), "all stages together"))
    return cards(entries)


def _about_data(evaluation: dict[str, Any], state: dict[str, Any]) -> str:
    if not evaluation:
        return ""
    data = evaluation["data"]
    facts = (
        f"{data['name']}: {len(data['classes'])} classes, {data['train']} training and "
        f"{data['test']} test images. Accuracy is measured on the original test images, which are "
        "never rewritten."
    )
    notes = [note for note in (data.get("note"), state.get("note")) if note]
    note = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return section("What it was trained on, and what that can show", text(facts), note)


def _accuracy(evaluation: dict[str, Any]) -> str:
    if not evaluation:
        return ""
    chance, count = evaluation["chance"], len(evaluation["data"]["classes"])
    rows, kinds = [], []
    for phase in evaluation["phases"]:
        times = f"{phase['top1'] / chance:.1f}"
        shown = [_count(phase["iterations"]), percent(phase["top1"]), percent(phase["top5"]), times]
        rows.append([phase["title"], *shown, f"± {_error(phase):.1f} points"])
        kinds.append("")
    kinds[-1] = "strong"
    rows.append(["chance", "", percent(chance), percent(min(1.0, 5 / count)), "1.0", ""])
    head = ["", "iterations", "top-1", "top-5", "× chance", "standard error of top-1"]
    how = text("From the centre crop of each test image.", "small")
    return section("Accuracy", table(head, rows, [*kinds, "reference"]), how)


def _error(phase: dict[str, Any]) -> float:
    """Standard error of top-1 in percentage points: of a share of so many images."""
    share = phase["top1"]
    return 100 * float(np.sqrt(share * (1 - share) / max(1, phase["count"])))


def _curves(run_dir: Path, state: dict[str, Any]) -> str:
    charts = []
    for stage in _of_kind(state, "train"):
        columns = _columns(run_dir / stage["name"] / "metrics.csv")
        if columns.get("loss") is None or not len(columns["loss"]):
            continue
        charts.append(_loss_curve(stage["title"].capitalize(), columns))
        tests = _columns(run_dir / stage["name"] / "accuracy.csv")
        if len(tests.get("top1", [])):
            title = f"{stage['title'].capitalize()}: top-1 on the test images"
            charts.append(curve(title, [("top-1", tests["iteration"], tests["top1"])], "share"))
    rows = [_phase_row(stage) for stage in _of_kind(state, "train")]
    head = ["", "iterations", "ended by", "mean loss of the last window", "time"]
    shown = f'<div class="curves">{"".join(charts)}</div>' if charts else ""
    return section("Training", shown, table(head, rows))


def _loss_curve(title: str, columns: dict[str, np.ndarray]) -> str:
    iteration, loss = columns["iteration"], columns["loss"]
    window = max(1, len(loss) // 25)
    sums = np.cumsum(np.insert(loss, 0, 0.0))
    mean = (sums[window:] - sums[:-window]) / window
    step = max(1, len(loss) // POINTS)
    each = ("each iteration", iteration[::step], loss[::step])
    smooth = (f"mean of {window}", iteration[window - 1 :][::step], mean[::step])
    series = [each, smooth] if window > 1 else [smooth]
    return curve(f"{title}: training loss", series, "loss", faint=["each iteration"])


def _phase_row(stage: dict[str, Any]) -> list[str]:
    ended = {"converged": "convergence", "max_iter": "its limit of iterations"}
    loss = stage.get("loss")
    if "shared_from" in stage:
        ended = {key: f"{how}, in run {stage['shared_from']['run']}" for key, how in ended.items()}
    return [
        stage["title"],
        _count(stage.get("iteration")),
        ended.get(stage.get("stopped"), stage["status"]),
        "" if loss is None else f"{loss:.3f}",
        duration(float(stage["seconds"])),
    ]


def _regions(evaluation: dict[str, Any]) -> str:
    found = evaluation.get("regions") or []
    if not found or not found[0]["n"]:
        return ""

    def row(name: str, figures: dict[str, Any]) -> list[str]:
        iou, centre, area = (figures[key] for key in _QUALITY)
        return [name, f"{iou:.3f}", percent(centre), percent(area)]

    rows = [row(f"region found {entry['title']}", entry) for entry in found]
    kinds = ["strong"] + [""] * (len(rows) - 1)
    references = {
        "true_box": "the true box itself",
        "whole": "the whole image",
        "centred_half": "a centred box of half the area",
    }
    shown = [key for key in references if key in found[0]]
    rows += [row(references[key], found[0][key]) for key in shown]
    kinds += ["reference"] * len(shown)
    head = ["", "mean IoU with the true box", "holds the box's centre", "area kept"]
    first = found[0]
    flat = f"{first['fallbacks']} of {first['images']} maps were flat: the region is the image."
    verdict = _verdict(first)
    explained = (
        f"Regions on the {first['n']} test images with a true box. The network never sees a box; "
        "the regions come from its attention alone. A useful region has a higher IoU than the "
        "whole image and the centred box (in grey), while it keeps less of the image."
    )
    return section(
        "How well the regions sit",
        text(explained),
        table(head, rows, kinds),
        text(f"{verdict} {flat}"),
    )


def _cropped(evaluation: dict[str, Any]) -> str:
    """Accuracy on images cut to their regions, between the two references."""
    phases = [phase for phase in evaluation.get("phases", []) if phase.get("cropped")]
    if not phases:
        return ""
    rows = [
        [phase["title"]] + [percent((phase["cropped"][key] or {}).get("top1")) for key in _CUTS]
        for phase in phases
    ]
    explained = (
        f"Top-1 on the {phases[0]['cropped']['n']} test images with a true box, as they are and "
        "after each has been cut to a box and resized: to the region that the same weights found, "
        "and to the true box, which no network sees and which is the best a region could be."
    )
    return section(
        "What cutting to a box is worth", text(explained), table(["", *_CUTS.values()], rows)
    )


def _verdict(figures: dict[str, Any]) -> str:
    """What the comparison with the two references comes to, in a sentence."""
    ours = figures["mean_iou"]
    sides = []
    for key, name in (("whole", "the whole image"), ("centred_half", "the centred box")):
        side = "above" if ours > figures[key]["mean_iou"] else "not above"
        sides.append(f"{side} that of {name} ({figures[key]['mean_iou']:.3f})")
    return f"The regions' mean IoU of {ours:.3f} is {' and '.join(sides)}."


_GROUPS = {
    "best": "Best: the region overlaps the true box the most",
    "worst": "Worst: the region overlaps it the least",
    "spread": "Evenly spaced test images, chosen without looking",
}


def _samples(run_dir: Path) -> str:
    entries = _json(run_dir / "samples" / "samples.json")
    if not entries:
        return ""
    key = '<span class="key" style="background:{}"></span>{}'
    legend = (
        f"Left: the image with {key.format('#ffc83c', 'region')} "
        f"{key.format('#5adc5a', 'true box')}; right: its attention map, bright is much attention."
    )
    blocks = [f'<p class="small">{legend}</p>']
    for group, title in _GROUPS.items():
        chosen = [entry for entry in entries if entry["group"] == group]
        figures = "".join(_figure(run_dir, entry) for entry in chosen)
        if figures:
            blocks.append(f'<h3>{escape(title)}</h3><div class="samples">{figures}</div>')
    return section("Attention and regions on test images", *blocks)


def _figure(run_dir: Path, entry: dict[str, Any]) -> str:
    path = run_dir / "samples" / entry["file"]
    if not path.is_file():
        return ""
    lines = [f"<b>{escape(entry['class'])}</b>"]
    if entry["iou"] is not None:
        lines[0] += f" · IoU {entry['iou']:.2f}"
    for phase, guess in entry["predicted"].items():
        right = guess == entry["class"]
        said = "right" if right else f"taken for {guess}"
        kind = "right" if right else "wrong"
        shown = f'<span class="{kind}">{escape(said)}</span>'
        lines.append(f"after {escape(phase.replace('phase', 'phase '))}: {shown}")
    image = picture(path.read_bytes(), "jpeg", entry["path"])
    return f"<figure>{image}<figcaption>{'<br>'.join(lines)}</figcaption></figure>"


def _inside(run_dir: Path) -> str:
    """What the net of phase 1 sees in a few test images, best and worst regions first."""
    blocks = []
    for entry in _json(run_dir / "samples" / "inside.json") or []:
        path = run_dir / "samples" / entry["file"]
        if not path.is_file():
            continue
        rated = "" if entry["iou"] is None else f" · {entry['group']} · IoU {entry['iou']:.2f}"
        blocks.append(f"<h3>{escape(entry['class'] + rated)}</h3>")
        blocks.append(
            f'<div class="wide">{picture(path.read_bytes(), "jpeg", entry["path"])}</div>'
        )
    if not blocks:
        return ""
    explained = (
        "After phase 1: the mean over the channels after each stage (the paper's figure 2), where "
        "the net has Enhancement also without it, and, where images are rewritten, how a region "
        "comes about and what each of the six definitions of D* makes of the image."
    )
    return section("Inside the network", text(explained), *blocks)


def _rewritten(run_dir: Path, state: dict[str, Any]) -> str:
    blocks = []
    for stage in _of_kind(state, "rewrite"):
        sheet = run_dir / stage["name"] / "contact_sheet.jpg"
        made = _json(run_dir / stage["name"] / "manifest.json").get("rewritten")
        if made is None or not sheet.is_file():
            continue
        said = (
            f"{stage['name']}: {made['records']} training images rewritten as {made['a_star']}; "
            f"{made['fallbacks']} of them kept whole because their map was flat. Each pair: the "
            "source with region (amber) and true box (green), and what the next phase learned from."
        )
        image = picture(sheet.read_bytes(), "jpeg", f"contact sheet of {stage['name']}")
        blocks += [text(said), f'<div class="wide">{image}</div>']
    return section("Rewritten training images", *blocks)


def _online(config: dict[str, Any], state: dict[str, Any]) -> str:
    lines = [
        f"{stage['title']}: the Elimination layer stood in the training net and changed each batch "
        f"as {config['a_star']} with the weights of that moment; no image was written. "
        f"{stage['online']['fallbacks']} of {_count(stage['online']['images'])} maps were flat: "
        "those images were kept whole."
        for stage in _of_kind(state, "train")
        if "online" in stage
    ]
    return section("Training images changed online", *map(text, lines))


def _classes(evaluation: dict[str, Any]) -> str:
    if not evaluation:
        return ""
    last, names = evaluation["phases"][-1], evaluation["data"]["classes"]
    rated = sorted(
        (entry for entry in last["per_class"] if entry["count"]), key=lambda e: -e["top1"]
    )
    few = len(names) <= MOST_CLASSES
    shown = rated if few else rated[:10] + rated[-10:]
    rows = [[entry["class"], entry["count"], percent(entry["top1"])] for entry in shown]
    said = "" if few else text(f"The ten best and the ten worst of {len(names)} classes.")
    matrix = ""
    if few:
        said = text("Rows: the true class; columns, by its number: what it was taken for.", "small")
        matrix = confusion(last["confusion"], names)
    list_of = table(["class", "test images", "top-1"], rows)
    beside = f'<div class="beside"><div>{list_of}</div><div>{said}{matrix}</div></div>'
    return section(f"By class, {last['title']}", beside)


def _times(state: dict[str, Any]) -> str:
    rows = [["data set", duration(float(state.get("data", {}).get("seconds", 0.0)))]]
    rows += [
        [f"{stage['title']} ({stage['name']})", duration(float(stage["seconds"]))]
        for stage in state["stages"]
        if stage["kind"] != "report"
    ]
    return section("Time", table(["stage", "time"], rows))


def _configuration(config: dict[str, Any]) -> str:
    rows = []
    for name, field in FIELDS.items():
        value = config.get(name)
        if value is None:
            continue
        about = field.metadata
        shown = f"{value} {about['unit']}".strip() if about["unit"] else value
        rows.append([name, shown, about["help"], about["source"]])
    where = "As in config.yaml, which repeats the run; what is not listed was left to Caffe."
    head = ["setting", "value", "what it is", "source of its default"]
    return section("Configuration", text(where, "small"), table(head, rows))
