"""Any bytes at all: whatever is damaged or made up is judged, and never crashes what judges it."""

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from tests.policy_samples import LINEAR, branch, judge, model, npy, safetensors, skops, tensor

from textgate.scan.onnx_policy import DOMAINS

SUFFIXES = (".json", ".md", ".txt", ".safetensors", ".onnx", ".skops", ".npy")
SAMPLES = {
    ".json": b'{"a": [1, 2.5, "x"], "chat_template": "{{ a }}"}',
    ".safetensors": safetensors({"a": tensor(0, 3), "b": tensor(3, 4)}, b"1234"),
    ".onnx": model(branch(helper.make_node("Relu", ["x"], ["y"]))).SerializeToString(),
    ".skops": skops(LINEAR, {"140.npy": npy(np.ones(3))}),
    ".npy": npy(np.ones((2, 3))),
}


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from(SUFFIXES))
def test_judge_file__random_bytes_are_refused_and_never_crash(content, suffix):
    judged = judge(f"file{suffix}", content)
    if judged.voucher in ("json", "text"):
        content.decode("utf-8")
    elif judged.voucher is not None:  # the smallest safetensors file is ten bytes: found by chance once in 2^80
        raise AssertionError(judged)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), suffix=st.sampled_from(sorted(SAMPLES)))
def test_judge_file__a_damaged_file_never_crashes(data, suffix):
    content = bytearray(SAMPLES[suffix])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    judged = judge(f"file{suffix}", bytes(content))
    assert (judged.voucher is None) == (judged.finding is not None)


def nodes_of(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    inner = [g for node in graph.node for a in node.attribute for g in (*a.graphs, *([a.g] if a.HasField("g") else []))]
    return [*graph.node, *(node for g in inner for node in nodes_of(g))]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_judge_file__what_the_onnx_package_reads_is_what_was_judged(data):
    content = bytearray(SAMPLES[".onnx"])
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if judge("m.onnx", bytes(content)).voucher is None:
        return
    try:
        read = onnx.load_model_from_string(bytes(content))
    except Exception:  # noqa: BLE001 - it may be stricter than we are (UTF-8 names), which is as well
        return
    assert all(node.domain.encode() in DOMAINS for node in nodes_of(read.graph))
    assert not any(tensor.external_data or tensor.data_location for tensor in read.graph.initializer)
