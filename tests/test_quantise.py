"""Eight bits with fixed scales: nearly the scores of 32 bits, whatever stands beside a text, and the policy agrees."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from textgate.scan.policy import judge_file
from textgate.train.quantise import DOMAIN, quantise

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
    save(path, nodes, arrays, 8)


def save(path, nodes, arrays, outputs):
    ids, mask = (
        helper.make_tensor_value_info(n, TensorProto.INT64, ["n", "m"]) for n in ("input_ids", "attention_mask")
    )
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "m", outputs])
    tensors = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "small", [ids, mask], [logits], tensors)
    onnx.save(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)], ir_version=8
        ),
        path,
    )


def attending(path, *, loud=1.0, seen=False, more=("mask",), **changes):
    """Write embeddings, an attention over them whose values have a loud channel, a product, and what else is `seen`."""
    random = np.random.default_rng(4)
    thirds = np.where(np.arange(3 * WIDTH) == 2 * WIDTH + 7, loud, 1).astype(np.float32)
    arrays = {
        "table": random.normal(size=(50, WIDTH)).astype(np.float32),
        "qkv": random.normal(size=(WIDTH, 3 * WIDTH)).astype(np.float32) / 8 * thirds,
        "qkv_bias": random.normal(size=3 * WIDTH).astype(np.float32) * thirds,
        "added": random.normal(size=(1, 4, 3, 3)).astype(np.float32),
        "out": random.normal(size=(WIDTH, WIDTH)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.INT32),
        helper.make_node(
            "Attention", ["rows", "qkv", "qkv_bias", *more], ["mean"], domain=DOMAIN, num_heads=4, **changes
        ),
        helper.make_node("MatMul", ["mean", "out"], ["product"]),
        helper.make_node("Add", ["product", "mean" if seen else "rows"], ["logits"]),
    ]
    save(path, nodes, arrays, WIDTH)


def scores(path, ids, mask=None):
    tokens = np.array(ids)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(
        ["logits"], {"input_ids": tokens, "attention_mask": np.ones_like(tokens) if mask is None else mask}
    )[0]


@pytest.mark.parametrize("tail", ["", "turned", "twice"])
@pytest.mark.parametrize("loud", [0.0, 1.0, 100.0])
def test_quantise__gives_nearly_the_scores_of_32_bits_even_beside_a_loud_channel(tmp_path, loud, tail):
    exact(tmp_path / "exact.onnx", loud=loud, tail=tail)
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL)
    expected, found = (scores(tmp_path / name, TYPICAL) for name in ("exact.onnx", "small.onnx"))
    rest = np.abs(expected - found).mean() / np.abs(expected).mean()
    assert rest < 0.02


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("loud", [0.0, 1.0, 100.0])
def test_quantise__gives_nearly_the_scores_of_32_bits_behind_an_attention(tmp_path, loud, seen):
    attending(tmp_path / "exact.onnx", loud=loud, seen=seen)
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL)
    expected, found = (scores(tmp_path / name, TYPICAL) for name in ("exact.onnx", "small.onnx"))
    quiet = np.arange(WIDTH) != (7 if seen else -1)
    rest = np.abs(expected - found)[..., quiet].mean() / np.abs(expected)[..., quiet].mean()
    assert rest < 0.02


def test_quantise__values_take_the_evenness_that_is_needed_behind_an_attention(tmp_path):
    kinds = {}
    for seen in (False, True):
        attending(tmp_path / "exact.onnx", seen=seen)
        quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL)
        kinds[seen] = Counter(node.op_type for node in onnx.load(tmp_path / "small.onnx").graph.node)
        assert [kinds[seen][name] for name in ("QAttention", "MatMulIntegerToFloat", "Attention")] == [1, 1, 0]
    assert kinds[True]["Mul"] - kinds[False]["Mul"] == 1


@pytest.mark.parametrize(
    "changes", [{"more": ()}, {"more": ("mask", "", "added")}, {"qkv_hidden_sizes": [WIDTH, WIDTH, WIDTH]}]
)
def test_quantise__an_attention_that_does_not_exist_in_8_bits_stays_as_it_is(tmp_path, changes):
    attending(tmp_path / "exact.onnx", **changes)
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL)
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "small.onnx").graph.node)
    assert (kinds["Attention"], kinds["QAttention"], kinds["MatMulIntegerToFloat"]) == (1, 0, 1)
    expected, found = (scores(tmp_path / name, TYPICAL) for name in ("exact.onnx", "small.onnx"))
    assert np.abs(expected - found).mean() / np.abs(expected).mean() < 0.02


@pytest.mark.parametrize("write", [exact, attending])
def test_quantise__an_answer_is_the_same_bytes_whatever_stands_beside_it(tmp_path, write):
    write(tmp_path / "exact.onnx", loud=30.0)
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL[:10])
    together = scores(tmp_path / "small.onnx", TYPICAL)
    for row, expected in zip(TYPICAL, together, strict=True):
        np.testing.assert_array_equal(scores(tmp_path / "small.onnx", [row])[0], expected)


@pytest.mark.parametrize("mask", [[[1, 1, 0]], [[0, 1, 1]]])
def test_quantise__padding_behind_or_before_a_text_is_kept_out_of_an_attention(tmp_path, mask):
    attending(tmp_path / "exact.onnx")
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx", TYPICAL)
    seen = np.array(mask) == 1
    padded = scores(tmp_path / "small.onnx", TYPICAL[1:2], np.array(mask))[seen]
    alone = scores(tmp_path / "small.onnx", np.array(TYPICAL[1:2])[seen][None])[0]
    np.testing.assert_allclose(padded, alone, rtol=0, atol=1e-5)


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
