"""compute-sanitizer on the MAAP kernels and on some of the engine's tests."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

from bundle import Bundle
from outcome import fault, judge, not_run, part_of

#: Layers whose kernels are the engine's own and share memory between threads, in float on a GPU.
FEW_TESTS = (
    "ChannelsLastJoined.*:ChannelsLastTest/0.*:BatchNormChain/2.*:BatchNormLayerTest/2.*:"
    "SoftmaxLayerTest/2.*:SoftmaxWithLossLayerTest/2.*:UnpoolingLayerTest/2.*:CtcLossLayerTest/2.*:"
    "WarpCTCLossLayerTest/2.*"
)
KERNELS = ("gpu_layers", "--short")
LAYERS = ("engine_tests", "--gtest_filter=" + FEW_TESTS)
#: The engine checks the errors of CUDA's functions itself, and tries what may fail.
RUNS = (
    ("memcheck", (), KERNELS),
    ("racecheck", (), KERNELS),
    ("memcheck", ("--report-api-errors", "no"), LAYERS),
    ("racecheck", (), LAYERS),
)
#: Lines that say what is wrong: of the sanitizer, which may be ended before its summary, and of
#: the tests.
FAULTS = re.compile(r"^(?:=+ (?=Invalid|Misaligned|Error:)|(?=\[  FAILED  \] \w+[./]))(.*)$", re.M)
#: With less it is not begun: to start takes that long.
LEAST_SECONDS = 5


def check_sanitizer(bundle: Bundle, deadline: float) -> dict[str, Any]:
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not Path(program).exists():
        return {"good": True, "output": "not run: there is no compute-sanitizer here"}
    start = time.monotonic()
    rows = []
    for i, (tool, options, command) in enumerate(RUNS):
        left = part_of(start, deadline, i, len(RUNS)) - time.monotonic()
        row = not_run()
        if left >= LEAST_SECONDS:
            row = sanitize(bundle, [program, "--tool", tool, *options], command, left)
        rows.append({"tool": tool, "program": command[0], **row})
    output = "\n".join(f"{row['tool']}, {row['program']}: {row['output']}" for row in rows)
    return {**judge(rows), "rows": rows, "output": output}


def sanitize(
    bundle: Bundle, sanitizer: list[str], command: tuple[str, ...], limit: float
) -> dict[str, Any]:
    program = str(bundle.folder / "bin" / command[0])
    call = [*sanitizer, "--error-exitcode", "9", program, *command[1:]]
    with bundle.training() as folder:
        done = bundle.start(*call, timeout=limit, cwd=folder)
    text = done.stdout + done.stderr
    if "Device not supported" in text:
        return {"good": True, "output": "not supported on this machine"}
    said = [line for line in text.splitlines() if "ERROR SUMMARY" in line or "hazards" in line]
    output = "; ".join(line.strip("= ") for line in said)
    if done.returncode == 0:
        return {"good": True, "output": output}
    found = FAULTS.findall(text)
    if done.returncode == 124 and not found:
        return fault(done, limit, done.stderr)
    what = "; ".join([f"exit status {done.returncode}", *found[:3], *[output] * bool(output)])
    return {"good": False, "output": "FAILED: " + (what if found or output else text[-600:])}
