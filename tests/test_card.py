"""The model card: figures from evidence, words from configs/card.yaml, nothing typed twice."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from tests.evidence_examples import BUNDLE, DATA, LABELS, data_report, example, sha, write_all
from tests.project import EXAMPLE, ROOT

from textgate import bundle
from textgate.config import CONFIGS, DataConfig, Experiment, HubSource, Tfidf, load
from textgate.errors import CannotTell, Refused
from textgate.report.card import END, START, CardWords, read_origin, readme, with_block
from textgate.report.found import FILES, Found

WORDS = load(EXAMPLE / "card.yaml", CardWords)
CONFIG = load(EXAMPLE / "data.yaml", DataConfig)
CARD = f"# Mine\n\n{START}\nreplaced\n{END}\n\nafter\n"


def built(build: Path, found: Found | None = None, labels: tuple[str, ...] = LABELS) -> Path:
    """Seal a small bundle and write evidence about it; returns build."""
    model = build / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}", encoding="utf-8")
    linear = Experiment(description="", model=Tfidf(kind="tfidf", min_n=2, max_n=5, min_df=2, c=1.0))
    digest = bundle.seal(
        model,
        kind="ensemble",
        labels=labels,
        experiment="003_ensemble",
        config=linear,
        parts=(linear,),
        seed=13,
        data_fingerprint=DATA,
        commit="a1b2c3d",
        lock_sha256=sha("lock"),
        versions={},
        reference=data_report().reference,
    )
    write_all(found or example(labels), build)
    for name in ("train", "metrics", "gate"):
        path = build / FILES[name][0]
        path.write_text(path.read_text(encoding="utf-8").replace(BUNDLE, digest), encoding="utf-8")
    return build


def test_readme__has_front_matter_that_the_hub_understands(tmp_path):
    card = ModelCard(readme(WORDS, read_origin(built(tmp_path)), CONFIG))
    data = card.data
    assert data.license == "apache-2.0"
    assert data.pipeline_tag == "text-classification"
    assert data.tags == ["text-classification", "textgate", "ensemble", "tfidf"]
    assert data.metrics == ["accuracy", "f1"]
    assert data.get("datasets") is None
    found = {(r.dataset_split, r.metric_name): r.metric_value for r in data.eval_results}
    assert set(found) == {("test", "accuracy"), ("test", "macro-F1"), ("external", "accuracy")}
    assert found["test", "accuracy"] == pytest.approx(0.958, abs=5e-4)
    assert {r.dataset_split: r.dataset_name for r in data.eval_results} == {
        "test": "wheel homeassistant==2024.3.3",
        "external": "django==5.2.19",
    }
    assert {result.dataset_revision for result in data.eval_results} == {DATA}


def test_readme__names_the_data_set_only_if_it_is_on_the_hub(tmp_path):
    hub = HubSource(kind="hub", dataset="owner/name", revision="a" * 40, files=("a.jsonl",), licence="mit")
    card = ModelCard(readme(WORDS, read_origin(built(tmp_path)), CONFIG.model_copy(update={"source": hub})))
    assert card.data.datasets == ["owner/name"]


def test_readme__shows_figures_with_intervals_and_the_persons_words(tmp_path):
    shown = readme(WORDS, read_origin(built(tmp_path)), CONFIG)
    for words in (
        "# Danish, Bokmål or Swedish",
        WORDS.intended_use[0],
        "## Ethics",
        "| accuracy | 0.958 (0.948 to 0.968) | 0.972 |",
        "| F1 `da` |",
        "Weakest label: `da` with F1",
        "| `da` | 2,066 |",
        "· licence `Apache-2.0`",
        "textgate passed this model: every check holds.",
    ):
        assert words in shown


def test_readme__says_that_nothing_is_known_about_rows_from_elsewhere(tmp_path):
    found = example()
    assert found.metrics is not None
    alone = tuple(model.model_copy(update={"external": None}) for model in found.metrics.models)
    metrics = found.metrics.model_copy(update={"models": alone})
    shown = readme(WORDS, read_origin(built(tmp_path, replace(found, metrics=metrics))), CONFIG)
    assert "It was not tested on rows from another source." in shown
    assert "external rows" not in shown


def test_readme__foreign_text_changes_neither_front_matter_nor_markup(tmp_path):
    evil = ("---\nlicense: evil\n---", "<script>x</script> | @all", f"{END}")
    data = data_report(evil).model_copy(update={"source": "x\n---\nlicense: evil # é", "licence": "[a](http://b)"})
    shown = readme(WORDS, read_origin(built(tmp_path, replace(example(evil), data=data), evil)), CONFIG)
    front = yaml.safe_load(shown.split("---\n")[1].removesuffix("---"))
    assert front["license"] == "apache-2.0"
    assert front["model-index"][0]["results"][0]["dataset"]["type"] == "x-license-evil"
    assert "`[a](http://b)`" in shown
    assert "`<script>x</script> ¦ @all`" in shown


def test_with_block__replaces_only_what_stands_between_the_markers(tmp_path):
    origin = read_origin(built(tmp_path))
    once = with_block(CARD, WORDS, origin, Path("MODEL_CARD.md"))
    assert once.startswith(f"# Mine\n\n{START}\n\n{WORDS.summary}\n")
    assert once.endswith(f"{END}\n\nafter\n")
    assert "replaced" not in once
    assert with_block(once, WORDS, origin, Path("MODEL_CARD.md")) == once


def test_with_block__a_label_that_looks_like_a_marker_is_none(tmp_path):
    labels = (START, END, "da")
    origin = read_origin(built(tmp_path, labels=labels))
    once = with_block(CARD, WORDS, origin, Path("MODEL_CARD.md"))
    assert with_block(once, WORDS, origin, Path("MODEL_CARD.md")) == once


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("", f"MODEL_CARD.md: the line {START} is missing: keep one of it, where the figures begin or end"),
        (f"{START}\n", f"MODEL_CARD.md: the line {END} is missing: keep one of it, where the figures begin or end"),
        (f"{START}\n{START}\n{END}\n", f"MODEL_CARD.md: the line {START} stands there 2 times: keep one of it"),
        (f"{END}\n{START}\n", f"MODEL_CARD.md: {END} stands before {START}: swap these two lines"),
        (f"a {START}\n{END}\n", f"MODEL_CARD.md: the line {START} is missing"),
    ],
)
def test_with_block__refuses_a_card_whose_markers_are_not_in_place(tmp_path, card, message):
    with pytest.raises(Refused) as error:
        with_block(card, WORDS, read_origin(built(tmp_path)), Path("MODEL_CARD.md"))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", ["data", "train", "metrics", "gate"])
def test_read_origin__cannot_tell_without_a_piece_of_evidence(tmp_path, name):
    file, _, stage = FILES[name]
    (built(tmp_path) / file).unlink()
    with pytest.raises(CannotTell, match=rf'{file} is missing: run "make {stage}" first'):
        read_origin(tmp_path)


@pytest.mark.parametrize(("name", "stage"), [("train", "train"), ("metrics", "evaluate"), ("gate", "gate")])
def test_read_origin__cannot_tell_from_evidence_about_another_bundle(tmp_path, name, stage):
    path = built(tmp_path) / FILES[name][0]
    other = path.read_text(encoding="utf-8").replace(bundle.digest(tmp_path / "model"), sha("x"))
    path.write_text(other, encoding="utf-8")
    with pytest.raises(CannotTell, match=f'what {stage} found is not about the bundle .* run "make {stage}" again'):
        read_origin(tmp_path)


def test_read_origin__refuses_an_altered_bundle(tmp_path):
    (built(tmp_path) / "model" / "config.json").write_text("{ }", encoding="utf-8")
    with pytest.raises(Refused, match=r"config\.json is not the file that was sealed"):
        read_origin(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owner:", "ownr:", "ownr: unknown key (known: name, owner, licence, summary"),
        ("licence: apache-2.0", "licence: Apache 2", "licence: String should match pattern"),
        ("licence: apache-2.0\n", "", "licence: this key is missing"),
    ],
)
def test_card_words__a_wrong_key_or_value_is_named(tmp_path, old, new, message):
    path = tmp_path / "card.yaml"
    path.write_text((EXAMPLE / "card.yaml").read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(CannotTell) as error:
        load(path, CardWords)
    assert str(error.value).startswith(f"{path}: {message}")


def script(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "card.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False)


def test_script__writes_both_cards_without_changing_the_bundle(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / CONFIGS)
    shutil.copy(ROOT / "MODEL_CARD.md", tmp_path)
    before = bundle.digest(built(tmp_path / "build") / "model")
    done = script(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "card: MODEL_CARD.md and build/model/README.md\n"
    assert "## Figures" in (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")
    hub = (tmp_path / "build" / "model" / "README.md").read_text(encoding="utf-8")
    assert hub.startswith("---\nlicense: apache-2.0\n")
    assert bundle.digest(tmp_path / "build" / "model") == before
    bundle.verify(tmp_path / "build" / "model", before)


def test_script__with_markers_missing_writes_nothing_and_says_what_to_add(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / CONFIGS)
    (tmp_path / "MODEL_CARD.md").write_text("# Mine\n", encoding="utf-8")
    built(tmp_path / "build")
    done = script(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"refused: MODEL_CARD.md: the line {START} is missing")
    assert not (tmp_path / "build" / "model" / "README.md").exists()
    assert (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8") == "# Mine\n"


def test_script__without_a_model_cannot_tell(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / CONFIGS)
    done = script(tmp_path)
    assert done.returncode == 2
    assert done.stderr == 'cannot tell: build/model is missing: run "make train" first, or name a bundle folder\n'
