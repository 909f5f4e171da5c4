"""What pytest finds when it runs model_tests/ on a bundle, into evidence: counts a group, reasons and latency.

pytest runs in a process of its own, without the plugins and options of whoever calls, and leaves a JUnit file; that
file is read back here. Nothing collected, a crash, a skip or a test that broke on its way is `unknown`, not a pass. A
skip whose reason starts with `not checked: ` says that these rows gave no means to test: it counts as no test at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

from textgate import bundle, records
from textgate.config import CONFIGS, DataConfig, Gates, load
from textgate.errors import CannotTell, Refused
from textgate.evidence import DataReport, Latency
from textgate.files import read_text, sha256_bytes, sha256_file, write_text
from textgate.records import BUILD, Outcome
from textgate.verdicts import ModelTests, TestFailure, TestGroup

GROUPS = ("accuracy", "latency", "schema", "behaviour")  # a release is never judged without these
GATES = CONFIGS / "gates.yaml"
TIMEOUT_S = 1800  # a hung model must not hold a runner; sixty times what a transformer needs on two cores
REASON_CHARACTERS = 300
NOT_CHECKED = "not checked: "
ASKED_ROWS = "asked_rows"  # a property of the suite


def run(tests: Path, model: Path, build: Path = BUILD) -> ModelTests:
    """Run the tests in a folder on a bundle and return what they found; build/model-tests.xml is left for CI.

    Raises Refused for an altered bundle and CannotTell if pytest did not come to an end or the bundle changed.
    """
    junit = build / "model-tests.xml"
    for old in (junit, build / "model-tests.json"):
        old.unlink(missing_ok=True)  # a run that breaks must not leave the evidence of an earlier one
    manifest, digest = bundle.verify_digest(model)
    data = records.read(build / "data" / "data.json", DataReport, "data")
    if manifest.data_fingerprint != data.fingerprint:
        raise CannotTell(f'{model} was trained on other rows than those in {build / "data"}: run "make train" again')
    load(GATES, Gates)
    gates_sha256, tests_sha256 = sha256_file(GATES), hash_tests(tests)
    started = time.perf_counter()
    _pytest(tests, model, junit, build / "model-tests.log")
    seconds = time.perf_counter() - started
    groups, failures, properties = read_junit(read_text(junit, 'run "make model_tests" again'))
    if bundle.digest(model) != digest:
        raise Refused(f'{model} changed while it was tested: run "make train" and "make model_tests" again')
    expected = (*GROUPS, *(path.stem.removeprefix("test_") for path in sorted(tests.glob("test_*.py"))))
    nothing = TestGroup(passed=0, failed=0, skipped=0)
    return ModelTests(
        bundle_digest=digest,
        gates_sha256=gates_sha256,
        tests_sha256=tests_sha256,
        data_fingerprint=data.fingerprint,
        groups={name: groups.get(name, nothing) for name in dict.fromkeys((*expected, *groups))},
        failures=failures,
        not_checked=tuple(properties["not_checked"]),
        asked_rows=int(properties[ASKED_ROWS][-1]) if properties[ASKED_ROWS] else None,
        latency=_latency(properties),
        seconds=seconds,
    )


def hash_tests(tests: Path) -> str:
    """Return the SHA-256 over the Python files in a folder of model tests, and over the plain sentences that they use.

    Raises CannotTell if configs/data.yaml, which names the sentences, cannot be read.
    """
    lines = [f"{sha256_file(path)}  {path.relative_to(tests).as_posix()}" for path in sorted(tests.rglob("*.py"))]
    if named := load(CONFIGS / "data.yaml", DataConfig).sentences:
        path = Path(named)
        lines.append(f"{sha256_file(path) if path.is_file() else 'missing'}  sentences")
    return sha256_bytes("\n".join(lines).encode())


def _pytest(tests: Path, model: Path, junit: Path, log: Path) -> None:
    command = [sys.executable, "-m", "pytest", str(tests), f"--junit-xml={junit}", "-q", "--tb=short"]
    command += ["-p", "pytest_benchmark.plugin", f"--bundle={model}"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    source = str(Path(__file__).resolve().parent.parent)  # the tests use the textgate that runs them
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": source}
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CannotTell(f"the model tests did not end within {TIMEOUT_S} s: run pytest {tests.name} -x -v") from error
    output = done.stdout.decode("utf-8", "replace")
    write_text(log, output)
    if done.returncode == 5:
        raise CannotTell(f"pytest found no tests in {tests.name}/: restore them with git")
    if done.returncode not in (0, 1):
        said = _last_words(output)
        raise CannotTell(f"pytest ended with code {done.returncode}: {said} (all it said: {log})")


def _last_words(output: str) -> str:
    """Return the line of pytest's output that says why it gave up."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no output"]
    for mark in ("ERROR: ", "E   "):
        if said := [line.removeprefix(mark).strip() for line in lines if line.startswith(mark)]:
            return said[-1][:REASON_CHARACTERS]
    return lines[-1][:REASON_CHARACTERS]


def read_junit(junit: str) -> tuple[dict[str, TestGroup], tuple[TestFailure, ...], defaultdict[str, list[str]]]:
    """Return the groups, what did not pass, and the properties of a JUnit file. Raises CannotTell if it is not one."""
    try:
        root = ET.fromstring(junit)  # noqa: S314  # our own process wrote it; expat limits what entities expand to
    except ET.ParseError as error:
        raise CannotTell(f'build/model-tests.xml is not XML ({error}): run "make model_tests" again') from error
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    properties: defaultdict[str, list[str]] = defaultdict(list)
    for item in root.iter("property"):
        properties[item.get("name", "")].append(item.get("value", ""))
    failures = []
    for case in root.iter("testcase"):
        parts = case.get("classname", "").split(".")
        group = next((part for part in parts if part.startswith("test_")), parts[-1]).removeprefix("test_")
        result, reason = _result(case)
        if result == "skipped" and reason.startswith(f"skipped: {NOT_CHECKED}"):
            properties["not_checked"].append(reason.removeprefix(f"skipped: {NOT_CHECKED}"))
            continue
        counts[group][result] += 1
        if result != "passed":
            failures.append(TestFailure(test=f"{group}: {case.get('name', '')}", reason=reason))
    return {name: TestGroup(**_all_counts(count)) for name, count in counts.items()}, tuple(failures), properties


def _all_counts(count: Counter[str]) -> dict[str, int]:
    return {name: count[name] for name in ("passed", "failed", "skipped", "errors")}


def _result(case: ET.Element) -> tuple[str, str]:
    """Return passed, failed, skipped or errors, and the reason in one line."""
    for tag, result in (("failure", "failed"), ("error", "errors"), ("skipped", "skipped")):
        if (found := case.find(tag)) is not None:
            first = (found.get("message", "").splitlines() or [""])[0]
            kind, _, rest = first.partition(": ")
            if kind == "textgate.errors.CannotTell":
                result = "errors"  # noqa: PLW2901  # the test says itself that it could not judge
            own = kind.startswith("textgate.errors.") or kind in ("AssertionError", "Failed")
            words = {"failed": "", "errors": "could not run: ", "skipped": "skipped: "}[result]
            return result, f"{words}{rest if own else first}"[:REASON_CHARACTERS]
    return "passed", ""


def _latency(properties: defaultdict[str, list[str]]) -> Latency | None:
    names = ("texts", "p50_ms", "p95_ms", "p99_ms")
    values = {name: float(properties[name][-1]) for name in names if properties[name]}
    if len(values) < len(names):
        return None
    return Latency(
        texts=int(values["texts"]), p50_ms=values["p50_ms"], p95_ms=values["p95_ms"], p99_ms=values["p99_ms"]
    )


def group_outcome(group: TestGroup | None) -> Outcome:
    """Return refused if a test failed; unknown if there was none, or one was skipped or broke; else passed."""
    if group is None:
        return "unknown"
    if group.failed:
        return "refused"
    return "unknown" if group.skipped or group.errors or not group.passed else "passed"


def outcome(found: ModelTests) -> Outcome:
    """Return the outcome of all groups together: the worst of them, where a group that is not there is unknown."""
    answers = {group_outcome(found.groups.get(name)) for name in (*GROUPS, *found.groups)}
    return "refused" if "refused" in answers else "unknown" if "unknown" in answers else "passed"


def summary(found: ModelTests) -> str:
    """Return what was found as lines for the terminal."""
    lines = []
    for name, group in found.groups.items():
        counts = ", ".join(f"{n} {word}" for word, n in group.model_dump().items() if n) or "no tests"
        lines.append(f"  {name:<10} {group_outcome(group):<8} {counts}")
    lines += [f"  {failure.test}: {failure.reason}" for failure in found.failures]
    lines += [f"  not checked: {what}" for what in found.not_checked]
    if found.asked_rows is not None:
        lines.append(f"  asked about {found.asked_rows:,} test rows; what evaluate kept tells about the others")
    if found.latency:
        ms = found.latency
        lines.append(f"  latency of one text: p50 {ms.p50_ms:.1f}, p95 {ms.p95_ms:.1f}, p99 {ms.p99_ms:.1f} ms")
    return "\n".join([f"model tests: {outcome(found)} in {found.seconds:.1f} s", *lines])
