"""A run that is stopped goes on without a lost or doubled row; of another file or model, it says so."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.batch_example import read_back, records, rejects, sealed, settings, write_rows
from tests.run_script import ROOT

from textgate.batch.answer import Answer
from textgate.batch.batch import _score, batch, find_model
from textgate.batch.out import Files
from textgate.batch.rows import Place
from textgate.batch.state import Job, State, source_of
from textgate.batch.workers import local
from textgate.batch.written import head
from textgate.errors import CannotTell


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the folder of a sealed bundle. Read only."""
    return sealed(tmp_path_factory.mktemp("model") / "bundle")


def run(source, target, model, **changes):
    return batch(str(source), str(target), model, "text", None, settings(**changes))


def killed(folder, model, form, rows, moments):
    """Kill runs over so many rows at so many moments, and return what was seen."""
    write_rows(folder / f"in.{form}", [*records(rows), {"id": "bad", "text": " "}, *records(20)])
    command = [sys.executable, str(ROOT / "tests" / "batch_killed.py"), folder, model, form, rows, moments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == moments
    assert [(each["early"], each["same"]) for each in found] == [(False, True)] * moments
    return found


@pytest.mark.parametrize("form", ["jsonl", "csv.gz", "parquet"])
def test_batch__killed_and_begun_again_it_leaves_the_same_bytes(tmp_path, model, form):
    found = killed(tmp_path, model, form, 300, 4)
    assert sum(each["kills"] for each in found) >= 4  # of 8: on a busy machine, some runs end before the second


@pytest.mark.long
@pytest.mark.parametrize("form", ["jsonl", "csv", "jsonl.gz", "csv.gz", "parquet"])
def test_batch__killed_at_fifty_moments_it_leaves_the_same_bytes(tmp_path, model, form):
    found = killed(tmp_path, model, form, 500, 50)
    assert sum(each["kills"] for each in found) >= 50


def stopped(folder, model, name="out.jsonl", rows=40, form="jsonl"):
    """Leave what a run leaves that was killed behind its second window; return input and output."""
    source, target = folder / f"in.{form}", folder / name
    write_rows(source, [*records(rows), {"id": "bad", "text": " "}])
    whole = folder / f"whole.{name}"
    done = run(source, whole, model)
    state = {"place": {"offset": 0, "rows": 0}, "output_bytes": 0, "reject_bytes": 0, "scored": 0, "rejected": 0}
    left = State.model_validate(done.model_dump() | {"whole": False}).model_dump() | state
    lines = whole.read_bytes().splitlines(keepends=True)[:20]
    read = source.read_bytes().splitlines(keepends=True)[:20]
    left |= {"place": {"offset": len(b"".join(read)), "rows": 20}, "scored": 20, "output_bytes": len(b"".join(lines))}
    (folder / f"{name}.part").write_bytes(b"".join(lines) + b"half a row" * 2000)
    (folder / f"{name}.rejects.jsonl.part").write_bytes(b"what nobody spoke of\n" * 100)
    (folder / f"{name}.state").write_text(json.dumps(left))
    return source, target


def test_batch__goes_on_behind_what_the_state_speaks_of_and_cuts_off_the_rest(tmp_path, model):
    source, target = stopped(tmp_path, model)
    part = tmp_path / "out.jsonl.part"
    part.write_bytes(part.read_bytes().replace(b"unreleased", b"UNRELEASED"))  # to tell what is not written again
    done = run(source, target, model)
    assert (done.scored, done.rejected) == (40, 1)
    found = read_back(target)
    assert [row["row"] for row in found] == list(range(1, 41))
    assert [row["model_version"] for row in found] == ["UNRELEASED"] * 20 + ["unreleased"] * 20
    assert [row["row"] for row in rejects(target)] == [41]
    names = {"in.jsonl", "out.jsonl", "out.jsonl.rejects.jsonl", "whole.out.jsonl", "whole.out.jsonl.rejects.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == names


NAMED = {"nothing": 0, "rejects": 1, "all": 2}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("named", NAMED)
def test_batch__stopped_while_files_get_their_names_the_next_run_ends_it(tmp_path, model, form, named):
    source, target = write_rows(tmp_path / "in.jsonl", [*records(20), {"text": None}]), tmp_path / f"out.{form}"
    places = (target.with_name(target.name + ".rejects.jsonl"), target)
    run(source, target, model)
    wanted = [path.read_bytes() for path in places]
    target.unlink()
    places[0].unlink()
    killed_before_naming(source, target, model)
    for path in places[: NAMED[named]]:
        path.write_bytes(wanted[places.index(path)])
        path.with_name(path.name + ".part").unlink()
    assert run(source, target, model).scored == 20
    assert [path.read_bytes() for path in places] == wanted
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", *(path.name for path in places)}


@pytest.mark.parametrize("half", [True, False])
def test_batch__stopped_while_it_becomes_parquet_the_next_run_ends_it(tmp_path, model, half):
    source, target = write_rows(tmp_path / "in.jsonl", records(20)), tmp_path / "out.parquet"
    run(source, target, model)
    wanted = target.read_bytes()
    target.unlink()
    killed_before_naming(source, target, model)
    part, made = tmp_path / "out.parquet.part", tmp_path / "out.parquet.part.parquet"
    made.write_bytes(wanted[:100] if half else wanted)
    if not half:  # the stream is removed when all of it is Parquet
        part.unlink()
    assert run(source, target, model).scored == 20
    assert (target.read_bytes(), {*tmp_path.iterdir()}) == (wanted, {source, target})


def killed_before_naming(source, target, model):
    """Leave what a run leaves that wrote all, and its last state, and was killed."""
    found = find_model(model)
    written = target.name.split(".")[-1]
    job = Job(
        source=source_of(source),
        read="jsonl",
        written=written,
        text_column="text",
        row_bytes=settings().row_bytes,
        model_digest=found.digest,
        model_version=found.version,
    )
    with Files(target, 60).begun(State(job=job), head(found.labels, written)) as out:
        _score(str(source), out, found, settings(), local)
        out.state = out.state.model_copy(update={"whole": True})
        out._commit()


def touched(source, target, model):
    os.utime(source, ns=(1, 1))
    return source, target, model


def longer(source, target, model):
    found = source.stat()
    source.write_bytes(source.read_bytes() + b'{"text": "ice"}\n')
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns))
    return source, target, model


def other_head(source, target, model):
    found = source.stat()
    source.write_bytes(source.read_bytes().replace(b"r0", b"r9", 1))
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns))
    return source, target, model


@pytest.mark.parametrize("change", [touched, longer, other_head])
def test_batch__does_not_go_on_with_another_input(tmp_path, model, change):
    source, target, model = change(*stopped(tmp_path, model), model)
    before = (tmp_path / "out.jsonl.part").read_bytes()
    with pytest.raises(CannotTell) as refusal:
        run(source, target, model)
    files = f"{target}.part, {target}.rejects.jsonl.part and {target}.state"
    assert str(refusal.value) == (
        f"{target}.state: an earlier run was stopped on its way, and since then changed: input: "
        f"to start afresh, remove {files}"
    )
    assert (tmp_path / "out.jsonl.part").read_bytes() == before
    for name in (".part", ".rejects.jsonl.part", ".state"):
        target.with_name(target.name + name).unlink()
    run(source, target, model)


def test_batch__does_not_go_on_with_another_model_or_other_options(tmp_path, model):
    source, target = stopped(tmp_path, model)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "bundle"
    sealed(other)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"seed": 2}))
    with pytest.raises(CannotTell, match="since then changed: model digest: to start afresh, remove"):
        run(source, target, other)
    with pytest.raises(CannotTell, match="since then changed: row bytes: to start afresh, remove"):
        run(source, target, model, row_bytes=100)
    with pytest.raises(CannotTell, match="since then changed: input, text column: to start afresh, remove"):
        batch(str(write_rows(tmp_path / "b.jsonl", records(2))), str(target), model, "id", None, settings())


def test_batch__goes_on_with_other_windows_and_processes(tmp_path, model):
    source, target = stopped(tmp_path, model)
    run(source, target, model, window_rows=3)
    assert target.read_bytes() == (tmp_path / "whole.out.jsonl").read_bytes()


def test_batch__does_not_go_on_from_files_that_lost_bytes_or_are_not_its_own(tmp_path, model):
    source, target = stopped(tmp_path, model)
    (tmp_path / "out.jsonl.part").write_bytes(b"short")
    with pytest.raises(CannotTell, match=r"out\.jsonl\.part is shorter than .*out\.jsonl\.state says: to start afresh"):
        run(source, target, model)
    (tmp_path / "out.jsonl.state").write_text('{"whole": 7}')
    with pytest.raises(CannotTell, match=r"out\.jsonl\.state was not written by batch\.py: to start afresh, remove"):
        run(source, target, model)


def test_batch__what_a_killed_run_left_before_its_first_state_is_written_anew(tmp_path, model):
    source, target = stopped(tmp_path, model)
    (tmp_path / "out.jsonl.state").unlink()
    run(source, target, model)
    assert target.read_bytes() == (tmp_path / "whole.out.jsonl").read_bytes()
    assert rejects(target) == rejects(tmp_path / "whole.out.jsonl")


def test_batch__two_runs_do_not_write_one_file(tmp_path, model):
    import fcntl

    source, target = stopped(tmp_path, model)
    with (tmp_path / "out.jsonl.part").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CannotTell, match=r"out\.jsonl\.part: another run is writing it: wait for its end"):
            run(source, target, model)
    run(source, target, model)


ROWS = 20_000
LARGE = {"window_rows": 1000, "window_bytes": 10**6}


@pytest.fixture
def at_work(tmp_path, model):
    """Return the script at work with two processes, when some rows are written; ROWS in windows of one take long."""
    two = settings().processes.model_copy(update={"tfidf": 2})
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "batch.yaml").write_text(settings(window_rows=1, processes=two).model_dump_json())
    write_rows(tmp_path / "in.jsonl", records(ROWS))
    command = [sys.executable, ROOT / "scripts" / "batch.py", "in.jsonl", "out.jsonl", "--model", model]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not (tmp_path / "out.jsonl.state").exists():
            assert process.poll() is None, process.stderr.read()
        yield process
        process.kill()


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_script__stopped_in_any_way_its_processes_end_too_and_the_next_run_goes_on(tmp_path, model, at_work, way):
    process = at_work
    os.kill(process.pid, way)
    process.stderr.read()  # to its end, which comes when no process is left that could write there
    assert process.wait() == (130 if way == signal.SIGINT else -way)
    rows = State.model_validate_json((tmp_path / "out.jsonl.state").read_text()).place.rows
    assert 0 < rows < ROWS
    done = run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", model, **LARGE)
    assert done.scored == ROWS
    assert [row["row"] for row in read_back(tmp_path / "out.jsonl")] == list(range(1, ROWS + 1))


def test_script__a_process_that_was_killed_for_memory_is_said_and_the_next_run_goes_on(tmp_path, model, at_work):
    process = at_work
    scorers = [pid for pid in children(process.pid) if b"spawn_main" in (Path("/proc") / pid / "cmdline").read_bytes()]
    for pid in scorers:  # one alone may not be needed any more: where writing is slow, the other does it all
        with suppress(ProcessLookupError):  # its parent has ended it by now
            os.kill(int(pid), signal.SIGKILL)
    cure = "is there memory enough? run again, it goes on where it stopped"
    said = [line for line in process.stderr if not line.endswith(" a second\n")]  # how far it was, if it is slow
    assert said == [f"cannot tell: a process that scored was killed: {cure}\n"]
    assert process.wait() == 2
    assert run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", model, **LARGE).scored == ROWS


def children(number):
    return [pid for threads in Path(f"/proc/{number}/task").glob("*/children") for pid in threads.read_text().split()]


def test_batch__a_pipe_is_not_gone_on_with(tmp_path, model):
    source, target = stopped(tmp_path, model)
    command = [sys.executable, ROOT / "scripts" / "batch.py", "-", target, "--format", "jsonl", "--model", model]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "batch.yaml").write_text(settings().model_dump_json())
    options = {"cwd": tmp_path, "capture_output": True, "input": source.read_bytes()}
    done = subprocess.run(command, check=False, **options)
    assert (done.returncode, b"since then changed: input: to start afresh" in done.stderr) == (2, True)
    (tmp_path / "out.jsonl.state").unlink()
    done = subprocess.run(command, check=False, **options)
    assert (done.returncode, target.read_bytes()) == (1, (tmp_path / "whole.out.jsonl").read_bytes())


def test_batch__of_a_pipe_no_state_is_left_that_a_later_run_might_go_on_from(tmp_path, model):
    _, target = stopped(tmp_path, model)
    state = State.model_validate_json((tmp_path / "out.jsonl.state").read_text())
    of_pipe = State(job=state.job.model_copy(update={"source": None}))
    (tmp_path / "out.jsonl.state").unlink()
    with Files(target, 0).begun(of_pipe, b"") as out:
        out.add(Answer(b"{}\n", b"", 1, 0, Place(offset=9, rows=1), None))
        assert target.with_name("out.jsonl.part").read_bytes() == b"{}\n"
        assert not (tmp_path / "out.jsonl.state").exists()


def test_batch__an_input_that_changes_while_it_is_read_gives_no_output(tmp_path, model):
    source, target = write_rows(tmp_path / "in.jsonl", records(600)), tmp_path / "out.jsonl"

    @contextmanager
    def changing(*wanted):
        with local(*wanted) as workers:
            os.utime(source, ns=(1, 1))
            yield workers

    why = r"in\.jsonl was changed while it was read: remove what is beside .*out\.jsonl"
    with pytest.raises(CannotTell, match=why):
        batch(str(source), str(target), model, "text", None, settings(), changing)
    assert not target.exists()


@pytest.mark.long
def test_batch__memory_does_not_grow_with_the_file(tmp_path, model):
    peaks = [peak_memory(tmp_path, model, rows) for rows in (20_000, 400_000)]
    assert peaks[1] < peaks[0] * 1.1


def peak_memory(folder, model, rows):
    """Return the most memory, in KiB, that a run of one process held."""
    source = folder / f"{rows}.jsonl"
    with source.open("w") as file:
        file.writelines(json.dumps({"id": row, "text": f"snow and ice {row}"}) + "\n" for row in range(rows))
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "batch.yaml").write_text(settings(window_rows=2000, window_bytes=10**6).model_dump_json())
    command = [sys.executable, str(ROOT / "scripts" / "batch.py"), source, folder / f"{rows}.csv", "--model", model]
    with subprocess.Popen(list(map(str, command)), cwd=folder) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss
