"""An ONNX file that names foreign code or other files, or that no parser can bound, is refused with its reason."""

import onnx
import pytest
from onnx import TensorProto, helper
from tests.policy_samples import GOOD_ONNX, branch, finding, model, onnx_finding, weight


def external(place: str) -> onnx.ModelProto:
    made = weight()
    made.ClearField("raw_data")
    if place == "entry":
        made.external_data.add(key="location", value="../../secret")
    else:
        made.data_location = TensorProto.EXTERNAL
    return model(initializer=made)


def noted(size: int) -> onnx.ModelProto:
    made = model()
    for number in range(size // 60_000 + 1):
        made.metadata_props.add(key=f"k{number}", value="x" * 60_000)
    return made


def with_function(domain: str) -> onnx.ModelProto:
    made = model()
    inner = helper.make_node("Relu", ["a"], ["b"])
    made.functions.append(helper.make_function(domain, "MyOwn", ["a"], ["b"], [inner], [helper.make_opsetid("", 17)]))
    return made


def deep(levels: int) -> onnx.ModelProto:
    inner = helper.make_node("Relu", ["x"], ["y"])
    for _ in range(levels):
        inner = branch(inner)
        del inner.attribute[1]  # one branch is enough, two would double the size at each level
    return model(inner)


def opset(domain: str) -> onnx.ModelProto:
    made = model()
    made.opset_import.append(helper.make_opsetid(domain, 1))
    return made


def training() -> onnx.ModelProto:
    made = model()
    made.training_info.add()
    return made


def with_attribute(**attribute: object) -> onnx.ModelProto:
    return model(helper.make_node("Constant", [], ["y"], **attribute))


FOREIGN = helper.make_node("PyOp", ["x"], ["y"], domain="ai.onnx.contrib")
ONNX = {
    "a tensor in another file": (external("entry"), "external data"),
    "a tensor that says it lies elsewhere": (external("location"), "external data"),
    "an external tensor in an attribute": (
        with_attribute(value=external("entry").graph.initializer[0]),
        "external data",
    ),
    "an operator that runs Python": (model(FOREIGN), "the operator ai.onnx.contrib::PyOp is foreign"),
    "a foreign operator in a branch": (model(branch(FOREIGN)), "the operator ai.onnx.contrib::PyOp is foreign"),
    "a foreign operator two branches deep": (model(branch(branch(FOREIGN))), "ai.onnx.contrib::PyOp is foreign"),
    "a compiled program": (
        model(helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")),
        "the operator com.microsoft::EPContext is not among those known to be arithmetic only",
    ),
    "a Python operator of onnxruntime": (
        model(helper.make_node("PythonOp", ["x"], ["y"], domain="com.microsoft")),
        "com.microsoft::PythonOp is not among",
    ),
    "a foreign function": (with_function("my.own"), "the function my.own::MyOwn is foreign"),
    "a function under a trusted domain": (with_function("com.microsoft"), "com.microsoft::MyOwn is not among"),
    "a foreign operator set": (opset("evil.ops"), "the operator set evil.ops is foreign"),
    "a metadata bomb": (noted(2_000_000), "comments and metadata above 1 MiB"),
    "a long attribute string": (with_attribute(value_string=b"x" * 70_000), "a text in Attribute has 70,000 bytes"),
    "graphs in graphs in graphs": (deep(25), "messages are nested more than 50 deep"),
    "training information": (training(), "Model field 20"),
    "no graph": (onnx.ModelProto(ir_version=8), "it has no graph"),
}


@pytest.mark.parametrize(("made", "message"), ONNX.values(), ids=ONNX)
def test_judge_file__refuses_onnx_with(made, message):
    assert message in onnx_finding(made)


def field(number: int, content: bytes) -> bytes:
    """Encode one length-delimited field of a protocol buffer."""
    length, encoded = len(content), b""
    while length > 127:
        encoded += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + content


ONNX_BYTES = {
    "nothing": (b"", "the file is empty"),
    "half a model": (GOOD_ONNX[:-7], "runs past its end"),
    "half a number": (b"\x08\xff", "ends in the middle of a field"),
    "a number without end": (b"\x08" + b"\xff" * 20, "does not end"),
    "bytes behind the model": (GOOD_ONNX + b"PK\3\4 more", "Model field 10"),
    "a group, which protobuf gave up": (GOOD_ONNX + b"\x0b", "begins no field"),
    "a graph that is a number": (b"\x38\x01", "Model field 7 is of the wrong type"),
    "half a million empty nodes": (field(7, field(1, b"") * 500_000), "more than 500,000 fields"),
    "an operator with two domains": (
        field(7, field(1, field(4, b"PyOp") + field(7, b"ai.onnx.contrib") + field(7, b""))),
        "names its domain or operator twice",
    ),
    "two graphs, the second foreign": (
        GOOD_ONNX + field(7, field(1, field(4, b"PyOp") + field(7, b"ai.onnx.contrib"))),
        "the operator ai.onnx.contrib::PyOp is foreign",
    ),
}


@pytest.mark.parametrize(("content", "message"), ONNX_BYTES.values(), ids=ONNX_BYTES)
def test_judge_file__refuses_onnx_bytes_with(content, message):
    assert message in finding("model.onnx", content)
