"""How far maps are off at each precision: batchcam's beside PyTorch's own on the same golden networks.

    python precision.py --golden tests/golden --rows PREFIX --out precision.txt [--device cpu]

PREFIX.fp32, .tf32, .bf16, .fp16 are what test_cuda_card wrote (BCAM_GOLDEN_ROWS): relative errors ‖a-b‖/‖b‖ against PyTorch in
double. PyTorch's own come from the interpreter that made the goldens, run here in that precision; what follows the gradient is summed
in float32. Needs torch, onnx, numpy.
"""
import argparse
import os
import statistics
import sys

import numpy as np
import torch

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
KINDS = ("logits", "activations", "gradients", "weights", "map")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--golden", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


def read_rows(path):
    """-> {(case, layer, kind): the largest error of its batches}."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            case, layer, kind, error, _ = line.rstrip("\n").split("\t")
            found[case, layer, kind] = max(float(error), found.get((case, layer, kind), 0.0))
    return found


def relative(a, b):
    b = torch.as_tensor(b, dtype=torch.float64, device=a.device).reshape(a.shape)
    return (torch.linalg.vector_norm(a.double() - b) / torch.linalg.vector_norm(b)).item()


def peer_class(oracle, device):
    class Peer(oracle.Model):
        """The interpreter with its constants on the device."""

        def tensor(self, array):
            return super().tensor(array).to(device)

    return Peer


def peer_errors(oracle, golden, case, dtype, device):
    """-> {(case, layer, kind): error} of PyTorch at this precision."""
    folder, found = os.path.join(golden, case), {}
    model = peer_class(oracle, device)(os.path.join(folder, "model.onnx"), dtype)
    x = torch.from_numpy(np.load(os.path.join(folder, "input.npy"))).to(device)
    with open(os.path.join(folder, "golden.tsv"), encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file][1:]
    for layer, tensor, prefix, classes, *_ in lines:
        logits, a, g, _, _ = oracle.cam(model, x, tensor, [int(c) for c in classes.split(",")])
        a, g, w, m = oracle.combine(a.float(), g.float())
        for kind, value, file in zip(KINDS, (logits, a, g, w, m), ("logits", prefix + ".A", prefix + ".g", prefix + ".w", prefix + ".map")):
            found[case, layer, kind] = relative(value, np.load(os.path.join(folder, file + ".npy")))
    return found


def set_arithmetic(precision):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def report(precision, kind, ours, theirs):
    keys = sorted(k for k in ours if k[2] == kind and k in theirs)
    if not keys:
        return f"{precision:6} {kind:12} nothing to compare"
    a, b = [ours[k] for k in keys], [theirs[k] for k in keys]
    within = sum(x <= 2 * y + 1e-6 for x, y in zip(a, b))
    good = statistics.median(a) <= 2 * statistics.median(b) + 1e-6 and max(a) <= 2 * max(b) + 1e-6
    return (f"{precision:6} {kind:12} {statistics.median(a):10.2e} {max(a):10.2e} {statistics.median(b):10.2e} {max(b):10.2e} "
            f"{within:4d} of {len(keys):3d}  {'within twice' if good else 'NOT within twice'}")


def main():
    wanted = arguments()
    sys.path.insert(0, wanted.golden)
    import oracle

    torch.set_default_device(wanted.device)
    cases = sorted(c for c in os.listdir(wanted.golden) if os.path.exists(os.path.join(wanted.golden, c, "model.onnx")))
    name = torch.cuda.get_device_name() if wanted.device.startswith("cuda") else "cpu"
    lines = [f"relative L2 errors against PyTorch in double; PyTorch {torch.__version__} on {name}",
             "                       batchcam              PyTorch               no more than twice PyTorch's",
             "                       median     largest    median     largest    by comparison"]
    missing = 0
    for precision, dtype in DTYPES.items():
        path = f"{wanted.rows}.{precision}"
        if not os.path.exists(path):
            lines.append(f"{precision:6} batchcam's errors are not there ({os.path.basename(path)})")
            missing += 1
            continue
        set_arithmetic(precision)
        theirs = {}
        for case in cases:
            try:
                theirs.update(peer_errors(oracle, wanted.golden, case, dtype, wanted.device))
            except (RuntimeError, NotImplementedError) as problem:
                lines.append(f"{precision:6} {case}: PyTorch cannot: {str(problem).splitlines()[0][:120]}")
        lines += [report(precision, kind, read_rows(path), theirs) for kind in KINDS]
    with open(wanted.out, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
