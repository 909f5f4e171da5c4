"""A file of texts into a file of predictions: every row once, in order, and as the model alone would say."""

import contextlib
import csv
import dataclasses
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tests.batch_example import LIMIT, as_bytes, read_back, records, rejects, sealed, settings, write_rows
from tests.run_script import ROOT, UNCOMPILED
from tests.small import seal_small

from textgate.batch.answer import answer, score
from textgate.batch.batch import batch, find_model
from textgate.batch.rows import Place, Row, Window
from textgate.batch.workers import local
from textgate.batch.written import to_parquet
from textgate.bundle import digest
from textgate.errors import CannotTell, Refused
from textgate.evidence import Release
from textgate.models.classifier import open_bundle
from textgate.records import write

FORMATS = ("jsonl", "csv", "jsonl.gz", "csv.gz", "parquet")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the folder of a sealed bundle. Read only."""
    return sealed(tmp_path_factory.mktemp("model") / "bundle")


def run(source, target, model, form=None, **changes):
    return batch(str(source), str(target), model, "text", form, settings(**changes))


def script(folder, *options, **standard):
    """Run scripts/batch.py in a folder that has a configuration; return exit code, output and errors as bytes."""
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "batch.yaml").write_text(settings().model_dump_json())
    command = [sys.executable, str(ROOT / "scripts" / "batch.py"), *map(str, options)]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300, **standard)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("read", FORMATS)
def test_batch__every_pair_of_formats_gives_the_same_answers(tmp_path, model, read, written):
    rows = records(45)
    source = write_rows(tmp_path / f"in.{read}", rows)
    done = run(source, tmp_path / f"out.{written}", model)
    assert (done.scored, done.rejected) == (45, 0)
    bundle = open_bundle(model)
    alone = [bundle.classifier.predict_proba([row["text"]])[0] for row in rows]
    found = read_back(tmp_path / f"out.{written}")
    assert [row["row"] for row in found] == list(range(1, 46))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    labels = bundle.manifest.labels
    np.testing.assert_array_equal([[row["probabilities"][label] for label in labels] for row in found], alone)
    assert [row["label"] for row in found] == [labels[each.argmax()] for each in alone]
    assert [row["confidence"] for row in found] == [each.max() for each in alone]
    assert {(row["model_digest"], row["model_version"]) for row in found} == {(digest(model), "unreleased")}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({source.name, f"out.{written}"})


GOOD = st.builds(lambda text: {"text": text}, st.text(min_size=1, max_size=20))
BAD = st.sampled_from(({"text": None}, {"text": 1}, {}, [], "snow", {"text": "x" * LIMIT}))


@given(rows=st.lists(GOOD | BAD, max_size=40).map(lambda rows: [{"text": None}, *rows]))
@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
def test_batch__each_row_is_answered_or_rejected_exactly_once(tmp_path_factory, model, rows):
    folder = tmp_path_factory.mktemp("rows")
    source = folder / "in.jsonl"
    source.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    done = run(source, folder / "out.jsonl", model, window_rows=3)
    answered = [row["row"] for row in read_back(folder / "out.jsonl")]
    rejected = [row["row"] for row in rejects(folder / "out.jsonl")]
    assert sorted(answered + rejected) == list(range(1, len(rows) + 1))
    assert (answered, rejected) == (sorted(answered), sorted(rejected))
    assert (done.scored, done.rejected) == (len(answered), len(rejected))
    known = [row["text"] for row in rows if isinstance(row, dict) and isinstance(row.get("text"), str)]
    assert len(answered) == sum(1 for text in known if text.strip() and len(text) < LIMIT)


@pytest.mark.parametrize("form", FORMATS)
def test_batch__bad_rows_are_rejected_with_their_reason_and_the_rest_is_scored(tmp_path, model, form):
    rows = records(30)
    rows[3]["text"], rows[29]["text"] = " ", "x" * (LIMIT + 1)
    done = run(write_rows(tmp_path / f"in.{form}", rows), tmp_path / "out.csv", model)
    assert (done.scored, done.rejected) == (28, 2)
    found = rejects(tmp_path / "out.csv")
    assert [(row["row"], row["reason"].split(" (")[0]) for row in found] == [
        (4, "an empty text"),
        (30, f"longer than {LIMIT} bytes"),
    ]
    assert all(len(row["start"]) <= 200 for row in found)
    assert [row["row"] for row in read_back(tmp_path / "out.csv")] == [n for n in range(1, 30) if n != 4]


@pytest.mark.parametrize("written", FORMATS)
def test_batch__a_file_without_rows_gives_a_file_without_rows(tmp_path, model, written):
    (tmp_path / "in.jsonl").write_bytes(b"\n")
    assert run(tmp_path / "in.jsonl", tmp_path / f"out.{written}", model).scored == 0
    assert read_back(tmp_path / f"out.{written}") == []


def test_batch__half_a_character_in_an_id_is_written_as_its_format_can(tmp_path, model):
    (tmp_path / "in.jsonl").write_text('{"id": "a\\ud800", "text": "snow \\ud800"}\n')
    for form in ("jsonl", "csv", "parquet"):
        run(tmp_path / "in.jsonl", tmp_path / f"out.{form}", model)
    assert read_back(tmp_path / "out.jsonl")[0]["id"] == "a\ud800"
    assert [read_back(tmp_path / f"out.{form}")[0]["id"] for form in ("csv", "parquet")] == ["a?", "a?"]


def test_batch__processes_write_what_a_thread_writes(tmp_path, model):
    source = write_rows(tmp_path / "in.jsonl", [*records(80), {"text": None}, *records(30)])
    run(source, tmp_path / "one.jsonl", model)
    two = settings().processes.model_copy(update={"tfidf": 2})
    run(source, tmp_path / "two.jsonl", model, processes=two)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert rejects(tmp_path / "one.jsonl") == rejects(tmp_path / "two.jsonl")


def test_score__equal_texts_are_scored_once(model):
    asked = []

    class Counting:
        labels = ("north", "south")

        def predict_proba(self, texts):
            asked.extend(texts)
            return np.tile([0.25, 0.75], (len(texts), 1))

    bundle = open_bundle(model)
    counted = type(bundle)(bundle.path, bundle.digest, bundle.manifest, Counting())
    assert [found.label for found in score(["a", "bbb", "a", "bb"], counted)] == ["south"] * 4
    assert asked == ["bbb", "bb", "a"]


def test_batch__answers_as_the_version_that_was_released(tmp_path, model):
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "bundle").symlink_to(model)
    release = Release(
        version="v1.2.3",
        bundle_digest=digest(model),
        data_fingerprint="0" * 64,
        experiment="small",
        commit="none",
        judged_commit="0" * 40,
    )
    write(tmp_path / "v1" / "release.json", release)
    assert find_model(tmp_path / "v1").version == "v1.2.3"
    write(tmp_path / "v1" / "release.json", release.model_copy(update={"bundle_digest": "1" * 64}))
    with pytest.raises(CannotTell, match=r"has the digest [0-9a-f]{12}…, but 111111111111… was expected"):
        find_model(tmp_path / "v1")


def test_batch__an_altered_bundle_scores_nothing_and_is_no_exit_code_1(tmp_path, bundle):
    source = write_rows(tmp_path / "in.jsonl", records(3))
    (bundle / "tfidf.json").write_bytes((bundle / "tfidf.json").read_bytes() + b" ")
    code, _, said = script(tmp_path, source, "out.jsonl", "--model", bundle)
    assert (code, b"tfidf.json is not the file that was sealed" in said) == (2, True)
    assert not (tmp_path / "out.jsonl").exists()


def test_batch__a_model_that_gives_no_probabilities_scores_nothing(tmp_path, bundle):
    weights = load_file(bundle / "tfidf.safetensors")
    save_file(weights | {"bias": weights["bias"] * np.nan}, bundle / "tfidf.safetensors")
    seal_small(bundle)
    source = write_rows(tmp_path / "in.jsonl", records(3))
    with pytest.raises(CannotTell, match="which are not probabilities that add up to 1"):
        run(source, tmp_path / "out.jsonl", bundle)
    assert not (tmp_path / "out.jsonl").exists()


def test_batch__a_bundle_with_what_nobody_vouches_for_is_not_opened(bundle):
    (bundle / "more.pkl").write_bytes(b"\x80\x04N.")
    seal_small(bundle)
    with pytest.raises(CannotTell, match=r"more\.pkl"):
        find_model(bundle)


@pytest.mark.parametrize(("name", "reason"), [("circle", "Symlink loop"), ("x" * 300, "File name too long")])
def test_batch__a_model_that_cannot_be_read_is_said(tmp_path, name, reason):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(CannotTell, match=rf"{name} cannot be read \(.*{reason}.*\): name a bundle folder"):
        find_model(tmp_path / name)


def test_answer__a_bundle_that_is_not_the_one_that_was_begun_with_answers_nothing(model):
    window = Window((Row(1, None, "snow"),), (), Place(offset=5, rows=1), None)
    begun = dataclasses.replace(find_model(model), digest="1" * 64)
    with pytest.raises(Refused, match="but 111111111111… was expected"):
        answer(window, begun, "jsonl")


def test_to_parquet__many_small_windows_become_few_row_groups(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("row", pa.int64())])
    windows = [pa.record_batch([pa.array(range(1000))], schema).serialize() for _ in range(70)]
    (tmp_path / "stream").write_bytes(b"".join(map(bytes, (schema.serialize(), *windows))))
    to_parquet(tmp_path / "stream", tmp_path / "out.parquet")
    found = parquet.ParquetFile(tmp_path / "out.parquet")
    assert (found.metadata.num_rows, found.metadata.num_row_groups) == (70_000, 2)


@pytest.mark.parametrize("there", ["out.jsonl", "out.jsonl.rejects.jsonl"])
def test_batch__never_writes_over_what_is_there(tmp_path, model, there):
    source = write_rows(tmp_path / "in.jsonl", records(3))
    (tmp_path / there).write_text("precious")
    with pytest.raises(CannotTell, match=rf"{there} exists: name another output, or move it away"):
        run(source, tmp_path / "out.jsonl", model)
    assert (tmp_path / there).read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.jsonl", there])


def test_batch__an_output_that_is_the_input_is_not_touched(tmp_path, model):
    source = write_rows(tmp_path / "in.jsonl", records(3))
    before = source.read_bytes()
    with pytest.raises(CannotTell, match=r"in\.jsonl exists: name another output, or move it away"):
        run(source, source, model)
    assert (source.read_bytes(), [*tmp_path.iterdir()]) == (before, [source])


def test_batch__never_writes_over_what_came_to_be_while_it_ran(tmp_path, model):
    source, target = write_rows(tmp_path / "in.jsonl", records(30)), tmp_path / "out.jsonl"

    @contextlib.contextmanager
    def slow(*wanted):
        with local(*wanted) as workers:
            target.write_text("precious")
            yield workers

    with pytest.raises(CannotTell, match=r"out\.jsonl was made by somebody else meanwhile: move it away, and run the"):
        batch(str(source), str(target), model, "text", None, settings(), slow)
    target.replace(tmp_path / "away")
    assert run(source, target, model).scored == 30
    assert ((tmp_path / "away").read_text(), len(read_back(target))) == ("precious", 30)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("in.jsonl/out.jsonl", r"\(.*in\.jsonl: File exists\)"),
        (f"{'x' * 250}.jsonl", r"\(.*File name too long\)"),
    ],
)
def test_batch__says_why_an_output_cannot_be_written(tmp_path, model, name, reason):
    source = write_rows(tmp_path / "in.jsonl", records(3))
    with pytest.raises(CannotTell, match=rf"{name} cannot be written {reason}: mend that, and run the same command"):
        run(source, tmp_path / name, model)


@pytest.mark.parametrize("name", ["out.jsonl.state.new", "out.parquet.part.parquet"])
def test_batch__says_why_what_it_writes_beside_the_output_cannot_be_written(tmp_path, model, name):
    source, target = write_rows(tmp_path / "in.jsonl", records(3)), ".".join(name.split(".")[:2])
    (tmp_path / name).mkdir()
    with pytest.raises(
        CannotTell, match=rf"{target} cannot be written \(.*{name}.*Is a directory\): mend that, and run"
    ):
        run(source, tmp_path / target, model)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_script__no_room_names_the_output_and_the_next_run_goes_on(tmp_path, model, form):
    write_rows(tmp_path / "in.jsonl", records(600))
    options = ("in.jsonl", f"out.{form}", "--model", model)
    code, _, said = script(tmp_path, *options, preexec_fn=little_room, env=os.environ | UNCOMPILED)
    why = rf"cannot tell: out\.{form}(\.part)? cannot be written \(.*File too large\): mend that, and run the same"
    assert (code, bool(re.match(why, said.decode())), said.count(b"\n")) == (2, True, 1)
    assert script(tmp_path, *options)[::2] == (0, b"600 rows scored\n")
    assert [row["row"] for row in read_back(tmp_path / f"out.{form}")] == list(range(1, 601))


def little_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


@pytest.mark.parametrize("rows", [0, 30])
def test_script__says_that_standard_output_takes_no_more(tmp_path, model, rows):
    content = as_bytes(records(rows), "csv")
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, ROOT / "scripts" / "batch.py", "-", "-", "--format", "csv", "--model", model]
    with Path("/dev/full").open("wb") as full:
        given = {"input": content, "stdout": full, "stderr": subprocess.PIPE, "env": usual}
        done = subprocess.run(command, cwd=ROOT, check=False, **given)
    why = b"cannot tell: <stdout> cannot be written (No space left on device): mend that, and run the same command"
    assert (done.returncode, done.stderr) == (2, why + b" again\n")


@pytest.mark.parametrize(
    ("redirection", "why"),
    [
        ("<&-", "standard input is closed: open it, or name a file"),
        (">&-", "standard output is closed: open it, or name a file"),
        ("2>&-", "standard error is closed: open it, or send it to /dev/null"),
    ],
)
def test_script__says_that_a_stream_is_closed_which_it_needs(tmp_path, model, redirection, why):
    line = f'exec "$@" {redirection}'
    script_line = [sys.executable, ROOT / "scripts" / "batch.py", "-", "-", "--format", "jsonl", "--model", model]
    command = ["sh", "-c", line, "sh", *script_line]
    done = subprocess.run(command, cwd=ROOT, input=b'{"text": "snow"}', capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (2, f"cannot tell: {why}\n".encode())


def test_batch__an_id_with_any_kind_of_line_break_stays_one_field_of_csv(tmp_path, model):
    ids = ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "\r"]
    source = write_rows(tmp_path / "in.jsonl", [{"id": each, "text": "snow"} for each in ids])
    run(source, tmp_path / "out.csv", model)
    assert [row["id"] for row in read_back(tmp_path / "out.csv")] == ids
    assert (tmp_path / "out.csv").read_bytes().splitlines(keepends=True)[0].endswith(b"model_version\n")


def test_batch__says_that_there_is_no_input(tmp_path, model):
    with pytest.raises(CannotTell, match=r"nowhere\.csv: there is no such file: name one, or -"):
        run(tmp_path / "nowhere.csv", tmp_path / "out.csv", model)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CannotTell, match=r"folder\.csv: not a plain file: name one, or -"):
        run(tmp_path / "folder.csv", tmp_path / "out.csv", model)
    (tmp_path / "memory.csv").symlink_to("/proc/self/mem")  # whose first bytes belong to nobody
    with pytest.raises(CannotTell, match=r"memory\.csv cannot be read \(Input/output error\): mend that, or name"):
        run(tmp_path / "memory.csv", tmp_path / "out.csv", model)


def test_script__reads_a_pipe_and_writes_one_and_says_how_many(tmp_path, model):
    rows = [*records(25), {"id": "x", "text": " "}]
    content = as_bytes(rows, "csv.gz")
    code, out, said = script(tmp_path, "-", "-", "--format", "csv.gz", "--model", model, input=content)
    assert code == 1
    lines = said.decode().splitlines()
    assert json.loads(lines[0]) == {"row": 26, "reason": "an empty text", "start": "x, "}
    assert lines[1] == "25 rows scored, 1 rejected: above"
    (tmp_path / "out.csv.gz").write_bytes(out)
    assert [row["id"] for row in read_back(tmp_path / "out.csv.gz")] == [row["id"] for row in rows[:25]]


def test_script__a_pipe_into_a_file_gives_the_file_that_a_file_gives(tmp_path, model):
    rows = [*records(25), {"id": "x", "text": " "}]
    source = write_rows(tmp_path / "in.csv", rows)
    options = ("--format", "csv", "--model", model)
    code, _, said = script(tmp_path, "-", "out.jsonl", *options, input=source.read_bytes())
    assert (code, said.decode()) == (1, "25 rows scored, 1 rejected: out.jsonl.rejects.jsonl\n")
    run(source, tmp_path / "same.jsonl", model)
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "same.jsonl").read_bytes()
    assert rejects(tmp_path / "out.jsonl") == rejects(tmp_path / "same.jsonl")
    code, _, said = script(tmp_path, "in.csv", "good.jsonl", "--model", model, "--text-column", "id")
    assert (code, said) == (0, b"26 rows scored\n")


def test_script__a_text_column_that_no_row_has_is_one_line_and_in_the_way_of_no_later_run(tmp_path, model):
    options = (write_rows(tmp_path / "in.jsonl", records(30)).name, "out.jsonl", "--model", model)
    code, _, said = script(tmp_path, *options, "--text-column", "txt")
    why = "no key 'txt' in the first 30 rows (found: 'id', 'text'): name yours with --text-column"
    assert (code, said.decode()) == (2, f"cannot tell: in.jsonl: {why}\n")
    assert script(tmp_path, *options)[::2] == (0, b"30 rows scored\n")


def test_script__a_reader_that_has_seen_enough_ends_it_quietly(tmp_path, model):
    write_rows(tmp_path / "in.jsonl", records(3000))
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "batch.yaml").write_text(settings().model_dump_json())
    command = [sys.executable, ROOT / "scripts" / "batch.py", "in.jsonl", "-", "--format", "csv", "--model", model]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        first = started.stdout.readline()
        started.stdout.close()
        said = started.stderr.read()
    assert next(csv.reader([first.decode()]))[:3] == ["row", "id", "label"]
    assert (started.returncode, said) == (2, b"")


def test_script__imports_nothing_that_trains_or_judges(tmp_path, model):
    heavy = ("sklearn", "scipy", "pandas", "torch", "transformers", "mlflow", "pyarrow", "fastapi")
    write_rows(tmp_path / "in.csv", records(3))
    code = (
        "import sys; from pathlib import Path; from textgate.batch.batch import batch;"
        "from textgate.batch.settings import BatchConfig;"
        f"batch('in.csv', 'out.csv', Path({str(model)!r}), 'text', None,"
        f" BatchConfig.model_validate_json({settings().model_dump_json()!r}));"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"
