"""Writes a peer's network as ONNX, with the weights that the peers have, and as PyTorch's own file: python export.py resnet50 OUT.onnx [OUT.pt]"""
import os
import sys

import torch

from common import SIDE, network


def main():
    name, path, *own = sys.argv[1:]
    net = network(name)
    for file in own:
        torch.save(net, file)
    torch.onnx.export(net, torch.zeros(2, 3, SIDE, SIDE), path + ".part", opset_version=17, dynamo=False, input_names=["input"],
                      output_names=["logits"], dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}})
    os.replace(path + ".part", path)


main()
