"""On Ray, a file gives the bytes that one process gives, whoever dies; what goes wrong is one line and exit code 2."""

import dataclasses
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.batch_example import PATIENT, records, rejects, sealed, settings, write_rows
from tests.kept_port import kept_port
from tests.run_script import ROOT

from textgate.batch.answer import answer
from textgate.batch.batch import batch, find_model
from textgate.batch.ray_crew import Seat, seats
from textgate.batch.ray_worker import DECIDE, Worker, versions
from textgate.batch.rows import Place, Row, Window
from textgate.batch.state import State
from textgate.bundle import MANIFEST, verify

pytestmark = pytest.mark.deploy  # needs an environment of 750 MB
PYTHON = ROOT / ".venv-ray/bin/python"  # made by the Makefile
TWO = settings().processes.model_copy(update={"tfidf": 2})
WINDOW = Window((Row(1, "a", "snow on the road"),), (), Place(offset=5, rows=1), None)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the folder of a sealed bundle. Read only."""
    return sealed(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def short():
    """Return a folder with a short name: paths of sockets, which Ray makes below it, may have 107 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def opened(model):
    """Return a model, and the names and contents of its files."""
    names = [*verify(model).files, MANIFEST]
    return find_model(model), names, [(model / name).read_bytes() for name in names]


def usable(environment):
    """Return an environment in which only what a test names is a cluster."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | environment


@contextmanager
def started(folder, model, *options, rows=0, python=PYTHON, environment=(), **changes):
    """Yield scripts/batch.py at work on `rows` good rows, and one bad, with small windows."""
    (folder / "configs").mkdir(exist_ok=True)
    usual = {"window_rows": 50, "window_bytes": 10**5, "processes": TWO}
    (folder / "configs/batch.yaml").write_text(settings(**usual | changes).model_dump_json())
    if rows or not (folder / "in.jsonl").exists():
        write_rows(folder / "in.jsonl", [*records(rows), {"id": "bad", "text": " "}])
    command = [
        python,
        ROOT / "scripts/batch.py",
        "in.jsonl",
        "out.jsonl",
        "--model",
        model,
        "--engine",
        "ray",
        *options,
    ]
    where = {"cwd": folder, "env": usable(dict(environment))}
    with subprocess.Popen(command, **where, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        yield process
        process.kill()


def ended(process, seconds=600):
    """Return the exit code, and what was said but for how far it was, which a slow run tells now and then."""
    lines = process.communicate(timeout=seconds)[1].splitlines(keepends=True)
    return process.returncode, "".join(line for line in lines if not line.endswith(" a second\n"))


def refusal(folder, model, *options, **more):
    with started(folder, model, *options, **more) as process:
        code, said = ended(process)
    assert code == 2
    assert said.count("\n") == 1, said
    assert not (folder / "out.jsonl").exists()
    return said.removeprefix("cannot tell: ").strip()


def written(folder):
    """Wait until some rows are safely written."""
    until((folder / "out.jsonl.state").exists)


def until(true, seconds=600):
    for _ in range(seconds * 50):
        if true():
            return
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s")


def below(number, name=""):
    """Return the processes that one began, and they, whose title begins so; the oldest first."""
    found = psutil.Process(number).children(recursive=True)
    return sorted((each for each in found if title(each).startswith(name)), key=lambda each: each.create_time())


def title(process):
    try:
        return Path(process.cmdline()[0]).name
    except (psutil.NoSuchProcess, IndexError):
        return ""


def late(folder):
    """Begin what a Ray that is ending may begin: somebody below nobody, who stays."""
    staying = [PYTHON, "-c", "import time; time.sleep(600)"]
    return psutil.Popen(staying, env={"TMPDIR": str(folder)}, start_new_session=True)


def listening(process):
    try:
        return {each.laddr.ip for each in process.net_connections() if each.status == "LISTEN"}
    except psutil.NoSuchProcess:
        return set()


def same_as_local(folder, model, rows):
    batch(str(folder / "in.jsonl"), str(folder / "local.jsonl"), model, "text", None, settings(window_rows=500))
    assert (folder / "out.jsonl").read_bytes() == (folder / "local.jsonl").read_bytes()
    assert rejects(folder / "out.jsonl") == rejects(folder / "local.jsonl")
    assert len(rejects(folder / "out.jsonl")) == 1
    assert (folder / "out.jsonl").read_bytes().count(b"\n") == rows
    assert not list(folder.glob("*.part")) + list(folder.glob("*.state"))


def test_batch__on_ray_a_worker_is_killed_and_the_bytes_are_those_of_one_process(tmp_path, short, model):
    rows = 12_000
    with started(tmp_path, model, rows=rows, environment={"TMPDIR": str(short)}, window_rows=10) as process:
        written(tmp_path)
        began = [*below(process.pid), late(next(short.glob("ray-*")))]
        heard = {address for each in began for address in listening(each)}
        below(process.pid, "ray::Worker")[0].kill()
        assert ended(process) == (1, "12,000 rows scored, 1 rejected: out.jsonl.rejects.jsonl\n")
    assert heard <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert heard
    assert psutil.wait_procs(began, timeout=60)[1] == []
    assert list(short.rglob("*")) == []
    same_as_local(tmp_path, model, rows)


def test_batch__on_ray_says_that_nobody_listens_there(tmp_path, model):
    with kept_port() as port:
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            assert refusal(tmp_path, model, "--address", address) == (
                f"--address {address}: nobody listens there (Connection refused): is the cluster up, and open to us?"
            )


def test_batch__on_ray_says_that_an_address_is_none(tmp_path, model):
    said = refusal(tmp_path, model, "--address", "somewhere")
    assert said == "--address somewhere: not auto, HOST:6379 or ray://HOST:10001"
    said = refusal(tmp_path, model, environment={"RAY_ADDRESS": "ray://host:port"})
    assert said == "--address ray://host:port: not auto, HOST:6379 or ray://HOST:10001"


def test_batch__on_ray_says_that_no_cluster_is_found(tmp_path, short, model):
    patient = PATIENT.model_copy(update={"start_seconds": 20})  # if somebody's Ray runs on this machine, it is found
    said = refusal(tmp_path, model, "--address", "auto", environment={"RAY_TMPDIR": str(short)}, ray=patient)
    assert said.startswith(
        ("--address auto: Could not find any running Ray instance.", "--address auto: no Ray cluster")
    )


def test_batch__on_ray_does_not_wait_for_ever_where_something_else_listens(tmp_path, model):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        patient = PATIENT.model_copy(update={"start_seconds": 5})
        said = refusal(tmp_path, model, "--address", address, ray=patient)
    assert said == f"--address {address}: no Ray cluster answers within 5 s: is it Ray that listens there?"


def test_batch__an_address_that_nobody_looks_at_is_an_error(tmp_path, model):
    said = refusal(tmp_path, model, "--engine", "local", "--address", "auto")
    assert said == "--address auto: only --engine ray takes one"


def test_batch__on_ray_says_how_to_install_it(tmp_path, model):
    said = refusal(tmp_path, model, python=ROOT / ".venv-serve/bin/python")
    assert said == "--engine ray: Ray is not installed here: pip install -r requirements-ray.txt"


@pytest.mark.parametrize(
    ("machines", "processes", "found"),
    [
        ([("a", 8)], 1, [Seat("a", 7)]),
        ([("a", 8)], 2, [Seat("a", 3)] * 2),
        ([("a", 4)], 0, [Seat("a", 1)] * 3),
        ([("a", 1), ("b", 2)], 0, [Seat("a", 1), Seat("b", 1)]),
        ([("a", 2)], 5, [Seat("a", 1)]),
        ([("head", 0), ("b", 1)], 1, [Seat("b", 1)]),
        ([("head", 0)], 0, []),
    ],
)
def test_seats__a_machine_with_several_processors_keeps_one_free(machines, processes, found):
    assert seats(machines, processes) == found


def test_worker__answers_as_this_process_does_and_leaves_no_file(opened, tmp_path, monkeypatch):
    found, names, contents = opened
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    worker = Worker(found, "csv", versions())
    assert worker.open(names, *contents) is None
    assert list(tmp_path.iterdir()) == []
    assert worker.answer(WINDOW) == answer(WINDOW, found, "csv")


def test_worker__opens_no_other_bytes_than_were_asked_for(opened):
    found, names, contents = opened
    problem = Worker(found, "csv", versions()).open(names, contents[0] + b" ", *contents[1:])
    host = socket.gethostname()
    assert str(problem).startswith(f"the Ray worker on {host}: ")
    assert f"{names[0]} is not the file that was sealed" in str(problem)
    other = dataclasses.replace(found, digest="1" * 64)
    assert "but 111111111111… was expected" in str(Worker(other, "csv", versions()).open(names, *contents))


@pytest.mark.parametrize("name", DECIDE)
def test_worker__with_another_version_of_what_decides_the_bytes_does_not_begin(opened, name):
    found, names, contents = opened
    problem = Worker(found, "csv", versions() | {name: "0.1"}).open(names, *contents)
    assert str(problem) == (
        f"the Ray worker on {socket.gethostname()}: {name} {versions()[name]} there, 0.1 here: "
        "install requirements-ray.txt on every machine"
    )


@contextmanager
def machines(count, way=0):
    """Yield a cluster of so many machines of one core: its process, an address, and the environment to reach it."""
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))] * count
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    command = [PYTHON, ROOT / "benchmarks/ray_machines.py", *cores[:count]]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=usable(environment), **pipes) as process:
        address = process.stdout.readline().split()[way]
        assert [process.stdout.readline() for _ in range(count)] == ["joined\n"] * count
        yield process, address, environment
        process.stdin.close()


@pytest.mark.long
def test_batch__a_cluster_gives_the_same_bytes_although_a_machine_is_lost(tmp_path, model):
    rows = 20_000
    with (
        machines(2) as (cluster, address, environment),
        started(tmp_path, model, "--address", address, rows=rows, environment=environment) as process,
    ):
        until(lambda: len(below(cluster.pid, "ray::Worker")) == 2)
        written(tmp_path)
        below(cluster.pid, "raylet")[-1].kill()
        assert ended(process) == (1, "20,000 rows scored, 1 rejected: out.jsonl.rejects.jsonl\n")
    same_as_local(tmp_path, model, rows)


@pytest.mark.long
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_batch__stopped_it_leaves_the_cluster_clean_and_the_next_run_goes_on(tmp_path, model, way):
    rows = 20_000
    with machines(1) as (cluster, address, environment):
        with started(tmp_path, model, "--address", address, rows=rows, environment=environment) as process:
            written(tmp_path)
            began = below(process.pid)
            process.send_signal(way)
            assert ended(process)[0] == (130 if way == signal.SIGINT else -way)
        assert psutil.wait_procs(began, timeout=60)[1] == []
        until(lambda: not below(cluster.pid, "ray::Worker"))
        state = State.model_validate_json((tmp_path / "out.jsonl.state").read_text())
        assert 0 < state.place.rows < rows
        with started(tmp_path, model, "--address", address, environment=environment) as process:
            assert ended(process)[0] == 1
    same_as_local(tmp_path, model, rows)


@pytest.mark.long
def test_batch__says_that_too_many_workers_died_and_the_next_run_goes_on(tmp_path, model):
    rows = 20_000
    with machines(1) as (cluster, address, environment):
        with started(tmp_path, model, "--address", address, rows=rows, environment=environment) as process:
            killed = set()
            while process.poll() is None:
                for worker in below(cluster.pid, "ray::Worker"):
                    if worker.pid not in killed:
                        killed.add(worker.pid)
                        worker.kill()
                time.sleep(0.05)
            code, said = ended(process)
        assert (code, said.count("\n")) == (2, 1)
        assert said.endswith("is there memory enough? run again, it goes on where it stopped\n")
        assert "Ray worker" in said
        assert len(killed) == PATIENT.deaths
        with started(tmp_path, model, "--address", address, environment=environment) as process:
            assert ended(process)[0] == 1
    same_as_local(tmp_path, model, rows)


@pytest.mark.long
def test_batch__the_end_of_the_whole_cluster_is_never_exit_code_1(tmp_path, model):
    with (
        machines(1) as (cluster, address, environment),
        started(tmp_path, model, "--address", address, rows=100_000, environment=environment) as process,
    ):
        written(tmp_path)
        for each in below(cluster.pid):
            each.kill()
        code, said = ended(process, seconds=180)
    assert (code, said.count("\n")) == (2, 1), said
    assert "run again, it goes on where it stopped" in said
    assert json.loads((tmp_path / "out.jsonl.state").read_text())["place"]["rows"] > 0


@pytest.mark.long
def test_batch__a_cluster_is_driven_from_outside_of_it(tmp_path, model):
    with machines(2, way=1) as (_, address, environment):
        assert address.startswith("ray://")
        with started(tmp_path, model, "--address", address, rows=5000, environment=environment) as process:
            assert ended(process) == (1, "5,000 rows scored, 1 rejected: out.jsonl.rejects.jsonl\n")
        same_as_local(tmp_path, model, 5000)
        (tmp_path / "out.jsonl").unlink()
        (tmp_path / "out.jsonl.rejects.jsonl").unlink()
        said = refusal(tmp_path, model, "--address", address, environment=environment | {"RAY_AUTH_TOKEN": "0" * 64})
    assert said.startswith(f"--address {address}: ")


@pytest.mark.long
def test_batch__says_that_the_cluster_has_no_processor_to_give(tmp_path, model):
    with machines(0) as (_, address, environment):
        said = refusal(tmp_path, model, "--address", address, environment=environment)
    assert said == f"--address {address}: the Ray cluster has no machine with a processor to give"
