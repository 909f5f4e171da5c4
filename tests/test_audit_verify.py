"""No line of the audit log can be changed, removed, added or moved without being named, also by ten lines of Python."""

import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import tracemalloc

import pytest
from tests.audit_log import ROOT, config, entries, event, segment, write
from tests.run_script import finished, run_script

from textgate.errors import CannotTell
from textgate.serve.audit.chain import MAX_LINE, Head, bind, parse
from textgate.serve.audit.log import AuditLog
from textgate.serve.audit.verify import verify

DOCUMENT = ROOT / "docs/audit.md"
FOREIGN = bind(Head(), b'{"kind":"answer"}')[0]


def edit(folder, change, number=1):
    """Let `change` turn the list of lines of a segment into another."""
    path = segment(folder, number)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def swap(lines, one, other):
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def rewrite(lines, at):
    """Change a line and give it the hash that it needs."""
    link = parse(lines[at])
    lines[at] = bind(Head(link.n - 1, link.prev), link.event.replace(b"north", b"south"))[0]
    return lines


def skip(lines):
    """Give the last line, with the hash that it needs, a number that is too high."""
    link = parse(lines[-1])
    return [*lines[:-1], bind(Head(link.n + 4, link.prev), link.event)[0]]


CHANGES = {
    "a label": (
        lambda lines: [line.replace(b"north", b"nurth") if b"request-4" in line else line for line in lines],
        6,
    ),
    "a hash": (lambda lines: [*lines[:4], lines[4][:-4] + b'x"}\n', *lines[5:]], 5),
    "white space": (lambda lines: [*lines[:4], lines[4].replace(b'":', b'": '), *lines[5:]], 5),
    "no JSON": (lambda lines: [*lines[:4], b"\x00\xff\n", *lines[5:]], 5),
    "a line with its hash": (lambda lines: rewrite(lines, 4), 6),
}
TAMPERED = {
    **{f"changed {name}": (change, line, "changed") for name, (change, line) in CHANGES.items()},
    "the first is removed": (lambda lines: lines[1:], 1, "removed"),
    "one is removed": (lambda lines: [*lines[:4], *lines[5:]], 5, "removed"),
    "five are removed": (lambda lines: [*lines[:4], *lines[9:]], 5, "removed"),
    "a number is skipped": (skip, 11, "removed"),
    "neighbours are swapped": (lambda lines: swap(lines, 4, 5), 5, "reordered"),
    "distant ones are swapped": (lambda lines: swap(lines, 4, 9), 5, "reordered"),
    "the last comes first": (lambda lines: [lines[-1], *lines[:-1]], 1, "reordered"),
    "a foreign one is inserted": (lambda lines: [*lines[:4], FOREIGN, *lines[4:]], 5, "inserted"),
    "a copy is inserted": (lambda lines: [*lines[:4], lines[2], *lines[4:]], 5, "inserted"),
    "an empty one is inserted": (lambda lines: [*lines[:4], b"\n", *lines[4:]], 5, "inserted"),
    "a copy is put at the end": (lambda lines: [*lines, lines[3]], 12, "inserted"),
    "half of one is left": (lambda lines: [*lines[:-1], lines[-1][:50]], 11, "torn"),
    "the middle lost its end": (lambda lines: [*lines[:4], lines[4][:-1], *lines[5:]], 5, "changed"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_verify__names_the_first_broken_line_and_what_happened(tmp_path, name):
    change, line, what = TAMPERED[name]
    write(tmp_path)
    assert verify(tmp_path).holds
    edit(tmp_path, change)
    found = verify(tmp_path)
    assert not found.holds
    assert f"000001.jsonl, line {line}: {what}: " in found.slots[0].line()
    assert f"broken after {line - 1} good lines" in found.slots[0].line()


def three_segments(folder):
    log = AuditLog(config(folder))
    for _ in range(120):
        log.append([event(number) for number in range(32)])
    log.close()


def test_verify__a_missing_segment_shows_unless_it_is_the_last(tmp_path):
    three_segments(tmp_path)
    middle = segment(tmp_path, 2).read_bytes()
    segment(tmp_path, 2).unlink()
    assert "000003.jsonl, line 1: removed" in verify(tmp_path).slots[0].line()
    segment(tmp_path, 2).write_bytes(middle)
    segment(tmp_path, 1).unlink()
    assert "000002.jsonl, line 1: removed" in verify(tmp_path).slots[0].line()


def test_verify__swapped_segments_show(tmp_path):
    three_segments(tmp_path)
    one, two = segment(tmp_path, 1).read_bytes(), segment(tmp_path, 2).read_bytes()
    segment(tmp_path, 1).write_bytes(two)
    segment(tmp_path, 2).write_bytes(one)
    assert "000001.jsonl, line 1: reordered" in verify(tmp_path).slots[0].line()


def test_verify__lines_cut_off_the_end_show_by_the_head_alone(tmp_path):
    head = write(tmp_path)
    edit(tmp_path, lambda lines: lines[:-3])
    assert verify(tmp_path).holds
    found = verify(tmp_path, [f"{head.n}:{head.hash}"])
    assert not found.holds
    assert found.missing == (f"{head.n}:{head.hash}: in no chain: lines were cut off an end, or are deleted",)
    assert not verify(tmp_path, [head.hash]).holds


def test_verify__a_head_of_any_slot_is_found_and_its_number_counts(tmp_path):
    logs = [AuditLog(config(tmp_path)) for _ in range(2)]
    heads = [log.head for log in logs]
    logs[1].append([event()])
    for log in logs:
        log.close()
    assert verify(tmp_path, [f"{head.n}:{head.hash.upper()}" for head in heads]).holds
    assert not verify(tmp_path, [f"2:{heads[0].hash}"]).holds


@pytest.mark.parametrize("head", ["", "12", "0:" + "a" * 64, "x" * 64, "1:2:" + "a" * 64])
def test_verify__says_what_is_no_head(tmp_path, head):
    write(tmp_path)
    with pytest.raises(CannotTell, match="is no head: give the hash, or n:hash, from the server's log"):
        verify(tmp_path, [head])


def test_verify__a_slot_that_is_gone_shows(tmp_path):
    logs = [AuditLog(config(tmp_path)) for _ in range(3)]
    for log in logs:
        log.close()
    (tmp_path / "slot-2").rename(tmp_path / "elsewhere")
    assert verify(tmp_path).missing == (f"{tmp_path / 'slot-2'}: removed: there are later slots",)


@pytest.mark.parametrize(("damage", "said"), [(b"other", "changed"), (None, "removed")])
def test_verify__what_was_set_aside_must_still_be_there(tmp_path, damage, said):
    write(tmp_path)
    with segment(tmp_path).open("ab") as file:
        file.write(b"half")
    write(tmp_path)
    torn = tmp_path / "slot-1/000001-12.torn"
    torn.unlink()
    if damage:
        torn.write_bytes(damage)
    assert f"000001-12.torn: {said}: n 12 says what it held" in verify(tmp_path).slots[0].line()


@pytest.mark.parametrize("content", [b"", b"{}x", b"\xff", b'{"schema_version":1,"segment":-1,"n":0}'])
def test_verify__an_anchor_that_is_none_is_named(tmp_path, content):
    write(tmp_path)
    (tmp_path / "slot-1/anchor.json").write_bytes(content)
    assert "anchor.json: changed: not what the server writes there" in verify(tmp_path).slots[0].line()


def test_verify__a_forged_anchor_does_not_fit_the_lines_that_are_left(tmp_path):
    three_segments(tmp_path)
    segment(tmp_path, 1).unlink()
    link = parse(segment(tmp_path, 2).read_bytes().splitlines(keepends=True)[0])
    fitting = {"schema_version": 1, "segment": 1, "n": link.n - 1, "hash": link.prev}
    (tmp_path / "slot-1/anchor.json").write_text(json.dumps(fitting))
    assert verify(tmp_path).holds  # it is what retention leaves: docs/audit.md says so
    (tmp_path / "slot-1/anchor.json").write_text(json.dumps(fitting | {"hash": "0" * 64}))
    assert "000002.jsonl, line 1: changed" in verify(tmp_path).slots[0].line()


def test_verify__a_recovery_that_the_server_would_not_write_is_named(tmp_path):
    head = write(tmp_path)
    with segment(tmp_path).open("ab") as file:
        file.write(bind(head, b'{"kind":"recovered","at":[]}')[0])
    assert "slot-1, n 12: changed: no event as the server writes it" in verify(tmp_path).slots[0].line()


def test_verify__a_line_without_end_takes_no_memory(tmp_path):
    write(tmp_path)
    with segment(tmp_path).open("ab") as file:
        file.truncate(16 * MAX_LINE)
    tracemalloc.start()
    try:
        assert "line 12: changed" in verify(tmp_path).slots[0].line()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * MAX_LINE


def test_chain__a_hash_is_that_of_the_bytes_before_it(tmp_path):
    write(tmp_path, 1)
    first, second = segment(tmp_path).read_bytes().splitlines()
    assert hashlib.sha256(first[:-75]).hexdigest() == json.loads(first)["hash"] == json.loads(second)["prev"]
    assert list(json.loads(first)) == ["n", "prev", "event", "hash"]


def auditor(folder):
    """Run the ten lines of docs/audit.md, in a Python that has nothing else."""
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, folder], capture_output=True, text=True, timeout=60, check=False
    )


def test_document__its_ten_lines_agree_with_us(tmp_path):
    head = write(tmp_path)
    told = auditor(tmp_path)
    assert (told.returncode, told.stdout) == (0, f"slot-1 holds, head {head.n}:{head.hash}\n")


@pytest.mark.parametrize("name", [name for name in TAMPERED if "copy is put" not in name])
def test_document__its_ten_lines_find_what_we_find(tmp_path, name):
    write(tmp_path)
    edit(tmp_path, TAMPERED[name][0])
    assert auditor(tmp_path).returncode == 1


def test_document__its_ten_lines_know_the_anchor(tmp_path):
    three_segments(tmp_path)
    last = parse(segment(tmp_path, 1).read_bytes().splitlines(keepends=True)[-1])
    anchor = {"schema_version": 1, "segment": 1, "n": last.n, "hash": last.hash}
    (tmp_path / "slot-1/anchor.json").write_text(json.dumps(anchor))
    assert auditor(tmp_path).returncode == 0


def test_document__shows_a_line_as_it_is():
    shown = json.loads(re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1])
    assert list(shown["event"]) == [field.name for field in dataclasses.fields(event())]


def test_script__says_it_with_its_exit_code(tmp_path):
    code, _, err = finished(run_script("audit_verify", tmp_path))
    assert (code, err) == (
        2,
        f"cannot tell: {tmp_path}: no audit log is there: name the folder that configs/serve.yaml names\n",
    )
    head = write(tmp_path)
    code, out, err = finished(run_script("audit_verify", tmp_path, "--head", head.hash))
    assert (code, err) == (0, "")
    assert out == f"slot-1: 11 lines hold, head 11:{head.hash}\n{tmp_path}: the audit log holds\n"
    edit(tmp_path, lambda lines: lines[:5] + lines[6:])
    code, out, err = finished(run_script("audit_verify", tmp_path))
    assert (code, out.count("\n")) == (1, 1)
    assert "000001.jsonl, line 6: removed: lines before it are missing" in out
    assert err.startswith(f"refused: {tmp_path}: the audit log is not what was written: keep it as it lies")
    assert len(entries(tmp_path)) == 10
