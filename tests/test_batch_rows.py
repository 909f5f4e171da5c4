"""Bytes into rows: nothing is lost or doubled, whatever stands there and wherever reading goes on."""

import csv
import gzip
import io
import json
import zlib
from itertools import islice

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from tests.batch_example import LIMIT, as_bytes, records, settings, write_rows

from textgate.batch.formats import format_of, opened
from textgate.batch.lines import FIRST, Pieces, jsonl_rows
from textgate.batch.rows import START, Place, Read, Reject, Row, windows
from textgate.errors import CannotTell

SOUP = st.lists(
    st.sampled_from((b'"', b",", b"\n", b"\r", b"a", b"snow", b"\xff", b'{"text": "x"}', b"\xc3\xa6", b"x" * 40)),
    max_size=60,
).map(b"".join)


def rows_of(path, column="text", begin=None, limit=LIMIT):
    """Return the rows of a file from a place on."""
    with opened(str(path), format_of(path.name, None), column, begin or Place(), limit) as reading:
        return [read.row for read in reading.reads]


def places_of(path, config):
    with opened(str(path), format_of(path.name, None), "text", Place(), config.row_bytes) as reading:
        return [window.place for window in windows(reading, config)]


def reasons(path, **options):
    return [row.reason if isinstance(row, Reject) else row.text for row in rows_of(path, **options)]


@pytest.mark.parametrize("form", ["jsonl", "csv", "jsonl.gz", "csv.gz", "parquet"])
def test_opened__every_format_gives_the_same_rows_and_goes_on_anywhere(tmp_path, form):
    wanted = records(60)
    path = write_rows(tmp_path / f"in.{form}", wanted)
    whole = rows_of(path)
    assert whole == [Row(number, row["id"], row["text"]) for number, row in enumerate(wanted, start=1)]
    places = places_of(path, settings(window_rows=7))
    assert [place.rows for place in places] == [7, 14, 21, 28, 35, 42, 49, 56, 60]
    for place in places:
        assert rows_of(path, begin=place) == whole[place.rows :]


@pytest.mark.parametrize("form", ["jsonl", "csv", "csv.gz"])
@given(soup=SOUP)
@profile(deadline=None)
def test_opened__whatever_the_bytes_rows_are_counted_and_read_the_same_from_any_place(tmp_path_factory, form, soup):
    path = tmp_path_factory.mktemp("soup") / f"in.{form}"
    content = b"text\n" + soup if form.startswith("csv") else soup
    path.write_bytes(gzip.compress(content) if form.endswith("gz") else content)
    whole = rows_of(path, limit=64)
    assert [row.number for row in whole] == list(range(1, len(whole) + 1))
    for place in places_of(path, settings(window_rows=1, row_bytes=64)):
        assert rows_of(path, begin=place, limit=64) == whole[place.rows :]


@profile(deadline=None)
@given(st.lists(st.text(max_size=30).filter(str.strip), max_size=20))
def test_csv__what_a_csv_writer_wrote_is_what_is_read(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("csv") / "in.csv"
    text = io.StringIO()
    csv.writer(text).writerows([["text"], *([text] for text in texts)])
    path.write_bytes(text.getvalue().encode("utf-8"))
    assert [row.text for row in rows_of(path)] == texts


def test_jsonl__says_what_is_wrong_with_each_row_and_reads_the_next(tmp_path):
    path = tmp_path / "in.jsonl"
    lines = (
        b'{"text": "snow", "id": 7}',
        b"{",
        b"[]",
        b"",
        b'{"txt": "snow"}',
        b'{"text": null}',
        b'{"text": 5}',
        b'{"text": " "}',
        b'{"text": "\xff"}',
        b'{"text": "' + b"x" * LIMIT + b'"}',
        b"[" * (LIMIT - 1),
        '{"text": "snow"}'.encode("utf-16"),
        b'{"text": "ice", "id": true}',
    )
    path.write_bytes(b"\n".join(lines))
    assert reasons(path) == [
        "snow",
        "not JSON: Expecting property name enclosed in double quotes: line 2 column 1 (char 2)",
        "not a JSON object",
        "no text",
        "no text",
        "the text is not a string but int",
        "an empty text",
        "byte 10 is not UTF-8",
        f"longer than {LIMIT} bytes",
        reasons(path)[9],
        "byte 0 is not UTF-8",
        "ice",
    ]
    assert reasons(path)[9].startswith("not JSON: ")
    found = rows_of(path)
    assert (found[0].id, found[-1].id) == ("7", None)
    assert found[8].start == '{"text": "' + "x" * (START - 10)


def lines_of(path, *rows):
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    return path


LACKS = b'{"txt": "snow", "id": 1}'
HAS = b'{"text": "snow"}'
OTHERS = "name yours with --text-column"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([LACKS], f"no key 'text' in its only row (found: 'txt', 'id'): {OTHERS}"),
        ([LACKS, b"{", b"[]"], f"no key 'text' in the first 3 rows (found: 'txt', 'id'): {OTHERS}"),
        ([b"{}", LACKS], f"no key 'text' in the first 2 rows (found: none): {OTHERS}"),
        ([LACKS] * FIRST + [HAS], f"no key 'text' in the first {FIRST} rows (found: 'txt', 'id'): {OTHERS}"),
        (
            [b'{"\\u001b[2J%s": 1}' % (b"x" * 300)],
            rf"no key 'text' in its only row (found: '\x1b[2J{'x' * 192}): {OTHERS}",
        ),
    ],
)
def test_jsonl__a_key_that_no_row_has_is_not_begun(tmp_path, monkeypatch, rows, message):
    monkeypatch.chdir(tmp_path)
    lines_of(tmp_path / "in.jsonl", *rows)
    with opened("in.jsonl", "jsonl", "text", Place(), LIMIT) as reading, pytest.raises(CannotTell) as refusal:
        next(reading.reads)
    assert str(refusal.value) == f"in.jsonl: {message}"


@pytest.mark.parametrize("has", [b'{"text": "snow"}', b'{"text": null}', b'{"text": 5}'])
def test_jsonl__one_row_that_has_the_key_is_enough_for_the_others_to_be_rejected(tmp_path, has):
    path = lines_of(tmp_path / "in.jsonl", *[LACKS] * (FIRST - 1), has, LACKS)
    found = reasons(path)
    assert len(found) == FIRST + 1
    assert {*found[: FIRST - 1], found[-1]} == {"no text"}


def test_jsonl__a_file_of_anything_but_objects_says_nothing_of_keys(tmp_path):
    path = lines_of(tmp_path / "in.jsonl", *[b"[]"] * FIRST, LACKS)
    assert reasons(path) == ["not a JSON object"] * FIRST + ["no text"]


def test_jsonl__a_run_that_goes_on_does_not_look_for_the_key_again(tmp_path):
    path = lines_of(tmp_path / "in.jsonl", b'{"text": "snow"}', LACKS, LACKS)
    assert reasons(path, begin=Place(offset=17, rows=1)) == ["no text", "no text"]


def test_jsonl__a_first_row_that_has_the_key_does_not_wait_for_the_next():
    pieces = Pieces(io.BytesIO(HAS + b"\n" + HAS), "-", LIMIT)
    assert next(jsonl_rows(pieces, "-", "text", Place())) == Read(Row(1, None, "snow"), 17)
    assert pieces.offset == 17


def test_jsonl__what_the_system_cannot_read_is_said(tmp_path):
    (tmp_path / "in.jsonl").symlink_to("/proc/self/mem")  # whose first bytes belong to nobody
    with pytest.raises(CannotTell, match=r"in\.jsonl cannot be read \(Input/output error\): mend that, or name"):
        rows_of(tmp_path / "in.jsonl")


def test_jsonl__a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + as_bytes(records(3), "jsonl"))
    (tmp_path / "in.csv").write_bytes(b"\xef\xbb\xbf" + as_bytes(records(3), "csv"))
    assert rows_of(tmp_path / "in.jsonl") == rows_of(tmp_path / "in.csv")
    assert len(rows_of(tmp_path / "in.csv")) == 3


@pytest.mark.parametrize(("length", "fits"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False)])
def test_jsonl__a_row_of_the_limit_with_its_line_break_still_fits(tmp_path, length, fits):
    line = b'{"text": "' + b"x" * (length - 13) + b'"}\n'
    assert len(line) == length
    (tmp_path / "in.jsonl").write_bytes(line * 2)
    assert [isinstance(row, Row) for row in rows_of(tmp_path / "in.jsonl")] == [fits, fits]


def test_csv__says_what_is_wrong_with_each_record_and_reads_the_next(tmp_path):
    path = tmp_path / "in.csv"
    lines = (
        b"id,text",
        b"1,snow",
        b"2",
        b"3,a,b",
        b"",
        b'4,"a"b',
        b"5,\xff",
        b"6,",
        b'7,"' + b"x\n" * LIMIT + b'"',
        b"8," + b"x" * LIMIT,
        b'9,a 5" pipe',
        b'10,"never closed',
        b"11,ice",
    )
    path.write_bytes(b"\n".join(lines))
    assert reasons(path) == [
        "snow",
        "1 fields, the header has 2",
        "3 fields, the header has 2",
        "not valid CSV: ',' expected after '\"'",
        "the text is not UTF-8",
        "an empty text",
        f"longer than {LIMIT} bytes (is a double quote missing?)",
        f"longer than {LIMIT} bytes (is a double quote missing?)",
        'a 5" pipe',
        "not valid CSV: unexpected end of data",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "in.csv is empty: a CSV file begins with the names of its columns"),
        (b"id,txt\n", "in.csv: no column 'text' (found: 'id', 'txt'): name yours with --text-column"),
        (b"text,text\n", "in.csv: more than one column 'text' (found: 'text', 'text'): name yours with --text-column"),
        (b'text,"\nsnow\n', "in.csv: its first line is no CSV header: mend it"),
        (b"x" * (LIMIT + 1), "in.csv: its first line is no CSV header: mend it"),
    ],
)
def test_csv__a_file_without_a_usable_header_is_not_begun(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_bytes(content)
    with opened("in.csv", "csv", "text", Place(), LIMIT) as reading, pytest.raises(CannotTell) as refusal:
        list(reading.reads)
    assert str(refusal.value) == message


def test_csv__a_field_may_be_as_long_as_the_row(tmp_path):
    (tmp_path / "in.csv").write_bytes(b"text\n" + b"x" * 150_000 + b"\n")
    assert [len(text) for text in reasons(tmp_path / "in.csv", limit=200_000)] == [150_000]


def test_csv__a_header_alone_is_a_file_without_rows(tmp_path):
    (tmp_path / "in.csv").write_bytes(b"id,text\r\n")
    assert rows_of(tmp_path / "in.csv") == []


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "not gzip"])
def test_gzip__cut_off_or_damaged_is_never_a_whole_file(tmp_path, damage):
    rows = [
        json.loads(line) | {"text": zlib.crc32(line).to_bytes(4, "big").hex()}
        for line in as_bytes(records(200), "jsonl").splitlines()
    ]
    content = as_bytes(rows, "jsonl.gz")
    path = tmp_path / "in.jsonl.gz"
    damaged = {"cut": content[:-9], "changed": content[:-6] + b"xxxxxx", "empty": b"", "not gzip": b"{}\n"}
    path.write_bytes(damaged[damage])
    message = "is empty, and so not gzip" if damage == "empty" else "the gzip in it is cut off or damaged"
    with pytest.raises(CannotTell, match=message):
        rows_of(path)


def test_gzip__several_members_are_one_file(tmp_path):
    rows = records(10)
    (tmp_path / "in.jsonl.gz").write_bytes(as_bytes(rows[:4], "jsonl.gz") + as_bytes(rows[4:], "jsonl.gz"))
    assert len(rows_of(tmp_path / "in.jsonl.gz")) == 10


def parquet_of(path, columns, **options):
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path, **options)
    return path


def test_parquet__missing_long_and_broken_texts_are_rejected_one_by_one(tmp_path):
    binary = pa.array([b"snow", None, b"\xff", b"x" * (LIMIT + 1), b" ", b"ice"])
    path = parquet_of(tmp_path / "in.parquet", {"text": binary.view(pa.string()), "id": range(6)})
    assert reasons(path) == [
        "snow",
        "no text",
        "byte 0 is not UTF-8",
        f"longer than {LIMIT} bytes",
        "an empty text",
        "ice",
    ]
    assert [row.id for row in rows_of(path) if isinstance(row, Row)] == ["0", "5"]
    path = parquet_of(tmp_path / "ids.parquet", {"text": ["snow", "ice"], "id": ["x" * (LIMIT + 1), "x" * LIMIT]})
    assert reasons(path) == [f"an id longer than {LIMIT} bytes", "ice"]


@pytest.mark.parametrize("done", [0, 31, 32, 33, 600, 999, 1000, 1001, 1500])
def test_parquet__goes_on_anywhere_in_row_groups_of_any_size(tmp_path, done):
    texts = [f"snow {number}" for number in range(1500)]
    path = parquet_of(tmp_path / "in.parquet", {"text": texts}, row_group_size=1000)
    found = rows_of(path, begin=Place(offset=done, rows=done))
    assert found == [Row(number + 1, None, texts[number]) for number in range(done, 1500)]


@pytest.mark.parametrize("kind", ["large_string", "string_view", "dictionary"])
def test_parquet__reads_strings_of_every_kind(tmp_path, kind):
    wanted = pa.dictionary(pa.int32(), pa.string()) if kind == "dictionary" else getattr(pa, kind)()
    texts = pa.array(["snow", "ice", None, "snow"]).cast(wanted)
    path = parquet_of(tmp_path / "in.parquet", {"text": texts, "id": texts})
    found = rows_of(path)
    assert [row.id for row in found if isinstance(row, Row)] == ["snow", "ice", "snow"]
    assert reasons(path) == ["snow", "ice", "no text", "snow"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": [1, 2]}, r"the column 'text' holds int64, not strings"),
        ({"texts": ["a"]}, r"no column 'text' \(found: 'texts'\): name yours with --text-column"),
    ],
)
def test_parquet__a_column_that_holds_no_texts_is_not_begun(tmp_path, columns, message):
    path = parquet_of(tmp_path / "in.parquet", columns)
    with pytest.raises(CannotTell, match=message):
        rows_of(path)


def test_parquet__cut_off_or_damaged_is_never_a_whole_file(tmp_path):
    path = parquet_of(tmp_path / "in.parquet", {"text": [f"snow {n}" for n in range(5000)]}, compression="zstd")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CannotTell, match="not a whole Parquet file"):
        rows_of(path)
    path.write_bytes(content[:100] + b"x" * 500 + content[600:])
    with pytest.raises(CannotTell, match="damaged behind row"):
        rows_of(path)


def test_windows__a_long_id_counts_as_a_long_text_does(tmp_path):
    path = write_rows(tmp_path / "in.jsonl", [{"id": "x" * 60, "text": "snow"} for _ in range(4)])
    with opened(str(path), "jsonl", "text", Place(), LIMIT) as reading:
        assert [len(window.rows) for window in windows(reading, settings(window_bytes=100))] == [2, 2]


def test_parquet__few_rows_are_in_memory_at_once_however_small_the_file(tmp_path):
    texts = pa.DictionaryArray.from_arrays([0] * 2000, ["x" * 1_000_000])  # 2 GB in some 50 KB
    path = parquet_of(tmp_path / "in.parquet", {"text": texts}, store_schema=False)
    pool = pa.default_memory_pool()
    with opened(str(path), "parquet", "text", Place(), 1_000_000) as reading:
        held = [pool.bytes_allocated() for _ in islice(reading.reads, 100)]
    assert max(held) < 200e6
    assert path.stat().st_size < 1e6


def test_windows__are_full_by_number_or_by_size(tmp_path):
    path = write_rows(tmp_path / "in.jsonl", [{"text": "x" * size} for size in (1, 1, 1, 90, 20, 1)])
    with opened(str(path), "jsonl", "text", Place(), LIMIT) as reading:
        found = list(windows(reading, settings(window_rows=3, window_bytes=100)))
    assert [len(window.rows) for window in found] == [3, 2, 1]
    assert found[-1].share == 1.0


@pytest.mark.parametrize(
    ("name", "named", "message"),
    [
        ("in.txt", None, r"in\.txt: unknown ending \(known: \.jsonl, \.csv, \.jsonl\.gz, \.csv\.gz, \.parquet\)"),
        ("", None, "a name is empty: batch.py takes IN and OUT, make batch takes IN= and OUT="),
        ("-", None, "- has no ending that tells its format: add --format"),
        ("-", "parquet", "Parquet cannot be read from or written to a pipe"),
    ],
)
def test_format_of__what_it_cannot_tell(name, named, message):
    with pytest.raises(CannotTell, match=message):
        format_of(name, named)


def test_format_of__the_ending_tells_whatever_its_case():
    assert [format_of(name, None) for name in ("a.CSV", "b.jsonl.GZ", "c.parquet")] == ["csv", "jsonl.gz", "parquet"]
    assert format_of("-", "csv.gz") == "csv.gz"
