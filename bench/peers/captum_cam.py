"""Captum: LayerGradCam of the highest logit, with the ReLU that it leaves out by default, enlarged by its own LayerAttribution.

The function that is explained gives the highest logit itself; with classes as a target there would have to be a forward pass before to find them.
"""
import time

from common import FORMATS, SIDE, Normalise, Pipeline, arguments, contest, main, network


def run():
    wanted, begin = arguments(__doc__), time.perf_counter()
    from importlib.metadata import version

    from captum.attr import LayerAttribution, LayerGradCam

    layer = "features" if wanted.layer == "relu" else wanted.layer  # DenseNet's last ReLU is no module of its own
    net = network(wanted.model).to(wanted.device, memory_format=FORMATS[wanted.format])
    method = LayerGradCam(lambda photos: net(photos).max(1).values, net.get_submodule(layer))
    normalise = Normalise("fp32", wanted.device, wanted.format)
    wanted.precision = "fp32"

    def cam(pixels):
        maps = method.attribute(normalise(pixels), relu_attributions=True)
        return LayerAttribution.interpolate(maps, (SIDE, SIDE), "bilinear")[:, 0].detach()

    contest(wanted, begin, Pipeline(cam, wanted.batch, wanted.device), library="captum " + version("captum"))


main(run)
