"""Makes the graphs in this folder: python make.py [MODEL ...].

Five classifiers of torchvision at full width, for 3x224x224, operator set 17, free batch, batch norms folded where PyTorch's exporter
folds them. The weights are left out: each graph points into a file beside it (resnet50.onnx: resnet50.bin) that fill.py writes from the
list in resnet50.json. Needs torch, torchvision and onnx from PyPI; only whoever changes the graphs runs this.
"""
import json
import math
import os
import sys
import tempfile

import onnx
import torch
import torchvision

MODELS = {"resnet50": "resnet50", "vgg16": "vgg16", "densenet121": "densenet121", "mobilenet_v2": "mobilenet_v2",
          "efficientnet_b0": "efficientnet_b0"}
INLINE = 16  # elements: what is smaller, or not float, is part of the graph (shapes, bounds)
ALIGN = 64   # bytes
# What a weight's standard deviation is multiplied with so that its result has the variance 1 that the one before had: by the operator read.
GAIN = {"Relu": math.sqrt(2), "Clip": math.sqrt(2), "silu": 1.68, "gated": 3.36}


def export(name):
    """-> the exporter's graph with its weights."""
    net = getattr(torchvision.models, MODELS[name])(weights=None).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        torch.onnx.export(net, torch.zeros(2, 3, 224, 224), path, opset_version=17, dynamo=False, input_names=["input"],
                          output_names=["logits"], dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}})
        return onnx.load(path)


def operator_read(node, makers):
    """The operator that made a node's input 0, seen through those that keep the scale."""
    maker = makers.get(node.input[0])
    while maker and maker.op_type in ("MaxPool", "Concat", "Flatten", "GlobalAveragePool", "AveragePool", "ReduceMean"):
        maker = makers.get(maker.input[0])
    if maker and maker.op_type == "Mul":
        sigmoid = next(m for m in (makers.get(i) for i in maker.input) if m and m.op_type == "Sigmoid")
        return "silu" if sigmoid.input[0] in maker.input else "gated"
    return maker.op_type if maker else "input"


def kinds(graph):
    """{initializer: (kind, standard deviation)}: He-normal weights; residual branches at half."""
    makers = {out: node for node in graph.node for out in node.output}
    added = {i for node in graph.node if node.op_type == "Add" for i in node.input}
    shapes = {t.name: t.dims for t in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            gain = GAIN.get(operator_read(node, makers), 1.0) * (0.5 if node.output[0] in added else 1.0)
            found[node.input[1]] = ("weight", gain / math.sqrt(math.prod(shapes[node.input[1]][1:])))
            if len(node.input) > 2:
                found[node.input[2]] = ("bias", 0.02)
        elif node.op_type == "BatchNormalization":
            found.update(zip(node.input[1:], (("scale", 0.05), ("bias", 0.05), ("bias", 0.05), ("scale", 0.05))))
    return found


def part(model, name):
    """Moves the weights out of a graph -> the list of what the file beside it holds."""
    found, offset, rows = kinds(model.graph), 0, []
    for tensor in model.graph.initializer:
        count = math.prod(tensor.dims)
        if tensor.data_type != onnx.TensorProto.FLOAT or (count < INLINE and tensor.name not in found):
            continue
        kind, deviation = found[tensor.name]
        rows.append(dict(name=tensor.name, offset=offset, shape=list(tensor.dims), kind=kind, deviation=round(deviation, 6)))
        for field in ("raw_data", "float_data", "external_data"):
            tensor.ClearField(field)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", name + ".bin"), ("offset", offset), ("length", 4 * count)):
            tensor.external_data.add(key=key, value=str(value))
        offset += -(-4 * count // ALIGN) * ALIGN
    return dict(model=name, file=name + ".bin", bytes=offset, tensors=rows)


def make(name, folder):
    model = export(name)
    listed = part(model, name)
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.ClearField("doc_string")
    graph = os.path.join(folder, name + ".onnx")
    with open(graph, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))
    with open(os.path.join(folder, name + ".json"), "w") as file:
        head = {key: value for key, value in listed.items() if key != "tensors"}
        rows = ",\n".join("  " + json.dumps(row) for row in listed["tensors"])
        file.write(json.dumps(head)[:-1] + ', "tensors": [\n' + rows + "\n]}\n")
    print(f"{name}: {os.path.getsize(graph)} bytes of graph, {listed['bytes']} of weights in {len(listed['tensors'])} tensors")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or MODELS:
        make(chosen, os.path.dirname(os.path.abspath(__file__)))
