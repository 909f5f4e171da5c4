"""All evidence and all limits into the verdict: each question, its answer, and one sentence that says it all.

Refused if a deciding check is refused; else unknown if one is unknown; else passed. In a reason, what stands before the
first semicolon is its headline: the sentence is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from textgate.config import Gates
from textgate.evidence import Comparisons, DataReport
from textgate.gate.against_champion import AGAINST, champion_checks, production
from textgate.gate.evidence_set import Absent, EvidenceSet, Sealed, current
from textgate.gate.limits import external_rows, limit_checks, unknown
from textgate.model_tests import GROUPS, group_outcome
from textgate.records import Outcome
from textgate.verdicts import Check, Gate, ModelTests, Scan
from textgate.wording import listing

HEADLINE_END = "; "
SENTENCE_CHARACTERS = 240
SHOWN = 3  # names in the sentence


def judge(evidence: EvidenceSet, gates: Gates, gates_sha256: str) -> Gate:
    """Say whether a model may be released, and why; `gates_sha256` is of the file that the limits were read from."""
    usable = current(evidence, gates_sha256)
    checks = (
        *_origin(usable),
        *limit_checks(usable, gates),
        *_model_tests(usable.model_tests),
        _scan(usable.scan),
        *_production(usable, gates),
    )
    deciding = {check.outcome for check in checks if not check.advisory}
    outcome: Outcome = "refused" if "refused" in deciding else "unknown" if "unknown" in deciding else "passed"
    sealed, data = usable.bundle, usable.data
    return Gate(
        outcome=outcome,
        sentence=_sentence(outcome, checks, usable),
        bundle_digest=sealed.digest if isinstance(sealed, Sealed) else None,
        data_fingerprint=data.fingerprint if isinstance(data, DataReport) else None,
        commit=sealed.manifest.commit if isinstance(sealed, Sealed) else None,
        gates_sha256=gates_sha256,
        checks=checks,
        notes=tuple(_notes(usable)),
    )


def not_judged(reason: str, gates_sha256: str) -> Gate:
    """Return the verdict for limits that cannot be read: nothing was judged."""
    check = Check(name="limits", outcome="unknown", found="", limit="", reason=reason)
    return Gate(
        outcome="unknown",
        sentence=f"textgate could not judge this model: {reason}",
        bundle_digest=None,
        data_fingerprint=None,
        commit=None,
        gates_sha256=gates_sha256,
        checks=(check,),
    )


def summary(gate: Gate) -> str:
    """Return the verdict and its checks as lines for the terminal."""
    width = max(len(check.name) for check in gate.checks)
    words = {True: "(advisory) ", False: ""}
    lines = [
        f"  {check.outcome:<8} {check.name:<{width}}  {words[check.advisory]}{check.reason}" for check in gate.checks
    ]
    return "\n".join([gate.sentence, *lines, *(f"  note: {note}" for note in gate.notes)])


def _origin(usable: EvidenceSet) -> Iterator[Check]:
    """Yield the checks on the bundle, the rows and the training that made it."""
    sealed, data, train = usable.bundle, usable.data, usable.train
    if isinstance(sealed, Absent):
        yield unknown("bundle", sealed)
    else:
        reason = f"each of its {len(sealed.manifest.files)} files is as sealed"
        yield Check(name="bundle", outcome="passed", found=sealed.digest[:12], limit="as sealed", reason=reason)
    if isinstance(data, Absent):
        yield unknown("data", data)
    else:
        reason = "the bundle was made from these rows"
        yield Check(name="data", outcome="passed", found=data.fingerprint[:12], limit="same rows", reason=reason)
    if isinstance(train, Absent):
        yield unknown("training", train)
        return
    comparison = usable.comparison
    if isinstance(comparison, Comparisons) and comparison.baseline.reference_digest != train.baseline_digest:
        stale = Absent('comparison.json was made with another baseline than train.json: run "make evaluate" again')
        yield unknown("training", stale)
        return
    reason = f"trained by experiment {train.experiment} on {train.device}"
    yield Check(name="training", outcome="passed", found=train.experiment, limit="this bundle", reason=reason)


def _model_tests(found: ModelTests | Absent) -> Iterator[Check]:
    if isinstance(found, Absent):
        yield unknown("model tests", found, "all")
        return
    for name in dict.fromkeys((*GROUPS, *found.groups)):
        group = found.groups.get(name)
        total = sum(group.model_dump().values()) if group else 0
        outcome, passed = group_outcome(group), group.passed if group else 0
        first = next((f"; {f.test}: {f.reason}" for f in found.failures if f.test.startswith(f"{name}:")), "")
        words = {
            "passed": f"{total} of {total} {name} tests passed",
            "refused": f"{group.failed if group else 0} of {total} {name} tests failed{first}",
            "unknown": f"{total - passed} of {total} {name} tests did not run to their end{first}",
        }
        reason = words[outcome] if total else f'no {name} tests ran: restore model_tests/ and run "make model_tests"'
        yield Check(
            name=f"model tests: {name}", outcome=outcome, found=f"{passed} of {total}", limit="all", reason=reason
        )


def _scan(scan: Scan | Absent) -> Check:
    """Look at the findings themselves too: a scan that says passed has to look like it."""
    if isinstance(scan, Absent):
        return unknown("scan", scan, "all vouched for")
    bad = [file for file in scan.files if file.findings]
    open_questions = list(scan.errors)
    open_questions += [f"nobody vouched for {file.path}" for file in scan.files if file.voucher is None]
    open_questions += [] if scan.canary_caught else ["it missed its canary"]
    open_questions += [] if scan.files else ["it read nothing"]
    open_questions += ["its own outcome is unknown"] if scan.outcome == "unknown" else []
    outcome: Outcome = "passed"
    reason = f"{len(scan.files)} files, each vouched for; canary caught"
    if bad:
        what = f"{bad[0].path}: {bad[0].findings[0]}"
        outcome, reason = "refused", f"the scan found something in {len(bad)} of {len(scan.files)} files; {what}"
    elif scan.outcome == "refused":
        outcome, reason = "refused", "the scan refused this bundle; see build/scan.json"
    elif open_questions:
        outcome, reason = "unknown", f"the scan cannot be relied on; {open_questions[0]}"
    vouched = sum(file.voucher is not None and not file.findings for file in scan.files)
    found = f"{vouched} of {len(scan.files)} files"
    return Check(name="scan", outcome=outcome, found=found, limit="all vouched for", reason=reason)


def _production(usable: EvidenceSet, gates: Gates) -> list[Check]:
    """Return the checks against the production model; that there is none yet is an answer too, and is stated."""
    name = AGAINST.strip()
    if isinstance(usable.champion, Absent):
        return [unknown(name, usable.champion)]
    if isinstance(usable.comparison, Absent):
        return [unknown(name, usable.comparison)]
    if isinstance(usable.data, Absent):
        return [unknown(name, usable.data)]
    compared = usable.comparison.champion
    if compared is None:
        reason = "there is no production model yet to compare it with"
        return [Check(name=name, outcome="passed", found="none yet", limit="", reason=reason)]
    return champion_checks(compared, usable.champion, usable.data.labels, gates.against_champion)


def _sentence(outcome: Outcome, checks: tuple[Check, ...], usable: EvidenceSet) -> str:
    """Return the first line of the comment."""
    if outcome == "passed":
        return f"textgate passed this model: {_comparison_in_words(checks, usable)}"
    reasons = [check.reason for check in checks if check.outcome == outcome and not check.advisory]
    more = len(dict.fromkeys(reasons)) - 1
    rest = f" (and {more} more {'reason' if more == 1 else 'reasons'})" if more else ""
    verb = {"refused": "refused", "unknown": "could not judge"}[outcome]
    headline = " ".join(reasons[0].partition(HEADLINE_END)[0].split())[:SENTENCE_CHARACTERS]
    return f"textgate {verb} this model: {headline}{rest}"


def _comparison_in_words(checks: tuple[Check, ...], usable: EvidenceSet) -> str:
    champion, comparison = usable.champion, usable.comparison
    if isinstance(champion, Absent) or isinstance(comparison, Absent) or comparison.champion is None:
        return "it meets every limit, and there is no production model yet to compare it with"
    name = production(champion)
    unclear = [check.name.removesuffix(AGAINST) for check in checks if check.outcome == "unknown"]
    deltas = (comparison.champion.accuracy, comparison.champion.macro_f1)
    better = [delta.name for delta in deltas if delta.delta.low > 0]
    words = f"better than {name} in {' and '.join(better)}" if better else f"within the margins as good as {name}"
    if unclear:
        doubt = f"it cannot be told whether {listing(unclear, SHOWN)} got worse"
        return f"{words}, but {doubt}" if better else f"it meets every limit, but against {name} {doubt}"
    return words


def _notes(usable: EvidenceSet) -> Iterator[str]:
    if isinstance(usable.data, DataReport) and not external_rows(usable.data):
        yield "there are no external rows, so nothing is known about texts from elsewhere"
    if isinstance(usable.model_tests, ModelTests):
        yield from (f"not tested: {what}" for what in usable.model_tests.not_checked)
