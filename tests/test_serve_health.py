"""What a machine is told about the service: whether it can answer, and what its processes use."""

import http.client
import json
import re
import shutil

import pytest
from tests.serve_process import START_SECONDS, ServeProcess, small_bundle, until

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def bundle(tmp_path):
    return small_bundle(tmp_path / "bundle")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("head")
    with ServeProcess(folder, small_bundle(folder / "bundle")) as process:
        yield process


class Scraper:
    """Prometheus keeps its connection, and so asks the same one of several workers again and again."""

    def __init__(self, service):
        """Connect."""
        self._connection = http.client.HTTPConnection(*service.address, timeout=START_SECONDS)

    def ask(self, path, body=None):
        """Return the body of an answer."""
        self._connection.request("POST" if body else "GET", path, body, JSON)
        return self._connection.getresponse().read().decode()

    def samples(self, name):
        """Return {labels: value} of one metric."""
        found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", self.ask("/metrics"), re.MULTILINE)
        return {labels: float(value) for labels, value in found}


def test_ready__is_a_figure_too_and_falls_when_answers_cannot_be_recorded(tmp_path, bundle):
    with ServeProcess(tmp_path / "run", bundle) as service:
        assert service.metric("textgate_ready") == 1
        shutil.rmtree(tmp_path / "run/audit")
        until(lambda: service.metric("textgate_ready") == 0)
        status, _, body = service.get("/ready")
        assert (status, json.loads(body)["detail"]) == (503, "Answers cannot be recorded.")


def test_ready__one_worker_that_cannot_answer_shows_whichever_is_asked(tmp_path, bundle):
    with ServeProcess(tmp_path / "run", bundle, listen={"workers": 2}) as service:
        until(lambda: service.text().count('"ready"') == 2)
        scraper = Scraper(service)
        until(lambda: scraper.samples("textgate_ready") == {"": 1})
        asked = json.loads(scraper.ask("/predict", b'{"text": "snow"}'))["request_id"]
        slots = list((tmp_path / "run/audit").iterdir())
        (other,) = [slot for slot in slots if asked not in "".join(path.read_text() for path in slot.glob("*.jsonl"))]
        other.rename(tmp_path / "moved")  # in one step: the other worker may just be looking for old segments there
        until(lambda: scraper.samples("textgate_ready") == {"": 0})
        assert json.loads(scraper.ask("/ready")) == {"status": "ready"}  # the one that is asked knows of the other


def test_processes__of_several_workers_each_is_shown(tmp_path, bundle):
    with ServeProcess(tmp_path / "run", bundle, listen={"workers": 2}) as service:
        until(lambda: service.text().count('"ready"') == 2)
        scraper = Scraper(service)
        for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
            found = scraper.samples(name)
            assert len(found) == 3  # and the supervisor
            assert f'pid="{service.process.pid}"' in found
            assert all(value > 0 for value in found.values())
        assert scraper.ask("/metrics").count("# TYPE process_resident_memory_bytes ") == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics__no_series_says_when_another_was_made(tmp_path, bundle, workers):
    with ServeProcess(tmp_path / "run", bundle, listen={"workers": workers}) as service:
        service.predict("snow")
        shown = service.get("/metrics")[2].decode()
    assert "textgate_requests_total" in shown
    assert "_created" not in shown


@pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/", "/openapi.json"])
def test_head__is_answered_as_get_without_the_body_and_the_connection_goes_on(service, path):
    connection = http.client.HTTPConnection(*service.address, timeout=START_SECONDS)
    for method in ("HEAD", "GET"):
        connection.request(method, path)
        answer = connection.getresponse()
        length, body = int(answer.headers["Content-Length"]), answer.read()
        assert (answer.status, len(body)) == (200, length if method == "GET" else 0)


def test_head__is_no_way_to_ask_the_model(service):
    connection = http.client.HTTPConnection(*service.address, timeout=START_SECONDS)
    connection.request("HEAD", "/predict")
    assert (answer := connection.getresponse()).status == 405
    assert answer.headers["Allow"] == "POST"
