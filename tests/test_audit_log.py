"""Every answer is in the log before it is given: once: through kills, full disks and wrong clocks."""

import logging
import signal
import subprocess
import threading

import pytest
from pydantic import ValidationError
from tests.audit_log import age, config, entries, event, segment, start, write
from tests.project import EXAMPLE

from textgate.config import load
from textgate.errors import CannotTell, Refused
from textgate.serve.audit.chain import MAX_LINE
from textgate.serve.audit.event import ENTRY, as_json
from textgate.serve.audit.log import AuditLog
from textgate.serve.audit.read import read
from textgate.serve.audit.verify import verify
from textgate.serve.clock import utc
from textgate.serve.settings import ServeConfig

APPEND_FOR_EVER = """
import sys
from tests.audit_log import config, event
from textgate.serve.audit.log import AuditLog
log = AuditLog(config(sys.argv[1]))
for number in range(10**9):
    log.append([event(number, request_id=f"{sys.argv[2]}-{number}")])
    print(number, flush=True)
"""
FILL_THE_DISK = """
import resource, sys
from tests.audit_log import config, event
from textgate.serve.audit import log as module
from textgate.serve.audit.log import AuditLog
module.SYNC_SECONDS = 86_400  # nobody but us looks after it
log = AuditLog(config(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
given = failed = 0
for number in range(40):
    try:
        log.append([event(number)])
        given += 1
    except OSError as error:
        failed += 1
        print(error.strerror, log.ready(), next(log.slot.glob("*.jsonl")).read_bytes()[-2:] == b"}\\n")
        log.tend()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.tend()
print(given, failed, log.ready())
log.close()
"""


def kinds(folder, slot=1):
    return [entry["kind"] for entry in entries(folder, slot)]


def test_append__an_answer_is_read_back_as_it_was_given(tmp_path):
    given = [event(0), event(1, variant="challenger", shadow=True, label="søuth\n\u2028", confidence=1 / 3)]
    log = AuditLog(config(tmp_path))
    log.append(given)
    assert list(read(tmp_path)) == given  # at once, while the log is open
    log.close()
    assert list(read(tmp_path)) == given
    assert kinds(tmp_path) == ["started", "answer", "answer"]


def test_append__texts_are_kept_only_if_the_configuration_says_so(tmp_path):
    for text in (False, True):
        log = AuditLog(config(tmp_path / str(text), text=text))
        log.append([event(text="a secret")])
        log.close()
    assert b"secret" not in segment(tmp_path / "False").read_bytes()
    assert [answer.text for answer in read(tmp_path / "True")] == ["a secret"]


def test_append__a_line_that_could_not_be_verified_is_refused_alone(tmp_path):
    log = AuditLog(config(tmp_path, text=True))
    with pytest.raises(OSError, match="a line of the audit log is below 4 MiB"):
        log.append([event(text="x" * MAX_LINE)])
    assert log.ready()
    log.append([event(text="x" * (MAX_LINE - 2000))])
    log.close()
    assert verify(tmp_path).holds


def test_append__files_are_not_for_everybody(tmp_path):
    write(tmp_path / "log")
    assert segment(tmp_path / "log").stat().st_mode & 0o007 == 0
    assert (tmp_path / "log/slot-1").stat().st_mode & 0o007 == 0


def test_append__many_threads_make_one_chain(tmp_path):
    log = AuditLog(config(tmp_path))
    work = [threading.Thread(target=lambda: [log.append([event(n), event(n)]) for n in range(100)]) for _ in range(8)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    log.close()
    assert verify(tmp_path).holds
    assert len(list(read(tmp_path))) == 1600


def test_append__after_close_is_refused_and_writes_nothing(tmp_path):
    log = AuditLog(config(tmp_path))
    log.close()
    log.close()
    with pytest.raises(OSError, match="the audit log is closed"):
        log.append([event()])
    assert kinds(tmp_path) == ["started"]


def test_restart__goes_on_with_the_same_chain(tmp_path):
    first = write(tmp_path)
    second = write(tmp_path)
    assert (first.n, second.n) == (11, 22)
    assert verify(tmp_path, [f"{first.n}:{first.hash}", second.hash]).holds
    assert not (tmp_path / "slot-2").exists()


def test_rotation__segments_stay_below_their_size_and_the_chain_goes_through_them(tmp_path):
    log = AuditLog(config(tmp_path))
    for _ in range(120):
        log.append([event(number) for number in range(32)])
    log.close()
    paths = sorted((tmp_path / "slot-1").glob("*.jsonl"))
    assert [path.name for path in paths] == ["000001.jsonl", "000002.jsonl", "000003.jsonl"]
    assert max(path.stat().st_size for path in paths) <= 1 << 20
    assert len(list(read(tmp_path))) == 3840
    write(tmp_path)
    assert verify(tmp_path).holds


def test_rotation__a_segment_that_is_of_another_day_is_closed(tmp_path):
    write(tmp_path)
    for days in (1, -1):  # yesterday's, and of a clock that was ahead
        newest = max((tmp_path / "slot-1").glob("*.jsonl"))
        age(newest, days)
        write(tmp_path)
        assert max((tmp_path / "slot-1").glob("*.jsonl")) > newest
    assert verify(tmp_path).holds


@pytest.mark.parametrize("cut", [1, 2, 70, 200, 500])
def test_recovery__half_a_line_is_set_aside_and_said(tmp_path, cut, caplog):
    write(tmp_path)
    whole = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(whole[:-cut])
    lines = whole[:-cut].split(b"\n")
    write(tmp_path, 1)
    assert (tmp_path / f"slot-1/000001-{len(lines)}.torn").read_bytes() == lines[-1]
    assert kinds(tmp_path)[len(lines) - 1 :] == ["recovered", "started", "answer"]
    assert "audit torn line cut off" in caplog.text
    found = verify(tmp_path)
    assert found.holds
    assert "1 torn and set aside" in found.slots[0].line()


def test_recovery__zeros_that_a_power_cut_left_are_set_aside(tmp_path):
    write(tmp_path)
    with segment(tmp_path).open("ab") as file:
        file.write(bytes(300_000))
    write(tmp_path)
    assert (tmp_path / "slot-1/000001-12.torn").stat().st_size == 300_000
    assert verify(tmp_path).holds


def test_recovery__a_second_kill_while_it_recovers_loses_nothing(tmp_path):
    write(tmp_path)
    with segment(tmp_path).open("ab") as file:
        file.write(b"half")
    write(tmp_path, 0)
    lines = segment(tmp_path).read_bytes().splitlines(keepends=True)
    segment(tmp_path).write_bytes(b"".join(lines[:11]) + lines[11][:100])  # the line that says so is torn itself
    write(tmp_path, 0)
    assert (tmp_path / "slot-1/000001-12.torn").read_bytes() == b"half" + lines[11][:100]
    lines = segment(tmp_path).read_bytes().splitlines(keepends=True)
    segment(tmp_path).write_bytes(b"".join(lines[:11]))  # set aside, and not yet said
    write(tmp_path, 0)
    assert kinds(tmp_path)[11:] == ["recovered", "started"]
    assert verify(tmp_path).holds


def test_recovery__a_segment_without_a_whole_line_goes_on_from_the_one_before(tmp_path):
    write(tmp_path)
    segment(tmp_path, 2).write_bytes(b'{"n":12,')
    write(tmp_path)
    assert verify(tmp_path).holds
    assert (tmp_path / "slot-1/000002-12.torn").read_bytes() == b'{"n":12,'


@pytest.mark.parametrize("damage", ["line", "only line", "order", "anchor"])
def test_start__a_broken_slot_is_left_as_it_lies_and_the_next_is_taken(tmp_path, damage, caplog):
    write(tmp_path)
    lines = segment(tmp_path).read_bytes().splitlines(keepends=True)
    if damage == "only line":
        lines = [lines[0].replace(b"started", b"stopped")]
    elif damage == "anchor":
        (tmp_path / "slot-1/anchor.json").write_bytes(b"\xff")
    else:
        lines[-2:] = [lines[-1], lines[-2]] if damage == "order" else [lines[-2].replace(b"north", b"south"), lines[-1]]
    segment(tmp_path).write_bytes(b"".join(lines))
    log = AuditLog(config(tmp_path))
    log.append([event()])
    log.close()
    assert log.slot.name == "slot-2"
    assert segment(tmp_path).read_bytes() == b"".join(lines)
    assert "audit slot broken, left as it lies" in caplog.text
    assert not verify(tmp_path).holds


def test_start__two_logs_never_share_a_slot_and_a_free_one_is_taken_again(tmp_path):
    logs = [AuditLog(config(tmp_path)) for _ in range(3)]
    assert [log.slot.name for log in logs] == ["slot-1", "slot-2", "slot-3"]
    logs[1].close()
    again = AuditLog(config(tmp_path))
    assert (again.slot.name, again.head.n) == ("slot-2", 2)
    for log in (logs[0], logs[2], again):
        log.close()


def test_start__a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotTell, match=r"file: .*: the audit log needs room and rights there"):
        AuditLog(config(tmp_path / "file"))


def test_killed__every_answer_that_was_given_is_in_the_log_whatever_the_moment(tmp_path):
    given = set()
    for round_ in range(4):
        process = start(APPEND_FOR_EVER, tmp_path, round_)
        said = [process.stdout.readline() for _ in range(1 + 67 * round_)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()  # not communicate(), which does not know of half a line that was read ahead
        process.communicate()
        given |= {f"{round_}-{int(line)}" for line in said if line.endswith(b"\n")}
    log = AuditLog(config(tmp_path))
    log.close()
    found = [answer.request_id for answer in read(tmp_path)]
    assert given <= set(found)
    assert len(found) == len(set(found))
    assert verify(tmp_path).holds
    assert not (tmp_path / "slot-2").exists()


def test_two_processes__write_two_chains_at_once(tmp_path):
    processes = [start(APPEND_FOR_EVER, tmp_path, name) for name in "ab"]
    for process in processes:
        for _ in range(50):
            process.stdout.readline()
    for process in processes:
        process.kill()
        process.communicate()
    for log in [AuditLog(config(tmp_path)) for _ in range(2)]:
        log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slot-1", "slot-2"]
    assert verify(tmp_path).holds
    for slot in (1, 2):
        answers = [entry["request_id"] for entry in entries(tmp_path, slot) if entry["kind"] == "answer"]
        assert len({answer.split("-")[0] for answer in answers}) == 1
        assert len(answers) >= 50


def test_full_disk__nothing_half_is_left_and_the_log_goes_on_when_there_is_room(tmp_path):
    process = start(FILL_THE_DISK, tmp_path, stderr=subprocess.PIPE)
    out, _ = process.communicate(timeout=120)
    *failures, last = out.decode().splitlines()
    given, failed, ready = last.split()
    assert set(failures) == {"No space left on device False True"}
    assert (int(given) + int(failed), int(failed) > 5, ready) == (40, True, "True")
    assert [answer.request_id for answer in read(tmp_path)] == [f"request-{n}" for n in range(int(given))]
    assert verify(tmp_path).holds
    resumed = [entry for entry in entries(tmp_path) if entry["kind"] == "resumed"]
    assert sum(entry["turned_away"] for entry in resumed) == int(failed)
    assert {entry["reason"] for entry in resumed} == {"No space left on device"}


def test_clock__an_answer_of_the_past_is_recorded_in_the_order_in_which_it_was_given(tmp_path):
    log = AuditLog(config(tmp_path))
    for moment in (2e9, 1e9, 1.5e9):
        log.append([event(at=utc(moment))])
    log.close()
    assert [answer.at[:4] for answer in read(tmp_path)] == ["2033", "2001", "2017"]
    assert verify(tmp_path).holds


def heads(caplog):
    return [(record.slot, record.n, record.hash) for record in caplog.records if record.message == "audit head"]


def test_head__is_said_when_the_log_starts_and_when_it_stops(tmp_path, caplog):
    caplog.set_level(logging.INFO, "textgate.audit")
    head = write(tmp_path)
    assert [said[1] for said in heads(caplog)] == [1, 11]
    assert heads(caplog)[1] == ("slot-1", head.n, head.hash)


@pytest.mark.usefixtures("tended")
def test_head__is_said_every_minute_if_it_moved(tmp_path, caplog):
    caplog.set_level(logging.INFO, "textgate.audit")
    log = AuditLog(config(tmp_path))
    for number in range(3):
        log.append([event()] * (number < 2))
        log._said_at -= 60 * (number > 0)
        log.tend()
    log.close()
    assert [said[1] for said in heads(caplog)] == [1, 3]


def test_read__half_a_line_at_the_end_is_no_answer_yet(tmp_path):
    write(tmp_path)
    with segment(tmp_path).open("ab") as file:
        file.write(b'{"n":12,"prev')
    assert len(list(read(tmp_path))) == 10


def test_read__a_changed_line_is_refused(tmp_path):
    write(tmp_path)
    segment(tmp_path).write_bytes(segment(tmp_path).read_bytes().replace(b"request-4", b"request-7"))
    with pytest.raises(Refused, match=r"000001.jsonl, line 6: changed: it, or the line before it"):
        list(read(tmp_path))


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_read__says_where_there_is_no_log(tmp_path, folder):
    with pytest.raises(CannotTell, match="no audit log is there: name the folder that configs/serve"):
        list(read(tmp_path / folder))


def test_event__half_a_character_is_recorded_as_a_question_mark(tmp_path):
    log = AuditLog(config(tmp_path, text=True))
    log.append([event(client="a\ud800b", text="\udc00")])
    log.close()
    assert [(answer.client, answer.text) for answer in read(tmp_path)] == [("a?b", "?")]


def test_event__has_one_spelling_of_the_time():
    with pytest.raises(ValidationError):
        ENTRY.validate_json(as_json(event(at="2026-11-21 15:40:35")))
    assert utc(0.5) == "1970-01-01T00:00:00.500Z"
    assert utc(1_763_740_800.123) == "2025-11-21T16:00:00.123Z"
    assert utc(0.9999999) == "1970-01-01T00:00:01.000Z"


def test_event__is_read_back_as_it_was_written():
    assert ENTRY.validate_json(as_json(event(7, text="snø"))) == event(7, text="snø")
    broken = ENTRY.validate_json(as_json(event(client="ada \ud800", text="\udfff")))
    assert broken == event(client="ada ?", text="?")


def test_config__the_shipped_section_is_whole_and_keeps_no_texts():
    assert load(EXAMPLE / "serve.yaml", ServeConfig).audit.text is False
