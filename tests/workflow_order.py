"""What ci.yml, comment.yml and deploy.yml must obey each: the order of jobs and stages, the gate, the comment."""

import re

from tests.workflow_file import ROOT, File, condition, uses

from textgate.pipeline import STAGES
from textgate.yaml_file import read_yaml

STAGE = re.compile(r"^\.venv(?:-judge)?/bin/python scripts/pr\.py --stage (\w+)")
AFTER = {
    "train": {"check", "plan"}, "model_tests": {"train"}, "scan": {"train"},
    "gate": {"model_tests", "scan"}, "deploy": {"gate"},
}  # fmt: skip
GATE_NEEDS = {"check", "test", "plan", "train", "model_tests", "scan"}


def jobs_in_order(file: File) -> list[str]:
    missing = {job: before - set(file.needs(job)) for job, before in AFTER.items()}
    return [f"{job} does not wait for {', '.join(sorted(before))}" for job, before in missing.items() if before]


def failures_stop_what_follows(file: File) -> list[str]:
    """Ask of a job with a status of its own, such as !cancelled(), that it looks at the result of all it needs."""
    found = []
    for name, job in file.jobs.items():
        text = condition(job)
        if name in ("gate", "remove") or not re.search(r"(?:always|cancelled)\(\)", text):
            continue
        unseen = [needed for needed in file.needs(name) if f"needs.{needed}.result" not in text]
        found += [f"{name} does not look at {needed}" for needed in unseen]
    return found


def stages_in_order(file: File) -> list[str]:
    """Each stage is the step of that id, once, and none runs before an earlier one."""
    places: dict[str, tuple[str, int]] = {}
    found = []
    for job, content in file.jobs.items():
        for number, step in enumerate(content.get("steps", [])):
            if not (run := STAGE.match(step.get("run", ""))):
                continue
            if step.get("id") != run[1] or run[1] in places:
                found.append(f"{job}: the stage {run[1]} under the id {step.get('id')}, or twice")
            places[run[1]] = (job, number)
    names = [stage.name for stage in STAGES]
    found += [f"no step runs the stage {name}" for name in names if name not in places]
    found += [f"unknown stage {name}" for name in places if name not in names]
    present = [name for name in names if name in places]
    pairs = [(early, late) for i, early in enumerate(present) for late in present[i + 1 :]]
    return found + [
        f"{late} runs before {early}" for early, late in pairs if _before(file, places[late], places[early])
    ]


def _before(file: File, one: tuple[str, int], other: tuple[str, int]) -> bool:
    return one[1] < other[1] if one[0] == other[0] else one[0] in file.ancestors(other[0])


def gate_is_the_required_check(file: File) -> list[str]:
    gate = file.jobs["gate"]
    found = []
    if set(file.needs("gate")) != GATE_NEEDS:
        found.append(f"gate needs {', '.join(sorted(file.needs('gate')))}")
    if condition(gate) != "always()":
        found.append("gate does not always run")
    required = read_yaml(ROOT / "configs/repository.yaml", "restore it")["required_check"]
    if gate.get("name", "gate") != required or "strategy" in gate:
        found.append(f"gate is not reported as {required}")
    last = gate["steps"][-1]
    given = last.get("env", {}).get("NEEDS", "")
    if not last.get("run", "").endswith("scripts/required.py") or given != "${{ toJSON(needs) }}":
        found.append("gate does not end by looking at all needs")
    if condition(last) != "always()":
        found.append("the last step of gate does not always run")
    return found


def deploys_what_was_judged_on_main(file: File) -> list[str]:
    deploy = file.jobs["deploy"]
    parts = [part.strip() for part in condition(deploy).split("&&")]
    wanted = ("github.event_name == 'push'", "needs.plan.outputs.changed == 'true'", "needs.gate.result == 'success'")
    found = [f"deploy does not ask for {part}" for part in wanted if part not in parts]
    if deploy.get("uses") != "./.github/workflows/deploy.yml" or deploy["with"].get("run_id") != "${{ github.run_id }}":
        found.append("deploy does not call deploy.yml with this run")
    return found


def production_is_asked_for(file: File) -> list[str]:
    places = {name: job.get("environment") for name, job in file.jobs.items()}
    wanted = {"prepare": "staging", "publish": "production"}
    return [f"{name}: environment {place}" for name, place in places.items() if place != wanted.get(name)]


def comment_trusts_nothing(file: File) -> list[str]:
    found = []
    for place, step in file.steps():
        if uses(step, "actions/checkout") and {"ref", "repository"} & set(step.get("with", {})):
            found.append(f"{place}: checks something else out than the default branch")
        if uses(step, "actions/download-artifact"):
            found.append(f"{place}: an artifact is unpacked by an action")
    if condition(file.jobs["comment"]) != "github.event.workflow_run.event == 'pull_request'":
        found.append("comment is not for the runs of pull requests alone")
    if file.events["workflow_run"] != {"workflows": ["ci"], "types": ["completed"]}:
        found.append("comment does not follow ci")
    return found


def cml_posts(file: File) -> list[str]:
    """Ask that the line that posts is plain CML and publishes nothing elsewhere."""
    lines = [step["run"] for _, step in file.steps() if "cml comment" in step.get("run", "")]
    if len(lines) != 1:
        return [f"{len(lines)} steps post"]
    words = lines[0].split()
    at = words.index("cml")
    wanted = ("--target=pr/", "--publish=false", "--watermark-title=")
    missing = [part for part in wanted if not any(word.startswith(part) for word in words[at:])]
    plain = words[at : at + 3] == ["cml", "comment", "update"] and words[:at][-1:] in ([], ["scripts/retry.py"])
    return [f"the line that posts lacks {part}" for part in missing] + ([] if plain else ["not plain cml"])


BY_FILE = {
    "ci": (
        jobs_in_order, failures_stop_what_follows, stages_in_order, gate_is_the_required_check,
        deploys_what_was_judged_on_main,
    ),
    "comment": (comment_trusts_nothing, cml_posts),
    "deploy": (production_is_asked_for,),
}  # fmt: skip
