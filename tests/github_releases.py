"""Releases put on the small GitHub without the code under test, and compared with what they are to hold."""

import json

from tests.judged_example import COMMIT


def publish(server, folder, *, latest=False, draft=False):
    """Put a release there without going through the code under test."""
    version = json.loads((folder / "release.json").read_text())["version"]
    release = server.add(version, draft=draft, latest=latest)
    for path in folder.iterdir():
        server.put(release, path.name, path.read_bytes())
    if not draft:
        server.tags[version] = ("commit", COMMIT)
    return release


def holds(server, version, folder):
    release = server.release(version)
    assert {asset["name"]: server.contents[asset["id"]] for asset in release["assets"]} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert (release["draft"], release["prerelease"]) == (False, False)
    assert server.tags[version] == ("commit", COMMIT)
