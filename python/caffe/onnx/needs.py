"""The two optional packages: onnx writes and reads files, onnxruntime runs them."""

from __future__ import annotations

from typing import Any

HOW = "pip install onnx onnxruntime (in a checkout: ./maap python -m pip ...)"

try:
    import onnx
    import onnx.helper
    import onnx.numpy_helper
    import onnx.shape_inference
except ImportError as error:
    raise ImportError(f"caffe.onnx needs the package onnx: {HOW} ({error})") from None


def runtime() -> Any:
    """The module onnxruntime. Raises ImportError that says how to install it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"running the file needs the package onnxruntime: {HOW} ({error})"
        ) from None
    return onnxruntime


__all__ = ["onnx", "runtime"]
