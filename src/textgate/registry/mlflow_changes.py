"""What changes in MLflow when a version is added, becomes the champion or is retired."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from textgate.errors import CannotTell
from textgate.evidence import Metrics, Release
from textgate.files import read_text, sha256_file
from textgate.registry.history import Event, in_effect, next_event
from textgate.registry.mlflow_files import PLACE, remove, take_out
from textgate.registry.mlflow_store import MODEL, Store
from textgate.registry.mlflow_versions import CHALLENGER, CHAMPION, Kept, Shelf, event_key, read_shelf
from textgate.release.assets import SUMS, check

RUNS = "textgate-releases"  # the experiment whose runs hold the files of releases


def add(client: Any, store: Store, folder: Path, release: Release, sums: str, shelf: Shelf) -> None:
    """Put the files of a release into a run of their own, read them back, and make a model version of them."""
    experiment = _experiment(client, store)
    _make_model(client)
    for left in client.search_runs([experiment], f"tags.sums = '{sums}'"):
        if left.info.run_id not in {kept.run_id for kept in shelf.versions}:
            remove(client, left.info.run_id)
    tags = {
        "version": release.version,
        "bundle_digest": release.bundle_digest,
        "data_fingerprint": release.data_fingerprint,
        "commit": release.commit,
        "judged_commit": release.judged_commit,
        "sums": sums,
    }
    run = client.create_run(experiment, run_name=release.version, tags=tags)
    run_id = run.info.run_id
    for name, value in _figures(folder).items():
        client.log_metric(run_id, name, value)
    client.log_artifacts(run_id, str(folder), PLACE)
    with tempfile.TemporaryDirectory(prefix=".register.", dir=folder.parent) as place:
        copy = Path(place, "copy")
        copy.mkdir()
        take_out(client, run_id, release.version, copy)
        if check(copy) != release or sha256_file(copy / SUMS) != sums:
            raise CannotTell(f"the files of {release.version} did not arrive as they are here: run this again")
    client.set_terminated(run_id)
    source = f"{run.info.artifact_uri}/{PLACE}"
    tags["state"] = "complete"
    made = client.create_model_version(MODEL, source, run_id, tags=tags, await_creation_for=None)
    first = read_shelf(client).find(release.version)
    if first is not None and first.number != int(made.version):  # on a server, somebody else was faster
        client.delete_model_version(MODEL, made.version)
        remove(client, run_id)


def move(client: Any, shelf: Shelf, kept: Kept | None, *, rollback: bool) -> None:
    """Make a version the champion, or none; write that down first, and look afterwards whether it is so."""
    version = kept.version if kept else None
    happened = in_effect(shelf.events, shelf.champion)
    last = happened[-1] if happened else None
    if shelf.champion != version:
        _record(client, shelf, next_event(shelf.events, version, shelf.champion, rollback=rollback))
        if kept is None:
            client.delete_registered_model_alias(MODEL, CHAMPION)
        else:
            client.set_registered_model_alias(MODEL, CHAMPION, str(kept.number))
    elif last is not None and last.number == 0:  # it was moved by hand: now it is known who stands for it
        _record(client, shelf, next_event(shelf.events, version, last.before, rollback=rollback))
    if version is not None and shelf.challenger == version:
        client.delete_registered_model_alias(MODEL, CHALLENGER)
    now = read_shelf(client).champion
    if now != version:
        raise CannotTell(f"{now} became the champion at the same time as {version}: look at the history, then decide")


def retire(client: Any, shelf: Shelf, kept: Kept) -> None:
    """Mark a version as retired; its files stay."""
    if shelf.challenger == kept.version:
        client.delete_registered_model_alias(MODEL, CHALLENGER)
    client.set_model_version_tag(MODEL, str(kept.number), "state", "retired")


def _record(client: Any, shelf: Shelf, event: Event) -> None:
    """Write an event down. Raises CannotTell, and takes it back, if somebody else wrote one meanwhile."""
    key = event_key(event)
    client.set_registered_model_tag(MODEL, key, event.model_dump_json())
    now = read_shelf(client)
    if now.keys - shelf.keys != {key} or now.champion != shelf.champion:
        client.delete_registered_model_tag(MODEL, key)
        raise CannotTell(f"another process is changing the champion: {event.version} was not promoted, look again")


def _experiment(client: Any, store: Store) -> str:
    found = client.get_experiment_by_name(RUNS)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(RUNS, artifact_location=store.folder.as_uri() if store.folder else None))


def _make_model(client: Any) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _figures(folder: Path) -> dict[str, float]:
    """Return what MLflow shows about a release."""
    metrics = Metrics.model_validate_json(read_text(folder / "metrics.json", "build the release again"))
    candidate = metrics.of("candidate")
    if candidate is None:
        return {}
    figures = {
        "test_accuracy": candidate.test.accuracy.value,
        "test_macro_f1": candidate.test.macro_f1.value,
        "latency_p95_ms": candidate.latency.p95_ms,
        "megabytes": candidate.megabytes,
    }
    return figures | ({"external_accuracy": candidate.external.accuracy.value} if candidate.external else {})
