"""Grad-CAM by hand in eager PyTorch: the whole batch at once, the gradient to the target layer only."""
import time

import torch

from common import Normalise, Pipeline, arguments, arithmetic, contest, main, split, weighted_map


def run():
    wanted, begin = arguments(__doc__), time.perf_counter()
    arithmetic(wanted.precision)
    features, head = split(wanted.model, wanted.layer, wanted.precision, wanted.device, wanted.format)
    normalise = Normalise(wanted.precision, wanted.device, wanted.format)

    def cam(pixels):
        with torch.no_grad():
            activations = features(normalise(pixels))
        activations.requires_grad_()
        score = head(activations).max(1).values.sum()
        gradients, = torch.autograd.grad(score, activations)
        with torch.no_grad():
            return weighted_map(activations, gradients)

    contest(wanted, begin, Pipeline(cam, wanted.batch, wanted.device))


main(run)
