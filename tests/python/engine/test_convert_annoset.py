"""Databases of images with boxes: python -m caffe.convert_annoset, and AnnotatedData on them."""

import subprocess
import sys
import warnings

import caffe
import cv2
import lmdb
import numpy as np
import pytest
from caffe import annotations, convert_annoset, get_image_size
from caffe.proto import caffe_pb2

LABEL_MAP = """item { name: "none_of_the_above" label: 0 display_name: "background" }
item { name: "cat" label: 1 display_name: "Cat" }
item { name: "dog" label: 2 display_name: "Dog" }
"""


def voc(height, width, objects):
    """A VOC annotation; objects are (name, difficult, xmin, ymin, xmax, ymax)."""
    text = "".join(
        f"<object><name>{name}</name><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        f"<difficult>{difficult}</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, difficult, x1, y1, x2, y2 in objects
    )
    return (
        f"<annotation><size><width>{width}</width><height>{height}</height></size>{text}"
        "</annotation>"
    )


def picture(height, width, seed):
    image = np.random.RandomState(seed).randint(0, 256, (height // 4 + 1, width // 4 + 1, 3))
    return cv2.resize(image.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def voc_folder(tmp_path):
    """Three images of several sizes, their annotations, a list and a label map."""
    objects = (
        [("dog", 0, 8, 6, 40, 30), ("cat", 1, 1, 1, 20, 36), ("dog", 0, 30, 10, 48, 35)],
        [("cat", 0, 0, 0, 60, 50)],
        [],
    )
    lines = []
    for number, ((height, width), found) in enumerate(zip([(36, 48), (50, 60), (40, 40)], objects)):
        ending = ("png", "jpg", "png")[number]
        cv2.imwrite(str(tmp_path / f"a b{number}.{ending}"), picture(height, width, number))
        (tmp_path / f"{number}.xml").write_text(voc(height, width, found))
        lines.append(f"a b{number}.{ending} {number}.xml")
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "map.prototxt").write_text(LABEL_MAP)
    return tmp_path


def convert(folder, *flags, out="db"):
    convert_annoset.main([*flags, str(folder), str(folder / "list.txt"), str(folder / out)])
    return read(folder / out)


def detection(folder):
    return ["--anno_type=detection", f"--label_map_file={folder}/map.prototxt"]


def read(path):
    environment = lmdb.open(str(path), readonly=True, lock=False)
    with environment, environment.begin() as transaction:
        return {
            key.decode(): caffe_pb2.AnnotatedDatum.FromString(value)
            for key, value in transaction.cursor()
        }


def boxes_of(record):
    return [
        (group.group_label, one.instance_id, one.bbox.difficult)
        + tuple(round(value, 5) for value in (one.bbox.xmin, one.bbox.ymin))
        + tuple(round(value, 5) for value in (one.bbox.xmax, one.bbox.ymax))
        for group in record.annotation_group
        for one in group.annotation
    ]


def test_records_of_voc(voc_folder):
    found = convert(voc_folder, *detection(voc_folder), "--encoded", "-check_label")
    assert list(found) == ["00000000_a b0.png", "00000001_a b1.jpg", "00000002_a b2.png"]
    first, second, third = found.values()
    assert all(record.type == caffe_pb2.AnnotatedDatum.BBOX for record in found.values())
    assert [g.group_label for g in first.annotation_group] == [2, 1]
    assert boxes_of(first) == [
        (2, 0, False, round(8 / 48, 5), round(6 / 36, 5), round(40 / 48, 5), round(30 / 36, 5)),
        (2, 1, False, round(30 / 48, 5), round(10 / 36, 5), 1.0, round(35 / 36, 5)),
        (1, 0, True, round(1 / 48, 5), round(1 / 36, 5), round(20 / 48, 5), 1.0),
    ]
    assert boxes_of(second) == [(1, 0, False, 0, 0, 1, 1)]
    assert not third.annotation_group
    for record, name in zip(found.values(), ("a b0.png", "a b1.jpg", "a b2.png")):
        assert record.datum.encoded and record.datum.data == (voc_folder / name).read_bytes()


def test_sizes_and_encodings(voc_folder):
    flags = detection(voc_folder)
    raw = convert(voc_folder, *flags, "--resize_height=20", "--resize_width", "30", "-check_size")
    assert [(r.datum.height, r.datum.width) for r in raw.values()] == [(20, 30)] * 3
    expected = cv2.resize(cv2.imread(str(voc_folder / "a b0.png")), (30, 20))
    first = next(iter(raw.values()))
    assert first.datum.data == expected.transpose(2, 0, 1).tobytes() and not first.datum.encoded
    sizes = convert(voc_folder, *flags, "--min_dim=20", "--max_dim=25", out="dims")
    assert [(r.datum.height, r.datum.width) for r in sizes.values()] == [
        (19, 25),
        (20, 24),
        (20, 20),
    ]
    gray = convert(
        voc_folder, *flags, "--gray", "--encoded=true", "--encode_type=png", "--noshuffle", out="g"
    )
    for record, name in zip(gray.values(), ("a b0.png", "a b1.jpg", "a b2.png")):
        image = cv2.imdecode(np.frombuffer(record.datum.data, np.uint8), cv2.IMREAD_UNCHANGED)
        wanted = cv2.imread(str(voc_folder / name), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(image, wanted) and record.datum.channels == 1
    shuffled = convert(voc_folder, *flags, "--shuffle", out="s")
    assert sorted(key[9:] for key in shuffled) == ["a b0.png", "a b1.jpg", "a b2.png"]


def test_txt_and_classification(voc_folder):
    for number, line in enumerate(["2 8 6 40 30\n\n1 1 1 20 36\n", "1 0 0 60 50", ""]):
        (voc_folder / f"{number}.xml").write_text(line)
    found = convert(voc_folder, "--anno_type=detection", "--label_type=txt")
    assert [len(boxes_of(record)) for record in found.values()] == [2, 1, 0]
    (voc_folder / "list.txt").write_text("a b0.png 7\n")
    (record,) = convert(voc_folder, out="classes").values()
    assert record.datum.label == 7 and not record.HasField("type")


def test_boxes_outside_are_cut(voc_folder):
    (voc_folder / "0.xml").write_text(
        voc(36, 48, [("cat", 0, -3, 5, 60, 30), ("dog", 0, 50, 5, 60, 30)])
    )
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = convert(voc_folder, *detection(voc_folder))
    first = next(iter(found.values()))
    assert boxes_of(first) == [(1, 0, False, 0, round(5 / 36, 5), 1, round(30 / 36, 5))]
    text = " ".join(str(one.message) for one in seen)
    assert "0.xml: a box leaves the image" in text and "has no area" in text


def test_missing_images_are_left_out(voc_folder, capsys):
    (voc_folder / "a b1.jpg").write_bytes(b"no image")
    assert len(convert(voc_folder, *detection(voc_folder))) == 2
    assert "a b1.jpg cannot be read" in capsys.readouterr().err
    with pytest.raises(ValueError, match="already exists"):
        convert(voc_folder, *detection(voc_folder))
    (voc_folder / "list.txt").write_text("none.png 0.xml\n")
    with pytest.raises(ValueError, match="none of the images"):
        convert(voc_folder, *detection(voc_folder), out="other")


@pytest.mark.parametrize(
    "content, message",
    [
        ("<annotation>", "not an XML file"),
        ("<other/>", "not in VOC's format"),
        (voc(30, 48, []), "an image of 48 x 30, but the image has 48 x 36"),
        (voc(36, 48, [("cow", 0, 1, 1, 5, 5)]), "an object 'cow'"),
        (voc(36, 48, [("cat", 0, "x", 1, 5, 5)]), "<xmin> of <bndbox> is 'x'"),
        (
            voc(36, 48, [("cat", 0, 1, 1, 5, 5)]).replace("xmax>", "xmx>"),
            "<bndbox> has no <xmax>",
        ),
        ("<annotation><object><name>cat</name></object></annotation>", "has no <bndbox>"),
    ],
)
def test_errors_of_annotations(voc_folder, content, message):
    path = voc_folder / "0.xml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        annotations.read_voc(path, {"cat": 1}, 36, 48)
    assert str(path) in str(caught.value)


def test_other_errors(voc_folder, capsys):
    path = voc_folder / "labels"
    path.write_text("1 2 3 4 5\n2 1 1\n")
    with pytest.raises(ValueError, match="labels, line 2: '2 1 1' is not"):
        annotations.read_txt(path, 36, 48)
    path.write_text("item { nam: 'x' }")
    with pytest.raises(ValueError, match="not a label map"):
        annotations.read_label_map(path)
    path.write_text("item { name: 'a' label: 1 } item { name: 'b' label: 1 }")
    assert annotations.read_label_map(path) == {"a": 1, "b": 1}
    with pytest.raises(ValueError, match="twice"):
        annotations.read_label_map(path, check=True)
    for flag, message in (
        ("--backend=leveldb", "leveldb is not built"),
        ("--label_type=json", "json is not built"),
        ("--anno_type=detection", "needs --label_map_file"),
        ("--encode_type=png", "needs --encoded"),
        ("--resize_height=3", "give both"),
        ("--min_dim=-3", "min_dim=-3 is below 0"),
        ("--shuffle=maybe", "invalid"),
    ):
        with pytest.raises(SystemExit):
            convert_annoset.main([flag, "root", "list", str(voc_folder / "x")])
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("corner", range(4))
def test_a_corner_that_is_nan(voc_folder, corner):
    """max and min of it would be a side of the image."""
    box = [1, 2, 30, 20]
    box[corner] = "nan"
    (voc_folder / "0.xml").write_text(voc(36, 48, [("cat", 0, *box)]))
    with pytest.raises(ValueError, match="0.xml: a box has the corners .*nan"):
        annotations.read_voc(voc_folder / "0.xml", {"cat": 1}, 36, 48)
    (voc_folder / "0.txt").write_text(" ".join(map(str, [1, *box])))
    with pytest.raises(ValueError, match="0.txt: a box has the corners .*nan"):
        annotations.read_txt(voc_folder / "0.txt", 36, 48)


@pytest.mark.parametrize("label", [-1, 2**31])
def test_labels_that_are_no_class(voc_folder, label):
    (voc_folder / "0.txt").write_text(f"{label} 1 2 30 20")
    with pytest.raises(ValueError, match=f"0.txt: an object has the label {label}"):
        annotations.read_txt(voc_folder / "0.txt", 36, 48)
    with pytest.raises(ValueError, match=f"0.xml: an object has the label {label}"):
        annotations.read_voc(voc_folder / "0.xml", {"dog": label, "cat": 0}, 36, 48)


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "shift_jis", "utf-16"])
def test_encodings_that_no_file_can_have(voc_folder, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?><annotation/>'
    (voc_folder / "0.xml").write_text(text)
    with pytest.raises(ValueError, match="0.xml is not an XML file"):
        annotations.read_voc(voc_folder / "0.xml", {"cat": 1}, 36, 48)


def test_a_byte_order_mark_and_text_that_is_none(voc_folder):
    path = voc_folder / "list.txt"
    path.write_text("\ufeff" + path.read_text(encoding="utf-8"), encoding="utf-8")
    convert(voc_folder, *detection(voc_folder))
    assert len(read(voc_folder / "db")) == 3
    path.write_bytes(b"a\xff 1")
    with pytest.raises(ValueError, match="list.txt is not text"):
        convert_annoset.read_list(path)
    with pytest.raises(ValueError, match="list.txt is not text"):
        annotations.read_txt(path, 36, 48)
    with pytest.raises(ValueError, match="list.txt is not text"):
        annotations.read_label_map(path)


@pytest.mark.parametrize("line", ["a b0.png missing.xml", "./" * 300 + "a b0.png 0.xml"])
def test_no_database_is_left_of_a_conversion_that_failed(voc_folder, line):
    """AnnotatedData would take it for a whole one."""
    before = sorted(voc_folder.iterdir())
    with (voc_folder / "list.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises((ValueError, OSError), match=r"missing.xml|too long for LMDB's keys"):
        convert(voc_folder, *detection(voc_folder))
    assert sorted(voc_folder.iterdir()) == before


def test_sizes_that_no_memory_holds(voc_folder):
    with pytest.raises(ValueError, match="a b0.png: cannot be resized to 1000000 x 1000000"):
        convert(
            voc_folder, *detection(voc_folder),
            "--resize_width=1000000", "--resize_height=1000000",
        )  # fmt: skip


def test_the_program(voc_folder):
    command = [sys.executable, "-m", "caffe.convert_annoset", *detection(voc_folder)]
    files = [str(voc_folder), str(voc_folder / "list.txt"), str(voc_folder / "db")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "A total of 3 images." in done.stdout and "Processed 3 files." in done.stdout
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: ")


# ---- AnnotatedData beside OpenCV ----------------------------------------------------------------


def load_batch(folder, transform, batch=3):
    text = f"""layer {{ name: "data" type: "AnnotatedData" top: "data" top: "label"
        data_param {{ source: "{folder}/db" batch_size: {batch} backend: LMDB }}
        annotated_data_param {{ label_map_file: "{folder}/map.prototxt" }}
        transform_param {{ {transform} }} }}"""
    (folder / "net.prototxt").write_text(text)
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    net.forward()
    return net.blobs["data"].data.copy(), net.blobs["label"].data.copy()


def images(folder):
    return [cv2.imread(str(folder / name)) for name in ("a b0.png", "a b1.jpg", "a b2.png")]


def test_annotated_data_resizes_as_opencv(voc_folder):
    convert(voc_folder, *detection(voc_folder), "--encoded")
    for mode, flag in (
        ("LINEAR", cv2.INTER_LINEAR),
        ("AREA", cv2.INTER_AREA),
        ("NEAREST", cv2.INTER_NEAREST),
        ("CUBIC", cv2.INTER_CUBIC),
        ("LANCZOS4", cv2.INTER_LANCZOS4),
    ):
        data, label = load_batch(
            voc_folder,
            f"resize_param {{ height: 30 width: 34 interp_mode: {mode} }} mean_value: 104 "
            "mean_value: 117 mean_value: 123 scale: 0.5",
        )
        for got, image in zip(data, images(voc_folder)):
            resized = cv2.resize(image, (34, 30), interpolation=flag).astype(np.float64)
            expected = ((resized - (104, 117, 123)) * 0.5).transpose(2, 0, 1)
            # Releases of OpenCV round some values of wide kernels by one level differently.
            exact = mode in ("LINEAR", "AREA", "NEAREST")
            assert np.abs(got - expected).max() <= (0 if exact else 0.5), mode
        assert label.shape == (1, 1, 4, 8)
        assert label[0, 0, :, :3].tolist() == [[0, 2, 0], [0, 2, 1], [0, 1, 0], [1, 1, 0]]
        assert np.allclose(label[0, 0, 0, 3:], [8 / 48, 6 / 36, 40 / 48, 30 / 36, 0])
        assert np.allclose(label[0, 0, 2, 3:], [1 / 48, 1 / 36, 20 / 48, 1, 1])


def test_annotated_data_fits_and_pads(voc_folder):
    convert(voc_folder, *detection(voc_folder))
    data, label = load_batch(
        voc_folder,
        "resize_param { resize_mode: FIT_LARGE_SIZE_AND_PAD height: 48 width: 48 pad_value: 9 }",
    )
    first = images(voc_folder)[0]  # 36 x 48: 6 rows above and below
    assert np.array_equal(data[0, :, 6:42], first.transpose(2, 0, 1))
    assert (data[0, :, :6] == 9).all() and (data[0, :, 42:] == 9).all()
    assert np.allclose(label[0, 0, 0, 3:7] * 48, [8, 12, 40, 36])


def test_an_error_leaves_no_database(voc_folder):
    (voc_folder / "2.xml").write_text(voc(40, 40, [("bird", 0, 1, 1, 5, 5)]))
    with pytest.raises(ValueError, match="2.xml has an object 'bird'"):
        convert(voc_folder, "--anno_type=detection", f"--label_map_file={voc_folder}/map.prototxt")
    assert not (voc_folder / "db").exists()


def test_the_sizes_of_a_list(voc_folder):
    arguments = [str(voc_folder), str(voc_folder / "list.txt"), str(voc_folder / "sizes.txt")]
    get_image_size.main(arguments)
    assert (voc_folder / "sizes.txt").read_text() == "a b0 36 48\na b1 50 60\na b2 40 40\n"
    (voc_folder / "ids.txt").write_text("a b0 7\na b1 11\na b2 5\n")
    get_image_size.main([f"-name_id_file={voc_folder}/ids.txt", *arguments])
    assert (voc_folder / "sizes.txt").read_text() == "7 36 48\n11 50 60\n5 40 40\n"
    (voc_folder / "ids.txt").write_text("a b0 7\n")
    with pytest.raises(ValueError, match="no line for 'a b1'"):
        get_image_size.main([f"--name_id_file={voc_folder}/ids.txt", *arguments])
    (voc_folder / "a b1.jpg").write_text("no image")
    with pytest.raises(ValueError, match="a b1.jpg cannot be read"):
        get_image_size.main(arguments)
