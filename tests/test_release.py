"""A release is made of what was judged, passed and belongs together; anything else is refused before it is written."""

import io
import json
import os
import shutil
import subprocess
import tarfile

import pytest
from tests.judged_example import COMMIT, OTHER, change, judge
from tests.small import fit_tfidf, seal_small

from textgate.bundle import digest, verify
from textgate.errors import CannotTell, Refused
from textgate.files import sha256_file
from textgate.release.archive import digest_in, pack, unpack
from textgate.release.assets import EVIDENCE, SUMS, archive_name, check, sums_text
from textgate.release.release import build

NAMES = {"data.json", "train.json", "metrics.json", "comparison.json", "model-tests.json", "scan.json", "gate.json",
         "release.json", "NOTES.md", "MODEL_CARD.md", "SHA256SUMS"}  # fmt: skip


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
    with pytest.raises(Refused, match=r"a release needs a judged_commit, this is .*: judge the bundle at a commit"):
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


def test_archive_name__is_the_digest(release):
    assert archive_in(release).name == archive_name(digest_in(archive_in(release)))
