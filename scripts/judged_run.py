"""Find the run that judged the commit of a tag; a commit that was never judged is refused."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.github.api import output, repository
from textgate.release.judged_run import judged_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    pushed = os.environ.get("GITHUB_REF_NAME", "")
    parser.add_argument("--tag", default=pushed, help="the tag, vX.Y.Z (default: the one that was pushed)")
    tag = parser.parse_args().tag
    run_id, commit = judged_run(repository(), tag)
    print(f"{tag} is on commit {commit[:12]}, which run {run_id} judged")
    output("run_id", str(run_id))
    output("commit", commit)


if __name__ == "__main__":
    sys.exit(run(main))
