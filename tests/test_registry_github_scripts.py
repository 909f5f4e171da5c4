"""What release.py decides by the releases on GitHub, and the scripts as a workflow calls them."""

import json
import os
import subprocess
import sys

import pytest
from tests.github_releases import publish
from tests.judged_example import COMMIT
from tests.run_script import ROOT, finished, outputs, run_script

from textgate.bundle import digest
from textgate.errors import Refused
from textgate.release.release import NEXT, release_from

pytest_plugins = ("tests.github_registry_fixtures",)


# --- what release.py decides


def test_release_from__takes_the_next_free_version(released, registry, made, tmp_path):
    released.tags["v0.1.4"] = ("commit", "d" * 40)
    found = release_from(made / "build2", tmp_path / "out", registry, "0.1", NEXT)
    assert (found.version, found.state, found.digest) == ("v0.1.5", "new", digest(made / "build2" / "model"))
    assert json.loads((tmp_path / "out" / "release.json").read_text())["version"] == "v0.1.5"


def test_release_from__a_bundle_that_is_released_is_not_released_again(released, registry, made, tmp_path):
    found = release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT)
    assert (found.version, found.state) == ("v0.1.0", "already-released")
    assert found.sentence.endswith("is already released as v0.1.0")
    assert not (tmp_path / "out").exists()


def test_release_from__a_bundle_published_by_a_killed_run_waits_for_its_promotion(released, registry, made, tmp_path):
    publish(released, made / "v0.2.0")
    found = release_from(made / "build2", tmp_path / "out", registry, "0.1", NEXT)
    assert (found.version, found.state) == ("v0.2.0", "unfinished")
    assert found.sentence.endswith("is already released as v0.2.0, which is not the champion yet")
    released.latest = None
    assert release_from(made / "build2", tmp_path / "out", registry, "0.1", "v0.2.0").state == "unfinished"


def test_release_from__another_commit_or_an_older_version_moves_no_champion(released, registry, made, tmp_path):
    publish(released, made / "v0.2.0")
    released.tags["v0.2.0"] = ("commit", "d" * 40)
    assert release_from(made / "build2", tmp_path / "out", registry, "0.1", NEXT).state == "already-released"
    released.latest = released.release("v0.2.0")["id"]
    assert release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT).state == "already-released"
    released.release("v0.2.0")["tag_name"] = "nightly"
    assert release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT).state == "already-released"


def test_release_from__a_draft_is_no_release(server, registry, made, tmp_path):
    publish(server, made / "v0.1.0", draft=True)
    assert release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT).state == "new"


def test_release_from__a_persons_tag_gives_a_released_bundle_one_more_name(released, registry, made, tmp_path):
    released.tags["v1.0.0"] = ("commit", COMMIT)
    found = release_from(made / "build", tmp_path / "out", registry, "0.1", "v1.0.0")
    assert (found.version, found.state) == ("v1.0.0", "new")
    again = release_from(made / "build", tmp_path / "out2", registry, "0.1", "v0.1.0")
    assert (again.version, again.state) == ("v0.1.0", "already-released")


def test_release_from__a_tag_on_another_commit_or_without_a_version_is_refused(server, registry, made, tmp_path):
    server.tags["v1.0.0"] = ("commit", "d" * 40)
    with pytest.raises(Refused, match=r"the tag v1\.0\.0 is on commit dddddddddddd, but cccccccccccc was judged"):
        release_from(made / "build", tmp_path / "out", registry, "0.1", "v1.0.0")
    with pytest.raises(Refused, match=r"'v1' is not a version|'v1\.0' is not a version"):
        release_from(made / "build", tmp_path / "out", registry, "0.1", "v1.0")


def test_release_from__more_tags_than_a_page_holds(server, registry, made, tmp_path):
    for number in range(230):
        server.tags[f"v0.1.{number}"] = ("commit", "d" * 40)
    assert release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT).version == "v0.1.230"


# --- the scripts, as a workflow calls them


def test_scripts__release_register_promote_fetch_and_release_again(server, made, tmp_path):
    out = tmp_path / "out"
    code, said, err = finished(
        run_script("registry", "fetch", "--to", tmp_path / "champion", GITHUB_OUTPUT=str(tmp_path / "none"))
    )
    assert (code, err) == (0, "")
    assert "there is no production model yet: no version was ever promoted" in said
    assert outputs(tmp_path / "none") == {"champion": "none", "version": ""}
    options = ("--from", made / "build", "--to", out)
    code, said, err = finished(run_script("release", *options, GITHUB_OUTPUT=str(tmp_path / "release")))
    assert (code, err) == (0, "")
    model = digest(made / "build" / "model")
    assert outputs(tmp_path / "release") == {"version": "v0.1.0", "digest": model, "state": "new"}
    assert finished(run_script("registry", "register", out, GITHUB_OUTPUT=str(tmp_path / "register")))[0] == 0
    assert outputs(tmp_path / "register") == {"version": "v0.1.0", "state": "new"}
    code, _, err = finished(run_script("registry", "fetch", "--to", tmp_path / "champion"))
    assert (code, err) == (2, "cannot tell: 'v0.1.0' is released, but no release is the latest: promote one\n")
    assert finished(run_script("registry", "promote", "0.1.0", GITHUB_OUTPUT=str(tmp_path / "promote")))[0] == 0
    assert outputs(tmp_path / "promote") == {"previous": "", "moving": "true"}
    code, said, _ = finished(
        run_script("registry", "fetch", "--to", tmp_path / "champion", GITHUB_OUTPUT=str(tmp_path / "fetch"))
    )
    assert code == 0
    assert outputs(tmp_path / "fetch") == {"champion": str(tmp_path / "champion"), "version": "v0.1.0"}
    assert "v0.1.0" in finished(run_script("registry", "current"))[1]
    code, said, _ = finished(run_script("release", *options, "--tag", "next", GITHUB_OUTPUT=str(tmp_path / "again")))
    assert (code, outputs(tmp_path / "again")) == (
        0,
        {"version": "v0.1.0", "digest": model, "state": "already-released"},
    )
    assert len(server.releases) == 1
    code, _, err = finished(run_script("release", *options, "--tag", ""))
    assert (code, err) == (
        1,
        "refused: '' is not a version: name it like v1.2.3, three numbers without leading zeros\n",
    )


def test_scripts__of_a_version_that_is_refused_nothing_is_given_to_the_workflow(released, made, tmp_path):
    publish(released, made / "v0.2.0")["prerelease"] = True
    code, said, err = finished(run_script("registry", "promote", "v0.2.0", GITHUB_OUTPUT=str(tmp_path / "promote")))
    assert (code, said) == (1, "")
    assert err.startswith("refused: v0.2.0 is marked as a pre-release, so it is not for production")
    assert not (tmp_path / "promote").exists(), "moving=true would have the workflow take back what never moved"


def test_scripts__restore_says_what_it_left(released, made):
    publish(released, made / "v0.2.0")
    failed = "failed its smoke test and is a pre-release now"
    for champion, words in (
        ("v0.2.0", "v0.1.0 is the champion again"),
        ("nightly", "nightly was promoted meanwhile and stays the champion"),
    ):
        released.latest = released.release(champion)["id"] if champion != "nightly" else released.add("nightly")["id"]
        process = run_script("registry", "restore", "v0.1.0", "--failed", "v0.2.0")
        assert finished(process)[:2] == (0, f"v0.2.0 {failed}; {words}\n")
    released.releases = [release for release in released.releases if release["tag_name"] == "v0.1.0"]
    released.latest = released.release("v0.1.0")["id"]
    process = run_script("registry", "restore", "", "--failed", "v0.1.0")
    assert finished(process)[:2] == (0, f"v0.1.0 {failed}; there is no champion now\n")


def test_scripts__a_failed_fetch_is_unknown_and_says_no_champion(released, tmp_path):
    assert finished(run_script("registry", "fetch", "--to", tmp_path / "champion"))[0] == 0
    released.status["releases/latest"] = 401
    process = run_script("registry", "fetch", "--to", tmp_path / "champion", GITHUB_OUTPUT=str(tmp_path / "fetch"))
    code, _, err = finished(process)
    assert code == 2
    assert err.startswith("cannot tell: GET repos/team/model/releases/latest: GitHub does not take the token (401)")
    assert err.count("\n") == 1
    assert not (tmp_path / "fetch").exists()
    assert not (tmp_path / "champion").exists(), "what an earlier fetch left must not pass for this one's result"


def test_scripts__the_registry_needs_neither_numpy_nor_a_model_library():
    code = "import sys, textgate.registry.commands; print({'numpy', 'torch', 'onnx', 'sklearn'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
