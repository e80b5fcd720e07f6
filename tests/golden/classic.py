"""Narrow versions of the classifiers people have: torchvision's own classes, so that every module has torchvision's name, and a
few well-known others written here. NETS is the table that make_goldens.py reads."""
import collections

import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlock, CNBlockConfig
from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.regnet import BlockParams
from torchvision.models.resnet import BasicBlock, Bottleneck

CLASSES = 7

# --- making a wide network narrow --------------------------------------------------------------------------------


def shrink(net, shape, divisor, head):
    """Divide every width by `divisor`. The layers are cut as one photo of `shape` passes: each takes what comes in. `head`: the
    module that makes the scores, or None."""
    def cut(m, x):
        into = x.shape[-1] if isinstance(m, nn.Linear) else x.shape[1]
        if isinstance(m, nn.BatchNorm2d):
            m.__init__(into, m.eps)
            return
        width = m.out_features if isinstance(m, nn.Linear) else m.out_channels
        out = CLASSES if m is head else max(2, round(width / divisor))
        if isinstance(m, nn.Linear):
            m.__init__(into, out, m.bias is not None)
            return
        each = m.groups == m.in_channels and m.groups > 1
        m.__init__(into, into if each else out, m.kernel_size, m.stride, m.padding, m.dilation, into if each else m.groups,
                   m.bias is not None)
    hooks = [m.register_forward_pre_hook(lambda m, args: cut(m, args[0])) for m in net.modules()
             if isinstance(m, (nn.Conv2d, nn.Linear, nn.BatchNorm2d))]
    net.eval()(torch.zeros(1, *shape))
    for h in hooks:
        h.remove()
    return net.eval()


def alexnet():
    net = models.AlexNet(CLASSES)
    net.avgpool = nn.AdaptiveAvgPool2d((2, 1))
    net.classifier[1], net.classifier[4] = nn.Linear(1, 512), nn.Linear(1, 512)
    return shrink(net, (3, 95, 63), 16, net.classifier[6])


def vgg(norm):
    net = models.VGG(models.vgg.make_layers([4, "M", 6, "M", 8, 8, "M", 12, 12, "M", 12, 16, "M"], norm), init_weights=False)
    net.avgpool = nn.AdaptiveAvgPool2d((2, 1))
    net.classifier = nn.Sequential(nn.Linear(32, 20), nn.ReLU(True), nn.Dropout(), nn.Linear(20, 12), nn.ReLU(True), nn.Dropout(),
                                   nn.Linear(12, CLASSES))
    return net


class Resnet(models.ResNet):
    """torchvision's, with a sixteenth of the width."""
    divisor = 16

    def __init__(self, block, layers=(1, 1, 1, 1), **kwargs):
        super().__init__(block, layers, num_classes=CLASSES, **kwargs)
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(self.inplanes, CLASSES)

    def _make_layer(self, block, planes, *args, **kwargs):
        self.inplanes = 8 if planes == 64 else self.inplanes
        return super()._make_layer(block, planes // self.divisor, *args, **kwargs)


class WideResnet(Resnet):
    divisor = 32


def squeezenet(version):
    net = models.SqueezeNet(version, CLASSES)
    return shrink(net, (3, 43, 39), 8, net.classifier[1])


def inception_v3():
    net = models.Inception3(CLASSES, aux_logits=False, init_weights=False)
    return shrink(net, (3, 107, 75), 24, net.fc)


def googlenet():
    net = models.GoogLeNet(CLASSES, aux_logits=False, init_weights=False)
    return shrink(net, (3, 49, 41), 16, net.fc)


def mobilenet_v2():
    net = models.MobileNetV2(CLASSES, inverted_residual_setting=[
        [1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2], [6, 64, 2, 2], [6, 160, 1, 2]])
    return shrink(net, (3, 49, 35), 8, net.classifier[1])


def mobilenet_v3(rows):
    setting = [InvertedResidualConfig(*row, 1, 1.0) for row in rows]
    return models.MobileNetV3(setting, last_channel=32, num_classes=CLASSES)


V3_SMALL = [(16, 3, 16, 8, True, "RE", 2), (8, 3, 24, 8, False, "RE", 2), (8, 3, 24, 8, False, "RE", 1),
            (8, 5, 32, 16, True, "HS", 2), (16, 5, 40, 16, True, "HS", 1), (16, 5, 48, 16, True, "HS", 1)]
V3_LARGE = [(16, 3, 16, 16, False, "RE", 1), (16, 3, 24, 8, False, "RE", 2), (8, 5, 24, 8, True, "RE", 2),
            (8, 3, 32, 16, False, "HS", 2), (16, 3, 32, 16, True, "HS", 1), (16, 5, 40, 16, True, "HS", 1)]


def mnasnet():
    net = models.MNASNet(0.5, CLASSES)
    return shrink(net, (3, 49, 35), 8, net.classifier[1])


def efficientnet():
    rows = [(1, 3, 1, 8, 8, 1), (6, 3, 2, 8, 8, 2), (6, 5, 2, 8, 8, 1), (4, 3, 2, 8, 16, 2), (3, 5, 1, 16, 16, 1)]
    return EfficientNet([MBConvConfig(*row) for row in rows], 0.2, num_classes=CLASSES, last_channel=40)


def efficientnet_v2():
    rows = [FusedMBConvConfig(1, 3, 1, 8, 8, 1), FusedMBConvConfig(4, 3, 2, 8, 8, 2), MBConvConfig(4, 3, 2, 8, 16, 2),
            MBConvConfig(4, 3, 2, 16, 16, 1)]
    norm = lambda c: nn.BatchNorm2d(c, eps=1e-3)
    return EfficientNet(rows, 0.2, num_classes=CLASSES, norm_layer=norm, last_channel=40)


def regnet(se_ratio):
    net = models.RegNet(BlockParams([1, 2, 2, 1], [8, 16, 24, 32], [8, 8, 8, 8], [1.0] * 4, [2] * 4, se_ratio), CLASSES, stem_width=8)
    return net


def convnext():
    setting = [CNBlockConfig(8, 12, 1), CNBlockConfig(12, 16, 1), CNBlockConfig(16, 24, 2), CNBlockConfig(24, None, 1)]
    return models.ConvNeXt(setting, num_classes=CLASSES)


# --- written here ------------------------------------------------------------------------------------------------

def conv_norm(c_in, c_out, kernel=3, stride=1, act=True, groups=1):
    parts = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out)]
    return nn.Sequential(*parts, *([nn.ReLU()] if act else []))


class Staged(nn.Module):
    """Stem, four stages, average, one linear layer: what a ResNet and its relatives share."""

    def __init__(self, block, widths=(8, 12, 16, 24), depths=(1, 2, 1, 1)):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.maxpool, into = nn.MaxPool2d(3, 2, ceil_mode=True), 8
        for i, (width, depth) in enumerate(zip(widths, depths)):
            stage = [block(into if k == 0 else width, width, 2 if k == 0 and i else 1) for k in range(depth)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
            into = width
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(into, CLASSES)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class SeBlock(nn.Module):
    """Squeeze and excitation by linear layers, on a residual block."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1, self.conv2 = conv_norm(c_in, c_out, 3, stride), conv_norm(c_out, c_out, act=False)
        self.se_pool = nn.AdaptiveAvgPool2d(1)
        self.se_fc = nn.Sequential(nn.Linear(c_out, c_out // 4), nn.ReLU(), nn.Linear(c_out // 4, c_out), nn.Sigmoid())
        self.downsample = conv_norm(c_in, c_out, 1, stride, False) if stride > 1 or c_in != c_out else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x):
        y = self.conv2(self.conv1(x))
        scale = self.se_fc(self.se_pool(y).flatten(1))
        return self.relu(y * scale.view(y.shape[0], y.shape[1], 1, 1) + self.downsample(x))


class Res2Block(nn.Module):
    """A bottleneck of four slices, each convolved after the one before it was added."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.width, self.stride = c_out // 4, stride
        self.conv1, self.conv3 = conv_norm(c_in, c_out, 1), conv_norm(c_out, c_out, 1, act=False)
        self.convs = nn.ModuleList(conv_norm(self.width, self.width, 3, stride) for _ in range(3))
        self.pool = nn.AvgPool2d(3, stride, 1)
        down = [nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False), conv_norm(c_in, c_out, 1, act=False)]
        self.downsample = nn.Sequential(*down) if stride > 1 or c_in != c_out else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x):
        slices = torch.split(self.conv1(x), self.width, 1)
        done = []
        for i, conv in enumerate(self.convs):
            done.append(conv(slices[i] if i == 0 or self.stride > 1 else slices[i] + done[-1]))
        done.append(self.pool(slices[3]) if self.stride > 1 else slices[3])
        return self.relu(self.conv3(torch.cat(done, 1)) + self.downsample(x))


class RepBlock(nn.Module):
    """RepVGG before its branches are merged: 3x3, 1x1 and, where the shapes allow, the input through a batch norm of its own."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.rbr_dense, self.rbr_1x1 = conv_norm(c_in, c_out, 3, stride, False), conv_norm(c_in, c_out, 1, stride, False)
        self.rbr_identity = nn.BatchNorm2d(c_in) if c_in == c_out and stride == 1 else None
        self.nonlinearity = nn.ReLU()

    def forward(self, x):
        y = self.rbr_dense(x) + self.rbr_1x1(x)
        return self.nonlinearity(y if self.rbr_identity is None else y + self.rbr_identity(x))


class RepVgg(nn.Module):
    def __init__(self):
        super().__init__()
        self.stage0 = RepBlock(3, 8, 2)
        for i, (c_in, c_out, depth) in enumerate([(8, 8, 1), (8, 12, 2), (12, 16, 2), (16, 24, 1)]):
            stage = [RepBlock(c_in if k == 0 else c_out, c_out, 2 if k == 0 else 1) for k in range(depth)]
            setattr(self, f"stage{i + 1}", nn.Sequential(*stage))
        self.gap, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(24, CLASSES)

    def forward(self, x):
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stage0(x)))))
        return self.linear(self.gap(x).view(x.size(0), -1))


class HrModule(nn.Module):
    """Two resolutions, each convolved, then each added to the other's: down by a strided convolution, up by nearest neighbours."""

    def __init__(self, high, low):
        super().__init__()
        self.branches = nn.ModuleList([BasicBlock(high, high), BasicBlock(low, low)])
        self.up = nn.Sequential(nn.Conv2d(low, high, 1, bias=False), nn.BatchNorm2d(high), nn.Upsample(scale_factor=2, mode="nearest"))
        self.down, self.relu = conv_norm(high, low, 3, 2, False), nn.ReLU()

    def forward(self, high, low):
        high, low = self.branches[0](high), self.branches[1](low)
        return self.relu(high + self.up(low)), self.relu(low + self.down(high))


class Hrnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv_norm(3, 8, 3, 2), conv_norm(8, 8, 3, 2))
        self.transition1 = nn.ModuleList([conv_norm(8, 6), conv_norm(8, 12, 3, 2)])
        self.stage2, self.stage3 = HrModule(6, 12), HrModule(6, 12)
        self.incre_modules = nn.ModuleList([conv_norm(6, 16, 1), conv_norm(12, 24, 1)])
        self.downsamp_modules = nn.ModuleList([conv_norm(16, 24, 3, 2)])
        self.final_layer, self.classifier = conv_norm(24, 40, 1), nn.Linear(40, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        high, low = self.stage3(*self.stage2(self.transition1[0](x), self.transition1[1](x)))
        y = self.final_layer(self.incre_modules[1](low) + self.downsamp_modules[0](self.incre_modules[0](high)))
        return self.classifier(y.mean((2, 3)))


class SeparableConv(nn.Module):
    def __init__(self, c_in, c_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False)
        self.pointwise = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x):
        return self.pointwise(self.conv1(x))


class XceptionBlock(nn.Module):
    def __init__(self, c_in, c_out, stride, relu_first=True):
        super().__init__()
        rep = [nn.ReLU(), SeparableConv(c_in, c_out), nn.BatchNorm2d(c_out), nn.ReLU(), SeparableConv(c_out, c_out),
               nn.BatchNorm2d(c_out)][0 if relu_first else 1:]
        self.rep = nn.Sequential(*rep, *([nn.MaxPool2d(3, stride, 1)] if stride > 1 else []))
        self.skip = nn.Conv2d(c_in, c_out, 1, stride, bias=False) if c_in != c_out or stride > 1 else None
        self.skipbn = nn.BatchNorm2d(c_out) if self.skip else None

    def forward(self, x):
        return self.rep(x) + (self.skipbn(self.skip(x)) if self.skip else x)


class Xception(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.act1 = nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.conv2, self.bn2, self.act2 = nn.Conv2d(8, 12, 3, bias=False), nn.BatchNorm2d(12), nn.ReLU()
        self.block1, self.block2 = XceptionBlock(12, 16, 2, relu_first=False), XceptionBlock(16, 24, 2)
        self.block3, self.block4 = XceptionBlock(24, 24, 1), XceptionBlock(24, 32, 2)
        self.conv3, self.bn3, self.act3 = SeparableConv(32, 40), nn.BatchNorm2d(40), nn.ReLU()
        self.conv4, self.bn4, self.act4 = SeparableConv(40, 48), nn.BatchNorm2d(48), nn.ReLU()
        self.global_pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(48, CLASSES)

    def forward(self, x):
        x = self.act2(self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x))))))
        x = self.block4(self.block3(self.block2(self.block1(x))))
        x = self.act4(self.bn4(self.conv4(self.act3(self.bn3(self.conv3(x))))))
        return self.fc(self.global_pool(x).flatten(1))


# --- weights -----------------------------------------------------------------------------------------------------

def settle(net, seed, x):
    """What randomise() leaves out: the scales of layer norms and of ConvNeXt's branches; and batch norm statistics as after training,
    taken from photos of their own, so that no activation grows or dies with depth."""
    gen = torch.Generator().manual_seed(seed)
    for m in net.modules():
        if isinstance(m, nn.LayerNorm):
            m.weight.data.copy_(torch.rand(m.weight.shape, generator=gen) * 0.8 + 0.6)
            m.bias.data.copy_(torch.randn(m.bias.shape, generator=gen) * 0.3)
        if isinstance(m, CNBlock):
            m.layer_scale.data.copy_(torch.rand(m.layer_scale.shape, generator=gen) * 0.7 + 0.3)
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = 1.0
            m.train()
    with torch.no_grad():
        net(x)
    return net.eval()


# --- the table ---------------------------------------------------------------------------------------------------

# How a network is exported: the older or the newer exporter, with its batch norms folded (the default of both) or kept.
SCOPES = ("pkg.torch.onnx.name_scopes",)  # of what the newer one notes, all that is read
EXPORTS = {"old": dict(new=False), "new": dict(new=True, keep=SCOPES), "old_kept": dict(new=False, do_constant_folding=False),
           "new_kept": dict(new=True, keep=SCOPES, optimize=False)}

# make, shape of a photo, an early, a middle and the last layer, exports, number of photos
Net = collections.namedtuple("Net", "make shape layers exports photos", defaults=[3])
NETS = {
    "alexnet": Net(alexnet, (3, 95, 63), ["features.2", "features.7", "features"], ["old"], 1),
    "vgg": Net(lambda: vgg(False), (3, 67, 35), ["features.2", "features.9", "features"], ["old"]),
    "vgg_bn": Net(lambda: vgg(True), (3, 67, 35), ["features.3", "features.13", "features"], ["old_kept"]),
    "resnet_bottleneck": Net(lambda: Resnet(Bottleneck), (3, 49, 35), ["layer1", "layer2", "layer4"], ["old_kept"]),
    "resnext": Net(lambda: Resnet(Bottleneck, groups=2, width_per_group=32), (3, 49, 35), ["layer1", "layer2", "layer4"], ["old"]),
    "wide_resnet": Net(lambda: WideResnet(Bottleneck, width_per_group=128), (3, 49, 35), ["layer1", "layer2", "layer4"], ["new"]),
    "densenet": Net(lambda: models.DenseNet(4, (2, 2, 3, 2), 8, 2, num_classes=CLASSES), (3, 65, 39),
                    ["features.pool0", "features.denseblock2", "features"], ["old", "new"]),
    "squeezenet": Net(lambda: squeezenet("1_1"), (3, 43, 39), ["features.3", "features.7", "features"], ["old"]),
    "inception_v3": Net(inception_v3, (3, 107, 75), ["Mixed_5b", "Mixed_6a", "Mixed_7c"], ["old"], 1),
    "googlenet": Net(googlenet, (3, 49, 41), ["maxpool1", "inception4a", "inception5b"], ["old"]),
    "mobilenet_v2": Net(mobilenet_v2, (3, 49, 35), ["features.1", "features.4", "features"], ["old_kept"]),
    "mobilenet_v3_small": Net(lambda: mobilenet_v3(V3_SMALL), (3, 49, 35), ["features.1", "features.3", "features"], ["old"]),
    "mobilenet_v3_large": Net(lambda: mobilenet_v3(V3_LARGE), (3, 49, 35), ["features.2", "features.4", "features"], ["new"]),
    "shufflenet_v2": Net(lambda: models.ShuffleNetV2([2, 2, 2], [8, 16, 24, 32, 48], CLASSES), (3, 49, 35),
                         ["maxpool", "stage3", "conv5"], ["old", "new"]),
    "mnasnet": Net(mnasnet, (3, 49, 35), ["layers.7", "layers.9", "layers"], ["old"]),
    "efficientnet": Net(efficientnet, (3, 49, 47), ["features.2", "features.3", "features"], ["old", "new_kept"]),
    "efficientnet_v2": Net(efficientnet_v2, (3, 49, 47), ["features.2", "features.3", "features"], ["new"]),
    "regnet_x": Net(lambda: regnet(None), (3, 49, 35), ["trunk_output.block1", "trunk_output.block2", "trunk_output"], ["old"]),
    "regnet_y": Net(lambda: regnet(0.25), (3, 49, 35), ["trunk_output.block1", "trunk_output.block2", "trunk_output"], ["new"]),
    "convnext": Net(convnext, (3, 67, 35), ["features.0", "features.3", "features"], ["old", "new"]),
    "se_resnet": Net(lambda: Staged(SeBlock), (3, 49, 47), ["layer1", "layer2", "layer4"], ["old"]),
    "res2net": Net(lambda: Staged(Res2Block), (3, 49, 47), ["layer1", "layer2", "layer4"], ["new"]),
    "hrnet": Net(Hrnet, (3, 48, 40), ["stem", "incre_modules.0", "final_layer"], ["old"]),
    "repvgg": Net(RepVgg, (3, 49, 47), ["stage1", "stage2", "stage4"], ["old_kept", "new"]),
    "xception": Net(Xception, (3, 49, 47), ["block1", "block3", "act4"], ["old_kept"]),
}
