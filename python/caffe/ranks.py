"""Processes that work together, which mpirun or srun started.

    from caffe import ranks

    group = ranks.world()           # None without mpirun
    if group is not None:
        texts = group.gather(f"rank {group.rank}".encode())

docs/ranks.md describes training with several ranks.
"""

from __future__ import annotations

import os

from ._caffe import Communicator, world_communicator

__all__ = ["Communicator", "world"]


def world() -> Communicator | None:
    """The processes that MPI's launcher started together with this one.

    All of them must call it once, before they make a solver; later calls wait for nobody. It sets
    ``caffe.solver_count``, ``solver_rank`` and ``multiprocess`` for the calling thread. If
    ``OMP_NUM_THREADS`` is not set, the ranks that may use the same cores share them. Ranks other
    than 0 log errors only. When a process ends, it waits for the others; its own children are not
    ranks.

    Returns:
        None if there is no launcher, or one process only; or with ``CAFFE_RANKS=off`` in the
        environment. The same object in every call.

    Raises:
        CaffeError: the launcher started several processes, but they cannot be joined: the build
            has no MPI, or another MPI than the launcher's.
    """
    group = world_communicator()
    if group is not None:
        os.environ["CAFFE_RANKS"] = "off"  # for children, which inherit Python's copy
    return group
