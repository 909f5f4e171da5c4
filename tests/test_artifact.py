"""A hostile artifact: nothing of it is read but evidence files of their own size, and nothing is written anywhere."""

import io
import random
import stat
import struct
import tracemalloc
import zipfile
from datetime import UTC, datetime

import pytest
from tests.github_api import REPO, Reply, json_reply

from textgate.errors import CannotTell, Refused
from textgate.github.api import GitHub
from textgate.github.artifact import MAX_ARTIFACT, MAX_FILE, MAX_FILES, read_evidence, unpack
from textgate.github.hand_over import FILES

pytest_plugins = ("tests.github_fixtures",)
GITHUB = GitHub(REPO)
GOOD = {"gate.json": b'{"a": 1}', "stages-train.json": b"{}", "plan.json": b"x" * 300_000}


def zipped(files, **options):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return content.getvalue()


def artifact(number=1, name="evidence", size=1000, **more):
    described = {"id": number, "name": name, "size_in_bytes": size, "expired": False}
    return described | {"created_at": "2026-01-02T03:04:05Z"} | more


def unpacked(path, content):
    path.write_bytes(content)
    return unpack(path)


def test_read_evidence__returns_the_files_of_the_artifact(api):
    others = [artifact(number, f"stage-{number}") for number in range(2, 150)]
    api.lists("actions/runs/5/artifacts", [*others, artifact()], key="artifacts")
    api.reply("actions/artifacts/1/zip", Reply(200, zipped(GOOD)))
    assert read_evidence(GITHUB, 5) == GOOD


def test_read_evidence__a_run_that_left_none_has_none(api):
    api.lists("actions/runs/5/artifacts", [artifact(name="evidence2")], key="artifacts")
    assert read_evidence(GITHUB, 5) == {}


def test_read_evidence__of_several_attempts_the_newest_counts(api):
    api.lists("actions/runs/5/artifacts", [artifact(3), artifact(9), artifact(4)], key="artifacts")
    api.reply("actions/artifacts/9/zip", Reply(200, zipped({"gate.json": b"newest"})))
    assert read_evidence(GITHUB, 5) == {"gate.json": b"newest"}


def test_read_evidence__what_an_earlier_attempt_left_is_none(api):
    api.lists("actions/runs/5/artifacts", [artifact()], key="artifacts")
    api.reply("actions/artifacts/1/zip", Reply(200, zipped(GOOD)))
    assert read_evidence(GITHUB, 5, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == GOOD
    assert read_evidence(GITHUB, 5, datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)) == {}
    api.lists("actions/runs/5/artifacts", [artifact(created_at=None)], key="artifacts")
    assert read_evidence(GITHUB, 5, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == {}


def test_read_evidence__an_expired_one_cannot_be_told(api):
    api.lists("actions/runs/5/artifacts", [artifact(expired=True)], key="artifacts")
    with pytest.raises(CannotTell, match=r"^the artifact has expired: run the checks again$"):
        read_evidence(GITHUB, 5)


def test_read_evidence__one_that_says_it_is_too_large_is_not_downloaded(api):
    api.lists("actions/runs/5/artifacts", [artifact(size=200_000_000)], key="artifacts")
    with pytest.raises(Refused, match=r"^the artifact has 200,000,000 bytes, more than the 20,000,000 it may have$"):
        read_evidence(GITHUB, 5)
    assert len(api.asked) == 1


def test_read_evidence__one_that_lied_about_its_size_is_not_downloaded_to_its_end(api):
    api.lists("actions/runs/5/artifacts", [artifact(size=10)], key="artifacts")
    api.reply("actions/artifacts/1/zip", Reply(200, b"x" * (MAX_ARTIFACT + 1)))
    with pytest.raises(Refused, match="more than 20,000,000 bytes: not taken"):
        read_evidence(GITHUB, 5)


@pytest.mark.parametrize(
    "odd", [{"id": 1}, "x", artifact(created_at="soon"), artifact(created_at="2026-01-02T03:04:05"), artifact(id=None)]
)
def test_read_evidence__a_list_of_another_shape_cannot_be_told(api, odd):
    api.reply("actions/runs/5/artifacts", json_reply({"artifacts": [odd]}))
    with pytest.raises(CannotTell, match="GitHub describes the run's artifacts in an unexpected way: 0"):
        read_evidence(GITHUB, 5)


def test_unpack__takes_every_file_that_a_run_hands_over(tmp_path):
    files = {name: name.encode() for name in FILES}
    assert unpacked(tmp_path / "a.zip", zipped(files)) == files
    assert len(files) <= MAX_FILES
    assert unpacked(tmp_path / "empty.zip", zipped({})) == {}


@pytest.mark.parametrize(
    "name",
    [
        "../gate.json", "/gate.json", "a/gate.json", "gate.json/", "GATE.JSON", "gate.json ", "gate.json\0.py", "",
        "C:\\gate.json", "..\\gate.json", "evil.py", "champion.json", "stages/train.json", "\u202egate.json",
    ],
)  # fmt: skip
def test_unpack__a_file_of_any_other_name_refuses_all(tmp_path, name):
    content = zipped({**GOOD, "metrics.json": b"{}"}).replace(b"metrics.json", b"m" * 12)
    assert_refused(tmp_path, content, "the artifact holds a file that is no evidence: mmmmmmmmmmmm")
    info = zipfile.ZipInfo("x")
    info.filename = name
    assert_refused(tmp_path, zipped([(info, b"{}")]), "the artifact holds a file that is no evidence")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def assert_refused(folder, content, words):
    with pytest.raises(Refused) as error:
        unpacked(folder / "a.zip", content)
    assert str(error.value).startswith(words)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 160


def test_unpack__what_a_hostile_name_says_is_spelt_out(tmp_path):
    assert_refused(
        tmp_path,
        zipped({"\x1b]8;;http://x\x07" + "n" * 900: b""}),
        "the artifact holds a file that is no evidence: ⟨U+001B⟩]8",
    )


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_unpack__a_link_or_special_file_refuses_all(tmp_path, kind):
    info = zipfile.ZipInfo("gate.json")
    info.external_attr = (kind | 0o777) << 16
    content = zipped([(info, b"/etc/passwd")])
    assert_refused(tmp_path, content, "the artifact holds a link or a special file: gate.json")


def test_unpack__two_files_of_one_name_refuse_all(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = zipped([("gate.json", b"1"), ("gate.json", b"2")])
    assert_refused(tmp_path, content, "the artifact holds two files of one name")


def test_unpack__many_files_refuse_all(tmp_path):
    content = zipped({f"{number}.json": b"" for number in range(60_000)})
    assert_refused(tmp_path, content, "the artifact holds 60,000 files, more than the 24 it may hold")


def test_unpack__an_encrypted_file_refuses_all(tmp_path):
    content = bytearray(zipped({"gate.json": b"{}"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    assert_refused(tmp_path, bytes(content), "the artifact holds a file that is encrypted or packed in an odd way")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unpack__an_odd_compression_refuses_all(tmp_path, method):
    info = zipfile.ZipInfo("gate.json")
    info.compress_type = method
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(info, b"{}" * 1000)
    assert_refused(tmp_path, content.getvalue(), "the artifact holds a file that is encrypted or packed in an odd way")


def test_unpack__a_large_file_refuses_all(tmp_path):
    assert unpacked(tmp_path / "a.zip", zipped({"gate.json": b" " * MAX_FILE}))
    content = zipped({"gate.json": b" " * (MAX_FILE + 1)})
    assert_refused(tmp_path, content, "the artifact holds a file of more than 8,000,000 bytes: gate.json")


def test_unpack__many_middling_files_refuse_all(tmp_path):
    files = dict.fromkeys(("gate.json", "scan.json", "data.json", "train.json", "metrics.json"), b" " * 7_000_000)
    assert_refused(tmp_path, zipped(files), "the artifact unpacks to more than 32,000,000 bytes")


def test_unpack__a_bomb_that_says_it_is_small_is_not_unpacked(tmp_path):
    content = bytearray(zipped({"gate.json": b"\0" * 200_000_000}))
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", 1000)
    content[22:26] = struct.pack("<I", 1000)
    (tmp_path / "a.zip").write_bytes(bytes(content))
    tracemalloc.start()
    with pytest.raises(Refused, match="no readable zip file"):
        unpack(tmp_path / "a.zip")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 5_000_000


def test_unpack__a_file_shorter_than_it_says_refuses_all(tmp_path):
    content = bytearray(zipped({"gate.json": b"x" * 50}))
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", 51)
    assert_refused(tmp_path, bytes(content), "the artifact")


@pytest.mark.parametrize("content", [b"", b"PK", b"\x1f\x8b" + b"\0" * 50, b"<html>no</html>", zipped(GOOD)[:-30]])
def test_unpack__no_zip_file_is_refused(tmp_path, content):
    assert_refused(tmp_path, content, "the artifact is no readable zip file (BadZipFile)")


def test_unpack__broken_archives_are_refused_or_hold_what_they_held(tmp_path):
    draw, whole = random.Random(1), zipped(GOOD)
    refused = 0
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            content[draw.choice([draw.randrange(len(content)), -draw.randint(1, 250)])] = draw.randrange(256)
        try:
            files = unpacked(tmp_path / "a.zip", bytes(content))
        except Refused:
            refused += 1
        else:
            assert set(files) <= set(FILES)
            assert all(files[name] == GOOD[name] for name in files if name in GOOD)
    assert refused > 300
