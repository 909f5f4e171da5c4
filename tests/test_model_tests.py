"""The model tests run on a real small bundle, and what they do not reach is unknown, never a pass."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from tests.project import EXAMPLE, ROOT
from tests.tested_project import describe_rows, make_project, run_script

from textgate import bundle, files, model_tests, records
from textgate.config import CONFIGS, DataConfig, load
from textgate.errors import CannotTell, Refused
from textgate.model_tests import group_outcome, hash_tests, outcome, read_junit, summary
from textgate.rows import fingerprint, split_hashes
from textgate.sentences import load_sentences
from textgate.verdicts import ModelTests, TestGroup

DIGEST = "1" * 64


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return a project that has been tested, and what the script printed."""
    folder = tmp_path_factory.mktemp("good")
    make_project(folder)
    return folder, run_script(folder, PYTEST_ADDOPTS="-k nothing")


@pytest.fixture
def project(good, tmp_path):
    """Return a fresh copy of the project to break."""
    shutil.copytree(good[0], tmp_path / "project")
    return tmp_path / "project"


def evidence(folder):
    return records.read(folder / "build" / "model-tests.json", ModelTests, "model_tests")


# A real run.


def test_script__a_good_bundle_passes_whatever_options_the_caller_has_for_pytest(good):
    folder, done = good
    assert done.returncode == 0, done.stdout + done.stderr
    found = evidence(folder)
    assert outcome(found) == "passed"
    assert set(found.groups) == {"accuracy", "latency", "schema", "behaviour"}
    assert found.groups["behaviour"].passed >= 15
    assert found.failures == ()


def test_script__evidence_names_bundle_rows_and_limits(good):
    folder, _ = good
    found = evidence(folder)
    assert found.bundle_digest == bundle.digest(folder / "build" / "model")
    assert found.gates_sha256 == files.sha256_file(folder / "configs" / "gates.yaml")
    assert found.data_fingerprint == fingerprint(split_hashes(folder / "build" / "data"))


def test_script__evidence_names_the_tests_and_the_sentences(good, monkeypatch):
    monkeypatch.chdir(good[0])
    assert evidence(good[0]).tests_sha256 == hash_tests(ROOT / "model_tests")


def test_script__latency_is_recorded_in_order(good):
    latency = evidence(good[0]).latency
    assert 0 < latency.p50_ms <= latency.p95_ms <= latency.p99_ms
    assert latency.texts == 200


def test_script__plain_sentences_are_tested_and_a_junit_file_is_left_for_ci(good):
    junit = (good[0] / "build" / "model-tests.xml").read_text()
    assert "test_plain_sentences_are_right[red]" in junit
    assert evidence(good[0]).not_checked == ()


def test_script__limits_that_the_model_misses_are_refused_with_found_limit_and_example(project):
    path = project / "configs" / "gates.yaml"
    limits = yaml.safe_load(path.read_text()) | {"max_p95_ms": 0.0001}
    path.write_text(yaml.safe_dump(limits))
    settings = project / "configs" / "data.yaml"
    settings.write_text(settings.read_text().replace("sentences: configs/sentences.yaml", "sentences: null"))
    rows = (project / "build" / "data" / "test.jsonl").read_text()
    swapped = rows.replace('"red"', '"x"').replace('"blue"', '"red"').replace('"x"', '"blue"')
    (project / "build" / "data" / "test.jsonl").write_text(swapped)
    describe_rows(project)
    done, found = run_script(project), None
    assert done.returncode == 1
    found = evidence(project)
    assert {name for name, group in found.groups.items() if group.failed} == {"accuracy", "latency"}
    reasons = {failure.test: failure.reason for failure in found.failures}
    start = "accuracy is 0.000 on 60 test rows, the limit is 0.850; for example '"
    assert reasons["accuracy: test_accuracy"].startswith(start)
    assert reasons["accuracy: test_label_f1[red]"].startswith(
        "F1 of red is 0.000 on its 30 test rows, the limit is 0.750"
    )
    assert "ms, the limit is below 0.0 ms" in reasons["latency: test_latency"]
    assert all(reason in done.stdout for reason in reasons.values())
    assert found.not_checked == ("minimum functionality: configs/data.yaml names no sentences",)
    assert "test_plain_sentences_are_right" not in (project / "build" / "model-tests.xml").read_text()


def test_run__an_invariance_that_changes_too_few_texts_is_not_checked_and_has_not_passed(project, monkeypatch):
    path = project / "build" / "data" / "test.jsonl"
    path.write_text(path.read_text().lower())
    describe_rows(project)
    monkeypatch.chdir(project)
    behaviour_alone = project / "suite"  # the other tests would take seconds and say nothing about this
    behaviour_alone.mkdir()
    for name in ("conftest.py", "test_behaviour.py"):
        shutil.copy(ROOT / "model_tests" / name, behaviour_alone)
    found = model_tests.run(behaviour_alone, Path("build/model"))
    few = "it changes 0 of the test texts, 20 are needed to judge"
    assert found.not_checked == (f"invariance, lower case: {few}",)
    behaviour = found.groups["behaviour"]
    assert (behaviour.passed + behaviour.failed, behaviour.skipped) == (4 + 2 + 12, 0)
    assert not [failure for failure in found.failures if "lower case" in failure.test]


JUDGED = """
def test_answers(answers, together, request):
    assert [text in answers for text in together] == [NOTED] * len(together)
    answers |= {text: answer + 1 for text, answer in answers.items()}
    alone = request.getfixturevalue("alone")
    assert (alone.sum(axis=1) > 1.5).tolist() == [NOTED] * len(together)
"""


@pytest.mark.parametrize(("names", "noted"), [(("conftest.py", "test_latency.py"), True), (("conftest.py",), False)])
def test_run__a_text_is_asked_alone_once_and_the_timed_answer_is_judged(project, monkeypatch, names, noted):
    monkeypatch.chdir(project)
    folder = suite(project, "test_accuracy.py", JUDGED.replace("NOTED", str(noted)))  # sorted before test_latency.py
    for name in names:
        shutil.copy(ROOT / "model_tests" / name, folder)
    found = model_tests.run(folder, Path("build/model"))
    assert found.failures == ()
    assert found.groups["accuracy"].passed == 1


# What stops a run leaves no evidence behind, not even old evidence.


def remove_bundle(folder):
    shutil.rmtree(folder / "build" / "model")


def alter_bundle(folder):
    (folder / "build" / "model" / "tfidf.json").write_text("{}")


def remove_rows(folder):
    (folder / "build" / "data" / "data.json").unlink()


def empty_rows(folder):
    (folder / "build" / "data" / "test.jsonl").write_text("")
    describe_rows(folder)


def foreign_rows(folder):
    path = folder / "build" / "data" / "test.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:30]))


def other_rows(folder):
    path = folder / "build" / "data" / "data.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": DIGEST}))


def other_labels(folder):
    (folder / "configs" / "sentences.yaml").write_text("green: [gras und moos]\n")


def misspelt_limit(folder):
    (folder / "configs" / "gates.yaml").write_text("min_acuracy: 0.8\n")


@pytest.mark.parametrize(
    ("broken", "code", "message"),
    [
        (remove_bundle, 2, 'cannot tell: build/model is missing: run "make train" first'),
        (alter_bundle, 1, "refused: build/model: tfidf.json is not the file that was sealed"),
        (remove_rows, 2, 'cannot tell: build/data/data.json is missing: run "make data" first'),
        (empty_rows, 2, 'build/data/test.jsonl has no rows: run "make data" again'),
        (foreign_rows, 2, 'build/data does not hold the rows that its data.json describes: run "make data" again'),
        (other_rows, 2, 'build/model was trained on other rows than those in build/data: run "make train" again'),
        (other_labels, 2, "configs/sentences.yaml: has the labels ['green'], the model knows ['red', 'blue']"),
        (misspelt_limit, 2, "cannot tell: configs/gates.yaml: min_acuracy: unknown key"),
    ],
)
def test_script__what_stops_a_run_is_one_line_and_leaves_no_evidence(project, broken, code, message):
    broken(project)
    done = run_script(project)
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (project / "build" / "model-tests.json").exists()


def suite(folder, name, content):
    (folder / "suite").mkdir()
    (folder / "suite" / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--bundle')\n")
    (folder / "suite" / name).write_text(content)
    return folder / "suite"


def test_run__no_tests_at_all_is_unknown(project, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises(CannotTell, match="pytest found no tests in suite/"):
        model_tests.run(suite(project, "test_x.py", ""), Path("build/model"))


def test_run__a_test_file_that_does_not_load_is_unknown(project, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises(CannotTell, match=r"pytest ended with code 2: SyntaxError"):
        model_tests.run(suite(project, "test_x.py", "def ("), Path("build/model"))


def test_run__a_process_that_dies_is_unknown(project, monkeypatch):
    monkeypatch.chdir(project)
    content = "import os\ndef test_x():\n    os._exit(9)\n"
    with pytest.raises(CannotTell, match="pytest ended with code 9"):
        model_tests.run(suite(project, "test_x.py", content), Path("build/model"))


def test_run__a_bundle_that_changes_while_it_is_tested_is_refused(project, monkeypatch):
    monkeypatch.chdir(project)
    content = "from pathlib import Path\ndef test_x():\n    Path('build/model/new.json').write_text('{}')\n"
    with pytest.raises(Refused, match="build/model changed while it was tested"):
        model_tests.run(suite(project, "test_x.py", content), Path("build/model"))


def test_run__skipped_broken_and_missing_tests_are_unknown(project, monkeypatch):
    monkeypatch.chdir(project)
    content = """
import pytest
from textgate.errors import CannotTell
def test_skipped():
    pytest.skip("no time")
@pytest.fixture
def broken():
    raise ValueError("no rows")
def test_broken(broken):
    pass
def test_unsure():
    raise CannotTell("too few rows")
def test_fine():
    pass
"""
    found = model_tests.run(suite(project, "test_accuracy.py", content), Path("build/model"))
    assert found.groups["accuracy"] == TestGroup(passed=1, failed=0, skipped=1, errors=2)
    assert [group_outcome(group) for group in found.groups.values()] == ["unknown"] * 4
    assert outcome(found) == "unknown"
    assert "  latency    unknown  no tests" in summary(found).splitlines()
    reasons = [failure.reason for failure in found.failures]
    assert reasons[0] == "skipped: no time"
    assert reasons[1].startswith("could not run: ")
    assert "no rows" in reasons[1]
    assert reasons[2] == "could not run: too few rows"


# Evidence of other tests is evidence of something else.


@pytest.fixture
def tests(tmp_path, monkeypatch):
    """Return a folder of tests beside configs/ in the current folder."""
    shutil.copytree(EXAMPLE, tmp_path / CONFIGS)
    shutil.copytree(ROOT / "model_tests", tmp_path / "model_tests")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "model_tests"


@pytest.mark.parametrize(
    "change",
    [
        lambda tests: (tests / "conftest.py").write_text(""),
        lambda tests: (tests / "test_schema.py").unlink(),
        lambda tests: (tests / "test_schema.py").rename(tests / "test_form.py"),
        lambda tests: (tests / "test_more.py").write_text(""),
        lambda _: Path("configs/sentences.yaml").write_text("da: [x]"),
        lambda _: Path("configs/sentences.yaml").unlink(),
        lambda _: edit("configs/data.yaml", "sentences: configs/sentences.yaml", "sentences: null"),
    ],
)
def test_hash_tests__changes_with_each_test_and_with_the_sentences(tests, change):
    before = hash_tests(tests)
    change(tests)
    assert hash_tests(tests) != before


def test_hash_tests__does_not_depend_on_other_settings(tests):
    before = hash_tests(tests)
    edit("configs/data.yaml", "min_words: 3", "min_words: 4")
    assert hash_tests(tests) == before


def edit(name, old, new):
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


# Reading and summing up.


def test_read_junit__only_a_skip_can_say_that_something_was_not_checked():
    cases = "".join(
        f'<testcase classname="a.test_x" name="t"><{tag} message="{message}"/></testcase>'
        for tag, message in (
            ("skipped", "not checked: numbers: there are none"),
            ("skipped", "no time; not checked: anything"),
            ("failure", "AssertionError: skipped: not checked: a fault"),
        )
    )
    groups, failures, properties = read_junit(f"<testsuites>{cases}</testsuites>")
    assert groups == {"x": TestGroup(passed=0, failed=1, skipped=1)}
    assert len(failures) == 2
    assert properties["not_checked"] == ["numbers: there are none"]


def test_read_junit__what_is_no_xml_cannot_be_told():
    with pytest.raises(CannotTell, match=r"model-tests\.xml is not XML"):
        read_junit("<testsuites>")


def test_read_junit__a_long_reason_is_one_short_line():
    failure = f'<failure message="AssertionError: {"y" * 999}&#10;assert"/>'
    junit = f'<testsuites><testcase classname="a.test_x" name="t">{failure}</testcase></testsuites>'
    groups, failures, _ = read_junit(junit)
    assert groups == {"x": TestGroup(passed=0, failed=1, skipped=0)}
    assert failures[0].reason == "y" * 300


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((3, 0, 0, 0), "passed"),
        ((3, 1, 0, 0), "refused"),
        ((3, 1, 1, 1), "refused"),
        ((3, 0, 1, 0), "unknown"),
        ((3, 0, 0, 1), "unknown"),
        ((0, 0, 0, 0), "unknown"),
    ],
)
def test_group_outcome__failed_goes_before_not_run(counts, expected):
    passed, failed, skipped, errors = counts
    assert group_outcome(TestGroup(passed=passed, failed=failed, skipped=skipped, errors=errors)) == expected


def test_group_outcome__no_group_is_unknown():
    assert group_outcome(None) == "unknown"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [x", "not valid YAML"),
        ("just words", "expected a list of sentences under each label"),
        ("a: [x]\nb: []", "expected a list of sentences under each label"),
        ("a: [x]", r"has the labels \['a'\], the model knows \['a', 'b'\] \('b'\)"),
        ("a: [x]\nno: [y]", "has the labels"),
        ("a: [x]\nb: [1.5]", "b: each sentence must be text"),
    ],
)
def test_load_sentences__bad_files_are_one_line_with_the_cure(tmp_path, content, message):
    path = tmp_path / "sentences.yaml"
    path.write_text(content)
    with pytest.raises(CannotTell, match=message) as caught:
        load_sentences(path, ("a", "b"))
    assert "\n" not in str(caught.value)


def test_load_sentences__what_configs_name_has_different_sentences_of_each_label():
    config = load(ROOT / CONFIGS / "data.yaml", DataConfig)
    found = load_sentences(ROOT / config.sentences, config.labels) if config.sentences else {}
    assert all(len(set(sentences)) == len(sentences) > 0 for sentences in found.values())
