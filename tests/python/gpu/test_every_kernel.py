"""Every functor that the sources run on a GPU has run on the shadow device, in some C++ test."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from gpu_functors import gpu_functors

# What no C++ test reaches yet: a loss of so many items that it is added in pieces, and the random
# numbers that a caller of caffe_gpu_rng_* gets.
NOT_YET = {"AddPieces", "Bernoulli", "Bits"}
KERNELS = os.environ.get("SHADOW_KERNELS", "")


@pytest.mark.skipif(not KERNELS or not Path(KERNELS).exists(), reason="no C++ tests ran before")
def test_every_functor_ran():
    ran = set(Path(KERNELS).read_text().splitlines())
    names = {name for line in ran for name in re.findall(r"\w+", line)}
    wanted = gpu_functors()
    assert len(wanted) > 60
    missing = {name: file for name, file in wanted.items() if name not in names}
    assert {name: file for name, file in missing.items() if name not in NOT_YET} == {}
