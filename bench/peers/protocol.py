"""The protocol of a contestant (bench/bench.h), options, and rounds; nothing here needs PyTorch.

Besides "go SECONDS" a peer knows the line "maps PIXELS.npy OUT.npz": it makes the maps of those photos, one batch at most, and writes them to
OUT.npz as `maps`. So what is timed can be held against other programs first.
"""
import argparse
import json
import os
import sys
import time

import numpy as np

MODELS = ("resnet50", "vgg16", "densenet121", "mobilenet_v2", "efficientnet_b0")
DEFAULT_LAYER = {"resnet50": "layer4", "vgg16": "features.30", "densenet121": "relu", "mobilenet_v2": "features.18",
                 "efficientnet_b0": "features.8"}
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
FORMATS = ("channels_last", "contiguous")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224


def arguments(description, **defaults):
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--model", required=True, choices=MODELS)
    parser.add_argument("--layer", help="of the torchvision model; the last one that has a map where not given")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0: as PyTorch has it")
    parser.add_argument("--format", choices=FORMATS, default="channels_last", help="of activations and weights in memory")
    parser.add_argument("--onnx", help="onnx_runtime.py: the file")
    parser.add_argument("--name")
    parser.add_argument("--mode", default="max-autotune", help="torch_compile.py: what torch.compile is asked for")
    parser.set_defaults(**defaults)
    wanted = parser.parse_args()
    wanted.layer = wanted.layer or DEFAULT_LAYER[wanted.model]
    wanted.name = wanted.name or os.path.splitext(os.path.basename(sys.argv[0]))[0]
    return wanted


def turns(work, batch, seconds):
    """Runs work(0), work(1), work(0) ... about so long, once at least -> images, seconds."""
    images, begin = 0, time.perf_counter()
    while True:
        work(images // batch % 2)
        images += batch
        took = time.perf_counter() - begin
        if took >= seconds:
            return images, took


def say(**what):
    print(json.dumps(what), flush=True)


def contest(wanted, begin, pipeline, **facts):
    """Prints the facts, then answers lines until the end of input: `pipeline` has go(seconds) -> images, seconds and maps_of(pixels) -> arrays."""
    for _ in range(2):
        pipeline.go(0)
    say(name=wanted.name, model=wanted.model, layer=wanted.layer, batch=wanted.batch, precision=wanted.precision, format=wanted.format,
        ready_seconds=round(time.perf_counter() - begin, 3), **facts)
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["go"]:
            images, seconds = pipeline.go(float(words[1]))
            say(images=images, seconds=seconds)
        elif words[:1] == ["maps"]:
            np.savez(words[2], **pipeline.maps_of(np.load(words[1])))
            say(written=os.path.basename(words[2]))


def main(run):
    """Runs a peer; whatever stops it is said as the protocol wants it."""
    try:
        run()
    except Exception as problem:  # noqa: BLE001 - the run of all contestants goes on without this one
        say(error=f"{type(problem).__name__}: {problem}"[:2000])
        raise SystemExit(1) from problem
