"""The rules of SSD's boxes and of MultiBoxLoss, box by box, in double."""

import numpy as np


def uniform(*shape, seed=5, low=-1.0, high=1.0):
    return np.random.RandomState(seed).uniform(low, high, shape).astype(np.float32)


def grid_priors(rows=4, columns=5, size=0.3):
    """Priors of PriorBox's form: two at each place."""
    boxes = []
    for y, x in np.ndindex(rows, columns):
        for height, width in ((size, size), (size / 1.5, size * 1.5)):
            cx, cy = (x + 0.5) / columns, (y + 0.5) / rows
            boxes.append([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2])
    variances = np.tile([0.1, 0.1, 0.2, 0.2], len(boxes))
    return np.stack([np.ravel(boxes), variances])[None].astype(np.float32)


PRIOR = grid_priors()
COUNT = PRIOR.shape[2] // 4


def encode(code, prior, variance, box):
    if code == "CORNER":
        return (box - prior) / variance
    size = prior[2:] - prior[:2]
    if code == "CORNER_SIZE":
        return (box - prior) / np.tile(size, 2) / variance
    middle, wanted = (prior[:2] + prior[2:]) / 2, (box[:2] + box[2:]) / 2
    shift = (wanted - middle) / size
    return np.concatenate([shift, np.log((box[2:] - box[:2]) / size)]) / variance


def decode(code, prior, variance, offsets):
    t = offsets * variance
    if code == "CORNER":
        return prior + t
    size = prior[2:] - prior[:2]
    if code == "CORNER_SIZE":
        return prior + t * np.tile(size, 2)
    middle, half = (prior[:2] + prior[2:]) / 2 + t[:2] * size, np.exp(t[2:]) * size / 2
    return np.concatenate([middle - half, middle + half])


def overlap(a, b):
    both = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (both <= 0).any():
        return 0.0
    area = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b)]
    return both.prod() / (sum(area) - both.prod())


def prior_rows():
    values = PRIOR[0].astype(np.float64).reshape(2, COUNT, 4)
    return values[0], values[1]


def predictions(images, classes, shared=True, seed=3):
    random = np.random.RandomState(seed)
    loc = random.randn(images, COUNT * (1 if shared else classes) * 4) * 0.8
    conf = np.exp(random.randn(images, COUNT, classes) * 1.5)
    conf /= conf.sum(2, keepdims=True)
    return {
        "loc": loc.astype(np.float32),
        "conf": conf.reshape(images, -1).astype(np.float32),
        "prior": PRIOR,
    }


CLASSES = 4


def truths(images, seed=11):
    """Two or three objects in each image but the last, the second of them difficult."""
    random = np.random.RandomState(seed)
    rows = []
    for n in range(images - 1):
        for k in range(2 + n % 2):
            x, y = random.uniform(0, 0.6, 2)
            width, height = random.uniform(0.2, 0.4, 2)
            label = random.randint(1, CLASSES)
            rows.append([n, label, k, x, y, x + width, y + height, float(k == 1)])
    return np.array(rows, np.float32)[None, None]


def matched(boxes, objects, kind, threshold, ignore):
    """For each box its object, -1 or -2, and its overlap."""
    table = np.array([[overlap(box, o) for o in objects] for box in boxes]).reshape(len(boxes), -1)
    off = np.array([ignore and bool((box < 0).any() or (box > 1).any()) for box in boxes])
    table = np.where((table > 1e-6) & ~off[:, None], table, 0)
    found = np.where(off, -2, -1)
    best = table.max(1, initial=0)
    free = table.copy()
    while free.size and free.max() > 0:
        p, g = np.unravel_index(free.argmax(), free.shape)
        found[p], best[p] = g, table[p, g]
        free[p] = free[:, g] = 0
    for p in range(len(boxes)):
        if kind == "PER_PREDICTION" and found[p] == -1 and table.size:
            if table[p].max() >= max(threshold, 1e-9):
                found[p] = table[p].argmax()
    return found, best


def class_loss(kind, x, label):
    """The loss and its derivative."""
    wanted = np.eye(CLASSES)[label]
    if kind == "SOFTMAX":
        share = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
        return -np.log(share[label]), share - wanted
    loss = np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0) - x * wanted
    return loss.sum(), 1 / (1 + np.exp(-x)) - wanted


def place_loss(kind, d):
    if kind == "L2":
        return (d**2 / 2).sum(), d
    return np.where(np.abs(d) < 1, d**2 / 2, np.abs(d) - 0.5).sum(), np.clip(d, -1, 1)


DEFAULTS = dict(
    loc_loss_type="SMOOTH_L1",
    conf_loss_type="SOFTMAX",
    loc_weight=1.0,
    share_location=True,
    match_type="PER_PREDICTION",
    overlap_threshold=0.5,
    use_prior_for_matching=True,
    use_difficult_gt=True,
    neg_pos_ratio=3.0,
    neg_overlap=0.5,
    code_type="CORNER",
    encode_variance_in_target=False,
    map_object_to_agnostic=False,
    ignore_cross_boundary_bbox=False,
    bp_inside=False,
    mining_type="MAX_NEGATIVE",
    sample_size=64,
    use_prior_for_nms=False,
)


class MultiBox:
    """MultiBoxLoss by its rules, one image, class and box after the other, in double."""

    def __init__(self, arrays, nms=None, **options):
        self.set = {**DEFAULTS, **options}
        self.nms = nms
        self.boxes, self.variances = prior_rows()
        self.unit = np.ones((COUNT, 4))
        if self.set["encode_variance_in_target"]:
            self.unit, self.variances = self.variances, self.unit
        images = len(arrays["loc"])
        places = 1 if self.set["share_location"] else CLASSES
        self.loc = arrays["loc"].astype(np.float64).reshape(images, COUNT, places, 4)
        self.conf = arrays["conf"].astype(np.float64).reshape(images, COUNT, CLASSES)
        self.truth = arrays["truth"][0, 0].astype(np.float64)
        self.d_loc, self.d_conf = np.zeros_like(self.loc), np.zeros_like(self.conf)
        self.sum_loc = self.sum_conf = 0.0
        self.matches = 0
        for n in range(images):
            self.image(n)

    def predicted(self, n, p, c):
        return decode(self.set["code_type"], self.boxes[p], self.variances[p], self.loc[n, p, c])

    def image(self, n):
        use = [t for t in self.truth if t[0] == n and (self.set["use_difficult_gt"] or not t[7])]
        places = self.loc.shape[2]
        rule = (
            self.set["match_type"],
            self.set["overlap_threshold"],
            self.set["ignore_cross_boundary_bbox"],
        )
        pairs, best = {}, np.zeros(COUNT)
        ignored = set()
        for c in range(places):
            own = [t for t in use if places == 1 or t[1] == c]
            if self.set["use_prior_for_matching"]:
                boxes, objects = self.boxes, use
            else:
                boxes, objects = [self.predicted(n, p, c) for p in range(COUNT)], own
            found, best = matched(boxes, [t[3:7] for t in objects], *rule)
            for p in range(COUNT):
                if found[p] == -2:
                    ignored.add(p)
                if found[p] >= 0 and any(objects[found[p]] is t for t in own):
                    pairs[p, c] = objects[found[p]]
        negatives = self.mine(n, use, pairs, best, ignored)
        for (p, c), t in pairs.items():
            loss, slope = self.place(n, p, c, t)
            self.sum_loc += loss
            self.d_loc[n, p, c] = slope * self.set["loc_weight"]
        self.matches += len(pairs)
        labels = {p: 0 for p in negatives}
        labels.update({p: self.label(t) for (p, _), t in sorted(pairs.items(), key=lambda i: i[0])})
        for p, label in labels.items():
            loss, self.d_conf[n, p] = class_loss(self.set["conf_loss_type"], self.conf[n, p], label)
            self.sum_conf += loss

    def label(self, truth):
        return 1 if self.set["map_object_to_agnostic"] else int(truth[1])

    def place(self, n, p, c, truth):
        wanted = encode(self.set["code_type"], self.boxes[p], self.variances[p], truth[3:7])
        d = (self.loc[n, p, c] - wanted) / self.unit[p]
        box = self.boxes[p] if self.set["use_prior_for_matching"] else self.predicted(n, p, c)
        if self.set["bp_inside"]:
            d = np.where((box < 0) | (box > 1), 0, d)
        loss, slope = place_loss(self.set["loc_loss_type"], d)
        return loss, slope / self.unit[p]

    def mine(self, n, use, pairs, best, ignored):
        kind = self.set["mining_type"]
        if kind == "NONE":
            return list(range(COUNT))
        if not use:
            return []
        owner = {p: t for (p, _), t in pairs.items()}
        losses = []
        for p in range(COUNT):
            label = self.label(owner[p]) if p in owner else 0
            losses.append(class_loss(self.set["conf_loss_type"], self.conf[n, p], label)[0])
            if kind == "HARD_EXAMPLE" and p in owner:
                losses[p] += self.place(n, p, 0, owner[p])[0]
        pool = [p for p in range(COUNT) if p not in ignored]
        if kind == "MAX_NEGATIVE":
            pool = [p for p in pool if p not in owner and best[p] < self.set["neg_overlap"]]
        pool.sort(key=lambda p: -losses[p])
        if self.nms is not None:
            pool = self.suppressed(n, pool)
        count = self.set["sample_size"]
        if kind == "MAX_NEGATIVE":
            count = int(len(owner) * self.set["neg_pos_ratio"])
        chosen = set(pool[:count])
        for p in owner:
            if kind == "HARD_EXAMPLE" and p not in chosen:
                del pairs[p, 0]
        return [p for p in chosen if p not in owner]

    def suppressed(self, n, pool):
        prior = self.set["use_prior_for_nms"]
        boxes = {p: self.boxes[p] if prior else self.predicted(n, p, 0) for p in pool}
        kept = []
        for p in pool:
            size = np.maximum(boxes[p][2:] - boxes[p][:2], 0)
            if size.prod() < 1e-5 or any(overlap(boxes[p], boxes[q]) > self.nms for q in kept):
                continue
            kept.append(p)
        return kept
