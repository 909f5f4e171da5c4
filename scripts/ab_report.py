"""Compare challenger and champion by the audit log, and by labels if there are any: build/ab-report.md, ab.json."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.ab.labels import read_labels
from textgate.ab.report import report
from textgate.ab.show import blocks, print_report
from textgate.ab.window import moment
from textgate.config import CONFIGS, Gates, load
from textgate.errors import run
from textgate.files import write_text
from textgate.records import BUILD, write
from textgate.report.document import to_markdown
from textgate.serve.settings import ServeConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, metavar="FILE", help="CSV or JSONL: request_id, label, and number")
    parser.add_argument(
        "--since", type=moment, default="1970-01-01", metavar="TIME", help="such as 2026-11-21T12:00 (UTC)"
    )
    options = parser.parse_args()
    config = load(CONFIGS / "serve.yaml", ServeConfig)
    share = config.split.share if config.split.kind == "split" else None  # a shadow has no share to check
    margin = load(CONFIGS / "gates.yaml", Gates).against_champion.accuracy_margin
    truth = read_labels(options.labels) if options.labels else {}
    found = report(Path(config.audit.folder), config.split.by, share, margin, truth, options.since)
    write(BUILD / "ab.json", found)
    write_text(BUILD / "ab-report.md", to_markdown(blocks(found)))
    print_report(blocks(found))
    print(f"A/B report: {BUILD / 'ab-report.md'} and {BUILD / 'ab.json'}")


if __name__ == "__main__":
    sys.exit(run(main))
