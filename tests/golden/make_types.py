"""One small network in the forms in which files give numbers and shapes: python make_types.py [--out DIR] [CASE ...].

Each types_* case is the same float32 graph, whose weights are first rounded to the case's type, rewritten. The numbers
are those of the graph before it was rewritten; where the interpreter knows the new form, it must find the same. See
README.md.
"""
import functools
import json

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import golden
import make_goldens
import nets
import oracle

LAYERS = ["relu1", "relu6", "last"]
HEIGHT, WIDTH = 17, 15


def network(seed, channels=3, opset=17):
    """Two convolutions with batch norm, a depthwise one, a scaled shortcut, a pool, and a head with a softmax."""
    g = nets.Graph(seed, [channels, HEIGHT, WIDTH], 5, opset)
    half = g.const(np.float32(0.5), "half")
    x = g.conv("input", "conv1", channels, 6, 3, False, strides=[2, 2], pads=[1, 1, 1, 1])
    x = g("MaxPool", [g("Relu", [g.norm(x, "bn1", 6)], "relu1")], "pool", kernel_shape=[2, 2], strides=[1, 1])
    y = g.norm(g.conv(x, "conv2", 6, 6, 3, False, pads=[1, 1, 1, 1], group=6), "bn2", 6)
    y = g("Clip", [y, g.const(np.float32(0), "zero"), g.const(np.float32(6), "six")], "relu6")
    x = g("Add", [g("Mul", [x, half], "scaled"), y], "sum")
    x = g("Relu", [g.conv(x, "conv3", 6, 8, 3, strides=[2, 2])], "last")
    x = g("Flatten", [g("GlobalAveragePool", [x], "gap")], "flat")
    g("Softmax", [g.gemm(x, "logits", 8, 5, 2.0)], "output", axis=-1)
    return g.proto()


# --- forms ----------------------------------------------------------------------------------------------------------


def floats(model):
    return [i for i in model.graph.initializer if i.data_type == TensorProto.FLOAT]


def round_to(model, dtype):
    """The same graph with weights that the type has."""
    for i in floats(model):
        rounded = torch.from_numpy(numpy_helper.to_array(i).copy()).to(dtype).float().numpy()
        i.CopyFrom(numpy_helper.from_array(rounded, i.name))
    return model


def as_type(tensor, kind, typed):
    """A float32 tensor in another type, as raw bytes or in the typed field of that type."""
    array = numpy_helper.to_array(tensor)
    if kind == TensorProto.BFLOAT16:
        bits = (array.view(np.uint32) >> 16).astype(np.uint16)  # exact: the numbers were rounded before
    else:
        bits = array.astype({TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64}[kind])
    out = TensorProto(name=tensor.name, data_type=kind, dims=tensor.dims)
    if not typed:
        out.raw_data = bits.tobytes()
    elif kind == TensorProto.DOUBLE:
        out.double_data.extend(bits.ravel().tolist())
    else:
        out.int32_data.extend(bits.view(np.uint16).ravel().tolist())
    return out


def throughout(kind):
    """Input, output and weights of a type; every other weight typed, not raw."""
    def rewrite(model):
        for k, i in enumerate(floats(model)):
            i.CopyFrom(as_type(i, kind, k % 2 == 1))
        for value in (model.graph.input[0], model.graph.output[0]):
            value.type.tensor_type.elem_type = kind
    return rewrite


def cast_weights(kind):
    """Weights stored in a type and cast to float32 where they are used, as compressed models have it."""
    def rewrite(model):
        names = {i.name for i in floats(model)}
        for k, i in enumerate(floats(model)):
            i.CopyFrom(as_type(i, kind, k % 2 == 1))
        for node in model.graph.node:
            node.input[:] = [f"{i}/float32" if i in names else i for i in node.input]
        casts = [helper.make_node("Cast", [n], [f"{n}/float32"], to=TensorProto.FLOAT) for n in sorted(names)]
        prepend(model, casts)
    return rewrite


def prepend(model, nodes):
    nodes = nodes + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def half_inside(model):
    """Float32 in and out, float16 between two casts, as converters of trained models leave it."""
    throughout(TensorProto.FLOAT16)(model)
    for node in model.graph.node:
        node.input[:] = ["input/half" if i == "input" else i for i in node.input]
        node.output[:] = ["output/half" if o == "output" else o for o in node.output]
    prepend(model, [helper.make_node("Cast", ["input"], ["input/half"], to=TensorProto.FLOAT16)])
    model.graph.node.append(helper.make_node("Cast", ["output/half"], ["output"], to=TensorProto.FLOAT))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.FLOAT


def constant_nodes(model):
    """Every weight a Constant node, in each of its forms; a bias of the same numbers as ConstantOfShape."""
    nodes = []
    for k, i in enumerate(floats(model)):
        array = numpy_helper.to_array(i)
        form = ({"value_float": float(array)} if array.ndim == 0 else
                {"value_floats": array.tolist()} if array.ndim == 1 and k % 2 else {"value": i})
        nodes.append(helper.make_node("Constant", [], [i.name], name=f"{i.name}/Constant", **form))
    shape = helper.make_node("Constant", [], ["sixes"], value_ints=[6])
    value = numpy_helper.from_array(np.float32([0.25]))
    at = [n.output[0] for n in nodes].index("bn1/beta")
    nodes[at] = helper.make_node("ConstantOfShape", ["sixes"], ["bn1/beta"], value=value)
    del model.graph.initializer[:]
    prepend(model, [shape] + nodes)


def equal_beta(model):
    """What constant_nodes puts for one bias."""
    for i in model.graph.initializer:
        if i.name == "bn1/beta":
            i.CopyFrom(numpy_helper.from_array(np.full(6, 0.25, np.float32), i.name))
    return model


def free_size(model):
    """Any height and width; the flattening is computed from the shape. preprocess.json says the size."""
    for d, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], ("H", "W")):
        d.dim_param = name
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Flatten":
            nodes.append(node)
            continue
        nodes += [helper.make_node("Shape", ["gap"], ["gap/shape"]),
                  helper.make_node("Gather", ["gap/shape", "first"], ["gap/n"], axis=0),
                  helper.make_node("Unsqueeze", ["gap/n", "first/axis"], ["gap/n1"]),
                  helper.make_node("Concat", ["gap/n1", "rest"], ["flat/shape"], axis=0),
                  helper.make_node("Reshape", ["gap", "flat/shape"], ["flat"])]
    for name, value in (("first", np.int64(0)), ("first/axis", np.int64([0])), ("rest", np.int64([-1]))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def nhwc(model):
    dims = model.graph.input[0].type.tensor_type.shape.dim
    sizes = [d.dim_value for d in dims[1:]]
    for d, size in zip(dims[1:], sizes[1:] + sizes[:1]):
        d.dim_value = size
    for node in model.graph.node:
        node.input[:] = ["input/nchw" if i == "input" else i for i in node.input]
    prepend(model, [helper.make_node("Transpose", ["input"], ["input/nchw"], perm=[0, 3, 1, 2])])


def nhwc_free_half(model):
    """All at once: NHWC of any size, float16 throughout."""
    throughout(TensorProto.FLOAT16)(model)
    free_size(model)
    nhwc(model)
    for d, name in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], ("H", "W")):
        d.dim_param = name
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 3


# --- cases ------------------------------------------------------------------------------------------------------------

# name: what rewrites it, the type that its numbers must have, channels, operator set
CASES = {
    "float16": (throughout(TensorProto.FLOAT16), torch.float16, 3, 17),
    "float16_inside": (half_inside, torch.float16, 3, 13),
    "float16_weights": (cast_weights(TensorProto.FLOAT16), torch.float16, 3, 17),
    "bfloat16": (throughout(TensorProto.BFLOAT16), torch.bfloat16, 3, 22),
    "bfloat16_weights": (cast_weights(TensorProto.BFLOAT16), torch.bfloat16, 3, 17),
    "double": (throughout(TensorProto.DOUBLE), torch.float32, 3, 17),
    "constant_nodes": (constant_nodes, torch.float32, 3, 17),
    "free_size": (free_size, torch.float32, 3, 17),
    "grey": (lambda model: None, torch.float32, 1, 17),
    "grey_nhwc": (nhwc, torch.float32, 1, 17),
    "nhwc_free_float16": (nhwc_free_half, torch.float16, 3, 17),
}


def agree(model, x, rows):
    """The interpreter on the rewritten file finds the same; it has no bfloat16, and no operator set past 21."""
    kinds = {i.data_type for i in model.graph.initializer}
    if TensorProto.BFLOAT16 in kinds:
        return
    again = oracle.Model(model)
    for row in rows:
        errors = [golden.rel(a, b) for a, b in zip(oracle.cam(again, x, row["tensor"], row["classes"]), row["exact"])]
        assert max(errors) < 1e-12, (row["tensor"], errors)


def make(out, name):
    rewrite, dtype, channels, opset = CASES[name]

    def base(seed):
        model = round_to(network(seed, channels, min(opset, 17)), dtype)
        return equal_beta(model) if name == "constant_nodes" else model
    model, x, rows, _ = make_goldens.graph_case(base, (channels, HEIGHT, WIDTH), LAYERS)
    rewrite(model)
    model.opset_import[0].version = opset
    model.ir_version = 10 if opset > 17 else 8
    onnx.checker.check_model(model, full_check=True)
    if "nhwc" in name:
        x = x.permute(0, 2, 3, 1)
    agree(model, x, rows)
    golden.write_case(f"{out}/types_{name}", model, x, rows)
    if "free" in name:
        with open(f"{out}/types_{name}/preprocess.json", "w") as f:
            json.dump(dict(size=[HEIGHT, WIDTH]), f)
            f.write("\n")


if __name__ == "__main__":
    golden.main("Makes the types_* cases of tests/golden.", {name: functools.partial(make, name=name) for name in CASES})
