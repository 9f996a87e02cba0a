#!/usr/bin/env python3
"""What a batch costs the training loop that the feeder has prepared ahead.

    bench/feeder.py [--batch 16] [--crop 227] [--rounds 30] [--pause 0.25]

A data set of raw 256x256 images is fed with random crops, mirrored, the mean subtracted. The loop
pauses as long as an iteration of a network, so that the worker can prepare the next batches, and
then takes one; what is timed is the taking: a copy out of shared memory. Prints the least and the
median time, and beside them the same copy from ordinary memory.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from maap.data.feeder import Feeder, Transform
from maap.data.records import Record, encode_pixels, key_for
from maap.data.store import Split
from maap.data.write import begin, finish, write_split
from maap.util.text import times

MEAN = np.array([104.0, 117.0, 123.0], np.float32)
SIZE = 256
