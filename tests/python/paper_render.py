"""The paper's high-level attention and its six D*, and the attention drop, by NumPy and
scikit-image in double precision.

Shares no code with what it judges.
"""

import numpy as np
from skimage import transform as sk
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops


def bilinear(image, height, width):
    """scikit-image's resize: bilinear, half-pixel centres, edges repeated, no smoothing."""
    return sk.resize(
        image.astype(np.float64), (height, width), order=1, mode="edge", anti_aliasing=False
    )


def paper(image, region, attention, a_star, mean, threshold=None):
    """D* written down as the equations have it: one A* per definition, D* = A* times D."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = region
    if a_star == "ROI":
        return bilinear(image[y1:y2, x1:x2], height, width)
    soft = bilinear(attention, height, width)
    ys, xs = np.mgrid[0:height, 0:width]
    inside = (xs >= x1) & (xs < x2) & (ys >= y1) & (ys < y2)
    return factor(a_star, inside, soft, threshold)[:, :, None] * (image.astype(np.float64) - mean)


def factor(a_star, inside, soft, threshold=None):
    """A*, from where R is (bool) and A, of one shape; the threshold counts for the drop alone."""
    if a_star == "DROP":
        return np.where(soft > threshold, 0.0, 1.0)
    return {
        "UNCORRELATED": np.where(inside, 1.0, 0.0),
        "ENHANCE": np.where(inside, soft + 1, 0.0),
        "REDUCE": np.where(inside, 1.0, soft),
        "ALLSOFT": soft,
        "ALLSOFT_PLUS_ONE": soft + 1,
    }[a_star]


def attention_and_region(features, size):
    """A (H,W) and R (x1, y1, x2, y2, half-open) at the net's input of ``size`` (H, W), from the
    features (C,h,w) of a high layer."""
    attention = bilinear(1 / (1 + np.exp(-features.astype(np.float64).mean(axis=0))), *size)
    components = regionprops(label(attention > threshold_otsu(attention, 256), connectivity=2))
    y1, x1, y2, x2 = max(components, key=lambda component: component.area).bbox
    return attention, (x1, y1, x2, y2)


def enlarged(box, source, target):
    """The box on the image resized from size ``source`` to ``target`` (height, width), its edges
    rounded outward."""
    (sh, sw), (th, tw) = source, target
    x1, y1, x2, y2 = box
    return (
        int(np.floor(x1 * tw / sw)),
        int(np.floor(y1 * th / sh)),
        int(np.ceil(x2 * tw / sw - 1e-9)),
        int(np.ceil(y2 * th / sh - 1e-9)),
    )
