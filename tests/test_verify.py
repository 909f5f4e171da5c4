"""A release is verified link by link, without a network; whatever was changed, one link names it."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.judged_example import COMMIT, OTHER, judge
from tests.run_script import ROOT
from tests.signing_keys import key_pair, with_key
from tests.small import fit_tfidf, seal_small

from textgate.bundle import digest
from textgate.bundle import verify as verify_bundle
from textgate.errors import CannotTell
from textgate.registry.fetched import settle
from textgate.release.archive import pack
from textgate.release.assets import SIGNATURE, SUMS, archive_name, check, sums_text
from textgate.release.bom import about
from textgate.release.release import build
from textgate.release.settings import KeySigning
from textgate.release.verify import NOT_SIGNED, outcome, verify

LINKS = ["list", "signature", "commit", "data", "bundle", "scan", "model tests", "gate", "bill of materials",
         "model card"]  # fmt: skip
ASSETS = ["data.json", "train.json", "metrics.json", "comparison.json", "model-tests.json", "scan.json", "gate.json",
          "release.json", "NOTES.md", "MODEL_CARD.md", "bom.cdx.json", "model.sig", "model-*.tar", SUMS]  # fmt: skip


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once")
    bundle = folder / "bundle"
    bundle.mkdir()
    fit_tfidf().save(bundle)
    seal_small(bundle)
    judge(bundle, folder / "build")
    build(folder / "build", folder / "release", "v0.1.0", with_key(*key_pair(folder)))
    build(folder / "build", folder / "plain", "v0.1.0")
    return folder


@pytest.fixture
def signed(once, tmp_path):
    """Return a signed release far from where it was built, free to be damaged."""
    return shutil.copytree(once / "release", tmp_path / "somewhere" / "else")


@pytest.fixture
def plain(once, tmp_path):
    """Return a release without a signature, free to be damaged."""
    return shutil.copytree(once / "plain", tmp_path / "plain")


@pytest.fixture
def key(once):
    return KeySigning(kind="key", public_key=str(once / "release.pub"))


def relist(folder):
    (folder / SUMS).write_text(sums_text(folder))


def altered(folder, name, **changes):
    """Change a piece of evidence and make the list fit again, as whoever alters a release would."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes))
    relist(folder)


def broken(folder, key=None):
    """Return name -> sentence of the links that did not pass."""
    return {link.name: link.said for link in verify(folder, key) if link.outcome not in ("passed", "not signed")}


def test_verify__every_link_of_a_release_that_was_moved_passes(signed, key):
    links = verify(signed, key)
    assert [link.name for link in links] == LINKS
    assert {link.outcome for link in links} == {"passed"}
    assert outcome(links) == "passed"
    said = {link.name: link.said for link in links}
    assert said["list"] == f"{len(ASSETS) - 1} files, each as SHA256SUMS lists it, and no other"
    assert f"judged at {COMMIT}" in said["commit"]
    assert " checks, with the limits " in said["gate"]


def test_verify__a_release_without_a_signature_passes_and_says_so(plain):
    links = verify(plain, None)
    assert links[1].line() == f"- signature: not signed: {NOT_SIGNED}"
    assert {link.outcome for link in links if link.name != "signature"} == {"passed"}
    assert outcome(links) == "passed"


def test_verify__a_signature_that_was_taken_away_is_refused_where_a_key_is_named(signed, key):
    (signed / SIGNATURE).unlink()
    relist(signed)
    why = "there is no model.sig, though configs/release.yaml says that releases are signed"
    assert broken(signed, key) == {"signature": f"{why}: take one that is"}
    assert outcome(verify(signed, key)) == "refused"


def test_verify__a_signature_that_nobody_can_check_is_unknown(signed):
    links = verify(signed, None)
    assert (links[1].outcome, outcome(links)) == ("unknown", "unknown")
    assert links[1].said.startswith("there is a model.sig, but configs/release.yaml does not say how to check it")


def test_verify__a_signature_by_another_key_is_refused(signed, tmp_path):
    found = broken(signed, with_key(*key_pair(tmp_path, "other")).signing)
    assert list(found) == ["signature"]
    assert "made with another key than" in found["signature"]


@pytest.mark.parametrize("name", ASSETS)
def test_verify__one_changed_bit_of_any_file_is_named(signed, key, name):
    (path,) = signed.glob(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = broken(signed, key)
    assert "list" in found
    assert name == SUMS or path.name in found["list"]
    assert name == SUMS or "signature" in found


@pytest.mark.parametrize("name", ASSETS)
def test_verify__a_missing_file_is_named(signed, key, name):
    (path,) = signed.glob(name)
    path.unlink()
    found = broken(signed, key)
    assert path.name in found["list"]
    assert name == SUMS or "signature" in found


@pytest.mark.parametrize("name", ["zzz", ".gitignore", "model.sig.old", "gate.json "])
def test_verify__an_extra_file_is_named(signed, key, name):
    (signed / name).write_text("hello")
    assert name in broken(signed, key)["list"]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_verify__any_changed_byte_of_the_list_is_noticed(once, plain, data):
    content = bytearray((once / "plain" / SUMS).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    (plain / SUMS).write_bytes(content)
    assert "list" in broken(plain)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: "\n" + text,
        lambda text: text.replace("\n", "\r", 1),
        lambda text: text.replace("\n", "\r\n"),
    ],
)
def test_verify__a_list_with_another_line_end_is_noticed(plain, change):
    (plain / SUMS).write_text(change((plain / SUMS).read_text()))
    assert "list" in broken(plain)


@pytest.mark.parametrize(
    ("name", "changes", "links"),
    [
        ("gate.json", {"commit": "d" * 40}, {"commit", "gate"}),
        ("gate.json", {"judged_commit": "d" * 40}, {"commit", "gate"}),
        ("gate.json", {"data_fingerprint": OTHER}, {"data", "gate"}),
        ("gate.json", {"bundle_digest": OTHER}, {"bundle", "gate"}),
        ("gate.json", {"outcome": "refused"}, {"gate"}),
        ("gate.json", {"gates_sha256": OTHER}, {"model tests", "gate"}),
        ("data.json", {"fingerprint": OTHER}, {"data", "gate"}),
        ("train.json", {"data_fingerprint": OTHER}, {"data", "gate"}),
        ("train.json", {"bundle_digest": OTHER}, {"bundle", "gate"}),
        ("train.json", {"experiment": "mine"}, {"gate"}),
        ("metrics.json", {"data_fingerprint": OTHER}, {"data", "gate"}),
        ("metrics.json", {"bundle_digest": OTHER}, {"bundle", "gate"}),
        ("comparison.json", {"bundle_digest": OTHER}, {"bundle", "gate"}),
        ("model-tests.json", {"bundle_digest": OTHER}, {"bundle", "model tests", "gate"}),
        ("model-tests.json", {"data_fingerprint": OTHER}, {"data", "gate"}),
        ("model-tests.json", {"gates_sha256": OTHER}, {"model tests", "gate"}),
        ("model-tests.json", {"groups": {}}, {"model tests", "gate"}),
        ("scan.json", {"bundle_digest": OTHER}, {"bundle", "scan", "gate"}),
        ("scan.json", {"bundle_digest": None}, {"bundle", "scan", "gate"}),
        ("scan.json", {"outcome": "unknown"}, {"scan", "gate"}),
        ("scan.json", {"canary_caught": False}, {"scan"}),
        ("scan.json", {"files": []}, {"scan"}),
        ("release.json", {"version": "v0.2.0"}, {"bill of materials"}),
        ("release.json", {"commit": "e" * 40}, {"commit", "gate"}),
        ("release.json", {"data_fingerprint": OTHER}, {"data", "gate", "bill of materials"}),
        ("release.json", {"experiment": "mine"}, {"gate"}),
        ("bom.cdx.json", {"metadata": {}}, {"bill of materials"}),
    ],
)  # fmt: skip
def test_verify__altered_evidence_with_a_list_that_fits_breaks_its_link(plain, name, changes, links):
    altered(plain, name, **changes)
    assert set(broken(plain)) == links
    assert outcome(verify(plain, None)) == "refused"


def test_verify__the_sentence_says_which_file_says_what(plain):
    altered(plain, "train.json", bundle_digest=OTHER)
    wanted = json.loads((plain / "release.json").read_text())["bundle_digest"]
    assert broken(plain)["bundle"] == (
        f"train.json says bundle {OTHER[:12]}…, release.json says {wanted[:12]}…: "
        "this release was altered, take another one"
    )


def test_verify__a_check_that_failed_in_a_verdict_that_passed_is_refused(plain):
    checks = json.loads((plain / "gate.json").read_text(encoding="utf-8"))["checks"]
    checks[2]["outcome"] = "refused"
    altered(plain, "gate.json", checks=checks)
    assert broken(plain) == {
        "gate": "gate.json says passed, though 'accuracy' did not: this release was altered, take another one"
    }


def test_verify__a_file_that_the_scan_saw_differently_is_refused(plain):
    files = json.loads((plain / "scan.json").read_text(encoding="utf-8"))["files"]
    altered(plain, "scan.json", files=[files[0] | {"sha256": OTHER}, *files[1:]])
    assert "scan.json vouches for another" in broken(plain)["scan"]
    altered(plain, "scan.json", files=[files[0] | {"voucher": None}, *files[1:]])
    assert f"vouches for another {files[0]['path']} than the archive holds, or for none" in broken(plain)["scan"]


def test_verify__another_bundle_in_the_archive_is_refused(plain, once, tmp_path):
    model = shutil.copytree(once / "bundle", tmp_path / "model")
    (model / "tfidf.json").write_text("{}")
    (model / "manifest.json").unlink()
    seal_small(model)
    manifest = verify_bundle(model)
    pack(model, manifest, plain / archive_name(digest(once / "bundle")))
    relist(plain)
    assert set(broken(plain)) == {"bundle", "scan"}
    assert "does not hold the bundle that it is named after" in broken(plain)["bundle"]


def test_verify__a_bundle_with_a_file_that_its_manifest_does_not_list_is_refused(plain, once, tmp_path):
    """Made by somebody who wrote its digest into every file of the release."""
    model = shutil.copytree(once / "bundle", tmp_path / "model")
    before, manifest = digest(model), verify_bundle(model)
    (model / "extra.json").write_text("{}")
    after = digest(model)
    (plain / archive_name(before)).unlink()
    more = manifest.model_copy(update={"files": manifest.files | {"extra.json": OTHER}})
    pack(model, more, plain / archive_name(after))
    for path in plain.iterdir():
        if path.suffix != ".tar":
            path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    relist(plain)
    found = broken(plain)
    assert set(found) == {"bundle", "scan"}
    assert "the archive does not hold the files that its manifest.json lists" in found["bundle"]


@pytest.mark.parametrize("fact", [0, 1, 2, 3])
def test_verify__a_bill_about_something_else_is_refused(plain, fact):
    text = (plain / "bom.cdx.json").read_text()
    said = about(text)[fact]
    document = json.loads(text)
    parts = {part["bom-ref"]: part for part in document["components"]}
    model = document["metadata"]["component"]
    if fact in (0, 2):
        (model if fact == 0 else parts["data"])["version"] = "v9.9.9"
    else:
        (model if fact == 1 else parts["lock"])["hashes"][0]["content"] = OTHER
    altered(plain, "bom.cdx.json", **document)
    found = broken(plain)
    assert set(found) == {"bill of materials"}
    assert f"release.json says {said[:12]}…" in found["bill of materials"]


def test_verify__a_card_about_another_bundle_is_refused(plain):
    (plain / "MODEL_CARD.md").write_text(f"sha256:{OTHER}")
    relist(plain)
    assert set(broken(plain)) == {"model card"}


@pytest.mark.parametrize("name", ["gate.json", "release.json", "bom.cdx.json", "model-*.tar", "MODEL_CARD.md"])
@pytest.mark.parametrize("make", ["link", "pipe", "folder", "too large"])
def test_verify__what_is_no_plain_file_is_never_opened(plain, tmp_path, name, make):
    (path,) = plain.glob(name)
    if make == "too large":
        os.truncate(path, 2_000_000_001 if path.suffix == ".tar" else 20_000_001)
    elif make == "link":
        path.rename(tmp_path / "target")
        path.symlink_to(tmp_path / "target")
    else:
        path.unlink()
        os.mkfifo(path) if make == "pipe" else path.mkdir()
    found = broken(plain)
    assert path.name in found["list"]
    assert len(found) > 1


def test_verify__a_folder_that_is_no_release_is_unknown(tmp_path):
    with pytest.raises(CannotTell, match=r"is not a release: name a folder that was built, fetched or"):
        verify(tmp_path, None)
    with pytest.raises(CannotTell, match="is not a release"):
        verify(tmp_path / "none", None)


# --- the script, in a project of its own


def script(folder, project):
    """Run scripts/verify.py in a folder that has configs/release.yaml."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "verify.py"), str(folder)],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path, once):
    (tmp_path / "project" / "configs").mkdir(parents=True)
    config = f'series: "0.1"\nsigning: {{kind: key, public_key: {once / "release.pub"}}}\n'
    (tmp_path / "project" / "configs" / "release.yaml").write_text(config)
    (tmp_path / "project" / ".venv-sign").symlink_to(ROOT / ".venv-sign")
    return tmp_path / "project"


def test_script__says_each_link_and_the_outcome(signed, project):
    done = script(signed, project)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines[:-1]] == [f"✓ {name}" for name in LINKS]
    assert lines[-1] == f"the release in {signed}: passed"


def test_script__refused_is_1_and_unknown_is_2(signed, project):
    (signed / "scan.json").unlink()
    done = script(signed, project)
    assert done.returncode == 1
    assert "✗ list: refused: scan.json is missing: this release was altered, take another one" in done.stdout
    assert done.stdout.splitlines()[-1] == f"the release in {signed}: refused"
    (project / "configs" / "release.yaml").write_text('series: "0.1"\nsigning: {kind: key, public_key: gone.pub}\n')
    done = script(shutil.copytree(signed.parent / "else", project / "copy"), project)
    assert "? signature: unknown: gone.pub: No such file or directory: name the file of the key" in done.stdout
    assert script(project, project).returncode == 2


def test_script__a_fetched_release_is_verified_whole_signature_and_all(signed, project, tmp_path):
    settle(signed, check(signed), tmp_path / "fetched")
    done = script(tmp_path / "fetched", project)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(": ")[0] for line in done.stdout.splitlines()[:-1]] == [f"✓ {name}" for name in LINKS]
    (tmp_path / "fetched" / "NOTES.md").write_text("hello")
    done = script(tmp_path / "fetched", project)
    assert done.returncode == 1
    assert "✗ signature: refused: model.sig: NOTES.md changed since it was signed" in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "bundle" / "extra.json").write_text("{}"), "extra.json"),
        (lambda folder: (folder / "bundle" / "tfidf.json").write_text("{}"), "tfidf.json"),
        (lambda folder: (folder / "NOTES.md").unlink(), "NOTES.md is missing"),
        (lambda folder: (folder / "zzz").write_text("hello"), "zzz is not listed in SHA256SUMS"),
        (lambda folder: (folder / "zzz").symlink_to("/etc/hostname"), "zzz is a link or no file"),
    ],
)
def test_script__a_fetched_release_that_was_altered_is_refused(signed, project, tmp_path, change, said):
    settle(signed, check(signed), tmp_path / "fetched")
    change(tmp_path / "fetched")
    done = script(tmp_path / "fetched", project)
    assert done.returncode == 1
    assert said in done.stdout + done.stderr


def test_script__asks_nothing_of_a_network(signed, project, tmp_path):
    trace = tmp_path / "guard"
    trace.mkdir()
    (trace / "sitecustomize.py").write_text(
        "import sys\n"
        "def guard(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'):\n"
        "        raise SystemExit(f'a connection: {args}')\n"
        "sys.addaudithook(guard)\n"
    )
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "verify.py"), str(signed)],
        cwd=project, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(trace)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
