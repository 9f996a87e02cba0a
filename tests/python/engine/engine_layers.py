"""Layers in Python for the tests."""

import caffe


class Double(caffe.Layer):
    """top = factor * bottom; the factor is param_str, 2 without."""

    def setup(self, bottom, top):
        self.factor = float(self.param_str or 2)
        self.calls = []

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        self.calls.append("forward")
        top[0].data[...] = self.factor * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        self.calls.append(("backward", propagate_down))
        if propagate_down[0]:
            bottom[0].diff[...] = self.factor * top[0].diff


class Affine(Double):
    """top = bottom * weight + bias, both learnt."""

    def setup(self, bottom, top):
        self.blobs.add_blob(1)
        self.blobs.add_blob(1)
        self.blobs[0].data[...] = 3
        self.blobs[1].data[...] = 0.5

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * self.blobs[0].data + self.blobs[1].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += (top[0].diff * bottom[0].data).sum()
        self.blobs[1].diff[...] += top[0].diff.sum()
        bottom[0].diff[...] = top[0].diff * self.blobs[0].data


class FailsInSetup(Double):
    def setup(self, bottom, top):
        raise KeyError("no such setting")


class FailsInReshape(Double):
    def reshape(self, bottom, top):
        raise ZeroDivisionError("in reshape")


class FailsInForward(Double):
    def forward(self, bottom, top):
        raise LookupError("in forward")


class FailsInBackward(Double):
    def backward(self, top, propagate_down, bottom):
        raise OSError("in backward")


class NoForward(caffe.Layer):
    def reshape(self, bottom, top):
        top[0].reshape(1)


class NoReshape(caffe.Layer):
    pass


class WithoutBaseInit(caffe.Layer):
    def __init__(self, param):
        pass


class Exits(Double):
    def forward(self, bottom, top):
        raise SystemExit(3)


class Grows(Double):
    """Gives its top twice the rows of its bottom."""

    def reshape(self, bottom, top):
        rows, *others = bottom[0].shape
        top[0].reshape(2 * rows, *others)

    def forward(self, bottom, top):
        top[0].data[...] = 1


class Nested(Double):
    """Runs a net of its own in forward."""

    inner = None

    def forward(self, bottom, top):
        top[0].data[...] = Nested.inner.forward(data=bottom[0].data)["y"]


class NotALayer:
    def __init__(self, param):
        pass


NOT_A_CLASS = 3


class Replaces(Double):
    """Tries to assign to its top instead of writing into it, then writes 7."""

    def forward(self, bottom, top):
        for value in (bottom[0], bottom[0].data):
            try:
                top[0] = value
            except TypeError as error:
                assert "top[0].data[...] = array" in str(error)
                top[0].data[...] = 7

    def backward(self, top, propagate_down, bottom):
        assert propagate_down == [True]
        try:
            propagate_down[0] = False
        except TypeError:
            bottom[0].diff[...] = 5


class Targets(caffe.Layer):
    """Targets and weights for the regions that bottom 0 proposes, as py-faster-rcnn's layers make
    them: param_str tells how many tops of bottom 0's shape there are. Like theirs, no gradient."""

    def setup(self, bottom, top):
        assert len(top) == int(self.param_str)

    def reshape(self, bottom, top):
        for blob in top:
            blob.reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        for blob in top:
            blob.data[...] = bottom[0].data > 0

    def backward(self, top, propagate_down, bottom):
        pass
