"""Write the model card, build/model/README.md and the block in MODEL_CARD.md, from evidence and configs/card.yaml."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.bundle import CARD
from textgate.config import CONFIGS, DataConfig, load
from textgate.errors import run
from textgate.files import read_text, write_text
from textgate.records import BUILD
from textgate.report.card import CardWords, read_origin, readme, with_block

MODEL_CARD = Path("MODEL_CARD.md")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    words, config = load(CONFIGS / "card.yaml", CardWords), load(CONFIGS / "data.yaml", DataConfig)
    origin = read_origin(BUILD)
    before = read_text(MODEL_CARD, "restore it with git, or write one with the two textgate:card markers")
    card = with_block(before, words, origin, MODEL_CARD)
    write_text(BUILD / "model" / CARD, readme(words, origin, config))
    write_text(MODEL_CARD, card)
    print(f"card: {MODEL_CARD} and {BUILD / 'model' / CARD}")


if __name__ == "__main__":
    sys.exit(run(main))
