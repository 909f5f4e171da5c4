"""The npm program `emulate`: users, repositories, pull requests, issue comments, labels and checks."""

import fcntl
import json
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.kept_port import kept_port

HERE = Path(__file__).resolve().parent / "emulator"
OWNER, REPOSITORY, BOT = "acme", "langid", "github-actions[bot]"
USERS = (OWNER, "rosa", "mallory", BOT)


def token_of(login: str) -> str:
    """Return the token by which the emulator knows somebody; only the proxy uses it."""
    return f"emulator-{USERS.index(login)}"


def install() -> Path:
    """Install what package-lock.json pins, once, and return the program."""
    program = HERE / "node_modules" / "emulate" / "dist" / "index.js"
    with (HERE / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True)
    return program


def seed() -> dict:
    """Return who exists: an owner, a colleague who may push, a stranger with a fork, and the workflows' own user."""
    return {
        "tokens": {token_of(login): {"login": login, "scopes": ["repo", "user"]} for login in USERS},
        "github": {
            "users": [{"login": login} for login in USERS],
            "repos": [{"owner": OWNER, "name": REPOSITORY, "auto_init": True}],
        },
    }


class Emulator:
    """A running emulator; `url` is where it listens, `advertised` the address that it writes into its answers."""

    def __init__(self, folder: Path, advertised: str) -> None:
        """Start it and wait until it answers; AssertionError with its log if it does not."""
        seeds, self._log = folder / "seed.json", folder / "emulate.log"
        seeds.write_text(json.dumps(seed()), encoding="utf-8")
        with kept_port() as port, self._log.open("w") as log:
            self.url = f"http://127.0.0.1:{port}"
            options = ["--service", "github", "--port", str(port), "--seed", str(seeds), "--base-url", advertised]
            command = ["node", str(install()), "start", *options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
            self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 300
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/repos/{OWNER}/{REPOSITORY}", timeout=60):
                    return
            except OSError:  # also if it ends the connection, which is no URLError
                time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the emulator did not start: {self._log.read_text()}")

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
