"""Golden numbers of real models on real photos: python make_shared.py SHARED_DATA --out DIR [MODEL ...].

The models and photos may not be copied, so a case folder holds numbers only; see README.md.
"""
import argparse
import glob
import json
import os

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image

import golden
import oracle

IMAGENET = dict(rescale=1 / 255, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
BYTES = dict(rescale=1.0, mean=[0.0] * 3, std=[1.0] * 3)
SIGNED = dict(rescale=1.0, mean=[128.0] * 3, std=[128.0] * 3)


def recipe(size, resize, resize_to, crop, numbers):
    return dict(size=[size, size], resize=resize, resize_to=resize_to, interpolation="bilinear", crop=crop,
                channel_order="rgb", **numbers)


# name: (preprocessing, {the layer a user names: its tensor}, or tensors that stand for themselves)
MODELS = {
    "squeezenet1.1_zoo": (recipe(224, "shorter", 256, "center", IMAGENET),
                          ["Concat_1_out", "Concat_5_out", "Concat_8_out", "Relu_26_out"]),
    "mobilenet_v2_1.0_224_quant_deq": (recipe(224, "squash", 224, "none", SIGNED),
                                       ["Add_2_out", "Add_5_out", "Clip_35_out"]),
    "cifar10_resnet20": (recipe(32, "squash", 32, "none", IMAGENET), {
        "layer1": "/layer1/layer1.2/Relu_1_output_0", "layer2.1": "/layer2/layer2.1/Relu_1_output_0",
        "layer3": "/layer3/layer3.2/Relu_1_output_0"}),
    "mlperftiny_resnet8_cifar10": (recipe(32, "squash", 32, "none", BYTES),
                                   ["activation_2_Relu", "activation_4_Relu", "activation_6_Relu"]),
}


def preprocess(path, r):
    """One photo -> (1,3,H,W) float32, by PIL, with torchvision's arithmetic (bytes are divided by 255)."""
    photo, (h, w) = Image.open(path).convert("RGB"), r["size"]
    if r["resize"] == "shorter":
        short, to = min(photo.size), r["resize_to"]
        photo = photo.resize([to if s == short else int(to * s / short) for s in photo.size], Image.Resampling.BILINEAR)
    elif r["resize"] == "squash":
        photo = photo.resize((w, h), Image.Resampling.BILINEAR)
    if r["crop"] == "center":
        left, top = round((photo.width - w) / 2), round((photo.height - h) / 2)
        photo = photo.crop((left, top, left + w, top + h))
    x = np.asarray(photo).astype(np.float32)
    x = x / np.float32(255) if r["rescale"] == 1 / 255 else x * np.float32(r["rescale"])
    x = (x - np.float32(r["mean"])) / np.float32(r["std"])
    return torch.from_numpy(x.transpose(2, 0, 1)[None].copy())


def sample(t):
    """4096 values at fixed positions of a flattened (N,C,h,w) tensor."""
    index = (np.arange(4096, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(2 ** 32)) % np.uint64(t.numel())
    return t.flatten()[torch.from_numpy(index.astype(np.int64))]


def steadiness(exact, fp32, x, start):
    """How many times its tensor's float32 error (RMS) the activation nearest to a corner, after `start`, is away
    from it. Below about 4, rounding alone decides derivatives."""
    with torch.no_grad():
        values, rounded = exact.run(x), fp32.run(x)
        return min((d.min() / (rounded[t] - values[t]).square().mean().sqrt()).item()
                   for t, d in golden.corners(exact, values, start)), values[exact.score].argmax().item()


def good_photos(exact, fp32, photos, r, layers, n=3):
    """The n steadiest photos whose maps, for the class on top, make a golden -> files, input, classes."""
    ranked, chosen = [], []
    for photo in photos:
        ranked.append((*steadiness(exact, fp32, preprocess(photo, r), next(iter(layers.values()))), photo))
    for steady, top, photo in sorted(ranked, reverse=True):
        x = preprocess(photo, r)
        cams = {}
        for tensor in layers.values():
            logits, *cams[tensor] = oracle.cam(exact, x, tensor, [top])
        if golden.why_not(logits, cams) is None:
            chosen.append((os.path.basename(photo), x, top))
            print(f"  {chosen[-1][0]}: class {top}, steadiness {steady:.1f}")
        if len(chosen) == n:
            files, xs, classes = zip(*chosen)
            return list(files), torch.cat(xs), list(classes)
    raise AssertionError("too few photos make a good golden")


def write_top1(path, model_path, model, photos, r):
    """The top class of every photo by ONNX Runtime, and the two largest logits."""
    proto = onnx.load(model_path)
    if model.score != proto.graph.output[0].name:
        proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(model.score))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    with open(path, "w") as tsv:
        print("file\ttop1\tlogit1\tlogit2", file=tsv)
        for photo in photos:
            logits = session.run([model.score], {model.input: preprocess(photo, r).numpy()})[0].ravel()
            second, first = np.argsort(logits)[-2:]
            print(os.path.basename(photo), first, f"{logits[first]:.6f}", f"{logits[second]:.6f}", sep="\t", file=tsv)


def make(data, out, name):
    r, layers = MODELS[name]
    layers = layers if isinstance(layers, dict) else {t: t for t in layers}
    path, photos = f"{data}/models/{name}.onnx", sorted(glob.glob(f"{data}/images/imagenet_val_650/*.JPEG"))
    exact, fp32 = oracle.Model(path), oracle.Model(path, torch.float32)
    files, x, classes = good_photos(exact, fp32, photos, r, layers)
    rows = [dict(layer=layer, tensor=t, classes=classes, exact=oracle.cam(exact, x, t, classes),
                 fp32=golden.fp32_ways(lambda x, t=t: oracle.cam(fp32, x, t, classes), x)) for layer, t in layers.items()]
    for row in rows:
        assert all(sample(t).norm() > 0 for t in row["exact"][1:3]), f"{row['layer']}: the samples are all zero"
    folder = f"{out}/real_{name}"
    golden.write_case(folder, None, None, rows, sample)
    with open(f"{folder}/files.txt", "w") as f:
        f.writelines(name + "\n" for name in files)
    with open(f"{folder}/preprocess.json", "w") as f:
        json.dump(r, f, indent=2)
        f.write("\n")
    write_top1(f"{folder}/top1.tsv", path, exact, photos, r)


def main():
    parser = argparse.ArgumentParser(description="Makes the real_* cases of tests/golden from the shared models and photos.")
    parser.add_argument("data", metavar="SHARED_DATA", help="the folder with models/ and images/")
    parser.add_argument("--out", required=True)
    parser.add_argument("model", nargs="*", metavar="MODEL", help=f"of: {', '.join(MODELS)} (default: all)")
    args = parser.parse_intermixed_args()
    if set(args.model) - set(MODELS):
        parser.error(f"unknown model; there are {', '.join(MODELS)}")
    torch.set_num_threads(1)
    for name in args.model or MODELS:
        make(args.data, args.out, name)
        print(f"{name}: done", flush=True)


if __name__ == "__main__":
    main()
