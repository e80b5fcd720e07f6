"""pytorch-grad-cam (grad-cam on PyPI) as it is installed and usually called: GradCAM(model, target_layers)(input_tensor=batch), maps as numpy arrays.

Photos are normalised on the device, a batch at once, as for the other peers: its own way, one by one on the CPU, would cost it more.
"""
import time

import torch

from common import FORMATS, Normalise, Pipeline, arguments, contest, main, network


def run():
    wanted, begin = arguments(__doc__, batch=32), time.perf_counter()
    from importlib.metadata import version

    from pytorch_grad_cam import GradCAM

    layer = "features" if wanted.layer == "relu" else wanted.layer  # DenseNet's last ReLU is no module of its own
    net = network(wanted.model).requires_grad_(True).to(wanted.device, memory_format=FORMATS[wanted.format])
    method = GradCAM(model=net, target_layers=[net.get_submodule(layer)])
    normalise = Normalise("fp32", wanted.device, wanted.format)
    wanted.precision = "as installed: float32, PyTorch's own settings"
    pipeline = Pipeline(lambda pixels: torch.from_numpy(method(input_tensor=normalise(pixels), targets=None)), wanted.batch, "cpu")
    inner = pipeline.cam
    pipeline.cam = lambda pixels: inner(pixels.to(wanted.device))
    contest(wanted, begin, pipeline, library="grad-cam " + version("grad-cam"))


main(run)
