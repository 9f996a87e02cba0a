"""Are precompiled headers that are older than a source header removed before a build?"""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def drop(repo: Path) -> None:
    script = f". {ROOT}/tools/host/common.sh; maap_repo={repo}; drop_old_headers {repo}/build"
    subprocess.run(["bash", "-c", script], check=True)


def test_a_precompiled_header_goes_when_a_header_is_newer(tmp_path):
    header, compiled = tmp_path / "caffe/blob.hpp", tmp_path / "build/caffe/pch.hxx.gch"
    for path in (header, compiled):
        path.parent.mkdir(parents=True)
        path.write_text("")
    for folder in ("caffe_layers", "kernels", "tests/cpp"):
        (tmp_path / folder).mkdir(parents=True)
    source = tmp_path / "caffe/blob.cpp"
    source.write_text("")
    for path, time in ((header, 1000), (compiled, 2000), (source, 3000)):
        os.utime(path, (time, time))
    drop(tmp_path)
    assert compiled.exists(), "only a source is newer"
    os.utime(header, (4000, 4000))
    drop(tmp_path)
    assert not compiled.exists()


def test_a_new_build_has_none(tmp_path):
    for folder in ("caffe", "caffe_layers", "kernels", "tests/cpp"):
        (tmp_path / folder).mkdir(parents=True)
    drop(tmp_path)
