"""What a golden case is, how it is computed with PyTorch hooks, judged and written. See README.md."""
import argparse
import logging
import math
import os
import shutil
import warnings

import numpy as np
import torch
import torch.nn.functional as F

import oracle

NAMES = ("A", "g", "w", "map")
HEADER = "layer\ttensor\tprefix\tclasses\terr_logits\terr_A\terr_g\terr_w\terr_map"


def rel(a, b):
    """The error of a against b: relative L2 norm, in double."""
    return (torch.linalg.vector_norm(a.double() - b.double()) / torch.linalg.vector_norm(b.double())).item()


def hook_cam(module, x, paths, class_ids):
    """Grad-CAM at named modules by PyTorch hooks alone -> logits, {path: (A, g, w, m)}.

    The hook hands a copy on, so that an in-place operation that follows cannot change what was seen.
    """
    seen = {}

    def hook(path):
        def keep(_module, _inputs, out):
            seen[path] = out.clone()
            return seen[path].clone()
        return keep
    handles = [module.get_submodule(p).register_forward_hook(hook(p)) for p in paths]
    logits = module(x.clone().requires_grad_())
    score = logits.gather(1, torch.tensor(class_ids)[:, None]).sum()
    grads = torch.autograd.grad(score, [seen[p] for p in paths])
    for h in handles:
        h.remove()
    return logits.detach(), {p: oracle.combine(seen[p].detach(), g) for p, g in zip(paths, grads)}


def why_not(logits, cams):
    """What is wrong with these numbers as a golden, or None. cams: {layer: (A, g, w, m)}."""
    if not torch.isfinite(logits).all() or (logits.flatten(1).norm(dim=1) == 0).any():
        return "logits are zero or not finite"
    for layer, parts in cams.items():
        for name, t in zip(NAMES, parts):
            norms = t.flatten(1).norm(dim=1)
            if not torch.isfinite(norms).all() or (norms == 0).any():
                return f"{layer}: {name} of an image is zero or not finite"
        share = (parts[3] > 0).flatten(1).double().mean(1)
        if (share < 0.1).any():
            return f"{layer}: only {share.min():.3f} of a map is positive"
    return None


def fp32_ways(run, x):
    """run(x) by three sets of PyTorch's float32 kernels: oneDNN's, PyTorch's own, and channels-last ones. Each
    rounds in its own way; the largest of their errors says more of float32 than one of them, which may be lucky."""
    results = [run(x), run(x.contiguous(memory_format=torch.channels_last))]
    with torch.backends.mkldnn.flags(enabled=False):
        return results + [run(x)]


def corners(model, values, start=None):
    """(tensor, distances) of every activation after `start` to a place where rounding would change a derivative:
    the corner of an activation function, or two different maxima in one pooling window."""
    after = {start}
    for node in model.graph.node:
        if start and not after & set(node.input):
            continue
        after.update(node.output)
        t = values[node.input[0]] if node.input else None
        if node.op_type == "MaxPool":
            d = _pool_gap(node, t)
        elif node.op_type in ("Relu", "Clip", "HardSwish", "HardSigmoid"):
            d = torch.stack([(t - c).abs() for c in _corners(node, values)])
        else:
            continue
        d = d[d > 0]  # an exact tie (zeros after a ReLU) is exact in every precision
        if len(d):
            yield node.input[0], d


def kink_distance(model, x):
    """The smallest of all corner distances, relative to the RMS of its tensor."""
    values = run_all(model, x)
    return min(((d.min() / values[t].square().mean().sqrt()).item() for t, d in corners(model, values)), default=math.inf)


def run_all(model, x):
    step = model.fixed_batch or len(x)
    parts = [model.run(x[i:i + step]) for i in range(0, len(x), step)]
    if len(parts) == 1:
        return parts[0]
    made = {o for n in model.graph.node for o in n.output if n.op_type != "Constant"}
    return {k: torch.cat([p[k] for p in parts]) if k in made else v for k, v in parts[0].items()}


def _corners(node, values):
    if node.op_type == "Relu":
        return [0.0]
    if node.op_type == "HardSwish":
        return [-3.0, 3.0]
    at = {a.name: a for a in node.attribute}
    if node.op_type == "HardSigmoid":
        alpha, beta = (at[k].f if k in at else v for k, v in (("alpha", 0.2), ("beta", 0.5)))
        return [-beta / alpha, (1 - beta) / alpha]
    given = [values[i].item() for i in node.input[1:] if i]
    return given + [at[k].f for k in ("min", "max") if k in at]


def _pool_gap(node, t):
    """The distance between the largest and the next smaller different value of each window."""
    at = {a.name: oracle.onnx.helper.get_attribute_value(a) for a in node.attribute}
    kernel, stride, dilation, pads, extra = oracle._window(at, t)
    low = -1e30
    t = oracle._pad_all(oracle._pad_all(t, pads, low), extra, low)
    windows = F.unfold(t.flatten(0, 1)[:, None], kernel, dilation, 0, stride)  # (N*C, k*k, windows)
    top = windows.max(1, keepdim=True).values
    return (top - windows.where(windows < top, low).max(1, keepdim=True).values).clamp(max=1e9)


def find_tensor(model, x, a, tolerance):
    """The name of the tensor of the ONNX graph that holds these activations, found by its values; the first, where a pooling of one
    pixel copies them."""
    values = run_all(model, x)
    same = [(rel(values[n.output[0]], a), n.output[0]) for n in model.graph.node
            if n.output[0] in values and values[n.output[0]].shape == a.shape]
    found = [name for error, name in same if error < tolerance]
    if not found:
        raise AssertionError(f"no tensor of the ONNX graph holds these activations: {sorted(same)[:3]}")
    return found[0]


def write_case(folder, proto, x, rows, sample=None):
    """Write one case folder. rows: dicts with layer, tensor, classes, exact = (logits, A, g, w, m), and fp32, a
    list of the same from float32 runs.

    sample: None, or a function that picks what is stored, and judged, of A and g.
    """
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    if proto is not None:
        data = proto.SerializeToString()
        for path in ("site-packages", os.getcwd(), os.path.dirname(os.path.abspath(__file__))):
            assert path.encode() not in data, f"{folder}: the model holds a path of this machine"
        with open(f"{folder}/model.onnx", "wb") as f:
            f.write(data)
        np.save(f"{folder}/input.npy", np.ascontiguousarray(x, np.float32))
    np.save(f"{folder}/logits.npy", rows[0]["exact"][0].flatten(1).numpy())
    with open(f"{folder}/golden.tsv", "w") as tsv:
        print(HEADER, file=tsv)
        for k, row in enumerate(rows):
            exact, *fp32 = [list(way) for way in (row["exact"], *row["fp32"])]
            if sample:
                for way in (exact, *fp32):
                    way[1:3] = [sample(t) for t in way[1:3]]
            errors = [f"{max(rel(a, b) for a in ways):.3e}" for b, *ways in zip(exact, *fp32)]
            print(row["layer"], row["tensor"], f"l{k}", ",".join(map(str, row["classes"])), *errors, sep="\t", file=tsv)
            for name, t in zip(NAMES, exact[1:]):
                np.save(f"{folder}/l{k}.{name}.npy", np.ascontiguousarray(t.numpy(), np.float32))


def main(what, cases, out=os.path.dirname(os.path.abspath(__file__))):
    """The command of a script that makes cases: {name: function of the folder to write to}."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--out", default=out, help=f"default: {os.path.relpath(out)}")
    parser.add_argument("case", nargs="*", metavar="CASE", help=f"of: {', '.join(cases)} (default: all)")
    args = parser.parse_intermixed_args()
    unknown = set(args.case) - set(cases)
    if unknown:
        parser.error(f"unknown case {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    for name in args.case or cases:
        print(f"{name}: ", end="", flush=True)
        cases[name](args.out)
        print(f"{name}: done")
