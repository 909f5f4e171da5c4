"""Runs with their jobs, artifacts with their bytes, runners: what the runner reports, as GitHub shows it."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.github.emulator import OWNER
from tests.github.exchange import Refusal, Reply, Request, listing, moment


def _run(hub, number: str) -> dict:
    found = hub.runs.get(int(number))
    if found is None:
        raise Refusal(404, "Not Found")
    return found


def _newest_first(hub) -> list[dict]:
    """Return a copy: runs that go on side by side are registered while this one is asked for."""
    return list(hub.runs.values())[::-1]


def _shown(run: dict) -> dict:
    return {name: value for name, value in run.items() if name != "jobs"}


def _fits(run: dict, query: dict[str, str]) -> bool:
    state = query.get("status")
    return (
        all(
            run[field] == query[name] for name, field in (("event", "event"), ("head_sha", "head_sha")) if name in query
        )
        and query.get("branch", run["head_branch"]) == run["head_branch"]
        and (state is None or state in (run["status"], run["conclusion"]))
    )


def runs(hub, request: Request) -> Reply:
    found = [_shown(run) for run in _newest_first(hub) if _fits(run, request.query)]
    return listing(request, hub.at("actions/runs"), found, "workflow_runs")


def runs_of(hub, request: Request, workflow: str) -> Reply:
    mine = [run for run in _newest_first(hub) if workflow in (str(run["workflow_id"]), run["path"].split("/")[-1])]
    found = [_shown(run) for run in mine if _fits(run, request.query)]
    return listing(request, hub.at(f"actions/workflows/{workflow}/runs"), found, "workflow_runs")


def run(hub, request: Request, number: str) -> Reply:
    return Reply(_shown(_run(hub, number)))


def jobs(hub, request: Request, number: str, attempt: str | None = None) -> Reply:
    return listing(request, hub.at(f"actions/runs/{number}/jobs"), _run(hub, number)["jobs"], "jobs")


def artifacts(hub, request: Request, number: str) -> Reply:
    _run(hub, number)
    found = [one for one in hub.artifacts() if one["workflow_run"]["id"] == int(number)]
    wanted = [one for one in found if one["name"] == request.query.get("name", one["name"])]
    return listing(request, hub.at(f"actions/runs/{number}/artifacts"), wanted, "artifacts")


def all_artifacts(hub, request: Request) -> Reply:
    wanted = [one for one in reversed(hub.artifacts()) if one["name"] == request.query.get("name", one["name"])]
    return listing(request, hub.at("actions/artifacts"), wanted, "artifacts")


def artifact(hub, request: Request, number: str, zipped: str | None = None) -> Reply:
    """Return an artifact's facts, or the way to its bytes; 410 if it has expired."""
    found = next((one for one in hub.artifacts() if one["id"] == int(number)), None)
    if found is None:
        raise Refusal(404, "Not Found")
    if zipped is None:
        return Reply(found)
    if found["expired"]:
        raise Refusal(410, "Artifact has expired")
    return hub.redirect(hub.artifact_file(found["workflow_run"]["id"], found["name"]))


def runners(hub, request: Request) -> Reply:
    return listing(request, hub.at("actions/runners"), hub.runners, "runners")


def add_runner(hub, request: Request) -> Reply:
    """Let a machine register itself, which is how `cml runner launch` ends."""
    asked = request.json()
    labels = [{"name": label} for label in ["self-hosted", *asked["labels"]]]
    fields = {"id": hub.next_id(), "name": asked["name"], "os": "linux", "status": "online", "busy": False}
    hub.runners.append(fields | {"labels": labels, "launched_with": asked["launched_with"]})
    return Reply(hub.runners[-1], 201)


def delete_runner(hub, request: Request, number: str) -> Reply:
    if all(runner["id"] != int(number) for runner in hub.runners):
        raise Refusal(404, "Not Found")
    hub.runners = [runner for runner in hub.runners if runner["id"] != int(number)]
    return Reply(status=204)


def attest(hub, request: Request) -> Reply:
    hub.attestations.append(request.json())
    return Reply({"id": len(hub.attestations)}, 201)


def described(hub, number: int, path: Path) -> dict:
    """Return an artifact, which lies in a file artifacts/RUN/NAME.zip, as the API shows it."""
    run, made = hub.runs[int(path.parent.name)], datetime.fromtimestamp(path.stat().st_mtime, UTC)
    times = dict.fromkeys(("created_at", "updated_at"), moment(made)) | {
        "expires_at": moment(made + timedelta(days=90))
    }
    source = {name: run[name] for name in ("id", "head_branch", "head_sha")}
    source |= {f"{name}_id": run[name]["id"] for name in ("repository", "head_repository")}
    content = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    facts = {"id": number, "name": path.stem, "size_in_bytes": len(content), "digest": digest}
    links = {
        "url": hub.at(f"actions/artifacts/{number}"),
        "archive_download_url": hub.at(f"actions/artifacts/{number}/zip"),
    }
    return facts | times | links | {"expired": number in hub.expired, "workflow_run": source}


def registered(hub, number: int, facts: dict, jobs_now: list[dict]) -> dict:
    """Return a run as the API shows it; `facts`: what the runner knows (event, head_sha, path, conclusion, …)."""
    links = {"url": hub.at(f"actions/runs/{number}"), "html_url": f"{hub.url}/{hub.repo}/actions/runs/{number}"}
    links |= {
        "jobs_url": hub.at(f"actions/runs/{number}/jobs"),
        "artifacts_url": hub.at(f"actions/runs/{number}/artifacts"),
    }
    owner = facts["head_owner"]
    repository = hub.repository(OWNER)
    head = repository if owner == OWNER else hub.repository(owner)
    numbers = {"id": number, "run_number": number, "run_attempt": 1, "workflow_id": sum(facts["path"].encode())}
    shown = {name: value for name, value in facts.items() if name != "head_owner"}
    jobs_shown = [
        {"id": number * 1000 + place, "run_id": number, "run_attempt": 1} | job for place, job in enumerate(jobs_now)
    ]
    ends = {"repository": repository, "head_repository": head, "pull_requests": [], "jobs": jobs_shown}
    return numbers | links | shown | ends


ROUTES = (
    ("GET", r"/actions/runs", runs),
    ("GET", r"/actions/workflows/([^/]+)/runs", runs_of),
    ("GET", r"/actions/runs/(\d+)", run),
    ("GET", r"/actions/runs/(\d+)/jobs", jobs),
    ("GET", r"/actions/runs/(\d+)/attempts/(\d+)/jobs", jobs),
    ("GET", r"/actions/runs/(\d+)/artifacts", artifacts),
    ("GET", r"/actions/artifacts", all_artifacts),
    ("GET", r"/actions/artifacts/(\d+)", artifact),
    ("GET", r"/actions/artifacts/(\d+)/(zip)", artifact),
    ("GET", r"/actions/runners", runners),
    ("POST", r"/actions/runners", add_runner),
    ("DELETE", r"/actions/runners/(\d+)", delete_runner),
    ("POST", r"/attestations", attest),
)
