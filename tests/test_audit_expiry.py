"""What is too old goes, and nothing else: the chain can still be checked, whatever clocks and kills do."""

import pytest
from tests.audit_log import age, config, event, segment, write

from textgate.serve.audit.log import AuditLog
from textgate.serve.audit.read import read
from textgate.serve.audit.slots import read_anchor
from textgate.serve.audit.verify import verify

pytestmark = pytest.mark.usefixtures("tended")


def aged(folder, *days):
    """Write one segment for each age in days, oldest first."""
    for number in range(len(days)):
        write(folder)
        age(segment(folder, number + 1), 1)
    for number, old in enumerate(days):
        age(segment(folder, number + 1), old)


def names(folder, slot=1):
    return sorted(path.name for path in (folder / f"slot-{slot}").glob("0*"))


def test_retention__old_segments_go_and_the_anchor_holds_the_chain(tmp_path):
    aged(tmp_path, 100, 95, 10)
    log = AuditLog(config(tmp_path))
    log.append([event()])
    log.tend()
    log.close()
    assert names(tmp_path) == ["000003.jsonl", "000004.jsonl"]
    assert (read_anchor(tmp_path / "slot-1").segment, read_anchor(tmp_path / "slot-1").n) == (2, 22)
    found = verify(tmp_path)
    assert found.holds
    assert "22 before them deleted for their age" in found.slots[0].line()


@pytest.mark.parametrize(("ages", "left"), [((100, 5, 20_000, 5), 3), ((100, 20_000, 5), 2), ((100, 20_000, 95, 5), 1)])
def test_retention__a_clock_that_went_backwards_deletes_nothing_early(tmp_path, ages, left):
    aged(tmp_path, *ages)
    log = AuditLog(config(tmp_path))
    log.tend()
    log.close()
    assert names(tmp_path) == [f"{number:06}.jsonl" for number in range(len(ages) + 1 - left, len(ages) + 2)]
    assert verify(tmp_path).holds


def test_retention__the_segment_in_use_stays_whatever_its_age(tmp_path):
    log = AuditLog(config(tmp_path))
    age(segment(tmp_path), 100)
    log.tend()
    log.append([event()])
    log.close()
    assert len(list(read(tmp_path))) == 1


def test_retention__a_slot_that_nobody_uses_any_more_is_emptied_and_can_go_on(tmp_path):
    first, second = AuditLog(config(tmp_path)), AuditLog(config(tmp_path))
    second.append([event()])
    second.close()
    age(segment(tmp_path, slot=2), 100)
    first.tend()
    assert names(tmp_path, 2) == []
    second = AuditLog(config(tmp_path))
    assert (second.slot.name, second.head.n) == ("slot-2", 3)
    second.close()
    first.close()
    assert names(tmp_path, 2) == ["000002.jsonl"]
    assert verify(tmp_path).holds


def test_retention__a_slot_in_use_is_left_alone(tmp_path):
    first, second = AuditLog(config(tmp_path)), AuditLog(config(tmp_path))
    age(segment(tmp_path, slot=2), 100)
    first.tend()
    assert names(tmp_path, 2) == ["000001.jsonl"]
    second.close()
    first.close()


def test_retention__a_kill_between_anchor_and_deletion_is_no_break(tmp_path):
    aged(tmp_path, 100, 5)
    kept = segment(tmp_path).read_bytes()
    log = AuditLog(config(tmp_path))
    log.tend()
    log.close()
    segment(tmp_path).write_bytes(kept)  # as if it had not been deleted yet
    assert verify(tmp_path).holds
    assert len(list(read(tmp_path))) == 10
    log = AuditLog(config(tmp_path))
    log.tend()
    log.close()
    assert not segment(tmp_path).exists()


def test_retention__a_segment_that_was_changed_is_kept_as_evidence(tmp_path, caplog):
    aged(tmp_path, 100, 5)
    content = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(content[:-100] + b"x" + content[-99:])
    age(segment(tmp_path), 100)
    log = AuditLog(config(tmp_path))
    log.tend()
    log.close()
    assert segment(tmp_path).exists()
    assert "audit segments could not be deleted" in caplog.text
