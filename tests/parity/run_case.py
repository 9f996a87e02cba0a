#!/usr/bin/env python3
"""Runs cases on the Caffe that this Python imports, and writes each one's arrays to OUT/NAME.npz.

Started by `parity` on either host. A case that raises leaves OUT/NAME.error, one that needs a layer
that this Caffe does not have leaves OUT/NAME.skip. OUT/running names the current case, which is the
cause if the process ends early (BVLC Caffe aborts it on most mistakes).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import sys
import traceback
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import run_chance  # noqa: E402
import run_deep  # noqa: E402
import run_files  # noqa: E402
import run_layer  # noqa: E402
import run_network  # noqa: E402
import run_solver  # noqa: E402
from cases import Case, all_cases  # noqa: E402
from host import Host  # noqa: E402


def impossible(host: Host, case: Case) -> dict:
    """What BVLC Caffe cannot run."""
    raise run_files.Skipped(case.settings["why"])


RUNNERS = {
    "layer": run_layer.run,
    "memory": run_layer.run_memory,
    "chance": run_chance.run,
    "solver": run_solver.run,
    "snapshot": run_files.snapshot,
    "resume": run_files.resume,
    "tool": run_files.tool,
    "read": run_files.read,
    "network_pass": run_network.one_pass,
    "network_run": run_network.run,
    "deep_forward": run_deep.forward,
    "deep_pass": run_deep.one_pass,
    "deep_layers": run_deep.layer_by_layer,
    "impossible": impossible,
}


def load_caffe(plugin: str):
    """pycaffe in CPU mode; ``plugin`` is the MAAP layers' library, empty for none."""
    import caffe

    if plugin:
        ctypes.CDLL(plugin, mode=ctypes.RTLD_GLOBAL)
    caffe.set_mode_cpu()
    return caffe


def missing_types(host: Host, case: Case) -> list[str]:
    return sorted(case.layer_types - set(host.caffe.layer_type_list()))


def run_one(host: Host, case: Case) -> None:
    missing = missing_types(host, case)
    if missing:
        (host.out / f"{case.name}.skip").write_text(f"not built: {', '.join(missing)}")
        return
    shutil.rmtree(host.out / "files" / case.name, ignore_errors=True)
    try:
        arrays = RUNNERS[case.kind](host, case)
    except run_files.Skipped as reason:
        (host.out / f"{case.name}.skip").write_text(str(reason))
        return
    except Exception:
        (host.out / f"{case.name}.error").write_text(traceback.format_exc())
        return
    part = host.out / f"{case.name}.part.npz"
    np.savez(part, **arrays)
    os.replace(part, host.out / f"{case.name}.npz")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--list", required=True, help="a file with one case's name a line")
    parser.add_argument("--out", required=True, type=Path, help="folder of the results")
    parser.add_argument("--host", required=True, help="name of this side")
    parser.add_argument("--files", required=True, type=Path, help="folder of the input files")
    parser.add_argument("--plugin", default="", help="library of the MAAP layers to load")
    parser.add_argument("--tools", default="", help="folder of convert_imageset and the others")
    parser.add_argument("--written", nargs="*", default=[], metavar="HOST=FOLDER")
    arguments = parser.parse_args()
    written = {name: Path(folder) for name, folder in (w.split("=", 1) for w in arguments.written)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    host = Host(
        arguments.host,
        load_caffe(arguments.plugin),
        arguments.files,
        arguments.out,
        arguments.tools,
        written,
    )
    cases = all_cases()
    for name in Path(arguments.list).read_text().split():
        (host.out / "running").write_text(name)
        run_one(host, cases[name])
    (host.out / "running").unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
