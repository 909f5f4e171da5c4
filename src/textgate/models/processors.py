"""How many processors this process may use: not what the machine has, but what it was given."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: "200000 100000" is two processors, "max 100000" no limit


def processors(quota: Path = QUOTA) -> int:
    """Return the number of processors, at least 1: the smaller of the process's affinity and its container's quota.

    More threads than that make answers late: the kernel then stops all of them for the rest of each period.
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text(encoding="ascii").split()
        return max(1, min(found, int(share) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no container, or one without a limit
        return found
