"""The commands and files that the pages show, and how the tests run them.

A page's commands are the lines of its ```sh blocks; a block of another language with title="NAME"
is a file that its commands use. Each command is run as it stands in a folder that looks like a
checkout, after INSTEAD has made the long ones short; a few are only parsed, or not run, with the
reason.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DOCS = REPO / "docs"
PAGES = [
    "README.md", "docs/index.md", "docs/install.md", "docs/concepts/enhancement.md",
    "docs/concepts/elimination.md", "docs/concepts/run-folder.md", "docs/onnx.md",
    *sorted(str(path.relative_to(REPO)) for path in (DOCS / "tutorials").glob("*.md")),
]  # fmt: skip

_QUICK = " --batch 4 --max-iter 4 --phase2-iter 2 --snapshot 2 --image-size 64"
_TINY = "./maap train --net-dir tests/nets/tiny --data photos" + _QUICK

# The run that stands for one from published weights, and the two that continue or resemble it.
_BIRDS = f"{_TINY} --name birds"
_WEIGHTED = "./maap train alexnet --data photos --weights published"
_BASELINE = f"{_WEIGHTED} --variant baseline --name birds-baseline"
_REDUCE = f"{_WEIGHTED} --a-star reduce --phase1-from birds --name birds-reduce"

# What runs in place of a command: the same options on a tiny net and 68 images.
INSTEAD = {
    "./maap train alexnet": f"{_TINY} --name alexnet-maap-demo",
    "./maap train squeezenet": f"{_TINY} --name squeezenet-maap-demo",
    "./maap train alexnet --variant baseline": (
        f"{_TINY} --name alexnet-baseline-demo --variant baseline"
    ),
    "./maap train alexnet --a-star reduce --phase1-from alexnet-maap-demo --name demo-reduce": (
        f"{_TINY} --a-star reduce --phase1-from alexnet-maap-demo --name demo-reduce"
    ),
    "./maap train alexnet --data photos --max-iter 20 --phase2-iter 10 --name trial": (
        f"{_TINY} --name trial"
    ),
    _BASELINE: f"{_TINY} --variant baseline --name birds-baseline",
    _REDUCE: f"{_TINY} --a-star reduce --phase1-from birds --name birds-reduce",
    "./maap data folder photos --out data/photos --policy short-side": (
        "./maap data folder photos --out data/photos --policy short-side --size 64"
    ),
    "./maap train alexnet --data data/photos --name from-lmdb": (
        f"{_TINY} --name from-lmdb".replace("--data photos", "--data data/photos")
    ),
    "./maap train --net-dir mynet --data photos": (
        f"./maap train --net-dir mynet --data photos{_QUICK} --name from-readme"
    ),
    "./maap train --net-dir mynet --data photos --name mynet": (
        f"./maap train --net-dir mynet --data photos{_QUICK} --name mynet"
    ),
}

# What must have run before a command whose page does not show it.
_BOTH = ["./maap train alexnet", "./maap train alexnet --variant baseline"]
NEEDS = {
    "./maap train --resume birds": [_BIRDS],
    "./maap evaluate birds --crops 10 --out birds-tables": [_BIRDS],
    "./maap visualize bird.jpg --run birds": [_BIRDS],
    _REDUCE: [_BIRDS],
    "./maap train --resume alexnet-maap-demo": _BOTH[:1],
    "./maap report alexnet-maap-demo": _BOTH[:1],
    "./maap evaluate alexnet-maap-demo --phase 1 --component strongest --border 1": _BOTH[:1],
    "./maap export alexnet-maap-demo": _BOTH[:1],
    "./maap compare alexnet-maap-demo alexnet-baseline-demo": _BOTH,
}

# Commands that are read by the real command line, but not carried out.
_FETCHES = "downloads published weights"
ONLY_PARSED = {
    "./maap train alexnet --data photos --weights published": _FETCHES,
    "./maap train alexnet --data photos --weights published --name birds": _FETCHES,
    "./maap train vgg19 --data photos --weights published": _FETCHES,
    "./maap train resnet152 --data photos --weights published": _FETCHES,
    "./maap train alexnet --data CUB_200_2011.tgz --weights published": f"{_FETCHES}, needs CUB",
    "./maap table 1 --nets alexnet --seeds 1 --plan": "times AlexNet on the demo set",
}

# Commands that no test of this file runs.
_SETS_UP = "sets the machine up: tests/newcomer.sh"
_CONTAINER = "builds or runs the container: tests/container.sh"
_GPU_CONTAINER = "builds with CUDA, or needs a GPU"
NOT_RUN = {
    "git clone URL maap-caffe && cd maap-caffe": _SETS_UP,
    "./maap setup": _SETS_UP,
    "./maap test": "is what runs this test",
    "./maap --host bvlc train alexnet": "makes a Debian 11: tests/newcomer.sh",
    "./maap train --resume": "needs a run that was stopped: tests/python/test_train.py",
    "./maap docs": "serves until it is stopped; .ci/run builds the site",
    "docker build -t maap-caffe .": _CONTAINER,
    'docker run -v "$PWD:/workspace" maap-caffe train alexnet': _CONTAINER,
    'docker run -v "$PWD:/workspace" maap-caffe caffe train -solver my_solver.prototxt': _CONTAINER,
    "docker build -t maap-caffe:gpu --target gpu .": _GPU_CONTAINER,
    'docker run --gpus all -v "$PWD:/workspace" maap-caffe:gpu train alexnet': _GPU_CONTAINER,
    "docker save -o maap.tar maap-caffe:gpu": _GPU_CONTAINER,
    "apptainer build maap.sif docker-archive:maap.tar": "needs Apptainer",
    'apptainer run --nv --bind "$PWD:/workspace" --pwd /workspace maap.sif train alexnet': (
        "needs Apptainer and a GPU"
    ),
    "python3 -m venv ~/maap && . ~/maap/bin/activate": "writes to the home: tests/wheel.sh",
    "pip install -v .": "builds the engine: tests/container.sh",
    "pip install maap_caffe-*.whl": "needs the wheel: tests/wheel.sh",
    "tools/wheel": "builds the engine in a Debian of its own: tests/wheel.sh",
    "cmake -S . -B build && cmake --build build && cmake --install build": "builds the engine",
    "cmake -S . -B build -DMAAP_ENGINE=OFF -DMAAP_PLUGIN=ON -DCaffe_DIR=...": (
        "needs another Caffe: ./maap --host bvlc builds so"
    ),
    "cmake --build build": "the same",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title (the name of a file) or "", and its text."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    found = re.findall(
        r"^ *```(\w*)(?: +title=\"(.*?)\")? *\n(.*?)^ *```$", _text(page), re.S | re.M
    )
    return [Block(*parts) for parts in found]


def _text(page: str) -> str:
    return (REPO / page).read_text(encoding="utf-8")


def commands(block: Block) -> list[str]:
    """The lines of a block of commands, without comments; a line that ends in \\ continues."""
    joined = re.sub(r" *\\\n *", " ", block.text)
    lines = [re.sub(r" +# .*", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def all_commands() -> list[str]:
    return [c for page in PAGES for b in blocks(page) if b.language == "sh" for c in commands(b)]


# In place of the launcher, which would set up and build: its verbs on the engine under test.
_LAUNCHER = """#!/bin/bash
verb=$1; shift
case $verb in
  caffe) exec caffe "$@" ;;
  python) exec {python} "$@" ;;
  shell) exec bash "$@" ;;
  *) exec {python} -m maap "$verb" "$@" ;;
esac
"""


class Workplace:
    """A folder in which commands run; what ran once is not run again."""

    def __init__(self, folder: Path) -> None:
        import mini_data

        self.folder = folder
        for path in REPO.iterdir():
            if path.name not in ("maap", "runs", "data", ".git", ".cache"):
                (folder / path.name).symlink_to(path)
        launcher = folder / "maap"
        launcher.write_text(_LAUNCHER.format(python=sys.executable))
        launcher.chmod(0o755)
        mini_data.make(folder / "photos")
        shutil.copy(folder / "photos/test/class1/0.png", folder / "bird.jpg")
        shutil.copy(REPO / "tests/nets/other/squeeze_deploy.prototxt", folder / "NET.prototxt")
        self._solver()
        self._done: dict[str, str] = {}

    def _solver(self) -> None:
        """The my_solver.prototxt of the README: any that trains."""
        net = "name: 'n' layer { name: 'd' type: 'DummyData' top: 'd' top: 'l' dummy_data_param {"
        net += " shape { dim: 2 dim: 3 } shape { dim: 2 } } } layer { name: 'loss' bottom: 'd'"
        net += " type: 'SoftmaxWithLoss' bottom: 'l' top: 'loss' }"
        solver = "base_lr: 0.1 lr_policy: 'fixed' max_iter: 2 snapshot_after_train: false"
        solver += f" net_param {{ {net} }}"
        (self.folder / "my_solver.prototxt").write_text(solver)

    def write(self, block: Block) -> None:
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def run(self, command: str) -> str:
        """Runs a command, or what stands for it in INSTEAD; what it said, which is the text of the
        AssertionError when it failed."""
        for needed in NEEDS.get(command, []):
            self.run(needed)
        command = INSTEAD.get(command, command)
        if command in self._done:
            return self._done[command]
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self.folder,
            env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
        self._done[command] = done.stdout
        return done.stdout
