"""Pillow and torchvision: JPEGs of a folder to a network's input, one thread. A contestant as bench/bench.h describes them.

    python3 bench/peers/pil_resize.py FOLDER [--until bytes|values] [--name NAME]"""
import argparse
import hashlib
import itertools
import json
import pathlib
import sys
import time

import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--until", choices=("bytes", "values"), default="values")
    parser.add_argument("--name", default="pil_resize")
    parser.add_argument("--contestant", action="store_true", help="it always is one")
    wanted, begin = parser.parse_args(), time.perf_counter()
    torch.set_num_threads(1)
    steps = [transforms.Resize(256), transforms.CenterCrop(224)]
    if wanted.until == "values":
        steps += [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    prepare, paths = transforms.Compose(steps), sorted(wanted.folder.glob("*.jpg"))

    def one(path):
        with Image.open(path) as photo:
            return prepare(photo.convert("RGB"))

    def data(made):
        return made.tobytes() if wanted.until == "bytes" else made.numpy().tobytes()

    sums = "".join(hashlib.sha256(data(one(path))).hexdigest() for path in paths)
    print(json.dumps({"name": wanted.name, "device": "cpu, 1 thread", "until": wanted.until, "pillow": PIL.__version__,
                      "torchvision": torchvision.__version__, "sha256": hashlib.sha256(sums.encode()).hexdigest(),
                      "ready_seconds": round(time.perf_counter() - begin, 3)}), flush=True)
    turn = itertools.cycle(paths)
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        if word != "go":
            continue
        images, start, end = 0, time.perf_counter(), time.perf_counter() + float(number)
        while images == 0 or time.perf_counter() < end:
            one(next(turn))
            images += 1
        print(json.dumps({"images": images, "seconds": time.perf_counter() - start}), flush=True)


main()
