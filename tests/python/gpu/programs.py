"""The caffe command in tests: run it in a folder, read its log."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path


def run_caffe(folder: Path, *words: str, **environment: str) -> str:
    """`caffe WORDS` in `folder`; its log, all of it. Fails the test if the command fails."""
    settings = {**os.environ, "GLOG_logtostderr": "1", **environment}
    settings.pop("GLOG_minloglevel", None)
    done = subprocess.run(
        ["caffe", *words], cwd=folder, env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def losses(log: str) -> list[float]:
    """The losses that a training displayed."""
    return [float(v) for v in re.findall(r"Iteration \d+ \(?.*loss = (\S+)", log)]
