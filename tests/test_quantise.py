"""Eight bits with fixed scales: nearly the scores of 32 bits, whatever stands beside a text, and the policy agrees."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from textgate.scan.policy import judge_file
from textgate.train.quantise import quantise

WIDTH = 32
TYPICAL = [[number, (number * 7) % 50, (number * 3) % 50] for number in range(50)]


def exact(path, *, loud=1.0, tail=""):
    """Write embeddings with one channel `loud` times the others, two products that share their left side, their sum."""
    random = np.random.default_rng(3)
    table = random.normal(size=(50, WIDTH)).astype(np.float32)
    arrays = {
        "table": table,
        "channels": np.where(np.arange(WIDTH) == 5, loud, 1).astype(np.float32),
        "left": random.normal(size=(WIDTH, 8)).astype(np.float32),
        "right": random.normal(size=(WIDTH, 8)).astype(np.float32),
        "bias": random.normal(size=8).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["found"]),
        helper.make_node("Mul", ["found", "channels"], ["rows"]),
        helper.make_node("MatMul", ["rows", "left"], ["a"]),
        helper.make_node("Add", ["a", "bias"] if tail != "turned" else ["bias", "a"], ["b"]),
        helper.make_node("MatMul", ["rows", "right"], ["c"]),
        helper.make_node("Add", ["b", "a" if tail == "twice" else "c"], ["logits"]),
    ]
    ids, mask = (
        helper.make_tensor_value_info(n, TensorProto.INT64, ["n", "m"]) for n in ("input_ids", "attention_mask")
    )
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "m", 8])
    tensors = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "small", [ids, mask], [logits], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def scores(path, ids):
    tokens = np.array(ids)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})[0]


@pytest.mark.parametrize("tail", ["", "turned", "twice"])
@pytest.mark.parametrize("loud", [0.0, 1.0, 100.0])
def test_quantise__gives_nearly_the_scores_of_32_bits_even_beside_a_loud_channel(tmp_path, loud, tail):
    exact(tmp_path / "exact.onnx", loud=loud, tail=tail)
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL)
    expected, found = (scores(tmp_path / name, TYPICAL) for name in ("exact.onnx", "small.onnx"))
    rest = np.abs(expected - found).mean() / np.abs(expected).mean()
    assert rest < 0.02


def test_quantise__an_answer_is_the_same_bytes_whatever_stands_beside_it(tmp_path):
    exact(tmp_path / "exact.onnx", loud=30.0)
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL[:10])
    together = scores(tmp_path / "small.onnx", TYPICAL)
    for row, expected in zip(TYPICAL, together, strict=True):
        np.testing.assert_array_equal(scores(tmp_path / "small.onnx", [row])[0], expected)


def test_quantise__writes_integer_products_and_nothing_that_scales_by_its_input(tmp_path):
    exact(tmp_path / "exact.onnx")
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL)
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "small.onnx").graph.node)
    assert (kinds["MatMulIntegerToFloat"], kinds["QuantizeLinear"], kinds["MatMul"], kinds["Add"]) == (2, 1, 0, 1)
    assert not [kind for kind in kinds if kind.startswith("Dynamic")]


def test_quantise__writes_what_the_policy_vouches_for_and_no_other_operator_of_that_domain(tmp_path):
    exact(tmp_path / "exact.onnx")
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL)
    assert judge_file(tmp_path, "small.onnx").finding is None
    model = onnx.load(tmp_path / "small.onnx")
    next(node for node in model.graph.node if node.domain).op_type = "PythonOp"
    onnx.save(model, tmp_path / "other.onnx")
    expected = "the operator com.microsoft::PythonOp is not among those known to be arithmetic only"
    assert expected in judge_file(tmp_path, "other.onnx").finding
