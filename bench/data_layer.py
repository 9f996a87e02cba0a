"""Measures how fast the Data layer delivers images, on the engine and on BVLC Caffe.

    python3 bench/data_layer.py [--build build/fork] [--rounds N] [--threads N]

Photographs of scikit-image, cut to 256 x 256, are stored in two LMDBs, as JPEGs and as pixels, and
go through one Data layer each: crop_size 227, mirror and mean_value while training. Both hosts
are started and take turns, so that a disturbance of the machine affects both. The best round
counts, since disturbances only make a round slower. It needs the BVLC host (tools/host/bvlc) and
the engine with pycaffe, built for the Python that runs this.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

REPO = Path(__file__).resolve().parents[1]
BATCH = 64
SIZE = 256
NET = """
layer {
  name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "%s" backend: LMDB batch_size: %d }
  transform_param {
    crop_size: 227 mirror: true mean_value: 104 mean_value: 117 mean_value: 123
  }
}
"""


def make_data(folder: Path) -> None:
    """Writes the two LMDBs and their nets; on the BVLC host, which has the tools for it."""
    import cv2
    import lmdb
    import skimage.data
    from caffe.proto import caffe_pb2

    photographs = Path(skimage.data.__file__).parent
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "retina.jpg", "ihc.png")
    cuts = []
    for name in names:
        image = cv2.imread(str(photographs / name))
        height, width = (n - SIZE for n in image.shape[:2])
        for part in range(16):
            y, x = height * (part // 4) // 3, width * (part % 4) // 3
            cuts.append(image[y : y + SIZE, x : x + SIZE])
    for kind in ("jpeg", "pixels"):
        source = folder / kind
        with lmdb.open(str(source), map_size=1 << 28) as env, env.begin(write=True) as txn:
            for i, cut in enumerate(cuts):
                datum = caffe_pb2.Datum(channels=3, height=SIZE, width=SIZE, label=i)
                if kind == "jpeg":
                    datum.encoded = True
                    quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
                    datum.data = cv2.imencode(".jpg", cut, quality)[1].tobytes()
                else:
                    datum.data = cut.transpose(2, 0, 1).tobytes()
                txn.put(b"%08d" % i, datum.SerializeToString())
        (folder / f"{kind}.prototxt").write_text(NET % (source, BATCH))


def serve(folder: Path) -> None:
    """On a host: answers "KIND BATCHES" on stdin with "WALL CPU" in seconds on stdout."""
    import caffe

    nets = {kind: None for kind in ("jpeg", "pixels")}
    print("ready", flush=True)
    for line in sys.stdin:
        kind, batches = line.split()
        if nets[kind] is None:
            nets[kind] = caffe.Net(str(folder / f"{kind}.prototxt"), caffe.TRAIN)
        net = nets[kind]
        for _ in range(6):  # batches that were prepared in advance
            net.forward()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(int(batches)):
            net.forward()
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


class Host:
    """A process that runs ``serve``."""

    def __init__(self, command: list[str], folder: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*command, __file__, "--serve", str(folder)],
            env={**os.environ, "GLOG_minloglevel": "2", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.read()

    def read(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            sys.exit("error: a host ended; its message is above")
        return line

    def ask(self, kind: str, batches: int) -> tuple[float, float]:
        """Seconds, and seconds of processor time, for this many batches."""
        self.process.stdin.write(f"{kind} {batches}\n")
        self.process.stdin.flush()
        wall, cpu = self.read().split()
        return float(wall), float(cpu)

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=REPO / "build" / "fork")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of the engine's layer; default: its own")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        return make_data(options.make)
    if options.serve:
        return serve(options.serve)

    bvlc = [*machine.bvlc(), "python3"]
    threads = {"CAFFE_DATA_THREADS": str(options.threads)} if options.threads else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([*bvlc, __file__, "--make", name], check=True)
        python_path = str(options.build.resolve() / "python")
        hosts = {
            "BVLC Caffe": Host(bvlc, folder),
            "the engine": Host([sys.executable], folder, PYTHONPATH=python_path, **threads),
        }
        load, rows = machine.Load(), []
        for kind, batches in (("jpeg", 10), ("pixels", 30)):
            images = batches * BATCH
            times = {host: [] for host in hosts}
            for _ in range(options.rounds):
                for host, process in hosts.items():
                    times[host].append(process.ask(kind, batches))
            rates = {}
            for host, measured in times.items():
                rates[host] = images / min(wall for wall, _ in measured)
                cpu = min(cpu for _, cpu in measured) / images
                print(f"{kind:6}  {host}: {rates[host]:6.0f} images/s, {cpu * 1e3:.2f} ms CPU each")
            faster = rates["the engine"] / rates["BVLC Caffe"]
            rows.append([kind, *(f"{rates[host]:.0f}" for host in hosts), f"{faster:.2f}"])
        for process in hosts.values():
            process.end()
        print(machine.line(load, options.threads or os.cpu_count() or 1))
        print(f"Images a second through a Data layer, best of {options.rounds} rounds:\n")
        print(machine.table(["stored as", *hosts, "times as fast"], rows))


if __name__ == "__main__":
    main()
