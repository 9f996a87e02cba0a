"""What a training step asks of a GPU: launches, synchronisations, bytes, allocations, memory.

    MAAP_ENGINE_BUILD=build/shadow tools/engine/run python3 bench/gpu_counts.py
        [--batch N] [--nets alexnet,alexnet_laap,vgg19,resnet152] [--compute] [--iterations N]

The build is the preset shadow with -DMAAP_BENCH=ON. Counted on the shadow device (tests/shadow);
no GPU is used and nothing is timed. Without --compute nothing is computed either, so that a batch
of 64 takes seconds; the nets with Enhancement, which checks its values, then stop, and are left out
unless they are named. Prints one table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests" / "gpu"))
COLUMNS = {
    "launches": "kernels launched",
    "library_calls": "cuBLAS, cuDNN calls",
    "fills": "fills",
    "copies": "copies",
    "synchronisations": "synchronisations",
    "allocations": "allocations",
    "bytes_to_host": "bytes to the host",
    "bytes_to_device": "bytes to the device",
    "bytes_on_device": "bytes copied on the device",
}


def count(solver: Path, program: Path, iterations: int, compute: bool) -> dict:
    environment = {**os.environ, "SHADOW_COMPUTES": "1" if compute else "0"}
    environment.setdefault("SHADOW_MEMORY", str(200 << 30))
    done = subprocess.run(
        [str(program), solver.name, str(iterations)],
        cwd=solver.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"error: {solver.stem}: {done.stdout}{done.stderr[-3000:]}")
    return json.loads(done.stdout)


def main() -> int:
    import make_inputs

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--nets")
    parser.add_argument("--compute", action="store_true", help="compute, too")
    parser.add_argument("--iterations", type=int, default=4)
    options = parser.parse_args()
    if options.nets is None:
        nets = [n for n in make_inputs.NETS if options.compute or not n.endswith("laap")]
        options.nets = ",".join(nets)
    build = Path(os.environ.get("MAAP_ENGINE_BUILD", REPO / "build" / "shadow")).resolve()
    program = build / "bin" / "bench_gpu_counts"
    make_inputs.BATCH = options.batch
    print(f"The last of {options.iterations} training steps, batch {options.batch}:\n")
    print("| net | " + " | ".join(COLUMNS.values()) + " | device memory, MB |")
    print("|---|" + "---:|" * (len(COLUMNS) + 1))
    with tempfile.TemporaryDirectory() as folder:
        make_inputs.write_nets(Path(folder))
        for net in options.nets.split(","):
            solver = Path(folder) / f"{net}_solver.prototxt"
            found = count(solver, program, options.iterations, options.compute)
            last = found["iterations"][-1]
            cells = [f"{last[key]:,}" for key in COLUMNS]
            print(f"| {net} | " + " | ".join(cells) + f" | {found['memory_peak'] / 1e6:,.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
