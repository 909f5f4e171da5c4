"""Files for the scan's policy to judge, well made or not; pickles are put together from opcodes and never loaded."""

import io
import json
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from textgate.scan.policy import Judgement, judge_file

BINARY_PICKLE = b"\x80\x04\x8c\x05posix\x8c\x06getpid\x93)R."
TEXT_PICKLE = b"cposix\ngetpid\n(tR."


def judge(name: str, content: bytes) -> Judgement:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(content)
        return judge_file(Path(folder), name)


def finding(name: str, content: bytes) -> str:
    judged = judge(name, content)
    assert judged.voucher is None
    assert judged.finding
    assert "\n" not in judged.finding
    assert len(judged.finding) <= 300
    return judged.finding


def safetensors(header: object, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def tensor(begin: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


def weight(name: str = "w") -> TensorProto:
    return numpy_helper.from_array(np.eye(2, dtype=np.float32), name)


def model(*nodes: onnx.NodeProto, initializer: TensorProto | None = None, **more: object) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    nodes = nodes or (helper.make_node("MatMul", ["x", "w"], ["y"]),)
    graph = helper.make_graph(list(nodes), "graph", [x], [y], [initializer or weight()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **more)


def onnx_finding(made: onnx.ModelProto) -> str:
    return finding("model.onnx", made.SerializeToString())


def node(loader: str, kind: str, **more: object) -> dict[str, object]:
    module, _, name = kind.rpartition(".")
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def skops(schema: object, members: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (members or {}).items():
            archive.writestr(name, content)
        archive.writestr("schema.json", schema if isinstance(schema, bytes) else json.dumps(schema))
    return buffer.getvalue()


def npy(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


LINEAR = node(
    "ObjectNode",
    "sklearn.svm._classes.LinearSVC",
    content=node(
        "DictNode",
        "builtins.dict",
        content={
            "C": node("JsonNode", "builtins.str", content="1.0", is_json=True),
            "coef_": node("NdArrayNode", "numpy.ndarray", type="numpy", file="140.npy"),
        },
    ),
    protocol=2,
)


def branch(inner: onnx.NodeProto) -> onnx.NodeProto:
    """Wrap a node in the then-branch of an If."""
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([inner], "inner", [], [y])
    return helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=graph)


GOOD_ONNX = model().SerializeToString()
