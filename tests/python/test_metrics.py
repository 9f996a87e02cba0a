"""metrics.csv of a resumed phase is that of an uninterrupted one."""

import pytest
from maap.errors import MaapError
from maap.runs.metrics import Metrics, has_converged


def rows(folder):
    return (folder / "metrics.csv").read_text()


def write(folder, losses, done=0):
    metrics = Metrics(folder, done)
    for loss in losses:
        metrics.add(loss, 0.01, 0.5)
    metrics.close()
    return metrics


def test_a_resumed_file_equals_an_uninterrupted_one(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    losses = [1.0 / 3, 0.25, 2.0 / 7, 1e-9]
    write(tmp_path / "whole", losses)
    write(tmp_path / "cut", losses[:2] + [9.0, 8.0, 7.0])
    with (tmp_path / "cut" / "metrics.csv").open("a") as stream:
        stream.write("5,0.1")  # killed while writing
    resumed = write(tmp_path / "cut", losses[2:], done=2)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert rows(tmp_path / "cut").startswith("iteration,loss,lr\n0,0.333333333,0.01\n")
    assert resumed.losses == [float(f"{loss:.9g}") for loss in losses]


def test_starting_again_empties_the_file(tmp_path):
    write(tmp_path, [1.0, 2.0])
    write(tmp_path, [3.0])
    assert rows(tmp_path) == "iteration,loss,lr\n0,3,0.01\n"


@pytest.mark.parametrize(
    "text", ["", "iteration,loss,lr\n0,1,1\n", "iteration,loss,lr\n0,1,1\n2,1,1\n"]
)
def test_missing_rows_are_an_error_that_names_the_file(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(MaapError, match="metrics.csv"):
        Metrics(tmp_path, 2)


def test_converged_when_the_loss_stands_still():
    falling = [10.0, 10.0, 8.0, 8.0, 7.9, 7.9]
    assert not has_converged(falling[:4], 2, 0.05)
    assert has_converged(falling, 2, 0.05)
    assert not has_converged(falling, 2, 0.01)
    assert has_converged([1.0, 1.0, 2.0, 2.0], 2, 0.05)  # rising: not falling either


def test_convergence_is_looked_at_once_a_window():
    assert not has_converged([1.0] * 5, 2, 0.05)
    assert not has_converged([1.0] * 3, 2, 0.05)
    assert has_converged([1.0] * 6, 2, 0.05)
    assert not has_converged([1.0] * 6, 2, 0.0)
