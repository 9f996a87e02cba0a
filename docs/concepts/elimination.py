"""The Elimination layer in NumPy (equations 4 to 8 of the paper), one image at a time."""

import numpy as np


def resize(plane, size):  # bilinear; pixel centres at half, edges repeated
    for n, new in zip(plane.shape, size):  # first the rows, then the columns
        at = np.clip((np.arange(new) + 0.5) * n / new - 0.5, 0, n - 1)
        low = np.minimum(at.astype(int), max(n - 2, 0))
        share = (at - low)[:, None]
        plane = (plane[low] * (1 - share) + plane[np.minimum(low + 1, n - 1)] * share).T
    return plane


def otsu(plane):  # of 256 bins, the one that parts the values into the two most different classes
    counts, edges = np.histogram(plane, 256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum(), counts[::-1].cumsum()[::-1]
    low = (counts * centres).cumsum() / below
    high = (counts * centres)[::-1].cumsum()[::-1] / above
    return centres[np.argmax(below[:-1] * above[1:] * (low[:-1] - high[1:]) ** 2)]


def region(mask):  # box of the largest component (8 neighbours; of a tie the first): x1, y1, x2, y2
    h, w = mask.shape
    number = mask * np.arange(mask.size, 0, -1).reshape(h, w)
    while True:  # every pixel takes the greatest number around it until nothing changes
        wide = np.pad(number, 1)
        wide = mask * np.max([wide[y : y + h, x : x + w] for y in range(3) for x in range(3)], 0)
        if (wide == number).all():
            break
        number = wide
    areas = np.bincount(number[mask])
    ys, xs = np.nonzero(number == len(areas) - 1 - np.argmax(areas[::-1]))
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def eliminate(f, d):  # F (C, h, w), D (K, H, W) -> A (H, W), threshold, R, the six D* by name
    size = d.shape[1:]
    a = resize(1 / (1 + np.exp(-f.mean(axis=0))), size)
    threshold, (x1, y1, x2, y2) = a.max(), (0, 0, size[1], size[0])
    if np.ptp(a):  # not flat
        threshold = otsu(a)
        x1, y1, x2, y2 = region(a > threshold)
    r = np.zeros(size)
    r[y1:y2, x1:x2] = 1
    stars = {"UNCORRELATED": r, "ENHANCE": r * (a + 1), "REDUCE": r + (1 - r) * a}
    stars.update(ALLSOFT=a, ALLSOFT_PLUS_ONE=a + 1)
    stars = {name: factor * d for name, factor in stars.items()}
    stars["ROI"] = np.stack([resize(plane[y1:y2, x1:x2], size) for plane in d])
    return a, threshold, (x1, y1, x2, y2), stars


F = np.array([[[0, 0], [1, 4]], [[0, 0], [1, 2]]], float)  # two channels of 2 x 2
D = np.array([[[10, 20], [30, 40]]], float)  # an image of one channel, 2 x 2
if __name__ == "__main__":
    attention, level, box, images = eliminate(F, D)
    print("A", attention.round(4).tolist(), f"threshold {level:.5f} R {box}")
    for name, image in images.items():
        print(name, image[0].round(2).tolist())
