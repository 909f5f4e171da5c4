"""Build the assets of a release from judged evidence, under the next free version or the one of a tag."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.config import CONFIGS, ReleaseConfig, load
from textgate.errors import run
from textgate.github.api import output, repository
from textgate.records import BUILD
from textgate.registry.github import GitHubReleases
from textgate.release.release import NEXT, release_from


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tag", default=NEXT, help="the version, vX.Y.Z (default: %(default)s, the next one of configs/release.yaml)"
    )
    parser.add_argument("--from", dest="judged", type=Path, default=BUILD, help="the evidence (default: %(default)s)")
    parser.add_argument("--to", type=Path, default=BUILD / "release", help="where to (default: %(default)s)")
    options = parser.parse_args()
    series = load(CONFIGS / "release.yaml", ReleaseConfig).series
    made = release_from(options.judged, options.to, GitHubReleases(repository()), series, options.tag)
    print(made.sentence)
    for name in ("version", "digest", "state"):
        output(name, getattr(made, name))


if __name__ == "__main__":
    sys.exit(run(main))
