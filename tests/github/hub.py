"""A GitHub on this machine with one repository, acme/langid: what workflows, gh and cml talk to in the scenarios."""

import itertools
import json
import secrets
import ssl
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, Self

from tests.github import actions_api, certificate, pulls_api
from tests.github.emulator import BOT, OWNER, REPOSITORY, Emulator
from tests.github.exchange import Refusal, Reply, Token
from tests.github.git_side import BareRepository, git
from tests.github.proxy import HOME, Door, Fault, Hold, ask_emulator


class LocalGitHub:
    """Started by `with LocalGitHub(folder) as hub`. Attributes that the routes keep their state in are plain values.

    `url` (https://localhost:PORT), `host`, `authority` (whom to trust, PEM), `git` (the bare repository),
    `owner` (a token that may do everything).
    """

    repo = f"{OWNER}/{REPOSITORY}"

    def __init__(self, folder: Path | None = None) -> None:
        """Make the files and the door; `with` starts it. Without a folder, one is made and left to the system."""
        self.folder = folder or Path(tempfile.mkdtemp(prefix="local-github-"))
        for name in ("artifacts", "assets", "cache"):
            (self.folder / name).mkdir(parents=True)
        made = certificate.make(self.folder)
        self.authority, self._door = made.authority, Door(self, made.server)
        self.host = f"localhost:{self._door.server_address[1]}"
        self.url = f"https://{self.host}"
        self.git = BareRepository(self.folder / "github.git")
        self._trust = ssl.create_default_context(cafile=str(self.authority))
        self._numbers, self._links = itertools.count(101), {}
        self.tokens: dict[str, Token] = {}
        self.owner = self.token(OWNER)
        self.runs: dict[int, dict] = {}
        self.pulls: dict[int, dict] = {}
        self.releases: list[dict] = []
        self.runners: list[dict] = []
        self.attestations: list[dict] = []
        self.settings: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        self._artifact_ids: dict[Path, int] = {}
        self.expired: set[int] = set()

    def __enter__(self) -> Self:
        """Start the emulator and the door."""
        self.emulator = Emulator(self.folder, f"{self.url}/api/v3")
        self._door.start()
        self.emulated("POST", f"{HOME}/forks", {}, "mallory")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        for hold in self._door.holds:
            hold.ended.set()
        self._door.shutdown()
        self._door.server_close()
        self.emulator.stop()

    # --- for tests: to ask, to break, to give tokens

    def token(self, login: str = BOT, scopes: dict[str, str] | None = None) -> str:
        """Return a new token of somebody; scopes such as {"contents": "read"} make it a workflow's."""
        made = f"ghs_{secrets.token_hex(18)}"
        self.tokens[made] = Token(login, scopes)
        return made

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Ask over HTTPS for a path of the repository (or from the root: /user); return status and JSON."""
        address = f"{self.url}/api/v3{path if path.startswith('/') else f'{HOME}/{path}'.rstrip('/')}"
        headers = {"Authorization": f"Bearer {self.owner if token is None else token}"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(address, data, headers, method=method)
        try:
            with urllib.request.urlopen(asked, context=self._trust, timeout=300) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask as the owner and return the JSON; a test fails on any other answer than success."""
        status, value = self.call(method, path, body)
        assert status < 400, f"{method} {path}: {status} {value}"
        return value

    def fail(
        self, method: str, path: str, status: int, times: int = 1, headers: dict | None = None, message="", after=0
    ) -> None:
        """Answer the next calls whose path fits with an error, when `after` others were answered; 0 drops the line."""
        self._door.faults.append(Fault(method, path, status, times, headers or {}, message or "Server Error", after))

    def hold(self, method: str, path: str, after: int) -> Hold:
        """Leave one call whose path fits unanswered, when `after` others of its kind were answered.

        Returned is a `then` for the runner: it waits until that call has come, and has the run cancelled.
        """
        self._door.holds.append(hold := Hold(method, path, after))
        return hold

    def corrupt(self, asset: str) -> None:
        """Change the stored bytes of the newest asset of that name, behind everybody's back."""
        found = [one for release in self.releases for one in release["assets"] if one["name"] == asset][-1]
        content = bytearray(self.asset_file(found["id"]).read_bytes())
        content[len(content) // 2] ^= 1
        self.asset_file(found["id"]).write_bytes(content)

    @property
    def seen(self) -> list[tuple[str, str]]:
        """Every call so far: (method, path without /api/v3)."""
        return self._door.seen

    # --- for tests: what people do

    def push(self, workdir: Path, branch: str, owner: str = OWNER, ref: str = "HEAD") -> str:
        """Push a commit of a working tree to somebody's branch; open pull requests from it follow. Return the SHA."""
        git(workdir, "push", "--quiet", "--force", str(self.git.folder), f"{ref}:{self.git.ref(owner, branch)}")
        for number, known in self.pulls.items():
            if known["ref"] == self.git.ref(owner, branch) and self.pull(number)["state"] == "open":
                self._update(number)
        return self.git.sha(self.git.ref(owner, branch))

    def tag(self, name: str, sha: str) -> None:
        """Push a tag, as a person does."""
        self.git.set_ref(f"refs/tags/{name}", sha)

    def open_pull(self, branch: str, owner: str = OWNER, title: str = "A change", login: str | None = None) -> dict:
        """Open a pull request from somebody's branch to main and return it."""
        asked = {"title": title, "head": f"{owner}:{branch}", "base": "main"}
        number = self.emulated("POST", f"{HOME}/pulls", asked, login or owner)["number"]
        self.pulls[number] = {"ref": self.git.ref(owner, branch)}
        self._update(number)
        return self.pull(number)

    def _update(self, number: int) -> None:
        head, base = self.git.sha(self.pulls[number]["ref"]), self.git.sha("refs/heads/main")
        merge = self.git.merge(base, head, f"Merge {head} into {base}", (base, head))
        self.pulls[number] |= {"head": head, "base": base, "merge": merge}
        for name in ("head", "merge"):
            if self.pulls[number][name]:
                self.git.set_ref(f"refs/pull/{number}/{name}", self.pulls[number][name])

    def merge_pull(self, number: int) -> str:
        """Squash a pull request onto main, as a person does, and return the new commit."""
        return self.api("PUT", f"pulls/{number}/merge", {})["sha"]

    def pull(self, number: int) -> dict:
        """Return a pull request as the API shows it."""
        return pulls_api.overlay(self, self.emulated("GET", f"{HOME}/pulls/{number}", None, OWNER))

    def comment(self, number: int, body: str, login: str) -> dict:
        """Post a comment as somebody."""
        return self.emulated("POST", f"{HOME}/issues/{number}/comments", {"body": body}, login)

    def comments(self, number: int) -> list[dict]:
        """Return all comments of a pull request, oldest first."""
        found, page = [], 1
        while part := self.api("GET", f"issues/{number}/comments?per_page=100&page={page}"):
            found, page = found + part, page + 1
        return found

    # --- for the routes and the runner

    def at(self, path: str) -> str:
        """Return the API address of something in the repository."""
        return f"{self.url}/api/v3{HOME}/{path}"

    def next_id(self) -> int:
        """Return a number that was not given out yet."""
        return next(self._numbers)

    def emulated(self, method: str, path: str, body: Any, login: str) -> Any:
        """Ask the emulator directly; AssertionError if it refuses."""
        content = b"" if body is None else json.dumps(body).encode()
        status, _, answer = ask_emulator(self, method, path, content, Token(login))
        assert status < 400, f"{method} {path}: {status} {answer!r}"
        return json.loads(answer or b"null")

    def repository(self, owner: str) -> dict:
        """Return the repository, or somebody's fork of it, as the API shows it."""
        return pulls_api.overlay(self, self.emulated("GET", f"/repos/{owner}/{REPOSITORY}", None, OWNER))

    def register(self, number: int, facts: dict, jobs: list[dict]) -> dict:
        """Keep a run as the runner reports it and return it as the API shows it."""
        self.runs[number] = actions_api.registered(self, number, facts, jobs)
        return self.runs[number]

    def artifact_file(self, run: int, name: str) -> Path:
        """Return where the zip of a run's artifact lies."""
        return self.folder / "artifacts" / str(run) / f"{name}.zip"

    def artifacts(self) -> list[dict]:
        """Return every artifact, oldest first; uploads of a running workflow are seen at once."""
        files = sorted((self.folder / "artifacts").glob("*/*.zip"), key=lambda path: path.stat().st_mtime_ns)
        return [self._artifact(path) for path in files]

    def _artifact(self, path: Path) -> dict:
        if path not in self._artifact_ids:
            self._artifact_ids[path] = self.next_id()
        return actions_api.described(self, self._artifact_ids[path], path)

    def unzip(self, run: int, name: str) -> dict[str, bytes]:
        """Return the files of an artifact."""
        with zipfile.ZipFile(self.artifact_file(run, name)) as archive:
            return {member: archive.read(member) for member in archive.namelist()}

    def asset_file(self, number: int) -> Path:
        """Return where the bytes of a release asset lie."""
        return self.folder / "assets" / str(number)

    def redirect(self, file: Path) -> Reply:
        """Send the caller to the bytes, at an address that needs no token and works for a short while."""
        address = f"/_bytes/{secrets.token_hex(16)}"
        self._links[address] = file
        return Reply(None, 302, {"Location": f"{self.url}{address}"})

    def stored(self, address: str) -> bytes:
        """Return the bytes that `redirect` pointed to."""
        if address not in self._links:
            raise Refusal(403, "Signature not valid")
        return self._links[address].read_bytes()
