"""What the peers in PyTorch share: networks cut in two at the target layer, copies beside computing.

A peer does what bench_net does: bytes of photos in pinned host memory (N,H,W,3) go in, maps of the input's size come out in pinned host memory
(N,H,W), for the class with the highest logit. Its weights are random.
"""
import time

import protocol
import torch
import torch.nn.functional as F
from protocol import DEFAULT_LAYER, MEAN, SIDE, STD, main, turns  # noqa: F401 - some for those who import this
from torch import nn

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


def arguments(description, **defaults):
    wanted = protocol.arguments(description, **defaults)
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    return wanted


def contest(wanted, begin, pipeline, **facts):
    device = torch.cuda.get_device_name() if wanted.device.startswith("cuda") else f"cpu, {torch.get_num_threads()} threads"
    protocol.contest(wanted, begin, pipeline, device=device, torch=torch.__version__, **facts)


# ---- networks ----

def network(name):
    """The torchvision network with random weights, for inference. Batch norms get the statistics of a few random photos: with those that they
    begin with, activations vanish on the way, and zeros may be faster than numbers."""
    import torchvision

    torch.manual_seed(1)
    net = getattr(torchvision.models, name)(weights=None).requires_grad_(False)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    usual = [m.momentum for m in norms]
    if norms:
        for m in norms:
            m.momentum = 1.0
        net.train()(torch.randn(4, 3, SIDE, SIDE))
        for m, momentum in zip(norms, usual):
            m.momentum = momentum
    return net.eval()


def stages(name, net):
    """The network as a list of (name, module), to be run one after the other."""
    if name == "resnet50":
        body = [(n, m) for n, m in net.named_children() if n not in ("avgpool", "fc")]
        return body + [("avgpool", net.avgpool), ("flatten", nn.Flatten()), ("fc", net.fc)]
    body = [("features." + n, m) for n, m in net.features.named_children()]
    if name == "densenet121":
        body.append(("relu", nn.ReLU()))
    pool = net.avgpool if hasattr(net, "avgpool") else nn.AdaptiveAvgPool2d(1)
    return body + [("avgpool", pool), ("flatten", nn.Flatten()), ("classifier", net.classifier)]


def split(name, layer, precision, device, memory_format="channels_last", net=None):
    """-> features up to and with the layer, head from there to the logits; both ready on the device."""
    parts = stages(name, net or network(name))
    names = [n for n, _ in parts]
    if layer not in names:
        raise SystemExit(f"{name} has no stage '{layer}'; there are {', '.join(names)}")
    cut = names.index(layer) + 1
    features, head = (nn.Sequential(*(m for _, m in part)) for part in (parts[:cut], parts[cut:]))
    for module in head.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # what is differentiated may not be overwritten
    for part in (features, head):
        part.to(device=device, dtype=DTYPES[precision], memory_format=FORMATS[memory_format])
    return features, head


def arithmetic(precision):
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


class Normalise:
    """Bytes (N,H,W,3) to the network's input (N,3,H,W) on the device."""

    def __init__(self, precision, device, memory_format="channels_last"):
        self.dtype, self.format = DTYPES[precision], FORMATS[memory_format]
        self.mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1) * 255
        self.scale = 1 / (torch.tensor(STD, device=device).view(1, 3, 1, 1) * 255)

    def __call__(self, pixels):
        return ((pixels.permute(0, 3, 1, 2) - self.mean) * self.scale).to(self.dtype, memory_format=self.format)


def enlarge(maps):
    """(N,h,w) -> (N,H,W)."""
    return F.interpolate(maps[:, None], size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]


def weighted_map(activations, gradients):
    """Grad-CAM's map, upsampled: (N,C,h,w) twice -> (N,H,W) float."""
    weights = gradients.float().mean((2, 3), keepdim=True).to(activations.dtype)
    return enlarge(torch.relu((weights * activations).sum(1)).float())


# ---- copies beside computing ----

class Pipeline:
    """Runs cam(pixels on the device) -> maps on the device, over two sets of pinned buffers; copies have streams of their own."""

    def __init__(self, cam, batch, device):
        self.cam, self.batch, self.cuda = cam, batch, device.startswith("cuda")
        pin = dict(pin_memory=self.cuda)
        self.pixels = [torch.zeros(batch, SIDE, SIDE, 3, dtype=torch.uint8, **pin) for _ in range(2)]
        self.maps = [torch.zeros(batch, SIDE, SIDE, **pin) for _ in range(2)]
        self.generator = torch.Generator().manual_seed(7)
        if self.cuda:
            self.on_device = [(torch.empty_like(p, device=device), torch.empty_like(m, device=device))
                              for p, m in zip(self.pixels, self.maps)]
            self.inward, self.outward = torch.cuda.Stream(), torch.cuda.Stream()
            self.events = [{name: torch.cuda.Event() for name in ("in", "done", "out")} for _ in range(2)]

    def fill(self):
        for p in self.pixels:
            p.random_(0, 256, generator=self.generator)

    def start(self, pair):
        if not self.cuda:
            self.maps[pair].copy_(self.cam(self.pixels[pair]))
            return
        pixels, maps = self.on_device[pair]
        event, here = self.events[pair], torch.cuda.current_stream()
        with torch.cuda.stream(self.inward):
            self.inward.wait_event(event["done"])  # the pair's last batch has read what is overwritten now
            pixels.copy_(self.pixels[pair], non_blocking=True)
            event["in"].record()
        here.wait_event(event["in"])
        here.wait_event(event["out"])
        maps.copy_(self.cam(pixels))
        event["done"].record()
        with torch.cuda.stream(self.outward):
            self.outward.wait_event(event["done"])
            self.maps[pair].copy_(maps, non_blocking=True)
            event["out"].record()

    def finish(self, pair):
        if self.cuda:
            self.events[pair]["out"].synchronize()

    def go(self, seconds):
        """-> images, seconds."""
        self.fill()
        if not self.cuda:
            return turns(self.start, self.batch, seconds)
        images, pair, begin = 0, 0, time.perf_counter()
        self.start(0)
        self.start(1)
        while time.perf_counter() - begin < seconds:
            self.finish(pair)
            images += self.batch
            self.start(pair)
            pair ^= 1
        for left in (pair, pair ^ 1):
            self.finish(left)
            images += self.batch
        return images, time.perf_counter() - begin


    def maps_of(self, pixels):
        """pixels (n,H,W,3), n <= batch -> maps (n,H,W)."""
        self.pixels[0][:len(pixels)] = torch.from_numpy(pixels)
        self.start(0)
        self.finish(0)
        return {"maps": self.maps[0][:len(pixels)].numpy()}
