"""A signature by a certificate says for whom it is; another authority, name, time or use is never accepted."""

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from tests.judged_example import judge
from tests.run_script import ROOT
from tests.signing_keys import NOT_FOR_SIGNING, Authority, key_pair, with_key
from tests.small import fit_tfidf, seal_small

from textgate.errors import CannotTell, Refused
from textgate.release.assets import SIGNATURE, SUMS, sums_text
from textgate.release.certificate import check_certificate
from textgate.release.release import build
from textgate.release.sign import SIGNER, Signer, check_signature, sign
from textgate.release.verify import outcome, verify


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def by(ours):
    """Return who signs as the rules have it."""
    return ours.signer()


@pytest.fixture(scope="module")
def once(tmp_path_factory, by):
    folder = tmp_path_factory.mktemp("signed")
    bundle = folder / "bundle"
    bundle.mkdir()
    fit_tfidf().save(bundle)
    seal_small(bundle)
    judge(bundle, folder / "build")
    build(folder / "build", folder / "release", "v0.1.0", by)
    return folder


@pytest.fixture
def release(once, tmp_path):
    """Return a signed release far from where it was built, free to be damaged."""
    return shutil.copytree(once / "release", tmp_path / "release")


@pytest.fixture
def unsigned(release):
    """Return the same without list and signature."""
    for name in (SIGNATURE, SUMS):
        (release / name).unlink()
    return release


def signed_by(folder, by):
    """Put another signature into a release, made by model_signing alone, and a list that fits."""
    (folder / SIGNATURE).unlink(missing_ok=True)
    files = ["--signing_certificate", by.signing.certificate, "--certificate_chain", by.signing.chain]
    command = [ROOT / SIGNER, "sign", by.signing.kind, folder, "--signature", folder / SIGNATURE, *files]
    command += ["--private_key", by.private, "--no-ignore-git-paths", "--ignore-paths", folder / SUMS]
    subprocess.run(command, check=True, capture_output=True)
    (folder / SUMS).write_text(sums_text(folder))


def link(folder, signing):
    (found,) = [link for link in verify(folder, signing) if link.name == "signature"]
    return found


def test_verify__a_release_signed_with_a_certificate_passes_and_says_whose_it_is(release, by, ours):
    links = verify(release, by.signing)
    assert outcome(links) == "passed"
    until = x509.load_pem_x509_certificate(Path(by.public).read_bytes()).not_valid_after_utc
    assert until - dt.datetime.now(dt.UTC) < dt.timedelta(days=365)
    said = link(release, by.signing).said
    assert said.startswith(f"made by CN=releases, by CN=ours authority, until {until:%Y-%m-%d}")
    assert f", vouched for by {ours.chain} (sha256 " in said
    assert said.endswith("…), over every file but SHA256SUMS")


def test_verify__the_root_alone_is_enough_where_the_signature_brings_the_chain(release, by, ours):
    signing = by.signing.model_copy(update={"chain": str(ours.write("root", ours.root))})
    assert link(release, signing).outcome == "passed"


def test_verify__a_later_certificate_for_the_same_name_is_taken(release, ours):
    later = ours.signer(days=(-1, 700), file="later")
    assert link(release, later.signing).outcome == "passed"


def test_verify__another_authority_of_the_same_name_is_refused(release, by, tmp_path):
    signing = by.signing.model_copy(update={"chain": str(Authority(tmp_path).chain)})
    found = link(release, signing)
    assert found.outcome == "refused"
    assert found.said == (
        f"model.sig: it was altered, or by a certificate that {signing.chain} does not vouch for: "
        "take a release whose signature fits"
    )


def test_verify__a_certificate_of_another_authority_is_refused(release, by, tmp_path):
    signed_by(release, Authority(tmp_path).signer())
    assert "does not vouch for" in link(release, by.signing).said
    assert outcome(verify(release, by.signing)) == "refused"


def test_verify__a_certificate_for_another_name_is_refused_though_the_authority_is_the_same(release, by, ours):
    signed_by(release, ours.signer("www.example.org", file="www"))
    found = link(release, by.signing)
    assert found.outcome == "refused"
    assert "made with a certificate for CN=www.example.org, " in found.said
    assert "is for CN=releases: take a release that is signed by whom you expect" in found.said


def test_verify__a_certificate_that_has_ended_is_unknown(release, by, ours):
    signed_by(release, ours.signer(days=(-300, -2), file="ended"))
    ended = (dt.datetime.now(dt.UTC) - dt.timedelta(days=2)).strftime("%Y-%m-%d")
    found = link(release, by.signing)
    assert found.outcome == "unknown"
    assert found.said.startswith(f"model.sig: its certificate ended on {ended}, and nobody can say whether this was si")


def test_verify__a_certificate_that_has_not_begun_is_unknown(release, by, ours):
    signed_by(release, ours.signer(days=(3, 30), file="early"))
    found = link(release, by.signing)
    assert found.outcome == "unknown"
    assert found.said.startswith("model.sig: its certificate begins on ")
    assert found.said.endswith(": is this clock right?")


def test_verify__a_certificate_that_is_not_for_signing_is_refused(release, by, ours):
    signed_by(release, ours.signer(usage=NOT_FOR_SIGNING, file="unfit"))
    assert link(release, by.signing).outcome == "refused"


def test_verify__a_chain_with_a_gap_is_refused(release, ours, by):
    gap = ours.write("gap", ours.root)
    signing = by.signing.model_copy(update={"chain": str(gap)})
    signed_by(release, Signer(by.private, signing))  # so that the signature does not bring what is missing
    assert link(release, signing).outcome == "refused"


def test_verify__the_authority_between_alone_is_no_root(release, ours, by):
    signing = by.signing.model_copy(update={"chain": str(ours.write("between", ours.issuer))})
    assert link(release, signing).outcome == "refused"


@pytest.mark.parametrize("key", ["certificate", "chain"])
def test_verify__a_file_that_holds_no_certificate_is_unknown(release, by, tmp_path, key):
    (tmp_path / "empty").write_text("")
    for path, said in (
        (tmp_path / "empty", f"{tmp_path / 'empty'} holds no certificate, or a broken one (PEM): mend configs/release"),
        (by.private, f"{by.private} holds no certificate, or a broken one (PEM): mend configs/release.yaml"),
        (tmp_path / "gone", f"{tmp_path / 'gone'} is missing: put it there, or mend configs/release.yaml"),
    ):
        found = link(release, by.signing.model_copy(update={key: str(path)}))
        assert found.outcome == "unknown"
        assert found.said.startswith(said)


def test_verify__a_changed_file_is_named(release, by):
    (release / "NOTES.md").write_text("hello")
    assert link(release, by.signing).said == (
        "model.sig: NOTES.md changed since it was signed: take a release whose signature fits"
    )


def test_verify__a_signature_by_a_key_is_refused_where_a_certificate_is_expected_and_the_other_way(once, by, tmp_path):
    pair = with_key(*key_pair(tmp_path))
    build(once / "build", tmp_path / "by-key", "v0.1.0", pair)
    assert link(tmp_path / "by-key", by.signing).outcome == "refused"
    assert link(once / "release", pair.signing).outcome == "refused"


@pytest.mark.parametrize(
    "change",
    [
        lambda text, other: text.replace("{", '{"verification_material": ' + json.dumps(other) + ", ", 1),
        lambda text, other: text.replace("{", '{"verificationMaterial": ' + json.dumps(other) + ", ", 1),
        lambda text, other: text[:-1] + ', "verificationMaterial": ' + json.dumps(other) + "}",
        lambda text, other: text.replace(
            '"x509CertificateChain"', f'"extra": {json.dumps(other)}, "x509CertificateChain"'
        ),
    ],
)
def test_verify__a_signature_that_names_two_certificates_never_passes(release, by, ours, change):
    """Whoever has some certificate of this authority must not get it checked while another one is shown."""
    good = json.loads((release / SIGNATURE).read_text())["verificationMaterial"]
    signed_by(release, ours.signer("www.example.org", file="www"))
    (release / SIGNATURE).write_text(change((release / SIGNATURE).read_text(), good))
    with pytest.raises(Refused, match=r"^model\.sig"):
        check_signature(release, by.signing)
    with pytest.raises(Refused, match=r"^model\.sig is not as model_signing writes it: take another release$"):
        check_certificate(release / SIGNATURE, by.signing)


def test_sign__another_key_than_that_of_the_certificate_is_refused(unsigned, by, tmp_path):
    private, _ = key_pair(tmp_path, "other")
    with pytest.raises(
        Refused, match=rf"^{private} is not the private half of {by.public}: sign with the key that is$"
    ):
        sign(unsigned, Signer(private, by.signing), tmp_path)


def test_sign__a_certificate_that_its_chain_does_not_vouch_for_is_refused(unsigned, by, ours, tmp_path):
    for other in (
        Signer(by.private, by.signing.model_copy(update={"chain": str(Authority(tmp_path).chain)})),
        Signer(by.private, by.signing.model_copy(update={"chain": str(ours.write("gap", ours.root))})),
        ours.signer(usage=NOT_FOR_SIGNING, file="unfit"),
    ):
        with pytest.raises(Refused) as caught:
            sign(unsigned, other, tmp_path)
        assert str(caught.value) == (
            f"{other.signing.chain} does not vouch for {other.public}, or not for signing (key usage: digital "
            "signature): put every certificate from its issuer to the root into the chain"
        )


def test_build__with_a_certificate_that_has_ended_there_is_no_release(once, ours, tmp_path):
    with pytest.raises(CannotTell, match=r"its certificate ended on .+: sign with a certificate whose time is now$"):
        build(once / "build", tmp_path / "out", "v0.1.0", ours.signer(days=(-300, -2), file="ended"))
    assert not (tmp_path / "out").exists()


def test_build__again_it_keeps_the_signature_that_fits_and_makes_one_that_ended_anew(once, release, by, ours, tmp_path):
    build(once / "build", release, "v0.1.0", by)
    assert (release / SIGNATURE).read_bytes() == (once / "release" / SIGNATURE).read_bytes()
    signed_by(release, ours.signer(days=(-300, -2), file="ended"))
    build(once / "build", release, "v0.1.0", by)
    assert link(release, by.signing).outcome == "passed"


def test_verify__the_program_of_model_signing_finds_it_good_without_textgate(release, ours):
    command = [ROOT / SIGNER, "verify", "certificate", ".", "--signature", SIGNATURE]
    command += ["--certificate_chain", ours.chain, "--ignore-paths", SUMS]
    assert subprocess.run(command, cwd=release, capture_output=True, check=False).returncode == 0
