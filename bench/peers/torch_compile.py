"""The same as torch_eager.py, compiled: forward, gradient and map in one function given to torch.compile.

The gradient is asked for by torch.func inside the compiled function. Where that cannot be compiled, the function is first written out as plain
operators (forward and backward) and those are compiled; where --mode fails, "default" is tried. What was taken is said in the facts, and how
far its maps are from the same function run without being compiled.
"""
import time

import torch

from common import SIDE, Normalise, Pipeline, arguments, arithmetic, contest, main, split, weighted_map


def make_cam(features, head, normalise):
    def score(activations):
        return head(activations).max(1).values.float().sum()

    def cam(pixels):
        activations = features(normalise(pixels))
        return weighted_map(activations, torch.func.grad(score)(activations))

    return cam


def written_out(cam, pixels):
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(cam)(pixels)


def compiled(cam, pixels, mode):
    """-> a compiled function that was run once, how it was made; None where nothing works."""
    ways = [(m, how) for m in dict.fromkeys((mode, "default")) for how in ("whole", "written out")]
    notes = []
    for m, how in ways:
        try:
            torch._dynamo.reset()
            source = cam if how == "whole" else written_out(cam, pixels)
            made = torch.compile(source, mode=m, fullgraph=True, dynamic=False)
            with torch.no_grad():
                for _ in range(3):
                    made(pixels)
            return made, f"torch.compile mode={m}, {how}", "; ".join(notes)
        except Exception as problem:  # noqa: BLE001 - the next way is tried
            notes.append(f"{m}, {how} failed: {type(problem).__name__}: {str(problem)[:200]}")
    return cam, "not compiled", "; ".join(notes)


def difference(made, cam, pixels):
    a, b = made(pixels).double(), cam(pixels).double()
    return (torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b).clamp_min(1e-30)).item()


def run():
    wanted, begin = arguments(__doc__), time.perf_counter()
    arithmetic(wanted.precision)
    if wanted.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    features, head = split(wanted.model, wanted.layer, wanted.precision, wanted.device, wanted.format)
    cam = make_cam(features, head, Normalise(wanted.precision, wanted.device, wanted.format))
    pixels = torch.randint(0, 256, (wanted.batch, SIDE, SIDE, 3), dtype=torch.uint8, device=wanted.device)
    made, how, notes = compiled(cam, pixels, wanted.mode)
    with torch.no_grad():
        error = difference(made, cam, pixels)

    def no_grad(batch):
        with torch.no_grad():
            return made(batch)

    contest(wanted, begin, Pipeline(no_grad, wanted.batch, wanted.device), compiled=how, notes=notes,
            difference_to_eager=error)


main(run)
