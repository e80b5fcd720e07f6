"""torch-cam (torchcam on PyPI): GradCAM(model, layer), forward, cam(classes, scores), its maps enlarged at once.

Weights are frozen and the layer's output is marked by a hook, so that PyTorch keeps nothing of what comes before the layer and torch-cam's gradient
ends there; called as its documentation shows, with weights that want gradients, it keeps everything.
"""
import time

from common import FORMATS, Normalise, Pipeline, arguments, contest, enlarge, main, network


def run():
    wanted, begin = arguments(__doc__), time.perf_counter()
    from importlib.metadata import version

    from torchcam.methods import GradCAM

    layer = "features" if wanted.layer == "relu" else wanted.layer  # DenseNet's last ReLU is no module of its own
    net = network(wanted.model).to(wanted.device, memory_format=FORMATS[wanted.format])
    net.get_submodule(layer).register_forward_hook(lambda module, inputs, output: output.requires_grad_())
    method = GradCAM(net, layer)
    normalise = Normalise("fp32", wanted.device, wanted.format)
    wanted.precision = "fp32"

    def cam(pixels):
        scores = net(normalise(pixels))
        return enlarge(method(scores.argmax(1).tolist(), scores)[0])

    contest(wanted, begin, Pipeline(cam, wanted.batch, wanted.device), library="torchcam " + version("torchcam"))


main(run)
