"""CTC in NumPy, in double: states joined by a matrix, probabilities scaled at each step. The engine
computes the same in logarithms."""

import numpy as np


def softmax(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def states_of(labels, blank, merge=True):
    """The classes of the states blank, label, blank .., and which may follow on which."""
    classes = [blank]
    for label in labels:
        classes += [label, blank]
    follows = np.zeros((len(classes), len(classes)))  # [before, after]
    for s in range(len(classes)):
        if merge or s % 2 == 0:
            follows[s, s] = 1
        if s >= 1:
            follows[s - 1, s] = 1
        if s >= 3 and s % 2 == 1 and not (merge and classes[s] == classes[s - 2]):
            follows[s - 2, s] = 1
    return np.array(classes), follows


def ctc(scores, labels, blank, merge=True):
    """Loss and gradient of scores (T, C); infinity and zeros if the labels fit no alignment."""
    p = softmax(np.asarray(scores, float))
    if len(p) == 0:
        return (np.inf if len(labels) else 0.0), np.zeros(p.shape)
    classes, follows = states_of(labels, blank, merge)
    emitted = p[:, classes]
    first = np.arange(len(classes)) < 2
    last = np.arange(len(classes)) >= len(classes) - 2
    alpha, logs = np.zeros(emitted.shape), 0.0
    for t in range(len(p)):
        reached = alpha[t - 1] @ follows if t else first
        alpha[t] = reached * emitted[t]
        scale = alpha[t].sum()
        if scale == 0:
            return np.inf, np.zeros(p.shape)
        alpha[t] /= scale
        logs += np.log(scale)
    total = alpha[-1][last].sum()
    if total == 0:
        return np.inf, np.zeros(p.shape)
    beta, share = last.astype(float), np.zeros(p.shape)
    for t in reversed(range(len(p))):
        both = alpha[t] * beta
        np.add.at(share[t], classes, both / both.sum())
        beta = follows @ (emitted[t] * beta)
        beta /= beta.max()
    return -logs - np.log(total), p - share


def batch(scores, ends, labels, blank, merge=True):
    """Losses (N) and gradients (T, N, C) of scores (T, N, C), of which item n has ends[n] steps."""
    losses, gradients = [], np.zeros(scores.shape)
    for n, (end, said) in enumerate(zip(ends, labels)):
        loss, gradients[:end, n] = ctc(scores[:end, n], said, blank, merge)
        losses.append(loss)
    return np.array(losses), gradients
