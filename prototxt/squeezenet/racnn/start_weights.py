#!/usr/bin/env python3
"""Gives both scales of RA-CNN the weights of one SqueezeNet.

python prototxt/squeezenet/racnn/start_weights.py squeezenet.caffemodel start.caffemodel
"""

import argparse

import caffe

FINE = "fine_"  # before the names of the second scale's layers


def doubled(weights: str) -> "caffe.proto.caffe_pb2.NetParameter":
    """The layers of a file of weights, and each once more under its name in the second scale.

    Raises caffe.CaffeError where the file holds no weights.
    """
    net = caffe.io.read_weights(weights)
    for layer in list(net.layer):
        again = net.layer.add()
        again.CopyFrom(layer)
        again.name = FINE + layer.name
    return net


def main() -> None:
    """Read, double, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", help="SqueezeNet v1.1's, as a .caffemodel")
    parser.add_argument("out")
    args = parser.parse_args()
    with open(args.out, "wb") as file:
        file.write(doubled(args.weights).SerializeToString())


if __name__ == "__main__":
    main()
