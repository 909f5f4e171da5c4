"""Champion and challenger from a real log: what was asked of both, who is right, and what is not known."""

import json
import random
import shutil

import pytest
import yaml
from tests.audit_log import config, event, segment
from tests.project import EXAMPLE
from tests.run_script import finished, run_script

from textgate.ab.found import AbReport, Accuracy
from textgate.ab.judge import MISMATCH, mix, verdict
from textgate.ab.labels import read_labels
from textgate.ab.report import report
from textgate.ab.show import blocks
from textgate.ab.tally import Groups
from textgate.errors import CannotTell, Refused
from textgate.evidence import Estimate
from textgate.report.document import to_markdown
from textgate.serve.audit.log import AuditLog
from textgate.serve.clock import utc

LABELS = ("da", "nb", "sv")
START = 1.79e9


def answered(log, number, label, side="champion", **changes):
    usual = {"at": utc(START + number), "label": label, "variant": side, "client": f"client-{number % 97}"}
    log.append([event(number, **usual | changes)])


def say(generator, true, share_right):
    return true if generator.random() < share_right else generator.choice(LABELS)


def split_log(folder, count, share=0.5, right=(0.8, 0.8), seed=1):
    """Let a request be answered by one of two models; return the truth."""
    generator, log, truth = random.Random(seed), AuditLog(config(folder, segment_mb=64)), {}
    for number in range(count):
        side = "challenger" if generator.random() < share else "champion"
        truth[f"request-{number}", 0] = true = generator.choice(LABELS)
        answered(log, number, say(generator, true, right[side == "challenger"]), side)
    log.close()
    return truth


def shadow_log(folder, count, right=(0.8, 0.8), seed=1, **changes):
    """Let both models answer each request; return the truth."""
    generator, log, truth = random.Random(seed), AuditLog(config(folder, segment_mb=64)), {}
    for number in range(count):
        truth[f"request-{number}", 0] = true = generator.choice(LABELS)
        answered(log, number, say(generator, true, right[0]))
        answered(log, number, say(generator, true, right[1]), "challenger", shadow=True, **changes)
    log.close()
    return truth


def compared(folder, truth=None, group="request", share=0.5, margin=0.01, since=""):
    return report(folder, group, share, margin, truth or {}, since).compared


def test_shadow__every_figure_of_a_small_log_is_as_counted_by_hand(tmp_path):
    log = AuditLog(config(tmp_path))
    rows = [("da", "da", "da"), ("da", "nb", "nb"), ("nb", "nb", "da"), ("sv", "da", "sv"), ("sv", "sv", None)]
    truth = {}
    for number, (champion, challenger, true) in enumerate(rows):
        answered(log, number, champion, confidence=0.95)
        answered(log, number, challenger, "challenger", shadow=True, confidence=0.55)
        truth |= {(f"request-{number}", 0): true} if true else {}
    answered(log, 9, "da", "challenger", shadow=True)
    answered(log, 10, "da")
    log.close()
    (found,) = compared(tmp_path, truth | {("nowhere", 0): "da", ("request-0", 1): "daa"})
    assert (found.mode, found.champion.rows, found.challenger.rows, found.unpaired) == ("shadow", 5, 5, 1)
    assert found.agreement.value == 3 / 5
    assert {part.label: (part.champion.value, part.challenger.value) for part in found.labels} == {
        "da": (2 / 5, 2 / 5),
        "nb": (1 / 5, 2 / 5),
        "sv": (2 / 5, 1 / 5),
    }
    assert {part.label: part.change.value for part in found.labels} == {"da": 0, "nb": 1 / 5, "sv": -1 / 5}
    assert (found.accuracy.champion.value, found.accuracy.challenger.value) == (2 / 4, 2 / 4)
    assert (found.accuracy.won, found.accuracy.lost, found.accuracy.change.value) == (1, 1, 0)
    assert (found.truth.given, found.truth.used, found.truth.unmatched, found.truth.unknown) == (6, 4, 2, ("daa",))
    assert (found.champion.confidence[9], found.challenger.confidence[5]) == (5, 5)
    assert found.champion.mean_confidence == pytest.approx(0.95)
    assert found.mix is None


def test_shadow__the_challenger_may_answer_first_and_in_another_order(tmp_path):
    log = AuditLog(config(tmp_path))
    for number in range(5):
        answered(log, number, "da", "challenger", shadow=True)
    for number in reversed(range(5)):
        answered(log, number, "da")
    log.close()
    (found,) = compared(tmp_path)
    assert (found.agreement.value, found.champion.rows, found.unpaired) == (1, 5, 0)


def test_shadow__texts_of_a_request_are_told_apart_by_their_number_and_counted_as_one_group(tmp_path):
    log = AuditLog(config(tmp_path))
    for request in range(20):
        for shadow in (False, True):
            side = "challenger" if shadow else "champion"
            log.append([event(request, number=n, label=LABELS[n], variant=side, shadow=shadow) for n in range(3)])
    log.close()
    (found,) = compared(tmp_path)
    assert (found.challenger.rows, found.challenger.groups, found.agreement.value) == (60, 20, 1)
    assert found.agreement.low < 20 / 24  # 20 requests, not 60 texts


def test_split__every_figure_of_a_small_log_is_as_counted_by_hand(tmp_path):
    log = AuditLog(config(tmp_path))
    answered(log, -1, "da")
    answered(log, 0, "da", "challenger")  # the first moment of both is left out
    for number, (label, side) in enumerate([("da", 0), ("nb", 0), ("sv", 1), ("da", 0), ("da", 1)], start=1):
        answered(log, number, label, ("champion", "challenger")[side])
    answered(log, 6, "nb")  # and what comes after the challenger's last answer
    answered(log, 1, "sv", endpoint="explain")
    log.close()
    (found,) = compared(tmp_path, {("request-1", 0): "da", ("request-2", 0): "da", ("request-3", 0): "sv"})
    assert (found.mode, found.champion.rows, found.challenger.rows) == ("split", 3, 2)
    assert {part.label: (part.champion.value, part.challenger.value) for part in found.labels} == {
        "da": (2 / 3, 1 / 2),
        "nb": (1 / 3, 0),
        "sv": (0, 1 / 2),
    }
    assert (found.accuracy.champion.value, found.accuracy.challenger.value, found.accuracy.won) == (1 / 2, 1, None)
    assert (found.mix.champion, found.mix.challenger, found.mix.p_value, found.agreement) == (3, 2, None, None)


def test_split__by_client_counts_clients_and_says_who_was_answered_by_both(tmp_path):
    log = AuditLog(config(tmp_path))
    for number in range(300):
        client = number % 30
        answered(log, number, "da", "challenger" if client < 10 or number == 165 else "champion", client=f"c{client}")
    log.close()
    (found,) = compared(tmp_path, group="client", share=1 / 3)
    assert (found.champion.groups, found.challenger.groups, found.mix.both) == (20, 11, 1)
    assert "1 clients were answered by both" in to_markdown(blocks(AbReport(log="", margin=0.01, compared=(found,))))


def test_window__only_the_time_in_which_both_models_answered_is_compared(tmp_path):
    log = AuditLog(config(tmp_path))
    for number in range(300):
        side = "challenger" if 100 <= number < 200 and number % 2 else "champion"
        digest = {"model_digest": "d" * 64} if number < 50 else {}
        answered(log, number, "nb" if number < 100 or number >= 200 else "da", side, **digest)
    log.close()
    (found,) = compared(tmp_path)
    assert (found.champion.rows, found.challenger.rows) == (49, 49)
    assert [part.label for part in found.labels] == ["da"]
    (found,) = compared(tmp_path, since=utc(START + 150))
    assert (found.champion.rows, found.challenger.rows) == (24, 24)


def test_window__the_latest_challenger_is_compared_with_the_champion_beside_it(tmp_path):
    log = AuditLog(config(tmp_path))
    for number in range(90):
        new = {"model_digest": "e" * 64, "model_version": "v2.0.0"} if number >= 60 else {}
        answered(log, number, "da", "challenger" if number % 3 == 0 else "champion", **(new if number % 3 == 0 else {}))
    log.close()
    (found,) = compared(tmp_path)
    assert (found.challenger.version, found.challenger.rows, found.champion.rows) == ("v2.0.0", 9, 18)


def test_window__another_model_that_answers_at_the_same_time_is_left_out(tmp_path):
    log = AuditLog(config(tmp_path))
    other = {"champion": {"model_digest": "d" * 64}, "challenger": {"model_digest": "e" * 64}}
    for number in range(80):  # two processes, of which one has not loaded the new models yet
        side = ("champion", "challenger")[number % 2]
        answered(log, number, "da", side, **({} if number >= 76 or number % 4 < 2 else other[side]))
    answered(log, 78, "da", "challenger", shadow=True)
    log.close()
    found = compared(tmp_path)[0]
    assert (found.mode, found.champion.rows, found.challenger.rows) == ("split", 20, 19)
    assert (found.champion.digest, found.challenger.digest) == ("a" * 64, "b" * 64)


def test_shadow__an_answer_that_stands_there_twice_is_no_pair(tmp_path):
    log = AuditLog(config(tmp_path))
    for number in range(3):
        answered(log, number, "da")
        answered(log, number, "da")
        answered(log, number, "nb", "challenger", shadow=True)
    log.close()
    (found,) = compared(tmp_path)
    assert (found.champion.rows, found.challenger.rows, found.agreement.value) == (3, 3, 0)


def test_both__a_split_and_a_shadow_in_one_log_are_two_comparisons(tmp_path):
    split_log(tmp_path, 50)
    shadow_log(tmp_path, 50)
    assert [found.mode for found in compared(tmp_path)] == ["split", "shadow"]


def test_slots__the_answers_of_two_processes_are_compared_together(tmp_path):
    logs = [AuditLog(config(tmp_path)) for _ in range(2)]
    for number in range(40):
        answered(logs[number % 2], number, "da", ("champion", "challenger")[number // 2 % 2])
    for log in logs:
        log.close()
    (found,) = compared(tmp_path)
    assert found.champion.rows + found.challenger.rows > 30


@pytest.mark.parametrize("log", [split_log, shadow_log])
@pytest.mark.parametrize(
    ("right", "word"), [((0.6, 0.9), "better"), ((0.9, 0.6), "worse"), ((0.8, 0.8), "cannot tell")]
)
def test_verdict__says_what_is_so(tmp_path, log, right, word):
    truth = log(tmp_path, 600, right=right)
    (found,) = compared(tmp_path, truth)
    assert found.verdict == word
    assert found.needed[0].question.startswith("the difference seen, ")
    assert found.needed[0].there == sum((found.accuracy.champion_rows, found.accuracy.challenger_rows)) / (
        2 if found.mode == "shadow" else 1
    )


def test_verdict__equal_models_are_not_worse_once_there_are_enough_labels(tmp_path):
    truth = shadow_log(tmp_path, 500, right=(1, 1))
    (found,) = compared(tmp_path, truth, margin=0.03)
    assert (found.verdict, found.accuracy.change.value) == ("not worse", 0)
    assert found.needed[0].rows is None
    assert found.needed[1].rows_any_time <= found.needed[1].there


def test_verdict__without_labels_nobody_knows_who_is_right_but_how_many_labels_it_takes(tmp_path):
    shadow_log(tmp_path, 200, right=(0.9, 0.9))
    (found,) = compared(tmp_path)
    assert (found.verdict, found.truth, found.accuracy) == ("cannot tell", None, None)
    assert found.reason == "no labels were given, so which of the two is right is not known"
    assert found.needed[0].question == "not worse by 0.010, if the two are equal: at most"
    share = 1 - found.agreement.value + 2 / 202
    assert found.needed[0].rows == pytest.approx(share * ((1.959964 + 0.841621) / 0.01) ** 2, abs=2)
    assert found.needed[0].there == 0


def accuracy(low, high):
    any_time, whole = Estimate(value=(low + high) / 2, low=low, high=high), Estimate(value=0.5, low=0, high=1)
    rest = {"champion": whole, "challenger": whole, "change": whole, "won": None, "lost": None}
    return Accuracy(champion_rows=1, challenger_rows=1, change_any_time=any_time, **rest)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.001, 0.1, "better"),
        (0, 0.1, "not worse"),
        (-0.009, 0.1, "not worse"),
        (-0.009, -0.001, "not worse"),
        (-0.01, 0.1, "cannot tell"),
        (-0.1, 0, "cannot tell"),
        (-0.1, -0.001, "worse"),
    ],
)
def test_verdict__goes_by_where_the_interval_lies(low, high, word):
    assert verdict(accuracy(low, high), 0.01, None)[0] == word


def test_mix__a_wrong_share_is_told_and_takes_the_verdict_with_it(tmp_path):
    truth = split_log(tmp_path, 600, share=0.35, right=(0.6, 0.9))
    (found,) = compared(tmp_path, truth)
    assert (found.mix.holds, found.verdict) == (False, "cannot tell")
    assert found.reason == "the challenger did not get its share, so the two were asked different things"
    text = to_markdown(blocks(AbReport(log="", margin=0.01, compared=(found,))))
    assert "**sample-ratio mismatch:**" in text
    (found,) = compared(tmp_path, truth, share=0.35)
    assert (found.mix.holds, found.verdict) == (True, "better")
    (found,) = compared(tmp_path, truth, share=None)
    assert found.mix is None


def test_mix__is_pearsons_test_and_says_when_there_are_too_few():
    found = mix(900, 100, 0, 0.12)
    assert found.p_value == pytest.approx(0.0515, abs=1e-3)  # (100 - 120)^2 / 120 + (900 - 880)^2 / 880 = 3.788
    assert found.holds
    assert mix(40, 4, 0, 0.1).p_value is None
    assert not mix(960, 40, 0, 0.1).holds
    generator, alarms = random.Random(1), 0
    for _ in range(300):
        challenger = sum(generator.random() < 0.2 for _ in range(400))
        alarms += not mix(400 - challenger, challenger, 0, 0.2).holds
    assert alarms <= 2
    assert MISMATCH == 0.001


def test_groups__the_oldest_is_complete_when_too_many_are_open():
    done = []
    groups = Groups(lambda name, hits: done.append((name, dict(hits))), 2)
    for name in "abacb":
        groups.add(name, {"x": 1})
    assert done == [("a", {"x": 2})]
    assert groups.end() == {"b", "c"}
    assert done[1:] == [("b", {"x": 2}), ("c", {"x": 1})]


def test_log__without_a_challenger_there_is_nothing_to_compare(tmp_path):
    log = AuditLog(config(tmp_path))
    for number in range(10):
        answered(log, number, "da")
    log.close()
    with pytest.raises(CannotTell, match=r"no challenger answered beside a champion: set `challenger` and `split`"):
        compared(tmp_path)


def test_log__a_changed_line_is_refused(tmp_path):
    shadow_log(tmp_path, 10)
    segment(tmp_path).write_bytes(segment(tmp_path).read_bytes().replace(b'"label":"da"', b'"label":"sv"', 1))
    with pytest.raises(Refused, match="changed"):
        compared(tmp_path)


def test_labels__csv_and_jsonl_say_the_same(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffrequest_id,number,label\nr1,,da\nr1,1,nb\nr1,1,nb\n".encode())
    (tmp_path / "a.jsonl").write_text('{"request_id":"r1","label":"da"}\n{"request_id":"r1","number":1,"label":"nb"}\n')
    expected = {("r1", 0): "da", ("r1", 1): "nb"}
    assert read_labels(tmp_path / "a.csv") == read_labels(tmp_path / "a.jsonl") == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "request,label\nr1,da\n", "line 2: no request_id or no label: write one row a text"),
        ("a.csv", "request_id,label\nr1,\n", "line 2: no request_id or no label"),
        ("a.csv", "request_id,number,label\nr1,-1,da\n", "line 2: number '-1' is no whole number from 0"),
        ("a.csv", "request_id,label\nr1,da\nr1,nb\n", "line 3: r1, text 0, has another label above: keep one"),
        ("a.csv", "request_id,label\n", "has no rows"),
        ("a.csv", 'request_id,label\n"r1,da\n', r"no CSV in UTF-8 \(unexpected end of data\)"),
        ("a.jsonl", '{"request_id":"r1","number":true,"label":"da"}\n', "number 'True' is no whole number"),
        ("a.jsonl", '{"request_id":1,"label":"da"}\n', "line 1: no request_id or no label"),
        ("a.jsonl", "[]\n", "line 1: not a JSON object"),
    ],
)
def test_labels__what_cannot_be_used_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(CannotTell, match=said):
        read_labels(tmp_path / name)


def test_labels__a_missing_file_and_foreign_bytes_are_named(tmp_path):
    with pytest.raises(CannotTell, match=r"none.csv is missing: write one row a text"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"request_id,label\n\xff,da\n")
    with pytest.raises(CannotTell, match="no CSV in UTF-8"):
        read_labels(tmp_path / "a.csv")


def test_script__writes_report_and_json_and_prints_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    shutil.copy(EXAMPLE / "gates.yaml", tmp_path / "configs")
    settings = yaml.safe_load((EXAMPLE / "serve.yaml").read_text(encoding="utf-8"))
    settings["split"] = {"kind": "split", "share": 0.5, "by": "request"}
    settings["models"]["challenger"] = "build/challenger"
    settings["audit"]["folder"] = "log"
    (tmp_path / "configs/serve.yaml").write_text(yaml.safe_dump(settings))
    truth = split_log(tmp_path / "log", 400, right=(0.5, 0.9))
    rows = [json.dumps({"request_id": request, "label": label}) for (request, _), label in truth.items()]
    (tmp_path / "labels.jsonl").write_text("\n".join(rows))
    code, out, err = finished(run_script("ab_report", "--labels", "labels.jsonl", "--since", "2020-01-01"))
    assert (code, err) == (0, "")
    found = AbReport.model_validate_json((tmp_path / "build/ab.json").read_text())
    assert (found.compared[0].verdict, found.margin, found.log) == ("better", 0.01, "log")
    assert found.compared[0].mix.expected_share == 0.5
    text = (tmp_path / "build/ab-report.md").read_text()
    for said in ("the challenger is better", "labelled texts needed to show", "change, however often you look"):
        assert said in text
        assert said in out
    code, _, err = finished(run_script("ab_report", "--since", "yesterday"))
    assert code == 2
    assert "--since: invalid moment value: 'yesterday'" in err
