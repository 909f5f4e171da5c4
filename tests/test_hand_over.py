"""What leaves a run is evidence alone, under fixed names."""

from textgate.github.hand_over import FILES, hand_over
from textgate.pipeline import STAGES


def test_hand_over__copies_what_there_is_and_nothing_else(tmp_path):
    for place in ("gate.json", "data/data.json", "stages/train.json", "champion.json", "model/manifest.json"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(place, encoding="utf-8")
    to = tmp_path / "evidence"
    assert set(hand_over(tmp_path, to)) == {"gate.json", "data.json", "stages-train.json"}
    assert {path.name: path.read_text(encoding="utf-8") for path in to.iterdir()} == {
        "gate.json": "gate.json",
        "data.json": "data/data.json",
        "stages-train.json": "stages/train.json",
    }


def test_hand_over__leaves_nothing_of_an_earlier_run(tmp_path):
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/gate.json").write_text("old", encoding="utf-8")
    assert hand_over(tmp_path, tmp_path / "evidence") == ()
    assert list((tmp_path / "evidence").iterdir()) == []


def test_hand_over__follows_no_link(tmp_path):
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (tmp_path / "gate.json").symlink_to(tmp_path / "secret")
    assert hand_over(tmp_path, tmp_path / "evidence") == ()


def test_hand_over__knows_every_stage():
    assert {f"stages-{stage.name}.json" for stage in STAGES} <= set(FILES)
