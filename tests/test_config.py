"""Each file under configs/valid is read, each under configs/invalid is refused in the words of its first line."""

from functools import partial
from pathlib import Path

import pytest
from tests.project import EXAMPLE, ROOT

from textgate.batch.settings import BatchConfig
from textgate.config import CONFIGS, DataConfig, Experiment, Gates, TrainConfig, load
from textgate.data.expectations import load_suite
from textgate.errors import CannotTell
from textgate.experiments.grid import SweepConfig
from textgate.registry.chosen import RegistryConfig
from textgate.release.settings import ReleaseConfig
from textgate.report.card import CardWords
from textgate.serve.settings import ServeConfig

CASES = Path(__file__).parent / "configs"
KINDS = {"train": TrainConfig, "experiment": Experiment, "data": DataConfig, "gates": Gates}
# repository.yaml is read in test_setup_repository.py, because nobody has decided yet; sentences in test_model_tests.py.
MORE = {
    "batch": BatchConfig,
    "card": CardWords,
    "registry": RegistryConfig,
    "release": ReleaseConfig,
    "serve": ServeConfig,
    "sweep": SweepConfig,
}


def kind_of(path):
    return KINDS[path.stem.partition("-")[0]]


def files(folder):
    return [pytest.param(path, id=path.stem) for path in sorted(folder.glob("*.yaml"))]


@pytest.mark.parametrize("path", files(CASES / "valid"))
def test_load__reads(path):
    assert isinstance(load(path, kind_of(path)), kind_of(path))


@pytest.mark.parametrize("path", files(CASES / "invalid"))
def test_load__refuses_in_one_line_that_names_file_and_key(path):
    expected = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    with pytest.raises(CannotTell) as caught:
        load(path, kind_of(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: {expected}")
    assert "\n" not in message
    assert len(message) < 500 + len(str(path))


@pytest.mark.parametrize("path", files(ROOT / CONFIGS / "experiments") + files(EXAMPLE / "experiments"))
def test_load__reads_every_experiment(path):
    assert load(path, Experiment).description


@pytest.mark.parametrize("name", ["data", "gates", "train", *MORE, "expectations"])
@pytest.mark.parametrize("folder", [ROOT / CONFIGS, EXAMPLE])
def test_load__reads_what_lies_in_configs_and_what_tests_run_with(folder, name):
    path = folder / f"{name}.yaml"
    read = load_suite if name == "expectations" else partial(load, kind=(KINDS | MORE)[name])
    assert not path.exists() or read(path)


def test_load__numbers_lists_and_unions_arrive_as_their_types():
    hub = load(CASES / "valid" / "experiment-hub.yaml", Experiment).model
    assert (hub.kind, hub.learning_rate, hub.base.kind) == ("transformer", 4e-4, "hub")
    assert load(CASES / "valid" / "data-file.yaml", DataConfig).labels == ("yes", "no")
    assert load(CASES / "valid" / "gates-whole-number.yaml", Gates).max_p95_ms == 500


def test_load__a_missing_file_is_said_with_what_to_do(tmp_path):
    with pytest.raises(CannotTell, match=r"gates\.yaml is missing: write it, or restore it with git"):
        load(tmp_path / "gates.yaml", Gates)


def test_load__bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "gates.yaml").write_bytes(b"min_accuracy: \xff")
    with pytest.raises(CannotTell, match=r"gates\.yaml: byte 14 is not UTF-8"):
        load(tmp_path / "gates.yaml", Gates)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b""])
def test_load__a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path, content):
    good = (CASES / "valid" / "gates-whole-number.yaml").read_bytes()
    (tmp_path / "gates.yaml").write_bytes(content + good.replace(b"\n", b"\r\n"))
    assert load(tmp_path / "gates.yaml", Gates) == load(CASES / "valid" / "gates-whole-number.yaml", Gates)
