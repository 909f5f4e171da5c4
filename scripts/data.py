"""Read, clean, split and check the rows that configs/data.yaml names: build/data/ and build/data_docs/."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.config import CONFIGS, DataConfig, load
from textgate.data.data import prepare, summary, write
from textgate.errors import run
from textgate.records import BUILD


def main() -> None:
    argparse.ArgumentParser(description=__doc__, epilog="The report on them is build/data/data.json.").parse_args()
    config = CONFIGS / "data.yaml"
    prepared = prepare(load(config, DataConfig), config, BUILD / "data_docs")
    write(prepared, BUILD / "data")
    print(summary(prepared.report))


if __name__ == "__main__":
    sys.exit(run(main))
