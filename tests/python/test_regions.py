"""Thresholds, components and boxes against scikit-image, on 10,000 random and adversarial maps."""

import multiprocessing
import zlib
from collections.abc import Iterator
from typing import Callable

import numpy as np
import pytest
from maap.errors import MaapError
from maap.host import loader
from maap.images.region_options import RegionOptions
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.transform import resize

Size = tuple[int, int]
Maker = Callable[[np.random.RandomState, Size], np.ndarray]


def noise(rng: np.random.RandomState, size: Size) -> np.ndarray:
    return rng.rand(*size)


def smooth(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """A few Gaussian bumps, as attention maps look."""
    y, x = np.mgrid[: size[0], : size[1]]
    total = np.zeros(size)
    for _ in range(rng.randint(1, 5)):
        cy, cx = rng.rand(2) * size
        total += rng.rand() * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (1 + rng.rand() * 30))
    return 1 / (1 + np.exp(-total))


def flat(rng: np.random.RandomState, size: Size) -> np.ndarray:
    return np.full(size, rng.randn())


def two_valued(rng: np.random.RandomState, size: Size) -> np.ndarray:
    return np.where(rng.rand(*size) < rng.rand(), *rng.randn(2))


def few_levels(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """Values on the edges of bins (k/256, k/4, ...) and on their centres (k/512)."""
    levels = rng.choice([2, 3, 4, 8, 256, 512])
    return rng.randint(0, levels + 1, size) / levels


def one_pixel(rng: np.random.RandomState, size: Size) -> np.ndarray:
    single = np.zeros(size)
    single[rng.randint(size[0]), rng.randint(size[1])] = rng.choice([-1.0, 1.0, 1e-6])
    return single


def equal_blobs(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """Several components of one area: the first in raster order counts."""
    blobs = np.zeros(size)
    step, side = rng.randint(3, 6), rng.randint(1, 3)
    for y in range(rng.randint(2), size[0] - side, step):
        for x in range(rng.randint(3), size[1] - side, step):
            blobs[y : y + side, x : x + side] = 1
    return blobs


def checkerboard(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """One component by its corners alone."""
    y, x = np.indices(size) // rng.randint(1, 4)
    return (y + x) % 2 * rng.rand()


def stripes(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """Parallel lines; diagonal ones touch by corners."""
    y, x = np.indices(size)
    direction = [y, x, y + x, y - x, 2 * y + x][rng.randint(5)]
    return (direction % rng.randint(2, 6) == 0).astype(float)


def spiral(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """One long line wound around itself, with a gap now and then."""
    lines = np.zeros(size)
    top, left, bottom, right = 0, 0, size[0] - 1, size[1] - 1
    while top <= bottom and left <= right:
        lines[top, left : right + 1] = 1
        lines[top : bottom + 1, right] = 1
        lines[bottom, left : right + 1] = 1
        lines[top + 2 : bottom + 1, left] = 1
        if top + 2 <= bottom and left + 1 <= right:
            lines[top + 2, left : left + 2] = 1
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    return lines * (rng.rand(*size) > rng.choice([0.0, 0.02]))


def comb(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """Teeth that meet only in the last row, or only in the first."""
    teeth = np.zeros(size)
    teeth[:, :: rng.randint(2, 4)] = 1
    teeth[rng.choice([0, -1])] = 1
    return teeth


def nested_vs(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """V shapes in each other: late unions of many components."""
    y, x = np.indices(size)
    return ((y + abs(x - size[1] // 2)) % rng.randint(2, 5) == 0) * rng.choice([1.0, -1.0])


def gradient(rng: np.random.RandomState, size: Size) -> np.ndarray:
    y, x = np.indices(size)
    return y * rng.randn() + x * rng.randn() + rng.randn() * 100


def last_bits(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """Neighbouring floats only."""
    return 0.5 + rng.randint(0, 3, size) * 2.0**-24


def huge_range(rng: np.random.RandomState, size: Size) -> np.ndarray:
    return rng.randn(*size) * 10.0 ** rng.randint(-30, 30, size)


def denormals(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """Whole multiples of the smallest float."""
    return rng.randint(-3, 4, size) * 2.0**-149 * rng.choice([1, 70])


def far_apart(rng: np.random.RandomState, size: Size) -> np.ndarray:
    """A range that no float can hold."""
    return (rng.randint(0, 9, size) / 4 - 1) * float(np.finfo(np.float32).max)


MAKERS: list[Maker] = [
    noise, smooth, flat, two_valued, few_levels, one_pixel, equal_blobs, checkerboard, stripes,
    spiral, comb, nested_vs, gradient, last_bits, huge_range, denormals, far_apart,
]  # fmt: skip

# (map size, input size): how many maps of each maker. 17 * 667 = 11,339 maps.
SIZES: dict[tuple[Size, Size], int] = {
    ((13, 13), (13, 13)): 120,
    ((13, 13), (41, 37)): 150,
    ((32, 27), (32, 27)): 130,
    ((14, 14), (28, 28)): 100,
    ((7, 9), (3, 4)): 50,
    ((1, 11), (1, 23)): 40,
    ((9, 1), (17, 6)): 40,
    ((1, 1), (5, 7)): 10,
    ((2, 2), (9, 9)): 20,
    ((13, 13), (227, 227)): 7,
}


def batches() -> Iterator[tuple[str, np.ndarray, Size]]:
    for (size, target), count in SIZES.items():
        for maker in MAKERS:
            rng = np.random.RandomState(zlib.crc32(f"{maker.__name__} {size} {target}".encode()))
            maps = np.stack([maker(rng, size) for _ in range(count)]).astype(np.float32)
            yield f"{maker.__name__} {size} to {target}", maps, target


def reference(plane: np.ndarray) -> tuple[np.float32, float, list[int], int]:
    """(threshold, area, box, fallback) of one map by scikit-image; the box in the map's pixels."""
    plane = plane.astype(np.float64)
    whole = [0, 0, plane.shape[1], plane.shape[0]]
    if plane.min() == plane.max():
        return np.float32(plane.min()), plane.size, whole, 1
    threshold = threshold_otsu(plane, 256)
    components = regionprops(label(plane > threshold, connectivity=2))
    if not components:
        return np.float32(threshold), plane.size, whole, 1
    largest = max(components, key=lambda component: component.area)  # the first of equals
    y1, x1, y2, x2 = largest.bbox
    return np.float32(threshold), largest.area, [x1, y1, x2, y2], 0


def differences(name: str, maps: np.ndarray, target: Size, at: str) -> list[str]:
    found = loader.find_regions(maps, target, RegionOptions(at.lower()))
    planes = found.maps if at == "INPUT" else maps
    wrong = []
    for i, plane in enumerate(planes):
        threshold, area, box, fallback = reference(plane)
        if at == "MAP":  # outward to whole pixels of the input
            (height, width), (h, w) = target, plane.shape
            x1, y1, x2, y2 = box
            box = [x1 * width // w, y1 * height // h, -(-x2 * width // w), -(-y2 * height // h)]
        expected = [threshold, plane.min(), plane.max(), area, fallback, *box]
        actual = [*found.stats[i], *found.boxes[i]]
        if not np.array_equal(np.float32(expected), np.float32(actual)):
            wrong.append(f"{name}, {at}, map {i}: scikit-image {expected}, ours {actual}")
    return wrong


@pytest.mark.parametrize("at", ["INPUT", "MAP"])
def test_ten_thousand_maps_as_scikit_image_sees_them(at: str) -> None:
    count, wrong = 0, []
    for name, maps, target in batches():
        count += len(maps)
        wrong += differences(name, maps, target, at)
    assert count >= 10000
    assert not wrong, f"{len(wrong)} of {count} differ, first: " + "\n".join(wrong[:5])


@pytest.mark.parametrize(("size", "target"), [((13, 13), (227, 227)), ((5, 9), (3, 31))])
def test_upsampling_is_scikit_images_bilinear_resize(size: Size, target: Size) -> None:
    maps = np.random.RandomState(3).rand(4, *size).astype(np.float32)
    found = loader.find_regions(maps, target)
    for plane, ours in zip(maps.astype(np.float64), found.maps):
        theirs = resize(plane, target, order=1, mode="edge", anti_aliasing=False)
        np.testing.assert_allclose(ours, theirs, atol=3e-7)


def test_a_flat_map_stays_flat_when_upsampled() -> None:
    maps = np.random.RandomState(4).rand(50, 1, 1).astype(np.float32) * np.ones(
        (13, 13), np.float32
    )
    found = loader.find_regions(maps, (61, 47))
    assert (found.stats[:, 4] == 1).all()
    assert (found.boxes == [0, 0, 47, 61]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_is_named(bad: float) -> None:
    maps = np.random.RandomState(5).rand(6, 13, 13).astype(np.float32)
    maps[4, 12, 12] = bad
    with pytest.raises(MaapError, match="image 4 in the batch holds a NaN or an infinity"):
        loader.find_regions(maps, (20, 20))


def test_a_map_beyond_the_range_of_float32_is_named() -> None:
    maps = np.zeros((3, 13, 13))
    maps[1, 4, 5] = 1e39
    with pytest.raises(MaapError, match=r"map 1 has the value 1e\+39, which float32 cannot hold"):
        loader.find_regions(maps, (20, 20))


def test_the_thread_count_changes_nothing() -> None:
    maps = np.random.RandomState(6).rand(9, 13, 13).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        loader.set_threads(threads)
        results.append(loader.find_regions(maps, (101, 101)))
    loader.set_threads(2)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].maps, other.maps)
        np.testing.assert_array_equal(results[0].stats, other.stats)
        np.testing.assert_array_equal(results[0].boxes, other.boxes)


def test_a_forked_child_finds_what_its_parent_does() -> None:
    """The threads of the parent's search are not in the child, which makes its own."""
    maps = np.random.RandomState(7).rand(9, 13, 13).astype(np.float32)
    loader.set_threads(2)
    expected = loader.find_regions(maps, (101, 101))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply_async(loader.find_regions, (maps, (101, 101))).get(timeout=60)
    for each in (found, loader.find_regions(maps, (101, 101))):
        np.testing.assert_array_equal(each.boxes, expected.boxes)
        np.testing.assert_array_equal(each.stats, expected.stats)
        np.testing.assert_array_equal(each.maps, expected.maps)


def test_wrong_arguments_are_explained() -> None:
    with pytest.raises(MaapError, match=r"shape \(N, h, w\)"):
        loader.find_regions(np.zeros((13, 13)), (20, 20))
    with pytest.raises(MaapError, match="'layer' is none of input, map"):
        loader.find_regions(np.zeros((1, 13, 13)), (20, 20), RegionOptions("layer"))
    with pytest.raises(MaapError, match="at least 1"):
        loader.find_regions(np.zeros((1, 13, 13)), (0, 20))
    with pytest.raises(MaapError, match="border is 4 for a map of 13x8; give less than half"):
        loader.find_regions(np.zeros((1, 13, 8)), (20, 20), RegionOptions(border=4))


# ---- other rules --------------------------------------------------------------------------------

RULES = {
    "mean": RegionOptions(threshold="mean"),
    "mean of the map": RegionOptions("map", "mean", connectivity=4),
    "fraction": RegionOptions(threshold="fraction"),
    "any fraction": RegionOptions("map", "fraction", 0.1, "strongest"),
    "strongest": RegionOptions(component="strongest"),
    "4 neighbours": RegionOptions(connectivity=4),
    "padding": RegionOptions(padding=0.1),
    "padding of the map": RegionOptions("map", padding=2.5, component="strongest"),
    "border": RegionOptions(border=2),
    "all": RegionOptions("map", "fraction", 0.3, "strongest", 4, 0.25, 2),
}


def threshold_by(options: RegionOptions, plane: np.ndarray) -> float:
    """The threshold of a plane (double) that is not flat, at least its least value and less than
    its greatest."""
    low, high = plane.min(), plane.max()
    if options.threshold == "otsu":
        return float(threshold_otsu(plane, 256))
    if options.threshold == "mean":
        rows = plane.cumsum(axis=1)[:, -1]  # one addition after the other
        value = rows.cumsum()[-1] / plane.size
    else:
        value = low + float(np.float32(options.threshold_fraction)) * (high - low)
    return float(max(low, min(value, np.nextafter(high, low))))


def reference_by(options: RegionOptions, given: np.ndarray, upsampled: np.ndarray) -> list[float]:
    """Threshold, area, fallback and box, in pixels of the input, by scikit-image."""
    b, (height, width) = options.border, upsampled.shape
    inner = given[b : given.shape[0] - b, b : given.shape[1] - b]
    plane = np.pad(inner, b, mode="edge") if options.threshold_at == "map" else upsampled
    plane = plane.astype(np.float64)
    if plane.min() == plane.max():
        return [plane.min(), plane.size, 1, 0, 0, width, height]
    threshold = threshold_by(options, plane)
    labels = label(plane > threshold, connectivity=2 if options.connectivity == 8 else 1)
    parts = regionprops(labels)
    part = max(parts, key=lambda one: one.area)
    if options.component == "strongest":
        part = parts[labels.ravel()[plane.argmax()] - 1]
    (y1, x1, y2, x2), (h, w) = part.bbox, plane.shape
    x1, y1, x2, y2 = x1 * width // w, y1 * height // h, -(-x2 * width // w), -(-y2 * height // h)
    padding = np.float32(options.padding)
    right, down = (int(np.ceil(padding * np.float32(n))) for n in (x2 - x1, y2 - y1))
    box = [max(0, x1 - right), max(0, y1 - down), min(width, x2 + right), min(height, y2 + down)]
    return [threshold, part.area, 0, *box]


@pytest.mark.parametrize("rule", RULES)
def test_other_rules_as_scikit_image_sees_them(rule: str) -> None:
    options, count, wrong = RULES[rule], 0, []
    for size, target in (((13, 13), (41, 37)), ((32, 27), (32, 27)), ((7, 9), (3, 4))):
        for maker in MAKERS:
            rng = np.random.RandomState(zlib.crc32(f"{maker.__name__} {size}".encode()))
            maps = np.stack([maker(rng, size) for _ in range(8)]).astype(np.float32)
            found = loader.find_regions(maps, target, options)
            for i, given in enumerate(maps):
                expected = reference_by(options, given, found.maps[i])
                actual = [*found.stats[i, [0, 3, 4]], *found.boxes[i]]
                count += 1
                if not np.array_equal(np.float32(expected), np.float32(actual)):
                    wrong.append(f"{maker.__name__} {size}, {i}: {expected}, ours {actual}")
    assert count == 3 * 8 * len(MAKERS)
    assert not wrong, f"{len(wrong)} of {count} differ, first: " + "\n".join(wrong[:5])


def test_the_border_is_changed_before_the_map_is_upsampled() -> None:
    maps = np.random.RandomState(8).rand(3, 9, 7).astype(np.float32)
    inner = np.pad(maps[:, 2:-2, 2:-2], ((0, 0), (2, 2), (2, 2)), mode="edge")
    found = loader.find_regions(maps, (40, 50), RegionOptions(border=2))
    np.testing.assert_array_equal(found.maps, loader.find_regions(inner, (40, 50)).maps)
    assert not np.array_equal(found.maps, loader.find_regions(maps, (40, 50)).maps)


def test_a_map_of_one_pixel_has_no_border_to_change() -> None:
    maps = np.full((1, 1, 1), 0.25, np.float32)
    for options in (RegionOptions(padding=1.0), RegionOptions(threshold="mean")):
        found = loader.find_regions(maps, (5, 7), options)
        assert found.boxes.tolist() == [[0, 0, 7, 5]] and found.stats[0, 4] == 1
    with pytest.raises(MaapError, match="border is 1 for a map of 1x1; .* at most 0"):
        loader.find_regions(maps, (5, 7), RegionOptions(border=1))


@pytest.mark.parametrize("rule", ["mean", "all"])
def test_the_thread_count_changes_no_rule(rule: str) -> None:
    maps = np.random.RandomState(6).rand(9, 13, 13).astype(np.float32)
    results = []
    for threads in (1, 2, 4):
        loader.set_threads(threads)
        results.append(loader.find_regions(maps, (101, 101), RULES[rule]))
    loader.set_threads(2)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].stats, other.stats)
        np.testing.assert_array_equal(results[0].boxes, other.boxes)
