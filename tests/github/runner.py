"""Runs one workflow with act, and tells the local GitHub about the run as GitHub's own runners do."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.github.act_log import Log
from tests.github.emulator import OWNER
from tests.github.exchange import now
from tests.github.git_side import git
from tests.github.hub import LocalGitHub
from tests.github.proxy import Hold
from tests.github.shells import ENDED, Gate
from tests.github.stuck import Silence, end, end_steps, give_up
from tests.github.workflow_file import Workflow, local_actions

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
MOST_SAID = 6_000  # characters
HOSTED = ("ubuntu-24.04", "ubuntu-latest")


@dataclass(frozen=True)
class Run:
    """What a workflow did. `jobs` by id (`deploy/publish` for a called workflow); `api`: the run as GitHub shows it."""

    id: int
    conclusion: str
    jobs: dict[str, Any]
    api: dict[str, Any]
    text: str = field(repr=False)

    def step(self, job: str, step: str) -> str:
        """Return the conclusion of a step by its id, or by its place."""
        return self.jobs[job].steps[step]

    def said(self, job: str) -> str:
        """Return what a job printed."""
        return "".join(self.jobs[job].lines)


def program(name: str) -> str:
    """Return where a program is: beside the Python that runs the tests, or on the PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed: make .venv/dev-ready"
    return found


def run(
    hub: LocalGitHub,
    workflow: str,
    event_name: str,
    event: Mapping[str, Any],
    sha: str,
    *,
    variables: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    read_only: bool = False,
    labels: tuple[str, ...] = (),
    at_step: tuple[str, str] | None = None,
    then: Callable[[], object] | None = None,
    timeout: float = 300,
) -> Run:
    """Run .github/workflows/WORKFLOW of commit `sha` and return what became of it.

    The token has the permissions that the workflow's jobs ask for (all of them together), or reads alone if
    `read_only`, as for a fork. `labels`: self-hosted labels for which there is a machine. `at_step` (job, step): when
    that step begins, `then` is called, and the step, if bash runs it, waits for its end; without `then` the run is
    cancelled. With `hub.hold` as `then` the step goes on, and the run is cancelled when the call has come. It is given
    up when it has said nothing for `timeout` seconds.
    """
    started = _Started(hub, workflow, event_name, dict(event), sha, read_only)
    command = started.command({**hub.variables, **(variables or {})}, secrets or {}, labels)
    return started.follow(command, at_step, then, timeout)


class _Started:
    """One run from its registration to its end."""

    def __init__(
        self, hub: LocalGitHub, workflow: str, event_name: str, event: dict, sha: str, read_only: bool
    ) -> None:
        """Check out what the workflow is read from, and register the run."""
        self.hub, self.event, self.event_name = hub, event, event_name
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=hub.folder))
        self.source = self.folder / "source"
        git(self.folder, "clone", "--quiet", "--no-checkout", f"file://{hub.git.folder}", str(self.source))
        git(self.source, "fetch", "--quiet", f"file://{hub.git.folder}", sha)
        git(self.source, "checkout", "--quiet", "--detach", sha)
        git(self.source, "remote", "set-url", "origin", f"{hub.url}/{hub.repo}")
        self.path = f".github/workflows/{workflow}"
        self.workflow = Workflow.read(self.source / self.path)
        scopes = self.workflow.permissions()
        self.token = hub.token(scopes=dict.fromkeys(scopes, "read") if read_only else scopes)
        self.number = hub.next_id()
        self.facts = self._facts(sha)
        self._register("in_progress", None, [])

    def _facts(self, sha: str) -> dict[str, Any]:
        """Return what GitHub says about a run; on a pull request, its commit is the head and not the merge."""
        head = self.event.get("pull_request", {}).get("head", {})
        ref = self.event.get("merge_group", {}).get("head_ref") or self.event.get("ref", "refs/heads/main")
        branch = head.get("ref") or re.sub("^refs/(heads|tags)/", "", ref)
        owner = head["repo"]["owner"]["login"] if head else OWNER
        names = {"name": self.workflow.name, "event": self.event_name, "path": self.path}
        source = {"head_sha": head.get("sha", sha), "head_branch": branch, "head_owner": owner}
        started = dict.fromkeys(("created_at", "run_started_at"), now())
        return names | source | started | {"actor": {"login": owner}, "triggering_actor": {"login": owner}}

    def _register(self, status: str, conclusion: str | None, jobs: list[dict]) -> dict[str, Any]:
        times = {"status": status, "conclusion": conclusion, "updated_at": now()}
        return self.hub.register(self.number, self.facts | times, jobs)

    def follow(self, command: list[str], at_step: tuple | None, then: Callable | None, timeout: float) -> Run:
        """Let act work and report; AssertionError if it falls silent, or breaks in another way than a job does."""
        log, cancelled, errors = Log(self.workflow), False, self.folder / "act.log"
        gate = Gate(self.folder, at_step)
        with errors.open("w") as file:
            pipes = {"stdout": subprocess.PIPE, "stderr": file, "text": True}
            process = subprocess.Popen(command, env=self._environment(), start_new_session=True, **pipes)
        stuck: list[str] = []
        silence = Silence(timeout, lambda: stuck.append(self._give_up(process.pid)))
        silence.start()
        try:
            for line in process.stdout or ():
                silence.heard()
                log.add(line)
                if at_step and log.running(*at_step):
                    at_step, cancelled = None, then is None or isinstance(then, Hold)
                    self._then(then, gate)
                    if cancelled:
                        end(process.pid)
            code = process.wait()
        except BaseException:  # `then` failed
            end(process.pid)
            raise
        finally:
            silence.end()
            silence.join()
            process.wait()
            process.stdout.close()
            end_steps(self.folder)
            gate.open()  # now nobody waits there
        said = errors.read_text(encoding="utf-8")
        jobs = log.jobs(cancelled=cancelled)
        conclusion = "cancelled" if cancelled else log.conclusion()
        # First: `give_up` also waits for act, and then nobody else learns with which code it ended.
        assert not stuck, self._silent(timeout, stuck[0], log.text, said)
        assert cancelled or (code == 0) == (conclusion != "failure"), f"act ended with {code}:\n{log.text}{said}"
        api = self._register("completed", conclusion, [job.shown(self.hub.host) for job in jobs.values()])
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        return Run(self.number, conclusion, jobs, api, log.text + said)

    def _give_up(self, number: int) -> str:
        """Return what the run was doing, and end it and whatever may hold its output open."""
        told = give_up(number)
        end_steps(self.folder)
        return told

    @staticmethod
    def _then(then: Callable | None, gate: Gate) -> None:
        """Do what a test wants when a step begins; what it waits for in a step that goes on, a gate must not keep."""
        if isinstance(then, Hold):
            gate.open()
        if then is not None:
            then()
            gate.open()

    def _silent(self, timeout: float, processes: str, said: str, errors: str) -> str:
        """Return why a run was given up: the end of what it said comes last, and is the most of it."""
        calls = "\n".join(f"{method} {path}" for method, path in self.hub.seen[-5:])
        where = f"its processes:\n{processes}\nthe last calls of GitHub:\n{calls}\nact itself:\n{errors[:MOST_SAID]}"
        return f"{self.path} said nothing for {timeout} s; {where}\nits log ends with:\n{said[-MOST_SAID:]}"

    def command(self, variables: Mapping[str, str], secrets: Mapping[str, str], labels: tuple[str, ...]) -> list[str]:
        """Return the call of act."""
        event = self.folder / "event.json"
        event.write_text(json.dumps(self.event), encoding="utf-8")
        options = {
            "-C": [str(self.source)],
            "-W": [self.path],
            "-e": [str(event)],
            "-a": [self.facts["actor"]["login"]],
            "-P": [f"{label}=-self-hosted" for label in (*HOSTED, *labels)],
            "-s": [f"GITHUB_TOKEN={self.token}", *(f"{name}={value}" for name, value in secrets.items())],
            "--var": [f"{name}={value}" for name, value in variables.items()],
            "--env": [f"{name}={value}" for name, value in self._for_jobs().items()],
            "--input": [f"{name}={value}" for name, value in self.event.get("inputs", {}).items()],
            "--github-instance": [self.hub.host],
            "--action-cache-path": [str(self.folder / "work")],
            "--local-repository": local_actions(self.source, HERE / "actions"),
        }
        flags = ["--json", "--pull=false", "--no-skip-checkout", "--no-cache-server", "--concurrent-jobs=4"]
        return [
            program("act"),
            self.event_name,
            *flags,
            *(part for name, many in options.items() for one in many for part in (name, one)),
        ]

    def _for_jobs(self) -> dict[str, str]:
        """Return what every step sees beside what act sets: for the stand-ins, gh, cml and Python's TLS."""
        hub = self.hub
        return {
            "GITHUB_RUN_ID": str(self.number),
            "CML_REPO": f"{hub.url}/{hub.repo}",
            "SSL_CERT_FILE": str(hub.authority),
            "NODE_EXTRA_CA_CERTS": str(hub.authority),
            "GH_HOST": hub.host,
            "LOCAL_HUB": str(hub.folder),
            "LOCAL_RUN": str(self.folder),
            "LOCAL_ENDED": ENDED,
            "LOCAL_PROJECT": str(PROJECT),
            "LOCAL_PYTHON": sys.executable,
            "LOCAL_GH": program("gh"),
            "OMP_NUM_THREADS": "2",
            "PYTHONFAULTHANDLER": "1",  # `give_up` has Python say where it is
            "TMPDIR": str(self.folder / "tmp"),
        }

    def _environment(self) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir()
        (self.folder / "tmp").mkdir()
        programs = {str(Path(program(name)).parent) for name in ("node", "git", "make")}
        path = [str(HERE / "tools"), *programs, "/usr/local/bin", "/usr/bin", "/bin"]
        return {"HOME": str(home), "PATH": os.pathsep.join(dict.fromkeys(path)), "LANG": "C.UTF-8"}
