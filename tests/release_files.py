"""A folder of release assets: looked into, and altered as somebody might who fetched it."""

import json

from textgate.release.assets import SUMS, sums_text


def relist(folder):
    """Make SHA256SUMS fit again, as whoever alters a release would."""
    (folder / SUMS).write_text(sums_text(folder))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def archive_in(folder):
    return next(folder.glob("model-*.tar"))


def altered(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes))
    relist(folder)
