"""Wheels: cached by hash, never used unless they are the pinned ones, and a short cure where there is no network."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from textgate import downloads
from textgate.errors import CannotTell, run

NAME = "made_up_words-1.0-py3-none-any.whl"


def make_wheel(folder: Path, text: str = "made up", name: str = NAME) -> str:
    """Write a wheel that pip accepts and return its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    about = "made_up_words-1.0.dist-info"
    files = {
        "made_up_words/words.txt": text,
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: made-up-words\nVersion: 1.0\nRequires-Python: >=3.99\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{member},,\n" for member in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member, content in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(member, content)
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty cache and no package index: pip sees only the folder tmp_path/index."""
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("TEXTGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "cache" / "downloads"


def test_cache_folder__follows_the_environment_and_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for named, place in ((str(tmp_path / "a/b"), tmp_path / "a/b"), ("", tmp_path / ".cache/textgate")):
        monkeypatch.setenv("TEXTGATE_CACHE", named)
        assert downloads.cache_folder() == place
        assert place.is_dir()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/proc/nope", "No such file or directory"),
        ("/dev/null", "File exists"),
        ("/dev/null/below", "Not a directory"),
        ("~nobody-of-this-name/cache", "Could not determine home directory"),
    ],
)
def test_cache_folder__one_that_cannot_be_made_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str, reason: str
) -> None:
    monkeypatch.setenv("TEXTGATE_CACHE", place)
    assert run(lambda: downloads.fetch_wheel("made-up-words==1.0", "b" * 64) and None) == 2
    said = f"{place}, the cache, cannot be made: {reason}: set TEXTGATE_CACHE to another folder"
    assert capsys.readouterr().err == f"cannot tell: {said}\n"


def test_fetch_wheel__cached_file_needs_no_network(cache: Path) -> None:
    sha256 = make_wheel(cache)
    assert downloads.fetch_wheel("made-up-words==1.0", sha256) == cache / NAME


def test_fetch_wheel__downloads_once_and_keeps_nothing_else(cache: Path, tmp_path: Path) -> None:
    sha256 = make_wheel(tmp_path / "index")
    assert downloads.fetch_wheel("made-up-words==1.0", sha256) == cache / NAME
    (tmp_path / "index" / NAME).unlink()
    assert downloads.fetch_wheel("made-up-words==1.0", sha256) == cache / NAME
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_fetch_wheel__another_platforms_file_can_be_fetched(cache: Path, tmp_path: Path) -> None:
    name = "made_up_words-1.0-py3-none-manylinux2014_s390x.whl"
    sha256 = make_wheel(tmp_path / "index", name=name)
    assert downloads.fetch_wheel("made-up-words==1.0", sha256, "manylinux2014_s390x") == cache / name


def test_fetch_wheel__foreign_file_is_refused_and_not_kept(cache: Path, tmp_path: Path) -> None:
    actual = make_wheel(tmp_path / "index")
    with pytest.raises(CannotTell) as caught:
        downloads.fetch_wheel("made-up-words==1.0", "a" * 64)
    assert str(caught.value) == f"{NAME} has the sha256 {actual}, pinned is {'a' * 64}: check both under configs/"
    assert list(cache.iterdir()) == []


def test_fetch_wheel__damaged_cached_file_is_replaced(cache: Path, tmp_path: Path) -> None:
    sha256 = make_wheel(tmp_path / "index")
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(b"half a download")
    assert downloads.fetch_wheel("made-up-words==1.0", sha256).stat().st_size > 100


def test_fetch_wheel__without_network_says_what_to_fetch_and_where_to_put_it(cache: Path) -> None:
    with pytest.raises(CannotTell) as caught:
        downloads.fetch_wheel("made-up-words==1.0", "b" * 64, "manylinux2014_x86_64")
    message = str(caught.value)
    assert message.startswith("made-up-words==1.0 cannot be fetched: No matching distribution found")
    assert "--platform=manylinux2014_x86_64 made-up-words==1.0" in message
    assert f"(sha256 {'b' * 12}…) into {cache}" in message
    assert "\n" not in message
    assert len(message) < 600


def test_fetch_wheel__unreachable_index_is_named_as_such(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(CannotTell, match="the package index cannot be reached"):
        downloads.fetch_wheel("made-up-words==1.0", "b" * 64)


class BusyThenUnknown(BaseHTTPRequestHandler):
    """A hub that is too busy at first, and then does not know the repository."""

    answers = iter((429, 429, 404, 404))

    def do_HEAD(self) -> None:
        """Answer the next request."""
        self.send_response(next(self.answers))
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Retry-After", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


FROM_HUB = """
import sys
from textgate.downloads import fetch_hub_file
from textgate.errors import run
sys.exit(run(lambda: fetch_hub_file("somebody/nothing", "x.json", "a" * 40, "model")))
"""


def test_fetch_hub_file__a_failure_is_one_line_of_whole_words_without_the_librarys_retries(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BusyThenUnknown) as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        places = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "PYTHONPATH": "src"}
        done = subprocess.run(
            [sys.executable, "-c", FROM_HUB], env=os.environ | places, capture_output=True, text=True, check=False
        )
        hub.shutdown()
    assert done.returncode == 2
    assert done.stderr.startswith(
        "cannot tell: somebody/nothing: x.json at aaaaaaaaaaaa cannot be fetched from the hub: 404 Client Error"
    )
    assert " …: check the names and the network, or run this once where the hub is reached" in done.stderr
    assert done.stderr.count("\n") == 1
