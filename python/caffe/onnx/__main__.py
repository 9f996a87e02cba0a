"""python -m caffe.onnx: see ``caffe.onnx.main``."""

from ..program import run
from .main import main

run(main)
