"""A service that answers an image with the features of a layer.

    python feature_service.py deploy.prototxt net.caffemodel --blob fc7 --port 8080
    curl --data-binary @bird.jpg http://127.0.0.1:8080/

The answer is JSON: {"blob": "fc7", "shape": [4096], "features": [...], "milliseconds": 31.0}.
Requests that arrive while the net computes wait and then go through it together, as one batch.
"""

import argparse
import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import caffe
import cv2
import numpy as np

LARGEST = 1 << 26  # bytes of a request


class Extractor:
    """A net in a thread of its own, which takes the images that are waiting as one batch."""

    def __init__(self, definition, weights, blob, mean, largest_batch):
        self.net = caffe.Net(definition, caffe.TEST, weights=weights)
        if blob not in self.net.blobs:
            raise SystemExit(f"the net has no blob {blob}; it has {', '.join(self.net.blobs)}")
        self.blob, self.mean, self.largest_batch = blob, mean, largest_batch
        self.input = self.net.inputs[0]
        self.height, self.width = self.net.blobs[self.input].data.shape[2:]
        self.waiting = queue.Queue()
        threading.Thread(target=self.work, daemon=True).start()

    def features(self, image):
        """The features of an image, height x width x 3 in BGR; waits until they are there."""
        resized = cv2.resize(image, (self.width, self.height)).astype(np.float32)
        job = {"data": (resized - self.mean).transpose(2, 0, 1), "done": threading.Event()}
        self.waiting.put(job)
        job["done"].wait()
        if "error" in job:
            raise job["error"]
        return job["result"]

    def work(self):
        while True:
            jobs = [self.waiting.get()]
            while len(jobs) < self.largest_batch and not self.waiting.empty():
                jobs.append(self.waiting.get())
            try:
                data = np.stack([job["data"] for job in jobs])
                self.net.blobs[self.input].reshape(*data.shape)
                self.net.blobs[self.input].data[...] = data
                self.net.forward(end=self.last_layer())
                for job, row in zip(jobs, self.net.blobs[self.blob].data):
                    job["result"] = row.copy()
            except Exception as error:  # each request gets it as its answer
                for job in jobs:
                    job["error"] = error
            for job in jobs:
                job["done"].set()

    def last_layer(self):
        """The last layer that writes the blob; nothing behind it is computed."""
        return [name for name, tops in self.net.top_names.items() if self.blob in tops][-1]


def decoded(body):
    """The image in the bytes; None if there is none, or too large a one."""
    try:
        return cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR) if body else None
    except cv2.error:
        return None


def handler(extractor):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            start = time.perf_counter()
            length = self.headers.get("Content-Length", "0")
            if not (length.isascii() and length.isdigit() and int(length) <= LARGEST):
                return self.answer(400, {"error": f"Content-Length is 0 to {LARGEST}"})
            image = decoded(self.rfile.read(int(length)))
            if image is None:
                return self.answer(400, {"error": "the body is not an image that OpenCV reads"})
            try:
                features = extractor.features(image)
            except Exception as error:  # the next request may be right
                return self.answer(500, {"error": str(error)})
            milliseconds = 1000 * (time.perf_counter() - start)
            found = {"blob": extractor.blob, "shape": features.shape, "milliseconds": milliseconds}
            return self.answer(200, {**found, "features": features.ravel().tolist()})

        def answer(self, status, content):
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    return Handler


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("definition", help="the net's deploy.prototxt")
    parser.add_argument("weights", help="its .caffemodel")
    parser.add_argument("--blob", required=True, help="the blob whose values are the features")
    parser.add_argument("--mean", default="104,117,123", help="B,G,R that is subtracted")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one, which is printed")
    parser.add_argument("--batch", type=int, default=16, help="the most images at a time")
    args = parser.parse_args()
    mean = np.array([float(v) for v in args.mean.split(",")], np.float32)
    extractor = Extractor(args.definition, args.weights, args.blob, mean, args.batch)
    server = ThreadingHTTPServer(("127.0.0.1", args.port), handler(extractor))
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
