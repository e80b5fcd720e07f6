"""Writes small ONNX files and, beside each, a text of what the onnx package reads in it.

    python make_onnx.py              makes all files of this folder anew
    python make_onnx.py FILE...      prints the text of other files (tests keep only its SHA-256: real.sha256)

The text has one line a thing; tests/onnx_dump.h writes the same lines from what batchcam reads.
"""
import hashlib
import heapq
import os
import pathlib
import random
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

HERE = pathlib.Path(__file__).parent
TYPES = {T.FLOAT: "float32", T.UINT8: "uint8", T.INT8: "int8", T.UINT16: "uint16", T.INT16: "int16", T.INT32: "int32",
         T.INT64: "int64", T.STRING: "string", T.BOOL: "bool", T.FLOAT16: "float16", T.DOUBLE: "float64",
         T.UINT32: "uint32", T.UINT64: "uint64", T.BFLOAT16: "bfloat16", T.UNDEFINED: "undefined",
         T.FLOAT8E4M3FN: "float8e4m3fn"}
KINDS = {1: "float", 2: "int", 3: "string", 4: "tensor", 5: "graph", 6: "floats", 7: "ints", 8: "strings"}


# ---- the text ----

def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def tensor_text(t, folder):
    name = TYPES.get(t.data_type, "an unknown type")
    dims = ",".join(str(d) for d in t.dims)
    if t.data_type not in TYPES or t.data_type == T.STRING:
        return f"{name} [{dims}] 0"
    array = numpy_helper.to_array(t, str(folder))
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return f"{name} [{dims}] {len(raw)} {hashlib.sha256(raw).hexdigest()}"


def value_text(v):
    kind = v.type.tensor_type
    if not v.type.HasField("tensor_type") or not kind.HasField("shape"):
        dims = "*"
    else:
        dims = ",".join(str(d.dim_value) if d.HasField("dim_value") and d.dim_value >= 0 else "?" for d in kind.shape.dim)
    return f"{escape(v.name)} {TYPES.get(kind.elem_type, 'an unknown type')} [{dims}]"


def bits(value):
    return struct.pack(">f", value).hex()


def attr_text(a, folder):
    kind = KINDS.get(a.type, "other")
    if a.type == 0:
        shown = [k + 1 for k, f in enumerate(("f", "i", "s", "t", "g")) if a.HasField(f)]
        kind = KINDS[shown[-1]] if shown else "other"
    if a.ref_attr_name or (kind == "string" and b"\0" in a.s):
        kind = "other"
    value = {"float": lambda: bits(a.f), "int": lambda: str(a.i), "string": lambda: escape(a.s.decode()),
             "tensor": lambda: escape(a.t.name) + ": " + tensor_text(a.t, folder), "floats": lambda: ",".join(map(bits, a.floats)),
             "ints": lambda: ",".join(map(str, a.ints)), "strings": lambda: str(len(a.strings))}.get(kind, lambda: "")()
    return f" attr {a.name} {kind} {value}"


def in_order(nodes):
    """The order in which, of the nodes that are ready, the one that stands first in the file comes next."""
    maker = {o: k for k, n in enumerate(nodes) for o in n.output if o}
    needs = [{maker[i] for i in n.input if i in maker} for n in nodes]
    readers = [[] for _ in nodes]
    for k, need in enumerate(needs):
        for m in need:
            readers[m].append(k)
    ready = [k for k, need in enumerate(needs) if not need]
    heapq.heapify(ready)
    while ready:
        k = heapq.heappop(ready)
        yield nodes[k]
        for reader in readers[k]:
            needs[reader].discard(k)
            if not needs[reader]:
                heapq.heappush(ready, reader)


def model_text(model, folder):
    g = model.graph
    names = {t.name for t in g.initializer}
    floats = sum(int(np.prod(t.dims, dtype=np.int64)) for t in g.initializer
                 if t.data_type in (T.FLOAT, T.DOUBLE, T.FLOAT16, T.BFLOAT16))
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    producer = " ".join(x for x in (model.producer_name, model.producer_version) if x)
    yield f"model ir {model.ir_version} opset {opset} parameters {floats} producer {escape(producer)}"
    for p in model.metadata_props:
        yield f"meta {escape(p.key)}={escape(p.value)}"
    for v in g.input:
        if v.name not in names:
            yield "input " + value_text(v)
    for v in g.output:
        yield "output " + value_text(v)
    for t in g.initializer:
        yield f"initializer {escape(t.name)}: {tensor_text(t, folder)}"
    for n in in_order(g.node):
        domain = "" if n.domain == "ai.onnx" else n.domain
        yield f"node {n.op_type} '{escape(domain)}' {escape(n.name)}"
        yield from (f" in {escape(i)}" for i in n.input)
        yield from (f" out {escape(o)}" for o in n.output)
        yield from (attr_text(a, folder) for a in n.attribute)
        yield from (f" meta {escape(p.key)}={escape(p.value)}" for p in n.metadata_props)


def text_of(path):
    model = onnx.load(path, load_external_data=False)
    return "".join(line + "\n" for line in model_text(model, pathlib.Path(path).parent))


# ---- the files ----

def value(name, dims=(1, 3, "h", None), kind=T.FLOAT):
    return helper.make_tensor_value_info(name, kind, dims)


def chain(count=1):
    return [helper.make_node("Relu", ["x" if k == 0 else f"t{k - 1}"], ["y" if k == count - 1 else f"t{k}"]) for k in range(count)]


def model_of(nodes, initializers=(), inputs=None, outputs=None, opset=17, ir=8, **more):
    graph = helper.make_graph(nodes, "g", inputs or [value("x")], outputs or [value("y")], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir, **more)


def varint(value):
    out = b""
    while True:
        out += bytes([(value & 127) | (128 if value > 127 else 0)])
        value >>= 7
        if not value:
            return out


def counted(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


ALL = [T.FLOAT, T.UINT8, T.INT8, T.UINT16, T.INT16, T.INT32, T.INT64, T.BOOL, T.FLOAT16, T.DOUBLE, T.UINT32, T.UINT64, T.BFLOAT16]


def every_type(raw):
    rng = np.random.default_rng(7)
    for kind in ALL:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        for dims in ((), (2, 3), (0, 4), (1, 5, 1, 1, 1, 1, 1, 2)):
            count = int(np.prod(dims))
            if kind == T.BOOL:
                array = rng.integers(0, 2, count).astype(bool)
            elif kind in (T.FLOAT, T.FLOAT16, T.BFLOAT16, T.DOUBLE):
                array = np.concatenate([rng.standard_normal(count) * 10, [np.inf, -0.0, 65504, 1e-7]])[-count or count:].astype(dtype)
                array = array[:count]
            else:
                info = np.iinfo(dtype)
                array = rng.integers(info.min, info.max, count, dtype=dtype, endpoint=True)
                array[:2] = [info.min, info.max][:len(array[:2])]
            name = f"{TYPES[kind]}_{'x'.join(map(str, dims))}"
            if raw:
                yield helper.make_tensor(name, kind, dims, array.tobytes(), raw=True)
            else:
                yield helper.make_tensor(name, kind, dims, array)


def types_typed():
    return model_of(chain(), list(every_type(False)) + [helper.make_tensor("text", T.STRING, [2], [b"a", b"bc"])])


def types_raw():
    eight = helper.make_tensor("eight_bit_float", T.FLOAT8E4M3FN, [3], b"\1\2\3", raw=True)
    return model_of(chain(), list(every_type(True)) + [eight])


def types_split():
    """Repeated numbers one by one, in several packed runs, and both at once: all of it legal, none of it written by protobuf itself."""
    f = [struct.pack("<f", v) for v in (1.5, -2, 3e-9, 4)]
    d = [struct.pack("<d", v) for v in (0.1, -7)]
    minus = varint(2**64 - 5)
    bodies = {
        "floats_single": counted(1, b"\4") + varint(2 << 3) + b"\1" + b"".join(varint(4 << 3 | 5) + v for v in f),
        "floats_runs": varint(1 << 3) + b"\4" + b"\x10\1" + counted(4, f[0]) + counted(4, b"") + counted(4, b"".join(f[1:])),
        "floats_mixed": varint(1 << 3) + b"\4" + b"\x10\1" + counted(4, f[0] + f[1]) + varint(4 << 3 | 5) + f[2] + counted(4, f[3]),
        "doubles_single": counted(1, b"\1\2") + b"\x10\x0b" + b"".join(varint(10 << 3 | 1) + v for v in d),
        "ints_single": b"\x08\3\x10\7" + b"\x38" + minus + b"\x38\x81\x80\0" + b"\x38" + varint(2**63 - 1),
        "int32_mixed": b"\x08\3\x10\6" + b"\x28" + minus + counted(5, b"\x01" + varint(2**32 - 1)),
        "uint8_last_type": b"\x10\1\x08\2\x10\2" + counted(5, b"\xff\1\0"),
        "unknown_fields": b"\x08\1\x10\3" + counted(99, b"?") + varint(98 << 3) + b"\7" + varint(97 << 3 | 5) + b"abcd" +
                          varint(96 << 3 | 1) + b"abcdefgh" + counted(9, b"\x85"),
    }
    model = model_of(chain())
    graph = model.graph.SerializeToString()
    for name, body in bodies.items():
        graph += counted(5, counted(8, name.encode()) + body)
    model.ClearField("graph")
    return counted(7, graph) + model.SerializeToString() + counted(2, b"first") + counted(2, b"the last one holds")


def attrs():
    rng = np.random.default_rng(3)
    sub = helper.make_graph(chain(), "sub", [value("x")], [value("y")])
    tensor = numpy_helper.from_array(rng.standard_normal((2, 2)).astype(np.float32), "w")
    n = helper.make_node("Everything", ["x", "", "c"], ["y", "", "z"], "all", domain="some.domain", f=0.1, i=-3, s="text \\ \n 中",
                         t=tensor, floats=[1.5, -0.0, float("inf")], ints=[0, -1, 2**63 - 1, -2**63], strings=["a", "b", ""],
                         big=[3] * 300, g=sub, tensors=[tensor, tensor], graphs=[sub], blob=b"a\0b", empty_s=b"")
    for name, kind in (("no_floats", 6), ("no_ints", 7), ("no_strings", 8), ("none", 0)):
        n.attribute.add(name=name, type=kind)
    n.attribute.add(name="reference", type=2, ref_attr_name="outer")
    n.attribute.add(name="untyped_i", i=5)
    n.attribute.add(name="untyped_s", s=b"old")
    n.attribute.add(name="untyped_t").t.CopyFrom(tensor)
    n.attribute.add(name="sparse", type=11).sparse_tensor.SetInParent()
    constants = [helper.make_node("Constant", [], ["c"], "value", value=numpy_helper.from_array(np.int64([1, -1]))),
                 helper.make_node("Constant", [], ["c2"], "float", value_float=2.5),
                 helper.make_node("Constant", [], ["c3"], "ints", value_ints=[1, 2]),
                 helper.make_node("Constant", [], ["c4"], "scalar", value=numpy_helper.from_array(np.float32(4)))]
    model = model_of(constants + [n])
    body = model.graph.node[-1].SerializeToString()
    single = counted(1, b"single") + b"".join(varint(7 << 3 | 5) + struct.pack("<f", v) for v in (1, 2)) + varint(20 << 3) + b"\6"
    mixed = counted(1, b"mixed") + varint(8 << 3) + b"\1" + counted(8, b"\2\3") + varint(8 << 3) + b"\4" + varint(20 << 3) + b"\7"
    future = counted(1, b"future") + varint(20 << 3) + b"\x63"
    del model.graph.node[-1]
    graph = model.graph.SerializeToString() + counted(1, body + b"".join(counted(5, a) for a in (single, mixed, future)))
    model.ClearField("graph")
    return model.SerializeToString() + counted(7, graph)


def metadata():
    nodes = chain(3)
    for k, n in enumerate(nodes):
        n.name, n.doc_string = f"/layer{k}/Relu", "words " * 20
        n.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=f"['', 'layer{k}', 'layer{k}.act']")
        n.metadata_props.add(key="two\nlines", value="a\nb\\")
    model = model_of(nodes, producer_name="tests", producer_version="1.0", doc_string="doc")
    model.graph.value_info.add(name="t0")
    model.graph.doc_string = "graph"
    model.opset_import.add(domain="com.example", version=3)
    helper.set_model_props(model, {"names": '["cat", "dog"]', "stride": "32", "leer": ""})
    model.graph.input.append(value("größe", None, T.INT64))
    model.graph.input.append(value("scalar", (), T.DOUBLE))
    model.graph.input.append(value("minus", (-1, 0), T.UINT8))
    model.graph.input.append(helper.make_tensor_sequence_value_info("sequence", T.FLOAT, (1,)))
    model.graph.input.add(name="bare")
    return model


def ir3():
    w, b = (numpy_helper.from_array(np.arange(k, dtype=np.float32), n) for k, n in ((6, "w"), (2, "b")))
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"])]
    return model_of(nodes, [w, b], inputs=[value("w", (6,)), value("x"), value("b", (2,))], opset=9, ir=3)


def unsorted():
    rng = random.Random(11)
    nodes = []
    for k in range(60):
        sources = ["x"] + [f"t{j}" for j in range(k)]
        chosen = [rng.choice(sources) for _ in range(rng.randint(1, 3))] + ([""] if rng.random() < 0.3 else [])
        nodes.append(helper.make_node("Sum", chosen, [f"t{k}"] + ([f"s{k}", ""] if k % 9 == 0 else []), f"n{k}" if k % 4 else ""))
    nodes.append(helper.make_node("Concat", [f"t{k}" for k in range(40, 60)], ["y"], "last"))
    rng.shuffle(nodes)
    return model_of(nodes, opset=7)


def external(folder):
    rng = np.random.default_rng(5)
    (folder / "external_more").mkdir(exist_ok=True)
    parts = {"external.bin": b"", "external_more/other.bin": b"xyz"}
    tensors = []
    for k, (file, dims, kind) in enumerate([("external.bin", (3, 5), np.float32), ("external_more/other.bin", (4,), np.int64),
                                            ("external.bin", (7,), np.float16), ("external.bin", (0, 2), np.float32)]):
        array = (rng.standard_normal(dims) * 100).astype(kind)
        t = T(name=f"w{k}", dims=dims, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), data_location=T.EXTERNAL)
        for key, v in (("location", file), ("offset", len(parts[file])), ("length", array.nbytes)):
            if (key, k) not in (("length", 2), ("offset", 0)):
                t.external_data.add(key=key, value=str(v))
        parts[file] += array.tobytes()
        tensors.append(t)
    tensors[2].external_data[0].value = "./external.bin"
    tensors[0].external_data.add(key="checksum", value="0")
    for file, data in parts.items():
        (folder / file).write_bytes(data)
    return model_of(chain(), tensors)


def main():
    os.umask(0o022)
    files = {"types_typed": types_typed(), "types_raw": types_raw(), "types_split": types_split(), "attrs": attrs(),
             "metadata": metadata(), "ir3": ir3(), "unsorted": unsorted(), "external": external(HERE)}
    for name, model in files.items():
        path = HERE / f"{name}.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        path.with_suffix(".txt").write_text(text_of(path), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    for path in sys.argv[1:]:
        sys.stdout.write(text_of(path))
