"""Was this process started as one of several ranks, and how does one start ranks on this machine?

A rank is a process that trains together with others. ``mpirun`` (Open MPI, MPICH, Intel MPI),
``srun`` and ``flux run`` start them and say in the environment which one a process is. With
``--ranks N`` the command starts ``mpirun`` itself (`crew.py`). Nothing heavy is imported here.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from maap.errors import MaapError

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of CPU time in so many
PACKAGES = "openmpi-bin libopenmpi-dev"  # of Debian and Ubuntu


@dataclass(frozen=True)
class Place:
    """Which of ``size`` ranks a process is. size 0: the launcher does not say how many there are,
    and it may be one; MPI knows (`ranks.join`)."""

    rank: int
    size: int

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files and speaks to the user."""
        return self.rank == 0

    @property
    def count(self) -> str:
        """How many there are, in words."""
        return str(self.size) if self.size else "several"


# Names of (rank, ranks) by launcher, in the order of the engine's (caffe/parallel/mpi.cpp).
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),  # MVAPICH
    ("PMI_RANK", "PMI_SIZE"),  # MPICH and those made from it
    ("FLUX_TASK_RANK", "FLUX_JOB_SIZE"),
    # A batch script has SLURM_PROCID and SLURM_NTASKS too, but is one process: srun alone has
    # SLURM_STEP_NUM_TASKS.
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("PMIX_RANK", ""),  # says no number
)
# What a launcher tells its processes, which another launcher must not read; and what in it is a
# setting of the user's.
_INHERITED = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_LOCAL", "HYDRA_", "CAFFE_RANKS")
_OF_THE_USER = ("OMPI_MCA_btl", "OMPI_MCA_pml", "OMPI_MCA_mpi_", "PMIX_MCA_", "CAFFE_RANKS_TIMEOUT")


def launched(environment: Mapping[str, str] = os.environ) -> Optional[Place]:
    """The place of this process among the ranks that a launcher started; None: it is alone, or
    CAFFE_RANKS=off says that it has nothing to do with the others."""
    if environment.get("CAFFE_RANKS") == "off":
        return None
    for rank, size in _LAUNCHERS:
        found = _number(environment, rank), _number(environment, size) if size else 0
        if found[0] is not None and found[1] is not None:
            return Place(*found) if found[1] != 1 else None
    return None


def _number(environment: Mapping[str, str], name: str) -> Optional[int]:
    text = environment.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None


def usable_cores() -> int:
    """The cores that this process may use: those that it is bound to or, if that is less, its
    container's share of them (the quota of a cgroup, rounded up)."""
    bound = len(os.sched_getaffinity(0))
    try:
        quota, period = map(int, _QUOTA.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # "max 100000": no limit
        return bound
    return min(bound, max(1, -(-quota // period)))


def threads_each(ranks: int = 1) -> int:
    """CPU threads of each of ``ranks`` that are to be started here, where nobody says: the usable
    cores divided by them, at least 1."""
    return max(1, usable_cores() // ranks)


def need_ranks(ranks: int, host: Optional[str] = None) -> None:
    """Raises MaapError where ``ranks`` processes cannot be started, or are not those that a
    launcher has started."""
    place = launched()
    if place is not None and ranks not in (1, place.size):
        raise MaapError(
            f"--ranks {ranks}, but this process is one of {place.count} that mpirun or srun "
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
