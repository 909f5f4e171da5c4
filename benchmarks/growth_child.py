"""Runs a command and writes its seconds, its memory and how it ended: `growth_child.py FILE PROGRAM ARGUMENT…`.

A process of its own, and a small one: the system counts a child's memory from its parent's on.
"""

# ruff: noqa: INP001 - a script, not a package

import json
import os
import sys
from pathlib import Path
from time import perf_counter

file, *command = sys.argv[1:]
started = perf_counter()
child = os.posix_spawn(command[0], command, os.environ)
_, status, used = os.wait4(child, 0)
found = {"seconds": perf_counter() - started, "megabytes": used.ru_maxrss / 1024}
Path(file).write_text(json.dumps(found | {"ended": os.waitstatus_to_exitcode(status)}), encoding="utf-8")
