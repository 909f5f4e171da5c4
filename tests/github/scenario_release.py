"""A merge to main, by the real workflows: what is released, and what is not."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.github import events
from tests.github.hub import LocalGitHub
from tests.github.project import Project, made_up_rows
from tests.github.runner import Run, program

from textgate.bundle import verify


@pytest.fixture(scope="module")
def first(hub: LocalGitHub, project: Project) -> Run:
    """Return the run of ci for the first commit of main, which releases v0.1.0."""
    return events.push(hub, "0" * 40)


@pytest.fixture
def main(hub: LocalGitHub, project: Project, first: Run):
    """Return the commit of main whose model is in production; afterwards, main is there again."""
    before = hub.git.sha("refs/heads/main")
    project.branch("main")
    yield before
    hub.git.set_ref("refs/heads/main", before)


def download(hub: LocalGitHub, version: str, to: Path) -> Path:
    """Download all assets of a release into a new folder and return it."""
    to.mkdir()
    environment = os.environ | {"SSL_CERT_FILE": str(hub.authority), "GH_ENTERPRISE_TOKEN": hub.owner}
    for asset in hub.api("GET", f"releases/tags/{version}")["assets"]:
        command = [program("gh"), "api", asset["url"], "-H", "Accept: application/octet-stream"]
        with (to / asset["name"]).open("wb") as file:
            subprocess.run(command, check=True, env=environment | {"GH_HOST": hub.host}, stdout=file, timeout=60)
    return to


def test_release__a_merge_to_main_releases_what_its_run_judged(hub: LocalGitHub, first: Run, tmp_path: Path) -> None:
    assert first.conclusion == "success", first.text
    (release,) = [each for each in hub.api("GET", "releases") if each["tag_name"] == "v0.1.0"]
    assert (release["draft"], release["prerelease"]) == (False, False)
    assert hub.git.sha("refs/tags/v0.1.0") == first.api["head_sha"]
    assert release["body"].startswith("### textgate passed this model")
    assert (first.jobs["deploy/smoke"].conclusion, first.jobs["deploy/restore"].conclusion) == ("success", "skipped")

    assets = download(hub, "v0.1.0", tmp_path / "assets")
    listed = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=assets, capture_output=True, text=True, check=True)
    names = {path.name for path in assets.iterdir()}
    assert listed.stdout.count(": OK\n") == len(names) - 1 == 12
    judged = hub.unzip(first.id, "judged")
    evidence = {"gate.json", "metrics.json", "comparison.json", "model-tests.json", "scan.json", "train.json"}
    assert {name: (assets / name).read_bytes() for name in evidence} == {name: judged[name] for name in evidence}
    assert (assets / "data.json").read_bytes() == judged["data/data.json"]
    assert (assets / "MODEL_CARD.md").read_bytes() == judged["model/README.md"]

    (archive,) = assets.glob("model-*.tar")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", bundle], check=True)
    verify(bundle, archive.stem.removeprefix("model-"))
    files = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    model = {name.removeprefix("model/"): content for name, content in judged.items() if name.startswith("model/")}
    assert files == {name: content for name, content in model.items() if name != "README.md"}
    made, verdict = [each for each in hub.attestations if each["run"] == str(first.id)]
    assert made["subjects"] == verdict["subjects"]
    attested = made["subjects"]
    assert attested[archive.name] == next(a["digest"] for a in release["assets"] if a["name"] == archive.name)[7:]
    assert set(attested) == names - {"SHA256SUMS"}
    assert verdict["kind"] == f"{hub.url}/{hub.repo}/verdict/v1"
    assert verdict["predicate"]["outcome"] == "passed"


def test_release__the_next_pull_request_is_compared_with_it_and_becomes_the_next_version(
    hub: LocalGitHub, project: Project, first: Run
) -> None:
    assert hub.api("GET", "releases/latest")["tag_name"] == "v0.1.0"
    main = hub.git.sha("refs/heads/main")
    project.branch("better")
    project.rows(made_up_rows(60, seed=21))
    number = project.pull_request("better", "More rows")
    ci, comment = events.judged(hub, number)
    assert ci.conclusion == "success", ci.text
    assert "| production v0.1.0 |" in comment["body"].replace("`", "")
    assert len(hub.releases) == 1
    commit = hub.merge_pull(number)
    merged = events.push(hub, main)
    assert merged.conclusion == "success", merged.text
    assert hub.api("GET", "releases/latest")["tag_name"] == "v0.1.1"
    assert hub.git.sha("refs/tags/v0.1.1") == commit
    assert merged.jobs["deploy/publish"].outputs["promote"]["previous"] == "v0.1.0"
    assert "| production v0.1.0 |" in hub.api("GET", "releases/latest")["body"].replace("`", "")
    assert "v0.1.1 answers" in merged.said("deploy/smoke")


def test_release__the_same_model_under_other_limits_is_not_released_again(
    hub: LocalGitHub, project: Project, main: str
) -> None:
    before, champion = hub.api("GET", "releases"), hub.api("GET", "releases/latest")["tag_name"]
    project.config("gates", min_accuracy=0.6)
    project.push("main", "Another limit")
    run = events.push(hub, main)
    assert run.conclusion == "success", run.text
    assert run.jobs["train"].conclusion == "success"
    assert f"is already released as {champion}\n" in run.said("deploy/prepare")
    ends = [run.jobs[f"deploy/{name}"].conclusion for name in ("prepare", "publish", "smoke", "restore")]
    assert ends == ["success", "skipped", "skipped", "skipped"]
    assert hub.api("GET", "releases") == before


def test_release__documentation_on_main_trains_and_deploys_nothing(
    hub: LocalGitHub, project: Project, main: str
) -> None:
    before = hub.api("GET", "releases")
    project.write("docs/words.md", "# Words\n")
    project.push("main", "Words")
    run = events.push(hub, main)
    assert run.conclusion == "success", run.text
    assert run.jobs["gate"].conclusion == "success"
    assert {run.jobs[name].conclusion for name in ("train", "model_tests", "scan", "deploy/prepare")} == {"skipped"}
    assert hub.api("GET", "releases") == before


def test_release__a_refused_model_on_main_is_not_deployed(hub: LocalGitHub, project: Project, main: str) -> None:
    before = hub.api("GET", "releases")
    project.config("gates", max_bundle_mb=0.001)
    project.push("main", "A limit that nothing keeps")
    run = events.push(hub, main)
    assert run.conclusion == "failure", run.text
    assert run.jobs["gate"].conclusion == "failure"
    assert "bundle size" in run.said("gate")
    assert run.jobs["deploy/prepare"].conclusion == "skipped"
    assert not hub.artifact_file(run.id, "judged").exists()
    assert hub.api("GET", "releases") == before
