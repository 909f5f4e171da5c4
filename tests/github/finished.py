"""One run of ci that passed, kept so that its end can be told again for any pull request, with whatever evidence."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.github import events
from tests.github.exchange import now
from tests.github.hub import LocalGitHub
from tests.github.project import Project, made_up_rows
from tests.github.runner import Run


@dataclass(frozen=True)
class Finished:
    """Its jobs as the API shows them, and the files of its artifact `evidence`."""

    jobs: tuple[dict, ...]
    files: dict[str, bytes]

    @staticmethod
    def of_a_good_pull_request(folder: Path) -> "Finished":
        """Run ci once, on a GitHub of its own."""
        with LocalGitHub(folder / "hub") as hub:
            (folder / "project").mkdir()
            project = Project(hub, folder / "project")
            project.branch("good")
            project.rows(made_up_rows(20, seed=8))
            ci = events.pull_request(hub, project.pull_request("good"))
            assert ci.conclusion == "success", ci.text
            return Finished(tuple(ci.api["jobs"]), hub.unzip(ci.id, "evidence"))

    def again(
        self,
        hub: LocalGitHub,
        number: int,
        evidence: bytes | None,
        conclusion: str = "success",
        ended: dict[str, str | None] | None = None,
    ) -> Run:
        """Let a run like this one have ended for the newest commit of a pull request.

        `evidence`: the bytes of the artifact; None: it left none. `ended`: other conclusions of jobs, by name; None:
        the job is not there. The gate began now: what was uploaded before does not count.
        """
        others = ended or {}
        jobs = [
            job | {"conclusion": others.get(job["name"], job["conclusion"]), "started_at": now()}
            for job in self.jobs
            if others.get(job["name"], "") is not None
        ]
        head = hub.pull(number)["head"]
        owner = {"login": head["repo"]["owner"]["login"]}
        facts = {"name": "ci", "path": ".github/workflows/ci.yml", "event": "pull_request", "created_at": now()}
        facts |= {"head_sha": head["sha"], "head_branch": head["ref"], "head_owner": owner["login"]}
        facts |= {"status": "completed", "conclusion": conclusion, "actor": owner, "triggering_actor": owner}
        run = hub.next_id()
        shown = hub.register(run, facts, jobs)
        if evidence is not None:
            file = hub.artifact_file(run, "evidence")
            file.parent.mkdir()
            file.write_bytes(evidence)
        return Run(run, conclusion, {}, shown, "")

    @property
    def evidence(self) -> bytes:
        """Return the artifact as it was."""
        return zipped(self.files)


def zipped(files: dict[str, bytes]) -> bytes:
    """Return the zip of files by name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()
