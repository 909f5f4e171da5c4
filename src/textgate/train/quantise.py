"""An ONNX file in 32 bits into one in 8 bits whose scales are fixed once, so that no answer depends on its neighbours.

Weights have a scale for each output; what is multiplied with them has one in all, found on training rows. Before that
its large channels are made smaller and their weights larger: Xiao et al. (2023), "SmoothQuant".
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Texts = Sequence[Sequence[int]]
LEVELS = 255  # of a byte without a sign
LARGEST = 127  # of a byte with a sign; zero stays zero
STRENGTH = 0.8  # how much of the unevenness goes into the weights; of 0.5, 0.65, 0.8 and 0.9 the closest to 32 bits
TINY = np.float32(1e-5)  # for channels that are always zero
DOMAIN = "com.microsoft"  # of the product that takes bytes and gives floats


def quantise(exact: Path, path: Path, typical: Texts) -> None:
    """Write the 8-bit file. `typical` holds token ids of texts on which the ranges of values are found.

    Tables that are looked up (embeddings) and products with constant matrices are quantised; the rest, the small
    classification head too, stays in 32 bits.
    """
    import onnx

    _quantise_tables(exact, path)
    model = onnx.load(path)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    products: dict[str, list[Any]] = {}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            products.setdefault(node.input[0], []).append(node)
    ranges = _ranges(model, tuple(products), typical)
    first = {alike[0].output[0]: alike for alike in products.values()}
    biases = _biases(graph)
    replaced = {node.output[0] for alike in products.values() for node in alike}
    replaced |= {biases[name][1] for name in replaced if name in biases}
    nodes, tensors = [], []
    for node in graph.node:
        if (alike := first.get(node.output[0])) is not None:
            made = _product(alike, weights, biases, *ranges[node.input[0]])
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


def _quantise_tables(exact: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it recommends a pre-processing step that changes nothing for these models
    try:
        quantize_dynamic(exact, path, weight_type=QuantType.QInt8, op_types_to_quantize=["Gather"])
    finally:
        logging.root.setLevel(level)


def _ranges(model: Any, names: Sequence[str], typical: Texts) -> dict[str, tuple[Floats, Floats]]:
    """Return the least and the largest value of each channel of these tensors, over all tokens of the texts."""
    import onnx
    import onnxruntime

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: dict[str, tuple[Floats, Floats]] = {}
    for text in typical:
        tokens = np.array([text], np.int64)
        values = session.run(list(names), {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})
        for name, value in zip(names, values, strict=True):
            rows = value.reshape(-1, value.shape[-1])
            least, most = found.get(name, (rows[0], rows[0]))
            found[name] = (np.minimum(least, rows.min(axis=0)), np.maximum(most, rows.max(axis=0)))
    return found


def _biases(graph: Any) -> dict[str, tuple[str, str]]:
    """Return, by tensor, the constant vector that is added to it and the name of the sum, if nothing else reads it."""
    vectors = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 1 and tensor.dims[0] > 1}
    readers = Counter(name for node in graph.node for name in node.input)
    return {
        name: (vector, node.output[0])
        for node in graph.node
        if node.op_type == "Add"
        for name, vector in (tuple(node.input), tuple(node.input)[::-1])
        if vector in vectors and readers[name] == 1
    }


def _product(
    alike: list[Any], weights: dict[str, Any], biases: dict[str, tuple[str, str]], least: Floats, most: Floats
) -> tuple[list[Any], list[Any]]:
    """Return nodes and tensors that take the place of products with one left side, whose channels have these ranges."""
    from onnx import helper, numpy_helper

    name = alike[0].input[0]
    matrices = [numpy_helper.to_array(weights[node.input[1]]) for node in alike]
    smooth = _smoothing(np.maximum(-least, most), np.abs(np.concatenate(matrices, axis=1)).max(axis=1))
    low, high = min(0.0, float((least / smooth).min())), max(float(TINY), float((most / smooth).max()))
    scale = np.float32((high - low) / LEVELS)
    zero = np.uint8(round(-low / float(scale)))
    smoothed, rounded, by, scale_name, zero_name = (
        f"{name}_{part}" for part in ("smoothed", "8", "by", "scale", "zero")
    )
    nodes = [
        helper.make_node("Mul", [name, by], [smoothed]),
        helper.make_node("QuantizeLinear", [smoothed, scale_name, zero_name], [rounded]),
    ]
    tensors = {by: 1 / smooth, scale_name: scale, zero_name: zero}
    for node, matrix in zip(alike, matrices, strict=True):
        weight, by_weight = f"{node.output[0]}_weight", f"{node.output[0]}_scale"
        scaled = matrix * smooth[:, None]
        scales = np.maximum(np.abs(scaled).max(axis=0), TINY) / np.float32(LARGEST)
        tensors |= {weight: np.rint(scaled / scales).astype(np.int8), by_weight: scales}
        bias, out = biases.get(node.output[0], ("", node.output[0]))
        inputs = [rounded, weight, scale_name, by_weight, zero_name, *(("", bias) if bias else ())]
        nodes.append(helper.make_node("MatMulIntegerToFloat", inputs, [out], domain=DOMAIN))
    return nodes, [numpy_helper.from_array(np.asarray(value), key) for key, value in tensors.items()]


def _smoothing(largest: Floats, heaviest: Floats) -> Floats:
    """Return what each channel is divided by, from the largest values of the channels and of their weights."""
    largest, heaviest = np.maximum(largest, TINY), np.maximum(heaviest, TINY)
    return (largest**STRENGTH / heaviest ** (1 - STRENGTH)).astype(np.float32)
