"""Alerts and dashboard ask for metrics that the service has, and find them in one that Prometheus really scrapes."""

import json
import re
import subprocess
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest
from tests.kept_port import kept_port
from tests.serve_process import ServeProcess, ask, small_bundle

from textgate.config import Gates, load
from textgate.serve import metrics

pytestmark = pytest.mark.deploy
ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULES = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
BOARD = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
PANELS = {panel["title"]: panel for panel in BOARD["panels"]}
QUERIES = [target["expr"].replace("$__rate_interval", "5m") for panel in PANELS.values() for target in panel["targets"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + QUERIES
# A metric of the service, of its process or of Prometheus, with what is asked of its labels.
SELECTOR = re.compile(r"\b(?:textgate_|process_|up\b)[a-z_]*(?:\{[^}]*\})?")
SELECTORS = sorted({found for expression in EXPRESSIONS for found in SELECTOR.findall(expression)})
LONG = ["snow on the road " * 500] * 32
PATIENCE_SECONDS = 60  # on a busy machine


def promtool(*arguments, cwd=PROMETHEUS):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def test_alerts__fire_where_they_must_and_only_there():
    code, said = promtool("test", "rules", "alerts_test.yaml", "drift_test.yaml")
    assert code == 0, said


def test_alerts__each_is_shown_to_fire_and_to_stay_silent():
    files = [yaml.safe_load((PROMETHEUS / name).read_text()) for name in ("alerts_test.yaml", "drift_test.yaml")]
    cases = [case for file in files for test in file["tests"] for case in test["alert_rule_test"]]
    for expected in (True, False):
        assert {case["alertname"] for case in cases if bool(case["exp_alerts"]) is expected} == ALERTS.keys()


def test_alerts__say_what_is_wrong_and_what_to_do_next():
    for alert in ALERTS.values():
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"].keys() == {"summary", "next"}


def test_alerts__limits_are_those_of_the_gate_and_of_the_container():
    slow = float(ALERTS["TextgateSlow"]["expr"].split(">")[1])
    assert slow * 1000 == load(ROOT / "configs/gates.yaml", Gates).max_p95_ms
    assert slow in metrics.SECONDS  # else the quantile is interpolated across the limit
    assert ALERTS["TextgateMemoryHigh"]["expr"].endswith("> 0.8 * 2 * 1024 * 1024 * 1024")
    assert yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["textgate"]["mem_limit"] == "2g"
    deployment = yaml.safe_load((DEPLOY / "kubernetes/base/deployment.yaml").read_text())
    assert deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "2Gi"


def test_configuration__is_one_that_prometheus_takes(tmp_path):
    assert promtool("check", "config", "prometheus.yaml")[0] == 0
    cluster = yaml.safe_load((PROMETHEUS / "kubernetes.yaml").read_text())
    job = cluster["scrape_configs"][0]
    assert job["job_name"] == "textgate"
    del job["kubernetes_sd_configs"]  # Debian's promtool is built without; the rest is checked
    (tmp_path / "kubernetes.yaml").write_text(yaml.safe_dump(cluster))
    assert promtool("check", "config", tmp_path / "kubernetes.yaml")[0] == 0


def test_configuration__finds_the_service_and_its_rules_where_compose_puts_them():
    config = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    host, _, port = config["scrape_configs"][0]["static_configs"][0]["targets"][0].partition(":")
    assert services[host]["ports"] == [f"127.0.0.1:8000:{port}"]
    source = yaml.safe_load((DEPLOY / "grafana/datasource.yaml").read_text())["datasources"][0]["url"]
    assert urllib.parse.urlsplit(source).hostname in services


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_dashboard__every_panel_says_what_it_shows(panel):
    assert panel["title"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["legendFormat"] for target in panel["targets"])


def test_dashboard__no_two_panels_overlap():
    assert len({panel["id"] for panel in PANELS.values()}) == len(BOARD["panels"])
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in BOARD["panels"])
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24  # the width of Grafana's grid


def test_dashboard__every_query_can_be_read(tmp_path):
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(QUERIES)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    code, said = promtool("check", "rules", "queries.yaml", cwd=tmp_path)
    assert code == 0, said


def test_metrics__alerts_and_panels_ask_for_no_other():
    shown = re.findall(r"^# TYPE (\S+) (\S+)$", generate_latest(REGISTRY).decode(), re.MULTILINE)
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    known = {"up"} | {name + part for name, kind in shown for part in parts.get(kind, ("",))}
    assert {re.match(r"\w+", selector)[0] for selector in SELECTORS} <= known


def test_metrics__everything_that_the_service_measures_is_shown_or_watched():
    asked = " ".join(SELECTORS)
    own = [family.name for family in REGISTRY.collect() if family.name.startswith("textgate_")]
    assert own
    assert [name for name in own if name not in asked] == []


@pytest.fixture
def busy_service(tmp_path):
    """Start a service; it has answered, turned away, shadowed and refused a reload."""
    small_bundle(tmp_path / "one")
    small_bundle(tmp_path / "two", seed=2)
    link = tmp_path / "champion"
    link.symlink_to("one")
    sections = {
        "limits": {"queue_texts": 1},
        "models": {"challenger": str(tmp_path / "two"), "check_seconds": 0.1},
        "split": {"kind": "shadow", "share": 1},
    }
    with ServeProcess(tmp_path / "serve", link, **sections) as service:
        assert service.predict("snow on the road")[0] == 200
        until(lambda: 503 in crowd(service))
        (tmp_path / "broken").mkdir()
        (tmp_path / "next").symlink_to("broken")
        (tmp_path / "next").replace(link)
        until(lambda: b'outcome="refused"' in service.get("/metrics")[2])
        yield service


def crowd(service):
    """Return the statuses of requests that come at once and take their time."""
    with ThreadPoolExecutor(16) as clients:
        return [answer[0] for answer in clients.map(lambda _: service.post("/predict", {"texts": LONG}), range(16))]


@pytest.fixture
def prometheus(tmp_path, busy_service):
    """Prometheus with our configuration, but for the address, and as quick as a test needs it."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = ["{}:{}".format(*busy_service.address)]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    options = [f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/tsdb"]
    with kept_port() as port, (tmp_path / "prometheus.log").open("wb") as log:
        address = f"127.0.0.1:{port}"
        command = ["prometheus", *options, f"--web.listen-address={address}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        yield lambda query: queried(address, query)
    process.terminate()
    process.wait(600)


def queried(address, query):
    """Return what Prometheus answers to a query; nothing while it starts."""
    try:
        status, _, body = ask(f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    except OSError:
        return []
    if status == 503:
        return []
    said = json.loads(body)
    assert said["status"] == "success", said
    return said["data"]["result"]


def until(true):
    """Wait for it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_prometheus__finds_in_a_real_service_whatever_alerts_and_panels_select(prometheus):
    until(lambda: prometheus('up{job="textgate"} == 1'))
    until(lambda: prometheus("textgate_model_info"))
    for selector in SELECTORS:  # a scrape that the service was too busy for leaves none of them, until the next
        until(lambda selector=selector: prometheus(selector))
    for expression in EXPRESSIONS:
        prometheus(expression)  # an error in one would show
    for quiet in ("TextgateDown", "TextgateNotReady"):
        until(lambda quiet=quiet: prometheus(ALERTS[quiet]["expr"]) == [])
    until(lambda: prometheus('ALERTS{alertname="TextgateReloadRefused", alertstate="firing"}'))
