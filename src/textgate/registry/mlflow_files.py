"""The files of a release in MLflow: artifacts of a run, put there whole and taken out name by name."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from textgate.errors import CannotTell, Refused
from textgate.release.assets import MOST, NAME, SUMS, check_list, most_bytes, read_sums

PLACE = "release"  # the folder among a run's artifacts


def take_out(client: Any, run_id: str, version: str, to: Path) -> None:
    """Copy the files of a release into the folder `to`: those that SHA256SUMS lists, and there may be no others.

    Raises Refused for odd names, links, folders and sizes, CannotTell if there is nothing.
    """
    address = client.get_run(run_id).info.artifact_uri
    local = _local(address)
    sizes: dict[str, int] = {}
    for name, size in _listed(local, version) if local else _answered(client, run_id):
        if not NAME.fullmatch(name) or name in sizes or len(sizes) >= MOST:
            raise Refused(f"{version} has odd or too many files ({name[:60]!a}): it was altered, take another one")
        if size > most_bytes(name):
            raise Refused(f"{name} of {version} has {size:,} bytes, {most_bytes(name):,} are the most: it is not taken")
        sizes[name] = size
    if SUMS not in sizes:
        raise CannotTell(f"{version} has no {SUMS} in {local or address}: was the store moved or emptied? Restore it")
    for name in (SUMS, *sorted(set(sizes) - {SUMS})):
        if local:
            shutil.copyfile(local / name, to / name, follow_symlinks=False)
        else:
            Path(client.download_artifacts(run_id, f"{PLACE}/{name}", str(to.parent))).rename(to / name)
        if name == SUMS:
            check_list(set(read_sums(to)), set(sizes))


def remove(client: Any, run_id: str) -> None:
    """Remove a run and its artifacts, which nobody refers to."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    address = client.get_run(run_id).info.artifact_uri
    if local := _local(address):
        shutil.rmtree(local.parent, ignore_errors=True)
        if local.parent.parent.name == run_id and local.parent.parent.is_dir():
            local.parent.parent.rmdir()
    else:
        get_artifact_repository(f"{address}/{PLACE}", tracking_uri=client.tracking_uri).delete_artifacts()
    client.delete_run(run_id)


def _local(address: str) -> Path | None:
    """Return the folder of a release whose run keeps its artifacts on this machine."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(address), PLACE) if is_local_uri(address) else None


def _listed(folder: Path, version: str) -> Iterator[tuple[str, int]]:
    if not folder.is_dir() or folder.is_symlink():
        raise CannotTell(f"the files of {version} are not in {folder}: was the project moved? Put them back there")
    for path in folder.iterdir():
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{path} is a link, a folder or a special file: {version} was altered, take another one")
        yield path.name, found.st_size


def _answered(client: Any, run_id: str) -> Iterator[tuple[str, int]]:
    for file in client.list_artifacts(run_id, PLACE):
        place = PurePosixPath(file.path)
        plain = place.parent == PurePosixPath(PLACE) and not file.is_dir and isinstance(file.file_size, int)
        yield (place.name if plain else file.path, file.file_size if plain else 0)
