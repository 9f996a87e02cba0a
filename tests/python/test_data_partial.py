"""Parts of published sets: taken with a warning when allowed; contradictions are never taken."""

import shutil

import pytest
from data_fakes import picture, save
from maap.config.fields import TrainConfig
from maap.data import find
from maap.data.importers.cub import import_cub
from maap.data.store import Dataset
from maap.errors import MaapError
from test_data_cub import CLASSES, SMALL, cut_line, make_2011, rewrite

COUNTS = (
    r"it lists 10 images \(6 training, 4 test\) of 2 classes, where 11,788 \(5,994, 5,794\) of 200 "
)


def test_other_counts_are_an_error_that_names_the_option(tmp_path):
    with pytest.raises(MaapError, match=COUNTS + "are expected; .*maap data cub .*--allow-partial"):
        import_cub(make_2011(tmp_path / "cub"), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_part_is_imported_with_a_warning(tmp_path, capsys):
    dataset = import_cub(make_2011(tmp_path / "cub"), tmp_path / "set", size=64, allow_partial=True)
    said = capsys.readouterr().out
    assert f"warning: {tmp_path / 'cub'}: Not the whole CUB-200-2011: it lists 10 images" in said
    assert "classes have no image" not in said
    assert len(dataset.split("train")) == 6 and len(dataset.split("test")) == 4
    assert dataset.note.startswith("Not the whole CUB-200-2011: ")
    assert dataset.note.endswith("of 200 were published.")
    assert dataset.manifest["source"]["partial"] is True


def test_a_whole_set_is_not_called_a_part(tmp_path, capsys):
    dataset = import_cub(
        make_2011(tmp_path / "cub"), tmp_path / "set", 64, expected=SMALL, allow_partial=True
    )
    assert "warning" not in capsys.readouterr().out
    assert dataset.note == "" and "partial" not in dataset.manifest["source"]


def test_classes_without_images_are_left_out(tmp_path, capsys):
    root = make_2011(tmp_path / "cub")
    (root / "classes.txt").write_text(
        f"0 000.Nobody\n1 {CLASSES[0]}\n5 005.Nobody_Else\n2 {CLASSES[1]}\n"
    )
    dataset = import_cub(root, tmp_path / "set", 64, allow_partial=True)
    assert "2 classes have no image and are left out" in capsys.readouterr().out
    assert dataset.classes == ["Black footed Albatross", "Dodo"]
    for split in (dataset.split("train"), dataset.split("test")):
        for record in split.records:
            assert record.label == (record.path.startswith(CLASSES[1]))


def drop_training(root):
    """No training image of the second class is left in any list."""
    for name in ("images", "image_class_labels", "train_test_split", "bounding_boxes"):
        lines = (root / f"{name}.txt").read_text().splitlines(True)
        (root / f"{name}.txt").write_text("".join(lines[:5] + lines[8:]))


def name_twice(root):
    rewrite(root, "images.txt", "bird_0002.jpg", "bird_0001.jpg")


def swap_image(root):
    """An image too small for its box, as from another copy."""
    save(root / "images" / CLASSES[0] / "bird_0003.jpg", picture(3, 12, 30))


CONTRADICTIONS = [
    (lambda r: cut_line(r, "image_class_labels.txt"), "image_class_labels.txt lacks image 10"),
    (lambda r: cut_line(r, "images.txt"), "has image 10, which images.txt lacks .1 such images"),
    (lambda r: cut_line(r, "classes.txt"), "has class 2, but classes.txt has only 1"),
    (
        lambda r: rewrite(r, "train_test_split.txt", "4 0", "4 x"),
        "image 4 .*has 'x', which is neither 1",
    ),
    (lambda r: shutil.rmtree(r / "images" / CLASSES[1]), "5 of 10 images are missing"),
    (name_twice, "bird_0001.jpg more than once"),
    (drop_training, "class 'Dodo' has no training image"),
    (swap_image, r"bird_0003.jpg: its box \(20, 10, 60, 30\) does not lie on the image of 30 x 12"),
    (
        lambda r: rewrite(r, "bounding_boxes.txt", "7 20.0 10.0 40.0 20.0", "7 20.0 10.0 0.0 9.0"),
        "bird_0007.jpg: its box .* does not lie on the image",
    ),
    (
        lambda r: rewrite(r, "bounding_boxes.txt", "7 20.0 10.0", "7 90.0 10.0"),
        "bird_0007.jpg: its box .* does not lie on the image",
    ),
]


@pytest.mark.parametrize("damage, words", CONTRADICTIONS)
def test_contradictions_are_refused_in_any_case(tmp_path, damage, words):
    root = make_2011(tmp_path / "cub")
    damage(root)
    with pytest.raises(MaapError, match=words) as error:
        import_cub(root, tmp_path / "set", 64, allow_partial=True)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["cub"]


def test_a_box_over_the_edge_is_clipped(tmp_path):
    root = make_2011(tmp_path / "cub")
    rewrite(root, "bounding_boxes.txt", "4 20.0 10.0 40.0 20.0", "4 70.0 10.0 20.0 20.0")
    dataset = import_cub(root, tmp_path / "set", 64, expected=SMALL)
    (record,) = [r for r in dataset.split("test").records if "bird_0004" in r.path]
    assert record.box[0] == 56.0 and record.box[2] == 64.0


def test_training_takes_a_part_only_when_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = str(make_2011(tmp_path / "cub"))
    with pytest.raises(MaapError, match="maap train --allow-partial-data"):
        find.find_data(root, 64)
    folder = find.find_data(root, 64, allow_partial=True)
    assert Dataset.open(folder).manifest["source"]["partial"]
    with pytest.raises(MaapError, match="Not the whole .* Give --allow-partial-data"):
        find.find_data(root, 64)  # found in the cache
    assert find.find_data(root, 64, allow_partial=True) == folder
    assert find.find_data(str(folder), 64) == folder  # a data set that was made on purpose
    config = TrainConfig(data=root, image_size=64, allow_partial_data=True)
    assert find.data_for(config)[1].folder == folder
    with pytest.raises(MaapError, match="--allow-partial-data"):
        find.data_for(TrainConfig(data=root, image_size=64, allow_partial=True))  # of weights
