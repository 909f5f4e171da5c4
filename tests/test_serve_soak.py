"""A minute (TEXTGATE_SOAK_SECONDS: longer) of everything at once: load, other models, a kill -9, an orderly end."""

import json
import os
import time
from pathlib import Path

import pytest
from tests.serve_load import Load
from tests.serve_process import ServeProcess, small_bundle

from textgate.serve.audit.verify import verify

SECONDS = float(os.environ.get("TEXTGATE_SOAK_SECONDS", "60"))
MOST_GROWTH = 1.1  # of the memory, from the first quarter of a process's life to its end


def flip(link, target):
    new = link.with_name("next")
    new.symlink_to(target)
    new.replace(link)


def memory(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


def live(service, link, bundles, seconds):
    """Let some time pass in which another model is put in place now and then; return the memory at two times."""
    end, sizes = time.monotonic() + seconds, []
    while (left := end - time.monotonic()) > 0:
        flip(link, bundles[len(sizes) % 2])
        time.sleep(min(left, 1.5))
        sizes.append(memory(service.process))
    return sizes[len(sizes) // 4], sizes[-1]


def recorded(folder):
    lines = (line for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines())
    return {event["request_id"] for event in (json.loads(line)["event"] for line in lines) if "request_id" in event}


@pytest.mark.long
def test_soak__nothing_accepted_is_lost_but_what_a_kill_takes(tmp_path):
    bundles = [small_bundle(tmp_path / f"bundle{seed}", seed) for seed in (1, 2)]
    link = tmp_path / "champion"
    flip(link, bundles[0])
    fast = {"models": {"check_seconds": 0.2}, "listen": {"notice_seconds": 1.0}}
    killed_at = ready_at = 0.0
    first = ServeProcess(tmp_path / "run", link, **fast)
    with first, Load(first.address, clients=12) as load:
        before, after = live(first, link, bundles, SECONDS / 2)
        assert after < before * MOST_GROWTH
        assert first.metric("textgate_reloads_total", outcome="passed") >= SECONDS / 10
        killed_at = time.monotonic()
        first.kill()
        with ServeProcess(tmp_path / "run", link, port=first.address[1], **fast) as second:
            ready_at = time.monotonic()
            before, after = live(second, link, bundles, SECONDS / 2)
            assert after < before * MOST_GROWTH
            assert second.stop() == 0
    errors = [(at, what) for at, what in load.outcomes if isinstance(what, str)]
    assert {what for _, what in load.outcomes if not isinstance(what, str)} <= {200, 422, 503}
    assert [error for error in errors if not killed_at - 1 < error[0] < ready_at] == []
    assert len(errors) <= 2 * load.clients  # what was in flight, and who had connected and was not let in yet
    found = verify(tmp_path / "run" / "audit")
    assert found.holds, found
    assert set(load.answered) <= recorded(tmp_path / "run" / "audit")
    assert len(load.answered) > 100 * SECONDS / 10
