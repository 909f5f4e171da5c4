"""A release is made of what was judged, passed and belongs together; anything else is refused before it is written."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tests.judged_example import COMMIT, OTHER, change, judge
from tests.release_files import archive_in, content
from tests.release_server import serve
from tests.run_script import ROOT, UNCOMPILED, finished, outputs, run_script
from tests.signing_keys import key_pair
from tests.small import seal_small

from textgate.bundle import digest, verify
from textgate.errors import CannotTell, Refused
from textgate.records import read
from textgate.release.assets import EVIDENCE, SUMS, check, read_sums
from textgate.release.predicate import Predicate
from textgate.release.release import PREDICATE, build

pytest_plugins = ("tests.release_fixtures",)


NAMES = {"data.json", "train.json", "metrics.json", "comparison.json", "model-tests.json", "scan.json", "gate.json",
         "release.json", "NOTES.md", "MODEL_CARD.md", "bom.cdx.json", "SHA256SUMS"}  # fmt: skip


def test_build__holds_exactly_what_was_judged(judged, tmp_path):
    found = build(judged, tmp_path / "out", "v0.1.0")
    assert (found.version, found.bundle_digest, found.judged_commit) == ("v0.1.0", digest(judged / "model"), COMMIT)
    assert set(content(tmp_path / "out")) == NAMES | {f"model-{found.bundle_digest}.tar"}
    for place, _, _ in EVIDENCE.values():
        assert (tmp_path / "out" / place.split("/")[-1]).read_bytes() == (judged / place).read_bytes()
    assert check(tmp_path / "out") == found
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_build__in_another_folder_with_other_times_and_rights_gives_the_same_bytes(judged, judged_once, tmp_path):
    for number, path in enumerate(sorted(judged.rglob("*"))):
        os.utime(path, (number, number))
        path.chmod(0o700)
    build(judged, tmp_path / "elsewhere", "v0.1.0")
    assert content(tmp_path / "elsewhere") == content(judged_once / "release")


def test_build__the_list_is_one_that_sha256sum_takes(release):
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", SUMS], cwd=release, capture_output=True, text=True, check=True
    )
    assert {line.split(":")[0] for line in done.stdout.splitlines()} == set(content(release)) - {SUMS}


def test_build__the_archive_is_one_that_tar_takes_and_holds_no_card(release, judged, tmp_path):
    (tmp_path / "by-tar").mkdir()
    subprocess.run(["tar", "-xf", archive_in(release), "-C", tmp_path / "by-tar"], check=True)
    assert not (tmp_path / "by-tar" / "README.md").exists()
    verify(tmp_path / "by-tar", digest(judged / "model"))


def test_build__replaces_an_earlier_release_whole(judged, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.json").write_text("{}")
    build(judged, tmp_path / "out", "v0.1.0")
    assert "old.json" not in content(tmp_path / "out")


@pytest.mark.parametrize(("place", "stage"), [(place, stage) for place, _, stage in EVIDENCE.values()])
def test_build__missing_evidence_is_unknown(judged, tmp_path, place, stage):
    (judged / place).unlink()
    with pytest.raises(CannotTell, match=rf'{place} is missing: run "make {stage}" first'):
        build(judged, tmp_path / "out", "v0.1.0")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("outcome", ["refused", "unknown"])
def test_build__what_did_not_pass_is_refused(judged, tmp_path, outcome):
    change(judged, "gate", outcome=outcome, sentence="Danish got worse")
    with pytest.raises(
        Refused, match=rf"gate.json says {outcome}, not passed \(Danish got worse\): release what passed"
    ):
        build(judged, tmp_path / "out", "v0.1.0")


@pytest.mark.parametrize(
    ("field", "key", "said"),
    [
        ("scan", "bundle_digest", "scan.json is about another bundle"),
        ("scan", "bundle_digest!", "scan.json is about another bundle (without a digest)"),
        ("model_tests", "bundle_digest", "model-tests.json is about another bundle"),
        ("model_tests", "gates_sha256", "model-tests.json is about another configs/gates.yaml"),
        ("metrics", "bundle_digest", "metrics.json is about another bundle"),
        ("metrics", "data_fingerprint", "metrics.json is about another data"),
        ("comparison", "bundle_digest", "comparison.json is about another bundle"),
        ("comparison", "data_fingerprint", "comparison.json is about another data"),
        ("train", "bundle_digest", "train.json is about another bundle"),
        ("train", "data_fingerprint", "train.json is about another data"),
        ("data", "fingerprint", "data.json is about another data"),
        ("gate", "bundle_digest", "train.json is about another bundle"),
        ("gate", "bundle_digest!", "train.json is about another bundle"),
    ],
)
def test_build__evidence_about_something_else_is_refused(judged, tmp_path, field, key, said):
    change(judged, field, **{key.rstrip("!"): None if key.endswith("!") else OTHER})
    with pytest.raises(Refused) as caught:
        build(judged, tmp_path / "out", "v0.1.0")
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith("than gate.json: judge this bundle again")


def test_build__all_evidence_about_another_bundle_than_the_one_there_is_refused(judged, tmp_path):
    for field in ("train", "metrics", "comparison", "model_tests", "scan", "gate"):
        change(judged, field, bundle_digest=OTHER)
    with pytest.raises(Refused, match=rf"model has the digest \w+…, but {OTHER[:12]}… was expected"):
        build(judged, tmp_path / "out", "v0.1.0")


def test_build__a_gate_that_contradicts_the_scan_or_the_tests_is_refused(judged, tmp_path):
    change(judged, "scan", outcome="unknown")
    with pytest.raises(
        Refused, match=r"scan\.json says unknown, though gate\.json says passed: judge this bundle again"
    ):
        build(judged, tmp_path / "out", "v0.1.0")
    change(judged, "model_tests", groups={})
    with pytest.raises(Refused, match=r"model-tests\.json says unknown, though gate\.json says passed"):
        build(judged, tmp_path / "out", "v0.1.0")


@pytest.mark.parametrize("commit", [None, "no git", COMMIT + "+changes", COMMIT[:12]])
def test_build__what_was_not_judged_at_a_commit_is_refused(judged, tmp_path, commit):
    change(judged, "gate", judged_commit=commit)
    with pytest.raises(
        Refused, match=r"a release needs a judged_commit, this is .*: commit what was changed, then run"
    ):
        build(judged, tmp_path / "out", "v0.1.0")


def test_build__a_changed_extra_or_missing_file_of_the_bundle_is_refused(judged, tmp_path):
    (judged / "model" / "note.txt").write_text("hello")
    with pytest.raises(Refused, match=r"note\.txt is not in the manifest"):
        build(judged, tmp_path / "out", "v0.1.0")
    (judged / "model" / "note.txt").unlink()
    (judged / "model" / "tfidf.json").write_text("{}")
    with pytest.raises(Refused, match=r"tfidf\.json is not the file that was sealed"):
        build(judged, tmp_path / "out", "v0.1.0")
    (judged / "model" / "tfidf.json").unlink()
    with pytest.raises(Refused, match=r"tfidf\.json is missing"):
        build(judged, tmp_path / "out", "v0.1.0")


def test_build__a_card_that_is_missing_or_about_another_bundle_stops_it(judged, tmp_path):
    (judged / "model" / "README.md").write_text(f"sha256:{OTHER}")
    with pytest.raises(Refused, match=r'README\.md is about another bundle: run "make card" again'):
        build(judged, tmp_path / "out", "v0.1.0")
    (judged / "model" / "README.md").unlink()
    with pytest.raises(CannotTell, match=r'README\.md is missing: run "make card" first'):
        build(judged, tmp_path / "out", "v0.1.0")


def test_build__a_failure_leaves_an_earlier_release_as_it_was(judged, release):
    before = content(release)
    change(judged, "scan", bundle_digest=OTHER)
    with pytest.raises(Refused):
        build(judged, release, "v0.2.0")
    assert content(release) == before


# --- what else a build leaves, and what it leaves when it is stopped


def test_build__leaves_the_verdict_to_attest_beside_the_assets(judged, tmp_path):
    found = build(judged, tmp_path / "out", "v0.1.0")
    told = read(tmp_path / PREDICATE, Predicate, "release")
    gate = json.loads((judged / "gate.json").read_text(encoding="utf-8"))
    assert (told.release, told.outcome, told.gates_sha256) == (found, "passed", gate["gates_sha256"])
    assert [check.name for check in told.checks] == [check["name"] for check in gate["checks"]]
    assert told.assets == read_sums(tmp_path / "out")
    metrics = json.loads((judged / "metrics.json").read_text(encoding="utf-8"))["models"][0]["test"]
    assert told.figures.accuracy.model_dump() == metrics["accuracy"]
    assert {label: found.value for label, found in told.figures.label_f1.items()} == {
        score["label"]: score["f1"]["value"] for score in metrics["labels"]
    }
    assert PREDICATE not in content(tmp_path / "out")


def test_build__is_alone(judged, tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_SH)
    with pytest.raises(CannotTell, match=r"another release is being built in .*: wait for it, then run again"):
        build(judged, tmp_path / "out", "v0.1.0")
    os.close(folder)
    build(judged, tmp_path / "out", "v0.1.0")


@pytest.fixture
def laptop(judged, tmp_path, monkeypatch, tmp_path_factory):
    """Return options of scripts/release.py for a judged folder; GitHub is a server without a release."""
    server = serve(tmp_path_factory, monkeypatch)
    monkeypatch.setenv("TEXTGATE_REGISTRY", "github")
    yield ("--from", judged, "--to", tmp_path / "releases" / "out")
    server.close()


def test_script__a_version_that_a_person_names_is_built(laptop, tmp_path):
    code, said, err = finished(run_script("release", "--version", "1.2.3", *laptop, GITHUB_OUTPUT=str(tmp_path / "o")))
    assert (code, err) == (0, "")
    assert said.startswith(f"v1.2.3 is built in {laptop[3]}: bundle ")
    assert outputs(tmp_path / "o") | {"digest": ""} == {"version": "v1.2.3", "digest": "", "state": "new"}
    assert check(laptop[3]).version == "v1.2.3"


def test_script__an_empty_version_is_refused_and_two_ways_at_once_are_no_way(laptop):
    code, _, err = finished(run_script("release", "--version", "", *laptop))
    assert (code, err.startswith("refused: '' is not a version: name it like v1.2.3")) == (1, True)
    code, _, err = finished(run_script("release", "--version", "1.2.3", "--tag", "v1.2.3", *laptop))
    assert code == 2
    assert "not allowed with argument" in err


def test_script__a_key_that_no_configuration_names_is_unknown(laptop, tmp_path):
    private, _ = key_pair(tmp_path)
    code, _, err = finished(run_script("release", "--version", "1.2.3", "--signing-key", private, *laptop))
    assert code == 2
    why = "configs/release.yaml does not say how a signature is checked"
    assert err == f"cannot tell: {why}: write that there first (signing:)\n"
    assert not laptop[3].exists()


@pytest.mark.parametrize("moments", [12, pytest.param(50, marks=pytest.mark.long)])
def test_script__killed_at_any_moment_it_leaves_a_whole_release_or_none(laptop, judged, tmp_path, moments):
    """As large as a model is: the kills below come while it is hashed, packed, listed, checked and renamed."""
    (judged / "model" / "big.json").write_text("[" + "0," * 12_000_000 + "0]")
    (judged / "model" / "manifest.json").unlink()
    bundle = shutil.move(judged / "model", tmp_path / "big")
    (bundle / "README.md").unlink()
    seal_small(bundle)
    shutil.rmtree(judged)
    judge(bundle, judged)
    out, started = laptop[3], time.monotonic()
    assert finished(run_script("release", "--version", "0.1.0", *laptop))[0] == 0
    whole, seconds = content(out), time.monotonic() - started
    kills = 0
    for number in range(moments):
        if number % 2:
            shutil.rmtree(out, ignore_errors=True)
        process = run_script("release", "--version", f"0.1.{number % 2}", *laptop)
        begun = time.monotonic()
        try:
            process.communicate(timeout=seconds * (0.3 + 0.7 * number / moments))
            seconds = time.monotonic() - begun  # the machine has become quicker
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += process.returncode == -signal.SIGKILL
        if out.exists():
            assert check(out).version in ("v0.1.0", "v0.1.1")
    assert kills >= moments / 3
    assert finished(run_script("release", "--version", "0.1.0", *laptop))[0] == 0
    assert content(out) == whole
    assert {path.name for path in out.parent.iterdir()} == {"out", PREDICATE}


@pytest.mark.parametrize("limit", [100, 2_000, 20_000])
def test_script__a_full_disk_is_one_line_and_leaves_what_was_there(laptop, judged, limit):
    build(judged, laptop[3], "v0.1.0")
    before = content(laptop[3])
    script = [sys.executable, str(ROOT / "scripts" / "release.py"), "--version", "0.2.0", *map(str, laptop)]
    done = subprocess.run(
        ["prlimit", f"--fsize={limit}", *script],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | UNCOMPILED,
    )
    assert done.stderr.endswith(": File too large: free some space or rights, then run again\n")
    assert done.stderr.startswith("cannot tell: ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
    assert content(laptop[3]) == before
    assert {path.name for path in laptop[3].parent.iterdir()} == {"out", PREDICATE}


def test_notes__say_the_verdict_and_how_to_fetch_and_check(release):
    text = (release / "NOTES.md").read_text(encoding="utf-8")
    assert text.startswith("### textgate passed this model: every check holds\n")
    assert "| accuracy |" in text
    assert "scripts/registry.py fetch --version v0.1.0 --to v0.1.0" in text
    assert f"`sha256sum -c {SUMS}`" in text
    assert f"`{COMMIT}`" in text
    assert f"tar -xf {archive_in(release).name} -C bundle" in text


def test_notes__foreign_words_do_nothing(judged, tmp_path):
    change(judged, "gate", sentence="passed @everyone <img src=x> [a](https://evil.example) | #1\n# big")
    change(judged, "train", experiment="x`](https://evil.example)|@team")
    change(judged, "data", fingerprint=json.loads((judged / "gate.json").read_text())["data_fingerprint"],
           source="<script>@all</script>", licence="![i](https://evil.example)")  # fmt: skip
    build(judged, tmp_path / "out", "v0.1.0")
    text = (tmp_path / "out" / "NOTES.md").read_text(encoding="utf-8")
    outside_of_code = "".join(text.split("`")[::2])
    for hostile in ("@everyone", "@team", "@all", "<img", "<script", "evil.example", "#1", "\n# big"):
        assert hostile not in outside_of_code
