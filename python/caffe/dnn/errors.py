"""The exception of caffe.dnn, which programs catch as cv2.error or as caffe.CaffeError."""

import cv2

from .._caffe import CaffeError


class error(CaffeError, cv2.error):  # noqa: N801 - OpenCV's name
    """What OpenCV would raise as ``cv2.error``; also a ``caffe.CaffeError``."""
