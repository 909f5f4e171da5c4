"""A folder of assets, as whoever fetched it checks it: altered, foreign or too large, it is refused."""

import os

import pytest
from tests.judged_example import OTHER
from tests.release_files import altered, archive_in, relist
from tests.small import seal_small

from textgate.bundle import verify
from textgate.errors import CannotTell, Refused
from textgate.release.archive import pack
from textgate.release.assets import SUMS, check

pytest_plugins = ("tests.release_fixtures",)


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
