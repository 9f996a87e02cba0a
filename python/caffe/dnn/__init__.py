"""caffe.dnn: the interface of OpenCV 4's dnn module, for Caffe nets.

OpenCV 5 no longer reads Caffe's files. A program that used it changes one import:

    from caffe import dnn  # was: from cv2 import dnn

    net = dnn.readNetFromCaffe("deploy.prototxt", "net.caffemodel")
    net.setInput(dnn.blobFromImage(image, 1.0, (227, 227), (104, 117, 123)))
    scores = net.forward()

Names, arguments and results are OpenCV's. Errors are ``caffe.dnn.error``, which is both a
``cv2.error`` and a ``caffe.CaffeError``.
"""

from .blobs import blobFromImage, blobFromImages, imagesFromBlob
from .boxes import (
    SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN,
    SOFT_NMSMETHOD_SOFTNMS_LINEAR,
    NMSBoxes,
    NMSBoxesBatched,
    SoftNMSMethod_SOFTNMS_GAUSSIAN,
    SoftNMSMethod_SOFTNMS_LINEAR,
    softNMSBoxes,
)
from .constants import *  # noqa: F403
from .errors import error
from .models import ClassificationModel, DetectionModel, Model, SegmentationModel
from .net import Layer, Net, readNet, readNetFromCaffe

__all__ = [  # noqa: PLE0604
    "ClassificationModel",
    "DetectionModel",
    "Layer",
    "Model",
    "NMSBoxes",
    "NMSBoxesBatched",
    "Net",
    "SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN",
    "SOFT_NMSMETHOD_SOFTNMS_LINEAR",
    "SegmentationModel",
    "SoftNMSMethod_SOFTNMS_GAUSSIAN",
    "SoftNMSMethod_SOFTNMS_LINEAR",
    "blobFromImage",
    "blobFromImages",
    "error",
    "imagesFromBlob",
    "readNet",
    "readNetFromCaffe",
    "softNMSBoxes",
]
