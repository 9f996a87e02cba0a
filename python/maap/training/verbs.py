"""What the verbs beside ``train`` do, in the child process that the command line starts."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from maap.errors import MaapError
from maap.runs.run import all_runs, find_run
from maap.util.files import make_folder


def run_lines(runs_dir: Path) -> list[str]:
    """One line a run, the newest first."""
    lines = []
    for run in all_runs(runs_dir):
        try:
            state, config = run.state(), run.config()
        except MaapError as error:
            lines.append(f"{run.name}: {error}")
            continue
        waiting = [stage for stage in state["stages"] if stage["status"] != "done"]
        if waiting:
            at = f" after iteration {waiting[0]['iteration']}" if "iteration" in waiting[0] else ""
            how = f"stopped in {waiting[0]['name']}{at} (maap train --resume {run.name})"
        else:
            how = f"finished, {_accuracy(run.folder)}"
        lines.append(f"{run.name}: {config.net} {config.variant} on {config.data}: {how}")
    return lines or [f"no runs in {runs_dir}; start one: maap train alexnet"]


def _accuracy(folder: Path) -> str:
    try:
        last = json.loads((folder / "evaluation.json").read_text())["phases"][-1]
        return f"top-1 {last['top1']:.1%}"
    except (OSError, ValueError, KeyError, IndexError):
        return "not evaluated"


# ---- rewrite, evaluate, report: on a run's newest weights, or on weights from elsewhere ---------


@dataclass(frozen=True)
class Subject:
    """What a net is applied to: resolved prototxts, weights, images and how they become input."""

    deploy: Path
    rewrite: Optional[Path]
    weights: Path
    data: Any  # maap.data.store.Dataset
    transform: Any  # maap.data.feeder.Transform
    batch: int
    a_star: str
    gpu: Optional[int]


def _subject(run: Optional[str], options: dict[str, Any], work: Path) -> Subject:
    """From a run, or from --net, --weights, --data ... with prototxts resolved into ``work``."""
    if run is not None:
        return _of_run(run, options)
    if options["weights"] is None:
        raise MaapError("give the name of a run, or --weights FILE (and --net, --data)")
    from maap.config.fields import TrainConfig
    from maap.data import find
    from maap.data.store import Dataset
    from maap.nets.folder import find_net
    from maap.nets.prototxt import read_net, write_text
    from maap.nets.resolve import resolve_deploy, resolve_rewrite
    from maap.nets.transform import data_transform
    from maap.runs import feed
    from maap.weights.caffemodel import check_weights
    from maap.weights.published import find_weights

    config = TrainConfig(net=options["net"], variant=options["variant"])
    files = find_net(options["net"])
    source = read_net(files.train_val(config.laap))
    how = data_transform(source, "TEST")
    batch = options["batch"] or how["batch_size"]
    weights = find_weights(options["weights"], options["net"])
    size = find.stored_size(config)
    data = Dataset.open(find.find_data(options["data"] or "demo", size))
    deploy = resolve_deploy(files, config.laap, len(data.classes), batch)
    check_weights(deploy, weights)
    a_star = options.get("a_star") or config.a_star
    rewrite = resolve_rewrite(files, config.laap, batch, a_star, config.threshold_at)
    write_text(deploy, work / "deploy.prototxt")
    write_text(rewrite, work / "rewrite.prototxt")
    scale = options["input_scale"] or how["scale"]
    return Subject(
        deploy=work / "deploy.prototxt",
        rewrite=work / "rewrite.prototxt",
        weights=weights,
        data=data,
        transform=feed.make_transform(dict(how, scale=scale)),
        batch=batch,
        a_star=a_star,
        gpu=options["gpu"],
    )


def _of_run(name: str, options: dict[str, Any]) -> Subject:
    from maap.data import find
    from maap.data.store import Dataset
    from maap.runs import feed

    run = find_run(Path(options["runs_dir"]), name)
    state, config = run.state(), run.config()
    ready = sorted(run.folder.glob("phase*/final.caffemodel"))
    weights = Path(options["weights"]).resolve() if options["weights"] else None
    if weights is None and not ready:
        raise MaapError(f"run {name} has no weights yet; go on: maap train --resume {name}")
    data = feed.open_data(state)
    if options["data"] is not None:
        data = Dataset.open(find.find_data(options["data"], find.stored_size(config)))
    rewrite = run.folder / "rewrite.prototxt"
    return Subject(
        deploy=run.folder / "deploy.prototxt",
        rewrite=rewrite if rewrite.is_file() else None,
        weights=weights or ready[-1],
        data=data,
        transform=feed.transform(run, state, "TEST"),
        batch=options["batch"] or int(config.batch or 1),
        a_star=config.a_star,
        gpu=options["gpu"],
    )


def rewrite(run: Optional[str], options: dict[str, Any]) -> dict[str, int]:
    """``maap rewrite``: the training images as the net attends to them, in ``options["out"]``."""
    from maap.rewrite.rewrite import rewrite as rewrite_images

    with tempfile.TemporaryDirectory() as work:
        subject = _subject(run, options, Path(work))
        if subject.rewrite is None:
            raise MaapError(f"run {run} rewrites nothing (variant baseline or laap)")
        if options.get("a_star") not in (None, subject.a_star):
            raise MaapError(
                f"run {run} was begun with --a-star {subject.a_star}; leave --a-star out"
            )
        out = Path(options["out"])
        out.parent.mkdir(parents=True, exist_ok=True)
        made = rewrite_images(
            subject.data.split("train"),
            out,
            subject.rewrite,
            subject.weights,
            subject.a_star,
            subject.transform,
            subject.batch,
            gpu=subject.gpu,
        )
    return dict(count=made.count, fallbacks=made.fallbacks)


def evaluate(run: Optional[str], options: dict[str, Any]) -> list[str]:
    """``maap evaluate``: accuracy and regions on the test images, as lines to print; also as files
    where ``options`` has "predictions" (a CSV file) or "out" (a folder)."""
    from maap.measure import evaluation

    table = Path(options["predictions"]) if options.get("predictions") else None
    out = Path(options["out"]) if options.get("out") else None
    for folder in (out, table.parent if table is not None else None):
        if folder is not None:
            make_folder(folder)  # now: an evaluation may take an hour
    if table is not None and table.is_dir():
        raise MaapError(f"{table}: a folder; --predictions takes the name of a CSV file")
    with tempfile.TemporaryDirectory() as work:
        subject = _subject(run, options, Path(work))
        images = subject.data.split("test")
        found = evaluation.measure(
            subject.deploy,
            subject.rewrite,
            subject.weights,
            images,
            subject.transform,
            subject.batch,
            crops=int(options.get("crops") or 1),
            gpu=subject.gpu,
        )
    lines = [f"{subject.weights} on {len(images)} test images of {subject.data.name}"]
    lines += evaluation.lines(found, images)
    if table is not None:
        evaluation.write_predictions(table, found, images)
        lines.append(f"predictions: {table}")
    if out is not None:
        lines.append(f"in {out}: {', '.join(evaluation.write_tables(out, found, images))}")
    return lines


def report(name: str, runs_dir: str) -> str:
    """``maap report``: the path of the report, written again."""
    run = find_run(Path(runs_dir), name)
    from maap.report.page import write_report

    return str(write_report(run.folder))
