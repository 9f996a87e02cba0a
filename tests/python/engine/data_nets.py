"""Small nets that read data, with the files they read: four images, whose labels are 0 to 3.

Every pixel of image i has the value 10 * i.
"""

from pathlib import Path

import cv2
import h5py
import lmdb
import numpy as np
from caffe.proto import caffe_pb2

SIZE = 6
BATCH = 2

_TYPES = {
    "Data": 'data_param {{ source: "{folder}/lmdb" backend: LMDB batch_size: 2 '
    "prefetch: {prefetch} }}",
    "ImageData": 'image_data_param {{ source: "{folder}/list.txt" batch_size: 2 }} '
    "data_param {{ prefetch: {prefetch} }}",
    "WindowData": "transform_param {{ crop_size: 6 }} "
    'window_data_param {{ source: "{folder}/windows" batch_size: 2 fg_fraction: 1 }} '
    "data_param {{ prefetch: {prefetch} }}",
    "HDF5Data": 'hdf5_data_param {{ source: "{folder}/h5.txt" batch_size: 2 }}',
}
PREFETCHING = ["Data", "ImageData", "WindowData"]


def images() -> np.ndarray:
    return np.stack([np.full((SIZE, SIZE, 3), 10 * i, np.uint8) for i in range(4)])


def write(folder: Path) -> Path:
    """Writes the data for all types; returns the folder."""
    with lmdb.open(str(folder / "lmdb"), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for i, image in enumerate(images()):
            datum = caffe_pb2.Datum(
                channels=3,
                height=SIZE,
                width=SIZE,
                data=image.transpose(2, 0, 1).tobytes(),
                label=i,
            )
            txn.put(b"%04d" % i, datum.SerializeToString())
    windows, lines = [], []
    for i, image in enumerate(images()):
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), image)
        lines.append(f"{path} {i}\n")
        windows.append(f"# {i}\n{path}\n3\n{SIZE}\n{SIZE}\n1\n1 0.9 0 0 {SIZE - 1} {SIZE - 1}\n")
    (folder / "list.txt").write_text("".join(lines))
    (folder / "windows").write_text("".join(windows))
    with h5py.File(folder / "h5", "w") as file:
        file["data"] = images().transpose(0, 3, 1, 2).astype(np.float32)
        file["label"] = np.arange(4, dtype=np.float32)
    (folder / "h5.txt").write_text(f"{folder / 'h5'}\n")
    return folder


def net(kind: str, folder: Path, prefetch: int = 3, suffix: str = "") -> str:
    """data and label from a layer of this type, and y = 2 data; the suffix is that of all names."""
    param = _TYPES[kind].format(folder=folder, prefetch=prefetch)
    text = f"""
layer {{ name: "data" type: "{kind}" top: "data" top: "label" {param} }}
layer {{ name: "y" type: "Power" bottom: "data" top: "y" power_param {{ scale: 2 }} }}
layer {{ name: "s" type: "Silence" bottom: "label" }}
"""
    for name in ("data", "label", "y", "s"):
        text = text.replace(f'"{name}"', f'"{name}{suffix}"')
    return text
