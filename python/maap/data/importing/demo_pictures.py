"""The demo sets' pictures: real cut-outs on real photographs, in CUB-200-2011's layout.

Each class is one cut-out; each image places it, scaled, turned, flipped and with other light, on a
random part of a photograph, in front of other cut-outs if the set has clutter. Training and test
images use different photographs and clutter, so a network that learns the backgrounds gains
nothing. The boxes are exact, because they come from the transformed alpha mask. Every image depends
on (seed, split, class, number) alone.

Here are the birds of the demo set; `demo_hard_pictures` has those of the harder one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from maap.data.importers import cub
from maap.data.importing import demo_sources
from maap.errors import MaapError
from maap.images import pixels
from maap.util import progress

NOTE = (
    "The demo set shows bird cut-outs on photographs; every species is one cut-out, and training "
    "and test images use different photographs. "
    "It shows localisation and robustness to background; it says nothing about CUB accuracy: "
    "it has no variety of pose or of individuals, and no fine differences between species."
)

# most different from one another first
SPECIES = (
    "crow",
    "hen",
    "owl",
    "rainbow-lorikeet",
    "vulture",
    "pigeon",
    "tucan",
    "penguin",
    "peacock",
    "pink_flamingo",
    "duck",
    "turkey",
    "pelican",
    "lark",
    "helmeted_guineafowl",
    "adelaide-rosella",
    "rooster",
    "crowned_crane",
    "ostrich",
    "magpie",
    "quetzal",
    "seagull",
    "little-penguin",
    "nandou",
    "gander",
    "cuckoo",
    "chicken_profile",
    "heron_greatblue",
    "drake",
    "magellanic_penguin",
    "guineafowl",
    "silver-gull",
    "blackbird",
    "heron_greatblue_flying",
)
TRAIN_PHOTOGRAPHS = (
    "astronaut.png",
    "coffee.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "grass.png",
    "brick.png",
    "hubble_deep_field.jpg",
    "coins.png",
)
TEST_PHOTOGRAPHS = ("chelsea.png", "rocket.jpg", "camera.png", "gravel.png", "moon.png")


@dataclass(frozen=True)
class Look:
    """How much the images vary; ranges are (least, most), drawn evenly.

    side: the image's width and height, each, in pixels. bird: the cut-out's longer side as a share
    of the image's shorter one. area: instead of bird, the share of the image that the cut-out's
    rectangle would cover if it were not turned, its logarithm drawn evenly, so that small ones are
    as frequent as large ones; one that does not fit becomes smaller. turn: degrees either way.
    light, colour: factors 1 - x to 1 + x on brightness and contrast, and on each colour channel, of
    the cut-outs. background: the side of the part taken from a photograph, as a share of the
    largest that fits. gamma: of the background. blur: most blur of the background, standard
    deviation in pixels. pieces: how many other cut-outs lie on the background.
    piece: as bird, of these."""

    side: tuple[int, int] = (300, 400)
    bird: tuple[float, float] = (0.5, 0.85)
    area: Optional[tuple[float, float]] = None
    turn: float = 15.0
    light: float = 0.15
    colour: float = 0.05
    background: tuple[float, float] = (0.4, 1.0)
    gamma: tuple[float, float] = (0.7, 1.4)
    blur: float = 1.5
    pieces: tuple[int, int] = (0, 0)
    piece: tuple[float, float] = (0.1, 0.3)


LOOK = Look()


@dataclass(frozen=True)
class Pictures:
    """The cut-outs of a set. folder: what `demo_sources.cutouts` returned. classes: the path of
    each one's cut-out in it, without .png, of every class that the set can have. clutter: the paths
    of what may lie on the backgrounds, for "train" and "test". most: pixels of a cut-out's longer
    side; a larger one is made smaller when it is read, so that drawing takes less time."""

    folder: Path
    classes: Sequence[str]
    clutter: dict[str, Sequence[str]] = field(default_factory=dict)
    most: Optional[int] = None

    def read(self, name: str) -> np.ndarray:
        cutout = read_cutout(self.folder / f"{name}.png")
        rows, columns = cutout.shape[:2]
        scale = (self.most or max(rows, columns)) / max(rows, columns)
        if scale >= 1.0:
            return cutout
        whole = (max(2, round(columns * scale)), max(2, round(rows * scale)))
        return cv2.resize(cutout, whole, interpolation=cv2.INTER_AREA)


def make_layout(
    root: Path,
    pictures: Pictures,
    *,
    seed: int,
    classes: Sequence[str],
    counts: dict[str, int],
    look: Look,
    note: str = NOTE,
) -> None:
    """Write the images and lists of ``classes``, some of ``pictures.classes``, into ``root`` in
    CUB-200-2011's layout.

    ``counts`` are the images per class for "train" and "test"; ``note`` goes into the NOTICE.
    """
    cv2.setNumThreads(1)
    backgrounds = {
        "train": _read_all(demo_sources.photographs(list(TRAIN_PHOTOGRAPHS))),
        "test": _read_all(demo_sources.photographs(list(TEST_PHOTOGRAPHS))),
    }
    clutter = {split: list(map(pictures.read, names)) for split, names in pictures.clutter.items()}
    lists: dict[str, list[str]] = {name: [] for name in cub.LISTS}
    with progress.track("draw demo images", len(classes) * sum(counts.values())) as bar:
        for label, name in enumerate(sorted(classes, key=_title), start=1):
            title = _title(name)
            folder = f"{label:03d}.{title}"
            lists["classes.txt"].append(f"{label} {folder}")
            (root / "images" / folder).mkdir(parents=True)
            cutout = pictures.read(name)
            number = 0
            for split, count in enumerate(("train", "test")):
                for index in range(counts[count]):
                    random = np.random.RandomState(
                        [seed & 0xFFFFFFFF, split, pictures.classes.index(name), index]
                    )
                    image, box = compose(
                        random, cutout, backgrounds[count], look, clutter.get(count, [])
                    )
                    number += 1
                    path = f"{folder}/{title}_{number:04d}.jpg"
                    (root / "images" / path).write_bytes(pixels.to_jpeg(image, 95))
                    _list_image(lists, path, label, count, box)
                    bar.advance()
    for name, lines in lists.items():
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_notice(root / "NOTICE", pictures.folder, note)


def _list_image(
    lists: dict[str, list[str]], path: str, label: int, split: str, box: tuple[int, ...]
) -> None:
    identity = len(lists["images.txt"]) + 1
    x1, y1, x2, y2 = box
    lists["images.txt"].append(f"{identity} {path}")
    lists["image_class_labels.txt"].append(f"{identity} {label}")
    lists["train_test_split.txt"].append(f"{identity} {int(split == 'train')}")
    lists["bounding_boxes.txt"].append(f"{identity} {x1:.1f} {y1:.1f} {x2 - x1:.1f} {y2 - y1:.1f}")


def _title(name: str) -> str:
    """ "animals/birds/rainbow-lorikeet" as "Rainbow_Lorikeet"."""
    words = name.rpartition("/")[2].replace("-", "_").split("_")
    return "_".join(word.capitalize() for word in words)


def _read_all(paths: dict[str, Path]) -> list[np.ndarray]:
    with pixels.quiet():  # libpng remarks on the colour profiles of some
        return [pixels.read(path, orient=False) for path in paths.values()]


def read_cutout(path: Path) -> np.ndarray:
    """A cut-out as (H, W, 4) float32, BGR premultiplied with alpha, alpha 0 to 1; empty rims cut
    off."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        raise MaapError(
            f"{path} is not a picture with transparency: remove {path.parent} and try again"
        )
    cutout = image.astype(np.float32)
    cutout[..., 3] /= 255.0
    cutout[..., :3] *= cutout[..., 3:]
    x1, y1, x2, y2 = alpha_box(cutout[..., 3])
    return np.ascontiguousarray(cutout[y1:y2, x1:x2])


def alpha_box(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 (half-open) around the pixels that are at least half opaque."""
    solid = alpha >= 0.5
    columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def compose(
    random: np.random.RandomState,
    cutout: np.ndarray,
    backgrounds: list[np.ndarray],
    look: Look,
    clutter: Sequence[np.ndarray] = (),
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """One image: (H, W, 3) uint8 BGR and the cut-out's box x1, y1, x2, y2 on it (half-open
    pixels)."""
    width, height = random.randint(look.side[0], look.side[1] + 1, 2)
    scene = _background(random, backgrounds[random.randint(len(backgrounds))], width, height, look)
    if clutter:
        pieces = replace(look, bird=look.piece, area=None)
        for _ in range(random.randint(look.pieces[0], look.pieces[1] + 1)):
            _paste(random, scene, clutter[random.randint(len(clutter))], pieces)
    box = _paste(random, scene, cutout, look)
    return np.clip(np.rint(scene), 0, 255).astype(np.uint8), box


def _paste(
    random: np.random.RandomState, scene: np.ndarray, cutout: np.ndarray, look: Look
) -> tuple[int, int, int, int]:
    """Draws the cut-out somewhere on the scene, whole; returns its box."""
    height, width = scene.shape[:2]
    placed = _turn(random, cutout, (width, height), look)
    placed[..., :3] = _relight(random, placed[..., :3], placed[..., 3:], look)
    left = random.randint(0, width - placed.shape[1] + 1)
    top = random.randint(0, height - placed.shape[0] + 1)
    part = scene[top : top + placed.shape[0], left : left + placed.shape[1]]
    part *= 1.0 - placed[..., 3:]
    part += placed[..., :3]
    x1, y1, x2, y2 = alpha_box(placed[..., 3])
    return left + x1, top + y1, left + x2, top + y2


def _background(
    random: np.random.RandomState, photograph: np.ndarray, width: int, height: int, look: Look
) -> np.ndarray:
    """A random part of a photograph at (height, width), float32."""
    rows, columns = photograph.shape[:2]
    scale = min(columns / width, rows / height) * random.uniform(*look.background)
    part_width, part_height = max(8, int(width * scale)), max(8, int(height * scale))
    left = random.randint(0, columns - part_width + 1)
    top = random.randint(0, rows - part_height + 1)
    part = photograph[top : top + part_height, left : left + part_width]
    if random.randint(2):
        part = part[:, ::-1]
    if random.randint(2):
        part = part[::-1]
    part = cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_LINEAR)
    sigma = random.uniform(0.0, look.blur)
    if sigma > 0.3:
        part = cv2.GaussianBlur(part, (0, 0), sigma)
    gamma = random.uniform(*look.gamma)
    return (255.0 * (part / 255.0) ** gamma).astype(np.float32)


def _turn(
    random: np.random.RandomState, cutout: np.ndarray, scene: tuple[int, int], look: Look
) -> np.ndarray:
    """The cut-out flipped or not, scaled and turned, its empty rims cut off; not larger than the
    scene (width, height)."""
    flip = bool(random.randint(2))
    angle = random.uniform(-look.turn, look.turn)
    if flip:
        cutout = cutout[:, ::-1]
    rows, columns = cutout.shape[:2]
    if look.area is None:
        scene = (min(scene), min(scene))
        scale = random.uniform(*look.bird) * scene[0] / max(rows, columns)
    else:
        share = np.exp(random.uniform(*np.log(look.area)))
        area = share * scene[0] * scene[1]
        scale = min((area / (rows * columns)) ** 0.5, scene[0] / columns, scene[1] / rows)
    if scale < 1.0:  # averaging first keeps thin legs
        whole = (max(2, int(round(columns * scale))), max(2, int(round(rows * scale))))
        cutout = cv2.resize(np.ascontiguousarray(cutout), whole, interpolation=cv2.INTER_AREA)
        rows, columns = cutout.shape[:2]
        scale = 1.0
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), angle, scale)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    box = int(columns * cosine + rows * sine) + 3, int(columns * sine + rows * cosine) + 3
    matrix[:, 2] += (box[0] - columns) / 2, (box[1] - rows) / 2
    turned = cv2.warpAffine(np.ascontiguousarray(cutout), matrix, box, flags=cv2.INTER_LINEAR)
    turned[turned[..., 3] < 0.02] = 0.0
    x1, y1, x2, y2 = alpha_box(turned[..., 3])
    turned = turned[y1:y2, x1:x2]
    shrink = min(1.0, scene[0] / turned.shape[1], scene[1] / turned.shape[0])
    if shrink < 1.0:
        whole = (int(turned.shape[1] * shrink), int(turned.shape[0] * shrink))
        turned = cv2.resize(turned, whole, interpolation=cv2.INTER_AREA)
    return np.array(turned)


def _relight(
    random: np.random.RandomState, colours: np.ndarray, alpha: np.ndarray, look: Look
) -> np.ndarray:
    """Other brightness, contrast and colour balance; ``colours`` are premultiplied."""
    brightness, contrast = random.uniform(1.0 - look.light, 1.0 + look.light, 2)
    balance = random.uniform(1.0 - look.colour, 1.0 + look.colour, 3).astype(np.float32)
    grey = 110.0 * alpha
    lit = ((colours - grey) * contrast + grey) * brightness * balance
    return np.clip(lit, 0.0, 255.0 * alpha)


def _write_notice(path: Path, cutouts: Path, note: str) -> None:
    parts = [
        "The images in this folder are composites made by `maap data demo`.",
        f"Cut-outs: Debian package {demo_sources.PACKAGE} (Tux Paint stamps).",
        "Backgrounds: photographs distributed with scikit-image (see skimage/data/README.txt and "
        "its "
        f"documentation): {', '.join(TRAIN_PHOTOGRAPHS)} (training); "
        f"{', '.join(TEST_PHOTOGRAPHS)} (test).",
        note,
    ]
    text = "\n".join(parts) + "\n"
    if (cutouts / "copyright").is_file():
        text += "\nCopyright file of the cut-outs' package:\n\n"
        text += (cutouts / "copyright").read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
