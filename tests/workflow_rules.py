"""What every workflow must obey beyond what the linters check: a rule takes a file and returns its findings."""

import re
from fnmatch import fnmatchcase

from tests.workflow_file import ROOT, File, condition, grants, strings, uses, writes

from textgate.yaml_file import read_yaml

EVENTS = {
    "ci": {"pull_request", "push", "merge_group"},
    "comment": {"workflow_run"},
    "deploy": {"workflow_call", "workflow_dispatch"},
    "release": {"push"},
    "rows": {"push", "workflow_dispatch"},
}
HOSTED = "ubuntu-24.04"
# The machine in the cloud, made and removed; the rows that DVC keeps outside git.
KEEPS_SECRETS = {("ci", "launch"), ("ci", "remove"), ("rows", "pull")}
WRITES_CONTENTS = {("ci", "deploy"), ("release", "deploy"), ("deploy", "publish"), ("deploy", "restore")}
LONGEST, MOST_MINUTES = 150, 360
LONGER = {"ci": 250}  # one story, read from top to bottom: two jobs for a GPU in the cloud tell a part of it
PROGRAM = re.compile(
    r"(?:^|[\s(])(?:if|for|while|case|until|jq|eval|curl|wget|sudo)\b|-c\b|[;|&<>`]|\$\(|\\$", re.MULTILINE
)
ENVIRONMENT = re.compile(r"(?<!\S)(\.venv[\w-]*)/")
PIN = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
USES = re.compile(r"\buses:\s*['\"]?([^\s'\",}]+)")
VERSION = re.compile(r"\s*(v\d+\.\d+\.\d+)\b")
DEFAULT_BRANCH = "${{ github.event.repository.default_branch }}"
RUNS_ANYWAY = re.compile(r"(?:always|failure|cancelled)\(\)")


def no_permissions_unless_a_job_asks(file: File) -> list[str]:
    found = [] if file.data.get("permissions") == {} else ["permissions at the top are not {}"]
    for name, job in file.jobs.items():
        if not isinstance(job.get("permissions"), dict):
            found.append(f"{name}: permissions are {job.get('permissions', 'missing')}")
    return found


def a_reason_beside_every_write(file: File) -> list[str]:
    lines = [line for line in file.text.splitlines() if re.search(r"[\w-]:\s*['\"]?write\b", line.partition("#")[0])]
    bare = [line.strip() for line in lines if len(line.partition("#")[2].split()) < 2]
    granted = sum(len(writes(job)) for job in file.jobs.values())
    crowded = [] if len(lines) == granted else [f"{granted} write permissions on {len(lines)} lines"]
    return [f"no reason beside: {line}" for line in bare] + crowded


def only_known_events(file: File) -> list[str]:
    odd = sorted(set(file.events) ^ EVENTS.get(file.name, set()))
    found = [f"event {event}" for event in odd]
    if file.events.get("pull_request"):
        found.append("pull_request has a filter: some pull requests would not be judged")
    if file.name == "ci" and file.events.get("push") != {"branches": ["main"]}:
        found.append("push is not for main alone")
    if file.name == "rows" and file.events.get("push", {}).get("branches") != ["main"]:
        found.append("push is not for main alone")
    if file.name == "release" and file.events.get("push") != {"tags": ["v*"]}:
        found.append("push is not for the tags v* alone")
    return found


def an_end_and_a_place_for_every_job(file: File) -> list[str]:
    found = [
        f"no {key} in concurrency"
        for key in ("group", "cancel-in-progress")
        if key not in file.data.get("concurrency", {})
    ]
    for name, job in file.jobs.items():
        if "uses" in job:
            continue
        if not 0 < int(job.get("timeout-minutes", 0)) <= MOST_MINUTES:
            found.append(f"{name}: no timeout-minutes")
        if job.get("runs-on") != HOSTED and (file.name, name) != ("ci", "train"):
            found.append(f"{name}: runs-on is not {HOSTED}")
    return found


def pinned_actions(file: File) -> list[str]:
    named = [step["uses"] for _, step in file.steps() if "uses" in step]
    named += [job["uses"] for job in file.jobs.values() if "uses" in job]
    outside = [name for name in named if not name.startswith("./.github/")]
    found = [f"{name} is not pinned by a commit" for name in outside if not PIN.fullmatch(name)]
    return found + [f"{name} has no version beside it" for name, version in pins(file) if not version]


def pins(file: File) -> list[tuple[str, str]]:
    """Return each action of others, with its commit, and the version that the comment beside it names ("": none)."""
    found = []
    for line in file.text.splitlines():
        code, _, comment = line.partition("#")
        if (action := USES.search(code)) and not action[1].startswith("./"):
            version = VERSION.match(comment)
            found.append((action[1], version[1] if version else ""))
    return found


def allowed_actions(file: File) -> list[str]:
    """Find what configs/repository.yaml makes GitHub refuse."""
    patterns = read_yaml(ROOT / "configs/repository.yaml", "restore it")["allowed_actions"]
    named = [step["uses"] for _, step in file.steps() if not step.get("uses", "./").startswith("./")]
    foreign = [name for name in named if name.split("/")[0] not in ("actions", "github")]
    return [f"{name} is not allowed" for name in foreign if not any(fnmatchcase(name, like) for like in patterns)]


def no_credentials_left_behind(file: File) -> list[str]:
    checkouts = [(place, step.get("with", {})) for place, step in file.steps() if uses(step, "actions/checkout")]
    return [
        f"{place}: persist-credentials" for place, given in checkouts if given.get("persist-credentials") != "false"
    ]


def one_plain_command_a_line(file: File) -> list[str]:
    found = []
    for place, step in file.steps():
        text = step.get("run", "") + step.get("with", {}).get("script", "")
        if "${{" in text:
            found.append(f"{place}: an expression inside a script")
        if PROGRAM.search(text) or len(text.strip().splitlines()) > 2:
            found.append(f"{place}: a program, not a command: {text.strip()[:60]}")
    return found


def runs_what_it_installed(file: File) -> list[str]:
    """Ask that a job makes each environment that a command of it is run from."""
    found = []
    for name, job in file.jobs.items():
        steps = job.get("steps", [])
        made = {
            word.partition("/")[0] for step in steps for word in step.get("with", {}).get("environments", "").split()
        }
        used = {match for step in steps for match in ENVIRONMENT.findall(step.get("run", ""))}
        found += [f"{name} runs {environment} and does not make it" for environment in sorted(used - made)]
    return found


def no_secret_where_foreign_code_runs(file: File) -> list[str]:
    found = (
        []
        if "secrets" not in " ".join(strings({k: v for k, v in file.data.items() if k != "jobs"}))
        else ["secrets at the top"]
    )
    for name, job in file.jobs.items():
        if not any(re.search(r"\bsecrets\b", text) for text in strings(job)):
            continue
        checkouts = [step.get("with", {}) for step in job.get("steps", []) if uses(step, "actions/checkout")]
        foreign = any(given.get("ref") != DEFAULT_BRANCH for given in checkouts)
        if (file.name, name) not in KEEPS_SECRETS or "environment" not in job or "secrets" in job or foreign:
            found.append(f"{name}: secrets")
    return found


def no_write_where_foreign_code_runs(file: File) -> list[str]:
    """Ask that a pull request's jobs only read: what writes runs on a push to the default branch, or from it."""
    found = []
    for name, job in file.jobs.items():
        if "pull_request" in file.events and writes(job) and not on_push(condition(job)):
            found.append(f"{name}: writes on a pull request")
        if grants(job).get("contents") == "write" and (file.name, name) not in WRITES_CONTENTS:
            found.append(f"{name}: contents: write")
    return found


def on_push(text: str) -> bool:
    """Say whether a condition holds on a push only: the event is one of the parts that must all be true."""
    return "||" not in text and "github.event_name == 'push'" in [part.strip() for part in text.split("&&")]


def no_cache_in_privileged_workflows(file: File) -> list[str]:
    """Ask that what an unprivileged run stored is never run by one with rights; storing is no risk to it."""
    if file.name == "ci":
        return []
    cached = [
        place
        for place, step in file.steps()
        if (uses(step, "actions/cache") and not uses(step, "actions/cache/save"))
        or any("cache" in key for key in step.get("with", {}))
    ]
    return [f"{place}: a cache" for place in cached]


def nothing_fails_in_silence(file: File) -> list[str]:
    places = [*file.jobs.items(), *file.steps()]
    return [f"{place}: continue-on-error" for place, it in places if "continue-on-error" in it]


def no_job_is_skipped_by_a_distant_one(file: File) -> list[str]:
    """GitHub skips a job when any job before it was skipped, also a distant one, unless its `if` asks for a status."""
    found = []
    for name, job in file.jobs.items():
        if RUNS_ANYWAY.search(condition(job)):
            continue
        anyway = [before for before in file.ancestors(name) if RUNS_ANYWAY.search(condition(file.jobs[before]))]
        distant = {far for near in anyway for far in file.ancestors(near) if "if" in file.jobs[far]}
        found += [
            f"{name} is skipped whenever {far} is: ask for !cancelled() and each result" for far in sorted(distant)
        ]
    return found


def short(file: File) -> list[str]:
    lines = len(file.text.splitlines())
    return [f"{lines} lines"] if lines > LONGER.get(file.name, LONGEST) else []


ANYWHERE = (
    pinned_actions, allowed_actions, no_credentials_left_behind, one_plain_command_a_line, nothing_fails_in_silence,
    short,
)  # fmt: skip
IN_WORKFLOWS = (
    no_permissions_unless_a_job_asks, a_reason_beside_every_write, only_known_events, an_end_and_a_place_for_every_job,
    no_secret_where_foreign_code_runs, no_write_where_foreign_code_runs, no_cache_in_privileged_workflows,
    no_job_is_skipped_by_a_distant_one, runs_what_it_installed,
)  # fmt: skip
IN_ACTIONS = (no_cache_in_privileged_workflows,)
