"""A folder into a Scan: each file has exactly one voucher, or the folder does not pass.

The policy's strict readers, modelscan, a canary that modelscan must catch, and the bundle's own manifest are put
together here. A finding is refused; a scanner that could not do its work is unknown, never passed.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError
from tqdm import tqdm

from textgate.bundle import CARD, MANIFEST, Manifest, bundle_files, digest_of
from textgate.errors import CannotTell, Refused
from textgate.files import read_text, sha256_file
from textgate.records import Outcome
from textgate.scan.policy import Judgement, is_plain, judge_file, list_files, one_line
from textgate.scan.scanner import SCANNER, Findings, canary_caught, run_modelscan
from textgate.verdicts import Scan, ScannedFile

NOT_RUN = "not run"


def scan_folder(folder: Path, scanner: Path = SCANNER) -> Scan:
    """Judge every file of a folder, whether it is a bundle or not. Raises CannotTell if it is no folder.

    What modelscan could not do (missing, a limit hit, an error, a canary not caught) stands in `errors`.
    """
    started = time.perf_counter()
    before = _stamps(folder)
    paths = list(before)
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(_modelscan, folder, scanner, paths)
        judged, hashes = _judge(folder, paths)
    canary, found, errors = asked.result()
    sealed = _against_manifest(folder, hashes)
    files = tuple(_combine(path, judged[path], hashes[path], found, sealed.get(path, ())) for path in paths)
    if not files:
        errors.append(f"{folder} holds no files: nothing there to vouch for")
    if _stamps(folder) != before:
        errors.append(f"{folder} was changed while it was scanned: scan it again")
    return Scan(
        bundle_digest=_digest(folder, hashes),
        outcome=_outcome(files, errors),
        modelscan_version=canary.version if canary else NOT_RUN,
        canary_caught=canary is not None,
        files=files,
        errors=tuple(one_line(error) for error in errors),
        seconds=round(time.perf_counter() - started, 3),
    )


def table(scan: Scan) -> str:
    """Return one line a file (bytes, voucher, path, findings), then the errors and the outcome."""
    lines = [f"{'bytes':>13}  {'voucher':<12}  path"]
    for file in scan.files:
        lines.append(f"{file.bytes:>13,}  {file.voucher or 'nobody':<12}  {file.path}")
        lines += [f"{'':>13}  {'':<12}    {finding}" for finding in file.findings]
    lines += [f"unknown: {error}" for error in scan.errors]
    canary = "caught" if scan.canary_caught else "not caught"
    version = scan.modelscan_version
    return "\n".join([*lines, f"scan: {scan.outcome} (modelscan {version}, canary {canary}, {scan.seconds:.1f} s)"])


def _stamps(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what the system notes of each file, links included: any write, also of as many bytes, changes it.

    Hashing everything twice would double the time; that the bytes are still those of the scan's digest is asked again
    by the gate, which hashes them.
    """
    status = {path: (folder / path).lstat() for path in list_files(folder)}
    return {path: (one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for path, one in status.items()}


def _judge(folder: Path, paths: list[str]) -> tuple[dict[str, Judgement], dict[str, str | None]]:
    """Return each file's judgement and SHA-256 (None for a link or a special file)."""
    judged: dict[str, Judgement] = {}
    hashes: dict[str, str | None] = {}
    for path in tqdm(paths, desc="scan", unit="file", leave=False, disable=None):
        judged[path] = judge_file(folder, path)
        hashes[path] = sha256_file(folder / path) if is_plain(folder, path) else None
    return judged, hashes


def _modelscan(folder: Path, scanner: Path, paths: list[str]) -> tuple[Findings | None, Findings | None, list[str]]:
    """Return what modelscan said about the canary and about the folder (None: it could not say), and why not."""
    plain = all(is_plain(folder, path) for path in paths)  # it would follow a link, which the policy refuses
    canary = None
    with ThreadPoolExecutor() as side_by_side:  # each is a process that mostly imports
        about_canary = side_by_side.submit(canary_caught, scanner)
        about_folder = side_by_side.submit(run_modelscan, folder, scanner) if plain else None
    try:
        canary = about_canary.result()
        if canary is None:
            return None, None, [f"the canary was not caught: {scanner} does not see what it must see, install it again"]
        if about_folder is None:
            return canary, None, []
        found = about_folder.result()
    except CannotTell as error:
        return canary, None, [str(error)]
    astray = [f"{source}: {text}" for source, text in found.issues if source not in paths]
    return canary, found, [*found.errors, *astray]


def _against_manifest(folder: Path, hashes: dict[str, str | None]) -> dict[str, tuple[str, ...]]:
    """Return findings by file where the folder differs from its manifest (extra, changed, missing), if it has one."""
    if hashes.get(MANIFEST) is None:
        return {}
    try:
        listed = Manifest.model_validate_json(read_text(folder / MANIFEST, "train again")).files
    except (CannotTell, ValidationError) as error:
        return {MANIFEST: (f"is not a manifest: {one_line(str(error))}",)}
    findings = {}
    for path, sha256 in hashes.items():
        if path in (MANIFEST, CARD):
            continue
        if path not in listed:
            findings[path] = ("is not in the manifest: restore the bundle or train again",)
        elif sha256 != listed[path]:
            findings[path] = ("is not the file that was sealed: restore the bundle or train again",)
    missing = tuple(f"lists {path}, which is missing" for path in sorted(set(listed) - set(hashes)))
    return findings | ({MANIFEST: missing} if missing else {})


def _combine(
    path: str, judged: Judgement, sha256: str | None, found: Findings | None, sealed: tuple[str, ...]
) -> ScannedFile:
    findings = [judged.finding] if judged.finding else []
    voucher = judged.voucher
    if voucher == "modelscan" and (found is None or path not in found.scanned):
        voucher = None
        if found is not None:
            findings.append("modelscan did not scan it, and nobody else vouches for it")
    findings += [f"modelscan: {text}" for source, text in (found.issues if found else ()) if source == path]
    findings += sealed
    return ScannedFile(
        path=judged.path,
        bytes=judged.bytes,
        sha256=sha256,
        voucher=None if findings else voucher,
        findings=tuple(one_line(finding) for finding in findings),
    )


def _outcome(files: tuple[ScannedFile, ...], errors: list[str]) -> Outcome:
    if any(file.findings for file in files):
        return "refused"
    return "unknown" if errors or any(file.voucher is None for file in files) else "passed"


def _digest(folder: Path, hashes: dict[str, str | None]) -> str | None:
    """Return the digest, or None for a folder that cannot have one (a link, an odd name, too many files)."""
    try:
        files = bundle_files(folder)
    except Refused:
        return None
    return digest_of({path: str(hashes.get(path)) for path in files})
