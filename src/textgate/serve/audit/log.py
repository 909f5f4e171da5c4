"""Answers into the audit log: each append is one write, chained, and either whole in the file or refused.

A process writes to one slot. What it wrote outlives the process at once; a power cut of the machine may take what was
written in the last second or so, because a thread forces the file onto the disk once a second, and not each answer.
The chain alone cannot show that lines are missing at its very end: so its head also goes into the process's own log,
when it starts, once a minute and when it stops ("audit head"), for scripts/audit_verify.py --head.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from textgate.errors import CannotTell, Refused
from textgate.serve.audit.chain import MAX_LINE, Head, bind
from textgate.serve.audit.event import Event, Resumed, Started, as_json
from textgate.serve.audit.expiry import DAY, expire
from textgate.serve.audit.settings import AuditConfig
from textgate.serve.audit.slots import sync
from textgate.serve.audit.tail import End
from textgate.serve.audit.writer import SegmentWriter, take
from textgate.serve.clock import utc

LOG = logging.getLogger("textgate.audit")
SYNC_SECONDS = 1.0  # what a power cut may take
HEAD_SECONDS = 60.0  # how much of the chain's end may be cut off without a trace, at most


class AuditLog:
    """The audit log of one process. Safe to use from several threads."""

    def __init__(self, config: AuditConfig) -> None:
        """Take the first free slot and go on where its chain ends. Raises CannotTell if it cannot be written to."""
        self._config, self._lock, self._stop = config, threading.Lock(), threading.Event()
        self._failed: OSError | None = None  # why nothing can be recorded now
        self._lost: OSError | None = None  # why nothing can be recorded any more
        self._turned_away, self._expired_on = 0, -1
        self._said, self._said_at = Head(), time.monotonic()
        try:
            self._handle, end = take(Path(config.folder))
            self._head = end.head
            try:
                self._begin(end)
            except OSError:
                os.close(self._handle)
                raise
        except OSError as error:
            raise CannotTell(f"{config.folder}: {error.strerror}: the audit log needs room and rights there") from error
        self._thread = threading.Thread(target=self._tend_until_stopped, name="audit", daemon=True)
        self._thread.start()

    @property
    def head(self) -> Head:
        """Return how many lines the chain ever had, and the hash of the last."""
        return self._head

    @property
    def slot(self) -> Path:
        """Return the folder that this process writes to."""
        return self._writer.path.parent

    def ready(self) -> bool:
        """Say whether answers can be recorded. After a failure, another attempt is made every second."""
        return self._failed is None

    def append(self, events: Sequence[Event]) -> None:
        """Record answers in their order, by one write. Raises OSError if that cannot be; then none is recorded.

        Texts are left out unless configs/serve.yaml says that they are kept.
        """
        entries = [as_json(self._without_text(event)) for event in events]
        with self._lock:
            try:
                self._record(entries)
            except OSError:
                self._turned_away += len(events)
                raise

    def tend(self) -> None:
        """Do what is due: force lines onto the disk, try again after a failure, delete what is old, say the head.

        A thread of the log calls this once a second, and nobody else meanwhile.
        """
        if self._lost:
            return
        with self._lock:
            if self._writer.taken_away():
                reason = OSError(errno.ENOENT, "the audit log was deleted or moved")
                self._lose("audit log was deleted or moved: restart", reason)
                return
            if self._failed is not None:
                with contextlib.suppress(OSError):  # it was said when it began
                    self._record([])
        self._force()
        today = int(time.time() // DAY)
        if self._expired_on != today:
            self._expired_on = today
            self._expire()
        if time.monotonic() - self._said_at >= HEAD_SECONDS:
            self._say_head()

    def close(self) -> None:
        """Force everything onto the disk, say the head, give the slot back. A second call does nothing."""
        with self._lock:
            if self._stop.is_set():
                return
            self._stop.set()
        self._thread.join()
        self._force()
        self._say_head()
        self._writer.close()
        os.close(self._handle)

    def _begin(self, end: End) -> None:
        self._writer = SegmentWriter(end, self._config.segment_mb << 20)
        started = Started(at=utc(time.time()), process=os.getpid())
        self._record([as_json(entry) for entry in (end.recovered, started) if entry])
        if end.recovered:
            LOG.warning("audit torn line cut off", extra={"slot": self.slot.name, "torn": end.recovered.torn})
        self._say_head()

    def _without_text(self, event: Event) -> Event:
        return event if self._config.text or event.text is None else replace(event, text=None)

    def _record(self, entries: Sequence[bytes]) -> None:
        """Chain and write entries; after a failure, first one that says so."""
        if self._lost or self._stop.is_set():
            raise self._lost or OSError(errno.EBADF, "the audit log is closed")
        if self._failed is not None:
            reason = self._failed.strerror or str(self._failed)
            resumed = Resumed(at=utc(time.time()), reason=reason, turned_away=self._turned_away)
            entries = [as_json(resumed), *entries]
        lines, head = [], self._head
        for entry in entries:
            line, head = bind(head, entry)
            if len(line) >= MAX_LINE:
                raise OSError(errno.EMSGSIZE, f"a line of the audit log is below {MAX_LINE >> 20} MiB")
            lines.append(line)
        try:
            self._writer.put(b"".join(lines))
        except OSError as error:
            if self._failed is None:
                LOG.error("audit log cannot be written", extra={"reason": str(error)})  # noqa: TRY400 - a line
            self._failed = error
            raise
        self._head = head
        if self._failed is not None:
            self._failed, self._turned_away = None, 0
            LOG.info("audit log can be written again")

    def _force(self) -> None:
        """Force what was written onto the disk, without keeping answers waiting.

        After a failure nobody knows what is on the disk (Linux forgets what it could not write), so it is the last.
        """
        with self._lock:
            full, here = self._writer.unforced()
        try:
            for file in (*full, *here):
                os.fsync(file)
            for file in full:
                os.close(file)
            if full:
                sync(self.slot)  # the name of the new segment
        except OSError as error:
            self._lose("audit log is not on the disk: restart", error)

    def _lose(self, said: str, reason: OSError) -> None:
        if self._lost is None:
            LOG.error(said, extra={"reason": str(reason)})
        self._failed = self._lost = reason

    def _expire(self) -> None:
        try:
            with self._lock:
                self._writer.turn()
            expire(Path(self._config.folder), self.slot, time.time(), self._config.keep_days)
        except (OSError, Refused) as error:
            LOG.error("audit segments could not be deleted", extra={"reason": str(error)})  # noqa: TRY400 - a line

    def _say_head(self) -> None:
        self._said_at, head = time.monotonic(), self._head
        if head != self._said:
            LOG.info("audit head", extra={"slot": self.slot.name, "n": head.n, "hash": head.hash})
        self._said = head

    def _tend_until_stopped(self) -> None:
        while not self._stop.wait(SYNC_SECONDS):
            try:
                self.tend()
            except Exception as error:  # else the thread would end, and nothing be forced onto the disk any more
                LOG.exception("a defect in the audit log")
                self._lose("audit log is not looked after: restart", OSError(errno.EIO, type(error).__name__))
