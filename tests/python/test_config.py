"""TrainConfig: one description for the command line, YAML files and the library."""

import dataclasses
from types import SimpleNamespace

import pytest
from maap.config import check, presets
from maap.config.check import check_settings, read_yaml, to_yaml
from maap.config.fields import FIELDS, TrainConfig
from maap.config.resolve import resolve, solver_overrides
from maap.errors import MaapError


class FakeSolver(SimpleNamespace):
    """What `resolve` asks of a SolverParameter."""

    def HasField(self, name):  # noqa: N802  protobuf's name
        return getattr(self, name) not in (0, 0.0, "")


def solver(**values):
    nothing = dict(base_lr=0.0, lr_policy="", gamma=0.0, power=0.0, stepsize=0, stepvalue=[],
                   momentum=0.0, weight_decay=0.0, display=0, snapshot=0, max_iter=0,
                   clip_gradients=0.0, iter_size=0)  # fmt: skip
    return FakeSolver(**dict(nothing, **values))


def test_every_field_has_help_and_source():
    for name, field in FIELDS.items():
        assert field.metadata["help"] and field.metadata["source"], name


def test_every_preset_names_fields():
    for net in ("alexnet", "vgg19", "resnet152", "somebody's/net"):
        for name in presets.NAMES:
            preset = presets.preset(net, name)
            assert preset and check_settings(preset) == preset, (net, name)


def test_every_number_has_a_source():
    for net in ("alexnet", "vgg19", "resnet152"):
        for section in (*presets.NAMES, "solver"):
            for name, (_, source) in presets.numbers(net, section).items():
                assert len(source) > 3, (net, section, name)
    sources = {source for _, source in presets.numbers("vgg19", "solver").values()}
    assert "the authors' group's published Caffe fine-tuning solver" in sources


def test_a_net_has_numbers_of_its_own():
    vgg19 = resolve(TrainConfig(net="prototxt/vgg19"), "demo", solver(), solver(), 99)
    other = resolve(TrainConfig(net="somebody's/net"), "demo", solver(), solver(), 99)
    assert vgg19.batch == presets.preset("vgg19", "demo")["batch"] < other.batch
    assert vgg19.base_lr == other.base_lr == presets.preset("any", "demo")["base_lr"]


def test_yaml_gives_back_what_was_written(tmp_path):
    config = TrainConfig(net="tiny", seed=7, base_lr=1e-4, stepvalue=[3, 9], from_scratch=False)
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert TrainConfig(**read_yaml(path)) == config


@pytest.mark.parametrize(
    "text, words",
    [
        ("bath: 3", ["c.yaml", "bath", "did you mean batch"]),
        ("batch: many", ["c.yaml", "batch", "whole number"]),
        ("batch: 1.5", ["batch", "1.5"]),
        ("variant: mapp", ["variant", "did you mean maap"]),
        ("from_scratch: 3", ["from_scratch", "true or false"]),
        ("- 3", ["holds no settings"]),
        ("{", ["not a YAML file"]),
    ],
)
def test_wrong_yaml_names_file_and_setting(tmp_path, text, words):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(MaapError) as caught:
        read_yaml(path)
    for word in words:
        assert word in str(caught.value)


def test_missing_yaml(tmp_path):
    with pytest.raises(MaapError, match="none.yaml.*cannot be read"):
        read_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "wrong, word",
    [
        (dict(batch=0), "at least 1"),
        (dict(seed=2**31), "seed"),
        (dict(name="a/b"), "run name"),
        (dict(base_lr=-1.0), "base_lr"),
        (dict(input_scale=0.0), "above 0"),
        (dict(lr_policy="multistep"), "stepvalue"),
        (dict(dropout_after="relu1"), "give --variant baseline"),
        (dict(batch_norm="frozen"), "needs --weights"),
        (dict(batch_norm_fraction=1.0), "batch_norm_fraction"),
        (dict(base_lr=float("nan")), "base_lr"),
    ],
)
def test_impossible_values(wrong, word):
    with pytest.raises(MaapError, match=word):
        check.validate(TrainConfig(**wrong))


def test_short_trainings_are_called_so():
    assert "next to nothing" in presets.note("vgg19", "demo")
    assert "next to nothing" in presets.note("prototxt/resnet152", "demo")
    assert presets.note("alexnet", "demo") == presets.note("vgg19", "finetune") == ""


def test_what_was_set_wins_over_preset_and_solver_file():
    demo = resolve(TrainConfig(max_iter=7), "demo", solver(base_lr=0.5), solver(), 99)
    assert demo.preset == "demo" and demo.max_iter == 7
    numbers = presets.preset("alexnet", "demo")
    assert demo.batch == numbers["batch"] and demo.base_lr == numbers["base_lr"]
    assert demo.from_scratch is True


def test_finetuning_takes_its_numbers_from_the_solver_files():
    first = solver(base_lr=0.25, max_iter=50, display=5)
    found = resolve(TrainConfig(weights="w"), "demo", first, solver(base_lr=0.125, max_iter=30), 99)
    assert (found.preset, found.batch, found.from_scratch) == ("finetune", 99, False)
    assert (found.base_lr, found.phase2_lr) == (0.25, 0.125)
    assert (found.max_iter, found.phase2_iter) == (50, 30)
    again = resolve(found, "demo", solver(base_lr=9.0), solver(base_lr=9.0), 1)
    assert again == found  # a resolved configuration does not change


def test_a_net_that_starts_from_its_published_weights():
    """squeezenet does, unless told not to; on the demo set with the demo's numbers for them."""

    def found(kind="demo", **values):
        first, second = solver(max_iter=50), solver(max_iter=30)
        made = resolve(TrainConfig(net="squeezenet", **values), kind, first, second, 99)
        assert resolve(made, kind, first, second, 1) == made
        return made

    own, general = (presets.preset(net, "demo") for net in ("squeezenet", "any"))
    for given in ({}, dict(weights="published")):
        demo = found(**given)
        assert (demo.weights, demo.preset, demo.from_scratch) == ("published", "demo", False)
        assert demo.max_iter == own["max_iter"] < general["max_iter"]
        assert demo.batch_norm == "frozen"
        photos = found("folder", **given)
        assert (photos.weights, photos.preset, photos.max_iter) == ("published", "finetune", 50)
    mine = found(weights="mine.caffemodel")
    assert (mine.weights, mine.preset, mine.from_scratch) == ("mine.caffemodel", "finetune", False)
    scratch = found(from_scratch=True)
    assert (scratch.weights, scratch.preset) == (None, "demo")
    assert scratch.max_iter == general["max_iter"] and scratch.base_lr == general["base_lr"]
    assert found("folder", from_scratch=True).preset == "scratch"
    hard = found("demo_hard")
    assert (hard.weights, hard.preset, hard.base_lr) == ("published", "demo_hard", own["base_lr"])
    assert hard.max_iter > own["max_iter"] and hard.phase2_iter > own["phase2_iter"]
    alexnet = resolve(TrainConfig(), "demo", solver(), solver(), 99)
    assert (alexnet.weights, alexnet.from_scratch) == (None, True)


def test_batch_normalisation_is_frozen_where_there_are_statistics():
    def found(**values):
        return resolve(TrainConfig(**values), "folder", solver(max_iter=1), solver(max_iter=1), 9)

    assert found().batch_norm == "train"
    assert found(weights="w").batch_norm == "frozen"
    assert found(weights="w", batch_norm="train").batch_norm == "train"


def test_a_base_lr_that_was_set_holds_for_both_phases():
    given = TrainConfig(weights="w", base_lr=0.5)
    found = resolve(given, "folder", solver(max_iter=1), solver(base_lr=0.125, max_iter=1), 9)
    assert found.phase2_lr == 0.5


def test_phase_overrides():
    config = TrainConfig(base_lr=0.5, phase2_lr=0.25, max_iter=8, phase2_iter=4, gpu=1)
    first, second = (solver_overrides(config, phase) for phase in (1, 2))
    assert (first["base_lr"], first["max_iter"]) == (0.5, 8)
    assert (second["base_lr"], second["max_iter"]) == (0.25, 4)
    assert (first["solver_mode"], first["device_id"]) == ("GPU", 1)


def test_the_math_mode_is_the_solvers():
    assert "math_mode" not in solver_overrides(TrainConfig(base_lr=0.5), 1)
    assert solver_overrides(TrainConfig(base_lr=0.5, math="bf16"), 2)["math_mode"] == "BF16"
    with pytest.raises(MaapError, match="--math bf16: BVLC Caffe computes in float; leave it out"):
        check.validate(TrainConfig(math="bf16", host="bvlc"))


def test_contradictions_name_option_and_both_values():
    stored = TrainConfig(seed=3, threads=2)
    assert check.contradictions(stored, dict(seed=3, resume=True, threads=1)) == []
    lines = check.contradictions(stored, dict(seed=4, phase2_iter=9))
    assert lines == ["--seed is 4, the run has 3", "--phase2-iter is 9, the run has none"]


def test_configurations_do_not_share_lists():
    assert all(f.default is not dataclasses.MISSING for f in FIELDS.values())


def test_a_setting_that_stands_twice_is_an_error(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("max_iter: 5\nbatch: 2\nmax_iter: 6\n")
    with pytest.raises(MaapError, match=r"twice.yaml: line 1: 'max_iter' stands twice"):
        read_yaml(path)
