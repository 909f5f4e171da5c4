"""Who scores, by the name that the command line has for it."""

from __future__ import annotations

from textgate.batch.ray_driver import on_ray
from textgate.batch.workers import Engine, local
from textgate.errors import CannotTell

ENGINES = ("local", "ray")


def engine_named(name: str, address: str | None) -> Engine:
    """Return an engine. Raises CannotTell for an address that it would not look at."""
    if name == "ray":
        return on_ray(address)
    if address is not None:
        raise CannotTell(f"--address {address}: only --engine ray takes one")
    return local
