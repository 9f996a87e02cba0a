"""python -m caffe.parse_log and plot_training_log."""

import math
import os
import shutil
import subprocess
import sys
from datetime import datetime

import nets
import pytest
from caffe import parse_log, plot_training_log

# Lines of BVLC Caffe (Debian 11), with a rate that changes at iteration 4.
BVLC = """\
I1231 23:59:58.000000 12913 solver.cpp:45] Initializing solver from parameters:
test_iter: 1
I1231 23:59:58.500000 12913 net.cpp:244] This network produces output loss
I1231 23:59:59.000000 12913 solver.cpp:289] Solving little
I1231 23:59:59.000010 12913 solver.cpp:290] Learning Rate Policy: step
I1231 23:59:59.500000 12913 solver.cpp:347] Iteration 0, Testing net (#0)
I1231 23:59:59.500100 12913 solver.cpp:414]     Test net output #0: accuracy = 0.25
I1231 23:59:59.500200 12913 solver.cpp:414]     Test net output #1: loss = 1.5 (* 1 = 1.5 loss)
I1231 23:59:59.750000 12913 solver.cpp:239] Iteration 0 (4.3e-31 iter/s, 0s/2 iters), loss = 0.75
I1231 23:59:59.750100 12913 solver.cpp:258]     Train net output #0: loss = 0.625 (* 1 = 0.625 loss)
I1231 23:59:59.750200 12913 sgd_solver.cpp:112] Iteration 0, lr = 0.1
I0101 00:00:01.000000 12913 solver.cpp:347] Iteration 4, Testing net (#0)
I0101 00:00:01.000100 12913 solver.cpp:414]     Test net output #0: accuracy = 0.5
I0101 00:00:01.000200 12913 solver.cpp:414]     Test net output #1: loss = 1e-05 (* 1 = 1e-05 loss)
I0101 00:00:01.500000 12913 solver.cpp:239] Iteration 4 (2 iter/s, 2s/4 iters), loss = 0.5
I0101 00:00:01.500100 12913 solver.cpp:258]     Train net output #0: loss = nan (* 1 = nan loss)
I0101 00:00:01.500200 12913 sgd_solver.cpp:112] Iteration 4, lr = 0.05
I0101 00:00:02.000000 12913 solver.cpp:327] Iteration 8, loss = 0.25
I0101 00:00:02.000100 12913 solver.cpp:347] Iteration 8, Testing net (#0)
I0101 00:00:02.000200 12913 solver.cpp:414]     Test net output #0: accuracy = 1
I0101 00:00:02.000300 12913 solver.cpp:414]     Test net output #1: loss = -inf (* 1 = -inf loss)
I0101 00:00:02.000400 12913 solver.cpp:332] Optimization Done.
"""
TRAIN = "NumIters,Seconds,LearningRate,loss\n0.0,0.7501,0.1,0.625\n4.0,2.5001,0.05,nan\n"
TEST = (
    "NumIters,Seconds,LearningRate,accuracy,loss\n0.0,0.5001,0.1,0.25,1.5\n"
    "4.0,2.0001,0.05,0.5,1e-05\n8.0,3.0002,0.05,1.0,-inf\n"
)


@pytest.fixture
def bvlc_log(tmp_path):
    path = tmp_path / "bvlc.log"
    path.write_text(BVLC)
    return path


def tables(log, folder, *options):
    folder.mkdir(exist_ok=True)
    parse_log.main([*options, str(log), str(folder)])
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_log_of_bvlc_caffe(bvlc_log, tmp_path, capsys):
    written = tables(bvlc_log, tmp_path / "out")
    assert written == {"bvlc.log.train": TRAIN, "bvlc.log.test": TEST}
    assert capsys.readouterr().out == ""
    written = tables(bvlc_log, tmp_path / "out", "--delimiter", "\t", "--verbose")
    assert written["bvlc.log.train"] == TRAIN.replace(",", "\t")
    assert tables(bvlc_log, tmp_path / "out", "--delimiter", r"\t") == written
    with pytest.raises(SystemExit):
        parse_log.parse_args(["--delimiter", ";;", "in", "out"])
    assert "bvlc.log.train" in capsys.readouterr().out


def test_lines_with_a_year(bvlc_log, tmp_path):
    """As glog writes them from 0.6 on."""
    text = BVLC.replace("I1231 ", "I20231231 ").replace("I0101 ", "I20240101 ")
    bvlc_log.write_text(text)
    written = tables(bvlc_log, tmp_path / "out")
    assert written == {"bvlc.log.train": TRAIN, "bvlc.log.test": TEST}


@pytest.mark.parametrize("first, then", [("0228", "0229"), ("0229", "0301"), ("1231", "0229")])
@pytest.mark.parametrize("year", [2024, 2027, 2028])
def test_the_29th_of_february(bvlc_log, first, then, year):
    """Lines do not say the year; that of the file's last change may have no such day."""
    bvlc_log.write_text(BVLC.replace("I1231", f"I{first}").replace("I0101", f"I{then}"))
    os.utime(bvlc_log, (time := datetime(year, 5, 1).timestamp(), time))
    train, _ = parse_log.parse_log(bvlc_log)
    days = {"1231": 59}.get(first, 0)
    assert [row["Seconds"] for row in train] == pytest.approx([0.7501, 2.5001 + 86400 * days])


@pytest.mark.parametrize("before", ["trainer_1  | ", "2026-11-28T06:28:22Z "])
def test_what_stands_before_the_lines(bvlc_log, tmp_path, before):
    """As programs that collect logs write it."""
    bvlc_log.write_text("".join(before + line for line in BVLC.splitlines(keepends=True)))
    written = tables(bvlc_log, tmp_path / "out")
    assert written == {"bvlc.log.train": TRAIN, "bvlc.log.test": TEST}


def test_a_time_that_is_none(bvlc_log):
    bvlc_log.write_text(BVLC.replace("I0101 00:", "I1301 25:"))
    train, _ = parse_log.parse_log(bvlc_log)
    assert [row["NumIters"] for row in train] == [0, 4]


def test_rows(bvlc_log):
    train, test = parse_log.parse_log(bvlc_log)
    assert [row["NumIters"] for row in train] == [0, 4]
    assert math.isnan(train[1]["loss"])
    assert list(test[0]) == ["NumIters", "Seconds", "LearningRate", "accuracy", "loss"]


def test_several_outputs_and_test_nets(bvlc_log, tmp_path):
    output = "I1128 06:28:22.000000 1 solver.cpp:1]     Test net output #{}: each class = {}\n"
    net = "I1128 06:28:22.000000 1 solver.cpp:1] Iteration 20, Testing net (#{})\n"
    lines = [net.format(0), output.format(0, 0.5), output.format(1, 0.25)]
    lines += [net.format(1), output.format(0, 0.125)]
    bvlc_log.write_text("".join(lines))
    written = tables(bvlc_log, tmp_path / "out")
    assert written == {
        "bvlc.log.train": "",
        "bvlc.log.test": (
            "NumIters,Seconds,LearningRate,each class,each class_1\n20.0,0.0,nan,0.5,0.25\n"
        ),
        "bvlc.log.test1": "NumIters,Seconds,LearningRate,each class\n20.0,0.0,nan,0.125\n",
    }


def test_a_training_that_was_continued(bvlc_log):
    """Iteration 4 is shown twice: two rows, not two columns; the time goes on."""
    again = BVLC[BVLC.index("I0101 00:00:01.500000") :].replace("00:00:0", "00:01:0")
    bvlc_log.write_text(BVLC + "I0101 00:01:00.0 1 solver.cpp:289] Solving little\n" + again)
    train, test = parse_log.parse_log(bvlc_log)
    assert [row["NumIters"] for row in train] == [0, 4, 4]
    assert list(train[2]) == ["NumIters", "Seconds", "LearningRate", "loss"]
    assert train[2]["Seconds"] == pytest.approx(62.5001)
    assert [row["NumIters"] for row in test] == [0, 4, 8, 8]


def test_what_is_no_log(tmp_path):
    (tmp_path / "text").write_bytes(b"\xff\x00 nothing\n")
    with pytest.raises(ValueError, match="text is not the log of a training"):
        parse_log.parse_log(tmp_path / "text")


def test_a_log_of_this_engine(tmp_path):
    """Of the command and of pycaffe, as each writes it."""
    (tmp_path / "net.prototxt").write_text(nets.TRAIN)
    solver = tmp_path / "solver.prototxt"
    solver.write_text(
        f'net: "{tmp_path}/net.prototxt" test_iter: 1 test_interval: 4 base_lr: 0.1 display: 2 '
        'lr_policy: "step" gamma: 0.5 stepsize: 4 max_iter: 6 snapshot_after_train: false '
        "solver_mode: CPU random_seed: 1"
    )
    script = f"import caffe; caffe.get_solver({str(solver)!r}).solve()"
    for number, command in enumerate(
        [[shutil.which("caffe"), "train", "-solver", str(solver)], [sys.executable, "-c", script]]
    ):
        environment = {name: os.environ[name] for name in os.environ if "GLOG" not in name}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        log = tmp_path / f"{number}.log"
        log.write_text(done.stderr)
        train, test = parse_log.parse_log(log)
        assert [(row["NumIters"], row["LearningRate"]) for row in train] == [
            (0, 0.1),
            (2, 0.1),
            (4, 0.05),
        ]
        assert [row["NumIters"] for row in test] == [0, 4]
        assert all(0 < row["Seconds"] < 600 and row["loss"] > 0 for row in train + test)


EXPECTED = {
    0: ([0, 4, 8], [0.25, 0.5, 1]),
    1: ([0.5001, 2.0001, 3.0002], [0.25, 0.5, 1]),
    2: ([0, 4, 8], [1.5, 1e-5, -math.inf]),
    3: ([0.5001, 2.0001, 3.0002], [1.5, 1e-5, -math.inf]),
    4: ([0, 4], [0.1, 0.05]),
    5: ([0.7502, 2.5002], [0.1, 0.05]),
    6: ([0, 4, 8], [0.75, 0.5, 0.25]),
    7: ([0.75, 2.5, 3.0], [0.75, 0.5, 0.25]),
}


@pytest.mark.parametrize("chart_type", EXPECTED)
def test_charts(chart_type, bvlc_log, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn, plot = [], Axes.plot

    def spy(axes, x, y, **options):
        drawn.append((list(x), list(y), options["label"]))
        return plot(axes, x, y, **options)

    monkeypatch.setattr(Axes, "plot", spy)
    shutil.copy(bvlc_log, tmp_path / "other.log")
    picture = tmp_path / "chart.png"
    plot_training_log.main(
        [str(chart_type), str(picture), str(bvlc_log), str(tmp_path / "other.log")]
    )
    assert [label for *_, label in drawn] == ["bvlc.log", "other.log"]
    x, y = EXPECTED[chart_type]
    assert drawn[0][0] == pytest.approx(x) and drawn[0][1] == pytest.approx(y)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_charts_that_cannot_be_drawn(bvlc_log, tmp_path):
    only_train = "\n".join(line for line in BVLC.splitlines() if "Test" not in line)
    bvlc_log.write_text(only_train)
    with pytest.raises(ValueError, match="has no test accuracy"):
        plot_training_log.main(["0", str(tmp_path / "c.png"), str(bvlc_log)])
    for wrong in ("8", "-1", "loss"):
        with pytest.raises(SystemExit):
            plot_training_log.main([wrong, "c.png", str(bvlc_log)])


def test_the_help_lists_the_charts(capsys):
    with pytest.raises(SystemExit):
        plot_training_log.main(["--help"])
    said = capsys.readouterr().out
    for number, name in enumerate(plot_training_log.CHART_TYPES):
        assert f"{number}: {name}" in said
        assert f"{number}: {name}" in plot_training_log.__doc__
