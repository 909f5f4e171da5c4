"""Kills a process at many moments of one change of an MLflow store: `python killed.py FOLDER MADE OPERATION MOMENTS`.

FOLDER holds mlflow.db, MADE the releases. For each moment the change runs in a child, from the same start, and is
killed; then it is run again to its end. What lay there after the kill and after the end is printed, a JSON line each.
MLflow is imported once, so that the moments fall into the work and not into the seconds of its import.
"""

import gc
import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.mlflow_example import aliases  # noqa: E402

from textgate.registry.mlflow_registry import MlflowRegistry  # noqa: E402
from textgate.registry.mlflow_store import store  # noqa: E402
from textgate.registry.rollback import roll_back  # noqa: E402


def change(operation, made):
    """Return what is killed, and what the store is made of before it."""
    registry = MlflowRegistry(store())
    changes = {
        "register": lambda: registry.register(made / "v0.3.0"),
        "promote": lambda: registry.promote("v0.3.0"),
        "rollback": lambda: roll_back(registry),
    }
    return registry, changes[operation]


def child(act):
    """Run something in a child process of its own and return its number."""
    number = os.fork()
    if number:
        return number
    code = 70
    try:
        act()
        code = 0
    except BaseException as error:  # noqa: BLE001 - a child must never come back
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def state(registry):
    """Return what is there, read by MLflow in a child of its own."""
    reader, writer = os.pipe()

    def look():
        events = [(event.before, event.version) for event in registry.history()]
        found = {"versions": registry.versions(), "events": events, "champion": registry.current()}
        registry.fetch(found["versions"][0], Path("fetched"))
        os.write(writer, json.dumps(found | {"aliases": aliases("mlflow.db")}).encode())

    number = child(look)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    assert os.waitpid(number, 0)[1] == 0, "the store cannot be read"
    return json.loads(said) | {"runs": len(list(Path("mlruns/releases").iterdir()))}


def whole(act):
    assert os.waitpid(child(act), 0)[1] == 0


def main():
    folder, made, operation, moments = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    os.chdir(folder)
    registry, act = change(operation, made)
    versions = ("v0.1.0", "v0.2.0") if operation == "register" else ("v0.1.0", "v0.2.0", "v0.3.0")
    for version in versions:
        whole(lambda version=version: registry.register(made / version))
    whole(lambda: registry.promote("v0.1.0"))
    whole(lambda: registry.promote("v0.2.0"))
    with registry.store.reading():
        pass  # what it imports when it is first opened
    dispose()
    shutil.copytree(folder, folder.parent / "start")
    seconds = 0.0
    for moment in range(-1, moments + 1):
        shutil.rmtree(folder / "mlruns")
        shutil.copytree(folder.parent / "start", folder, dirs_exist_ok=True)
        started = time.monotonic()
        killed = killed_after(child(act), seconds * moment / moments if moment > 0 else None)
        if not killed:  # how long it takes: the second time, and where the machine has become quicker
            seconds = time.monotonic() - started
        if moment > 0:
            after = state(registry)
            whole(act)
            print(json.dumps({"killed": killed, "after": after, "end": state(registry)}), flush=True)


def killed_after(number, seconds):
    """Kill a child after so long (None: never); return whether it lived so long."""
    ended = os.pidfd_open(number)
    select.select([ended], [], [], seconds)
    os.close(ended)
    os.kill(number, signal.SIGKILL)
    status = os.waitpid(number, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, status
    return os.WIFSIGNALED(status)


def dispose():
    """Close every connection: a child must not share one."""
    from sqlalchemy import Engine

    for engine in [thing for thing in gc.get_objects() if isinstance(thing, Engine)]:
        engine.dispose()


if __name__ == "__main__":
    main()
