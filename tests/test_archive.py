"""The archive of a bundle: the same each time, and refused if somebody else made it otherwise."""

import io
import os
import shutil
import tarfile

import pytest
from tests.release_files import archive_in
from tests.small import seal_small

from textgate.bundle import digest, verify
from textgate.errors import Refused
from textgate.files import sha256_file
from textgate.release.archive import contents, digest_in, pack, unpack
from textgate.release.assets import archive_name

pytest_plugins = ("tests.release_fixtures",)


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
