"""A smoke test opens what was released, asks it, and refuses what does not answer as promised."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.judged_example import OTHER, judge
from tests.project import EXAMPLE
from tests.run_script import finished, run_script
from tests.small import LABELS, seal_small

from textgate.bundle import digest
from textgate.errors import CannotTell, Refused
from textgate.registry.fetched import settle
from textgate.release.assets import check
from textgate.release.release import build
from textgate.smoke import ODD, smoke


@pytest.fixture
def release(bundle, tmp_path):
    """Return a folder of release assets."""
    build(judge(bundle, tmp_path / "build"), tmp_path / "release", "v0.1.0")
    return tmp_path / "release"


@pytest.fixture
def fetched(release, tmp_path):
    """Return a folder as a registry leaves it."""
    settle(shutil.copytree(release, tmp_path / "assets"), check(release), tmp_path / "fetched")
    return tmp_path / "fetched"


@pytest.fixture
def configs(tmp_path):
    """Return configs whose plain sentences fit the labels of the small bundle."""
    folder = shutil.copytree(EXAMPLE, tmp_path / "configs")
    sentences = folder / "sentences.yaml"
    sentences.write_text("north: [snow and ice near the fjord]\nsouth: [sand and heat on the dune]\n")
    data = folder / "data.yaml"
    data.write_text(data.read_text().replace("sentences: configs/sentences.yaml", f"sentences: {sentences}"))
    assert str(sentences) in data.read_text()
    return folder


def reseal(bundle):
    (bundle / "manifest.json").unlink()
    seal_small(bundle)


def test_smoke__a_release_as_it_was_built_answers_under_its_version(release, configs):
    found = smoke(release, configs)
    assert found.startswith("v0.1.0 answers: south (")
    assert f" to 'sand and heat on the dune'; {len(ODD) + 2} texts, " in found


def test_smoke__a_fetched_release_answers_under_its_version(fetched, configs):
    assert smoke(fetched, configs).startswith("v0.1.0 answers: south (")


@pytest.mark.parametrize("kind", ["release", "fetched"])
def test_smoke__another_version_than_is_asked_for_is_refused(kind, configs, request):
    folder = request.getfixturevalue(kind)
    assert smoke(folder, configs, "v0.1.0").startswith("v0.1.0 answers")
    with pytest.raises(Refused, match=r"holds v0\.1\.0, not v0\.1\.1: see which version is in production"):
        smoke(folder, configs, "v0.1.1")


def test_smoke__a_plain_bundle_is_no_version(bundle, configs):
    with pytest.raises(Refused, match=r"holds no release, not v0\.1\.0"):
        smoke(bundle, configs, "v0.1.0")


def test_smoke__a_plain_bundle_answers_under_its_digest(bundle, configs):
    assert smoke(bundle, configs).startswith(f"bundle {digest(bundle)[:12]} answers: south")


def test_smoke__sentences_for_other_labels_are_not_asked(bundle):
    assert f"; {len(ODD)} texts, " in smoke(bundle, EXAMPLE)


def test_smoke__a_changed_asset_is_refused(release, configs):
    (release / "gate.json").write_text("{}")
    with pytest.raises(Refused, match=r"gate\.json is not the file that SHA256SUMS lists"):
        smoke(release, configs)


def test_smoke__another_bundle_beside_release_json_is_refused(fetched, configs):
    (fetched / "bundle" / "note.txt").write_text("hello")
    reseal(fetched / "bundle")
    with pytest.raises(Refused, match=r"bundle has the digest \w+…, but \w+… was expected"):
        smoke(fetched, configs)


def test_smoke__a_release_json_with_another_digest_is_refused(fetched, configs):
    path = fetched / "release.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bundle_digest": OTHER}))
    with pytest.raises(Refused, match=rf"but {OTHER[:12]}… was expected"):
        smoke(fetched, configs)


def test_smoke__what_nobody_vouches_for_is_refused_though_it_was_sealed(bundle, configs):
    (bundle / "modeling.py").write_text("print('hello')\n")
    reseal(bundle)
    with pytest.raises(Refused, match=r"modeling\.py: is code"):
        smoke(bundle, configs)


def test_smoke__a_model_that_answers_no_probabilities_is_refused(bundle, configs):
    weights = {name: np.full_like(array, np.nan) for name, array in load_file(bundle / "tfidf.safetensors").items()}
    save_file(weights, bundle / "tfidf.safetensors")
    reseal(bundle)
    with pytest.raises(
        Refused, match=r"bundle \w{12}: asked nothing, it fails: the model gave \[nan, nan\], .*: do not serve it"
    ):
        smoke(bundle, configs)


def test_smoke__a_model_for_other_labels_than_its_manifest_says_is_refused(bundle, configs):
    (bundle / "manifest.json").unlink()
    seal_small(bundle, labels=(*LABELS, "east"))
    with pytest.raises(Refused, match=r"cannot be opened: weights of shape .* do not fit 3 labels"):
        smoke(bundle, configs)


def test_smoke__an_empty_folder_is_unknown(tmp_path, configs):
    with pytest.raises(CannotTell, match=r"has no manifest\.json, so it is not a bundle"):
        smoke(tmp_path, configs)


def test_script__says_one_line_and_ends_with_the_outcome(fetched):
    code, out, err = finished(run_script("smoke", fetched))
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert out.startswith("v0.1.0 answers: ")
    (fetched / "bundle" / "tfidf.json").write_text("{}")
    code, out, err = finished(run_script("smoke", fetched))
    assert (code, out) == (1, "")
    assert err.startswith("refused: ")
    assert err.count("\n") == 1
