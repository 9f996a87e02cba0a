"""Writes caffe/proto/caffe.pb.h with the installed protoc, from the descriptor inside pycaffe."""

import argparse
import subprocess
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protoc", default="protoc")
    parser.add_argument("out", type=Path, help="include folder to write into")
    args = parser.parse_args()

    from caffe.proto import caffe_pb2

    files = FileDescriptorSet()
    caffe_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    # The name under which libcaffe's own code was generated; it determines the header's symbols.
    files.file[0].name = "caffe.proto"
    folder = args.out / "caffe" / "proto"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".desc") as descriptor:
        descriptor.write(files.SerializeToString())
        descriptor.flush()
        command = [args.protoc, f"--descriptor_set_in={descriptor.name}", f"--cpp_out={folder}"]
        subprocess.run([*command, files.file[0].name], check=True)
    # Only the header is used: the functions are in libcaffe.
    (folder / "caffe.pb.cc").unlink()


if __name__ == "__main__":
    main()
