"""Check a release offline, link by link: list, signature, commit, data, bundle, scan, tests, gate, materials, card."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.config import CONFIGS, load
from textgate.errors import run
from textgate.records import EXIT_CODES
from textgate.registry.fetched import as_assets
from textgate.release.settings import ReleaseConfig
from textgate.release.verify import outcome, verify


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the assets of a release: as built, downloaded, fetched or copied")
    folder = parser.parse_args().folder
    with as_assets(folder) as assets:
        links = verify(assets, load(CONFIGS / "release.yaml", ReleaseConfig).signing)
    for link in links:
        print(link.line())
    found = outcome(links)
    print(f"the release in {folder}: {found}")
    return EXIT_CODES[found]


if __name__ == "__main__":
    sys.exit(run(main))
