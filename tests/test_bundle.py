"""A bundle is its names and its bytes: nothing in it can change, come or go without being refused."""

import hashlib
import json
import os
import stat

import pytest
from tests.small import LABELS, fit_tfidf, seal_small

from textgate.bundle import MAX_FILES, digest, digest_of, megabytes, replace_folder, verify
from textgate.errors import CannotTell, Refused


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(folder, expected=None):
    with pytest.raises(Refused) as caught:
        verify(folder, expected)
    return str(caught.value)


def test_verify__an_untouched_bundle_gives_its_manifest(bundle):
    manifest = verify(bundle, digest(bundle))
    assert manifest.labels == LABELS
    assert set(manifest.files) == {"tfidf.json", "tfidf.safetensors"}


def test_digest__is_sha256_over_sorted_lines_of_hash_and_name(bundle):
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(bundle.iterdir())]
    assert digest(bundle) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_digest_of__does_not_depend_on_the_order_of_files():
    assert digest_of({"a": "1", "b": "2"}) == digest_of({"b": "2", "a": "1"})
    assert digest_of({"a": "1", "b": "2"}) != digest_of({"a": "2", "b": "1"})


def test_digest_of__the_card_does_not_count():
    assert digest_of({"a": "1", "README.md": "2"}) == digest_of({"a": "1"}) != digest_of({"a": "1", "b": "2"})


def test_seal__the_same_files_give_the_same_digest_elsewhere(bundle, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    fit_tfidf().save(other)
    assert seal_small(other) == digest(bundle)


def test_seal__leaves_files_that_others_can_read(bundle):
    assert {stat.S_IMODE(path.stat().st_mode) for path in bundle.iterdir()} == {0o644}


@pytest.mark.parametrize("name", ["tfidf.json", "tfidf.safetensors"])
@pytest.mark.parametrize("at", [0, -1])
def test_verify__refuses_one_changed_byte(bundle, name, at):
    content = bytearray((bundle / name).read_bytes())
    content[at] ^= 1
    (bundle / name).write_bytes(content)
    assert refusal(bundle) == f"{bundle}: {name} is not the file that was sealed: restore it or train again"


def test_verify__refuses_an_extra_file(bundle):
    (bundle / "notes.txt").write_text("")
    assert refusal(bundle) == (
        f'{bundle}: notes.txt is not in the manifest: restore the bundle or run "make train" again'
    )


def test_verify__refuses_an_extra_file_in_a_folder_of_its_own(bundle):
    (bundle / "onnx").mkdir()
    (bundle / "onnx" / "model.onnx").write_bytes(b"x")
    assert "onnx/model.onnx is not in the manifest" in refusal(bundle)


def test_verify__refuses_a_missing_file(bundle):
    (bundle / "tfidf.json").unlink()
    assert "tfidf.json is missing" in refusal(bundle)


def test_verify__refuses_a_renamed_file(bundle):
    (bundle / "tfidf.json").rename(bundle / "model.json")
    assert "tfidf.json is missing" in refusal(bundle)


def test_verify__refuses_a_link_even_to_the_same_bytes(bundle, tmp_path):
    (bundle / "tfidf.json").rename(tmp_path / "tfidf.json")
    (bundle / "tfidf.json").symlink_to(tmp_path / "tfidf.json")
    assert "tfidf.json is a link or a special file: a bundle holds plain files only" in refusal(bundle)


def test_verify__refuses_a_link_to_a_folder_a_dead_link_and_a_pipe(bundle, tmp_path):
    (bundle / "a").symlink_to(tmp_path)
    assert "a is a link" in refusal(bundle)
    (bundle / "a").unlink()
    (bundle / "a").symlink_to("nowhere")
    assert "a is a link" in refusal(bundle)
    (bundle / "a").unlink()
    os.mkfifo(bundle / "a")
    assert "a is a link or a special file" in refusal(bundle)


@pytest.mark.parametrize("name", [".hidden", "a b", "a\nb", "ø", "-x", "a\\b", "\udcff"])
def test_verify__refuses_odd_names_and_shows_them_readable(bundle, name):
    (bundle / name).write_text("")
    message = refusal(bundle)
    assert message == f"{bundle}: {name!r} is not a plain file name: a bundle does not hold such files"
    assert "\n" not in message


def test_verify__refuses_what_lies_too_deep(bundle):
    (bundle / "a" / "b" / "c" / "d" / "e").mkdir(parents=True)
    assert "'a/b/c/d/e' is not a plain file name" in refusal(bundle)


def test_verify__refuses_a_folder_of_very_many_files(bundle):
    for number in range(MAX_FILES + 1):
        (bundle / f"file{number}").touch()
    assert refusal(bundle) == f"{bundle} holds more than {MAX_FILES} files: that is not a bundle"


def test_verify__the_card_may_be_written_about_the_sealed_bytes(bundle):
    before = digest(bundle)
    (bundle / "README.md").write_text("about these bytes")
    assert digest(bundle) == before
    assert verify(bundle, before)


def test_verify__only_the_card_of_the_bundle_itself_is_outside_the_digest(bundle):
    (bundle / "part").mkdir()
    (bundle / "part" / "README.md").write_text("")
    assert "part/README.md is not in the manifest" in refusal(bundle)


def test_verify__an_altered_manifest_is_another_digest(bundle):
    before = digest(bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"commit": "another"}))
    assert verify(bundle).commit == "another"
    assert refusal(bundle, before) == (
        f"{bundle} has the digest {digest(bundle)[:12]}…, but {before[:12]}… was expected"
    )


def test_verify__a_file_changed_together_with_its_manifest_is_another_digest(bundle):
    before = digest(bundle)
    (bundle / "tfidf.json").write_text("{}")
    seal_small(bundle)
    assert verify(bundle)
    assert "was expected" in refusal(bundle, before)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "manifest.json", "README.md", ""])
def test_verify__a_manifest_cannot_name_files_outside_or_itself(bundle, path):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][path] = "0" * 64
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert f"{path} is missing" in refusal(bundle)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ("{}", "kind: Field required"),
        ('{"schema_version": 1}', "kind: Field required"),
        ("[" * 100_000, "Invalid JSON"),
    ],
)
def test_verify__refuses_a_manifest_of_another_shape(bundle, text, problem):
    (bundle / "manifest.json").write_text(text)
    assert problem in refusal(bundle)


def test_verify__settings_of_another_textgate_are_a_record_and_no_reason_to_refuse(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["config"]["model"]["a_later_setting"] = manifest["config"]["later"] = 1
    manifest["parts"] = [manifest["config"]]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert verify(bundle).config == manifest["config"]


@pytest.mark.parametrize("version", [2, "2", None, {"x": 1}, 10**400])
def test_verify__a_manifest_of_another_version_cannot_be_told(bundle, version):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"schema_version": version, "new": 1}))
    with pytest.raises(CannotTell, match=r"manifest\.json is of another version \(.{1,20}, this textgate reads 1\)"):
        verify(bundle)


def test_verify__a_folder_without_a_manifest_is_no_bundle(tmp_path):
    with pytest.raises(CannotTell, match=r'has no manifest\.json, so it is not a bundle: run "make train" first'):
        verify(tmp_path)


def test_verify__a_missing_folder_is_said(tmp_path):
    with pytest.raises(CannotTell, match='nowhere is missing: run "make train" first, or name a bundle folder'):
        verify(tmp_path / "nowhere")


def test_megabytes__counts_what_the_digest_covers(bundle):
    size = sum(path.stat().st_size for path in bundle.iterdir())
    (bundle / "README.md").write_text("x" * 1000)
    assert megabytes(bundle) == size / 1e6


def make(folder, content):
    folder.mkdir()
    (folder / "x").write_text(content)
    return folder


def test_replace_folder__puts_the_new_one_in_the_place_of_the_old_one(tmp_path):
    target = make(tmp_path / "model", "old")
    replace_folder(make(tmp_path / "new", "new"), target)
    assert files(target) == {"x": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_replace_folder__works_where_nothing_was(tmp_path):
    replace_folder(make(tmp_path / "new", "new"), tmp_path / "model")
    assert files(tmp_path / "model") == {"x": b"new"}


@pytest.mark.parametrize("left", [(".model.old",), (".model.old", "model")])
def test_replace_folder__goes_on_after_a_kill_between_its_steps(tmp_path, left):
    for name in left:
        make(tmp_path / name, "old")
    replace_folder(make(tmp_path / "new", "new"), tmp_path / "model")
    assert files(tmp_path / "model") == {"x": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
