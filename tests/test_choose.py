"""A choice is resolved whole before anything runs, and says what it knows when a name is wrong."""

import shutil
from pathlib import Path

import pytest
from tests.project import EXAMPLE
from tests.small import seal_small

from textgate import records
from textgate.bundle import digest
from textgate.choose import Choice, choose, chosen_before, find_champion
from textgate.errors import CannotTell, Refused
from textgate.evidence import Release

ENSEMBLE = "description: x\nmodel: {{kind: ensemble, parts: [{}, {}]}}\n"


@pytest.fixture
def configs(tmp_path):
    """Return configs that are free to be edited."""
    return shutil.copytree(EXAMPLE, tmp_path / "configs")


def edit(configs, old, new):
    text = (configs / "train.yaml").read_text(encoding="utf-8")
    assert old in text
    (configs / "train.yaml").write_text(text.replace(old, new), encoding="utf-8")


def test_choose__takes_what_train_yaml_says_and_the_parts_of_an_ensemble(configs):
    found = choose(None, configs)
    assert found.train.experiment == "003_ensemble"
    assert set(found.experiments) == {"001_baseline", "002_transformer", "003_ensemble"}
    assert found.experiments[found.train.experiment].model.kind == "ensemble"


def test_choose__another_experiment_changes_nothing_else(configs):
    found = choose("001_baseline", configs)
    assert found.train == choose(None, configs).train.model_copy(update={"experiment": "001_baseline"})
    assert set(found.experiments) == {"001_baseline"}


def test_choose__a_comment_changes_nothing_and_is_written_as_the_same_bytes(configs, tmp_path):
    records.write(tmp_path / "one.json", choose(None, configs))
    edit(configs, "seed: 13", "# another comment\nseed: 13")
    records.write(tmp_path / "two.json", choose(None, configs))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert records.read(tmp_path / "one.json", Choice, "choose") == choose(None, configs)


@pytest.mark.parametrize(
    "name", ["004_none", "../train", "../experiments/001_baseline", "001_baseline.yaml", "a b", "\x00"]
)
def test_choose__an_unknown_experiment_is_told_the_known_ones(configs, name):
    with pytest.raises(CannotTell) as caught:
        choose(name, configs)
    assert f"{name}.yaml does not exist (known: 001_baseline, 002_transformer, 003_ensemble" in str(caught.value)
    assert str(caught.value).endswith("name one of them, or write it")


def test_choose__a_part_that_does_not_exist_is_named(configs):
    (configs / "experiments" / "mine.yaml").write_text(ENSEMBLE.format("001_baseline", "gone"))
    with pytest.raises(CannotTell, match=r"gone\.yaml does not exist"):
        choose("mine", configs)


def test_choose__the_baseline_must_be_tfidf(configs):
    edit(configs, "baseline: 001_baseline", "baseline: 002_transformer")
    with pytest.raises(CannotTell, match="baseline 002_transformer is not of kind tfidf: name one that is"):
        choose(None, configs)


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [(("001_baseline", "001_baseline"), "tfidf, tfidf"), (("001_baseline", "003_ensemble"), "tfidf, ensemble")],
)
def test_choose__parts_must_be_of_two_plain_kinds(configs, parts, kinds):
    (configs / "experiments" / "mine.yaml").write_text(ENSEMBLE.format(*parts))
    with pytest.raises(CannotTell, match=f"experiment mine: parts must be of two plain kinds, not {kinds}"):
        choose("mine", configs)


def test_find_champion__none_is_said_as_a_state():
    assert find_champion("none").state == "none yet"


def test_find_champion__an_empty_name_is_no_statement():
    with pytest.raises(CannotTell, match="the champion's name is empty: name the folder"):
        find_champion("")


def test_find_champion__a_bundle_is_named_by_its_digest(bundle):
    found = find_champion(str(bundle))
    assert (found.state, found.name, found.digest) == ("given", "small", digest(bundle))
    assert Path(found.path) == bundle.resolve()


def test_find_champion__an_altered_bundle_is_refused(bundle):
    (bundle / "tfidf.json").write_text("{}")
    with pytest.raises(Refused, match=r"tfidf\.json is not the file that was sealed"):
        find_champion(str(bundle))


def test_find_champion__a_folder_that_is_missing_is_not_taken_for_none_yet(tmp_path):
    with pytest.raises(CannotTell, match="nowhere is missing"):
        find_champion(str(tmp_path / "nowhere"))


def test_find_champion__the_run_would_overwrite_its_own_output(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    bundle.rename(tmp_path / "build" / "model")
    with pytest.raises(CannotTell, match="is what this run writes: copy it elsewhere"):
        find_champion("build/model")


@pytest.fixture
def fetched(bundle, tmp_path):
    """Return a folder as a registry leaves it."""
    folder = tmp_path / "champion"
    shutil.copytree(bundle, folder / "bundle")
    released = Release(
        version="v1.3.0",
        bundle_digest=digest(bundle),
        data_fingerprint="0" * 64,
        experiment="small",
        commit="none",
        judged_commit="c" * 40,
    )
    records.write(folder / "release.json", released)
    return folder


def test_find_champion__a_release_is_named_by_its_version(fetched):
    found = find_champion(str(fetched))
    assert (found.state, found.name, found.digest) == ("given", "v1.3.0", digest(fetched / "bundle"))
    assert Path(found.path) == (fetched / "bundle").resolve()


def test_find_champion__a_sealed_bundle_that_is_not_the_released_one_is_refused(fetched):
    (fetched / "bundle" / "note.txt").write_text("hello")
    (fetched / "bundle" / "manifest.json").unlink()
    seal_small(fetched / "bundle")
    with pytest.raises(Refused, match=r"bundle has the digest \w+…, but \w+… was expected"):
        find_champion(str(fetched))


def test_find_champion__a_release_without_its_bundle_is_not_taken_for_none_yet(fetched):
    shutil.rmtree(fetched / "bundle")
    with pytest.raises(CannotTell, match="bundle is missing"):
        find_champion(str(fetched))


@pytest.mark.parametrize("content", ["", "{}", '{"version": "latest"}', "[" * 100_000])
def test_find_champion__a_release_json_that_is_none_is_said(fetched, content):
    (fetched / "release.json").write_text(content)
    with pytest.raises(CannotTell, match=r"release\.json is not what a registry leaves there: fetch the release again"):
        find_champion(str(fetched))


def test_chosen_before__a_release_keeps_its_version_when_it_is_chosen_again(fetched, tmp_path):
    records.write(tmp_path / "champion.json", find_champion(str(fetched)))
    _, named = chosen_before(tmp_path)
    assert find_champion(named) == find_champion(str(fetched))


def test_chosen_before__is_kept_until_something_else_is_named(configs, tmp_path, bundle):
    assert chosen_before(tmp_path) == (None, None)
    records.write(tmp_path / "choice.json", choose("001_baseline", configs))
    records.write(tmp_path / "champion.json", find_champion(str(bundle)))
    assert chosen_before(tmp_path) == ("001_baseline", str(bundle.resolve()))
