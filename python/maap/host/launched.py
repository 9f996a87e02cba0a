"""Was this process started as one of several ranks, and how does one start ranks on this machine?

A rank is a process that trains together with others. ``mpirun`` (Open MPI, MPICH, Intel MPI) and
``srun`` start them and say in the environment which one a process is. With ``--ranks N`` the
command starts ``mpirun`` itself (`crew.py`). Nothing heavy is imported here.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from maap.errors import MaapError

PACKAGES = "openmpi-bin libopenmpi-dev"  # of Debian and Ubuntu


@dataclass(frozen=True)
class Place:
    """Which of ``size`` ranks a process is, and which of the ``local_size`` on its machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files and speaks to the user."""
        return self.rank == 0


# Names of (rank, ranks, rank on this machine, ranks on this machine) by launcher.
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK",
     "MV2_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    # A batch script has SLURM_PROCID and SLURM_NTASKS too, but is one process: srun alone has
    # SLURM_STEP_NUM_TASKS.
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""),
)  # fmt: skip
# What a launcher tells its processes, which another launcher must not read; and what in it is a
# setting of the user's.
_INHERITED = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_LOCAL", "HYDRA_", "CAFFE_RANKS")
_OF_THE_USER = ("OMPI_MCA_btl", "OMPI_MCA_pml", "OMPI_MCA_mpi_")


def launched(environment: Mapping[str, str] = os.environ) -> Optional[Place]:
    """The place of this process among the ranks that a launcher started; None: it is alone, or
    CAFFE_RANKS=off says that it has nothing to do with the others."""
    if environment.get("CAFFE_RANKS") == "off":
        return None
    for rank, size, local_rank, local_size in _LAUNCHERS:
        found = _numbers(environment, rank, size)
        if found is None or found[1] < 2:
            continue
        near = _numbers(environment, local_rank, local_size) or _near_slurm(environment, *found)
        return Place(*found, *near)
    return None


def _numbers(environment: Mapping[str, str], *names: str) -> Optional[tuple[int, int]]:
    try:
        first, second = (int(environment[name]) for name in names)
    except (KeyError, ValueError):
        return None
    return first, second


def _near_slurm(environment: Mapping[str, str], rank: int, size: int) -> tuple[int, int]:
    """(rank, ranks) on this machine. Slurm lists tasks by machine: "4(x2),3"."""
    try:
        local, node = int(environment["SLURM_LOCALID"]), int(environment["SLURM_NODEID"])
        counts: list[int] = []
        for part in environment["SLURM_STEP_TASKS_PER_NODE"].split(","):
            count, _, times = part.rstrip(")").partition("(x")
            counts += [int(count)] * int(times or 1)
        return local, counts[node]
    except (KeyError, ValueError, IndexError):
        return rank, size  # as if there were one machine


def threads_each(ranks: int = 1) -> int:
    """CPU threads of a rank where nobody says: the cores that this process may use, divided by the
    ranks on this machine, at least 1. ``ranks``: how many are to be started here."""
    place = launched()
    near = place.local_size if place is not None else ranks
    return max(1, len(os.sched_getaffinity(0)) // near)


def need_ranks(ranks: int, host: Optional[str] = None) -> None:
    """Raises MaapError where ``ranks`` processes cannot be started, or are not those that a
    launcher has started."""
    place = launched()
    if place is not None and ranks not in (1, place.size):
        raise MaapError(
            f"--ranks {ranks}, but this process is one of {place.size} that mpirun or srun "
            "started: leave --ranks out, the launcher says how many there are"
        )
    if place is None and ranks == 1:
        return
    if (host or os.environ.get("MAAP_HOST")) == "bvlc":
        raise MaapError(
            "several ranks need the engine of this repository: BVLC Caffe trains in one process; "
            "use --host fork, or one rank"
        )
    if place is None and shutil.which("mpirun") is None:
        raise MaapError(
            f"--ranks {ranks} needs mpirun, which is not installed: apt-get install {PACKAGES} "
            "(Debian, Ubuntu), and build the engine again so that it finds MPI"
        )


def mpirun(ranks: int, command: list[str]) -> tuple[list[str], dict[str, str]]:
    """The command line that starts ``ranks`` processes of ``command`` on this machine, and its
    environment: more ranks than cores are allowed, none is bound to a core, and root may do it.

    What an MPI does not know in the environment it ignores, so the command line is that of any.
    """
    own = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_OF_THE_USER) or not name.startswith(_INHERITED)
    }
    return ["mpirun", "-n", str(ranks), *command], {**own, **_SETTINGS}


_SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
}


def stay_silent() -> None:
    """From now on, nothing that this process prints is seen: another rank says the same."""
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
