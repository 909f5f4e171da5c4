"""What may stand in an ONNX file: the fields of each message of onnx.proto, and onnxruntime's own operators.

A field that is not listed is refused: training information, model-parallel configuration, tensor segments, opaque
types, and whatever a later version adds. tests/test_policy.py compares the numbers with the onnx package.
"""

from __future__ import annotations

NUMBER, NUMBERS, TEXT, DATA, LOCATION, EXTERNAL = "number", "numbers", "text", "data", "location", "external"

MESSAGES: dict[str, dict[int, str]] = {
    "Model": {1: NUMBER, 2: TEXT, 3: TEXT, 4: TEXT, 5: NUMBER, 6: TEXT, 7: "Graph", 8: "OperatorSet", 14: "Entry"}
    | {25: "Function"},
    "OperatorSet": {1: TEXT, 2: NUMBER},
    "Graph": {1: "Node", 2: TEXT, 5: "Tensor", 10: TEXT, 11: "ValueInfo", 12: "ValueInfo", 13: "ValueInfo"}
    | {14: "Annotation", 15: "SparseTensor", 16: "Entry"},
    "Node": {1: TEXT, 2: TEXT, 3: TEXT, 4: TEXT, 5: "Attribute", 6: TEXT, 7: TEXT, 8: TEXT, 9: "Entry"},
    "Attribute": {1: TEXT, 2: NUMBER, 3: NUMBER, 4: TEXT, 5: "Tensor", 6: "Graph", 7: NUMBERS, 8: NUMBERS, 9: TEXT}
    | {10: "Tensor", 11: "Graph", 13: TEXT, 14: "Type", 15: "Type", 20: NUMBER, 21: TEXT, 22: "SparseTensor"}
    | {23: "SparseTensor"},
    "Tensor": {1: NUMBERS, 2: NUMBER, 4: NUMBERS, 5: NUMBERS, 6: TEXT, 7: NUMBERS, 8: TEXT, 9: DATA, 10: NUMBERS}
    | {11: NUMBERS, 12: TEXT, 13: EXTERNAL, 14: LOCATION, 16: "Entry"},
    "SparseTensor": {1: "Tensor", 2: "Tensor", 3: NUMBERS},
    "ValueInfo": {1: TEXT, 2: "Type", 3: TEXT, 4: "Entry"},
    "Type": {1: "TensorType", 4: "Sequence", 5: "Map", 6: TEXT, 8: "TensorType", 9: "Optional"},
    "TensorType": {1: NUMBER, 2: "Shape"},
    "Sequence": {1: "Type"},
    "Map": {1: NUMBER, 2: "Type"},
    "Optional": {1: "Type"},
    "Shape": {1: "Dimension"},
    "Dimension": {1: NUMBER, 2: TEXT, 3: TEXT},
    "Annotation": {1: TEXT, 2: "Entry"},
    "Entry": {1: TEXT, 2: TEXT},
    "Function": {1: TEXT, 4: TEXT, 5: TEXT, 6: TEXT, 7: "Node", 8: TEXT, 9: "OperatorSet", 10: TEXT, 11: "Attribute"}
    | {12: "ValueInfo", 13: TEXT, 14: "Entry"},
}

# What onnxruntime's quantisation and transformer optimisation write. Not here, on purpose: EPContext and Snpe (they
# carry compiled programs or name files), PythonOp and TritonOp (they run Python), generation loops.
OPERATORS_OF_MICROSOFT = frozenset({
    b"Attention", b"BiasAdd", b"BiasGelu", b"BiasSoftmax",
    b"DequantizeLinear", b"DynamicQuantizeLSTM", b"DynamicQuantizeMatMul", b"EmbedLayerNormalization",
    b"FastGelu", b"FusedConv", b"FusedGemm", b"FusedMatMul",
    b"FusedMatMulActivation", b"GatedRelativePositionBias", b"GatherBlockQuantized", b"Gelu",
    b"GemmFastGelu", b"GroupQueryAttention", b"LongformerAttention", b"MatMulBnb4",
    b"MatMulInteger16", b"MatMulIntegerToFloat", b"MatMulNBits", b"MulInteger",
    b"MultiHeadAttention", b"PackedAttention", b"PackedMultiHeadAttention", b"QAttention",
    b"QEmbedLayerNormalization", b"QGemm", b"QLinearAdd", b"QLinearAveragePool",
    b"QLinearConcat", b"QLinearConv", b"QLinearGlobalAveragePool", b"QLinearLeakyRelu",
    b"QLinearMul", b"QLinearReduceMean", b"QLinearSigmoid", b"QLinearSoftmax",
    b"QLinearWhere", b"QuantizeLinear", b"QuickGelu", b"ReduceSumInteger",
    b"RelativePositionBias", b"RemovePadding", b"RestorePadding", b"RotaryEmbedding",
    b"SkipLayerNormalization", b"SkipSimplifiedLayerNormalization", b"TransposeMatMul", b"Trilu",
})  # fmt: skip
