"""Decide what this run does and where: build/plan.json, and the outputs changed, runner, gpu and cloud."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate import records
from textgate.errors import run
from textgate.github.api import output
from textgate.github.changed import changed_files
from textgate.github.event import payload, variable
from textgate.github.plan import decide, read_event, read_variables
from textgate.records import BUILD


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    event = read_event(variable("GITHUB_EVENT_NAME"), payload(), variable("GITHUB_RUN_ID"))
    plan = decide(event, read_variables(os.environ), changed_files(event.base))
    records.write(BUILD / "plan.json", plan)
    print(f"{plan.reason}\ntrains on {', '.join(plan.runner)}")
    for name in ("changed", "runner", "gpu", "cloud"):
        output(name, json.dumps(getattr(plan, name)))


if __name__ == "__main__":
    sys.exit(run(main))
