"""Gives a graph of this folder weights: python fill.py MODEL.onnx OUT_DIR [--zero] [--seed N].

Copies the graph to OUT_DIR and writes its weight file beside it: random, the same for the same seed and numpy, of a size that
neither lets activations vanish nor leaves the range of fp16. --zero makes a sparse file of the right size instead, for what does not
compute, and needs nothing but Python; random weights need numpy.
"""
import argparse
import json
import os
import shutil


def write_random(file, tensors, seed):
    import numpy as np

    for index, row in enumerate(tensors):
        values = np.random.default_rng([seed, index]).standard_normal(row["shape"], dtype=np.float32)
        values *= np.float32(row["deviation"])
        if row["kind"] == "scale":  # of a batch norm, and its variance: near 1
            values = np.abs(values + np.float32(1))
        file.seek(row["offset"])
        file.write(values.astype("<f4").tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--zero", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with open(os.path.splitext(wanted.model)[0] + ".json") as file:
        listed = json.load(file)
    os.makedirs(wanted.out, exist_ok=True)
    if not os.path.exists(os.path.join(wanted.out, os.path.basename(wanted.model))) or not os.path.samefile(
            wanted.model, os.path.join(wanted.out, os.path.basename(wanted.model))):
        shutil.copy(wanted.model, wanted.out)
    # Made under another name first: a weight file that is there is whole.
    path = os.path.join(wanted.out, listed["file"])
    with open(path + ".part", "wb") as file:
        file.truncate(listed["bytes"])
        if not wanted.zero:
            write_random(file, listed["tensors"], wanted.seed)
    os.replace(path + ".part", path)


if __name__ == "__main__":
    main()
