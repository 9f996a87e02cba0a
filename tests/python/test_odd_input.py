"""Words that nobody should type, and folders that somebody has touched: one clear line for each."""

import errno
import json
import os
import re
from pathlib import Path

import pytest
from maap.config.check import check_settings, validate
from maap.config.fields import TrainConfig
from maap.data.importing import demo_sources
from maap.errors import MaapError
from maap.runs.evaluation import read_evaluation
from maap.runs.files import read_columns
from maap.runs.listing import run_lines
from maap.runs.run import Run, resume_command, waiting_runs
from maap.runs.state import RunState, Stage, read_state
from maap.util.files import cannot_write, given_path
from maap.util.text import nearest
from test_cli import REPO, TINY, maap

pytestmark = pytest.mark.usefixtures("private_cache")
SOURCES = (".py", ".cpp", ".hpp", ".cu", ".md", ".sh")
LONG = "a" * 300


@pytest.mark.parametrize(
    "words, expected",
    [
        (["train", "--data", ""], "nothing stands after --data"),
        (["train", "--data="], "nothing stands after --data"),
        (["train", "--config", ""], "nothing stands after --config"),
        (["train", ""], "nothing stands after train"),
        (["evaluate", ""], "nothing stands after evaluate"),
        (["train", "--name", LONG], "too long"),
        (["train", "--data", LONG], "too long"),
        (["train", LONG], "long"),
        (["train", "--weights", LONG], "such a long name"),
        (["report", LONG], "such a long name"),
        (["evaluate", LONG], "such a long name"),
        (["train", "--resume", "~nobody_here"], "no home folder ~nobody_here"),
        (["train", "--data", "~nobody_here"], "no home folder ~nobody_here"),
        (["train", "--weights", "~nobody_here/w"], "no home folder ~nobody_here"),
        (["report", "~nobody_here"], "no home folder ~nobody_here"),
        (["weights", "verify", "~nobody_here"], "no home folder ~nobody_here"),
        (["train", "--name", "a\nb"], "run name"),
        (["train", "--gamma", "nan"], "gamma: 'nan' is not a number"),
        (["insert", "x.prototxt", "--out", "y", "--mean", "1,nan,3"], "--mean"),
        (["train", "--power", "inf"], "power: 'inf' is not a number"),
        (["evaluate", "x", "--batch", "0"], "--batch"),
        (["evaluate", "x", "--threads", "-1"], "--threads"),
        (["rewrite", "x", "--out", "y", "--batch", "-4"], "--batch"),
        (["visualize", "x.png", "--run", "x", "--gpu", "-1"], "--gpu"),
    ],
)
def test_words_that_cannot_be(tmp_path, words, expected):
    text = maap(*words, cwd=tmp_path)
    assert expected in text and len(text) < 400
    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_be_are_refused_from_python_too():
    for name, value in (("data", ""), ("base_lr", float("nan")), ("data", ["a"])):
        with pytest.raises(MaapError, match=f"setting {name}"):
            check_settings({name: value})
    with pytest.raises(MaapError, match="too long"):
        validate(TrainConfig(name=LONG))


def test_a_given_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given_path("~/x") == tmp_path / "x" and given_path("x/") == Path("x")
    with pytest.raises(MaapError, match="null character"):
        given_path("a\0b")


def test_a_file_where_a_folder_is_needed(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        (tmp_path / "file" / "inside").mkdir()
    assert "give another path" in str(cannot_write(tmp_path / "file", caught.value))


def test_a_full_disk_names_no_option_that_the_command_lacks():
    """Only `maap train` has --resume; evaluate, compare and insert write files, too."""
    text = str(cannot_write(Path("x.csv"), OSError(errno.ENOSPC, "")))
    assert "give the command again (maap train: with --resume)" in text


def _run(folder: Path, status: str) -> Run:
    run = Run(folder)
    run.folder.mkdir(parents=True)
    run.write_config(TrainConfig(name=run.name))
    run.write_state(RunState(name=run.name, stages=[Stage("phase1", "train", 1, status=status)]))
    return run


def test_resuming_beside_a_damaged_run(tmp_path):
    """`maap train --resume` finds the run to continue although another's state is damaged."""
    waiting, done = _run(tmp_path / "waiting", "running"), _run(tmp_path / "done", "done")
    (_run(tmp_path / "damaged", "running").folder / "state.json").write_text("")
    assert [run.name for run in waiting_runs(tmp_path)] == [waiting.name] and done.finished()


def test_a_run_at_work_is_not_called_stopped(tmp_path):
    run = _run(tmp_path / "birds", "running")
    assert "stopped in phase1" in run_lines(tmp_path)[0] and run.user() is None
    run.lock()
    try:
        line = run_lines(tmp_path)[0]
        assert line.endswith(f": in phase1, process {os.getpid()} works on it")
    finally:
        run.unlock()
    assert "stopped in phase1" in run_lines(tmp_path)[0]


def test_the_command_that_resumes_can_be_pasted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert resume_command(Run(Path("runs/birds"))) == "maap train --resume birds"
    assert resume_command(Run(tmp_path / "runs" / "my birds")) == "maap train --resume 'my birds'"
    command = "maap train --resume b --runs-dir '/my runs'"
    assert resume_command(Run(Path("/my runs/b"))) == command


def test_a_list_where_a_manifest_is_due(tmp_path):
    from maap.report.contents import _rewritten

    folder = tmp_path / "rewrite1"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps([]))
    (folder / "contact_sheet.jpg").write_bytes(b"x")
    state = RunState(stages=[Stage("rewrite1", "rewrite", 1)])
    with pytest.raises(MaapError, match="manifest.json is damaged"):
        _rewritten(tmp_path, state)
    made = {"rewritten": {"records": "x", "a_star": "roi", "fallbacks": None}}
    (folder / "manifest.json").write_text(json.dumps(made))
    with pytest.raises(MaapError, match="manifest.json is damaged"):
        _rewritten(tmp_path, state)


@pytest.mark.parametrize("group", ["data", "weights"])
def test_a_group_without_a_command_shows_its_help(group):
    text = maap(group, status=0)
    assert text.startswith(f"Usage: maap {group} ") and "error" not in text


def test_the_command_that_insert_names_can_be_pasted(tmp_path):
    net = Path(TINY) / "train_val.prototxt"
    text = maap("insert", net, "--out", tmp_path / "my net", status=0)
    assert f"maap train --net-dir '{tmp_path}/my net'" in text


CURVES = "metrics.csv is damaged"


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"a,loss\n0,1\n", f"{CURVES}: no column iteration"),
        (b"iteration,loss,lr\n0,x,1\n", f"{CURVES}: not all of it is numbers"),
        (b"\xff\xfe\x00", CURVES),
    ],
)
def test_curves_that_are_none(tmp_path, content, expected):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(MaapError, match=expected):
        read_columns(tmp_path / "metrics.csv", ("iteration", "loss"))


def test_curves_that_a_power_cut_left_empty(tmp_path):
    (tmp_path / "metrics.csv").write_bytes(b"")
    assert read_columns(tmp_path / "metrics.csv", ("iteration", "loss")) == {}


@pytest.mark.parametrize(
    "change, expected",
    [
        (dict(chance=0), "chance is 0"),
        (dict(format=2), "format 2"),
        (dict(top1=1.2), "an accuracy of phase1 is not from 0 to 1"),
        (dict(top5=float("nan")), "an accuracy of phase1 is not from 0 to 1"),
    ],
)
def test_an_evaluation_that_cannot_be(tmp_path, change, expected):
    phase = dict(phase="phase1", title="after phase 1", iterations=1, seconds=1.0, count=1)
    phase.update(top1=0.5, top5=1.0, per_class=[], confusion=[])
    data = dict(
        name="d", kind="folder", note=None, classes=["a", "b"], size=[8, 8], train=1, test=1
    )
    whole = dict(format=1, data=data, chance=0.5, phases=[phase], regions=[], rewrites=[])
    (tmp_path / "evaluation.json").write_text(json.dumps(whole))
    assert read_evaluation(tmp_path).last.top1 == 0.5
    phase.update({k: v for k, v in change.items() if k in phase})
    whole.update({k: v for k, v in change.items() if k in whole})
    (tmp_path / "evaluation.json").write_text(json.dumps(whole))
    with pytest.raises(MaapError, match=f"evaluation.json is damaged .{expected}"):
        read_evaluation(tmp_path)


def test_a_state_without_stages(tmp_path):
    (tmp_path / "state.json").write_text(json.dumps(dict(format=1, stages=[])))
    with pytest.raises(MaapError, match="stages is empty"):
        read_state(tmp_path / "state.json")


def test_a_message_lists_no_more_names_than_one_reads():
    names = [f"run{n:02d}" for n in range(40)]
    assert nearest("zzz", names).endswith("run19 and 20 more")
    assert nearest("zzz", names[:20]).endswith("run19")


def test_advice_names_the_build_option_that_there_is():
    """CMake's option is USE_CUDA; MAAP_CUDA is a variable of its own files."""
    files = [path for top in ("python/maap", "kernels", "caffe", "caffe_layers", "docs", "tools")
             for path in (REPO / top).rglob("*") if path.suffix in SOURCES]  # fmt: skip
    texts = [path.read_text(encoding="utf-8") for path in files]
    assert not any("-DMAAP_CUDA" in text for text in texts)
    assert any("-DUSE_CUDA=ON" in text for text in texts)


def test_maps_are_coloured_in_one_place():
    """The attention map has the same colours in the report, in visualize and on the sheets."""
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for path in (REPO / "python" / "maap").rglob("*.py")
    }
    found = [n for n, text in texts.items() if re.search(r"COLORMAP_|applyColorMap|cmap\b", text)]
    assert found == ["draw.py"]


def test_why_the_demos_pictures_could_not_be_fetched(tmp_path, monkeypatch):
    """apt-get's own words, as a sentence has them and not as Python shows a list."""
    said = "Hit:1\nE: no network\nW: Failed to fetch x\nE: no network\n"
    monkeypatch.setattr(demo_sources, "_apt", lambda *_: said)
    monkeypatch.setattr(demo_sources.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(MaapError) as caught:
        demo_sources._download(tmp_path)
    assert "(E: no network; W: Failed to fetch x)" in str(caught.value)
