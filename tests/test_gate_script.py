"""scripts/gate.py over the files of a build folder: what it writes and how it ends."""

import json
import shutil
import subprocess
import sys

import pytest
from tests.gate_example import (
    GATES,
    GONE,
    LIMITS,
    MODEL_TESTS,
    check,
    comparisons,
    data,
    experiment,
    manifest,
    metrics,
    model,
    scan,
    suite,
    train,
)
from tests.project import EXAMPLE, ROOT

from textgate import bundle, files, records
from textgate.evidence import (
    Champion,
)
from textgate.gate.evidence_set import Absent, collect
from textgate.gate.gate import judge
from textgate.model_tests import hash_tests
from textgate.rows import SPLITS, fingerprint, split_hashes
from textgate.verdicts import Gate


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a folder with configs/ and evidence in build/ that passes, and go there."""
    shutil.copytree(EXAMPLE, tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    limits = (tmp_path / "configs" / "gates.yaml").read_bytes()
    build = tmp_path / "build"
    for split in SPLITS:
        files.write_text(build / "data" / f"{split}.jsonl", f"{split}\n")
    rows = fingerprint(split_hashes(build / "data"))
    files.write_text(build / "model" / "weights.json", "{}\n")
    made = manifest().model_dump(exclude={"schema_version", "files", "config"}) | {"config": experiment()}
    made |= {"data_fingerprint": rows}
    digest = bundle.seal(build / "model", **made)
    records.write(build / "data" / "data.json", data().model_copy(update={"fingerprint": rows}))
    records.write(build / "train.json", train(bundle_digest=digest, data_fingerprint=rows))
    records.write(build / "metrics.json", metrics(model(digest=digest), digest=digest, rows=rows))
    records.write(build / "comparison.json", comparisons(digest=digest, rows=rows))
    records.write(build / "champion.json", Champion(state="none yet"))
    about = {"bundle_digest": digest, "data_fingerprint": rows, "gates_sha256": files.sha256_bytes(limits)}
    found = suite(**about, tests_sha256=hash_tests(MODEL_TESTS))
    records.write(build / "model-tests.json", found)
    records.write(build / "scan.json", scan(bundle_digest=digest))
    return tmp_path


GATE = [sys.executable, ROOT / "scripts" / "gate.py"]


def run_gate(folder):
    done = subprocess.run(GATE, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, records.read(folder / "build" / "gate.json", Gate, "gate"), done.stdout


def test_script__passes_and_says_so(project):
    code, gate, printed = run_gate(project)
    assert (code, gate.outcome) == (0, "passed")
    assert printed.startswith("textgate passed this model: it meets every limit")


def test_script__a_missing_scan_is_unknown_and_exit_2(project):
    (project / "build" / "scan.json").unlink()
    code, gate, printed = run_gate(project)
    assert (code, gate.outcome) == (2, "unknown")
    sentence = 'textgate could not judge this model: build/scan.json is missing: run "make scan" first'
    assert gate.sentence == printed.splitlines()[0] == sentence


def test_script__an_impossible_limit_is_refused_and_exit_1(project):
    path = project / "configs" / "gates.yaml"
    limits = path.read_text().replace("min_accuracy: 0.85", "min_accuracy: 1.0")
    path.write_text(limits)
    old = json.loads((project / "build" / "model-tests.json").read_text())
    files.write_text(
        project / "build" / "model-tests.json", json.dumps(old | {"gates_sha256": files.sha256_file(path)})
    )
    code, gate, _ = run_gate(project)
    assert (code, gate.sentence) == (1, "textgate refused this model: accuracy is 0.950, the limit is 1.000")


def test_script__changed_limits_make_the_model_tests_stale(project):
    path = project / "configs" / "gates.yaml"
    path.write_text(path.read_text() + "# one more word\n")
    code, gate, _ = run_gate(project)
    assert code == 2
    assert "model-tests.json is about another configs/gates.yaml" in gate.sentence


def test_script__one_byte_of_the_bundle_changed_is_refused(project):
    files.write_text(project / "build" / "model" / "weights.json", "[]\n")
    code, gate, _ = run_gate(project)
    assert code == 1
    assert "weights.json is not the file that was sealed" in gate.sentence


def test_script__one_file_added_to_the_bundle_is_refused(project):
    files.write_text(project / "build" / "model" / "extra.json", "{}\n")
    code, gate, _ = run_gate(project)
    assert code == 1
    assert "extra.json is not in the manifest" in gate.sentence


@pytest.mark.parametrize("name", ["test", "external"])
def test_script__rows_that_data_json_does_not_describe_are_unknown(project, name):
    files.write_text(project / "build" / "data" / f"{name}.jsonl", "other rows\n")
    code, gate, _ = run_gate(project)
    assert (code, check(gate, "data").outcome) == (2, "unknown")
    assert "build/data does not hold the rows that its data.json describes" in check(gate, "data").reason
    assert gate.data_fingerprint is None


def test_script__changed_sentences_make_the_model_tests_stale(project):
    files.write_text(project / "configs" / "sentences.yaml", "da: [en]\nnb: [to]\n")
    code, gate, _ = run_gate(project)
    assert (code, check(gate, "model tests").outcome) == (2, "unknown")
    assert "and the plain sentences (" in check(gate, "model tests").reason


def test_script__settings_that_do_not_say_which_sentences_are_unknown(project):
    files.write_text(project / "configs" / "data.yaml", "sentences: [")
    code, gate, _ = run_gate(project)
    assert (code, check(gate, "model tests").outcome) == (2, "unknown")


def test_script__a_gate_that_dies_leaves_no_verdict_of_an_earlier_run(project):
    assert run_gate(project)[0] == 0
    full = 'ulimit -f 0; exec "$@"'  # no file may grow: as on a full disk
    done = subprocess.run(["bash", "-c", full, "bash", *GATE], cwd=project, capture_output=True, check=False)
    assert done.returncode == 2
    assert not (project / "build" / "gate.json").exists()


def test_script__a_model_judged_at_a_later_commit_than_it_was_trained_at_shows_both(project):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "later"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True)
    _, gate, _ = run_gate(project)
    assert (gate.commit, gate.judged_commit) == ("c0ffee", head.stdout.strip())


def test_script__limits_that_cannot_be_read_are_unknown(project):
    (project / "configs" / "gates.yaml").write_text("min_acuracy: 0.8\n")
    code, gate, _ = run_gate(project)
    assert code == 2
    assert "configs/gates.yaml: min_acuracy: unknown key" in gate.sentence


def test_script__no_build_folder_at_all_still_leaves_a_verdict(project):
    (project / "build").rename(project / "away")
    code, gate, _ = run_gate(project)
    assert (code, gate.outcome) == (2, "unknown")
    assert 'build/model is missing: run "make train" first' in gate.sentence


@pytest.mark.parametrize("broken", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": 2}', b"null"])
def test_collect__a_broken_file_is_a_reason_not_a_crash(project, broken):
    for name in ("train", "metrics", "comparison", "champion", "model-tests", "scan", "data/data"):
        (project / "build" / f"{name}.json").write_bytes(broken)
    (project / "build" / "model" / "manifest.json").write_bytes(broken)
    found = collect(project / "build", MODEL_TESTS)
    pieces = [getattr(found, name) for name in ("bundle", *GONE)]
    assert all(isinstance(piece, Absent) and piece.reason for piece in pieces)
    assert judge(found, GATES, LIMITS).outcome != "passed"
