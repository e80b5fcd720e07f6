#!/usr/bin/env python3
"""Writes the operator tests that Python's onnx package carries into a folder, one a case, as test_net_operators reads them:
NAME/model.onnx and NAME/test_data_set_0/{input,output}_N.pb.

  python export_node_tests.py BUILD/onnx-node-tests

Debian's libonnx-testdata holds an older set of the same kind. Needs onnx and what its cases are made with (numpy, ml_dtypes); building and
testing batchcam do not need it: without the folder, that test is skipped.
"""
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def tensor_of(value, name, declared):
    """The TensorProto of an input or output; sequences and optional values as onnx writes them."""
    if isinstance(value, onnx.TensorProto):
        return value
    if declared.HasField("sequence_type"):
        return numpy_helper.from_list(value, name)
    if declared.HasField("optional_type"):
        return numpy_helper.from_optional(value, name)
    return numpy_helper.from_array(np.asarray(value), name)


def write_case(folder, case):
    inputs, outputs = case.data_sets[0]
    data = folder / "test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    for side, values, declared in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
        for i, (value, info) in enumerate(zip(values, declared)):
            (data / f"{side}_{i}.pb").write_bytes(tensor_of(value, info.name, info.type).SerializeToString())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    warnings.simplefilter("ignore")
    np.random.seed(0)
    from onnx.backend.test.case.node import collect_testcases

    written = left_out = 0
    for case in collect_testcases(None):
        try:
            write_case(Path(sys.argv[1]) / case.name, case)
            written += 1
        except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError) as error:
            left_out += 1
            print(f"left out: {case.name}: {type(error).__name__} {error}"[:160])
    print(f"onnx {onnx.__version__}: {written} cases written, {left_out} left out")


main()
