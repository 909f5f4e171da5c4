"""The benchmark of batch scoring's memory: what it looks at, and what it calls flat."""

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import batch_memory  # noqa: E402 - the scripts import each other by these names
import scored_file  # noqa: E402

HOLD = "import sys; held = bytearray(b'x' * 60_000_000); print('held', flush=True); sys.stdin.read()"
TWO = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


def run(rows, *megabytes):
    return batch_memory.Run(rows, 2.0, [size * 1_000_000 for size in megabytes], 0.5)


def test_memory__of_a_session_is_that_of_all_its_processes():
    with subprocess.Popen(
        [sys.executable, "-c", TWO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        assert parent.stdout.readline() == b"held\n"
        alone = int(Path(f"/proc/{parent.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert batch_memory.resident(parent.pid) > alone + 60_000_000
        parent.stdin.close()


def test_memory__that_grows_with_the_file_misses_the_goal():
    small = run(100, 100, 200, 150)
    assert batch_memory.result([small, run(1000, 100, 210, 219, 150)]).met
    missed = batch_memory.result([small, run(1000, 100, 210, 221)])
    assert (missed.met, missed.ratio.median) == (False, 1.105)
    assert missed.figures["peak at 1,000 rows (MB)"] == 221.0


def test_memory__is_told_at_shares_of_the_time():
    told = run(100, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    assert [told.at(share) for share in batch_memory.SHARES] == [10.0, 50.0, 100.0]


def test_rows__are_texts_and_hardly_any_is_there_twice(tmp_path):
    batch_memory.make(tmp_path / "rows.jsonl", 500)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == list(range(500))
    assert len({row["text"] for row in rows}) > 495


def test_remove__frees_a_target_of_all_that_a_killed_run_left(tmp_path):
    left = [tmp_path / f"scored.jsonl{ending}" for ending in ("", ".part", ".rejects.jsonl.part", ".state")]
    for path in (*left, tmp_path / "scored-peer.jsonl"):
        path.touch()
    scored_file.remove(tmp_path / "scored.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["scored-peer.jsonl"]
