"""MLflow as a registry, on a real `mlflow server`: the same commands with only an address changed."""

import http.server
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.mlflow_example import make_releases
from tests.mlflow_server import mlflow_server
from tests.project import EXAMPLE
from tests.run_script import finished, run_script

from textgate.bundle import verify
from textgate.errors import CannotTell, Refused
from textgate.registry.mlflow_registry import MlflowRegistry
from textgate.registry.mlflow_store import store
from textgate.registry.rollback import roll_back

A, B, C = "v0.1.0", "v0.2.0", "v0.3.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with three releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Yield address and folder of a server of MLflow's own making."""
    folder = tmp_path_factory.mktemp("server")
    places = ["--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", str(folder / "files")]
    with mlflow_server(folder, folder / "log", "server", *places) as address:
        yield address, folder


@pytest.fixture
def registry(server, tmp_path, monkeypatch):
    """Return the registry on the server, emptied of what a test before left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEXTGATE_REGISTRY", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server[0])
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")  # what takes longer is sent again, and may be done twice
    shutil.copytree(EXAMPLE, tmp_path / "configs")
    registry = MlflowRegistry(store())
    with registry.store.reading() as client:
        for model in client.search_registered_models():
            client.delete_registered_model(model.name)
    return registry


@pytest.fixture
def two(registry, made):
    """Return a registry with v0.1.0 as champion and v0.2.0 as challenger."""
    registry.register(made / A)
    registry.promote(A)
    registry.register(made / B)
    return registry


def test_server__a_version_goes_in_serves_and_is_gone_back_from(registry, made, tmp_path):
    assert registry.current() is None
    assert registry.register(made / A)[1] == "new"
    assert registry.register(made / A)[1] == "already"
    assert (registry.current(), registry.challenger()) == (None, A)
    assert registry.promote(A) is None
    registry.register(made / B)
    assert registry.promote(B) == A
    assert roll_back(registry) == (A, B)
    release = registry.fetch(A, tmp_path / "to")
    assert verify(tmp_path / "to" / "bundle", release.bundle_digest)
    assert [(event.before, event.version) for event in registry.history()] == [(None, A), (A, B), (B, A)]
    assert not (tmp_path / "mlruns").exists()


def test_server__mlflows_own_client_sees_versions_aliases_metrics_and_files(two):
    from mlflow import MlflowClient

    client = MlflowClient(two.store.address, two.store.address)
    champion = client.get_model_version_by_alias("textgate", "champion")
    assert champion.tags["version"] == A
    assert client.get_model_version_by_alias("textgate", "challenger").tags["version"] == B
    run = client.get_run(champion.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_accuracy"] > 0.5
    assert "release/SHA256SUMS" in {file.path for file in client.list_artifacts(champion.run_id, "release")}


def test_server__the_same_commands_work_there(two, made):
    assert finished(run_script("registry", "register", made / C))[:2] == (
        0, "v0.3.0 is published, and not yet the champion\nversion=v0.3.0\nstate=new\n"
    )  # fmt: skip
    assert finished(run_script("registry", "promote", "0.3.0"))[0] == 0
    assert finished(run_script("registry", "rollback"))[0] == 0
    assert two.current() == A


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda files: (files / "scan.json").unlink(), r"scan\.json is missing: this release was altered"),
        (lambda files: (files / "scan.json").write_text("{}"), r"scan\.json is not the file that SHA256SUMS lists"),
        (lambda files: (files / "note.txt").write_text("x"), r"note\.txt is not listed in SHA256SUMS"),
        (lambda files: (files / "inner").mkdir(), r"v0\.1\.0 has odd or too many files \('release/inner'\)"),
        (lambda files: (files / "a b").write_text("x"), r"v0\.1\.0 has odd or too many files \('a b'\)"),
        (lambda files: (files / "big").write_bytes(b"x" * 20_000_001), r"big of v0\.1\.0 has 20,000,001 bytes"),
    ],
)
def test_server__an_altered_release_is_refused(two, server, tmp_path, spoil, said):
    with two.store.reading() as client:
        run = client.get_model_version_by_alias("textgate", "champion").run_id
    (found,) = (server[1] / "files").glob(f"*/{run}/artifacts/release")
    spoil(found)
    with pytest.raises(Refused, match=said):
        two.fetch(A, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_register__what_a_killed_one_left_there_goes_when_it_is_finished(two, made, server):
    from textgate.files import sha256_file

    with two.store.reading() as client:
        experiment = client.get_experiment_by_name("textgate-releases").experiment_id
        left = client.create_run(experiment, tags={"sums": sha256_file(made / C / "SHA256SUMS")})
        client.log_artifact(left.info.run_id, str(made / C / "scan.json"), "release")
        assert two.register(made / C)[1] == "new"
        assert client.get_run(left.info.run_id).info.lifecycle_stage == "deleted"
    assert list((server[1] / "files").glob(f"*/{left.info.run_id}/artifacts/release/*")) == []


def test_promote__two_at_once_leave_one_champion_and_nobody_is_told_wrong(two, made):
    two.register(made / C)

    def promote(version):
        try:
            two.promote(version)
        except CannotTell as error:
            return str(error)
        return None

    for _ in range(5):
        with ThreadPoolExecutor(2) as both:
            said = list(both.map(promote, (B, C)))
        won = [version for version, error in zip((B, C), said, strict=True) if error is None]
        assert two.current() in {A, B, C}
        assert not won or two.current() in won
        assert all(
            "another process is changing the champion" in error or "same time" in error for error in said if error
        )
        assert two.history()[-1].version == two.current()
        two.promote(A)


def test_current__an_event_of_somebody_else_stops_a_promotion(two):
    """The other one writes its event between ours and the alias."""
    from textgate.registry import mlflow_changes
    from textgate.registry.history import Event
    from textgate.registry.mlflow_versions import read_shelf

    with two.store.reading() as client:
        seen = read_shelf(client)
        event = Event(number=2, before=A, version=B, at="2026-01-01T00:00:00Z", by="x")
        client.set_registered_model_tag("textgate", "event.000002.ffffffff", event.model_dump_json())
        with pytest.raises(CannotTell, match=r"another process is changing the champion: v0\.2\.0 was not promoted"):
            mlflow_changes.move(client, seen, seen.find(B), rollback=False)
        assert len(read_shelf(client).events) == 2
    assert two.current() == A


@pytest.fixture
def away():
    """Yield the address of a server that answers everything with 503, and how often it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{found.server_address[1]}", asked
    found.shutdown()
    found.server_close()


def test_server__in_trouble_it_is_asked_three_times_and_told_in_one_line(away, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLE, tmp_path / "configs")
    code, out, err = finished(run_script("registry", "current", MLFLOW_TRACKING_URI=away[0]))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err == (
        f"cannot tell: the MLflow server at {away[0]} does not answer (three tries): start it, or set "
        "MLFLOW_TRACKING_URI\n"
    )
    assert len(away[1]) == 3


def test_server__one_that_never_answers_is_left_after_three_tries(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLE, tmp_path / "configs")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://ann:secret@127.0.0.1:{silent.getsockname()[1]}"
        code, _, err = finished(run_script("registry", "current", MLFLOW_TRACKING_URI=address))
        silent.setblocking(False)
        for _ in range(3):
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert (code, err.count("\n")) == (2, 1)
    assert "does not answer (three tries)" in err
    assert "secret" not in err
