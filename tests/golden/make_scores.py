"""Makes the cases of tests/golden_score: python make_scores.py [--out DIR] [CASE ...]. See README.md.

One small network with several ends. What is explained differs from case to case: a logit, a unit or its negation, a probability, one of two
outputs. Expected numbers are autograd's on the PyTorch module, in double; the exported file is held against them by ONNX Runtime.
"""
import copy
import io
import os

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import golden
import oracle

LAYERS = ("early", "late")


class Body(nn.Module):
    """Two convolutions with functions that have no corners, so that float32 cannot turn a derivative on or off."""

    def __init__(self, ends, hidden):
        super().__init__()
        self.conv1, self.early = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.SiLU()
        self.conv2, self.late = nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.Softplus()
        self.hidden = nn.Sequential(nn.Linear(8, 7), nn.Tanh()) if hidden else nn.Identity()
        self.heads = nn.ModuleList([nn.Linear(7 if hidden else 8, units) for units, _ in ends])
        self.ends = [end for _, end in ends]

    def scores(self, x):
        x = self.late(self.conv2(self.early(self.conv1(x))))
        x = self.hidden(x.mean((2, 3)))
        return [head(x) for head in self.heads]

    def forward(self, x):
        outputs = []
        for z, end in zip(self.scores(x), self.ends):
            outputs.extend(end(z))
        return tuple(outputs)


def softmax_flat(z):
    return (torch.softmax(z[:, :, None, None], 1).flatten(1),)


def label_and_shares(z):
    shares = torch.softmax(z, 1)
    return shares.argmax(1), shares


ENDS = {
    "plain": lambda z: (z,),
    "sigmoid": lambda z: (torch.sigmoid(z),),
    "sigmoid_row": lambda z: (torch.sigmoid(z).squeeze(1),),
    "picture": lambda z: (z[:, :, None, None],),
    "softmax": lambda z: (torch.softmax(z, 1),),
    "softmax_flat": softmax_flat,
    "log_softmax": lambda z: (torch.log_softmax(z, 1),),
    "label_and_shares": label_and_shares,
}

# case: (heads: (units, end), hidden layer, names of the outputs, the head and what is explained of it)
CASES = {
    "binary_logit": ([(1, "plain")], False, ["y"], 0, "logit"),
    "binary_picture": ([(1, "picture")], True, ["y"], 0, "logit"),
    "binary_sigmoid": ([(1, "sigmoid_row")], True, ["y"], 0, "logit"),
    "binary_sigmoid_probability": ([(1, "sigmoid_row")], False, ["y"], 0, "sigmoid"),
    "logits_probability": ([(5, "plain")], False, ["y"], 0, "softmax"),
    "softmax_probability": ([(5, "softmax_flat")], True, ["y"], 0, "softmax"),
    "log_softmax_probability": ([(5, "log_softmax")], True, ["y"], 0, "softmax"),
    "sigmoids_probability": ([(4, "sigmoid")], True, ["y"], 0, "sigmoid"),
    "two_outputs": ([(5, "label_and_shares")], True, ["label", "shares"], 0, "logit"),
    "two_heads": ([(5, "plain"), (3, "softmax")], True, ["species", "colour"], 1, "logit"),
}
ACTIVATIONS = {"logit": lambda z: z, "sigmoid": torch.sigmoid, "softmax": lambda z: torch.softmax(z, 1)}


def logits_of(z):
    """(N,M): a single unit z is two classes, -z and z."""
    return torch.cat([-z, z], 1) if z.shape[1] == 1 else z


def cam(net, x, layer, head, explained, classes):
    """Grad-CAM of what is explained of a head -> logits, A, g, w, m."""
    seen = []

    def keep(_module, _inputs, out):
        seen.append(out.clone())
        return seen[0]
    handle = net.get_submodule(layer).register_forward_hook(keep)
    logits = logits_of(net.scores(x.clone().requires_grad_())[head])
    handle.remove()
    score = ACTIVATIONS[explained](logits).gather(1, torch.tensor(classes)[:, None]).sum()
    g, = torch.autograd.grad(score, seen[0])
    return (logits.detach(), *oracle.combine(seen[0].detach(), g))


def export(net, x, names):
    out = io.BytesIO()
    torch.onnx.export(net, x, out, dynamo=False, opset_version=17, input_names=["photo"], output_names=names,
                      dynamic_axes={n: {0: "N"} for n in ["photo", *names]})
    model = onnx.load_from_string(out.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
    return model


def tensor_of(model, layer):
    return [n.output[0] for n in model.graph.node if n.name.startswith(f"/{layer}/")][-1]


def run_file(model, x, extra):
    """The file's outputs and other tensors, by name, as ONNX Runtime computes them."""
    model = copy.deepcopy(model)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in extra)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return {n: torch.from_numpy(v) for n, v in zip(names, session.run(names, {"photo": x.numpy()}))}


def check_file(model, x, names, outputs, rows):
    values = run_file(model, x, [r["tensor"] for r in rows])
    for name, want in zip(names, outputs):
        assert values[name].shape == want.shape and golden.rel(values[name], want) < 1e-5, name
    for row in rows:
        assert golden.rel(values[row["tensor"]], row["exact"][1]) < 1e-5, row["tensor"]


def make_case(folder, heads, hidden, names, head, explained):
    ends = [(units, ENDS[end]) for units, end in heads]
    for seed in range(200):
        torch.manual_seed(seed)
        net, rng = Body(ends, hidden).eval(), np.random.default_rng(seed)
        for p in net.parameters():
            p.data.mul_(2)  # the usual beginnings say too little about a photo
        x = torch.from_numpy((rng.standard_normal((3, 3, 21, 19)) + rng.standard_normal((3, 1, 1, 1))).astype(np.float32))
        classes = [1, 0, max(heads[head][0], 2) - 1]
        exact, rows = copy.deepcopy(net).double(), []
        cams = {layer: cam(exact, x.double(), layer, head, explained, classes) for layer in LAYERS}
        trouble = golden.why_not(cams["late"][0], {layer: c[1:] for layer, c in cams.items()})
        shares = ACTIVATIONS["softmax" if heads[head][0] > 1 else "sigmoid"](cams["late"][0])
        if not trouble and ((shares < 0.01) | (shares > 0.99)).any():
            trouble = "a probability is next to 0 or 1"
        if not trouble:
            break
    else:
        raise AssertionError(f"no seed is good enough; the last one: {trouble}")
    with torch.no_grad():
        model, outputs = export(net, x, names), exact(x.double())
    for layer in LAYERS:
        ways = golden.fp32_ways(lambda x, layer=layer: cam(net, x, layer, head, explained, classes), x)
        rows.append(dict(layer=layer, tensor=tensor_of(model, layer), classes=classes, exact=cams[layer], fp32=ways))
    check_file(model, x, names, outputs, rows)
    golden.write_case(folder, model, x.numpy(), rows)
    print(f"seed {seed}, ends with {', '.join(n.op_type for n in model.graph.node[-3:])}")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    golden.main("Makes the cases of tests/golden_score.",
                {name: lambda out, name=name, case=case: make_case(f"{out}/{name}", *case) for name, case in CASES.items()},
                os.path.join(here, "..", "golden_score"))
