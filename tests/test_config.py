"""Each file under configs/valid is read, each under configs/invalid is refused in the words of its first line."""

from pathlib import Path

import pytest

from textgate.config import DataConfig, Experiment, Gates, TrainConfig, load
from textgate.errors import CannotTell

CASES = Path(__file__).parent / "configs"
KINDS = {"train": TrainConfig, "experiment": Experiment, "data": DataConfig, "gates": Gates}
SHIPPED = Path(__file__).parent.parent / "configs"


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


@pytest.mark.parametrize("path", files(SHIPPED / "experiments"))
def test_load__reads_every_shipped_experiment(path):
    assert load(path, Experiment).description


@pytest.mark.parametrize("name", ["train", "data", "gates"])
def test_load__reads_the_shipped(name):
    load(SHIPPED / f"{name}.yaml", KINDS[name])


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
