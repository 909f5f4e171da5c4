"""The audit log when its disk, or somebody, takes away what was written: nothing is recorded until a restart."""

import os
import shutil

import pytest
from tests.audit_log import config, event
from tests.serve_process import until

from textgate.serve.audit.log import AuditLog


@pytest.mark.usefixtures("tended")
def test_disk__a_failure_to_force_lines_onto_it_ends_the_log_until_a_restart(tmp_path, caplog):
    log = AuditLog(config(tmp_path))
    log.append([event()])
    broken = os.open(log._writer.path, os.O_PATH)  # nothing can be forced by it, as onto a broken disk
    os.dup2(broken, log._writer._fd)
    log._writer._forced = -1
    log.tend()
    assert not log.ready()
    with pytest.raises(OSError, match="Bad file descriptor"):
        log.append([event()])
    assert "audit log is not on the disk: restart" in caplog.text
    log.close()
    os.close(broken)


def delete(folder):
    shutil.rmtree(folder)


def move_segments(folder):
    for path in folder.rglob("*.jsonl"):
        path.rename(path.with_suffix(".jsonl.1"))


@pytest.mark.usefixtures("tended")
@pytest.mark.parametrize("take_away", [delete, move_segments])
def test_disk__a_log_that_somebody_deleted_or_moved_ends_until_a_restart(tmp_path, caplog, take_away):
    log = AuditLog(config(tmp_path / "log"))
    log.append([event(0)])
    log.tend()
    assert log.ready()
    take_away(tmp_path / "log")
    log.tend()
    assert not log.ready()
    for _ in range(2):
        with pytest.raises(OSError, match="the audit log was deleted or moved"):
            log.append([event(1)])
        log.tend()
    log.close()
    assert caplog.text.count("audit log was deleted or moved: restart") == 1
    assert "could not be deleted" not in caplog.text
    AuditLog(config(tmp_path / "log")).close()


def test_defect__that_keeps_the_log_from_being_looked_after_ends_it(tmp_path, caplog):
    log = AuditLog(config(tmp_path).model_copy(update={"keep_days": 10**30}))  # no clock goes back so far
    until(lambda: not log.ready())
    with pytest.raises(OSError, match="OverflowError"):
        log.append([event()])
    assert "audit log is not looked after: restart" in caplog.text
    log.close()
