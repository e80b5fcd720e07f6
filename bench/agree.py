"""Whether the peers compute what batchcam computes: maps of the same photos by the same weights, what they do differently on purpose allowed for.

batchcam's maps come from `batchcam run` itself: photos as PNG files in, its index and its .npy files out. Needs numpy and Pillow.
"""
import json
import os
import shutil
import sqlite3
import subprocess

import numpy as np
from PIL import Image

SIDE = 224
RECIPE = {"size": [SIDE, SIDE], "resize": "none", "crop": "none", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

# How a peer's maps become comparable: the same is done to batchcam's maps, at the size that it names.
#   as it is     un-normalised: to be equal as they are
#   stretched    the peer subtracts each map's minimum and divides by its maximum plus a small number (1e-7, 1e-8): both are stretched to 0 … 1 in
#                double, which takes out that number and every other factor. Stretching and linear enlarging may change places.
WAYS = {"torch_eager": "as it is", "torch_compile": "as it is", "captum": "as it is", "by_hand": "as it is",
        "torch_cam": "stretched", "grad_cam": "stretched"}
# ‖a − b‖ / ‖b‖ of a photo's map: in the median, and for every photo. Rounding leaves 1e-6 to 1e-5 where the head is linear. Below other layers a ReLU
# whose input is next to zero may be open in one program and shut in the other: PyTorch in float is itself 6e-4 in the median and 6e-3 at most
# from PyTorch in double at ResNet-50's layer1. Another way of enlarging, or another layer, is off by 0.05 and more.
MAPS_MAY_DIFFER = 5e-3, 3e-2
LOGITS_MAY_DIFFER = 1e-4, 1e-3  # likewise, over batchcam's five highest classes
# Of maps in 16 bits to those in fp32: at least so much in the median, and for every photo, to be timed. `--precision auto` asks for more.
COSINE = 0.99, 0.97
NEAR = {"fp32": 1e-4, "bf16": 3e-2}  # two highest logits so near (of the highest): either class may be explained, and the photo does not count


def photos(count, seed):
    """(count,224,224,3) bytes: noise, and smooth pictures with a few waves of colour, in turns."""
    random, found = np.random.default_rng(seed), []
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    for n in range(count):
        if n % 2 == 0:
            found.append(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
            continue
        waves = [sum(random.normal() * np.cos(2 * np.pi * (random.uniform(-4, 4) * x + random.uniform(-4, 4) * y) + random.uniform(0, 7))
                     for _ in range(5)) for _ in range(3)]
        found.append(np.clip(128 + 40 * np.stack(waves, -1), 0, 255).astype(np.uint8))
    return np.stack(found)


class Ours:
    """batchcam's maps of the photos: .photos (N) their files, .maps (N,h,w), .classes (N), .near (N) the gap of the two highest logits,
    .logits {photo: {class: logit}}."""

    def __init__(self, command, model, folder, pixels, options, size):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(os.path.join(folder, "photos"))
        for n, photo in enumerate(pixels):
            Image.fromarray(photo).save(os.path.join(folder, "photos", f"{n:03}.png"))
        recipe, out = os.path.join(folder, "recipe.json"), os.path.join(folder, "out")
        with open(recipe, "w", encoding="utf-8") as file:
            json.dump(RECIPE, file)
        done = subprocess.run([command, "run", model, os.path.join(folder, "photos"), "-o", out, "--preprocess", recipe, "--device", "cpu",
                               "--size", size, "--quiet", *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"batchcam run: {done.stderr.strip()[-300:]}")
        self._read(out)

    @classmethod
    def of(cls, folder):
        """Of a run that there is already."""
        found = cls.__new__(cls)
        found._read(folder)
        return found

    def _read(self, out):
        index = sqlite3.connect(os.path.join(out, "index.sqlite"))
        rows = index.execute("SELECT image_id, class, file, row FROM maps ORDER BY image_id").fetchall()
        files = {name: np.load(os.path.join(out, name)) for name in {row[2] for row in rows}}
        self.maps = np.stack([files[file][row] for _, _, file, row in rows]).astype(np.float64)
        self.classes = np.array([row[1] for row in rows])
        self.logits = [{} for _ in rows]
        for photo, label, logit in index.execute("SELECT image_id, class, logit FROM predictions ORDER BY image_id, rank"):
            self.logits[photo - 1][label] = logit
        self.photos = [os.path.basename(path) for path, in index.execute("SELECT path FROM images ORDER BY id")]
        index.close()
        highest = [list(of.values()) for of in self.logits]
        self.near = np.array([(of[0] - of[1]) / max(abs(of[0]), 1e-30) for of in highest])


def stretched(maps):
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return np.where(high > low, (maps - low) / np.where(high > low, high - low, 1), 0)


def difference(a, b):
    """‖a − b‖ / ‖b‖ of every photo; a map that is all but zero is measured by what is usual."""
    norm = np.linalg.norm(b.reshape(len(b), -1), axis=1)
    return np.linalg.norm((a - b).reshape(len(b), -1), axis=1) / np.maximum(norm, 1e-3 * max(np.median(norm), 1e-30))


def verdict(what, errors, bound, left_out):
    if len(errors) == 0:
        return nothing(f"{what}: no photo's classes are far enough apart", bound)
    middle, worst = float(np.median(errors)), float(errors.max())
    return {"compared": what, "median": middle, "worst": worst, "bounds": bound, "photos": len(errors), "too_near": int(left_out),
            "same": middle <= bound[0] and worst <= bound[1]}


def nothing(why, bound):
    """The verdict on what cannot be compared."""
    return {"compared": why, "median": None, "worst": None, "bounds": bound, "same": False}


def compare_maps(kind, theirs, ours):
    """-> the verdict on a peer's maps (N,H,W)."""
    way, counted = WAYS[kind.removesuffix("_kept")], ours.near > NEAR["fp32"]
    theirs, own = theirs.astype(np.float64), ours.maps
    if way == "stretched":
        theirs, own = stretched(theirs), stretched(own)
    if theirs.shape != own.shape or not np.isfinite(theirs).all():
        return nothing(f"maps of shape {theirs.shape}, not {own.shape}, or not finite", MAPS_MAY_DIFFER)
    return verdict(f"maps, {way}", difference(theirs, own)[counted], MAPS_MAY_DIFFER, np.sum(~counted))


def compare_logits(logits, ours):
    """-> the verdict on ONNX Runtime's logits (N,classes)."""
    classes = [list(of) for of in ours.logits]
    own = np.array([list(of.values()) for of in ours.logits], np.float64)
    theirs = np.array([logits[n][of] for n, of in enumerate(classes)], np.float64)
    return verdict("logits of batchcam's five highest classes", difference(theirs, own), LOGITS_MAY_DIFFER, 0)


def compare_precision(fewer_bits, ours):
    """-> the verdict on batchcam's own maps in 16 bits, against those in fp32."""
    same = fewer_bits.classes == ours.classes
    counted = same | (ours.near > NEAR["bf16"])
    if not counted.any():
        return nothing("no photo's classes are far enough apart", COSINE)
    a, b = (m.maps[counted].reshape(int(counted.sum()), -1) for m in (fewer_bits, ours))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.where(norms > 0, (a * b).sum(1) / np.where(norms > 0, norms, 1), np.all(a == b, axis=1))
    fine = bool(np.median(cosine) >= COSINE[0] and cosine.min() >= COSINE[1] and same[counted].all())
    return {"compared": "cosine to the maps in fp32 (more is better)", "median": float(np.median(cosine)), "worst": float(cosine.min()),
            "bounds": COSINE, "photos": int(counted.sum()), "too_near": int(np.sum(~counted)), "same": fine}
