"""Layers that read data, with every setting of transform_param that draws no random number."""

from __future__ import annotations

from .case import Case, layer

BYTES, FLOATS, GRAY = "bytes_lmdb", "floats_lmdb", "gray_lmdb"
ENCODED, MIXED = "encoded_lmdb", "mixed_lmdb"  # the latter in colour and gray
EXACT = ("*/data/*",)
MEAN = 'mean_file: "@FILES@/mean.binaryproto" '
LABELLED = ("data", "label")


def lmdb(
    name: str, source: str, transform: str = "", batch: int = 4, tops=LABELLED, **more
) -> Case:
    data = more.pop("data", "")
    body = f'data_param {{ source: "@FILES@/{source}" backend: LMDB batch_size: {batch} {data} }}'
    if transform:
        body += f"\n  transform_param {{ {transform} }}"
    more.setdefault("iterations", 3)
    net = layer("Data", body, (), tops)
    return Case(name, "Data", net=net, backward=False, **more)


def databases() -> list[Case]:
    plain = {"exact": EXACT}
    crop = {"phase": "TEST", **plain}
    values = "mean_value: 104 mean_value: 117 mean_value: 123 "
    return [
        lmdb("data", BYTES, **plain),
        lmdb("data_test_phase", BYTES, **crop),
        lmdb("data_no_label", BYTES, tops=("data",), **plain),
        lmdb("data_one_at_a_time", BYTES, batch=1, iterations=12, **plain),
        lmdb("data_more_than_all", BYTES, batch=23, **plain),
        lmdb("data_prefetch", BYTES, data="prefetch: 1", **plain),
        lmdb("data_gray", GRAY, **plain),
        lmdb("data_floats", FLOATS, **plain),
        lmdb("data_floats_scale_crop", FLOATS, "scale: 0.5 crop_size: 5", phase="TEST"),
        lmdb("data_encoded", ENCODED, **plain),
        lmdb("data_encoded_crop", ENCODED, "crop_size: 7", **crop),
        lmdb("data_encoded_forced", ENCODED, data="force_encoded_color: true", **plain),
        lmdb("data_encoded_mean_value", ENCODED, "mean_value: 99 scale: 2"),
        lmdb("data_encoded_gray", MIXED, "force_gray: true", **plain),
        lmdb("data_encoded_color", MIXED, "force_color: true", **plain),
        lmdb("data_scale", BYTES, "scale: 0.017"),
        lmdb("data_mean_value", BYTES, "mean_value: 110.5"),
        lmdb("data_mean_values", BYTES, values),
        lmdb("data_mean_values_scale", BYTES, values + "scale: 0.00390625"),
        lmdb("data_mean_file", BYTES, MEAN),
        lmdb("data_mean_file_scale_crop", BYTES, MEAN + "scale: 0.1 crop_size: 5", phase="TEST"),
        lmdb("data_mean_values_crop", BYTES, values + "crop_size: 4", phase="TEST"),
        lmdb("data_crop_odd", BYTES, "crop_size: 5", **crop),
        lmdb("data_crop_even", BYTES, "crop_size: 6", **crop),
        lmdb("data_crop_height", BYTES, "crop_size: 8", **crop),
    ]


def images(name: str, body: str = "", transform: str = "", **more) -> Case:
    source = 'source: "@FILES@/images.txt" root_folder: "@FILES@/"'
    text = f"image_data_param {{ {source} {body} }}"
    if transform:
        text += f"\n  transform_param {{ {transform} }}"
    more.setdefault("iterations", 4)
    net = layer("ImageData", text, (), LABELLED)
    return Case(name, "ImageData", net=net, backward=False, **more)


def image_files() -> list[Case]:
    plain, size = {"exact": EXACT}, "batch_size: 4 new_height: 11 new_width: 13 "
    return [
        images("image", "batch_size: 1", iterations=7, **plain),
        images("image_resized", size, **plain),
        images("image_enlarged", "batch_size: 3 new_height: 40 new_width: 37", **plain),
        images("image_gray", size + "is_color: false", **plain),
        images("image_crop", size, "crop_size: 9", phase="TEST", **plain),
        images("image_mean_scale", size, "mean_value: 100 scale: 0.25"),
        images("image_mean_values", size, "mean_value: 104 mean_value: 117 mean_value: 123"),
        Case(
            "image_list_of_its_own",
            "ImageData",
            net=layer("ImageData", 'image_data_param { source: "@OUT@/list.txt" }', (), LABELLED),
            backward=False,
            settings={"texts": {"list.txt": "@FILES@/images/a.png 7\n@FILES@/images/a.png -3\n"}},
            iterations=3,
            exact=EXACT,
        ),
    ]


def hdf5_files() -> list[Case]:
    def hdf5(name, tops, batch, files=("one", "two"), iterations=5):
        body = f'hdf5_data_param {{ source: "@OUT@/list.txt" batch_size: {batch} }}'
        texts = {"list.txt": "".join(f"@FILES@/{file}.h5\n" for file in files)}
        net = layer("HDF5Data", body, (), tops)
        more = {"backward": False, "exact": EXACT, "settings": {"texts": texts}}
        return Case(name, "HDF5Data", net=net, iterations=iterations, **more)

    return [
        hdf5("hdf5", LABELLED, 2),
        hdf5("hdf5_across_files", LABELLED, 3),
        hdf5("hdf5_one_file", LABELLED, 3, ("two",)),
        hdf5("hdf5_more_than_all", LABELLED, 11, iterations=2),
        hdf5("hdf5_types", ("double", "whole", "label"), 4),
    ]


def memory() -> list[Case]:
    def case(name, batch, rows, iterations):
        sizes = f"batch_size: {batch} channels: 2 height: 3 width: 4"
        net = layer("MemoryData", f"memory_data_param {{ {sizes} }}", (), LABELLED)
        more = {"backward": False, "exact": EXACT, "settings": {"rows": rows}}
        return Case(name, "MemoryData", "memory", net, iterations=iterations, **more)

    return [case("memory", 4, 4, 2), case("memory_several_batches", 4, 12, 5)]


def cases() -> list[Case]:
    return databases() + image_files() + hdf5_files() + memory()
