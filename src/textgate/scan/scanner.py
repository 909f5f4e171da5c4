"""modelscan as a subprocess that can do no harm: a folder in, what it found as typed values out.

It runs in its own environment, in an empty working directory (it would obey a modelscan-settings.toml there), without
our environment variables, within limits of time and memory. Only its JSON file is read: it prints "No issues found"
also when it scanned nothing, and its exit code ranks an error above a finding.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from textgate.errors import CannotTell, Refused
from textgate.scan.json_policy import parse_json

SCANNER = Path(".venv-scan/bin/modelscan")
INSTALL = "make it: python3 -m venv .venv-scan && .venv-scan/bin/pip install -r requirements-scan.txt"
CANARY = "canary.pkl"
MAX_REPORT = 32 * 1024 * 1024

# Sets the limits, then becomes the scanner. macOS knows no limit of address space.
_LIMITED = """
import os, resource, sys
memory, size = int(sys.argv[1]), int(sys.argv[2])
if sys.platform != "darwin":
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True)
class Limits:
    """What one run may take. A harmless bundle needs 0.3 s and 200 MiB; a bomb is stopped here."""

    seconds: float = 120.0
    memory_mib: int = 1024


@dataclass(frozen=True)
class Findings:
    """What modelscan said about a folder; paths are relative to it, a member of an archive counts as its archive."""

    version: str
    scanned: frozenset[str]
    issues: tuple[tuple[str, str], ...]  # (path, one line)
    errors: tuple[str, ...]


class _Lenient(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _Scanned(_Lenient):
    total_scanned: int
    scanned_files: list[str] = []


class _Summary(_Lenient):
    total_issues: int
    absolute_path: str
    modelscan_version: str
    scanned: _Scanned


class _Issue(_Lenient):
    description: str
    severity: str
    source: str


class _Error(_Lenient):
    category: str
    description: str
    source: str = ""


class _Report(_Lenient):
    summary: _Summary
    issues: list[_Issue]
    errors: list[_Error]


def run_modelscan(folder: Path, scanner: Path = SCANNER, limits: Limits | None = None) -> Findings:
    """Scan a folder that holds no links. Raises CannotTell if there is no scanner, no report, or a limit was hit."""
    if not scanner.is_file():
        raise CannotTell(f"{scanner} is missing: {INSTALL}")
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="textgate-scan-") as temporary:
        working, report, log = Path(temporary, "empty"), Path(temporary, "report.json"), Path(temporary, "log")
        working.mkdir()
        command = [str(scanner.absolute()), "--path", str(folder.absolute()), "--reporting-format", "json"]
        command += ["--output-file", str(report), "--log", "CRITICAL"]
        ended = _run(command, working, log, limits)
        if not report.is_file():
            last = log.read_bytes()[-2000:].decode("utf-8", "replace").strip().splitlines()
            said = ascii(last[-1][-200:]) if last else "nothing"
            raise CannotTell(f"modelscan wrote no report (exit {ended}, limit {limits.memory_mib} MiB), it said {said}")
        content = report.read_bytes()
    return _read(content, folder)


def canary_caught(scanner: Path = SCANNER, limits: Limits | None = None) -> Findings | None:
    """Scan a folder with one malicious pickle, as any folder is scanned. Returns None if it was not caught.

    The pickle would call os.getpid. It is put together from opcodes and never loaded.
    """
    pickle = b"".join((b"\x80\x02", b"c", b"posix\n", b"getpid\n", b")", b"R", b"."))
    with tempfile.TemporaryDirectory(prefix="textgate-canary-") as temporary:
        Path(temporary, CANARY).write_bytes(pickle)
        found = run_modelscan(Path(temporary), scanner, limits)
    caught = CANARY in found.scanned and any(path == CANARY and "posix" in text for path, text in found.issues)
    return found if caught else None


def _run(command: list[str], working: Path, log: Path, limits: Limits) -> int:
    # One thread: the arithmetic library reserves address space for each, whatever the number of cores.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(working), "LANG": "C.UTF-8", "PYTHONNOUSERSITE": "1"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _LIMITED, str(limits.memory_mib << 20), str(MAX_REPORT), *command],
                cwd=working,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=limits.seconds,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise CannotTell(f"modelscan did not end within {limits.seconds:g} s: look at what it was given") from error
    except OSError as error:
        raise CannotTell(f"{command[0]} cannot be started ({error}): {INSTALL}") from error
    return done.returncode


def _read(content: bytes, folder: Path) -> Findings:
    try:
        raw: Any = parse_json(content)
        report = _Report.model_validate(raw)
    except (Refused, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CannotTell(f"the report of modelscan cannot be read ({reason}): {INSTALL}") from error
    summary = report.summary
    if summary.absolute_path != str(folder.absolute()):
        raise CannotTell("the report of modelscan is about another folder: run the scan again")
    if summary.total_issues != len(report.issues) or summary.scanned.total_scanned != len(
        summary.scanned.scanned_files
    ):
        raise CannotTell(f"the report of modelscan contradicts itself: {INSTALL}")
    return Findings(
        version=summary.modelscan_version,
        scanned=frozenset(map(_outer, summary.scanned.scanned_files)),
        issues=tuple((_outer(issue.source), f"{issue.severity}: {issue.description}") for issue in report.issues),
        errors=tuple(
            f"{error.source or 'modelscan'}: {error.category}: {error.description}" for error in report.errors
        ),
    )


def _outer(source: str) -> str:
    """Return the file that an archive's member lies in: modelscan writes `file:member`."""
    return source.partition(":")[0]
