"""Whether a difference between two rows is one, in numbers and in words."""

import csv
import io

import pytest
from maap.study import differences as found_in
from maap.study.definition import Row
from maap.study.differences import by_column, differences, findings, note
from maap.study.page import difference_lines
from maap.study.plot import plot_differences
from maap.study.sheets import differences_csv
from maap.util.statistics import paired
from study_fakes import part, result, table

SEEDS = [1, 2, 3]
BASE = [0.50, 0.60, 0.55]
HIGHER = [0.53, 0.64, 0.58]  # by 3, 4 and 3 points
SAME = [0.51, 0.58, 0.56]  # by 1, -2 and 1 points
LOWER = [0.40, 0.50, 0.44]  # by -10, -10 and -11 points


def made(tmp_path, against, seeds=SEEDS, nets=("alexnet",), cut=None, **rows):
    """A table of rows with these top-1; ``against``: {row: labels}."""
    of = part([Row(label, against=against.get(label, ())) for label in rows], nets, seeds)
    found = [
        result(tmp_path, label, seed, values[n], net, cut=None if cut is None else cut[label][n])
        for label, values in rows.items()
        for net in nets
        for n, seed in enumerate(seeds)
    ]
    return table(of, found)


def test_a_difference_is_paired_by_the_seed(tmp_path):
    (one,) = differences(made(tmp_path, {"x": ["base"]}, base=BASE, x=HIGHER))
    assert one.by_seed == pytest.approx({1: 0.03, 2: 0.04, 3: 0.03})
    wanted = paired([0.03, 0.04, 0.03])
    assert (one.interval.mean, one.interval.low) == pytest.approx((wanted.mean, wanted.low))
    # By hand: mean 3.333, s = 0.577, t(2) = 4.303, so half = 1.434.
    assert one.clause == 'higher than "base" by 3.3 points (95 % interval 1.9 to 4.8)'
    assert one.outcome == "higher"


def test_only_seeds_that_both_have_count(tmp_path):
    whole = made(tmp_path, {"x": ["base"]}, base=BASE, x=HIGHER)
    part_of_it = table(
        whole.part, [r for r in whole.results if (r.cell.row.label, r.cell.seed) != ("x", 2)]
    )
    (one,) = differences(part_of_it)
    assert list(one.by_seed) == [1, 3] and one.interval.n == 2
    none = table(whole.part, [r for r in whole.results if r.cell.row.label == "base"])
    assert differences(none) == []


@pytest.mark.parametrize(
    ("values", "outcome", "clause"),
    [
        (LOWER, "lower", 'lower than "base" by 10.3 points (95 % interval 8.9 to 11.8)'),
        (
            SAME,
            "none",
            'not shown to differ from "base" (95 % interval: at most 4.3 lower to at most 4.3 '
            "points higher)",
        ),
        (BASE, "none", 'not shown to differ from "base" (95 % interval: at most 0.0 lower to at '
                       "most 0.0 points higher)"),
    ],
)  # fmt: skip
def test_what_the_interval_says(tmp_path, values, outcome, clause):
    (one,) = differences(made(tmp_path, {"x": ["base"]}, base=BASE, x=values))
    assert one.outcome == outcome and one.clause == clause


def test_an_interval_ends_where_a_difference_must(tmp_path):
    """Two seeds: t(1) = 12.7, so that by the formula alone it would go from -92 to 162 points."""
    (one,) = differences(made(tmp_path, {"x": ["base"]}, [1, 2], base=[0.4, 0.3], x=[0.65, 0.75]))
    assert one.interval.mean == pytest.approx(0.35)
    assert (one.interval.low, one.interval.high) == (pytest.approx(-0.9206, abs=1e-4), 1.0)
    assert one.clause.endswith("(95 % interval: at most 92.1 lower to at most 100.0 points higher)")


def test_one_seed_gives_no_interval_and_the_page_says_so(tmp_path):
    found = made(tmp_path, {"x": ["base"]}, [4], base=[0.5], x=[0.53])
    (one,) = differences(found)
    assert one.outcome == "unknown"
    assert one.clause == '3.0 points higher than "base" with the one seed'
    (said,) = findings([found])
    assert said.startswith("One seed gives no interval, so no difference")
    assert note([one]) == "" and plot_differences([one]) is None
    assert difference_lines([one])[-1] == "| x | base | whole images | +3.0 | none | 1 |"


def test_a_row_that_helps_under_one_control_only_says_so(tmp_path):
    against = {"x": ["base", "longer"], "longer": ["base"]}
    both = made(tmp_path, against, base=BASE, longer=HIGHER, x=[0.54, 0.62, 0.59])
    (said,) = findings([both])
    assert said.startswith('Top-1 on whole test images:\n\n- "longer" is higher than "base" by 3.3')
    assert 'What "x" gives depends on what it is compared with: it is higher than "base" by' in said
    assert 'and not shown to differ from "longer" (95 % interval' in said


def test_images_cut_to_the_region_are_compared_as_well(tmp_path):
    cut = {"base": BASE, "x": LOWER}
    found = made(tmp_path, {"x": ["base"]}, cut=cut, base=BASE, x=HIGHER)
    every = differences(found)
    assert [(each.column.key, each.outcome) for each in every] == [
        ("top1", "higher"), ("cut", "lower"),
    ]  # fmt: skip
    (said,) = by_column(every)
    assert said.startswith("Top-1 on test images cut to the region found:\n\n- ")
    assert '"x" is lower than "base" by 10.3 points' in said
    assert "cut to the region" not in findings([found])[0]


def test_nets_are_named_where_there_are_several(tmp_path):
    found = made(tmp_path, {"x": ["base"]}, nets=("alexnet", "vgg19"), base=BASE, x=HIGHER)
    (said,) = findings([found])
    assert '"x" with alexnet is higher' in said and '"x" with vgg19 is higher' in said
    assert "| net |" in difference_lines(differences(found))[0]


def test_many_intervals_have_a_warning(tmp_path):
    labels = {f"x{n}": HIGHER for n in range(20)}
    found = made(tmp_path, {label: ["base"] for label in labels}, base=BASE, **labels)
    of = "Of 20 such intervals, 1 on average would not hold 0 by chance alone"
    assert of in note(differences(found))
    few = made(tmp_path, {"x0": ["base"], "x1": ["base"]}, base=BASE, x0=HIGHER, x1=HIGHER)
    assert "Of 2 such intervals, 0.1 on average" in note(differences(few))
    one = made(tmp_path, {"x": ["base"]}, base=BASE, x=HIGHER)
    assert "by chance" not in note(differences(one)) and "over 3 seeds" in note(differences(one))


def test_the_files_have_the_numbers(tmp_path):
    every = differences(made(tmp_path, {"x": ["base"]}, base=BASE, x=HIGHER))
    (row,) = csv.DictReader(io.StringIO(differences_csv(every)))
    assert (row["row"], row["against"], row["column"], row["seeds"]) == ("x", "base", "top1", "3")
    assert float(row["mean"]) == pytest.approx(0.1 / 3, rel=1e-4)
    assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    assert plot_differences(every).startswith(b"\x89PNG")


def test_without_comparisons_nothing_is_said(tmp_path):
    assert findings([made(tmp_path, {}, base=BASE)]) == []
    assert found_in.note([]) == "" and plot_differences([]) is None
