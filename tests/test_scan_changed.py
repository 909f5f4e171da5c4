"""A folder that does not stay as it is while it is scanned: the scan vouches for nothing."""

import os
import sys
from pathlib import Path

import pytest

from textgate.scan.scan import scan_folder

SCANNER = Path(__file__).resolve().parent.parent / ".venv-scan/bin/modelscan"
OLD = 1_700_000_000
CHANGES = {
    "of other bytes": "file.write_text('[]')",
    "of other bytes and the old time": "file.write_text('[]'); os.utime(file, (OLD, OLD))",
    "another file in its place": "new = file.with_name('new'); new.write_text('[]'); new.rename(file)",
    "a file more": "file.with_name('more.json').write_text('{}')",
    "a file less": "file.unlink()",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_scan__is_unknown_when_a_file_changes_under_it(tmp_path, change):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    os.utime(folder / "config.json", (OLD, OLD))
    program = tmp_path / "stub"
    program.write_text(
        f"#!{sys.executable} -I\nimport os, pathlib, subprocess, sys\n"
        f"subprocess.run([{str(SCANNER)!r}, *sys.argv[1:]])\n"
        f"OLD = {OLD}\n"
        f"file = pathlib.Path({str(folder / 'config.json')!r})\n"
        f"if file.exists():\n    {change}\n"
    )
    program.chmod(0o755)
    found = scan_folder(folder, program)
    assert found.outcome == "unknown"
    assert any("was changed while it was scanned: scan it again" in error for error in found.errors)
