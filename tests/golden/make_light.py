"""Golden numbers of big networks with made-up weights: python make_light.py SHARED_DATA --out DIR [MODEL ...].

The graphs stay outside, and the weights follow from their names, so a case folder holds numbers only; see README.md.
"""
import argparse
import os

import numpy as np
import onnx
import torch
from onnx import numpy_helper

import golden
import oracle

SAMPLES = 1024
CLEAR, NEAR = 32, 16  # how many times its own float32 error an activation is moved away from a corner; must at least be

# name: an early, a middle and the last layer
MODELS = {
    "bvlc_alexnet": ["r3", "r9", "r14"],
    "densenet121": ["r22", "r293", "r907"],
    "inception_v1": ["r9", "r80", "r137"],
    "inception_v2": ["r73", "r263", "r504"],
    "resnet50": ["r15", "r77", "r171"],
    "shufflenet": ["r16", "r101", "r198"],
    "squeezenet": ["r9", "r39", "r60"],
    "vgg19": ["r9", "r27", "r36"],
    "zfnet512": ["r3", "r9", "r14"],
}

# --- weights and input from names; tests/light_model.h makes the same ------------------------------------------


def stream(name, count):
    """Uniform numbers in [-1, 1): splitmix64, begun at the name's FNV-1a hash."""
    start = 14695981039346656037
    for byte in name.encode():
        start = (start ^ byte) * 1099511628211 % 2 ** 64
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15) + np.uint64(start)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94d049bb133111eb)
    z = z ^ z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0 ** -52 - 1


def input_of(seed):
    """(1,3,224,224): 7 x 7 patches of a brightness each, and noise, as large as bytes are."""
    patches = stream(f"patches {seed}", 3 * 7 * 7).reshape(3, 7, 7).repeat(32, 1).repeat(32, 2)
    noise = stream(f"noise {seed}", 3 * 224 * 224).reshape(3, 224, 224)
    return torch.from_numpy((64 * (patches + 0.5 * noise)).astype(np.float32)[None])


def multiplies(graph, name):
    """Whether a vector is a factor or a variance, which must not come near zero."""
    for node in graph.node:
        for k, i in enumerate(node.input):
            if i == name:
                if node.op_type == "Unsqueeze":
                    return multiplies(graph, node.output[0])
                return node.op_type == "Mul" or node.op_type == "BatchNormalization" and k in (1, 4)
    return False


def weight_of(graph, name, shape):
    u = stream(name, int(np.prod(shape))).reshape(shape)
    if len(shape) > 1:  # as many as are added up: the variance stays as it is behind a ReLU
        u = u * np.sqrt(6 / np.prod(shape[1:]))
    else:
        u = 1 + 0.5 * u if multiplies(graph, name) else 4 * u
    return u.astype(np.float32)


def light_model(path):
    """The graph without its float constants, and these by name."""
    proto = onnx.load(path)
    graph, weights = proto.graph, {}
    kept = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    shapes = {n.output[0]: tuple(kept[n.input[0]]) for n in graph.node if n.op_type == "ConstantOfShape"}
    shapes.update({name: a.shape for name, a in kept.items() if a.dtype == np.float32})
    for name, shape in shapes.items():
        weights[name] = weight_of(graph, name, shape)
    nodes = [n for n in graph.node if n.op_type != "ConstantOfShape"]
    del graph.node[:]
    graph.node.extend(nodes)
    return proto, weights


def interpreter(proto, weights, dtype=torch.float64):
    model = oracle.Model(proto, dtype)
    model.consts.update({name: model.tensor(a) for name, a in weights.items()})
    return model


# --- away from the corners --------------------------------------------------------------------------------------
# In a large network float32 rounding would decide a few derivatives: where the input of a ReLU is next to zero, or two
# elements of a MaxPool's window are next to each other. A few weights are moved until none is left.


def shift_of(model, made_by, tensor, channel):
    """(name, index) of the vector element that is added to one channel of a tensor, or None."""
    node = made_by.get(tensor)
    at = {"Conv": 2, "Gemm": 2, "BatchNormalization": 2, "Add": 1}.get(node.op_type if node else None)
    if at is not None:
        name = node.input[at] if at < len(node.input) else None
        name = made_by[name].input[0] if name in made_by else name
        return (name, channel) if name in model.consts else None
    if node is not None and node.op_type == "Sum":
        return next(filter(None, (shift_of(model, made_by, i, channel) for i in node.input)), None)
    return None


def clear_channel(z, margin):
    """A small shift after which no element of a channel lies within the margin around zero."""
    for k in range(1, 400):
        shift = (k + 1) // 2 * (margin if k % 2 else -margin)
        if (z + shift).abs().min() > margin:
            return shift
    return None


def clear_relu(model, made_by, weights, tensor, z, margin):
    """Moves biases, and z with them -> what was moved."""
    near, moved = ((z.abs() < margin) & (z != 0)).transpose(0, 1).flatten(1).any(1), set()
    for c in near.nonzero().flatten().tolist():
        at, shift = shift_of(model, made_by, tensor, c), clear_channel(z[:, c], margin)
        if at and shift:
            bias = weights[at[0]]
            before, bias[at[1]] = float(bias[at[1]]), bias[at[1]] + np.float32(shift)
            z[:, c] += float(bias[at[1]]) - before
            moved.add(at)
    return moved


def conv_of(values, made_by, tensor, channel):
    """The weights that make one channel of a tensor -> (name, row)."""
    node = made_by[tensor]
    if node.op_type == "Conv":
        return node.input[1], channel
    if node.op_type != "Concat":
        return conv_of(values, made_by, node.input[0], channel)
    for i in node.input:
        if channel < values[i].shape[1]:
            return conv_of(values, made_by, i, channel)
        channel -= values[i].shape[1]


def clear_pool(values, made_by, weights, node, margin, rng):
    """Draws a few weights anew for every channel that has such a window -> what was moved."""
    gap, moved = golden._pool_gap(node, values[node.input[0]]), set()
    for c in ((gap > 0) & (gap < margin)).flatten(1).any(1).nonzero().flatten().tolist():
        name, row = conv_of(values, made_by, node.input[0], c)
        flat, size = weights[name].reshape(-1), weights[name][row].size
        for index in row * size + rng.choice(size, min(size, 4), replace=False):
            flat[index] = flat[row * size + rng.integers(size)] * -0.5
            moved.add((name, int(index)))
    return moved


def clear_once(weights, proto, x, errors, start, rng):
    """Runs the network and clears ReLUs as it goes -> what was moved, and whether it came to the end: once the weights
    before a MaxPool were drawn anew, everything behind it is different."""
    model = interpreter(proto, weights)
    made_by = {o: n for n in model.graph.node for o in n.output}
    values, moved, after = {"": None, **model.consts, model.input: x.double()}, set(), {start}
    for node in model.graph.node:
        if after & set(node.input):
            after.update(node.output)
            margin = CLEAR * errors.get(node.input[0], 0)
            if node.op_type == "Relu":
                moved |= clear_relu(model, made_by, weights, node.input[0], values[node.input[0]], margin)
            if node.op_type == "MaxPool":
                drawn = clear_pool(values, made_by, weights, node, margin, rng)
                if drawn:
                    return moved | drawn, False
        attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = oracle.OPS[node.op_type](model, attrs, *[values[i] for i in node.input])
    return moved, True


def clear(weights, proto, x, errors, start):
    moved, rng = set(), np.random.default_rng(0)
    for _ in range(100):
        now, done = clear_once(weights, proto, x, errors, start, rng)
        moved |= now
        if done:
            return moved
    raise AssertionError("rounding decides a MaxPool, whatever the weights are")


def float32_errors(exact, fp32, x):
    """The RMS error of every tensor in float32."""
    a, b = exact.run(x), fp32.run(x)
    return {name: (b[name] - a[name]).square().mean().sqrt().item() for node in exact.graph.node
            for name in node.output[:1] if name in a and a[name].is_floating_point()}


def nearest_corner(model, values, errors, start):
    return min(((d.min() / errors[t]).item(), t) for t, d in golden.corners(model, values, start))


# --- a case -------------------------------------------------------------------------------------------------------


def sample(t):
    index = (np.arange(SAMPLES, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(2 ** 32)) % np.uint64(t.numel())
    return t.flatten()[torch.from_numpy(index.astype(np.int64))]


def good_input(proto, weights, layers):
    """The first input whose numbers make a good golden -> seed, input, class, moved weights, all weights, the model."""
    for seed in range(20):
        x, mine = input_of(seed), {name: a.copy() for name, a in weights.items()}
        with torch.no_grad():
            errors = float32_errors(interpreter(proto, mine), interpreter(proto, mine, torch.float32), x)
            moved = clear(mine, proto, x, errors, layers[0])
            exact = interpreter(proto, mine)
            values = exact.run(x)
            corner, where = nearest_corner(exact, values, errors, layers[0])
            top = values[exact.score].argmax().item()
        del values
        print(f"  seed {seed}: {len(moved)} weights moved; nearest corner {corner:.1f} errors off, at {where}", flush=True)
        cams = {}
        for tensor in layers:
            logits, *cams[tensor] = oracle.cam(exact, x, tensor, [top])
        trouble = golden.why_not(logits, cams)
        if not trouble and corner > NEAR:
            return seed, x, top, moved, mine, exact
        print(f"  {trouble}")
    raise AssertionError("no input is good enough")


def make(data, out, name):
    proto, weights = light_model(f"{data}/models/light/light_{name}.onnx")
    layers = MODELS[name]
    seed, x, top, moved, weights, exact = good_input(proto, weights, layers)
    fp32 = interpreter(proto, weights, torch.float32)
    rows = [dict(layer=t, tensor=t, classes=[top], exact=oracle.cam(exact, x, t, [top]),
                 fp32=golden.fp32_ways(lambda x, t=t: oracle.cam(fp32, x, t, [top]), x)) for t in layers]
    folder = f"{out}/light_{name}"
    golden.write_case(folder, None, None, rows, sample)
    with open(f"{folder}/weights.tsv", "w") as f:
        print("seed", seed, 0, sep="\t", file=f)
        for tensor, index in sorted(moved):
            print(tensor, index, f"{weights[tensor].reshape(-1)[index]:.9g}", sep="\t", file=f)


def main():
    parser = argparse.ArgumentParser(description="Makes the light_* cases from the shared light graphs.")
    parser.add_argument("data", metavar="SHARED_DATA", help="the folder with models/light/")
    parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)), help="default: beside this script")
    parser.add_argument("model", nargs="*", metavar="MODEL", help=f"of: {', '.join(MODELS)} (default: all)")
    args = parser.parse_intermixed_args()
    if set(args.model) - set(MODELS):
        parser.error(f"unknown model; there are {', '.join(MODELS)}")
    torch.set_num_threads(1)
    for name in args.model or MODELS:
        print(f"{name}:", flush=True)
        make(args.data, args.out, name)


if __name__ == "__main__":
    main()
