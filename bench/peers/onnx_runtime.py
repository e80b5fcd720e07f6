"""ONNX Runtime, forward only, on the CPU: the very ONNX file that batchcam reads.

What is timed is the session's run alone: bytes are normalised before, outside the clock, and no map is made. It is not the same work, but what a fast
engine takes for a part of it.
"""
import time

import numpy as np
import onnxruntime

from protocol import MEAN, SIDE, STD, arguments, contest, main, turns


class Forward:
    def __init__(self, wanted):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = wanted.threads
        self.session = onnxruntime.InferenceSession(wanted.onnx, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.batch, self.random = wanted.batch, np.random.default_rng(7)
        self.mean, self.std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (MEAN, STD))

    def normalised(self, pixels):
        return np.ascontiguousarray((pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255) - self.mean) / self.std)

    def run(self, photos):
        return self.session.run(None, {self.input: photos})[0]

    def go(self, seconds):
        """-> images, seconds."""
        shape = (self.batch, SIDE, SIDE, 3)
        photos = [self.normalised(self.random.integers(0, 256, shape, dtype=np.uint8)) for _ in range(2)]
        return turns(lambda pair: self.run(photos[pair]), self.batch, seconds)

    def maps_of(self, pixels):
        return {"logits": self.run(self.normalised(pixels))}


def run():
    wanted, begin = arguments(__doc__, device="cpu"), time.perf_counter()
    if not wanted.onnx:
        raise ValueError("--onnx FILE is missing")
    wanted.layer, wanted.precision, wanted.format = "none: forward only", "fp32", "as it chooses"
    contest(wanted, begin, Forward(wanted), device=f"cpu, {wanted.threads} threads", library="onnxruntime " + onnxruntime.__version__)


main(run)
