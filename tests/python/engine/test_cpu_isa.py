"""What hides AVX-512 from OpenBLAS, which chooses its code when it is loaded."""

import os
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[3] / "tools" / "engine" / "run"


@pytest.mark.parametrize(
    "setting, core, seen",
    [(None, None, ""), ("AVX2", None, "Haswell"), ("AVX2", "Zen", "Zen"), (None, "Zen", "Zen")],
)
def test_one_variable_hides_avx512_from_openblas_too(setting, core, seen):
    asked = {"CAFFE_CPU_ISA": setting, "OPENBLAS_CORETYPE": core}
    environment = {name: value for name, value in os.environ.items() if name not in asked}
    environment.update({name: value for name, value in asked.items() if value is not None})
    done = subprocess.run(
        [RUN, "sh", "-c", 'echo "$OPENBLAS_CORETYPE"'],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        universal_newlines=True,
    )
    assert done.stdout.strip() == seen
