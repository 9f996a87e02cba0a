"""`maap`, whose rank 0 takes 5 s longer to write a snapshot, or cannot write it:

SNAPSHOT=slow|full python slow_snapshot.py train NET ...
"""

import os
import time

from maap.cli import main
from maap.errors import MaapError
from maap.host import ranks, supervise
from maap.runs.snapshots import Snapshots
from maap.training import train


def work(*args):
    """`maap.training.work.work`, in each rank."""
    from maap.training import work as original  # noqa: PLC0415  it loads Caffe

    write = Snapshots._write

    def written(self, *more):
        if ranks.first() and os.environ["SNAPSHOT"] == "slow":
            time.sleep(5)
        elif ranks.first():
            raise MaapError("the disk is full")
        write(self, *more)

    Snapshots._write = written
    return original.work(*args)


def call(target, *args, **how):
    assert target == "maap.training.work:work"
    return supervise.call("slow_snapshot:work", *args, **how)


if __name__ == "__main__":
    train.call = call
    main.main()
