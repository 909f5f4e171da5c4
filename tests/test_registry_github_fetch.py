"""A release fetched from GitHub is verified whole, or nothing is left of it."""

import shutil

import pytest
from tests.github_releases import publish
from tests.release_files import altered, relist

from textgate.bundle import digest, verify
from textgate.choose import find_champion
from textgate.errors import CannotTell, Refused
from textgate.release.assets import SUMS

pytest_plugins = ("tests.github_registry_fixtures",)


WORDS = ("bundle", "data.json", "gate.json", "metrics.json", "comparison.json", "model-tests.json", "scan.json",
         "train.json", "release.json", "MODEL_CARD.md", "bom.cdx.json", "NOTES.md", SUMS)  # fmt: skip


def fetched(folder):
    return {path.name for path in folder.iterdir()}


def test_fetch__leaves_the_verified_bundle_and_its_evidence(released, registry, made, tmp_path):
    release = registry.fetch("v0.1.0", tmp_path / "champion")
    assert fetched(tmp_path / "champion") == set(WORDS)
    assert fetched(tmp_path) == {"champion"}
    verify(tmp_path / "champion" / "bundle", release.bundle_digest)
    champion = find_champion(str(tmp_path / "champion"))
    assert (champion.name, champion.digest) == ("v0.1.0", digest(made / "build" / "model"))


def test_fetch__again_replaces_what_the_fetch_before_left(released, registry, made, tmp_path):
    publish(released, made / "v0.2.0")
    registry.fetch("v0.1.0", tmp_path / "champion")
    assert registry.fetch("v0.2.0", tmp_path / "champion").version == "v0.2.0"
    assert find_champion(str(tmp_path / "champion")).name == "v0.2.0"


@pytest.mark.parametrize("there", ["notes.txt", "release.json"])
def test_fetch__does_not_remove_what_it_did_not_make(released, registry, tmp_path, there):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / there).write_text("mine")
    with pytest.raises(CannotTell, match="mine holds something that no fetch left there: name a folder of its own"):
        registry.fetch("v0.1.0", tmp_path / "mine")
    assert (tmp_path / "mine" / there).read_text() == "mine"


def nothing_left(registry, said, to, version="v0.1.0", error=Refused):
    to.mkdir()
    (to / "bundle").mkdir()
    (to / "release.json").write_text("of an earlier fetch")
    with pytest.raises(error, match=said):
        registry.fetch(version, to)
    assert not to.exists()
    assert fetched(to.parent) == set()


def spoil(server, name, content):
    server.put(server.release("v0.1.0"), name, content)


def test_fetch__a_changed_asset_is_refused(released, registry, tmp_path):
    number = released.asset("v0.1.0", "metrics.json")["id"]
    released.contents[number] = released.contents[number].replace(b"candidate", b"Candidate")
    nothing_left(registry, r"metrics\.json is not the file that SHA256SUMS lists", tmp_path / "to")


def test_fetch__a_bundle_that_was_cut_short_is_refused(released, registry, tmp_path):
    name = next(a["name"] for a in released.release("v0.1.0")["assets"] if a["name"].endswith(".tar"))
    number = released.asset("v0.1.0", name)["id"]
    released.contents[number] = released.contents[number][:-512]
    nothing_left(registry, rf"{name} is not the file that SHA256SUMS lists", tmp_path / "to")


def test_fetch__a_missing_and_an_extra_asset_are_refused_before_the_others_are_fetched(released, registry, tmp_path):
    release = released.release("v0.1.0")
    gone = released.asset("v0.1.0", "scan.json")
    release["assets"].remove(gone)
    nothing_left(registry, r"^scan\.json is missing: this release was altered", tmp_path / "to")
    release["assets"].append(gone)
    spoil(released, "extra.json", b"{}")
    released.log.clear()
    nothing_left(registry, r"^extra\.json is not listed in SHA256SUMS", tmp_path / "to")
    assert len([path for _, path in released.log if path.startswith("releases/assets/")]) == 1


def test_fetch__a_release_of_something_else_is_refused(server, registry, tmp_path):
    server.put(server.add("v0.1.0", latest=True), "app.zip", b"PK")
    nothing_left(registry, r"the release v0\.1\.0 has no SHA256SUMS: it is not one of textgate's", tmp_path / "to")


@pytest.mark.parametrize("name", ["../../evil", "a b", "-rf", "x" * 101])
def test_fetch__an_odd_asset_name_is_refused(released, registry, tmp_path, name):
    spoil(released, name, b"{}")
    nothing_left(registry, r"v0\.1\.0 has odd or double files", tmp_path / "to")


def test_fetch__two_assets_of_one_name_are_refused(released, registry, tmp_path):
    release = released.release("v0.1.0")
    release["assets"].append(released.asset("v0.1.0", "gate.json") | {"id": 99_999})
    nothing_left(registry, r"v0\.1\.0 has odd or double files", tmp_path / "to")


def test_fetch__too_many_assets_are_not_looked_through(released, registry, tmp_path):
    for number in range(40):
        spoil(released, f"f{number}", b"{}")
    nothing_left(registry, "GitHub lists more than 40", tmp_path / "to", error=CannotTell)


def test_fetch__an_asset_that_never_arrived_is_refused(released, registry, tmp_path):
    released.asset("v0.1.0", "gate.json")["state"] = "starter"
    nothing_left(registry, r"gate\.json of v0\.1\.0 is not whole \('starter'\)", tmp_path / "to")


def test_fetch__an_asset_beyond_its_limit_is_not_fetched(released, registry, tmp_path):
    released.asset("v0.1.0", "gate.json")["size"] = 20_000_001
    nothing_left(registry, r"gate\.json of v0\.1\.0 has 20,000,001 bytes, 20,000,000 are the most", tmp_path / "to")


def test_fetch__an_asset_that_is_larger_than_it_says_is_cut_off(released, registry, tmp_path):
    number = released.asset("v0.1.0", SUMS)["id"]
    released.contents[number] = bytes(20_000_001)
    nothing_left(registry, "more than 20,000,000 bytes: not taken", tmp_path / "to")


def test_fetch__a_whole_release_under_another_version_is_refused(server, registry, made, tmp_path):
    publish(server, made / "v0.2.0", latest=True)["tag_name"] = "v0.1.0"
    nothing_left(registry, r"the release v0\.1\.0 holds v0\.2\.0: it was altered", tmp_path / "to")


def test_fetch__evidence_that_was_altered_together_with_its_list_is_refused(server, registry, made, tmp_path):
    folder = shutil.copytree(made / "v0.1.0", tmp_path / "altered" / "v0.1.0")
    altered(folder, "gate.json", outcome="refused")
    publish(server, folder)
    shutil.rmtree(tmp_path / "altered")
    nothing_left(registry, r"gate\.json says refused, not passed", tmp_path / "to")


def test_fetch__another_bundle_together_with_its_list_is_refused(server, registry, made, tmp_path):
    folder = shutil.copytree(made / "v0.1.0", tmp_path / "altered" / "v0.1.0")
    (other,) = (made / "v0.2.0").glob("model-*.tar")
    (ours,) = folder.glob("model-*.tar")
    shutil.copyfile(other, ours)
    relist(folder)
    publish(server, folder)
    shutil.rmtree(tmp_path / "altered")
    nothing_left(registry, "does not hold the bundle that it is named after", tmp_path / "to")


def test_fetch__a_tag_that_was_moved_or_deleted_is_refused(released, registry, tmp_path):
    released.tags["v0.1.0"] = ("commit", "d" * 40)
    nothing_left(registry, r"the tag v0\.1\.0 is on commit dddddddddddd, but cccccccccccc was judged", tmp_path / "to")
    del released.tags["v0.1.0"]
    nothing_left(registry, r"the tag v0\.1\.0 is missing, but cccccccccccc was judged", tmp_path / "to")


def test_fetch__a_release_that_is_changed_meanwhile_is_refused(released, registry, tmp_path):
    def replace(method, path):
        if path.startswith("git/ref"):
            spoil(released, "gate.json", b"{}")

    released.on_request = replace
    nothing_left(registry, r"v0\.1\.0 was changed while it was fetched: see who did, then fetch again", tmp_path / "to")


@pytest.mark.parametrize(
    ("status", "said"), [(500, "in trouble"), (404, "not found"), (401, "does not take the token")]
)
def test_fetch__an_asset_that_cannot_be_had_is_unknown(released, registry, tmp_path, status, said):
    released.status[f"releases/{released.release('v0.1.0')['id']}/assets"] = status
    nothing_left(registry, said, tmp_path / "to", error=CannotTell)


def test_fetch__a_draft_an_unknown_version_and_a_pre_release_are_refused(released, registry, made, tmp_path):
    publish(released, made / "v0.2.0", draft=True)
    nothing_left(registry, r"v0\.2\.0 was never released \(the newest: v0\.1\.0\)", tmp_path / "to", "v0.2.0")
    released.release("v0.1.0")["prerelease"] = True
    nothing_left(registry, r"v0\.1\.0 is marked as a pre-release", tmp_path / "to")
