"""Which registry is asked: what the file says, unless a variable says otherwise."""

import shutil

import pytest
from tests.project import EXAMPLE

from textgate.errors import CannotTell
from textgate.registry.chosen import chosen_registry
from textgate.registry.github import GitHubReleases
from textgate.registry.mlflow_registry import MlflowRegistry
from textgate.registry.mlflow_store import Store, store


def test_chosen_registry__is_what_the_file_says_unless_the_variable_says_otherwise(tmp_path, monkeypatch):
    configs = tmp_path / "configs"
    shutil.copytree(EXAMPLE, configs)
    monkeypatch.delenv("TEXTGATE_REGISTRY", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/model")
    assert isinstance(chosen_registry(configs), MlflowRegistry)
    monkeypatch.setenv("TEXTGATE_REGISTRY", "github")
    assert isinstance(chosen_registry(configs), GitHubReleases)
    monkeypatch.delenv("TEXTGATE_REGISTRY")
    (configs / "registry.yaml").write_text("kind: github\n")
    assert isinstance(chosen_registry(configs), GitHubReleases)
    monkeypatch.delenv("GITHUB_REPOSITORY")
    with pytest.raises(
        CannotTell, match=r"^kind in .*configs/registry\.yaml is github, so .* is '': set it to owner/name"
    ):
        chosen_registry(configs)
    (configs / "registry.yaml").write_text("kind: s3\n")
    with pytest.raises(CannotTell, match=r"registry\.yaml: kind: .*'mlflow'.*'github'"):
        chosen_registry(configs)
    for value in ("", "GitHub"):
        monkeypatch.setenv("TEXTGATE_REGISTRY", value)
        with pytest.raises(CannotTell, match=rf"TEXTGATE_REGISTRY is '{value}': set it to one of mlflow, github, or"):
            chosen_registry(configs)


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///", "sqlite:///?x=1", "sqlite:mlflow.db"])
def test_store__an_address_that_names_no_file_is_said(monkeypatch, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(CannotTell, match=r"which names no file: write it as sqlite:///mlflow\.db"):
        store()


def test_store__an_address_that_mlflow_does_not_know_is_one_line_without_its_password():
    registry = MlflowRegistry(Store("bogus://ann:secret@x", None))
    with pytest.raises(CannotTell, match="MLflow at bogus://x says: ") as caught:
        registry.current()
    assert "secret" not in str(caught.value)
