"""Cases with random numbers: the hosts draw different ones, so the distribution is compared."""

from __future__ import annotations

from .case import Case, layer, shape_text

SHAPE = (20, 30, 4, 5)
FILLERS = {
    # name: filler, mean, standard deviation, least, greatest (None: no bound)
    "gaussian": ("mean: 0.5 std: 2", 0.5, 2.0, None, None),
    "uniform": ("min: -1 max: 3", 1.0, 4 / 12**0.5, -1.0, 3.0),
    "xavier": ("", 0.0, (1 / 600) ** 0.5, -((3 / 600) ** 0.5), (3 / 600) ** 0.5),
    "xavier_fan_out": (
        "variance_norm: FAN_OUT",
        0.0,
        (1 / 400) ** 0.5,
        -((3 / 400) ** 0.5),
        (3 / 400) ** 0.5,
    ),
    "msra": ("", 0.0, (2 / 600) ** 0.5, None, None),
    "msra_average": ("variance_norm: AVERAGE", 0.0, (2 / 500) ** 0.5, None, None),
}


def case(name: str, check: str, net: str = "", **settings) -> Case:
    return Case(
        name,
        "Distributions",
        kind="chance",
        net=net,
        phase=settings.pop("phase", "TRAIN"),
        exact=("*",),
        settings={"check": check, **settings},
    )


def ramp(transform: str, batch: int = 100) -> str:
    """Every image is the same 8 x 9 ramp, so that a crop shows its position."""
    data = f'data_param {{ source: "@FILES@/ramp_lmdb" backend: LMDB batch_size: {batch} }}'
    return layer("Data", f"{data} transform_param {{ {transform} }}", (), ("data",))


def dropout(ratio: float) -> str:
    shape = layer("Input", f"input_param {{ {shape_text((50, 400))} }}", (), ("x",), "x")
    body = f"dropout_param {{ dropout_ratio: {ratio} }}"
    return "force_backward: true\n" + shape + layer("Dropout", body)


def shuffled(kind: str, body: str) -> str:
    return layer(kind, body, (), ("data", "label"))


def cases() -> list[Case]:
    images = 'source: "@FILES@/images.txt" root_folder: "@FILES@/" new_height: 6 new_width: 6'
    hdf5 = 'hdf5_data_param { source: "@OUT@/list.txt" batch_size: 9 shuffle: true }'
    two = {"list.txt": "@FILES@/one.h5\n@FILES@/two.h5\n"}
    out = [
        case("chance_crop", "crops", ramp("crop_size: 6")),
        case("chance_crop_mirror", "crops", ramp("crop_size: 6 mirror: true"), mirror=True),
        case(
            "chance_mirror_test",
            "crops",
            ramp("crop_size: 6 mirror: true"),
            mirror=True,
            central=True,
            phase="TEST",
        ),
        *(
            case(f"chance_dropout_{ratio}", "dropout", dropout(ratio), ratio=ratio)
            for ratio in (0.2, 0.5, 0.9)
        ),
        case(
            "chance_image_shuffle",
            "shuffle",
            shuffled("ImageData", f"image_data_param {{ {images} batch_size: 6 shuffle: true }}"),
        ),
        case("chance_hdf5_shuffle", "shuffle", shuffled("HDF5Data", hdf5), texts=two),
    ]
    for name, (text, mean, deviation, least, greatest) in FILLERS.items():
        filler = f'data_filler {{ type: "{name.split("_")[0]}" {text} }}'
        net = layer("DummyData", f"dummy_data_param {{ {shape_text(SHAPE)} {filler} }}", (), ("y",))
        more = {"mean": mean, "deviation": deviation, "least": least, "greatest": greatest}
        out.append(case(f"chance_filler_{name}", "filler", net, **more))
    ball = f'dummy_data_param {{ {shape_text(SHAPE)} data_filler {{ type: "positive_unitball" }} }}'
    out.append(case("chance_filler_unitball", "unitball", layer("DummyData", ball, (), ("y",))))
    return out
