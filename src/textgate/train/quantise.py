"""An ONNX file in 32 bits into one in 8 bits whose scales are fixed once, so that no answer depends on its neighbours.

Weights have a scale for each output; what is multiplied with them has one in all, found on training rows. Before that
its large channels are made smaller and their weights larger: Xiao et al. (2023), "SmoothQuant".
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ranges = dict[str, tuple[Floats, Floats]]
Texts = Sequence[Sequence[int]]
LEVELS = 255  # of a byte without a sign
LARGEST = 127  # of a byte with a sign; zero stays zero
STRENGTH = 0.8  # how much of the unevenness goes into the weights; of 0.5, 0.65, 0.8 and 0.9 the closest to 32 bits
TINY = np.float32(1e-5)  # for channels that are always zero
DOMAIN = "com.microsoft"  # of the products that take bytes and give floats


@dataclass
class Product:
    """A node that multiplies its first input with a constant matrix, shape (channels, outputs), and adds a vector."""

    node: Any
    matrix: Floats
    bias: Floats | None
    result: str

    @property
    def attends(self) -> bool:
        """Return whether the outputs are queries, keys and values, and the result is what attention makes of them."""
        return bool(self.node.op_type == "Attention")


def quantise(exact: Path, path: Path, typical: Texts) -> None:
    """Write the 8-bit file. `typical` holds token ids of texts on which the ranges of values are found.

    Tables that are looked up (embeddings) and products with constant matrices are quantised, those in an attention
    too; the rest stays in 32 bits.
    """
    import onnx

    _quantise_tables(exact, path)
    model = onnx.load(path)
    graph = model.graph
    found = _products(graph)
    ranges = _ranges(model, tuple(found), typical)
    products = {name: alike for name, alike in found.items() if name in ranges}  # X-MOD's other languages see no text
    divisors = _smooth(products, ranges, Counter(name for node in graph.node for name in node.input))
    first = {alike[0].node.output[0]: name for name, alike in products.items()}
    replaced = {name for alike in products.values() for one in alike for name in (one.node.output[0], one.result)}
    nodes, tensors = [], []
    for node in graph.node:
        if (name := first.get(node.output[0])) is not None:
            made = _quantised(name, products[name], *ranges[name], divisors.get(name))
            nodes += made[0]
            tensors += made[1]
        elif node.output[0] not in replaced:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    tensors += [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    if all(opset.domain != DOMAIN for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    onnx.save(model, path)


@contextmanager
def quiet() -> Iterator[None]:
    """Let nothing below an error be logged: ONNX Runtime's tools warn of much that changes nothing."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _quantise_tables(exact: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(exact, path, weight_type=QuantType.QInt8, op_types_to_quantize=["Gather"])


def _products(graph: Any) -> dict[str, list[Product]]:
    """Return the products with a constant matrix by the name of their left side."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    sums = _sums(graph, {name for name, tensor in tensors.items() if len(tensor.dims) == 1 and tensor.dims[0] > 1})
    matrices = {name for name, tensor in tensors.items() if len(tensor.dims) == 2}
    products: dict[str, list[Product]] = {}
    for node in graph.node:
        if not (node.op_type == "MatMul" or _is_plain_attention(node)) or node.input[1] not in matrices:
            continue
        result = node.output[0]
        bias, result = (node.input[2], result) if node.op_type == "Attention" else sums.get(result, ("", result))
        vector = numpy_helper.to_array(tensors[bias]) if bias else None
        product = Product(node, numpy_helper.to_array(tensors[node.input[1]]), vector, result)
        products.setdefault(node.input[0], []).append(product)
    return products


def _is_plain_attention(node: Any) -> bool:
    """Say whether it is an attention that also exists in 8 bits: nothing is added to it, values are as wide as keys."""
    widths = any(attribute.name == "qkv_hidden_sizes" for attribute in node.attribute)
    return node.op_type == "Attention" and all(node.input[:4]) and len(node.input) == 4 and not widths


def _sums(graph: Any, vectors: set[str]) -> dict[str, tuple[str, str]]:
    """Return, by tensor, the constant vector that is added to it and the name of the sum, if nothing else reads it."""
    readers = Counter(name for node in graph.node for name in node.input)
    return {
        name: (vector, node.output[0])
        for node in graph.node
        if node.op_type == "Add"
        for name, vector in (tuple(node.input), tuple(node.input)[::-1])
        if vector in vectors and readers[name] == 1
    }


def _ranges(model: Any, names: Sequence[str], typical: Texts) -> Ranges:
    """Return the least and the largest value of each channel of those of these tensors that some text reaches."""
    import onnx
    import onnxruntime

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: Ranges = {}
    for text in typical:
        tokens = np.array([text], np.int64)
        values = session.run(list(names), {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})
        for name, value in zip(names, values, strict=True):
            rows = value.reshape(-1, value.shape[-1])
            if len(rows):
                least, most = found.get(name, (rows[0], rows[0]))
                found[name] = (np.minimum(least, rows.min(axis=0)), np.maximum(most, rows.max(axis=0)))
    return found


def _smooth(products: dict[str, list[Product]], ranges: Ranges, readers: Counter[str]) -> dict[str, Floats]:
    """Change matrices, biases and ranges, and return what is left to divide the left sides' channels by.

    What attention gives is a mean of values, channel by channel: the values are made smaller instead.
    """
    attentions = {one.result: one for alike in products.values() for one in alike if one.attends}
    divisors = {}
    for name, alike in reversed(products.items()):  # from the last layer on: it changes the values of those before it
        least, most = ranges[name]
        heaviest = np.abs(np.concatenate([one.matrix for one in alike], axis=1)).max(axis=1)
        smooth = _smoothing(np.maximum(-least, most), heaviest)
        ranges[name] = (least / smooth, most / smooth)
        for one in alike:
            one.matrix = one.matrix * smooth[:, None]
        source = attentions.get(name)
        if source is None or source.bias is None or readers[name] != len(alike):
            divisors[name] = smooth
        else:
            by = np.concatenate([np.ones(len(source.bias) - len(smooth), np.float32), smooth])
            source.matrix, source.bias = source.matrix / by, source.bias / by
    return divisors


def _smoothing(largest: Floats, heaviest: Floats) -> Floats:
    """Return what each channel is divided by, from the largest values of the channels and of their weights."""
    largest, heaviest = np.maximum(largest, TINY), np.maximum(heaviest, TINY)
    return (largest**STRENGTH / heaviest ** (1 - STRENGTH)).astype(np.float32)


def _quantised(
    name: str, alike: list[Product], least: Floats, most: Floats, divisor: Floats | None
) -> tuple[list[Any], list[Any]]:
    """Return nodes and tensors that take the place of products with one left side, whose channels have these ranges."""
    from onnx import helper, numpy_helper

    low, high = min(0.0, float(least.min())), max(float(TINY), float(most.max()))
    scale = np.float32((high - low) / LEVELS)
    smoothed, rounded, by, step, zero = (f"{name}_{part}" for part in ("smoothed", "8", "by", "step", "zero"))
    tensors: dict[str, Any] = {step: scale, zero: np.uint8(round(-low / float(scale)))}
    nodes = []
    if divisor is not None:
        nodes.append(helper.make_node("Mul", [name, by], [smoothed]))
        tensors[by] = 1 / divisor
    left = smoothed if nodes else name
    nodes.append(helper.make_node("QuantizeLinear", [left, step, zero], [rounded]))
    for one in alike:
        weight, by_weight, bias = (f"{one.node.output[0]}_{part}" for part in ("weight", "scale", "bias"))
        scales = np.maximum(np.abs(one.matrix).max(axis=0), TINY) / np.float32(LARGEST)
        tensors |= {weight: np.rint(one.matrix / scales).astype(np.int8), by_weight: scales}
        if one.bias is not None:
            tensors[bias] = one.bias
        added = bias if one.bias is not None else ""
        if one.attends:
            inputs = [rounded, weight, added, step, by_weight, one.node.input[3], zero]
            nodes.append(helper.make_node("QAttention", inputs, [one.result], domain=DOMAIN))
            nodes[-1].attribute.extend(one.node.attribute)
        else:
            inputs = [rounded, weight, step, by_weight, zero, "", added]
            nodes.append(helper.make_node("MatMulIntegerToFloat", inputs, [one.result], domain=DOMAIN))
    return nodes, [numpy_helper.from_array(np.asarray(value), key) for key, value in tensors.items()]
