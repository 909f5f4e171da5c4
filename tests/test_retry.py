"""A command that talks to GitHub is run again while that can help, and ends with one line that holds no secret."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "retry.py"
# Prints the n-th file beside it at the n-th call, on stderr, and ends with 1; with 0 once there is no such file.
PROGRAM = """#!/bin/sh
n=$(cat "$0.calls" 2>/dev/null || echo 0); n=$((n + 1)); echo $n > "$0.calls"
printf '%s|' "$@" > "$0.given"
if [ -f "$0.$n" ]; then cat "$0.$n" >&2; exit 1; fi
echo "https://github.com/octo/gate/pull/4#issuecomment-1"
"""


@pytest.fixture
def cml(tmp_path):
    """Return the path of a stand-in for cml."""
    path = tmp_path / "cml"
    path.write_text(PROGRAM)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def says(cml, *messages):
    for number, message in enumerate(messages, 1):
        cml.with_name(f"cml.{number}").write_text(message + "\n")


def ran(cml, *arguments, **more):
    return subprocess.run(
        [sys.executable, str(SCRIPT), "cml", *arguments],
        env=os.environ | {"PATH": f"{cml.parent}:{os.environ['PATH']}"} | more,
        capture_output=True,
        text=True,
        check=False,
    )


def calls(cml):
    return int(cml.with_name("cml.calls").read_text())


def test_retry__passes_on_what_the_command_is_given_and_prints(cml):
    done = ran(cml, "comment", "update", "--target=pr/4", "--publish=false", "a b; $(c)", "comment.md")
    assert (done.returncode, done.stdout) == (0, "https://github.com/octo/gate/pull/4#issuecomment-1\n")
    given = cml.with_name("cml.given").read_text()
    assert given == "comment|update|--target=pr/4|--publish=false|a b; $(c)|comment.md|"
    assert calls(cml) == 1


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            '{"level":"error","message":"Bad credentials","status":401}',
            "GitHub does not take the token (401): Bad credentials: give this step a valid token",
        ),
        (
            "HttpError: Resource not accessible by integration\n    at /snapshot/cml/node_modules/request.js:86",
            "the token has no right to do this (403): HttpError: Resource not accessible by integration: see the",
        ),
        (
            '{"level":"error","message":"Validation Failed: {\\"message\\":\\"body is too long\\"}","status":422}',
            'GitHub did not accept it (422): Validation Failed: {"message":"body is too long"}: it has to be mended',
        ),
        ("Error: Not Found", "not found (404): Error: Not Found: it does not exist, or the token may not see it"),
        ("HttpError: Not Found (status: 404)", "not found (404): HttpError"),
        ("TypeError: x is not a function", "it failed: TypeError: x is not a function: look at what it printed"),
        ("", "it failed: it printed nothing: look at what it printed"),
    ],
)
def test_retry__what_cannot_pass_is_run_once_and_ends_with_one_line(cml, message, line):
    says(cml, message)
    done = ran(cml, "comment")
    assert done.returncode == 2
    assert done.stderr.startswith(f"cannot tell: cml ended with exit code 1: {line}")
    assert done.stderr.count("\n") == 1
    assert calls(cml) == 1


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ('{"message":"Server Error","status":502}. Retry after 0 s', "GitHub is in trouble (5xx): "),
        ("<html>503 Service Unavailable</html> retry-after: 0", "GitHub is in trouble (5xx): "),
        ("getaddrinfo ENOTFOUND api.github.com, retry after 0", "GitHub cannot be reached: "),
        ("You have exceeded a secondary rate limit (403). Retry after 0 seconds", "GitHub's rate limit is reached: "),
        ('{"message":"Too many requests","status":429,"retry-after":"0"}', "GitHub's rate limit is reached: "),
    ],
)
def test_retry__what_may_pass_is_run_three_times(cml, message, line):
    says(cml, message, message)
    assert ran(cml).returncode == 0
    assert calls(cml) == 3
    cml.with_name("cml.calls").unlink()
    says(cml, message, message, message, message)
    done = ran(cml)
    assert done.returncode == 2
    assert done.stderr.startswith(f"cannot tell: cml ended with exit code 1: {line}")
    assert done.stdout.count("next try in 0 s") == 2
    assert calls(cml) == 3


def test_retry__waits_two_seconds_if_nobody_says_how_long(cml):
    says(cml, "502 Bad Gateway")
    started = time.monotonic()
    done = ran(cml)
    assert (done.returncode, done.stdout.count("next try in 2 s")) == (0, 1)
    assert time.monotonic() - started >= 2


def test_retry__does_not_wait_for_an_hour(cml):
    says(cml, "API rate limit exceeded, retry after 3600 seconds")
    done = ran(cml)
    assert (done.returncode, calls(cml)) == (2, 1)
    assert "next try" not in done.stdout


def test_retry__no_token_is_printed(cml):
    says(cml, 'Bad credentials: "token ghs_0123456789"', "unused")
    done = ran(cml, REPO_TOKEN="ghs_0123456789")
    assert "ghs_" not in done.stdout + done.stderr
    assert '"token ***"' in done.stdout
    assert '"token ***"' in done.stderr


def test_retry__the_line_is_short_and_shows_what_hides(cml):
    says(cml, "\x1b[2J" + "x" * 10_000)
    done = ran(cml)
    assert "⟨U+001B⟩[2Jxxx" in done.stderr
    assert len(done.stderr) < 500


def test_retry__a_program_that_is_missing_is_named(tmp_path):
    done = ran(tmp_path / "cml", PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == ("cannot tell: cml is not installed: install it in an earlier step, then run this again\n")


def test_retry__without_a_command_says_how_to_use_it():
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "name a command" in done.stderr
