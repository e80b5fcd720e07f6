"""The small networks of the goldens: PyTorch modules, and ONNX graphs made by hand."""
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torchvision.models import MobileNetV2, MobileNetV3, ResNet
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops.misc import Conv2dNormActivation


class ResnetBlock(nn.Module):
    """A stem, one torchvision Bottleneck as layer4, average pool, linear layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        down = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
        self.layer4 = nn.Sequential(Bottleneck(8, 4, 2, down))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        x = self.layer4(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class ResnetTiny(ResNet):
    """torchvision's ResNet with one BasicBlock a stage and a sixteenth of the width (stem: an eighth)."""

    def __init__(self):
        super().__init__(BasicBlock, [1, 1, 1, 1], num_classes=7)
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(32, 7)

    def _make_layer(self, block, planes, *args, **kwargs):
        self.inplanes = 8 if planes == 64 else self.inplanes
        return super()._make_layer(block, planes // 16, *args, **kwargs)


def mobilenet_v2_tiny():
    net = MobileNetV2(num_classes=7, width_mult=0.1,
                      inverted_residual_setting=[[1, 80, 1, 1], [4, 80, 2, 2], [4, 160, 1, 2], [4, 160, 2, 2]])
    net.features[-1] = Conv2dNormActivation(16, 32, 1, norm_layer=nn.BatchNorm2d, activation_layer=nn.ReLU6)
    net.classifier[1] = nn.Linear(32, 7)
    return net


def mobilenet_v3_tiny():
    def conf(c_in, kernel, expanded, c_out, se, act, stride):
        return InvertedResidualConfig(c_in, kernel, expanded, c_out, se, act, stride, 1, 1.0)
    setting = [conf(16, 3, 16, 8, True, "RE", 2), conf(8, 3, 24, 8, False, "RE", 1),
               conf(8, 5, 32, 16, True, "HS", 2), conf(16, 5, 40, 8, True, "HS", 1)]
    return MobileNetV3(setting, last_channel=32, num_classes=7)


class CaptumKnown(nn.Module):
    """The network of Captum's layer test, a known answer."""

    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 2, 3), nn.ReLU()
        self.fc1, self.relu2 = nn.Linear(8, 4), nn.ReLU()
        self.conv1.weight.data.fill_(1)
        self.conv1.bias.data = torch.tensor([-50.0, -75.0])
        self.fc1.weight.data = torch.tensor([1.0] * 5 + [-1.0] * 3).repeat(4, 1)
        self.fc1.bias.data.zero_()

    def forward(self, x):
        return self.relu2(self.fc1(self.relu1(self.conv1(x)).flatten(1)))


class FixedBatchReshape(nn.Module):
    """Exported at batch 1, its view becomes a Reshape to the constant [1, 12]."""

    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(8, 12, 3, 1, 1), nn.ReLU()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(12, 5)

    def forward(self, x):
        x = self.pool(self.relu2(self.conv2(self.relu1(self.conv1(x)))))
        return self.fc(x.view(x.shape[0], 12))


def randomise(net, seed):
    """Seeded weights of a size that keeps activations near 1, and batch norm statistics as after training."""
    gen = torch.Generator().manual_seed(seed)

    def normal(t, scale):
        t.data.copy_(torch.randn(t.shape, generator=gen) * scale)

    def uniform(t, low, high):
        t.data.copy_(torch.rand(t.shape, generator=gen) * (high - low) + low)
    for m in net.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            normal(m.weight, (2.0 / m.weight[0].numel()) ** 0.5)
            if m.bias is not None:
                normal(m.bias, 0.2)
        elif isinstance(m, nn.BatchNorm2d):
            uniform(m.weight, 0.6, 1.4)
            normal(m.bias, 0.3)
            normal(m.running_mean, 0.3)
            uniform(m.running_var, 0.5, 1.5)
    return net.eval()


class Graph:
    """An ONNX graph written down node by node; weights are drawn from one seeded stream."""

    def __init__(self, seed, shape, classes, opset=13):
        self.rng, self.opset, self.nodes, self.inits = np.random.default_rng(seed), opset, [], []
        self.io = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape]),
                   helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", classes])]

    def const(self, array, name):
        self.inits.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def __call__(self, op, inputs, out, **attrs):
        self.nodes.append(helper.make_node(op, inputs, [out], name=f"{out}/{op}", **attrs))
        return out

    def conv(self, x, out, c_in, c_out, k, bias=True, **attrs):
        fan_in = c_in // attrs.get("group", 1)
        w = self.rng.standard_normal((c_out, fan_in, k, k)) * (2 / (fan_in * k * k)) ** 0.5
        names = [self.const(w.astype(np.float32), out + "/kernel")]
        if bias:
            names.append(self.const((self.rng.standard_normal(c_out) * 0.3 - 0.2).astype(np.float32), out + "/bias"))
        return self("Conv", [x, *names], out, kernel_shape=[k, k], **attrs)

    def norm(self, x, out, c):
        def draw(low, high):
            return self.rng.uniform(low, high, c).astype(np.float32)
        names = [self.const(draw(*r), f"{out}/{n}") for n, r in
                 (("gamma", (0.6, 1.4)), ("beta", (-0.5, 0.5)), ("mean", (-0.4, 0.4)), ("var", (0.5, 1.5)))]
        return self("BatchNormalization", [x, *names], out, epsilon=1e-3)

    def gemm(self, x, out, c_in, c_out, gain=1.0):
        w = self.rng.standard_normal((c_out, c_in)) * gain * (2.0 / c_in) ** 0.5
        b = self.rng.standard_normal(c_out) * 0.2
        return self("Gemm", [x, self.const(w.astype(np.float32), out + "/weight"),
                             self.const(b.astype(np.float32), out + "/bias")], out, transB=1)

    def proto(self):
        graph = helper.make_graph(self.nodes, "golden", self.io[:1], self.io[1:], self.inits)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], producer_name="batchcam")
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        return model


def nhwc_twin(seed, nhwc):
    """A Keras-like network as tf2onnx writes it: NHWC in, Transpose, TensorFlow's "same" padding, NHWC at the end."""
    g = Graph(seed, [33, 31, 3] if nhwc else [3, 33, 31], 6)
    x = g("Transpose", ["input"], "twin/nchw", perm=[0, 3, 1, 2]) if nhwc else "input"
    x = g.conv(x, "twin/conv1", 3, 8, 3, False, strides=[2, 2], pads=[0, 0, 1, 1])
    x = g("Relu", [g.norm(x, "twin/bn1", 8)], "twin/relu1")
    x = g.conv(x, "twin/dw", 8, 8, 3, False, strides=[2, 2], auto_pad="SAME_UPPER", group=8)
    x = g("Clip", [g.norm(x, "twin/bn2", 8), g.const(np.float32(0), "zero"), g.const(np.float32(6), "six")], "twin/relu6")
    x = g("Relu", [g.conv(x, "twin/conv2", 8, 16, 1)], "twin/relu2")
    if nhwc:
        x = g("Transpose", [x], "twin/nhwc", perm=[0, 2, 3, 1])
    x = g("ReduceMean", [x], "twin/mean", axes=[1, 2] if nhwc else [2, 3], keepdims=0)
    w = g.const(g.rng.standard_normal((16, 6)).astype(np.float32) * 0.5, "twin/dense/kernel")
    b = g.const(g.rng.standard_normal(6).astype(np.float32) * 0.2, "twin/dense/bias")
    x = g("Add", [g("MatMul", [x, w], "twin/matmul"), b], "twin/logits")
    g("Softmax", [x], "output", axis=-1)
    return g.proto()


def nhwc_tail(seed, nhwc):
    """A swish-net of Keras, of which tf2onnx leaves what follows the last convolution in NHWC."""
    g = Graph(seed, [3, 33, 31], 6)
    x = g("Relu", [g.conv("input", "tail/conv1", 3, 8, 3, True, strides=[2, 2])], "tail/relu1")
    x = g.conv(x, "tail/conv2", 8, 16, 3, True, strides=[2, 2])
    if nhwc:
        x = g("Transpose", [x], "tail/nhwc", perm=[0, 2, 3, 1])
    scale = g.rng.uniform(0.5, 1.5, (16,) if nhwc else (16, 1, 1)).astype(np.float32)
    x = g("Mul", [x, g.const(scale, "tail/gamma")], "tail/scale")
    x = g("Mul", [x, g("Sigmoid", [x], "tail/sigmoid")], "tail/swish")
    x = g("ReduceMean", [x], "tail/mean", axes=[1, 2] if nhwc else [2, 3], keepdims=0)
    w = g.const(g.rng.standard_normal((16, 6)).astype(np.float32) * 0.5, "tail/dense/kernel")
    g("MatMul", [x, w], "output")
    return g.proto()


def const_gradient(seed, head):
    """Two convolutions, then one of the heads whose gradient is constant or is not."""
    g = Graph(seed, [3, 17, 15], 5, opset=18 if head == "reducemean_gemm" else 17)
    x = g("Relu", [g.conv("input", "conv1", 3, 6, 3, strides=[2, 2], pads=[1, 1, 1, 1])], "relu1")
    x = g("Relu", [g.conv(x, "conv2", 6, 8, 3, pads=[1, 1, 1, 1])], "relu2")  # (N,8,9,8)
    if head == "flatten_gemm":
        g.gemm(g("Flatten", [x], "flat"), "output", 8 * 9 * 8, 5)
    elif head == "reducemean_gemm":
        g.gemm(g("ReduceMean", [x, g.const(np.int64([2, 3]), "axes")], "mean", keepdims=0), "output", 8, 5)
    elif head == "gap_conv1x1":
        g("Flatten", [g.conv(g("GlobalAveragePool", [x], "gap"), "score", 8, 5, 1)], "output")
    else:
        x = g("Flatten", [g("GlobalAveragePool", [x], "gap")], "flat")
        if head == "relu_between":
            x = g("Relu", [g.gemm(x, "hidden", 8, 12)], "relu3")
        if head == "layernorm_gemm":
            scale = g.const(g.rng.uniform(0.5, 1.5, 8).astype(np.float32), "scale")
            x = g("LayerNormalization", [x, scale, g.const(np.zeros(8, np.float32), "shift")], "norm", epsilon=1e-5)
        g.gemm(x, "output", 12 if head == "relu_between" else 8, 5)
    return g.proto()


def multi_consumer(seed):
    """One tensor read by several nodes again and again, so that gradients must add up; every kind of pool and
    convolution: ties in MaxPool (zeros after ReLU), both ways to count padding, overlaps, dilation, groups,
    depthwise, padding that differs from side to side."""
    g = Graph(seed, [3, 33, 31], 6)
    a = g("Relu", [g.conv("input", "conv1", 3, 6, 5, pads=[0, 1, 3, 2], strides=[1, 2])], "a")  # (N,6,32,15)
    pools = [g("MaxPool", [a], "pool1", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
             g("AveragePool", [a], "pool2", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
             g("AveragePool", [a], "pool3", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 2, 1], count_include_pad=0)]
    x = g("Concat", pools, "cat1", axis=1)  # (N,18,16,8)
    b = g("Relu", [g.norm(g.conv(x, "conv2", 18, 12, 3, False, dilations=[2, 2], pads=[2, 2, 2, 2]), "bn2", 12)], "b")
    c = g("Relu", [g.conv(b, "depthwise", 12, 12, 3, group=12, pads=[1, 1, 1, 1])], "c")
    d = g.conv(c, "grouped", 12, 12, 3, group=3, pads=[1, 1, 1, 1])
    e = g("Relu", [g("Sum", [b, c, d], "sum")], "e")
    f = g("MaxPool", [e], "pool4", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)  # (N,12,8,4)
    h = g.conv(f, "conv3", 12, 12, 3, pads=[1, 0, 1, 2])
    last = g("Relu", [g("Add", [h, f], "add")], "last")
    k = g("AveragePool", [e], "pool5", kernel_shape=[4, 3], strides=[3, 2])
    heads = [g("GlobalAveragePool", [last], "gap1"), g("GlobalAveragePool", [k], "gap2")]
    g.gemm(g("Flatten", [g("Concat", heads, "cat2", axis=1)], "flat"), "output", 24, 6)
    return g.proto()
