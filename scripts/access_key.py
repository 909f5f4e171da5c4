"""API keys of the service, and passwords of its demo: make one (it is shown once), list, revoke, user."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.serve.access import manage
from textgate.serve.access.settings import SCOPES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = parser.add_subparsers(dest="command", required=True)
    make = known.add_parser("make", help="add a key and print it, this once")
    make.add_argument("--days", type=int, default=90, help="until it expires (default: 90, a quarter)")
    user = known.add_parser("user", help="set a user's password (typed, or one line of standard input)")
    revoke = known.add_parser("revoke", help="never take a key again; a running service sees it at once")
    revoke.add_argument("id", help="the 12 digits after tg_")
    listing = known.add_parser("list", help="say whose keys there are")
    for command in (make, user):
        command.add_argument("--name", required=True, help="who the client is, in logs and limits")
        command.add_argument("--scope", action="append", choices=SCOPES, required=True, help="may be given again")
    for command, file in ((make, "keys"), (revoke, "keys"), (listing, "keys"), (user, "users")):
        command.add_argument("--file", type=Path, default=Path(f"serving/{file}.json"))
    options = parser.parse_args()
    if options.command == "make":
        print(manage.make(options.file, options.name, tuple(options.scope), options.days))
    elif options.command == "revoke":
        manage.revoke(options.file, options.id)
    elif options.command == "list":
        print("\n".join(manage.listing(options.file)))
    else:
        manage.set_password(options.file, options.name, manage.typed_password(), tuple(options.scope))


if __name__ == "__main__":
    sys.exit(run(main))
