"""The program ``caffe`` inside of Python, for nets with layers in Python.

``caffe train -solver FILE`` continues here by itself if a net of the solver has such layers
(tools/python_layers.cpp).
"""

import ctypes
import os
import signal
from pathlib import Path

_LIBRARY = Path(__file__).with_name("libcaffe_command.so")


def run(arguments: list[str]) -> int:
    """Runs ``caffe`` with an argv, the program's name first; returns its exit status.

    Once for each process, by its main thread: the signals that Python handles or ignores get back
    the actions that they have in a program in C, before `caffe train` sets its own.
    """
    for name in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        if name != signal.SIGINT or signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, signal.SIG_DFL)
    library = ctypes.CDLL(str(_LIBRARY))
    encoded = [os.fsencode(argument) for argument in arguments]
    argv = (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)
    return library.caffe_main(len(encoded), argv)
