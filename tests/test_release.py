"""A release is made of what was judged, passed and belongs together; anything else is refused before it is written."""

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import pytest
from tests.judged_example import COMMIT, OTHER, change, judge
from tests.release_server import REPO, serve
from tests.run_script import ROOT, finished, outputs, run_script
from tests.signing_keys import key_pair
from tests.small import fit_tfidf, seal_small

from textgate.bundle import digest, verify
from textgate.errors import CannotTell, Refused
from textgate.files import sha256_file
from textgate.github.api import GitHub
from textgate.records import read
from textgate.registry.github import GitHubReleases
from textgate.release.archive import contents, digest_in, pack, unpack
from textgate.release.assets import EVIDENCE, SUMS, archive_name, check, read_sums, sums_text
from textgate.release.predicate import Predicate
from textgate.release.release import PREDICATE, build, release_as
from textgate.release.superseded import superseded_by

NAMES = {"data.json", "train.json", "metrics.json", "comparison.json", "model-tests.json", "scan.json", "gate.json",
         "release.json", "NOTES.md", "MODEL_CARD.md", "bom.cdx.json", "SHA256SUMS"}  # fmt: skip


@pytest.fixture(scope="module")
def judged_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    bundle = folder / "bundle"
    bundle.mkdir()
    fit_tfidf().save(bundle)
    seal_small(bundle)
    judge(bundle, folder / "build")
    build(folder / "build", folder / "release", "v0.1.0")
    return folder


@pytest.fixture
def judged(judged_once, tmp_path):
    """Return a folder like build/, free to be damaged."""
    return shutil.copytree(judged_once / "build", tmp_path / "build")


@pytest.fixture
def release(judged_once, tmp_path):
    """Return a folder of release assets, free to be damaged."""
    return shutil.copytree(judged_once / "release", tmp_path / "release")


def relist(folder):
    """Make SHA256SUMS fit again, as whoever alters a release would."""
    (folder / SUMS).write_text(sums_text(folder))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def archive_in(folder):
    return next(folder.glob("model-*.tar"))


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
    done = subprocess.run(["prlimit", f"--fsize={limit}", *script], check=False, capture_output=True, text=True)
    assert done.stderr.endswith(": File too large: free some space or rights, then run again\n")
    assert done.stderr.startswith("cannot tell: ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
    assert content(laptop[3]) == before
    assert {path.name for path in laptop[3].parent.iterdir()} == {"out", PREDICATE}


# --- names that are taken, and production that has gone on


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    found = serve(tmp_path_factory, monkeypatch)
    yield found
    found.close()


def test_release_as__the_same_version_of_the_same_bundle_is_built_again(server, judged, release, tmp_path):
    registry = GitHubReleases(GitHub(REPO))
    registry.register(release)
    made = release_as(judged, tmp_path / "out", registry, "0.1.0", None)
    assert (made.version, made.state) == ("v0.1.0", "new")
    assert content(tmp_path / "out") == content(release)
    assert registry.register(tmp_path / "out")[1] == "already"


def test_release_as__a_version_of_another_bundle_is_refused(server, judged, tmp_path):
    server.put(server.add("v0.1.0"), archive_name(OTHER), b"x")
    with pytest.raises(
        Refused, match=r"^v0\.1\.0 is taken, but not by this bundle: take another version, none is over"
    ):
        release_as(judged, tmp_path / "out", GitHubReleases(GitHub(REPO)), "0.1.0", None)
    assert not (tmp_path / "out").exists()


HEAD = "d" * 40


def champion_at(server, commit, tag="v0.5.0"):
    server.add(tag, latest=True)
    server.tags[tag] = ("commit", commit)


def test_superseded_by__a_champion_of_a_later_commit_wins(server, judged, tmp_path):
    champion_at(server, HEAD)
    server.compared[COMMIT, HEAD] = "ahead"
    assert superseded_by(GitHub(REPO), judged) == "v0.5.0"
    options = ("--from", judged, "--to", tmp_path / "out")
    code, said, err = finished(run_script("release", *options, GITHUB_OUTPUT=str(tmp_path / "o")))
    assert (code, err) == (0, "")
    assert said == "v0.5.0, the champion, was made from a later commit: nothing to do\n"
    assert outputs(tmp_path / "o") == {"version": "", "digest": "", "state": "superseded"}
    assert not (tmp_path / "out").exists()
    assert finished(run_script("release", *options, "--tag", "v0.6.0"))[0] == 0  # a person may


@pytest.mark.parametrize("how", ["behind", "diverged", "identical"])
def test_superseded_by__any_other_champion_does_not(server, judged, how):
    champion_at(server, HEAD)
    server.compared[COMMIT, HEAD] = how
    assert superseded_by(GitHub(REPO), judged) is None


def test_superseded_by__no_champion_the_same_commit_and_odd_names_do_not(server, judged):
    assert superseded_by(GitHub(REPO), judged) is None
    champion_at(server, COMMIT)
    assert superseded_by(GitHub(REPO), judged) is None
    champion_at(server, HEAD, "nightly")
    server.compared[COMMIT, HEAD] = "ahead"
    assert superseded_by(GitHub(REPO), judged) is None


def test_superseded_by__what_github_cannot_compare_is_unknown(server, judged):
    champion_at(server, HEAD)
    server.compared[COMMIT, HEAD] = "sideways"
    with pytest.raises(CannotTell, match=r"GitHub cannot compare cccccccccccc with v0\.5\.0 \('sideways'\): is this"):
        superseded_by(GitHub(REPO), judged)
    server.status[f"compare/{COMMIT}...{HEAD}"] = 404
    with pytest.raises(CannotTell, match="404"):
        superseded_by(GitHub(REPO), judged)


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


# --- a folder of assets, as whoever fetched it checks it


def test_check__a_changed_asset_is_refused(release):
    with (release / "metrics.json").open("a") as file:
        file.write(" ")
    with pytest.raises(Refused, match=r"metrics\.json is not the file that SHA256SUMS lists"):
        check(release)


def test_check__a_missing_and_an_extra_asset_are_refused(release):
    (release / "note.txt").write_text("hello")
    with pytest.raises(Refused, match=r"^note\.txt is not listed in SHA256SUMS: this release was altered"):
        check(release)
    (release / "note.txt").unlink()
    (release / "scan.json").unlink()
    with pytest.raises(Refused, match=r"^scan\.json is missing: this release was altered"):
        check(release)


def test_check__a_list_that_leaves_something_out_is_refused(release):
    (release / "scan.json").unlink()
    relist(release)
    with pytest.raises(Refused, match=r"SHA256SUMS does not list scan\.json"):
        check(release)


@pytest.mark.parametrize("name", ["bom.cdx.json", "NOTES.md", "MODEL_CARD.md", "release.json", "gate.json"])
def test_check__a_list_must_name_each_file_that_a_release_has(release, name):
    (release / name).unlink()
    relist(release)
    with pytest.raises(Refused, match=rf"SHA256SUMS does not list {name}"):
        check(release)


def test_check__a_list_without_the_bundle_is_refused(release):
    archive_in(release).unlink()
    relist(release)
    with pytest.raises(Refused, match=r"SHA256SUMS does not list model-[0-9a-f]{64}\.tar, the bundle of release\.json"):
        check(release)


@pytest.mark.parametrize("line", ["hello", f"{OTHER}  ../gate.json", f"{OTHER} *gate.json", f"{OTHER}  SHA256SUMS"])
def test_check__a_list_that_is_none_is_refused(release, line):
    with (release / SUMS).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(Refused, match=r"SHA256SUMS is not a list of at most 40 different files"):
        check(release)


def test_check__a_name_that_is_listed_twice_is_refused(release):
    with (release / SUMS).open("a") as file:
        file.write(f"{OTHER}  gate.json\n")
    with pytest.raises(Refused, match=r"is not a list of at most 40 different files"):
        check(release)


def test_check__no_list_at_all_is_unknown(release):
    (release / SUMS).unlink()
    with pytest.raises(CannotTell, match=r"SHA256SUMS is missing: fetch or build the release again"):
        check(release)


def test_check__a_link_is_refused(release, tmp_path):
    (release / "gate.json").rename(tmp_path / "gate.json")
    (release / "gate.json").symlink_to(tmp_path / "gate.json")
    with pytest.raises(Refused, match=r"gate\.json is a link or no file"):
        check(release)


def test_check__an_asset_that_is_too_large_is_refused_before_it_is_read(release):
    os.truncate(release / "NOTES.md", 20_000_001)
    with pytest.raises(Refused, match=r"NOTES\.md has 20,000,001 bytes, 20,000,000 are the most"):
        check(release)


def test_check__evidence_that_is_none_is_refused_though_the_list_fits(release):
    (release / "gate.json").write_text('{"schema_version": 1}')
    relist(release)
    with pytest.raises(Refused, match=r"gate\.json: outcome: Field required: this is not a release of this textgate"):
        check(release)
    (release / "gate.json").write_bytes(b"\xff")
    relist(release)
    with pytest.raises(Refused, match=r"gate\.json: byte 0 is not UTF-8"):
        check(release)


def altered(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes))
    relist(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("bundle_digest", OTHER), ("experiment", "mine"), ("judged_commit", "d" * 40), ("data_fingerprint", OTHER)],
)
def test_check__a_release_json_that_says_something_else_is_refused(release, key, value):
    altered(release, "release.json", **{key: value})
    with pytest.raises(Refused, match=r"release\.json does not say what the evidence beside it says"):
        check(release)


def test_check__a_verdict_that_is_not_passed_is_refused_though_the_list_fits(release):
    altered(release, "gate.json", outcome="refused")
    with pytest.raises(Refused, match=r"gate\.json says refused, not passed"):
        check(release)


def test_check__another_bundle_under_the_name_of_the_judged_one_is_refused(release, judged, tmp_path):
    archive = archive_in(release)
    (judged / "model" / "tfidf.json").write_text("{}")
    (judged / "model" / "manifest.json").unlink()
    seal_small(judged / "model")
    pack(judged / "model", verify(judged / "model"), archive)
    relist(release)
    with pytest.raises(Refused, match=r"does not hold the bundle that it is named after: this release was altered"):
        check(release)


# --- the archive, made by somebody else


def member(name, content=b"x", **changes):
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for key, value in changes.items():
        setattr(header, key, value)
    return header, content


def tar_of(path, *members, form=tarfile.USTAR_FORMAT):
    with tarfile.open(path, "w", format=form) as tar:
        for header, content in members:
            tar.addfile(header, io.BytesIO(content))
    return path


def refused(path, said, tmp_path):
    with pytest.raises(Refused, match=said):
        unpack(path, tmp_path / "out")
    with pytest.raises(Refused, match=said):
        digest_in(path)
    assert {found.name for found in tmp_path.iterdir()} <= {"evil.tar", "out", "target"}


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "a/../../evil", ".hidden", "a b", "a\\b", "a/b/c/d/e", "a//b"]
)
def test_unpack__an_odd_name_is_refused(tmp_path, name):
    refused(tar_of(tmp_path / "evil.tar", member(name)), "is not a plain file name", tmp_path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CONTTYPE]
)
def test_unpack__a_link_device_pipe_or_folder_is_refused(tmp_path, kind):
    header, _ = member("evil", b"", type=kind, linkname="target")
    refused(tar_of(tmp_path / "evil.tar", (header, b"")), "'evil' is a link or a special entry", tmp_path)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_unpack__extensions_of_tar_are_refused(tmp_path, form):
    path = tar_of(tmp_path / "evil.tar", member("a" * 150), form=form)
    refused(path, "is a link or a special entry", tmp_path)


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "a")])
def test_unpack__a_name_that_comes_twice_or_is_also_a_folder_is_refused(tmp_path, names):
    refused(tar_of(tmp_path / "evil.tar", *map(member, names)), "is in it twice", tmp_path)


def test_unpack__the_card_which_no_digest_covers_is_refused(tmp_path):
    refused(tar_of(tmp_path / "evil.tar", member("README.md")), "README.md does not belong there", tmp_path)


def test_unpack__too_many_files_are_refused(tmp_path):
    refused(tar_of(tmp_path / "evil.tar", *(member(f"f{n}") for n in range(101))), "more than 100 files", tmp_path)


def test_unpack__a_size_beyond_the_limit_is_refused_before_anything_is_read(tmp_path):
    path = tar_of(tmp_path / "evil.tar", member("a"))
    header, _ = member("a")
    header.size = 2_000_000_001
    path.write_bytes(header.tobuf(tarfile.USTAR_FORMAT) + path.read_bytes()[512:])
    refused(path, "a has the size 2,000,000,001", tmp_path)


@pytest.mark.parametrize("kept", [700, 1024])
def test_unpack__an_archive_that_was_cut_short_is_refused(tmp_path, kept):
    path = tar_of(tmp_path / "evil.tar", member("a", b"y" * 600))
    os.truncate(path, kept)
    refused(path, "cut short", tmp_path)


def test_unpack__an_archive_without_an_end_is_refused(tmp_path):
    path = tar_of(tmp_path / "evil.tar", member("a"))
    os.truncate(path, 1024)
    refused(path, "it is cut short or not a tar file", tmp_path)


def test_unpack__what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "evil.tar").write_bytes(b"PK\x03\x04" + b"z" * 2000)
    refused(tmp_path / "evil.tar", "it is cut short or not a tar file", tmp_path)


def test_unpack__bytes_hidden_behind_a_file_or_after_the_end_are_refused(tmp_path):
    path = tar_of(tmp_path / "evil.tar", member("a"))
    whole = path.read_bytes()
    path.write_bytes(whole[:600] + b"!" + whole[601:])
    refused(path, "something is hidden behind a", tmp_path)
    shutil.rmtree(tmp_path / "out")
    path.write_bytes(whole[:-1] + b"!")
    refused(path, "something comes after its end", tmp_path)
    shutil.rmtree(tmp_path / "out")
    path.write_bytes(whole + bytes(10_240))
    refused(path, "something comes after its end", tmp_path)


def test_unpack__gives_back_what_was_packed(judged, tmp_path):
    model = judged / "model"
    pack(model, verify(model), tmp_path / "model.tar")
    unpack(tmp_path / "model.tar", tmp_path / "out")
    assert digest_in(tmp_path / "model.tar") == digest(model) == digest(tmp_path / "out")
    assert not (tmp_path / "out" / "README.md").exists()


def test_pack__is_the_same_file_each_time(judged, tmp_path):
    for name in ("one.tar", "two.tar"):
        pack(judged / "model", verify(judged / "model"), tmp_path / name)
    assert sha256_file(tmp_path / "one.tar") == sha256_file(tmp_path / "two.tar")
    with tarfile.open(tmp_path / "one.tar") as tar:
        facts = {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in tar}
        assert facts == {(0, 0, "", "", 0, 0o644)}
        assert tar.getnames() == sorted(tar.getnames())


def test_pack__a_name_too_long_for_an_archive_is_refused(judged, tmp_path):
    (judged / "model" / f"{'a' * 150}.json").write_text("{}")
    (judged / "model" / "manifest.json").unlink()
    seal_small(judged / "model")
    with pytest.raises(Refused, match="the name is too long for an archive: give it a shorter one"):
        pack(judged / "model", verify(judged / "model"), tmp_path / "model.tar")


def test_pack__a_bundle_too_large_for_a_release_is_refused(judged, tmp_path):
    os.truncate(judged / "model" / "tfidf.json", 2_000_000_000)
    manifest = verify(judged_copy(judged, tmp_path))
    with pytest.raises(Refused, match=r"a release may have 2,000,000,000: make the model smaller"):
        pack(judged / "model", manifest, tmp_path / "model.tar")
    assert not (tmp_path / "model.tar").exists()


def judged_copy(judged, tmp_path):
    """Return a sealed bundle with the file names of the one in `judged`."""
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "tfidf.json").write_text("{}")
    seal_small(copy)
    return copy


def test_contents__are_the_hashes_and_the_manifest(judged, release):
    hashes, manifest = contents(archive_in(release))
    assert hashes == {name: sha256_file(judged / "model" / name) for name in hashes}
    assert manifest == (judged / "model" / "manifest.json").read_bytes()


def test_contents__a_manifest_beyond_the_limit_is_refused(tmp_path):
    tar_of(tmp_path / "evil.tar", member("manifest.json", b" " * (64 * 1024 * 1024 + 1)))
    with pytest.raises(Refused, match=r"manifest\.json has more than 64 MiB"):
        contents(tmp_path / "evil.tar")


def test_archive_name__is_the_digest(release):
    assert archive_in(release).name == archive_name(digest_in(archive_in(release)))
