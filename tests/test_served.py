"""What is served is verified, vouched for, opened and asked before the first client; and it obeys the output schema."""

import asyncio
import os
import shutil
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.run_script import ROOT
from tests.served_example import config, counted, flip, make_version, started, versions
from tests.small import LABELS, seal_small

from textgate.bundle import digest
from textgate.errors import CannotTell, Refused
from textgate.models.processors import processors
from textgate.prediction import schema
from textgate.serve.models import Models
from textgate.serve.problems import Problem
from textgate.serve.served import open_served


@pytest.fixture
def fetched(tmp_path):
    return make_version(tmp_path / "versions", "v0.1.0")


# --- opening


def test_open_served__a_fetched_release_answers_under_its_version(fetched, tmp_path):
    flip(tmp_path / "link", fetched)
    for named in (fetched, tmp_path / "link"):
        served = open_served(named)
        assert (served.version, served.folder, served.bundle.digest) == ("v0.1.0", fetched, digest(fetched / "bundle"))
        assert served.labels == set(LABELS)


def test_open_served__a_plain_bundle_is_unreleased(bundle):
    served = open_served(bundle)
    assert (served.version, served.folder, served.bundle.digest) == ("unreleased", bundle, digest(bundle))


def test_answer__obeys_the_output_schema_and_says_what_is_unknown(fetched):
    known, unknown = open_served(fetched).answer(["snow and ice", "\u4e2d\u6587"])
    for scored in (known, unknown):
        jsonschema.validate(scored.prediction.model_dump(), schema())
    assert known.prediction.label == "north"
    assert (known.unknown_share < 0.5, unknown.unknown_share) == (True, 1)


def test_open_served__another_bundle_than_release_json_names_is_refused(fetched):
    (fetched / "bundle" / "note.txt").write_text("other")
    seal_small_again(fetched / "bundle")
    with pytest.raises(Refused, match=r"bundle has the digest \w+…, but \w+… was expected"):
        open_served(fetched)


def seal_small_again(bundle, **changes):
    (bundle / "manifest.json").unlink()
    return seal_small(bundle, **changes)


def test_open_served__an_altered_file_is_refused(fetched):
    (fetched / "bundle" / "tfidf.json").write_text("{}")
    with pytest.raises(Refused, match=r"tfidf\.json is not the file that was sealed"):
        open_served(fetched)


def test_open_served__what_nobody_vouches_for_is_refused_before_it_is_opened(bundle):
    (bundle / "modeling.py").write_text("print('hello')\n")
    (bundle / "tfidf.safetensors").write_bytes(b"junk")  # opening it would say something else
    seal_small_again(bundle)
    with pytest.raises(Refused, match=r"modeling\.py: is code"):
        open_served(bundle)


def test_open_served__a_model_that_gives_no_probabilities_is_refused(bundle):
    weights = {name: np.full_like(array, np.nan) for name, array in load_file(bundle / "tfidf.safetensors").items()}
    save_file(weights, bundle / "tfidf.safetensors")
    seal_small_again(bundle)
    with pytest.raises(Refused, match=r"asked something, the model fails: the model gave \[nan, nan\].*: do not serve"):
        open_served(bundle)


def test_open_served__other_labels_than_asked_for_are_refused(fetched):
    with pytest.raises(Refused, match=r"gives north, south, the champion east, north: compare models of the same"):
        open_served(fetched, labels=frozenset({"north", "east"}))


@pytest.mark.parametrize("kind", ["empty", "missing"])
def test_open_served__a_folder_without_a_bundle_is_unknown(tmp_path, kind):
    folder = tmp_path if kind == "empty" else tmp_path / "missing"
    with pytest.raises(CannotTell, match=r"manifest\.json, so it is not a bundle|is missing"):
        open_served(folder)


def test_open_served__the_model_that_is_loaded_is_not_opened_twice(fetched, tmp_path):
    served = open_served(fetched)
    again = shutil.copytree(fetched, tmp_path / "again")
    moved = open_served(again, served)
    assert moved.bundle is served.bundle
    assert moved.folder == again


def test_open_served__imports_nothing_that_the_service_does_not_install(fetched):
    script = (
        "import sys; from pathlib import Path; import textgate.serve.models; "
        "from textgate.serve.served import open_served\n"
        f"open_served(Path({str(fetched)!r})).answer(['snow'])\n"
        "heavy = ('torch', 'transformers', 'sklearn', 'scipy', 'mlflow', 'pandas', 'shap', 'onnx')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- the models of a service


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 300))


def test_start__answers_from_the_champion(fetched):
    async def test():
        models = Models(config(fetched))
        assert (models.ready(), models.loaded()) == (False, {})
        await models.start()
        assert models.ready()
        served = models.loaded()["champion"]
        answered = await models.predict(["snow and ice", "sand"], "somebody")
        assert (answered.variant, answered.version, answered.shadow) == ("champion", "v0.1.0", None)
        assert answered.digest == served.bundle.digest
        assert [one.label for one in answered.predictions] == ["north", "south"]
        assert list(answered.unknown_shares) == served.bundle.classifier.predict(["snow and ice", "sand"])[1]
        about = {"variant": "champion", "version": "v0.1.0", "digest": answered.digest, "kind": "tfidf"}
        assert counted("model_info", **about) == 1
        await models.stop()
        assert (models.ready(), counted("model_info", **about)) == (False, 0)
        with pytest.raises(Problem, match="no model is loaded"):
            await models.predict(["snow"], "somebody")

    run(test)


def test_start__a_bad_champion_is_refused(fetched, tmp_path):
    (fetched / "bundle" / "tfidf.json").write_text("{}")
    with pytest.raises(Refused, match="is not the file that was sealed"):
        run(Models(config(fetched)).start)
    with pytest.raises(CannotTell, match="is missing"):
        run(Models(config(tmp_path / "missing")).start)


def test_start__a_bad_challenger_never_stops_the_champion(fetched, tmp_path, caplog):
    bad = make_version(tmp_path / "versions", "v0.2.0")
    (bad / "bundle" / "tfidf.json").write_text("{}")
    refused = counted("reloads_total", variant="challenger", outcome="refused")

    async def test():
        for challenger in (bad, tmp_path / "missing"):
            async with started(config(fetched, challenger, ("split", 1.0))) as models:
                assert versions(models) == {"champion": "v0.1.0"}
                assert (await models.predict(["snow"], "somebody")).variant == "champion"

    run(test)
    assert counted("reloads_total", variant="challenger", outcome="refused") == refused + 1
    assert "challenger: another model was not taken: " in caplog.text


def test_stop__what_was_accepted_is_answered_first(fetched):
    async def test():
        async with started(config(fetched)) as models:
            asked = [asyncio.create_task(models.predict(["x" * 200_000, "snow"], str(unit))) for unit in range(3)]
            await asyncio.sleep(0)
            await models.stop()
            assert not models.ready()
            found = await asyncio.gather(*asked)
        assert [len(answered.predictions) for answered in found] == [2, 2, 2]

    run(test)


# --- processors


@pytest.mark.parametrize("quota", ["100000 100000", "150000 100000", "50000 100000"])
def test_processors__a_containers_quota_counts_and_one_is_the_least(tmp_path, quota):
    (tmp_path / "cpu.max").write_text(quota)
    assert processors(tmp_path / "cpu.max") == 1


@pytest.mark.parametrize("quota", ["max 100000", "", "100 0", "9900000 100000", "junk"])
def test_processors__without_a_quota_the_affinity_counts(tmp_path, quota):
    (tmp_path / "cpu.max").write_text(quota)
    assert processors(tmp_path / "cpu.max") == processors(tmp_path / "none") == len(os.sched_getaffinity(0))
