"""Studies as files: what they may say, what a person may change, and the ones that ship."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from maap.config.check import validate
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.study.cost import train_words
from maap.study.definition import Changes, changed
from maap.study.reading import find_study, read_study, shipped

SMALL = """
title: Two nets
about: What it is for.
data: demo
nets: [alexnet, vgg19]
seeds: [4, 5]
settings: {max_iter: 9}
paper: {source: a paper, of: top-1, data: CUB, status: transcribed}
parts:
  - title: First
    against: plain
    rows:
      - {label: plain, settings: {variant: baseline}, paper: {alexnet: 59.0, vgg19: 72.2}}
      - label: both
        settings: {variant: maap, a_star: roi}
        others: {percent: 60.5, source: somebody}
      - label: alone
        settings: {variant: haap}
        against: [plain, both]
  - title: Second
    data: demo_hard
    seeds: [7]
    measure: regions
    rows:
      - {label: paper's, against: whole}
      - {label: whole, reference: whole}
"""


@pytest.fixture
def study(tmp_path):
    """Reads a study from text."""

    def read(text):
        (tmp_path / "small.yaml").write_text(text)
        return read_study(tmp_path / "small.yaml")

    return read


def test_what_a_file_says(study):
    found = study(SMALL)
    assert (found.name, found.title, found.about) == ("small", "Two nets", "What it is for.")
    first, second = found.parts
    assert (first.name, second.name) == ("small1", "small2")
    assert first.nets == second.nets == ("alexnet", "vgg19")
    assert first.seeds == (4, 5) and second.seeds == (7,)
    assert first.settings == {"max_iter": 9, "data": "demo"}
    assert second.settings == {"max_iter": 9, "data": "demo_hard", "variant": "laap"}
    assert [row.against for row in first.rows] == [(), ("plain",), ("plain", "both")]
    figure = first.rows[0].paper["vgg19"]
    assert (figure.percent, figure.source, figure.status) == (72.2, "a paper", "transcribed")
    (other,) = first.rows[1].others
    assert (other.percent, other.source, other.status) == (60.5, "somebody", "read")
    assert first.others and not second.others
    assert second.rows[1].reference == "whole" and second.measure == "regions"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: Two", "tilte: Two", "small.yaml: no key 'tilte' here; did you mean title?"),
        ("data: demo\n", "data: demo\nseed: 3\n", "no key 'seed' here; did you mean seeds?"),
        ("max_iter: 9", "max_itr: 9", "settings: no setting is called 'max_itr'; did you mean"),
        ("max_iter: 9", "max_iter: nine", "settings: setting max_iter: 'nine' is not a whole"),
        ("max_iter: 9", "seed: 9", "settings: seed is for the study to set"),
        ("against: plain\n", "against: plian\n", "part 1: against: no row 'plian'; did you mean"),
        ("[plain, both]", "[alone]", "part 1, row 3: against: the row itself"),
        ("label: both", "label: plain", "part 1, row 1: label: two rows are called 'plain'"),
        ("label: both", "lable: both", "part 1, row 2: no key 'lable' here; did you mean label?"),
        ("label: both", "note: both", "part 1, row 2: label: missing"),
        ("a_star: roi", "a_star: rio", "part 1, row 2: settings: setting a_star: 'rio'; did you"),
        ("seeds: [7]", "seeds: [7, 7]", r"part 2: seeds: \[7, 7\]; give whole numbers"),
        ("seeds: [7]", "seeds: [1.5]", "part 2: seeds"),
        ("measure: regions", "measure: region", "part 2: measure: 'region'; did you mean regions"),
        ("reference: whole", "settings: {momentum: 0.5}", "row 2: settings: momentum does not dec"),
        ("reference: whole", "settings: {regions: found}", "row 2: settings: regions does not dec"),
        ("seeds: [7]", "settings: {variant: maap}", "part 2: settings: variant: regions are"),
        ("reference: whole", "reference: half", "reference: 'half'; did you mean centred_half"),
        ("vgg19: 72.2", "vgg19: 172", "part 1, row 1: paper: vgg19: percent: 172 is not from 0"),
        (
            "vgg19: 72.2",
            "vgg91: 72.2",
            "part 1, row 1: paper: vgg91: no such net; did you mean vgg",
        ),
        ("settings: {variant: maap, a_star: roi}", "script: {fil: x}", "script: no key 'fil' here"),
        (
            "settings: {variant: maap, a_star: roi}",
            "script: {options: {}}",
            "script: file: missing",
        ),
        (
            "settings: {variant: maap, a_star: roi}",
            "script: {file: x.py, options: {rate: [1]}}",
            r"script: options: rate: \[1\]; give NAME: text or number",
        ),
        ("a_star: roi}", "a_star: roi}\n        script: {file: x}", "script: .* with settings"),
        (
            "reference: whole",
            "script: {file: x.py}",
            "script: .* in a part with `measure: regions`",
        ),
        ("vgg19: 72.2", "vgg19: many", "vgg19: percent: 'many' is not a number"),
        (", source: somebody", "", "part 1, row 2: others: source: missing"),
        ("status: transcribed", "status: copied", "paper: status: 'copied'; known: not reread"),
        ("title: Second", "title: Second\n    name: ../x", "part 2: name: '../x'; use letters"),
        ("title: Second", "title: Second\n    name: small1", "two parts have the name small1"),
        ("title: Second", "title: Second\n    weights: x", "part 2: weights: x: say for which net"),
        ("label: both", "label: a|b", r"part 1, row 2: label: 'a\|b'; give a text without"),
        ("label: both", 'label: "a\\0b"', "part 1, row 2: label: .* cannot be printed"),
        ("seeds: [7]", "seeds: []", "part 2: seeds: give at least one"),
        ("[alexnet, vgg19]", "[]", r"nets: \[\]; give a list of nets"),
        ("[alexnet, vgg19]", "[alexnet, '']", "nets: .* give a list of nets"),
        ("[alexnet, vgg19]", "[a/net, b/net]", "nets: two are called net; name each once"),
        ("data: demo\n", "data: demo\ndata: birds\n", "line 4: 'data' stands twice"),
        ("a_star: roi", "variant: haap", "'variant' stands twice"),
        ("[plain, both]", "[plain, plain]", "against: 'plain' stands twice"),
        ("label: both", "label: both\n        ours: a|b", r"ours: 'a\|b'; give a text without"),
        ("label: plain,", "label: plain, ours: none,", "row 'plain' has `ours`"),
        ("a_star: roi", "runs_dir: x", "part 1, row 2: settings: runs_dir is for the whole study"),
        ("seeds: [7]", "settings: {runs_dir: x}", "part 2: settings: runs_dir is for the whole"),
        ("title: Second", f"title: Second\n    name: {'x' * 300}", "part 2: name: x* *.* too long"),
    ],
)
def test_a_mistake_names_the_file_and_the_key(study, old, new, said):
    assert SMALL.count(old) >= 1
    with pytest.raises(MaapError, match=said) as error:
        study(SMALL.replace(old, new, 1))
    assert "small.yaml" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "small.yaml: the file is empty; write a study"),
        ("- a\n", "is not a list of keys"),
        ("title: [\n", "not a YAML file"),
        ("title: x\n", "parts: missing"),
        ("parts: []\n", "parts: give a list of at least one"),
        ("parts: [{title: x}]\n", "part 1: rows: missing"),
        ("parts: [3]\n", "part 1: 3 is not a list of keys"),
        ("parts: [{rows: [{label: a, ours: b}]}]\n", "part 1: rows: every row has `ours` or"),
    ],
)
def test_what_is_no_study_is_one_line(study, text, said):
    with pytest.raises(MaapError, match=said) as error:
        study(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "name"),
    [("my study", "my-study"), ("größe", "gr-e"), ("v1.2", "v1-2"), ("鳥", "study"),
     ("x" * 240, "x" * 100)],
)  # fmt: skip
def test_a_file_of_any_name_is_a_study(tmp_path, file, name):
    path = tmp_path / f"{file}.yaml"
    path.write_text("parts: [{rows: [{label: 5}, {label: b, against: 5}]}]\n")
    found = read_study(path)
    assert (found.name, found.title) == (file, file)
    assert [part.name for part in found.parts] == [name]
    assert found.parts[0].row("b").against == ("5",)


def test_an_unknown_name_is_an_error(tmp_path):
    with pytest.raises(MaapError, match="no study tabel3; did you mean table3"):
        find_study("tabel3")
    with pytest.raises(MaapError, match="none.yaml"):
        find_study(str(tmp_path / "none.yaml"))


def test_the_study_in_the_documentation_can_be_read(study):
    text = (Path(__file__).resolve().parents[2] / "docs" / "studies.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (only,) = study(example).parts
    assert [row.against for row in only.rows] == [
        (), ("one phase",), ("one phase", "as long again, original images"),
    ]  # fmt: skip


# ---- what a person changes ----------------------------------------------------------------------


def test_options_win(study):
    changes = Changes({"max_iter": 3}, ["resnet152"], [1], {"resnet152": "w.caffemodel"})
    first, second = changed([study(SMALL)], changes)
    assert first.nets == second.nets == ("resnet152",) and first.seeds == second.seeds == (1,)
    assert first.settings == {"max_iter": 3, "data": "demo"}
    assert first.weights == {"resnet152": "w.caffemodel"}
    assert [part.settings["data"] for part in (first, second)] == ["demo", "demo_hard"]


def test_what_a_row_sets_no_option_may(study):
    with pytest.raises(MaapError, match='--variant: row "plain" of the study sets it'):
        changed([study(SMALL)], Changes({"variant": "laap"}))


def test_parts_that_become_equal_are_one(study):
    """The same rows on two data sets, and then one data set is given."""
    content = yaml.safe_load(SMALL)
    again = dict(content["parts"][1], title="Third", data="demo")
    content["parts"].append(again)
    found = study(yaml.safe_dump(content))
    assert [part.name for part in changed([found], Changes())] == ["small1", "small2", "small3"]
    one = changed([found], Changes({"data": "birds"}))
    assert [part.name for part in one] == ["small1", "small2"]


# ---- the studies that ship ----------------------------------------------------------------------


def test_every_study_that_ships_can_be_read():
    assert {"table1", "table2", "table3"} <= set(shipped())
    for name in shipped():
        found = find_study(name)
        assert found.title, name
        for part in found.parts:
            for row in part.rows:
                validate(TrainConfig(**{"weights": "w", **part.settings, **row.settings}))


def test_every_study_that_ships_is_named_to_people():
    from maap.cli.study import study as command

    text = (Path(__file__).resolve().parents[2] / "docs" / "studies.md").read_text()
    for name in shipped():
        assert f"`{name}`" in text, name
        assert f"maap study {name} " in command.help or re.fullmatch("table[23]", name), name


def test_alexnet_is_compared_as_the_controls_are():
    """Its rows are rows of the controls, with other labels, and stand against the same rows."""

    def compared(name):
        found = set()
        for part in find_study(name).parts:
            for row in part.rows:
                against = (part.row(label).settings for label in row.against)
                found.add((str(row.settings), frozenset(map(str, against))))
        return found

    (part,) = find_study("alexnet").parts
    assert (part.nets, part.seeds, part.settings) == (
        ("alexnet",),
        (1, 2, 3, 4, 5),
        {"data": "demo"},
    )
    assert part.weights == {} and len(part.rows) == 6
    assert compared("alexnet") <= compared("controls")


def test_the_command_of_a_run_has_what_is_not_the_default():
    config = TrainConfig(
        net="squeezenet", name="x", control=True, from_scratch=False, stepvalue=[3, 4], seed=2,
        haap_mode="online", phase1_from="y", host="fork",
    )  # fmt: skip
    assert train_words(config) == (
        "maap train squeezenet --name x --no-from-scratch --haap online --control --seed 2 "
        "--stepvalue 3,4".split()
    )
    assert "--host" in train_words(dataclasses.replace(config, host="bvlc"))


def test_mistakes_on_the_command_line_are_one_line(tmp_path, capsys, monkeypatch):
    from maap.cli.main import main

    monkeypatch.chdir(tmp_path)
    for words, said in (
        (["tabel3"], "did you mean table3"),
        (["table3", "--variant", "laap"], "--variant: row"),
        (["table3", "--nets", "alxnet", "--plan"], "did you mean alexnet"),
        (["table3", "--out", "x.html"], "ends in .md"),
        ([], "NAME|FILE.yaml"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["study", *words])
        errors = capsys.readouterr().err
        assert end.value.code == 1 and errors.startswith("error: ") and said in errors


def test_the_page_goes_to_the_runs_of_the_study(study, monkeypatch, tmp_path):
    """Settings of the file count where nothing is typed: the folder of the runs, and threads."""
    from maap.cli import study as cli

    pages = []
    monkeypatch.setattr(cli.StudyRuns, "planned", lambda self, request: [self.threads])
    monkeypatch.setattr(cli.StudyRuns, "call", lambda self, *words: pages.append(words) or [])
    found = study(SMALL.replace("max_iter: 9", f"max_iter: 9, runs_dir: {tmp_path}, threads: 3"))
    monkeypatch.setattr("sys.argv", ["maap", "study", "--page-only", "small.yaml"])
    making = cli.Making(None, None, (), False, True, None, None, False)
    cli.make([found], ("title", ""), found.name, making, {})
    ((_, page, planned, head),) = pages
    assert page == tmp_path / "small.md" and planned == [3]
    assert head.command == "maap study small.yaml"  # which runs what is missing


@pytest.mark.parametrize("out", ["file/page.md", "folder.md"])
def test_a_page_that_cannot_be_written_is_refused_before_the_runs(
    study, monkeypatch, tmp_path, out
):
    from maap.cli import study as cli

    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder.md").mkdir()
    monkeypatch.setattr(cli.StudyRuns, "run_all", lambda self, request: pytest.fail("it ran"))
    making = cli.Making(None, None, (), False, False, str(tmp_path / out), None, True)
    with pytest.raises(MaapError, match="file/page: a file stands|folder.md: a folder"):
        cli.make([study(SMALL)], ("Title", ""), "small", making, {})
