"""A signature says which key stands for exactly these files; whatever is less certain is said, and never passes."""

import json
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.judged_example import judge
from tests.run_script import ROOT
from tests.signing_keys import PEM, key_pair, with_key
from tests.small import fit_tfidf, seal_small

from textgate.errors import CannotTell, Refused
from textgate.release.assets import SIGNATURE, SUMS, check, read_sums
from textgate.release.release import build
from textgate.release.settings import KeySigning, ReleaseConfig
from textgate.release.sign import SIGNER, Signer, signer
from textgate.release.sign import check_signature as check_signature_of


@pytest.fixture(scope="module")
def signed_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signed")
    bundle = folder / "bundle"
    bundle.mkdir()
    fit_tfidf().save(bundle)
    seal_small(bundle)
    judge(bundle, folder / "build")
    build(folder / "build", folder / "release", "v0.1.0", with_key(*key_pair(folder)))
    return folder


@pytest.fixture
def signed(signed_once, tmp_path):
    """Return a folder with build/, release/ and the keys, free to be damaged."""
    return shutil.copytree(signed_once, tmp_path / "signed")


def check_signature(folder, public):
    return check_signature_of(folder, KeySigning(kind="key", public_key=str(public)))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_build__a_signature_is_one_more_asset_and_on_the_list(signed):
    check(signed / "release")
    assert SIGNATURE in read_sums(signed / "release")
    said = check_signature(signed / "release", signed / "release.pub")
    assert said.startswith(f"made with the key {signed / 'release.pub'} (sha256 ")
    assert said.endswith("…), over every file but SHA256SUMS")


def test_build__only_the_signature_and_its_line_differ_from_a_release_without(signed, tmp_path):
    build(signed / "build", tmp_path / "plain", "v0.1.0")
    ours, plain = content(signed / "release"), content(tmp_path / "plain")
    assert {name for name in ours if ours[name] != plain.get(name)} == {SIGNATURE, SUMS}
    assert set(plain) == set(ours) - {SIGNATURE}
    more = set(ours[SUMS].splitlines()) - set(plain[SUMS].splitlines())
    assert [line.split()[1] for line in more] == [SIGNATURE.encode()]


def test_build__again_it_keeps_the_signature_that_fits(signed, signed_once):
    build(signed / "build", signed / "release", "v0.1.0", with_key(signed / "release.pem", signed / "release.pub"))
    assert content(signed / "release") == content(signed_once / "release")


def test_build__another_version_is_signed_anew(signed, signed_once):
    build(signed / "build", signed / "release", "v0.2.0", with_key(signed / "release.pem", signed / "release.pub"))
    assert content(signed / "release")[SIGNATURE] != content(signed_once / "release")[SIGNATURE]
    check_signature(signed / "release", signed / "release.pub")


def test_build__a_key_that_is_not_the_half_of_the_other_stops_it_and_leaves_what_was_there(signed, signed_once):
    private, _ = key_pair(signed, "other")
    with pytest.raises(
        Refused, match=r"other\.pem is not the private half of .*release\.pub: sign with the key that is"
    ):
        build(signed / "build", signed / "release", "v0.2.0", with_key(private, signed / "release.pub"))
    assert content(signed / "release") == content(signed_once / "release")


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_build__larger_curves_sign_too(signed, tmp_path, curve):
    pair = key_pair(tmp_path, curve=curve)
    build(signed / "build", tmp_path / "out", "v0.1.0", with_key(*pair))
    check_signature(tmp_path / "out", pair[1])


def test_build__a_key_that_cannot_sign_is_said(signed, tmp_path):
    def said(private):
        with pytest.raises(CannotTell) as caught:
            build(signed / "build", tmp_path / "out", "v0.1.0", with_key(private, signed / "release.pub"))
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    rule = "cannot sign (needed: an elliptic curve key, P-256, P-384 or P-521, in PEM, without a password): "
    (tmp_path / "empty.pem").write_text("")
    for private in (
        key_pair(tmp_path, "locked", password=b"secret")[0],
        key_pair(tmp_path, "odd", curve=ec.SECP256K1())[0],
        key_pair(tmp_path, "public")[1],
        tmp_path / "empty.pem",
    ):
        assert said(private).startswith(f"{private} {rule}")
    assert (
        said(tmp_path / "none.pem") == f"{tmp_path / 'none.pem'}: No such file or directory: name the file of the key"
    )


def test_check_signature__another_key_is_refused(signed, tmp_path):
    _, public = key_pair(tmp_path, "other")
    with pytest.raises(Refused, match=rf"^{SIGNATURE}: it was altered, or made with another key than {public}: take a"):
        check_signature(signed / "release", public)


def test_check_signature__a_changed_a_missing_and_an_extra_file_are_named(signed):
    release = signed / "release"
    (release / "metrics.json").write_text("{}")
    with pytest.raises(Refused, match=rf"^{SIGNATURE}: metrics\.json changed since it was signed: take"):
        check_signature(release, signed / "release.pub")
    (release / "metrics.json").unlink()
    with pytest.raises(Refused, match=rf"^{SIGNATURE}: metrics\.json is signed, but missing: take"):
        check_signature(release, signed / "release.pub")
    (release / ".gitignore").write_text("")
    with pytest.raises(
        Refused, match=r"metrics\.json is signed, but missing; \.gitignore came after it was signed: take"
    ):
        check_signature(release, signed / "release.pub")


def test_check_signature__one_that_says_to_ignore_a_file_is_refused_without_the_key(signed):
    path = signed / "release" / SIGNATURE
    raw = json.loads(path.read_text())
    raw["dsseEnvelope"]["payload"] = raw["dsseEnvelope"]["payload"][:-8] + "AAAAAAA="
    path.write_text(json.dumps(raw))
    with pytest.raises(Refused, match="it was altered, or made with another key than"):
        check_signature(signed / "release", signed / "release.pub")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"verificationMaterial": 1}', "[" * 100_000, "\x00", '{"a": 1e999}'])
def test_check_signature__what_is_no_signature_is_refused(signed, text):
    (signed / "release" / SIGNATURE).write_text(text)
    with pytest.raises(
        Refused, match=rf"^{SIGNATURE}: it was altered, or made with another key than .+: take a release"
    ):
        check_signature(signed / "release", signed / "release.pub")


def test_check_signature__words_of_a_hostile_signature_do_not_blame_the_key(signed):
    path = signed / "release" / SIGNATURE
    path.write_text(path.read_text().replace("application/vnd.dev", "Unable to load PEM"))
    with pytest.raises(Refused, match="it was altered, or made with another key than"):
        check_signature(signed / "release", signed / "release.pub")


def test_check_signature__a_link_is_not_followed(signed, tmp_path):
    (signed / "release" / "gate.json").rename(tmp_path / "gate.json")
    (signed / "release" / "gate.json").symlink_to(tmp_path / "gate.json")
    with pytest.raises(Refused, match=r"gate\.json is a link or no file"):
        check_signature(signed / "release", signed / "release.pub")


def test_check_signature__a_key_that_is_none_is_unknown(signed, tmp_path):
    (tmp_path / "none.pub").write_text("hello")
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    (tmp_path / "rsa.pub").write_bytes(rsa_key.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    odd = key_pair(tmp_path, "odd", curve=ec.SECP256K1())[1]
    for public in (tmp_path / "none.pub", tmp_path / "rsa.pub", signed / "release.pem", odd):
        with pytest.raises(
            CannotTell, match=rf"^{public} is no public key of an elliptic curve \(P-256, P-384, P-521;"
        ):
            check_signature(signed / "release", public)
    with pytest.raises(CannotTell, match=r"gone\.pub: No such file or directory: name the file of the key"):
        check_signature(signed / "release", tmp_path / "gone.pub")


def test_check_signature__the_program_of_model_signing_finds_it_good_without_textgate(signed):
    folder, command = signed / "release", [ROOT / SIGNER, "verify", "key", "."]
    command += ["--signature", SIGNATURE, "--public_key", "../release.pub", "--ignore-paths", SUMS]
    assert subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).returncode == 0
    (folder / "NOTES.md").write_text("hello")
    assert subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).returncode == 1


def test_signer__both_halves_are_needed_or_none(tmp_path):
    private, named = tmp_path / "key.pem", KeySigning(kind="key", public_key="configs/release.pub")
    without, signed = ReleaseConfig(series="0.1", signing=None), ReleaseConfig(series="0.1", signing=named)
    assert signer(None, without) is None
    assert signer(private, signed) == Signer(private, named)
    with pytest.raises(CannotTell, match=r"^configs/release\.yaml says that releases are signed: name the private key"):
        signer(None, signed)
    with pytest.raises(CannotTell, match=r"^configs/release\.yaml does not say how a signature is checked: write that"):
        signer(private, without)


def test_sign__without_its_environment_it_says_how_to_make_it(signed, monkeypatch):
    monkeypatch.chdir(signed)
    with pytest.raises(
        CannotTell, match=r"^\.venv-sign/bin/model_signing is missing: make it: python3 -m venv \.venv-sig"
    ):
        check_signature(signed / "release", signed / "release.pub")
