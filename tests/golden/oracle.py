"""A small ONNX interpreter on torch tensors of one chosen dtype, used only to make goldens.

In float64 it is the oracle; in float32 it shows the error that PyTorch itself makes. It shares nothing with
batchcam: every operator is one function in OPS, written from the ONNX operator pages for operator sets 7 to 21.
Autograd is PyTorch's own, so the gradient of a logit with respect to any tensor of the graph comes for free.
"""
import math

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

OPS = {}
SHAPE_ONLY = ("Flatten", "Reshape", "Squeeze", "Identity", "Dropout", "Cast")


def op(*names):
    """Enter a function (interpreter, attributes, *inputs) -> tensor under these operator names."""
    def enter(f):
        OPS.update({name: f for name in names})
        return f
    return enter


class Model:
    """An ONNX file, ready to run at one dtype. `score` names the tensor that holds the logits."""

    def __init__(self, path_or_proto, dtype=torch.float64):
        proto = onnx.load(path_or_proto) if isinstance(path_or_proto, str) else path_or_proto
        self.graph, self.dtype = proto.graph, dtype
        self.opset = next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))
        if not 7 <= self.opset <= 21:
            raise ValueError(f"operator set {self.opset} is not between 7 and 21")
        self.consts = {i.name: self.tensor(numpy_helper.to_array(i)) for i in self.graph.initializer}
        feeds = [i for i in self.graph.input if i.name not in self.consts]
        if len(feeds) != 1:
            raise ValueError(f"want one input, the model has {len(feeds)}")
        self.input = feeds[0].name
        self.fixed_batch = feeds[0].type.tensor_type.shape.dim[0].dim_value  # 0: symbolic
        self.score = self._find_score()

    def tensor(self, array):
        """A numpy array as a torch tensor: floats in the model's dtype, integers in 64 bits."""
        t = torch.from_numpy(np.array(array))
        return t.to(self.dtype) if t.is_floating_point() else t if t.dtype == torch.bool else t.long()

    def _find_score(self):
        """The input of a final Softmax, also where only shape operators follow it; else the output."""
        made_by = {o: n for n in self.graph.node for o in n.output}
        name = self.graph.output[0].name
        while name in made_by and made_by[name].op_type in SHAPE_ONLY:
            name = made_by[name].input[0]
        if name in made_by and made_by[name].op_type == "Softmax":
            return made_by[name].input[0]
        return self.graph.output[0].name

    def run(self, x):
        """All tensors of the graph up to the score, by name. x: the input in the model's own layout."""
        values = {"": None, **self.consts, self.input: x.to(self.dtype)}
        for node in self.graph.node:
            if self.score in values:
                break
            if node.op_type not in OPS or node.domain not in ("", "ai.onnx"):
                raise NotImplementedError(f"operator {node.domain}.{node.op_type} of node {node.name!r}")
            attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            out = OPS[node.op_type](self, attrs, *[values[i] for i in node.input])
            values.update(zip(node.output, out if isinstance(out, (list, tuple)) else (out,)))
        return values


def cam(model, x, tensor, class_ids):
    """Grad-CAM at one tensor, one class per image -> logits (N,M), A, g (N,C,h,w), w (N,C), m (N,h,w).

    m is the weighted sum before ReLU. A model whose batch is fixed runs once per slice of that size.
    """
    x = torch.as_tensor(x)
    step = model.fixed_batch or len(x)
    parts = [_cam_batch(model, x[i:i + step], tensor, class_ids[i:i + step]) for i in range(0, len(x), step)]
    return tuple(torch.cat(p) for p in zip(*parts))


def _cam_batch(model, x, tensor, class_ids):
    values = model.run(x.to(model.dtype).requires_grad_())
    logits, a = values[model.score].flatten(1), values[tensor]
    score = logits.gather(1, torch.tensor(class_ids)[:, None]).sum()
    g, = torch.autograd.grad(score, a)
    return (logits.detach(), *combine(a.detach(), g))


def combine(a, g):
    """Activations and gradients (N,C,h,w) -> A, g, w (N,C), m (N,h,w) before ReLU."""
    w = g.mean((2, 3))
    return a, g, w, (w[:, :, None, None] * a).sum(1)


# --- arithmetic -----------------------------------------------------------------------------------------------

@op("Add")
def _add(_, at, a, b): return a + b


@op("Sub")
def _sub(_, at, a, b): return a - b


@op("Mul")
def _mul(_, at, a, b): return a * b


@op("Div")
def _div(_, at, a, b):
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


@op("Sum")
def _sum(_, at, *xs): return sum(xs[1:], xs[0])


@op("Gemm")
def _gemm(_, at, a, b, c=None):
    a, b = (a.T if at.get("transA", 0) else a), (b.T if at.get("transB", 0) else b)
    y = at.get("alpha", 1.0) * (a @ b)
    return y if c is None else y + at.get("beta", 1.0) * c


@op("MatMul")
def _matmul(_, at, a, b): return a @ b


# --- activations ----------------------------------------------------------------------------------------------

@op("Relu")
def _relu(_, at, x): return torch.relu(x)


@op("Sigmoid")
def _sigmoid(_, at, x): return torch.sigmoid(x)


@op("HardSwish")
def _hardswish(_, at, x): return F.hardswish(x)


@op("HardSigmoid")
def _hardsigmoid(_, at, x): return F.hardtanh(at.get("alpha", 0.2) * x + at.get("beta", 0.5), 0.0, 1.0)


@op("Clip")
def _clip(_, at, x, lo=None, hi=None):
    lo = at.get("min", -math.inf) if lo is None else lo.item()
    hi = at.get("max", math.inf) if hi is None else hi.item()
    return F.hardtanh(x, lo, hi) if x.is_floating_point() else x.clamp(lo, hi)


@op("Erf")
def _erf(_, at, x): return torch.erf(x)


@op("Gelu")
def _gelu(_, at, x): return F.gelu(x, approximate=at.get("approximate", b"none").decode())


@op("Softmax")
def _softmax(m, at, x):
    if m.opset >= 13:
        return x.softmax(at.get("axis", -1))
    axis = at.get("axis", 1) % x.dim()  # older: everything from this axis on is one row
    return x.flatten(axis).softmax(-1).reshape(x.shape)


# --- convolution, pooling, normalisation ----------------------------------------------------------------------

def _pads(at, x, kernel, stride, dilation):
    """ONNX padding of each spatial axis: [(begin, end), ...]."""
    mode, n = at.get("auto_pad", b"NOTSET").decode(), len(kernel)
    if mode == "VALID":
        return [(0, 0)] * n
    if mode == "NOTSET":
        p = at.get("pads", [0] * 2 * n)
        return [(p[i], p[n + i]) for i in range(n)]
    out = []
    for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation):
        total = max(0, (math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size)
        half = total // 2
        out.append((half, total - half) if mode == "SAME_UPPER" else (total - half, half))
    return out


def _pad_all(x, pads, value=0.0):
    flat = [p for pair in reversed(pads) for p in pair]
    return F.pad(x, flat, value=value) if any(flat) else x


@op("Conv")
def _conv(_, at, x, w, b=None):
    n = w.dim() - 2
    stride, dilation = at.get("strides", [1] * n), at.get("dilations", [1] * n)
    x = _pad_all(x, _pads(at, x, w.shape[2:], stride, dilation))
    return (F.conv1d, F.conv2d, F.conv3d)[n - 1](x, w, b, stride, 0, dilation, at.get("group", 1))


def _window(at, x):
    """kernel, stride, dilation, padding of a pool, and the further cells at the end that ceil_mode asks for."""
    kernel = at["kernel_shape"]
    stride, dilation = at.get("strides", [1] * len(kernel)), at.get("dilations", [1] * len(kernel))
    pads, extra = _pads(at, x, kernel, stride, dilation), []
    for size, k, s, d, (pb, pe) in zip(x.shape[2:], kernel, stride, dilation, pads):
        span, reach = (k - 1) * d + 1, size + pb + pe
        steps = (reach - span) / s
        out = (math.ceil(steps) if at.get("ceil_mode", 0) else math.floor(steps)) + 1
        if at.get("ceil_mode", 0) and (out - 1) * s >= size + pb:
            out -= 1  # no window may begin in the padding at the end
        extra.append((0, max(0, (out - 1) * s + span - reach)))
    return kernel, stride, dilation, pads, extra


@op("MaxPool")
def _maxpool(_, at, x):
    kernel, stride, dilation, pads, extra = _window(at, x)
    x = _pad_all(_pad_all(x, pads, -math.inf), extra, -math.inf)
    return F.max_pool2d(x, kernel, stride, 0, dilation)


@op("AveragePool")
def _avgpool(_, at, x):
    kernel, stride, dilation, pads, extra = _window(at, x)
    if any(d != 1 for d in dilation):
        raise NotImplementedError("AveragePool with dilations")
    ones = _pad_all(torch.ones_like(x[:1, :1]), pads, float(at.get("count_include_pad", 0)))
    total, count = (F.avg_pool2d(_pad_all(t, extra), kernel, stride, divisor_override=1)
                    for t in (_pad_all(x, pads), ones))
    return total / count


@op("GlobalAveragePool")
def _gap(_, at, x): return x.mean(tuple(range(2, x.dim())), keepdim=True)


@op("BatchNormalization")
def _batchnorm(_, at, x, scale, bias, mean, var):
    if at.get("training_mode", 0) or not at.get("spatial", 1):
        raise NotImplementedError("BatchNormalization in training mode or not spatial")
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, at.get("epsilon", 1e-5))


@op("LayerNormalization")
def _layernorm(_, at, x, scale, bias=None):
    return F.layer_norm(x, x.shape[at.get("axis", -1) % x.dim():], scale, bias, at.get("epsilon", 1e-5))


@op("LRN")
def _lrn(_, at, x):
    n = at["size"]
    squares = F.pad(x * x, (0, 0, 0, 0, (n - 1) // 2, n // 2)).unfold(1, n, 1).sum(-1)
    return x / (at.get("bias", 1.0) + at.get("alpha", 1e-4) / n * squares) ** at.get("beta", 0.75)


@op("ReduceMean")
def _reducemean(_, at, x, axes=None):
    axes = at.get("axes") if axes is None else axes.tolist()
    if not axes and at.get("noop_with_empty_axes", 0):
        return x
    return x.mean(axes or tuple(range(x.dim())), keepdim=bool(at.get("keepdims", 1)))


# --- shapes and constants -------------------------------------------------------------------------------------

@op("Identity", "Dropout")
def _identity(_, at, x, *rest): return x


@op("Constant")
def _constant(m, at):
    for key, value in at.items():
        return m.tensor(numpy_helper.to_array(value) if key == "value" else np.array(value))


@op("ConstantOfShape")
def _constantofshape(m, at, shape):
    value = m.tensor(numpy_helper.to_array(at["value"])) if "value" in at else m.tensor(np.float32([0]))
    return value.expand(shape.tolist()) if len(shape) else value[0]


@op("Cast", "CastLike")
def _cast(m, at, x, like=None):
    to = at.get("to", None)
    if like is not None:
        return x.to(like.dtype)
    if to == onnx.TensorProto.BOOL:
        return x.bool()
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    return x.to(m.dtype) if to in floats else x.long()


@op("Shape")
def _shape(_, at, x):
    return torch.tensor(list(x.shape)[at.get("start", 0):at.get("end", x.dim())], dtype=torch.long)


@op("Reshape")
def _reshape(_, at, x, shape):
    dims = shape.tolist()
    if not at.get("allowzero", 0):
        dims = [x.shape[i] if d == 0 else d for i, d in enumerate(dims)]
    return x.reshape(dims)


@op("Flatten")
def _flatten(_, at, x):
    axis = at.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), -1)


@op("Transpose")
def _transpose(_, at, x): return x.permute(at.get("perm", list(range(x.dim()))[::-1]))


@op("Squeeze")
def _squeeze(_, at, x, axes=None):
    axes = at.get("axes") if axes is None else axes.tolist()
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


@op("Unsqueeze")
def _unsqueeze(_, at, x, axes=None):
    axes = at.get("axes") if axes is None else axes.tolist()
    for axis in sorted(a % (x.dim() + len(axes)) for a in axes):
        x = x.unsqueeze(axis)
    return x


@op("Expand")
def _expand(_, at, x, shape):
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist())))


@op("Concat")
def _concat(_, at, *xs): return torch.cat(xs, at["axis"])


@op("Split")
def _split(_, at, x, sizes=None):
    axis, sizes = at.get("axis", 0), at.get("split") if sizes is None else sizes.tolist()
    return torch.split(x, sizes or math.ceil(x.shape[axis] / at["num_outputs"]), axis)


@op("Resize")
def _resize(_, at, x, roi=None, scales=None, sizes=None):
    """Nearest neighbours by whole factors, which is all that the networks here ask for."""
    factors = scales.tolist() if sizes is None or not len(sizes) else [s / n for s, n in zip(sizes.tolist(), x.shape)]
    if at.get("mode", b"nearest") != b"nearest" or factors[:2] != [1, 1] or any(f != int(f) for f in factors):
        raise NotImplementedError(f"Resize by {factors}")
    return x.repeat_interleave(int(factors[2]), 2).repeat_interleave(int(factors[3]), 3)


@op("Range")
def _range(_, at, start, limit, delta): return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


@op("Gather")
def _gather(_, at, x, index):
    axis = at.get("axis", 0) % x.dim()
    index = torch.where(index < 0, index + x.shape[axis], index)
    return x.index_select(axis, index.flatten()).reshape(x.shape[:axis] + index.shape + x.shape[axis + 1:])


@op("Slice")
def _slice(_, at, x, starts=None, ends=None, axes=None, steps=None):
    starts = at["starts"] if starts is None else starts.tolist()
    ends = at["ends"] if ends is None else ends.tolist()
    axes = at.get("axes", list(range(len(starts)))) if axes is None else axes.tolist()
    steps = [1] * len(starts) if steps is None else steps.tolist()
    for start, end, axis, step in zip(starts, ends, axes, steps):
        n = x.shape[axis]
        if step < 0:  # from the first element on, where it starts before; down to and with it, where it ends before
            start, end = max(start, -n), None if end < -n else end
        x = x.index_select(axis, torch.tensor(range(n)[start:end:step], dtype=torch.long))
    return x


@op("Pad")
def _pad(m, at, x, pads=None, value=None, axes=None):
    pads = at["pads"] if pads is None else pads.tolist()
    value = at.get("value", 0.0) if value is None else value.item()
    axes = range(x.dim()) if axes is None else axes.tolist()
    full = [(0, 0)] * x.dim()
    for i, axis in enumerate(axes):
        full[axis] = (pads[i], pads[len(pads) // 2 + i])
    mode = at.get("mode", b"constant").decode()
    if mode == "constant":
        return _pad_all(x, full, value)
    flat = [p for pair in reversed(full[2:]) for p in pair]
    return F.pad(x, flat, mode={"edge": "replicate", "reflect": "reflect"}[mode])
