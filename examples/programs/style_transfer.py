"""Paint a photograph in the style of a painting, by backward passes to the image.

    python style_transfer.py deploy.prototxt net.caffemodel photo.jpg painting.jpg out.png
        --content conv4_2 --style conv1_1,conv2_1,conv3_1,conv4_1,conv5_1

"Image Style Transfer Using Convolutional Neural Networks" (Gatys, Ecker and Bethge, 2016): the
image keeps the photograph's values of one blob (equation 1) and takes the painting's Gram matrices
of several (equations 3 to 5). Each blob's gradient is put into its diff, and Caffe carries it down
to the data, from the last such blob to the first.
"""

import argparse
import tempfile

import caffe
import cv2
import numpy as np
from scipy.optimize import minimize


class Painter:
    """A net that takes an image and gives loss and gradient with respect to it."""

    def __init__(self, definition, weights, content, style, ratio):
        self.net = with_gradients(definition, weights)
        self.input = self.net.inputs[0]
        self.content, self.style, self.ratio = content, style, ratio
        makers = {}  # blob: the last layer that writes it
        for layer, tops in self.net.top_names.items():
            makers.update({blob: layer for blob in tops})
        wanted = [*content, *style]
        missing = [blob for blob in wanted if blob not in makers]
        if missing:
            raise SystemExit(f"the net has no blob {missing[0]}; it has {', '.join(makers)}")
        order = list(self.net.top_names)
        self.chain = sorted(
            ((makers[blob], blob) for blob in set(wanted)),
            key=lambda pair: order.index(pair[0]),
            reverse=True,
        )
        self.first = order[0]

    def look(self, image):
        """Set the image (3 x H x W, mean subtracted) and compute as far as it is needed."""
        if self.net.blobs[self.input].data.shape[2:] != image.shape[1:]:
            self.net.blobs[self.input].reshape(1, *image.shape)
        self.net.blobs[self.input].data[0] = image
        self.net.forward(end=self.chain[0][0])

    def values(self, blob):
        """A blob as channels x places."""
        data = self.net.blobs[blob].data[0]
        return data.reshape(len(data), -1).astype(np.float64)

    def remember(self, photo, painting):
        """The values and Gram matrices to be reached."""
        self.look(painting)
        self.grams = {blob: gram(self.values(blob)) for blob in self.style}
        self.look(photo)
        self.targets = {blob: self.values(blob) for blob in self.content}

    def loss_and_gradients(self):
        """The loss, and its gradient with respect to each blob of the chain."""
        loss, gradients = 0.0, {blob: 0.0 for _, blob in self.chain}
        for blob in self.content:
            difference = self.values(blob) - self.targets[blob]
            loss += 0.5 * np.sum(difference**2) / len(self.content)
            gradients[blob] += difference / len(self.content)
        for blob in self.style:
            values = self.values(blob)
            difference = gram(values) - self.grams[blob]
            share = self.ratio / len(self.style)
            loss += share * np.sum(difference**2) / 4
            gradients[blob] += share * (difference @ values) / values.size
        return loss, gradients

    def __call__(self, flat):
        """Loss and gradient, for SciPy."""
        shape = self.net.blobs[self.input].data.shape[1:]
        self.look(flat.reshape(shape))
        loss, gradients = self.loss_and_gradients()
        carried = None
        for place, (layer, blob) in enumerate(self.chain):
            diff = self.net.blobs[blob].diff
            own = gradients[blob].reshape(diff.shape[1:])
            diff[0] = own if carried is None else carried + own
            below = self.chain[place + 1] if place + 1 < len(self.chain) else None
            if below is None:
                self.net.backward(start=layer)
            else:
                self.net.backward(start=layer, end=self.after(below[0]))
                carried = self.net.blobs[below[1]].diff[0].copy()
        return loss, self.net.blobs[self.input].diff[0].ravel().astype(np.float64)

    def after(self, layer):
        """The layer behind that one."""
        order = list(self.net.top_names)
        return order[order.index(layer) + 1]


def with_gradients(definition, weights):
    """The net, with gradients down to the data, which a deploy.prototxt does not ask for."""
    with open(definition) as file:
        text = file.read()
    if "force_backward" not in text:
        text += "\nforce_backward: true\n"
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as copy:
        copy.write(text)
        copy.flush()
        return caffe.Net(copy.name, caffe.TEST, weights=weights)


def gram(values):
    """The products of all pairs of channels, divided by the number of values."""
    return values @ values.T / values.size


def read(path, width, mean):
    image = cv2.imread(path)
    if image is None:
        raise SystemExit(f"{path} is not an image that OpenCV reads")
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return (resized.astype(np.float32) - mean).transpose(2, 0, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("definition", "weights", "photo", "painting", "out"):
        parser.add_argument(name)
    parser.add_argument("--content", default="conv4_2", help="blobs, with commas between")
    parser.add_argument("--style", default="conv1_1,conv2_1,conv3_1,conv4_1,conv5_1")
    parser.add_argument("--ratio", type=float, default=1e4, help="weight of the style")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--width", type=int, default=384, help="of the result, in pixels")
    parser.add_argument("--mean", default="103.939,116.779,123.68", help="B,G,R")
    args = parser.parse_args()
    mean = np.array([float(v) for v in args.mean.split(",")], np.float32)
    painter = Painter(
        args.definition, args.weights, args.content.split(","), args.style.split(","), args.ratio
    )
    photo, painting = (read(path, args.width, mean) for path in (args.photo, args.painting))
    painter.remember(photo, painting)
    first = painter(photo.ravel())[0]
    lowest, highest = -mean, 255 - mean
    bounds = np.repeat(np.stack([lowest, highest], 1), photo[0].size, axis=0)
    options = {"maxiter": args.iterations, "maxcor": 8}
    found = minimize(
        painter, photo.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    image = found.x.reshape(photo.shape).transpose(1, 2, 0) + mean
    cv2.imwrite(args.out, np.clip(np.rint(image), 0, 255).astype(np.uint8))
    print(f"loss {first:.6g} -> {found.fun:.6g} in {found.nit} iterations; wrote {args.out}")


if __name__ == "__main__":
    main()
