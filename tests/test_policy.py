"""Each file has one voucher or one clear reason why not, whatever its bytes are.

Malicious pickles are put together from opcodes here and are never loaded; their payload would be os.getpid.
"""

import io
import json
import os
import struct
import zipfile

import numpy as np
import onnx
import pytest
from onnx import helper
from safetensors.numpy import save_file
from tests.policy_samples import (
    BINARY_PICKLE,
    GOOD_ONNX,
    LINEAR,
    TEXT_PICKLE,
    finding,
    judge,
    model,
    node,
    npy,
    safetensors,
    skops,
    tensor,
)

from textgate.errors import CannotTell, Refused
from textgate.scan import onnx_fields
from textgate.scan.policy import Judgement, judge_file, list_files, vouch_folder

# --- what belongs into a bundle has a voucher --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "voucher"),
    [
        ("config.json", b'{"model_type": "bert", "hidden_size": 384}', "json"),
        ("tokenizer_config.json", b'{"model_max_length": 1000000000000000019884624838656}', "json"),
        ("tokenizer.json", '{"model": {"vocab": [["__init__", -1.5], ["▁{{__", -2]]}}'.encode(), "json"),
        ("vocab.json", b'{"auto_map": 17, "template": 18, "__class__": 19}', "json"),
        ("tokenizer_config.json", b'{"chat_template": "{% for m in messages %}{{ m.role }}{% endfor %}"}', "json"),
        ("tokenizer.json", b'{"post_processor": {"type": "TemplateProcessing", "single": ["__"]}}', "json"),
        ("README.md", "# A model\n\nPræcis: ja.\n".encode(), "text"),
        ("vocab.txt", b"cat\ndog\nI\nN\n.\n", "text"),
        (
            "weights.safetensors",
            safetensors({"__metadata__": {"format": "pt"}, "w": tensor(0, 3)}, b"abc"),
            "safetensors",
        ),
        ("empty.safetensors", safetensors({}), "safetensors"),
        ("model.onnx", model().SerializeToString(), "onnx"),
        ("linear.skops", skops(LINEAR, {"140.npy": npy(np.ones(3))}), "skops"),
        ("idf.npy", npy(np.ones((3, 4), np.float32)), "modelscan"),
        ("labels.npy", npy(np.array(["da", "nb"])), "modelscan"),
        ("scalar.npy", npy(np.array(1.0)), "modelscan"),
    ],
)
def test_judge_file__what_belongs_into_a_bundle_has_a_voucher(name, content, voucher):
    assert judge(name, content) == Judgement(name, len(content), voucher, None)


def test_judge_file__accepts_what_the_safetensors_library_writes(tmp_path):
    arrays = {"a": np.ones((2, 3), np.float32), "b": np.zeros(0, np.int64), "c": np.array([True])}
    save_file(arrays, tmp_path / "w.safetensors", metadata={"format": "np"})
    assert judge_file(tmp_path, "w.safetensors").voucher == "safetensors"


def test_judge_file__accepts_what_quantisation_writes(tmp_path):
    from onnxruntime.quantization import quantize_dynamic

    onnx.save(model(), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "int8.onnx")
    written = {node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node}
    assert "MatMulInteger" in written
    assert judge_file(tmp_path, "int8.onnx").finding is None


def test_judge_file__accepts_known_operators_of_onnxruntime():
    gelu = helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft")
    assert judge("model.onnx", model(gelu).SerializeToString()).voucher == "onnx"


# --- hostile samples: each is refused with its reason -------------------------------------------------------------

SAFETENSORS = {
    "nothing": (b"", "its header would be 0 bytes long"),
    "a header longer than the file": (struct.pack("<Q", 10**6) + b"{}", "header would be 1,000,000 bytes long"),
    "a header of 2^64 - 1 bytes": (b"\xff" * 8 + b"{}", "header would be 18,446,744,073,709,551,615 bytes"),
    "a header that is a list": (safetensors([]), "does not begin with {"),
    "a header with the same tensor twice": (
        safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}'),
        "the key 'a' stands there twice",
    ),
    "overlapping tensors": (safetensors({"a": tensor(0, 4), "b": tensor(2, 6)}, b"123456"), "'b' overlaps"),
    "a gap between tensors": (safetensors({"a": tensor(0, 2), "b": tensor(4, 6)}, b"123456"), "'b' leaves a gap"),
    "offsets beyond the file": (safetensors({"a": tensor(0, 2**40)}, b"1"), "the tensors take 1,099,511,627,776 bytes"),
    "hidden bytes behind the tensors": (safetensors({"a": tensor(0, 1)}, b"1" + TEXT_PICKLE), "the file holds 19"),
    "offsets that run backwards": (safetensors({"a": tensor(4, 0)}, b"1234"), "offsets that are not whole numbers"),
    "a negative offset": (safetensors({"a": tensor(-1, 3)}, b"1234"), "offsets that are not whole numbers"),
    "a truth value as a size": (
        safetensors(b'{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}', b"1"),
        "not whole numbers",
    ),
    "a shape that does not fit": (safetensors({"a": tensor(0, 4, [2], "F32")}, b"1234"), "does not fit its 4 bytes"),
    "an unknown type": (safetensors({"a": tensor(0, 1, [1], "OBJECT")}, b"1"), "the unknown type 'OBJECT'"),
    "a key of its own": (safetensors({"a": {**tensor(0, 1), "code": "x"}}, b"1"), "other keys than dtype"),
    "metadata that is no table of strings": (safetensors({"__metadata__": {"a": {}}}), "not a table of strings"),
    "a metadata bomb": (safetensors({"__metadata__": {"a": "x" * 70_000}}), "__metadata__ is larger than 64 KiB"),
    "a header nested like a bomb": (safetensors(b'{"a":' + b"[" * 10_000), "nested 10,001 deep"),
    "a pickle, renamed": (BINARY_PICKLE, "is a pickle under another name"),
    "a pickle around a tensor": (
        b"V" + safetensors({"a": tensor(0, 1)})[1:] + b"\n0" + TEXT_PICKLE,
        "is a pickle under another name",
    ),
}


@pytest.mark.parametrize(("content", "message"), SAFETENSORS.values(), ids=SAFETENSORS)
def test_judge_file__refuses_safetensors_with(content, message):
    assert message in finding("model.safetensors", content)


JSON = {
    "nothing": (b"", "not JSON"),
    "a pickle, renamed": (TEXT_PICKLE, "is a pickle under another name"),
    "a binary pickle, renamed": (BINARY_PICKLE, "is a pickle under another name"),
    "brackets without end": (b"[" * 1_000_000, "nested 1,000,000 deep"),
    "brackets behind an open string": (b'"' + b'\\"' * 500_000 + b"[" * 100, "not JSON"),
    "six million values": (b"[" + b"0," * 6_000_000 + b"0]", "6,000,001 values"),
    "a key twice": (b'{"model_type": "bert", "model_type": "evil"}', "the key 'model_type' stands there twice"),
    "NaN": (b'{"temperature": NaN}', "NaN is not a JSON number"),
    "infinity": (b'{"temperature": -Infinity}', "-Infinity is not a JSON number"),
    "a number too large for a float": (b'{"temperature": 1e999}', "the number 1e999 is too large"),
    "a number of a million digits": (b"1" * 1_000_000, "is too large"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "a byte order mark": (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
    "two documents": (b"{}{}", "not JSON"),
    "auto_map": (b'{"auto_map": {"AutoModel": "modeling_evil.Evil"}}', "auto_map names Python code to import"),
    "auto_map deep inside": (b'{"a": [[{"b": {"auto_map": "x--m.C"}}]]}', "auto_map names Python code to import"),
    "auto_map, escaped": (b'{"\\u0061uto_map": {"AutoModel": "m.C"}}', "auto_map names Python code to import"),
    "custom_pipelines": (b'{"custom_pipelines": {"x": {"impl": "evil.P"}}}', "custom_pipelines names Python code"),
    "a template that climbs to Python": (
        b'{"chat_template": "{{ cycler.__init__.__globals__ }}"}',
        "the template in 'chat_template' contains '__'",
    ),
    "a template in a list": (b'{"chat_template": [{"name": "x", "template": "{{ a.__b }}"}]}', "contains '__'"),
    "a template that spells it": (b'{"prompt_template": "{{ a[\'\\\\x5f_b\'] }}"}', r"contains '\\x5f'"),
    "a template that goes by attr": (b'{"chat_template": "{{ a | attr(b) }}"}', "contains '| attr'"),
    "an attention kernel from the hub": (b'{"_attn_implementation": "evil/kernel"}', "names a kernel to download"),
}


@pytest.mark.parametrize(("content", "message"), JSON.values(), ids=JSON)
def test_judge_file__refuses_json_with(content, message):
    assert message in finding("config.json", content)


def partial(kind: str = "os.system") -> dict[str, object]:
    return node("FunctionNode", kind, content={}, protocol=2)


def schema_bomb() -> bytes:
    """Make an archive that says its schema.json holds 3 GiB."""
    content = bytearray(skops(LINEAR))
    at = content.rindex(b"PK\1\2")
    content[at + 24 : at + 28] = struct.pack("<I", 3 * 1024**3)
    return bytes(content)


def many_members() -> bytes:
    """Make an archive that says its table of contents holds 100 MB."""
    content = bytearray(skops(LINEAR))
    content[-10:-6] = struct.pack("<I", 100_000_000)
    return bytes(content)


def twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps(LINEAR))
        archive.writestr("schema.jsom", json.dumps(partial()))
    return buffer.getvalue().replace(b"schema.jsom", b"schema.json")


OBJECTS = npy(np.array([None]), allow_pickle=True)
SKOPS = {
    "nothing": (b"", "does not begin and end as a plain zip archive does"),
    "a pickle, renamed": (BINARY_PICKLE, "is a pickle under another name"),
    "a function": (skops(partial()), "the skops loader 'FunctionNode' (for os.system) is not on the list"),
    "a method": (skops(node("MethodNode", "builtins.str", protocol=2)), "the skops loader 'MethodNode'"),
    "an operator": (skops(node("OperatorFuncNode", "operator.methodcaller", protocol=2)), "'OperatorFuncNode'"),
    "a safe loader with an unsafe type": (
        skops(node("JsonNode", "os.system", protocol=2)),
        "the type 'os.system' (by JsonNode) is not on the list",
    ),
    "an unknown estimator": (
        skops(node("ObjectNode", "evil.Model", protocol=2)),
        "the type 'evil.Model' (by ObjectNode) is not on the list",
    ),
    "a function deep inside": (
        skops(node("ListNode", "builtins.list", content=[{"a": [partial()]}], protocol=2)),
        "the skops loader 'FunctionNode'",
    ),
    "a node without a loader": (skops({"__class__": "x", "protocol": 2}), "the skops loader 'None'"),
    "an old protocol": (skops({**LINEAR, "protocol": 0}), "not skops of protocol 2"),
    "a pickle inside": (skops(LINEAR, {"a.pkl": BINARY_PICKLE}), "the member 'a.pkl' is no array"),
    "a path that leaves": (skops(LINEAR, {"../1.npy": npy(np.ones(1))}), "the member '../1.npy' is no array"),
    "an array of objects": (skops(LINEAR, {"1.npy": OBJECTS}), "not a plain .npy"),
    "no schema": (skops(LINEAR).replace(b"schema.json", b"schemo.json"), "schema.json is not in the archive"),
    "two schemas": (twice(), "or one twice"),
    "a schema of 3 GiB": (schema_bomb(), "more than 1 GiB when unpacked"),
    "a table of contents of 100 MB": (many_members(), "its table of contents is larger than 1 MiB"),
    "an archive that begins before its start": (skops(LINEAR)[:-3] + b"\xff\0\0", "the archive is broken"),
    "a broken schema": (skops(b"{"), "not JSON"),
    "half an archive": (skops(LINEAR)[:-30], "does not begin and end as a plain zip archive does"),
}


@pytest.mark.parametrize(("content", "message"), SKOPS.values(), ids=SKOPS)
def test_judge_file__refuses_skops_with(content, message):
    assert message in finding("model.skops", content)


OTHERS = {
    "a pickle": ("model.pkl", BINARY_PICKLE, "is a pickle, which can carry code"),
    "a joblib file": ("model.joblib", b"\x80\x04N.", "is a pickle, which can carry code"),
    "torch weights": ("pytorch_model.bin", b"PK\3\4", "is a pickle, which can carry code"),
    "a suffix in capitals": ("model.PKL", BINARY_PICKLE, "is a pickle, which can carry code"),
    "a Keras file": ("model.h5", b"\x89HDF", "is a Keras or TensorFlow file"),
    "Python": ("modeling_evil.py", b"import os\n", "is code: store data only"),
    "a chat template of its own": ("chat_template.jinja", b"{{ a }}", "is code"),
    "an archive": ("weights.zip", b"PK\3\4", "is an archive"),
    "arrays in an archive": ("weights.npz", b"PK\3\4", "is an archive"),
    "an unknown format": ("weights.gguf", b"GGUF", "nobody vouches for .gguf files: known are .json, .md"),
    "no suffix": ("weights", b"", "nobody vouches for nameless files"),
    "a JSON suffix in capitals": ("config.JSON", b"{}", "nobody vouches for .JSON files"),
    "an array of objects": ("a.npy", OBJECTS, "names objects or fields"),
    "an array with fields": ("a.npy", npy(np.zeros(2, [("a", "f4")])), "names objects or fields"),
    "an array that is a pickle": ("a.npy", BINARY_PICKLE, "is a pickle under another name"),
    "an array that claims more than it has": (
        "a.npy",
        npy(np.ones(2)).replace(b"(2,), }", b"(9,), }"),
        "its shape does not fit its size",
    ),
    "an array header of 4 GiB": ("a.npy", b"\x93NUMPY\2\0\xff\xff\xff\xff", "not a plain .npy"),
    "a text that is a pickle": ("notes.txt", TEXT_PICKLE, "is a pickle under another name"),
    "a text that is an old pickle": ("notes.txt", b"(S'id'\niposix\nsystem\n.", "is a pickle under another name"),
    "a text with an escape sequence": ("README.md", b"\x1b[2J", "the control character '\\x1b'"),
    "a text with a NUL": ("README.md", b"a\0b", "the control character '\\x00'"),
    "a text that is not UTF-8": ("README.md", b"caf\xe9", "byte 3 is not UTF-8"),
    "a model card of 5 MB": ("README.md", b"a" * 5_000_000, "has 5,000,000 bytes, a .md file may have 4 MiB"),
    "a hidden file": (".hidden.json", b"{}", "has an odd name"),
    "a name with a space": ("a b.json", b"{}", "has an odd name"),
    "a name with a new line": ("a\n.json", b"{}", "has an odd name"),
    "a name that hides its end": ("a\u202egnp.json", b"{}", "has an odd name"),
}


@pytest.mark.parametrize(("name", "content", "message"), OTHERS.values(), ids=OTHERS)
def test_judge_file__refuses(name, content, message):
    assert message in finding(name, content)


def test_judge_file__shows_odd_names_in_plain_characters():
    assert judge("a\n\x1b.json", b"{}").path == r"a\n\x1b.json"


def test_judge_file__refuses_a_sparse_file_without_reading_it(tmp_path):
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(10 * 1024**3)
    assert "a .json file may have 64 MiB" in str(judge_file(tmp_path, "config.json").finding)


def test_judge_file__refuses_links_and_special_files(tmp_path):
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("real.json")
    (tmp_path / "broken.json").symlink_to("nowhere.json")
    (tmp_path / "folder.json").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    assert list_files(tmp_path) == ["broken.json", "folder.json", "link.json", "pipe.json", "real.json"]
    for name in ("broken.json", "folder.json", "link.json", "pipe.json"):
        assert judge_file(tmp_path, name).finding == "is a link or a special file: put the file itself there"


# --- folders ------------------------------------------------------------------------------------------------------


def test_vouch_folder__names_each_voucher(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "onnx/model.onnx").write_bytes(GOOD_ONNX)
    assert vouch_folder(tmp_path) == {"config.json": "json", "onnx/model.onnx": "onnx"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pytorch_model.bin", b"", "pytorch_model.bin: is a pickle, which can carry code"),
        ("a.npy", npy(np.ones(2)), "a.npy: needs modelscan, which does not run here"),
    ],
)
def test_vouch_folder__refuses_weights_that_nobody_vouches_for(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused) as caught:
        vouch_folder(tmp_path)
    assert message in str(caught.value)


def test_vouch_folder__cannot_tell_about_nothing(tmp_path):
    with pytest.raises(CannotTell, match="holds no files: nothing there to vouch for"):
        vouch_folder(tmp_path)
    with pytest.raises(CannotTell, match="is not a folder"):
        vouch_folder(tmp_path / "missing")


def test_list_files__refuses_a_folder_too_large_to_hash(tmp_path):
    with (tmp_path / "w.safetensors").open("wb") as file:
        file.truncate(17 * 1024**3)
    with pytest.raises(Refused, match="holds more than 10,000 files or 16 GiB"):
        list_files(tmp_path)


def test_onnx_fields__are_those_of_the_onnx_package():
    names = {"OperatorSet": "OperatorSetId", "Entry": "StringStringEntry", "Shape": "TensorShape"}
    inner = {"TensorType": onnx.TypeProto.Tensor, "Dimension": onnx.TensorShapeProto.Dimension}
    inner |= {name: getattr(onnx.TypeProto, name) for name in ("Sequence", "Map", "Optional")}
    inner |= {"Annotation": onnx.TensorAnnotation}
    for name, fields in onnx_fields.MESSAGES.items():
        known = (inner.get(name) or getattr(onnx, f"{names.get(name, name)}Proto")).DESCRIPTOR
        for number, rule in fields.items():
            field = known.fields_by_number[number]
            if rule in onnx_fields.MESSAGES:
                assert field.message_type is not None, (name, number)
            elif rule in (onnx_fields.TEXT, onnx_fields.DATA):
                assert field.type in (field.TYPE_STRING, field.TYPE_BYTES), (name, number)
            elif rule != onnx_fields.EXTERNAL:
                assert field.message_type is None, (name, number)
