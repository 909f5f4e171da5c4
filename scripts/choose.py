"""Write down what this run is about: build/choice.json (experiment), champion.json and source.json (your files)."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate import records
from textgate.choose import choose, chosen_before, find_champion
from textgate.config import CONFIGS, DataConfig, load
from textgate.data.sources import source_files
from textgate.errors import run
from textgate.registry.champion import champion_folder
from textgate.registry.chosen import chosen_registry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", help="a file name under configs/experiments (default: what train.yaml says)")
    parser.add_argument("--champion", help="folder of the production bundle, or none (default: ask the registry)")
    parser.add_argument("--again", action="store_true", help="where neither is named, keep what was chosen before")
    arguments = parser.parse_args()
    experiment, before = chosen_before(records.BUILD) if arguments.again else (None, None)
    choice = choose(experiment if arguments.experiment is None else arguments.experiment)
    named = before if arguments.champion is None else arguments.champion
    champion = find_champion(champion_folder(chosen_registry()) if named is None else named)
    records.write(records.BUILD / "source.json", source_files(load(CONFIGS / "data.yaml", DataConfig)))
    records.write(records.BUILD / "choice.json", choice)
    records.write(records.BUILD / "champion.json", champion)
    print(f"experiment {choice.train.experiment}, production model: {champion.name or champion.state}")


if __name__ == "__main__":
    sys.exit(run(main))
