"""What a user can cause ends in one line and an exit code; what only we can cause keeps its traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.run_script import UNCOMPILED

from textgate.errors import CannotTell, Refused, run


def failing(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (2, 2)])
def test_run__returns_what_main_returns(returned, code):
    assert run(lambda: returned) == code


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Refused("too slow: 600 ms"), 1, "refused: too slow: 600 ms"),
        (CannotTell("x.json is missing"), 2, "cannot tell: x.json is missing"),
        (CannotTell("first\n  second\n"), 2, "cannot tell: first second"),
    ],
)
def test_run__says_one_line_and_the_error_s_own_code(capsys, error, code, line):
    assert run(failing(error)) == code
    assert capsys.readouterr().err == line + "\n"


def test_run__says_how_to_go_on_after_an_interruption(capsys):
    assert run(failing(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted: run the same command again, finished stages are kept\n"


def test_run__our_own_errors_keep_their_traceback_and_never_read_as_refused(capsys):
    assert run(lambda: 1 // 0) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "cannot tell: a defect in textgate, ZeroDivisionError" in said


def write_to_full_disk():
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")


def write_in_rust_to_full_disk(link):
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0}, "a")).save(str(link))


def test_run__another_environment_is_no_defect_of_ours(capsys):
    def main():
        import a_library_that_is_not_here  # noqa: F401

    assert run(main) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"cannot tell: a_library_that_is_not_here is not installed in {sys.prefix}: take ")
    assert said.count("\n") == 1


def test_run__a_part_of_textgate_that_is_missing_is_a_defect(capsys):
    def main():
        import textgate.no_such_part  # noqa: F401

    assert run(main) == 2
    assert "a defect in textgate, ModuleNotFoundError" in capsys.readouterr().err


def test_run__says_that_a_file_is_where_a_folder_should_be_and_the_other_way_round(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    cases = (
        (tmp_path / "file" / "x", lambda path: path.write_text(""), "Not a directory"),
        (tmp_path, lambda path: path.write_text(""), "Is a directory"),
        (tmp_path / "file", lambda path: path.mkdir(exist_ok=True), "File exists"),
    )
    for path, write, why in cases:
        assert run(lambda write=write, path=path: write(path) and None) == 2
        said = f"cannot tell: {path}: {why}: name another place, or move what is there away\n"
        assert capsys.readouterr().err == said


def test_run__says_that_the_disk_is_full(capsys):
    assert run(write_to_full_disk) == 2
    assert capsys.readouterr().err == (
        "cannot tell: the working folder: No space left on device: free some space or rights, then run again\n"
    )


def test_run__knows_the_limit_of_a_file_system_or_a_shell(tmp_path):
    script = "import sys; from pathlib import Path; from textgate.errors import run\n"
    script += "sys.exit(run(lambda: Path('x').write_bytes(bytes(1000))))"
    done = subprocess.run(
        ["prlimit", "--fsize=100", sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
        check=False, env=os.environ | UNCOMPILED | {"PYTHONPATH": str(Path("src").resolve())},
    )  # fmt: skip
    why = "the working folder: File too large: free some space or rights, then run again"
    assert (done.returncode, done.stderr) == (2, f"cannot tell: {why}\n")


def test_run__knows_a_full_disk_also_from_libraries_that_hide_its_number(capsys, tmp_path):
    link = tmp_path / "full"  # a writer that renames its file over this replaces the link, not the device
    link.symlink_to("/dev/full")
    assert run(lambda: write_in_rust_to_full_disk(link)) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_run__names_the_file_that_may_not_be_written(capsys):
    assert run(failing(PermissionError(errno.EACCES, "Permission denied", "build/x.json"))) == 2
    assert capsys.readouterr().err.startswith("cannot tell: build/x.json: Permission denied: ")


def test_run__leaves_code_and_reason_for_whoever_runs_the_stages(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TEXTGATE_REASON", str(tmp_path / "reason"))
    run(failing(Refused("no\nø \ud800")))
    assert (tmp_path / "reason").read_text(encoding="utf-8") == "1 no ø ?"


def test_run__does_not_fail_on_a_reason_file_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXTGATE_REASON", str(tmp_path / "no" / "such" / "folder"))
    assert run(failing(CannotTell("x"))) == 2


def test_run__is_no_success_when_the_reader_of_our_output_went_away():
    script = (
        "import sys; from textgate.errors import run\n"
        "def main():\n    for _ in range(100_000): print('x' * 100)\n"
        "sys.exit(run(main))"
    )
    environment = os.environ | {"PYTHONPATH": "src"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 2
