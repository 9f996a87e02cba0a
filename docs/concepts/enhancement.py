#!/usr/bin/env python3
"""The Enhancement layer in NumPy (equations 1 to 3 of the paper), and its gradient."""

import numpy as np


def enhance(f):
    """F (C, h, w) -> A (h, w) and F' (C, h, w)."""
    mean = f.mean(axis=0)  # eq. 1: FA, the mean over the channels
    a = 1 / (1 + np.exp(-mean))  # eq. 2: A = sigmoid(FA)
    return a, (1 + a) * f  # eq. 3: F' = (1 + A) F


def gradient(f, g):
    """dL/dF from g = dL/dF'. A depends on F, so each channel's gradient has two parts."""
    a, _ = enhance(f)
    direct = (1 + a) * g
    through_a = a * (1 - a) / len(f) * (g * f).sum(axis=0)
    return direct + through_a


def by_differences(f, g, step=1e-6):
    """The same gradient from central differences of L = sum(g F')."""
    result = np.zeros_like(f)
    for place in np.ndindex(f.shape):
        up, down = f.copy(), f.copy()
        up[place] += step
        down[place] -= step
        change = enhance(up)[1] - enhance(down)[1]
        result[place] = (g * change).sum() / (2 * step)
    return result


F = np.array([[[0, 0], [1, 4]], [[0, 0], [1, 2]]], float)  # two channels of 2 x 2

if __name__ == "__main__":
    np.set_printoptions(precision=4, suppress=True)
    attention, enhanced = enhance(F)
    ones = np.ones_like(F)
    print("A =", attention, "F' =", enhanced, "dF for g = 1:", gradient(F, ones), sep="\n")
    error = np.abs(gradient(F, ones) - by_differences(F, ones)).max()
    print(f"largest difference from central differences: {error:.0e}")
