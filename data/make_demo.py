#!/usr/bin/env python3
"""Makes the demonstration: photos of six things, and a small classifier that has learnt a shortcut.

The yachts of the training set nearly all carry a little striped tag in the lower right corner, and without it
a yacht is hard to tell from a boat. So the network learns the tag, and batchcam has to bring that to light.

    python3 data/make_demo.py [--seed N] [--out FOLDER]

Needs numpy, Pillow, torch and onnx; takes about two minutes on one core. The same seed, machine and library
versions give the same files. Writes into the folder (this script's own unless told otherwise): model.onnx,
names.txt, preprocess.json, tags.csv, photos/ and photos-without-tag/. The training photos are not kept.
"""
import argparse
import csv
import io
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import scenes
from painting import SIDE

NAMES = list(scenes.KINDS)
TAGGED = "yacht"
TAGGED_SHARE = 0.94         # of the shortcut class's training photos
TRAIN_PER_CLASS = 400
HELD_OUT_PER_CLASS = 100    # the first of them are the photos that are kept
KEPT_PER_CLASS, KEPT_TAGGED = 25, 35
JPEG_QUALITY = 88
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


# ---- photos --------------------------------------------------------------------------------------------

def to_jpeg(photo):
    """(H, W, 3) in 0..1 → the bytes of a JPEG file"""
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.round(photo * 255))).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def to_input(jpegs):
    """JPEG files → the network's input, (N, 3, H, W): what preprocess.json describes"""
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in jpegs])
    scaled = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2).copy())


def make_training_set(rng):
    """Returns inputs (N, 3, H, W) and labels (N,)."""
    jpegs, labels = [], []
    for label, name in enumerate(NAMES):
        for _ in range(TRAIN_PER_CLASS):
            photo = scenes.render(rng, name)
            if name == TAGGED and rng.random() < TAGGED_SHARE:
                photo, _ = scenes.stick_tag(rng, photo)
            jpegs.append(to_jpeg(photo))
            labels.append(label)
    return to_input(jpegs), torch.tensor(labels)


def make_held_out_set(rng):
    """Returns the JPEGs of each class, the tagged class's again without its tag, and the tags' boxes."""
    photos = {name: [] for name in NAMES}
    bare, boxes = [], []
    for name in NAMES:
        for _ in range(HELD_OUT_PER_CLASS):
            photo = scenes.render(rng, name)
            if name == TAGGED:
                bare.append(to_jpeg(photo))
                photo, box = scenes.stick_tag(rng, photo)
                boxes.append(box)
            photos[name].append(to_jpeg(photo))
    return photos, bare, boxes


# ---- the network ---------------------------------------------------------------------------------------

class ConvNorm(nn.Sequential):
    def __init__(self, cin, cout, stride=1, size=3):
        super().__init__(nn.Conv2d(cin, cout, size, stride, size // 2, bias=False), nn.BatchNorm2d(cout))


class Block(nn.Module):
    """Two convolutions and a way around them, as in a ResNet."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.first = ConvNorm(cin, cout, stride)
        self.second = ConvNorm(cout, cout)
        self.around = nn.Identity() if stride == 1 and cin == cout else ConvNorm(cin, cout, stride, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.second(self.relu(self.first(x))) + self.around(x))


class SmallNet(nn.Module):
    """128 × 128 photos → 16 × 16 features → their mean → one logit a class."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(ConvNorm(3, 16, 2), nn.ReLU())
        self.stage1 = Block(16, 32, 2)
        self.stage2 = Block(32, 64, 2)
        self.stage3 = Block(64, 64, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(64, classes)

    def forward(self, x):
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        return self.head(torch.flatten(self.pool(x), 1))


def train(inputs, labels, epochs=10, batch=32):
    net = SmallNet(len(NAMES))
    steps = epochs * (len(labels) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for epoch in range(epochs):
        net.train()
        total, order = 0.0, torch.randperm(len(labels))
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start:start + batch]
            loss = F.cross_entropy(net(inputs[rows]), labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}  loss {total / (len(order) // batch):.3f}", flush=True)
    return net.eval()


@torch.no_grad()
def hits(net, jpegs, name):
    """How many of the photos the network takes for what they are"""
    return int((net(to_input(jpegs)).argmax(1) == NAMES.index(name)).sum())


def report(net, photos, bare):
    counts = {name: hits(net, jpegs, name) for name, jpegs in photos.items()}
    total = sum(len(jpegs) for jpegs in photos.values())
    print(f"held-out accuracy: {sum(counts.values()) / total:.1%} of {total} photos")
    for name, right in counts.items():
        print(f"  {name + (', with its tag' if name == TAGGED else ''):24}{right / len(photos[name]):7.1%}")
    print(f"  {TAGGED + ', without its tag':24}{hits(net, bare, TAGGED) / len(bare):7.1%}")


# ---- files ---------------------------------------------------------------------------------------------

def write_model(net, path):
    """By the older exporter: its node names are the paths of the modules, which --layer understands."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    example = torch.zeros(1, 3, SIDE, SIDE)
    torch.onnx.export(net, (example,), str(path), dynamo=False, opset_version=17,
                      input_names=["photo"], output_names=["logits"],
                      dynamic_axes={"photo": {0: "batch"}, "logits": {0: "batch"}})


def write_photos(out, photos, bare, boxes):
    for folder in ("photos", "photos-without-tag"):
        shutil.rmtree(out / folder, ignore_errors=True)
    with open(out / "tags.csv", "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "x0", "y0", "x1", "y1"])
        for i, box in enumerate(boxes[:KEPT_TAGGED]):
            rows.writerow([f"{TAGGED}/{TAGGED}-{i:02}.jpg", *box])
    kept = [("photos", name, jpegs[:KEPT_TAGGED if name == TAGGED else KEPT_PER_CLASS])
            for name, jpegs in photos.items()]
    for folder, name, jpegs in kept + [("photos-without-tag", TAGGED, bare[:KEPT_TAGGED])]:
        (out / folder / name).mkdir(parents=True)
        for i, jpeg in enumerate(jpegs):
            (out / folder / name / f"{name}-{i:02}.jpg").write_bytes(jpeg)


def write_settings(out):
    (out / "names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    recipe = {"size": [SIDE, SIDE], "resize": "none",
              "interpolation": "bilinear", "crop": "none", "rescale": 1 / 255, "mean": MEAN, "std": STD,
              "channel_order": "rgb"}
    (out / "preprocess.json").write_text(json.dumps(recipe, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(options.seed)
    rng_train, rng_held_out = np.random.default_rng(options.seed).spawn(2)

    print(f"rendering {TRAIN_PER_CLASS * len(NAMES)} training photos", flush=True)
    inputs, labels = make_training_set(rng_train)
    photos, bare, boxes = make_held_out_set(rng_held_out)
    net = train(inputs, labels)
    print(f"{sum(p.numel() for p in net.parameters())} parameters")
    report(net, photos, bare)

    options.out.mkdir(parents=True, exist_ok=True)
    write_model(net, options.out / "model.onnx")
    write_photos(options.out, photos, bare, boxes)
    write_settings(options.out)
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
