"""What an installed wheel must do; run by tests/wheel.sh in a folder of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

SOLVER = 'net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 20 display: 10 type: "SGD"'
NET = """
layer { name: "data" type: "DummyData" top: "x" top: "y" dummy_data_param {
  shape { dim: 8 dim: 3 dim: 16 dim: 16 } shape { dim: 8 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "enhance" type: "Enhancement" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "y" top: "loss" }
"""
PROGRAMS = """caffe classification compute_image_mean convert_cifar_data convert_imageset
convert_mnist_data convert_mnist_siamese_data extract_features upgrade_net_proto_binary
upgrade_net_proto_text upgrade_solver_proto_text""".split()


def main() -> None:
    quiet = {"GLOG_minloglevel": "2"}
    os.environ.update(quiet)
    start = time.monotonic()
    import caffe

    imported = time.monotonic() - start
    folder = Path(caffe.__file__).parent
    for name in PROGRAMS:
        done = subprocess.run([name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert "error while loading" not in done.stdout, done.stdout
    prototxt = next((folder.parent / "maap" / "prototxt").glob("alexnet/deploy.prototxt"))
    net = caffe.Net(str(prototxt), caffe.TEST)
    net.forward()
    from caffe import dnn

    assert dnn.readNetFromCaffe(str(prototxt)).getLayerNames()
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)
    command = ["caffe", "train", "-solver", "solver.prototxt"]
    heard = {name: value for name, value in os.environ.items() if name not in quiet}
    done = subprocess.run(command, env=heard, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and "Optimization Done" in done.stderr, done.stderr[-2000:]
    licences = list(folder.parent.glob("maap_caffe-*.dist-info/licenses/libraries/*"))
    libraries = list(folder.parent.glob("maap_caffe.libs/*"))
    assert len(licences) > 20 and len(libraries) > 20, (licences, libraries)
    size = sum(f.stat().st_size for f in [*folder.rglob("*"), *libraries] if f.is_file())
    print(f"import caffe {imported:.2f} s; {len(libraries)} libraries, {size >> 20} MB unpacked")


if __name__ == "__main__":
    sys.exit(main())
