"""Dockerfile, compose file and the container's configuration agree with each other and with the project."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from textgate.config import load
from textgate.serve.settings import ServeConfig

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
CONTAINER = DEPLOY / "kubernetes/base/serve.yaml"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
# What a container's configuration may say otherwise: folders, address, cores.
OWN = {"models.champion", "listen.host", "batching.transformer.lanes", "batching.ensemble.lanes", "audit.folder"}


def checked(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def flat(values, before=""):
    """Turn {"a": {"b": 1}} into {"a.b": 1}."""
    if not isinstance(values, dict):
        return {before.rstrip("."): values}
    return {key: value for name, inner in values.items() for key, value in flat(inner, f"{before}{name}.").items()}


@pytest.mark.parametrize("name", ["Dockerfile", "release.Dockerfile"])
def test_dockerfile__has_no_finding(name):
    assert checked(BIN / "hadolint", DEPLOY / name) == (0, "")


def test_dockerfile__a_finding_is_an_error(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN apt-get install curl\n")
    code, said = checked(BIN / "hadolint", tmp_path / "Dockerfile")
    assert code == 1
    assert "DL3006" in said


def test_dockerfile__base_is_given_by_whoever_builds_and_every_stage_stands_on_it():
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^ARG BASE(.*)$", text, re.MULTILINE) == [""]
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}


def test_dockerfile__nothing_but_what_it_copies_reaches_the_builder():
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    copied = {name for line in copies for name in line.split()}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.deploy
def test_container__is_configured_as_the_service_is_but_for_folders_address_and_cores():
    own, project = (flat(load(path, ServeConfig).model_dump()) for path in (CONTAINER, ROOT / "configs/serve.yaml"))
    assert own.keys() == project.keys()
    assert {key for key in own if own[key] != project[key]} == OWN, (
        f"{CONTAINER}: take over what configs/serve.yaml says"
    )


def test_compose__obeys_the_schema():
    code, said = checked(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert code == 0, said


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_compose__every_service_is_locked_in(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit"} <= service.keys()
    assert service["logging"] == {"driver": "local"}  # the usual one keeps lines until the disk is full
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"} & service.keys()


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_compose__every_mounted_file_is_there_and_cannot_be_written(service):
    for mount in service["volumes"]:
        if mount["type"] == "volume":
            assert mount["source"] in COMPOSE["volumes"]
        else:
            assert mount["read_only"] is True
            assert mount["source"] == "../serving" or (DEPLOY / mount["source"]).exists()


def test_compose__images_of_others_are_named_by_version():
    others = [service["image"] for service in SERVICES.values() if "build" not in service]
    assert all(re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", image) for image in others)


def test_compose__a_build_without_a_base_says_how_to_name_one():
    assert re.fullmatch(r"\$\{BASE:\?.*docs/deploying\.md\}", SERVICES["textgate"]["build"]["args"]["BASE"])


def test_compose__gives_what_the_configuration_counts_on():
    config, service = load(CONTAINER, ServeConfig), SERVICES["textgate"]
    mounts = {mount["target"]: mount for mount in service["volumes"]}
    assert service["cpus"] == config.batching.transformer.lanes == config.batching.ensemble.lanes
    assert service["ports"] == [f"127.0.0.1:8000:{config.listen.port}"]
    assert Path(config.models.champion).parent.as_posix() in mounts
    assert mounts[config.audit.folder]["type"] == "volume"
    grace = int(service["stop_grace_period"].removesuffix("s"))
    assert grace > config.listen.notice_seconds + config.listen.drain_seconds


def test_compose__grafana_has_no_password_to_guess():
    settings = SERVICES["grafana"]["environment"]
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert (settings["GF_AUTH_BASIC_ENABLED"], settings["GF_AUTH_DISABLE_LOGIN_FORM"]) == ("false", "true")
    assert "GF_AUTH_ANONYMOUS_ORG_ROLE" not in settings  # Viewer is what is left
