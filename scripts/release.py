"""Build the assets of a release from judged evidence: as a version, of a tag, or as the next free version."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.config import CONFIGS, load
from textgate.errors import run
from textgate.github.api import output
from textgate.records import BUILD
from textgate.release.commands import release_for_person, release_for_workflow
from textgate.release.release import NEXT
from textgate.release.settings import ReleaseConfig
from textgate.release.sign import signer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--version", help="X.Y.Z, named by a person; asks the registry of configs/registry.yaml")
    how.add_argument("--tag", default=NEXT, help="vX.Y.Z, a tag on GitHub (default: %(default)s of the series)")
    parser.add_argument(
        "--signing-key", type=Path, help="the private key of what configs/release.yaml names under signing (PEM)"
    )
    parser.add_argument("--from", dest="judged", type=Path, default=BUILD, help="the evidence (default: %(default)s)")
    parser.add_argument("--to", type=Path, default=BUILD / "release", help="where to (default: %(default)s)")
    options = parser.parse_args()
    config = load(CONFIGS / "release.yaml", ReleaseConfig)
    by = signer(options.signing_key, config)
    if options.version is not None:
        made = release_for_person(options.judged, options.to, options.version, by)
    else:
        made = release_for_workflow(options.judged, options.to, config.series, options.tag, by)
    print(made.sentence)
    for name in ("version", "digest", "state"):
        output(name, getattr(made, name))


if __name__ == "__main__":
    sys.exit(run(main))
