"""The whole job in PyTorch: the photos of a folder in, Grad-CAM maps of the highest class (224 x 224, float32) as .npy files out.

    python pipeline.py WAY NETWORK.pt PHOTOS OUT [--limit 400] [--settings 2,2,16] [--precision bf16]

A DataLoader opens, resizes and normalises photos by Pillow and torchvision. WAY is grad_cam (pytorch-grad-cam), torch_cam, or by_hand: no graph below
the layer, one gradient for the batch, maps by tensors. --settings is WORKERS,THREADS,BATCH: the loader's processes, PyTorch's threads, photos at
once; where several are given, each does the job once. OUT/index.csv says in which row of which file a photo's map is, and of which class.

One line is printed when the first photo is about to be asked for and one when the last map is written: bench/end_to_end.py takes the time by them.
"""
import argparse
import csv
import os
import time

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from common import DEFAULT_LAYER, DTYPES, MEAN, SIDE, STD, enlarge, split, weighted_map
from protocol import main, say

SHARD_ROWS = (64 << 20) // (SIDE * SIDE * 4)  # as in batchcam's own


class Photos(Dataset):
    def __init__(self, folder, limit):
        self.files = sorted(name for name in os.listdir(folder) if name.endswith(".jpg"))[:limit]
        self.folder = folder
        self.prepare = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(SIDE), transforms.ToTensor(),
                                           transforms.Normalize(MEAN, STD)])

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        with Image.open(os.path.join(self.folder, self.files[number])) as photo:
            return self.prepare(photo.convert("RGB"))


# ---- the ways: normalised photos (N,3,H,W) -> maps (N,H,W) as an array of numpy, their classes ----

def grad_cam(net, wanted):
    """As its documentation shows it."""
    from pytorch_grad_cam import GradCAM

    net = net.requires_grad_(True).to(memory_format=torch.channels_last)
    method = GradCAM(model=net, target_layers=[net.get_submodule(wanted.layer)])

    def cam(photos):
        maps = method(input_tensor=photos.contiguous(memory_format=torch.channels_last), targets=None)
        return maps, method.outputs.argmax(1).tolist()

    return cam


def torch_cam(net, wanted):
    """Its graph begins at the layer, as in torch_cam.py."""
    from torchcam.methods import GradCAM

    net = net.to(memory_format=torch.channels_last)
    net.get_submodule(wanted.layer).register_forward_hook(lambda module, inputs, output: output.requires_grad_())
    method = GradCAM(net, wanted.layer)

    def cam(photos):
        scores = net(photos.contiguous(memory_format=torch.channels_last))
        classes = scores.argmax(1).tolist()
        return enlarge(method(classes, scores)[0]).detach().numpy(), classes

    return cam


def by_hand(net, wanted):
    features, head = split(wanted.model, wanted.layer, wanted.precision, "cpu", net=net)

    def cam(photos):
        with torch.inference_mode():
            activations = features(photos.to(DTYPES[wanted.precision], memory_format=torch.channels_last))
        activations = activations.clone().requires_grad_()  # what inference_mode gives cannot be differentiated itself
        best = head(activations).max(1)
        gradients, = torch.autograd.grad(best.values.sum(), activations)
        with torch.inference_mode():
            return weighted_map(activations, gradients).numpy(), best.indices.tolist()

    return cam


# ---- files ----

class Files:
    """One file a photo, as the users of these libraries save maps."""

    def __init__(self, folder, photos):
        self.folder, self.photos, self.at = folder, photos, 0
        self.list = open(os.path.join(folder, "index.csv"), "w", newline="", encoding="utf-8")
        self.index = csv.writer(self.list)

    def write(self, maps, classes):
        for one, label in zip(maps, classes):
            name = os.path.splitext(self.photos[self.at])[0] + ".npy"
            np.save(os.path.join(self.folder, name), one[None])
            self.index.writerow((self.photos[self.at], name, 0, label))
            self.at += 1

    def close(self):
        self.list.close()


class Shards(Files):
    """Files of many rows, each batch one large write."""

    def write(self, maps, classes):
        while len(maps):
            row, name = self.at % SHARD_ROWS, f"{self.at // SHARD_ROWS:05}.npy"
            if row == 0:
                self.shard = open(os.path.join(self.folder, name), "wb")
                rows = min(SHARD_ROWS, len(self.photos) - self.at)
                np.lib.format.write_array_header_1_0(self.shard, {"descr": "<f4", "fortran_order": False, "shape": (rows, SIDE, SIDE)})
            part, maps = maps[:SHARD_ROWS - row], maps[SHARD_ROWS - row:]
            self.shard.write(np.ascontiguousarray(part, "<f4"))
            self.index.writerows((self.photos[self.at + n], name, row + n, label) for n, label in enumerate(classes[:len(part)]))
            classes = classes[len(part):]
            self.at += len(part)
            if self.at % SHARD_ROWS == 0 or self.at == len(self.photos):
                self.shard.close()


WAYS = {"grad_cam": (grad_cam, Files), "torch_cam": (torch_cam, Files), "by_hand": (by_hand, Shards)}


def job(wanted, cam, setting):
    workers, threads, batch = setting
    torch.set_num_threads(threads)
    os.makedirs(wanted.out, exist_ok=True)
    say(begun=time.monotonic())
    photos = Photos(wanted.photos, wanted.limit)
    writer = WAYS[wanted.way][1](wanted.out, photos.files)
    for prepared in DataLoader(photos, batch_size=batch, num_workers=workers):
        writer.write(*cam(prepared))
    writer.close()
    say(done=time.monotonic(), photos=writer.at, setting=setting)


def run():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("way", choices=tuple(WAYS))
    parser.add_argument("network", help="made by export.py")
    parser.add_argument("photos", help="a folder of .jpg files")
    parser.add_argument("out")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--settings", nargs="+", default=["2,2,16"], help="WORKERS,THREADS,BATCH, each done once")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="by_hand: of the network")
    wanted = parser.parse_args()
    wanted.model = os.path.splitext(os.path.basename(wanted.network))[0]
    wanted.layer = DEFAULT_LAYER[wanted.model]
    cam = WAYS[wanted.way][0](torch.load(wanted.network, weights_only=False), wanted)
    for setting in wanted.settings:
        job(wanted, cam, tuple(map(int, setting.split(","))))


if __name__ == "__main__":
    main(run)
