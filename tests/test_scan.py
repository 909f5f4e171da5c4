"""The scan passes a folder only if every file has one voucher and modelscan has proved that it sees.

These tests run the real modelscan. Pickles are put together from opcodes and never loaded.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from textgate import records
from textgate.bundle import digest, seal, verify
from textgate.config import Experiment, Tfidf
from textgate.errors import CannotTell, Refused
from textgate.evidence import Reference
from textgate.models.classifier import open_bundle
from textgate.models.tfidf import TfidfClassifier
from textgate.scan.scan import scan_folder, table
from textgate.scan.scanner import CANARY, Limits, canary_caught, run_modelscan
from textgate.verdicts import Scan, ScannedFile

ROOT = Path(__file__).resolve().parent.parent
SCANNER = ROOT / ".venv-scan/bin/modelscan"
SCRIPT = ROOT / "scripts/scan.py"
MALICIOUS = b"\x80\x02cposix\ngetpid\n)R."


@pytest.fixture(scope="module", autouse=True)
def _scanner_is_installed():
    assert SCANNER.is_file(), (
        "the scanner is missing: python3 -m venv .venv-scan && .venv-scan/bin/pip install -r requirements-scan.txt"
    )


@pytest.fixture(scope="module")
def _model():
    texts = ["jeg er her i dag", "du er ikke her", "jag är här idag", "du är inte här"] * 6
    targets = np.array([0, 0, 1, 1] * 6)
    config = Tfidf(kind="tfidf", min_n=2, max_n=3, min_df=1, c=1.0)
    return TfidfClassifier.fit(texts, targets, (texts, targets), ("da", "sv"), config, seed=1), config


@pytest.fixture
def bundle(tmp_path, _model):
    folder = tmp_path / "model"
    folder.mkdir()
    classifier, config = _model
    classifier.save(folder)
    reference = Reference(
        label_share={"da": 0.5, "sv": 0.5}, characters_quantiles=(1.0,), words_quantiles=(1.0,), character_share={}
    )
    seal(
        folder,
        kind="tfidf",
        labels=("da", "sv"),
        experiment="001_baseline",
        config=Experiment(description="small", model=config),
        parts=(),
        seed=1,
        data_fingerprint="a" * 64,
        commit="0" * 40,
        lock_sha256="b" * 64,
        versions={},
        reference=reference,
    )
    (folder / "README.md").write_text("# A model\n")
    return folder


def of(scan: Scan, path: str) -> ScannedFile:
    return next(file for file in scan.files if file.path == path)


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)


# --- a bundle -----------------------------------------------------------------------------------------------------


def test_scan__a_sealed_bundle_passes_and_each_file_has_one_voucher(bundle):
    found = scan_folder(bundle, SCANNER)
    assert found.outcome == "passed"
    assert found.canary_caught
    assert found.modelscan_version == "0.8.8"
    assert found.bundle_digest == digest(bundle)
    assert found.errors == ()
    assert {file.path: file.voucher for file in found.files} == {
        "README.md": "text",
        "manifest.json": "json",
        "tfidf.json": "json",
        "tfidf.safetensors": "safetensors",
    }
    assert all(file.sha256 and not file.findings for file in found.files)


def test_scan__survives_its_evidence_file(bundle, tmp_path):
    found = scan_folder(bundle, SCANNER)
    records.write(tmp_path / "scan.json", found)
    assert records.read(tmp_path / "scan.json", Scan, "scan") == found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.pkl", MALICIOUS),
        ("model.joblib", b"\x80\x02N."),
        ("modeling.py", b"print('hello')\n"),
        ("extra.json", b"{}"),
    ],
)
def test_scan__a_file_that_was_added_is_refused_by_scan_and_load(bundle, name, content):
    (bundle / name).write_bytes(content)
    found = scan_folder(bundle, SCANNER)
    assert found.outcome == "refused"
    assert of(found, name).voucher is None
    assert any("is not in the manifest" in finding for finding in of(found, name).findings)
    with pytest.raises(Refused, match="is not in the manifest"):
        open_bundle(bundle)


def test_scan__one_changed_byte_is_refused_by_scan_and_load(bundle):
    weights = bundle / "tfidf.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = scan_folder(bundle, SCANNER)
    assert found.outcome == "refused"
    assert of(found, "tfidf.safetensors").findings == (
        "is not the file that was sealed: restore the bundle or train again",
    )
    with pytest.raises(Refused, match="is not the file that was sealed"):
        verify(bundle)


def test_scan__a_missing_file_is_refused_by_scan_and_load(bundle):
    (bundle / "tfidf.safetensors").unlink()
    found = scan_folder(bundle, SCANNER)
    assert found.outcome == "refused"
    assert of(found, "manifest.json").findings == ("lists tfidf.safetensors, which is missing",)
    with pytest.raises(Refused, match=r"tfidf\.safetensors is missing"):
        verify(bundle)


def test_scan__a_manifest_of_another_shape_is_refused(bundle):
    (bundle / "manifest.json").write_text("{}")
    found = scan_folder(bundle, SCANNER)
    assert found.outcome == "refused"
    assert "is not a manifest" in of(found, "manifest.json").findings[0]


# --- any folder ---------------------------------------------------------------------------------------------------


def test_scan__modelscan_vouches_for_an_array_that_it_really_scanned(tmp_path):
    np.save(tmp_path / "idf.npy", np.ones(3))
    found = scan_folder(tmp_path, SCANNER)
    assert (found.outcome, of(found, "idf.npy").voucher) == ("passed", "modelscan")


def test_scan__reports_what_modelscan_finds(tmp_path):
    (tmp_path / "model.pkl").write_bytes(MALICIOUS)
    found = scan_folder(tmp_path, SCANNER)
    assert found.outcome == "refused"
    assert of(found, "model.pkl").findings == (
        "is a pickle, which can carry code: store data only (safetensors, ONNX, JSON)",
        "modelscan: CRITICAL: Use of unsafe operator 'getpid' from module 'posix'",
    )


def test_scan__reports_what_modelscan_finds_inside_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.writestr("inner/data.pkl", MALICIOUS)
    found = scan_folder(tmp_path, SCANNER)
    assert (
        "modelscan: CRITICAL: Use of unsafe operator 'getpid' from module 'posix'" in of(found, "weights.zip").findings
    )


def test_scan__a_finding_is_refused_although_modelscan_ranks_its_error_higher(tmp_path):
    (tmp_path / "model.pkl").write_bytes(MALICIOUS)
    (tmp_path / "broken.pkl").write_bytes(b"\x80\x02")
    found = scan_folder(tmp_path, SCANNER)
    assert found.outcome == "refused"
    assert any("modelscan: CRITICAL" in finding for finding in of(found, "model.pkl").findings)
    assert any("broken.pkl: PICKLE_GENOPS" in error for error in found.errors)


def test_scan__a_pickle_that_modelscan_passes_in_silence_is_refused_all_the_same(tmp_path):
    (tmp_path / "clean.pkl").write_bytes(b"\x80\x02]q\x00.")
    (tmp_path / "legacy.pt").write_bytes(MALICIOUS)
    found = scan_folder(tmp_path, SCANNER)
    assert found.outcome == "refused"
    assert [file.voucher for file in found.files] == [None, None]


def test_scan__a_folder_that_modelscan_has_nothing_to_say_about_passes_by_policy_alone(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    found = scan_folder(tmp_path, SCANNER)
    assert (found.outcome, of(found, "config.json").voucher) == ("passed", "json")


def test_scan__an_empty_folder_is_unknown(tmp_path):
    found = scan_folder(tmp_path, SCANNER)
    assert found.outcome == "unknown"
    assert "holds no files: nothing there to vouch for" in found.errors[0]


def test_scan__a_missing_folder_cannot_be_told(tmp_path):
    with pytest.raises(CannotTell, match="is not a folder"):
        scan_folder(tmp_path / "missing", SCANNER)


def test_scan__a_link_out_of_the_folder_is_refused_and_not_followed(tmp_path):
    outside = tmp_path / "outside.pkl"
    outside.write_bytes(MALICIOUS)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "model.pkl").symlink_to(outside)
    found = scan_folder(inside, SCANNER)
    assert found.outcome == "refused"
    assert found.canary_caught
    assert found.bundle_digest is None
    assert of(found, "model.pkl").findings == ("is a link or a special file: put the file itself there",)
    assert of(found, "model.pkl").sha256 is None


def test_scan__an_odd_name_is_refused_and_can_be_written_down(tmp_path):
    (tmp_path / os.fsdecode(b"a\xff\n.json")).write_text("{}")
    found = scan_folder(tmp_path, SCANNER)
    assert found.outcome == "refused"
    assert found.files[0].path == r"a\udcff\n.json"
    records.write(tmp_path.parent / "odd.json", found)
    assert len(table(found).splitlines()) == 4


# --- the scanner --------------------------------------------------------------------------------------------------


def test_canary__is_caught_by_the_real_scanner():
    found = canary_caught(SCANNER)
    assert found is not None
    assert found.scanned == {CANARY}


def test_scan__settings_that_switch_modelscan_off_are_not_obeyed(tmp_path, monkeypatch):
    (tmp_path / "modelscan-settings.toml").write_text("[scanners]\n[middlewares]\n[unsafe_globals]\n")
    monkeypatch.chdir(tmp_path)
    assert canary_caught(SCANNER) is not None


def stub(folder: Path, report: object) -> Path:
    """Write a scanner that reports what it is told to, whatever it is given, and claims success."""
    program = folder / "stub"
    program.write_text(
        f"#!{sys.executable} -I\n"
        "import json, os, sys\n"
        f"report = {report!r}\n"
        "if report is not None:\n"
        "    where = sys.argv[sys.argv.index('--path') + 1]\n"
        "    text = report if isinstance(report, str) else json.dumps(report).replace('FOLDER', where)\n"
        "    open(sys.argv[sys.argv.index('--output-file') + 1], 'w').write(text)\n"
        "print('No issues found!')\n"
    )
    program.chmod(0o755)
    return program


def report(issues: int = 0, scanned: tuple[str, ...] = (), folder: str = "FOLDER") -> dict[str, object]:
    return {
        "summary": {
            "total_issues": issues,
            "absolute_path": folder,
            "modelscan_version": "0.8.8",
            "scanned": {"total_scanned": len(scanned), "scanned_files": list(scanned)},
        },
        "issues": [],
        "errors": [],
    }


SCANNERS = {
    "sees nothing": (report(), "the canary was not caught"),
    "scans the canary and finds nothing": (report(scanned=(CANARY,)), "the canary was not caught"),
    "writes no report": (None, "modelscan wrote no report (exit 0, limit 1024 MiB), it said 'No issues found!'"),
    "writes an empty report": ("", "cannot be read (not JSON"),
    "writes half a report": ('{"summary": {', "cannot be read (not JSON"),
    "writes a report of another shape": ({"issues": []}, "cannot be read (2 validation errors for _Report)"),
    "writes about another folder": (report(folder="elsewhere"), "is about another folder"),
    "counts issues that it does not show": (report(issues=1), "contradicts itself"),
}


@pytest.mark.parametrize(("said", "message"), SCANNERS.values(), ids=SCANNERS)
def test_scan__is_unknown_when_the_scanner(tmp_path, said, message):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    found = scan_folder(folder, stub(tmp_path, said))
    assert found.outcome == "unknown"
    assert not found.canary_caught
    assert message in found.errors[0]
    assert "unknown" in table(found)


def test_scan__is_unknown_when_the_scanner_is_missing(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    found = scan_folder(tmp_path, tmp_path / "nowhere/modelscan")
    assert (found.outcome, found.canary_caught, found.modelscan_version) == ("unknown", False, "not run")
    assert "nowhere/modelscan is missing: make it: python3 -m venv .venv-scan" in found.errors[0]


def test_scan__without_a_scanner_an_array_has_no_voucher_but_is_not_refused(tmp_path):
    np.save(tmp_path / "idf.npy", np.ones(3))
    found = scan_folder(tmp_path, tmp_path / "nowhere")
    assert (found.outcome, of(found, "idf.npy").voucher) == ("unknown", None)


def test_run_modelscan__stops_at_its_time_limit(tmp_path):
    with pytest.raises(CannotTell, match=r"modelscan did not end within 0\.01 s"):
        run_modelscan(tmp_path, SCANNER, Limits(seconds=0.01))


def test_run_modelscan__stops_at_its_memory_limit(tmp_path):
    with pytest.raises(CannotTell, match="modelscan wrote no report"):
        run_modelscan(tmp_path, SCANNER, Limits(memory_mib=20))


def test_run_modelscan__a_bomb_is_an_error_not_a_pass(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.pkl", b"\x80\x02" + b"N" * 2_000_000 + b".")
    found = run_modelscan(tmp_path, SCANNER, Limits(memory_mib=250))
    assert found.scanned == frozenset()
    assert any("bomb.pkl" in error for error in found.errors)


def test_run_modelscan__passes_no_secrets_on(tmp_path, monkeypatch):
    monkeypatch.setenv("REPO_TOKEN", "secret")
    program = tmp_path / "stub"
    program.write_text(f"#!{sys.executable} -I\nimport os\nprint(sorted(os.environ), os.listdir())\n")
    program.chmod(0o755)
    with pytest.raises(CannotTell) as caught:
        run_modelscan(tmp_path, program)
    said = str(caught.value)
    assert "'PATH'" in said
    assert "[]" in said
    assert "TOKEN" not in said


# --- the script ---------------------------------------------------------------------------------------------------


def test_script__writes_evidence_and_a_table_for_the_bundle_of_this_build(bundle, tmp_path):
    build = tmp_path / "build"
    build.mkdir()
    bundle.rename(build / "model")
    done = run("--scanner", SCANNER, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "scan: passed (modelscan 0.8.8, canary caught" in done.stdout
    assert records.read(build / "scan.json", Scan, "scan").outcome == "passed"


def test_script__refuses_another_folder_and_writes_no_evidence_for_it(tmp_path):
    (tmp_path / "any").mkdir()
    (tmp_path / "any/model.pkl").write_bytes(MALICIOUS)
    done = run("any", "--scanner", SCANNER, cwd=tmp_path)
    assert done.returncode == 1
    assert "modelscan: CRITICAL" in done.stdout
    assert not (tmp_path / "build").exists()


def test_script__writes_evidence_where_it_is_told_to(tmp_path):
    (tmp_path / "any").mkdir()
    (tmp_path / "any/config.json").write_text("{}")
    assert run("any", "--scanner", SCANNER, "--out", "here.json", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "here.json").read_text())["outcome"] == "passed"


def test_script__leaves_no_earlier_verdict_when_it_cannot_tell(tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build/scan.json").write_text('{"outcome": "passed"}')
    done = run("--scanner", SCANNER, cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot tell: build/model is not a folder" in done.stderr
    assert not (tmp_path / "build/scan.json").exists()
    assert "Traceback" not in done.stderr


def test_script__is_unknown_without_a_scanner(tmp_path):
    (tmp_path / "any").mkdir()
    (tmp_path / "any/config.json").write_text("{}")
    done = run("any", cwd=tmp_path)
    assert done.returncode == 2
    assert "scan: unknown (modelscan not run, canary not caught" in done.stdout
