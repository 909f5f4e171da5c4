"""Versions are three plain numbers; the next one follows the highest, and never takes a number twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.project import EXAMPLE

from textgate.config import load
from textgate.errors import CannotTell, Refused
from textgate.evidence import VERSION
from textgate.release.settings import ReleaseConfig
from textgate.release.versions import next_version, order, version_of

SHIPPED = Path(__file__).parent.parent / "configs"


@pytest.mark.parametrize("text", ["v1.2.3", "1.2.3"])
def test_version_of__is_taken_with_and_without_its_v(text):
    assert version_of(text) == "v1.2.3"


@pytest.mark.parametrize(
    "text",
    ["", "v", "1.2", "v1.2.3.4", "v01.2.3", "v1.2.03", "v1.2.3-rc1", "v1.2.3+x", "V1.2.3", "vv1.2.3", "v1.2.-3",
     "v1.2.3\n", " v1.2.3", "v1.2.1234567", "v1.2.\u0663", "latest", "../v1.2.3", "v1.2.3;rm"],
)  # fmt: skip
def test_version_of__anything_else_is_refused(text):
    with pytest.raises(Refused, match=r"is not a version: name it like v1\.2\.3, three numbers without leading zeros"):
        version_of(text)


def test_next_version__starts_a_series_at_0():
    assert next_version("0.1", []) == "v0.1.0"
    assert next_version("0.1", ["v0.2.5", "v1.0.0"]) == "v0.1.0"


def test_next_version__follows_the_highest_number_not_the_last_word():
    assert next_version("0.1", ["v0.1.9", "v0.1.10", "v0.1.2"]) == "v0.1.11"


def test_next_version__does_not_fill_gaps():
    assert next_version("0.1", ["v0.1.0", "v0.1.7"]) == "v0.1.8"


def test_next_version__names_that_are_no_versions_do_not_count():
    names = ["0.1.50", "v0.1.60-rc1", "v0.1.070", "nightly", "v0.1.x", "v0.1.", "v0.10.80"]
    assert next_version("0.1", names) == "v0.1.0"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 30))))
def test_next_version__is_new_and_above_all_of_its_series(numbers):
    existing = [f"v{a}.{b}.{c}" for a, b, c in numbers]
    found = next_version("1.1", existing)
    assert VERSION.fullmatch(found)
    assert found not in existing
    assert all(order(found) > order(name) for name in existing if name.startswith("v1.1."))


def test_order__is_by_number():
    assert sorted(["v0.10.0", "v0.9.0", "v0.9.10", "v0.9.9"], key=order) == ["v0.9.0", "v0.9.9", "v0.9.10", "v0.10.0"]


def test_release_yaml__names_a_series():
    assert load(EXAMPLE / "release.yaml", ReleaseConfig).series == "0.1"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("series: 0.1", "YAML reads this as a number, so put it in quotes"),
        ('series: "0.1.2"', "series: String should match pattern"),
        ('series: "v0.1"', "series: String should match pattern"),
        ('series: "0.01"', "series: String should match pattern"),
        ('series: "0.1"\nsigning: {public_key: a}', "signing.kind: this key is missing"),
        ('series: "0.1"\nsigning: {kind: ssh}', "signing.kind: unknown kind 'ssh' (known: 'key', 'certificate')"),
        ('series: "0.1"\nsigning: {kind: certificate, certificate: a}', "signing.chain: this key is missing"),
        ('serie: "0.1"', "serie: unknown key (known: series, signing)"),
    ],
)
def test_release_yaml__what_is_wrong_in_it_is_named(tmp_path, line, said):
    (tmp_path / "release.yaml").write_text(line, encoding="utf-8")
    with pytest.raises(CannotTell) as caught:
        load(tmp_path / "release.yaml", ReleaseConfig)
    assert str(caught.value).startswith(f"{tmp_path / 'release.yaml'}: ")
    assert said in str(caught.value)
