"""A minute (TEXTGATE_SOAK_SECONDS: longer) of load, attacks and other models at once; a kill -9; an orderly end."""

import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median

import pytest
from tests.serve_load import Clients, Load
from tests.serve_process import ServeProcess, small_bundle

from textgate.serve.audit.verify import verify

SECONDS = float(os.environ.get("TEXTGATE_SOAK_SECONDS", "60"))
RELOAD_SECONDS = 1.5
MOST_GROWTH = 1.1  # of the memory, from the first quarter of a process's life to its last
KINDS = {("/predict", 200), ("/predict", 422), ("/explain", 200)}  # that must have been answered, and how
HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
ATTACKS = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    HEAD + b"Content-Length: 100000000\r\n\r\n" + b"x" * 2_000_000,
    HEAD + b"Content-Length: 900000\r\n\r\n" + b"[" * 900_000,
    HEAD + b"Content-Length: 30\r\n\r\n{",  # and nothing more
    HEAD + b"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x ",
    HEAD + b'Content-Length: 14\r\n\r\n{"text": "\xff\xfe"}',
    (HEAD + b'Content-Length: 16\r\n\r\n{"text": "snow"}') * 200,  # nobody reads what comes back
)


@dataclass
class Attackers(Clients):
    """Clients that mean no good: each sends what no server likes, waits a moment and hangs up."""

    sent: int = 0

    def _client(self, first):
        for attack in cycle((*ATTACKS[first:], *ATTACKS[:first])):
            with contextlib.suppress(OSError), socket.create_connection(self.address, timeout=2) as connection:
                self.sent += 1
                connection.sendall(attack)
                connection.settimeout(0.5)
                connection.recv(1000)
            if self.stopped.wait(0.2):
                return


def flip(link, target):
    new = link.with_name("next")
    new.symlink_to(target)
    new.replace(link)


def memory(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def live(service, link, bundles, seconds):
    """Put another model in place now and then; return what became of the memory (MiB), and how many were taken."""
    end, sizes = time.monotonic() + seconds, []
    while (left := end - time.monotonic()) > 0:
        flip(link, bundles[len(sizes) % 2])
        time.sleep(min(left, RELOAD_SECONDS))
        sizes.append(memory(service.process))
    quarter = len(sizes) // 4
    reloads = service.metric("textgate_reloads_total", outcome="passed")
    assert reloads >= 0.6 * seconds / RELOAD_SECONDS
    assert service.metric("textgate_reloads_total", outcome="refused") == 0
    return median(sizes[:quarter]), median(sizes[-quarter:]), int(reloads)


def kinds(service):
    """Return which endpoints this process answered, and how often."""
    return {
        (path, status): service.metric("textgate_requests_total", endpoint=path, status=str(status))
        for path, status in KINDS
    }


def recorded(folder):
    lines = (line for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines())
    return {event["request_id"] for event in (json.loads(line)["event"] for line in lines) if "request_id" in event}


@pytest.mark.long
def test_soak__nothing_accepted_is_lost_but_what_a_kill_takes(tmp_path, capsys):
    bundles = [small_bundle(tmp_path / f"bundle{seed}", seed) for seed in (1, 2)]
    link = tmp_path / "champion"
    flip(link, bundles[0])
    fast = {"models": {"check_seconds": 0.2}, "listen": {"notice_seconds": 1.0}}
    first = ServeProcess(tmp_path / "run", link, patient=False, **fast)
    with first, Load(first.address, clients=12) as load, Attackers(first.address, clients=3) as attackers:
        lives = [live(first, link, bundles, SECONDS / 2)]
        answered = [kinds(first)]
        killed_at = time.monotonic()
        first.kill()
        with ServeProcess(tmp_path / "run", link, port=first.address[1], patient=False, **fast) as second:
            ready_at = time.monotonic()
            lives.append(live(second, link, bundles, SECONDS / 2))
            answered.append(kinds(second))
            assert second.stop() == 0
    errors = [(at, what) for at, what in load.outcomes if isinstance(what, str)]
    with capsys.disabled():
        print(
            f"\n{len(load.outcomes)} requests, {attackers.sent} attacks, {len(errors)} unanswered at the kill;", end=""
        )
        for name, (before, after, reloads) in zip(("first", "second"), lives, strict=True):
            print(f" {name} process: {reloads} reloads, {before:.1f} to {after:.1f} MiB;", end="")
        print(f" again after {ready_at - killed_at:.1f} s")
    assert all(after < before * MOST_GROWTH for before, after, _ in lives)
    assert all(times > 0 for process in answered for times in process.values()), answered
    assert attackers.sent > SECONDS
    assert {what for _, what in load.outcomes if not isinstance(what, str)} <= {200, 422, 503}
    assert [error for error in errors if not killed_at - 1 < error[0] < ready_at] == []
    assert len(errors) <= 2 * load.clients  # what was in flight, and who had connected and was not let in yet
    assert [line for process in (first, second) for line in process.log() if line.get("level") == "error"] == []
    found = verify(tmp_path / "run" / "audit")
    assert found.holds, found
    assert set(load.answered) <= recorded(tmp_path / "run" / "audit")
    assert len(load.answered) > 100 * SECONDS / 10
