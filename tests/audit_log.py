"""An audit log as the service writes it, and its lines."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from textgate.serve.audit.event import Event
from textgate.serve.audit.expiry import DAY
from textgate.serve.audit.log import AuditLog
from textgate.serve.audit.settings import AuditConfig

ROOT = Path(__file__).resolve().parent.parent
DIGESTS = {"champion": "a" * 64, "challenger": "b" * 64}


def config(folder, **changes):
    usual = {"folder": str(folder), "text": False, "segment_mb": 1, "keep_days": 90}
    return AuditConfig(**usual | changes)


def event(request=0, **changes):
    usual = {
        "at": "2026-11-21T15:40:35.123Z",
        "request_id": f"request-{request}",
        "number": 0,
        "client": "127.0.0.1",
        "endpoint": "predict",
        "variant": "champion",
        "shadow": False,
        "model_version": "v1.0.0",
        "label": "north",
        "confidence": 0.9,
        "text_sha256": "c" * 64,
        "characters": 40,
        "words": 7,
        "unknown_share": 0.0,
        "text": None,
    }
    values = usual | changes
    return Event(model_digest=values.pop("model_digest", DIGESTS[values["variant"]]), **values)


def write(folder, count=10, **changes):
    """Write a log of one line about its start and `count` answers, and return its last head."""
    log = AuditLog(config(folder, **changes))
    for number in range(count):
        log.append([event(number)])
    log.close()
    return log.head


def segment(folder, number=1, slot=1):
    return folder / f"slot-{slot}" / f"{number:06}.jsonl"


def entries(folder, slot=1):
    """Return what the lines of a slot say, read without the code under test."""
    paths = sorted((folder / f"slot-{slot}").glob("*.jsonl"))
    return [json.loads(line)["event"] for path in paths for line in path.read_bytes().splitlines()]


def start(*code_and_arguments, **options):
    """Start a Python process that imports textgate."""
    command = [sys.executable, "-c", *map(str, code_and_arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, stdout=subprocess.PIPE, **options
    )


def age(path, days):
    """Let a segment be last written so many days ago."""
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))
