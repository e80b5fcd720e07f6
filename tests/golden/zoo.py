"""A golden of a torchvision classifier at full width, with random weights: zoo.py --list | --out DIR NAME ... | --table ROWS

Each is made as the narrow ones of make_goldens.py are, for one photo, in a folder DIR/NAME that scripts/zoo.sh reads and deletes.
What activations hold is not looked up in the file ("-" for the tensor): the largest networks would not fit in memory twice."""
import argparse
import copy
import logging
import os
import re
import subprocess
import sys
import time
import warnings

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import models

import classic
import golden
import make_goldens
import nets

NO_CNN = re.compile("vit_|swin|maxvit")
PHOTOS = 4  # one of them is taken
BYTES = 1 << 31  # a protobuf holds no more

# What a name begins with; height and width of the photo; an early, a middle and the last layer. Two adaptive poolings can only
# be exported where they divide what comes in.
FEATURES = ["features.1", "features.4", "features"]
FAMILIES = [("alexnet", 224, ["features.2", "features.7", "features"]),
            ("vgg", 224, None),  # numbered otherwise in each of them: behind the first and the third pooling
            ("densenet", 96, ["features.pool0", "features.denseblock2", "features"]),
            ("squeezenet", 95, ["features.2", "features.7", "features"]),
            ("inception", 139, ["Mixed_5b", "Mixed_6c", "Mixed_7c"]),
            ("googlenet", 95, ["maxpool2", "inception4b", "inception5b"]),
            ("mobilenet_v2", 95, ["features.2", "features.10", "features"]),
            ("mobilenet_v3", 95, ["features.2", "features.7", "features"]),
            ("shufflenet", 95, ["maxpool", "stage3", "conv5"]),
            ("mnasnet", 95, ["layers.8", "layers.10", "layers"]),
            ("efficientnet", 95, FEATURES),
            ("convnext", 96, FEATURES),
            ("regnet", 95, ["stem", "trunk_output.block2", "trunk_output"]),
            ("", 95, ["layer1", "layer3", "layer4"])]


def names():
    """Every classifier of torchvision but the transformers, the small ones first."""
    def size(name):
        return models.get_weight(f"{models.get_model_weights(name).__name__}.DEFAULT").meta["num_params"]
    return sorted((n for n in models.list_models(module=models) if not NO_CNN.match(n)), key=size)


class Corners(TorchDispatchMode):
    """Notes how near the activations of each photo come to the corner of an activation function, relative to their RMS."""
    AT = {"relu": [0.0], "hardtanh": [0.0, 6.0], "hardswish": [-3.0, 3.0], "hardsigmoid": [-3.0, 3.0]}

    def __init__(self, n):
        super().__init__()
        self.nearest = torch.full((n,), torch.inf, dtype=torch.float64)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for corner in self.AT.get(func.overloadpacket.__name__.rstrip("_"), []):
            d = (args[0] - corner).abs().flatten(1) / args[0].square().mean().sqrt()
            self.nearest = torch.minimum(self.nearest, d.where(d > 0, torch.inf).amin(1))
        return func(*args, **(kwargs or {}))


def make(name, size):
    """The network with random weights, settled, and photos, the one farthest from all corners first."""
    fast = dict(init_weights=False) if name in ("googlenet", "inception_v3") else {}
    net = nets.randomise(models.get_model(name, weights=None, **fast), 1)
    noise = [torch.from_numpy(make_goldens.photo_noise(seed, (n, 3, size, size))) for seed, n in ((2, 4), (3, PHOTOS))]
    net = classic.settle(net, 1, noise[0])
    net.requires_grad_(False)
    return net, noise[1]


def choose(double, x, layers):
    """A photo, and one of its best classes, that make a good golden -> photo, classes, exact numbers."""
    with torch.no_grad(), Corners(len(x)) as corners:
        logits = double(x)
    trouble = ""
    for i in corners.nearest.argsort(descending=True).tolist():
        for c in logits[i].topk(3).indices.tolist():
            exact = golden.hook_cam(double, x[i:i + 1], layers, [c])
            trouble = golden.why_not(*exact)
            if not trouble:
                return i, [c], exact
    raise AssertionError(f"no photo is good enough; the last one: {trouble}")


def write_model(net, x, path, new):
    axes = {"input": {0: "N"}, "logits": {0: "N"}}
    common = dict(input_names=["input"], output_names=["logits"])
    large = sum(p.numel() * p.element_size() for p in net.parameters()) > BYTES * 0.9
    if new or large:
        program = torch.onnx.export(net, (x,), dynamo=True, verbose=False, dynamic_shapes=({0: torch.export.Dim("N")},), **common)
        program.save(path, external_data=large)
    else:
        torch.onnx.export(net, x, path, dynamo=False, dynamic_axes=axes, **common)


def zoo_case(out, name, new):
    size, layers = next((s, l) for begin, s, l in FAMILIES if name.startswith(begin))
    net, x = make(name, size)
    if not layers:
        pools = [f"features.{i}" for i, m in enumerate(net.features) if isinstance(m, torch.nn.MaxPool2d)]
        layers = [pools[0], pools[2], "features"]
    double = copy.deepcopy(net).double()
    i, classes, (logits, cams) = choose(double, x.double(), layers)
    del double
    x = x[i:i + 1]
    ways = golden.fp32_ways(lambda x: golden.hook_cam(net, x, layers, classes), x)
    rows = [dict(layer=layer, tensor="-", classes=classes, exact=(logits, *cams[layer]),
                 fp32=[(logits32, *cams32[layer]) for logits32, cams32 in ways]) for layer in layers]
    golden.write_case(f"{out}/{name}", None, None, rows)
    np.save(f"{out}/{name}/input.npy", x.numpy())
    write_model(net, x, f"{out}/{name}/model.onnx", new)


# --- the table ---------------------------------------------------------------------------------------------------

KINDS = ("activations", "gradients", "weights", "map", "logits")
TITLE = """# The zoo

Every convolutional classifier of torchvision at full width, with random weights, on the CPU device (`make zoo`): relative errors
‖a−b‖₂/‖b‖₂ of activations A, gradients g, channel weights w, maps before ReLU and logits against PyTorch in double, each beside
PyTorch's own in float32 (the largest of three sets of its kernels). One photo of noise; an early, a middle and the last layer.
4 times PyTorch's own error plus 1e-6 is what the small goldens allow.

float32 decides on which side of a ReLU's corner an activation lies that is nearer to it than rounding: with millions of
activations some are, and one that falls on the other side moves a gradient by 1e-4 to 1e-2, here or in PyTorch's own. Where the
CPU's error was larger than is allowed, plain C, which adds in double, explained the same photo: the last column is the largest
of its errors as a share of what is allowed.
"""


def table(folder):
    """The rows that tests/zoo.c wrote, a file a network, as a page."""
    order = {name: i for i, name in enumerate(names())}
    found = {n: [line.rstrip("\n").split("\t") for line in open(f"{folder}/{n}")] for n in sorted(os.listdir(folder)) if n in order}
    all_rows = [(float(r[3]), float(r[4])) for rows in found.values() for r in rows if r[2] in KINDS]
    strict = sum(a <= 4 * b + 1e-6 for a, b in all_rows)
    print(TITLE)
    print(f"{len(found)} of {len(order)} networks, {len(all_rows)} comparisons; within 4 times PyTorch's own error plus 1e-6: {strict}.")
    missing = [n for n in order if n not in found]
    if missing:
        print("Not here: " + ", ".join(missing) + ".")
    print("\n| network | default layer | layer | A | g | w | map | logits | plain C |\n" + "| --- " * 9 + "|")
    for name in sorted(found):
        cells = {}
        for _, layer, kind, ours, own in found[name]:
            cells.setdefault(layer, {})[kind] = f"{float(ours):.1e} / {float(own):.1e}"
        default = next((r[1] for r in found[name] if r[2] == "default"), "none")
        plain = next((f"{float(r[3]):.2f}" for r in found[name] if r[2] == "plain"), "")
        for i, (layer, c) in enumerate((l, c) for l, c in cells.items() if "activations" in c):
            first, last = ([name, default], [plain]) if i == 0 else (["", ""], [""])
            print("| " + " | ".join([*first, layer, *[c.get(k, "") for k in KINDS], *last]) + " |")


def main():
    parser = argparse.ArgumentParser(description="Goldens of torchvision's classifiers at full width, with random weights.")
    parser.add_argument("--list", action="store_true", help="print the names, the small networks first")
    parser.add_argument("--out", help="the folder for the goldens")
    parser.add_argument("--then", metavar="COMMAND", help="run COMMAND --compare NAME when a golden is made")
    parser.add_argument("--table", metavar="ROWS", help="print the page that a folder of rows makes")
    parser.add_argument("--new", action="store_true", help="by the newer exporter")
    parser.add_argument("name", nargs="*", metavar="NAME")
    args = parser.parse_intermixed_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    if args.list:
        print(*names(), sep="\n")
    if args.table:
        table(args.table)
    bad = 0
    for name in args.name:
        os.makedirs(args.out, exist_ok=True)
        start = time.monotonic()
        try:
            zoo_case(args.out, name, args.new)
            if args.then:
                subprocess.run([args.then, "--compare", name], check=True, capture_output=True, text=True)
            print(f"{name}: {time.monotonic() - start:.0f} s")
        except Exception as e:  # the others are made all the same
            print(f"{name}: failed: {e}\n{getattr(e, 'stdout', '')}{getattr(e, 'stderr', '')}")
            bad += 1
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
