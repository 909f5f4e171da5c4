"""Check that an audit log is complete and unchanged, and name the first broken line of each slot: exit 0, 1 or 2."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import Refused, run
from textgate.serve.audit.verify import verify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the log, such as build/audit")
    said = "a head that the server's log names (audit head), which must be in the chain"
    parser.add_argument("--head", action="append", default=[], metavar="[N:]HASH", help=said)
    arguments = parser.parse_args()
    found = verify(arguments.folder, arguments.head)
    for slot in found.slots:
        print(slot.line())
    for line in found.missing:
        print(line)
    if not found.holds:
        raise Refused(
            f"{arguments.folder}: the audit log is not what was written: keep it as it lies, and find out why"
        )
    print(f"{arguments.folder}: the audit log holds")


if __name__ == "__main__":
    sys.exit(run(main))
