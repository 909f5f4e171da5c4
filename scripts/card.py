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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=BUILD, help="the folder with the evidence (default: build)")
    parser.add_argument("--card", type=Path, default=Path("MODEL_CARD.md"), help="the card with the two markers")
    options = parser.parse_args()
    words, config = load(CONFIGS / "card.yaml", CardWords), load(CONFIGS / "data.yaml", DataConfig)
    origin = read_origin(options.build)
    before = read_text(options.card, "restore it with git, or write one with the two textgate:card markers")
    card = with_block(before, words, origin, options.card)
    write_text(options.build / "model" / CARD, readme(words, origin, config))
    write_text(options.card, card)
    print(f"card: {options.card} and {options.build / 'model' / CARD}")


if __name__ == "__main__":
    sys.exit(run(main))
