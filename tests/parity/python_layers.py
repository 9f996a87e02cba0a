"""Layers in Python for the cases of Python layers; both hosts load this module."""

import caffe
import numpy as np


class ScaleLayer(caffe.Layer):
    """top[0] = factor * bottom[0]; the factor is the text of param_str."""

    def setup(self, bottom, top):
        self.factor = float(self.param_str)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.factor * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = self.factor * top[0].diff


class SumAndDifference(caffe.Layer):
    """top = (bottom[0] + bottom[1], bottom[0] - bottom[1])."""

    def setup(self, bottom, top):
        if len(bottom) != 2 or len(top) != 2:
            raise ValueError("needs two bottoms and two tops")

    def reshape(self, bottom, top):
        for index in range(2):
            top[index].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data + bottom[1].data
        top[1].data[...] = bottom[0].data - bottom[1].data

    def backward(self, top, propagate_down, bottom):
        for index, sign in enumerate((1, -1)):
            if propagate_down[index]:
                bottom[index].diff[...] = top[0].diff + sign * top[1].diff


class ParameterLayer(caffe.Layer):
    """top[0] = bottom[0] + parameter, elementwise, the parameter of one image's shape."""

    def setup(self, bottom, top):
        self.blobs.add_blob(*bottom[0].data.shape[1:])
        self.blobs[0].data[...] = 0

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data + self.blobs[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += top[0].diff.sum(axis=0)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff


class SquaredError(caffe.Layer):
    """top[0] = sum (bottom[0] - bottom[1])^2 / 2 / images, a loss."""

    def setup(self, bottom, top):
        self.difference = None

    def reshape(self, bottom, top):
        top[0].reshape(1)
        self.difference = np.zeros_like(bottom[0].data)

    def forward(self, bottom, top):
        self.difference[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.difference**2) / bottom[0].data.shape[0] / 2

    def backward(self, top, propagate_down, bottom):
        for index, sign in enumerate((1, -1)):
            if propagate_down[index]:
                scale = sign * top[0].diff[0] / bottom[0].data.shape[0]
                bottom[index].diff[...] = scale * self.difference
