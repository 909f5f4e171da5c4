"""The image is really built and run. `make image`: some minutes, as root, with Debian's buildah, podman and runc."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.image_build import BASE, RELEASE, SERVICE, Container, Images
from tests.serve_process import ROOT, small_bundle

pytestmark = pytest.mark.long
# 600 MB in all, of which python:3.11-slim-bookworm takes up to 150. The base made here is larger, and is not shipped.
OWN_MB = 450
USER = 10001
# Half of a request; the rest follows when somebody says so.
SLOW_CLIENT = r"""
import socket
body = b'{"text": "snow on the road"}'
head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
client = socket.create_connection(("127.0.0.1", 8000), timeout=60)
client.sendall(head + body[:9])
print("half", flush=True)
input()
client.sendall(body[9:])
print(client.recv(65536).split(b"\r\n")[0].decode())
"""

LOOK = """
import importlib.util, json, os
files = [os.path.join(folder, name) for folder, _, names in os.walk("/app") for name in names]
models = (".onnx", ".safetensors", ".pem", ".env")
too_much = ("pip", "torch", "transformers", "sklearn", "scipy", "mlflow", "pandas")
kernel = ("/proc", "/dev", "/sys")
print(json.dumps({
    "models": [f for f in files if f.endswith(models) and "site-packages" not in f] + os.listdir("/serving"),
    "too much": [name for name in too_much if importlib.util.find_spec(name)],
    "folders": sorted(os.listdir("/app")),
    "scripts": sorted(os.listdir("/app/scripts")),
    "open": [f for f, _, _ in os.walk("/") if os.access(f, os.W_OK) and not f.startswith(kernel)],
    "closed": [f for f in files if not os.access(f, os.R_OK)],
}))
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    made = Images(folder)
    made.base()
    made.wheelhouse()
    made.build(ROOT / "deploy/Dockerfile", ROOT, SERVICE, BASE=BASE, REVISION="abc")
    yield made
    made.podman("rm", "--all", "--force", check=False)
    made.podman("rmi", "--all", "--force", check=False)
    shutil.rmtree(folder, ignore_errors=True)  # gigabytes, and pytest keeps the folders of three runs


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    folder.chmod(0o755)  # pytest's own is closed to others
    return small_bundle(folder / "champion")


@pytest.fixture
def audit(tmp_path):
    folder = tmp_path / "audit"
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


@pytest.fixture
def service(images, champion, audit, request):
    started = Container(images, request.node.name, SERVICE, [f"{champion.parent}:/serving:ro", f"{audit}:/audit"])
    started.wait_until_ready()
    yield started
    images.podman("rm", "--force", started.name, check=False)


def test_image__is_small(images, capsys):
    own = images.megabytes(SERVICE) - images.megabytes(BASE)
    with capsys.disabled():
        print(f"\nthe image adds {own:.0f} MB to its base")
    assert own <= OWN_MB


def test_image__answers_as_nobody_with_a_root_that_cannot_be_written(service, audit):
    status, body = service.ask("/predict", {"text": "snow on the road"})
    assert (status, json.loads(body)["predictions"][0]["label"]) == (200, "north")
    state = dict(line.split(":\t", 1) for line in Path(f"/proc/{service.pid}/status").read_text().splitlines())
    assert state["Uid"].split() == [str(USER)] * 4
    assert (int(state["CapEff"], 16), state["NoNewPrivs"]) == (0, "1")
    assert service.images.podman("healthcheck", "run", service.name)[0] == 0
    assert list(audit.rglob("*")), "the answer was not recorded"


def test_image__health_check_fails_when_nobody_answers(service):
    os.kill(service.pid, 19)  # SIGSTOP
    try:
        assert service.images.podman("healthcheck", "run", service.name, check=False)[0] == 1
    finally:
        os.kill(service.pid, 18)  # SIGCONT


def test_image__a_request_that_is_under_way_is_answered_after_sigterm(service):
    client = service.client(SLOW_CLIENT)
    assert client.stdout.readline() == "half\n"
    service.images.podman("kill", "--signal=TERM", service.name)
    service.wait_for('"stopping"')
    assert client.communicate("\n", timeout=60)[0].startswith("HTTP/1.1 200")
    assert service.images.podman("wait", service.name)[1].strip() == "0"
    assert '"stopped"' in service.log()


def test_image__stops_by_the_signal_that_it_names(service):
    service.images.podman("stop", "--time=60", service.name)
    assert service.images.podman("inspect", service.name, "--format={{.State.ExitCode}}")[1].strip() == "0"


def test_image__holds_no_pip_no_model_no_tests_and_nothing_to_write_into(images):
    code, out, err = images.run("look", SERVICE, "-c", LOOK)
    assert code == 0, err
    found = json.loads(out)
    assert found["scripts"] == ["audit_verify.py", "batch.py", "serve.py"]
    assert found["folders"] == ["configs", "requirements-serve.txt", "scripts", "src", "venv"]
    assert (found["models"], found["too much"], found["closed"]) == ([], [], [])
    assert found["open"] == ["/tmp"]


def test_image__without_a_model_it_says_what_is_missing(images, audit):
    code, out, err = images.run("bare", SERVICE, mounts=[f"{audit}:/audit"])
    assert code == 2
    assert "/serving/champion" in out + err
    assert "Traceback" not in out + err


def test_image__scores_files_too(images, champion, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/in.jsonl").write_text('{"text": "snow and pine"}\n{"text": "sand and palm"}\n')
    os.chown(tmp_path / "texts", USER, USER)
    mounts = [f"{champion.parent}:/serving:ro", f"{tmp_path}/texts:/texts"]
    files = ["/texts/in.jsonl", "/texts/out.jsonl"]
    code, _, err = images.run(
        "batch", SERVICE, "scripts/batch.py", "--model", "/serving/champion", *files, mounts=mounts
    )
    assert code == 0, err
    labels = [json.loads(line)["label"] for line in (tmp_path / "texts/out.jsonl").read_text().splitlines()]
    assert labels == ["north", "south"]


def test_release_image__is_the_service_with_the_release_in_it(images, champion, audit):
    images.build(ROOT / "deploy/release.Dockerfile", champion, RELEASE, SERVICE=SERVICE, VERSION="v1.0.0")
    container = Container(images, "release", RELEASE, [f"{audit}:/audit"])
    container.wait_until_ready()
    assert container.ask("/predict", {"text": "sand and palm"})[0] == 200
