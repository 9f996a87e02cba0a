"""What a run says at its start and how it estimates its time, on a clock that the test sets."""

import dataclasses

import pytest
from maap.config.fields import TrainConfig
from maap.runs.stages import stage_list
from maap.training import plan as planning
from maap.training.plan import (
    FORWARD,
    LOOKING,
    REPORT,
    REWRITE,
    SET_UP,
    Counts,
    Plan,
    speed_so_far,
    steps,
)
from maap.util import progress

COUNTS = Counts(train=600, test=200, boxes=True)
EVALUATION = LOOKING + 2 * 4 * 200 * FORWARD  # two phases, four passes each
CONFIG = TrainConfig(
    net="alexnet", variant="maap", batch=16, iter_size=1, max_iter=900, phase2_iter=200
)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def plan_of(config=CONFIG, counts=COUNTS, stages=None):
    stages = stage_list(config) if stages is None else stages
    return Plan(steps(config, counts, stages), speed_so_far(config, stages))


def train(plan, clock, task, count, seconds):
    """``count`` iterations of so many seconds; what the plan said."""
    said = []
    for _ in range(count):
        clock.now += seconds
        task.advance(1)
        said.append(plan.iterated(task))
    return [text for text in said if text]


def test_a_run_says_at_once_what_it_is_going_to_do():
    assert plan_of().text() == (
        "to do: phase 1 (900 iterations of 16 images), rewriting (600 images), "
        "phase 2 (200 iterations of 16 images), evaluation (200 images), report"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(variant="baseline"), ["phase 1 (900", "evaluation", "report"]),
        (dict(haap_mode="online"), ["phase 1 (900", "phase 2, online (200", "evaluation"]),
        (dict(converge_fraction=0.01), ["phase 1 (at most 900 iterations"]),
        (dict(iter_size=4), ["phase 1 (900 iterations of 64 images)"]),
        (dict(rounds=2), ["phase 1 (900", "rewriting", "phase 2", "rewriting", "phase 3 (200"]),
        (dict(phase1_from="other"), ["phase 1 (taken from other), rewriting"]),
    ],
)
def test_the_settings_decide(changes, words):
    text = plan_of(dataclasses.replace(CONFIG, **changes)).text()
    at = -1
    for word in words:
        at = text.index(word, at + 1)


@pytest.mark.parametrize(
    "variant, boxes, regions, passes",
    [
        ("maap", True, False, 4),  # whole, true boxes; the regions, and images cut to them
        ("maap", False, False, 2),
        ("baseline", True, True, 4),
        ("baseline", True, False, 2),
        ("baseline", False, True, 1),
    ],
)
def test_the_passes_over_the_test_images(variant, boxes, regions, passes):
    config = dataclasses.replace(CONFIG, variant=variant)
    counts = Counts(train=600, test=200, boxes=boxes, regions=regions)
    step = steps(config, counts, stage_list(config))[-2]
    phases = 2 if variant == "maap" else 1
    assert step.name == "evaluation"
    assert step.units == pytest.approx(LOOKING + phases * passes * 200 * FORWARD)


def test_the_whole_time_is_said_once_when_the_first_iterations_are_measured(clock):
    plan = plan_of()
    plan.begin("phase1")
    with progress.followed_by(plan.rest):
        task = progress.Task("phase 1, iterations", 900)
    assert train(plan, clock, task, 2, 20.0) == []  # the first two are slow, and do not count
    assert "to the end" not in task.line()
    said = train(plan, clock, task, 10, 1.0)
    # 16 images a second; 893 iterations are left when five have been measured.
    rewriting, later = 600 * REWRITE / 16, 200 + SET_UP / 16
    evaluation = EVALUATION / 16
    whole = 893 + rewriting + later + evaluation + REPORT / 16
    assert said == [
        f"at this speed {progress.duration(whole, tenths=False)} to the end: "
        "phase 1 14 min 53 s, "
        f"rewriting {rewriting:.0f} s, phase 2 3 min 26 s, evaluation {evaluation:.0f} s, "
        "report 1 s"
    ]


def test_the_time_to_the_end_follows_the_measured_speed(clock):
    plan = plan_of()
    plan.begin("phase1")
    with progress.followed_by(plan.rest):
        task = progress.Task("phase 1, iterations", 900)
    train(plan, clock, task, 100, 1.0)
    behind = sum(step.units for step in plan.todo[1:]) / 16
    assert plan.rest(task, task.left()) == pytest.approx(800 + behind, rel=0.02)
    assert train(plan, clock, task, 100, 3.0) == []  # somebody else wants the machine as well
    assert plan.rest(task, task.left()) == pytest.approx(3 * (700 + behind), rel=0.02)


def test_stages_after_the_training_are_estimated_by_its_speed(clock):
    plan = plan_of()
    plan.begin("phase1")
    task = progress.Task("phase 1, iterations", 900)
    train(plan, clock, task, 900, 0.5)
    plan.begin("rewrite1")
    rewriting = progress.Task("rewriting", 600)
    for _ in range(10):
        clock.now += 1
        rewriting.advance(30)
    rest = (200 * 16 + SET_UP + EVALUATION + REPORT) / 32
    assert plan.rest(rewriting, rewriting.left()) == pytest.approx(10 + rest)


def test_evaluation_has_several_tasks(clock):
    plan = plan_of()
    plan.begin("phase1")
    train(plan, clock, progress.Task("phase 1, iterations", 900), 900, 0.5)
    plan.begin("evaluation")
    task = progress.Task("accuracy after phase 1", 200)
    clock.now += 4
    task.advance(100)
    evaluation = EVALUATION / 32
    assert plan.rest(task, 4.0) == pytest.approx(evaluation - 4 + REPORT / 32)
    clock.now += 100  # longer than estimated: at least what the task needs itself
    assert plan.rest(task, 104.0) == pytest.approx(104 + REPORT / 32)
    plan.begin("report")
    assert plan.rest(progress.Task("report", 1), 5.0) is None  # nothing comes after it


def test_a_resumed_run_plans_what_is_left_with_the_speed_it_had(clock):
    stages = stage_list(CONFIG)
    stages[0].status, stages[0].iteration, stages[0].seconds = "running", 300, 600.0
    plan = plan_of(stages=stages)
    assert plan.text().startswith("to do: phase 1 (600 more iterations of 16 images), rewriting")
    assert plan.speed == pytest.approx(8.0)
    plan.begin("phase1")
    task = progress.Task("phase 1, iterations", 900)
    task.already(300)
    said = train(plan, clock, task, 7, 1.0)
    assert len(said) == 1 and "phase 1 9 min 53 s" in said[0]
    for stage in stages[:3]:
        stage.status, stage.iteration, stage.seconds = "done", 200, 100.0
    late = plan_of(stages=stages)
    assert late.text() == "to do: evaluation (200 images), report"
    assert late.todo[0].units == EVALUATION  # of both phases, which are done


def test_a_phase_that_was_taken_from_another_run_says_nothing_of_the_speed():
    config = dataclasses.replace(CONFIG, phase1_from="other")
    stages = stage_list(config)
    stages[0].iteration, stages[0].seconds = 900, 900.0
    stages[0].shared_from = object()
    assert speed_so_far(config, stages) is None


def test_tests_on_the_way_and_data_without_boxes_count():
    plain = plan_of().todo
    tested = plan_of(dataclasses.replace(CONFIG, test_interval=100)).todo
    assert tested[0].units - plain[0].units == pytest.approx(9 * 200 * FORWARD)
    without = plan_of(counts=dataclasses.replace(COUNTS, boxes=False)).todo
    assert without[3].units - LOOKING == (EVALUATION - LOOKING) / 2
    baseline = plan_of(dataclasses.replace(CONFIG, variant="baseline")).todo
    assert baseline[1].units == LOOKING + 2 * 200 * FORWARD


def test_without_a_measured_speed_nothing_is_promised(clock):
    plan = plan_of()
    plan.begin("phase1")
    with progress.followed_by(plan.rest):
        task = progress.Task("phase 1, iterations", 900)
    assert train(plan, clock, task, 20, 0.1) == []  # too short to tell
    assert "s left" in task.line() and "to the end" not in task.line()
    assert planning.MEASURED[1] >= 3
