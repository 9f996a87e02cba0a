"""Which rank a process is, as launchers say it; and what it takes to start some."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from maap.cli.main import _as_a_rank
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.host import launched, loader, ranks
from maap.host.crew import THREAD_SETTINGS, Crew, signal_of
from maap.host.launched import Place
from maap.rewrite.rewrite import default_workers
from maap.runs.run import Run
from maap.runs.state import Stage
from maap.study.plan import _identity
from maap.training import train
from maap.training.phase import dropout_seed, seed_of
from maap.training.sharing import _several
from rank_fakes import together


@pytest.mark.parametrize(
    "environment, place",
    [
        ({}, None),
        (
            dict(
                OMPI_COMM_WORLD_RANK="5", OMPI_COMM_WORLD_SIZE="8", OMPI_COMM_WORLD_LOCAL_RANK="1",
                OMPI_COMM_WORLD_LOCAL_SIZE="4",
            ),
            Place(5, 8),
        ),
        (
            dict(PMI_RANK="1", PMI_SIZE="2", MPI_LOCALRANKID="1", MPI_LOCALNRANKS="2"),
            Place(1, 2),
        ),
        (dict(PMI_RANK="1", PMI_SIZE="2"), Place(1, 2)),
        (
            dict(
                SLURM_PROCID="9", SLURM_STEP_NUM_TASKS="11", SLURM_LOCALID="1", SLURM_NODEID="2",
                SLURM_STEP_TASKS_PER_NODE="4(x2),3",
            ),
            Place(9, 11),
        ),
        (dict(FLUX_TASK_RANK="3", FLUX_JOB_SIZE="4"), Place(3, 4)),
        (dict(FLUX_TASK_RANK="0", FLUX_JOB_SIZE="1"), None),
        (dict(PMIX_RANK="3"), Place(3, 0)),  # how many there are, MPI knows
        (dict(OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="1", PMIX_RANK="0"), None),
        (dict(SLURM_PROCID="0", SLURM_NTASKS="8", SLURM_JOB_ID="7"), None),  # a batch script
        (dict(OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="1"), None),
        (dict(PMI_RANK="1", PMI_SIZE="2", CAFFE_RANKS="off"), None),
        (dict(PMI_RANK="x", PMI_SIZE="2"), None),
    ],
)  # fmt: skip
def test_the_place_of_a_process(environment, place):
    assert launched.launched(environment) == place


@pytest.fixture
def alone(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("OMPI_", "PMI_", "PMIX_", "FLUX_", "SLURM_", "CAFFE_RANKS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MAAP_HOST", "fork")
    return monkeypatch


def test_a_missing_mpi_is_an_error_with_the_package(alone):
    alone.setenv("PATH", "/nowhere")
    launched.need_ranks(1)
    with pytest.raises(MaapError, match=r"--ranks 4 needs mpirun.*apt-get install openmpi-bin"):
        launched.need_ranks(4)


def test_bvlc_caffe_trains_in_one_process(alone):
    launched.need_ranks(1, "bvlc")
    with pytest.raises(MaapError, match="several ranks need the engine.*--host fork"):
        launched.need_ranks(2, "bvlc")


def test_under_a_launcher_the_number_is_its(alone):
    alone.setenv("PMI_RANK", "0"), alone.setenv("PMI_SIZE", "2")
    launched.need_ranks(1), launched.need_ranks(2)
    with pytest.raises(MaapError, match="--ranks 3, but this process is one of 2.*leave --ranks"):
        launched.need_ranks(3)


def test_a_launcher_that_gives_no_number(alone):
    alone.setenv("PMIX_RANK", "1")
    launched.need_ranks(1)
    with pytest.raises(MaapError, match="one of several that mpirun or srun.*leave --ranks"):
        launched.need_ranks(3)
    alone.setattr("maap.cli.main.stay_silent", lambda: None)
    with pytest.raises(MaapError, match="started several processes.*set CAFFE_RANKS=off"):
        _as_a_rank(["runs"])
    alone.setenv("PMIX_RANK", "0")
    _as_a_rank(["runs"])  # it may be the only one


def settings_of_threads(threads, size=1):
    """What processes are told of their threads."""
    given = Crew(size, threads, Path("log"))._environment(os.environ)
    names = (*THREAD_SETTINGS, "CAFFE_DEFAULT_THREADS")
    return [given.get(name) for name in names]


def test_cores_are_shared_by_the_ranks_that_are_started(alone):
    cores = len(os.sched_getaffinity(0))
    alone.setenv("CAFFE_DEFAULT_THREADS", "1")
    assert settings_of_threads(None) == [str(cores)] * 3 + [None]
    assert settings_of_threads(None, 100 * cores) == ["1"] * 3 + [None]
    assert settings_of_threads(7) == ["7"] * 3 + [None]


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("250000 100000", 3), ("900000 100000", 8), ("5000 100000", 1), ("", 8)],
)
def test_a_container_may_have_fewer_cores(monkeypatch, tmp_path, quota, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(launched, "_QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text(quota)
    assert launched.usable_cores() == cores
    assert launched.threads_each(2) == max(1, cores // 2)
    assert together(2, ranks.cores) == [max(1, cores // 2)] * 2


def test_under_a_launcher_the_engine_shares_the_cores(alone):
    """It knows which ranks have the same ones: the launcher may have given each its own."""
    cores = str(len(os.sched_getaffinity(0)))
    alone.setenv("PMI_RANK", "0"), alone.setenv("PMI_SIZE", "100")
    assert settings_of_threads(None) == [cores] * 3 + ["1"]
    assert settings_of_threads(7) == ["7"] * 3 + [None]


def test_ranks_share_the_cores_that_are_the_same(monkeypatch):
    """Ranks 0 and 1 may use four cores, rank 2 has two others."""
    masks = [{0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5}]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: masks[ranks.here().rank])
    assert together(3, ranks.cores) == [2, 2, 2]
    assert together(1, ranks.cores) == [4]
    assert together(2, default_workers) == [2, 2]


@pytest.mark.skipif(
    os.environ.get("MAAP_HOST") == "bvlc", reason="BVLC Caffe trains in one process"
)
def test_a_run_that_is_resumed_under_a_launcher_has_its_threads_on_all_ranks(alone, tmp_path):
    run = Run(tmp_path / "one")
    run.folder.mkdir()
    run.write_config(TrainConfig(name="one", threads=3, ranks=2))
    told = []
    alone.setattr(train, "call", lambda *_, threads, **__: told.append(threads))
    alone.setenv("PMI_SIZE", "2")
    for rank in "01":
        alone.setenv("PMI_RANK", rank)
        config = TrainConfig(name="one", runs_dir=str(tmp_path), resume=True)
        train.train(config, {})
        train.train(config, {"threads": 1})
    assert told == [3, 1, 3, 1]


def test_what_a_launcher_said_is_not_passed_to_the_next(alone):
    alone.setenv("OMPI_COMM_WORLD_SIZE", "1"), alone.setenv("CAFFE_RANKS", "off")
    alone.setenv("OMPI_MCA_btl_tcp_if_include", "eth0"), alone.setenv("PMIX_RANK", "0")
    alone.setenv("CAFFE_RANKS_TIMEOUT", "60"), alone.setenv("PMIX_MCA_gds", "hash")
    command, environment = launched.mpirun(3, ["program"])
    assert command == ["mpirun", "-n", "3", "program"]
    assert not {"OMPI_COMM_WORLD_SIZE", "CAFFE_RANKS", "PMIX_RANK"} & set(environment)
    assert environment["CAFFE_RANKS_TIMEOUT"] == "60" and environment["PMIX_MCA_gds"] == "hash"
    assert environment["OMPI_MCA_btl_tcp_if_include"] == "eth0"


def test_how_mpirun_says_that_a_rank_died():
    text = "mpirun noticed that process rank 1 with PID 0 on node vm exited on\nsignal 9 (Killed)."
    assert signal_of(1, text) == 9
    assert signal_of(2, text) is None


# ---- how many ranks a run was trained with ----


def test_a_run_with_other_ranks_is_another_run(tmp_path):
    one = _identity(tmp_path, TrainConfig(), {})
    assert one == _identity(tmp_path, TrainConfig(threads=3, ranks=1), {})
    names = {one, *(_identity(tmp_path, TrainConfig(ranks=n), {}) for n in (2, 4))}
    assert len(names) == 3


def test_phase_1_is_shared_by_runs_with_the_same_ranks():
    new, trained = Stage("phase1", "train", 1), Stage("phase1", "train", 1, iteration=5)
    assert _several(TrainConfig(), new) == _several(TrainConfig(), trained) == {}
    assert _several(TrainConfig(ranks=2), new) == {"ranks": [[0, 2]]}
    trained.ranks = [[0, 2]]
    assert _several(TrainConfig(ranks=2), trained) == {"ranks": [[0, 2]]}
    trained.ranks = [[0, 2], [3, 4]]  # continued with others
    assert _several(TrainConfig(ranks=2), trained) == {"ranks": [[0, 2], [3, 4]]}


def test_dropout_differs_by_rank_and_rank_0_is_as_alone():
    seeds = [dropout_seed(3, "phase1", 7, rank) for rank in range(4)]
    assert seeds[0] == seed_of(3, "phase1", 7) and len(set(seeds)) == 4


def test_what_another_number_of_ranks_changes_is_said_and_kept():
    stage = Stage("phase1", "train", 1, "phase 1")
    assert stage.trained_by(1) is None and stage.ranks is None
    assert stage.trained_by(2) is None and stage.ranks == [[0, 2]]
    stage.iteration = 10
    assert stage.trained_by(2) is None and stage.ranks == [[0, 2]]
    said = stage.trained_by(3)
    assert "2 ranks trained up to iteration 10, from here on 3 will" in said
    assert "3/2 as many images" in said and stage.ranks == [[0, 2], [10, 3]]
    assert Stage.from_json(stage.to_json(), "stage").ranks == [[0, 2], [10, 3]]
    alone = Stage("phase1", "train", 1, "phase 1", iteration=4)
    assert "1 rank trained up to iteration 4" in alone.trained_by(2)
    assert alone.ranks == [[0, 1], [4, 2]]


def test_ranks_that_trained_nothing_are_not_kept():
    """They began, and came to no snapshot."""
    stage = Stage("phase1", "train", 1, iteration=10, ranks=[[0, 2], [10, 3]])
    assert "2 ranks trained up to iteration 10" in stage.trained_by(4)
    assert stage.ranks == [[0, 2], [10, 4]]
    assert stage.trained_by(2) is None and stage.ranks == [[0, 2]]
    alone = Stage("phase1", "train", 1, iteration=4)
    assert alone.trained_by(2) and alone.ranks == [[0, 1], [4, 2]]
    assert alone.trained_by(1) is None and alone.ranks is None


@pytest.mark.parametrize(
    "visible, number", [(None, 2), ("0,1,2,3", 2), ("2", 0), ("GPU-0f3a", 0), ("", 2)]
)
def test_each_rank_takes_its_own_gpu(monkeypatch, visible, number):
    """Local rank 2 of a training on GPUs from 0 on; srun may leave each rank one GPU to see."""
    taken = []
    caffe = SimpleNamespace(set_device=taken.append, set_mode_gpu=lambda: taken.append("GPU"))
    monkeypatch.setattr(loader, "has_gpu", lambda: True)
    monkeypatch.setattr(loader.ranks, "here", lambda: SimpleNamespace(local_rank=2))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    loader.set_device(caffe, 0)
    assert taken == [number, "GPU"]
