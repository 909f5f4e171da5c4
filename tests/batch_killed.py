"""Kills batch scoring at many moments: `python batch_killed.py FOLDER MODEL FORMAT ROWS MOMENTS`.

It scores FOLDER/in.FORMAT in children of its own, so that Python and numpy are imported once and the moments fall into
the work. The first child is left in peace. Each later run is killed twice, and begun again until it ends: first when it
stands still, before it scores some window, then at whatever it does when more rows are done. For each, a line of JSON
says how often it was killed, whether an output was there before it was whole, and whether the end is the first run's,
byte for byte.
"""

import json
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.batch_example import settings  # noqa: E402

from textgate.batch.batch import batch  # noqa: E402
from textgate.batch.workers import Workers, local  # noqa: E402


def stopping(rows):
    """Return who scores until it is handed a window that ends behind so many rows: then this process stands still."""

    @contextmanager
    def engine(*wanted):
        with local(*wanted) as workers:

            def submit(window):
                if window.place.rows > rows:
                    os.kill(os.getpid(), signal.SIGSTOP)
                return workers.submit(window)

            yield Workers(workers.count, submit)

    return engine


def begin(source, target, model, engine=local):
    """Score in a child process and return its number."""
    number = os.fork()
    if number:
        return number
    code = 70
    try:
        batch(source, target, model, "text", None, settings(), engine)
        code = 0
    except BaseException as error:  # noqa: BLE001 - a child must never come back
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def end(number):
    """Wait for a child; return whether it was killed."""
    status = os.waitpid(number, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def left(folder):
    """Return the output and the rejects, and remove them."""
    names = sorted(path.name for path in folder.iterdir() if path.name.startswith("out."))
    found = [(folder / name).read_bytes() for name in names]
    for name in names:
        (folder / name).unlink()
    return names, found


def rows_done(state):
    """Return how many rows OUT.state speaks of."""
    try:
        return json.loads(state.read_text())["place"]["rows"]
    except FileNotFoundError:
        return 0


def killed_stopped(number):
    """Kill a child when it stands still; return whether it lived so long."""
    os.waitid(os.P_PID, number, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    os.kill(number, signal.SIGKILL)
    return end(number)


def killed_behind(number, rows, state):
    """Kill a child as soon as so many rows are done; return whether it lived so long."""
    while rows_done(state) < rows and os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        pass
    os.kill(number, signal.SIGKILL)
    return end(number)


def main():
    folder, model, form = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    rows, moments = int(sys.argv[4]), int(sys.argv[5])
    target = folder / f"out.{form}"
    state = target.with_name(target.name + ".state")
    if form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet

        pa.array(["a"])  # looks for pandas, and imports it

    def child(engine=local):
        return begin(str(folder / f"in.{form}"), str(target), model, engine)

    end(child())
    wanted = left(folder)
    for moment in range(moments):
        kills = killed_stopped(child(stopping(rows * moment // moments)))
        early = target.exists() and target.read_bytes() not in wanted[1]
        if state.exists() or not target.exists():  # a busy machine may kill too late
            kills += killed_behind(child(), rows * (moment + 1) // (moments + 1), state)
        if state.exists() or not target.exists():
            end(child())
        print(json.dumps({"kills": kills, "early": early, "same": left(folder) == wanted}), flush=True)


if __name__ == "__main__":
    main()
