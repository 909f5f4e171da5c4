"""A mistake for each rule: (file, pattern, what stands in its place, a piece of the finding)."""

from tests import workflow_order as order
from tests import workflow_rules as rules

PINNED = "actions/checkout@[0-9a-f]{40}"


def in_job(name: str, pattern: str) -> str:
    """Return a pattern that looks for another below the line of a job; group 1 is what lies between."""
    return rf"(^  {name}:.*\n(?:(?:   .*)?\n)*?.*?){pattern}"


MISTAKES = {
    rules.no_permissions_unless_a_job_asks: [
        ("ci", "^permissions: {}", "permissions: write-all", "at the top"),
        ("ci", "^permissions: {}", "permissions: {contents: read}", "at the top"),
        ("ci", "permissions: { contents: read }", "permissions: write-all", "write-all"),
        ("deploy", "    permissions:\n(      .*\n)+", "", "missing"),
    ],
    rules.a_reason_beside_every_write: [
        ("deploy", "(contents: write) #.*", r"\1", "no reason beside: contents: write"),
        ("comment", "(pull-requests: write) #.*", r"\1 # why", "no reason beside"),
        ("ci", "{ contents: read }", "{ contents: write, packages: write } # a reason", "on"),
    ],
    rules.only_known_events: [
        ("ci", "^  pull_request:", "  pull_request_target:", "event pull_request_target"),
        ("ci", "^  pull_request:", "  pull_request: {types: [closed]}", "has a filter"),
        ("ci", "^  merge_group:\n", "", "event merge_group"),
        ("ci", r"branches: \[main\]", "branches: ['**']", "not for main"),
        ("release", "tags: .*", "branches: [main]", "tags v*"),
        ("rows", r"branches: \[main\]", "branches: ['**']", "not for main"),
        ("rows", "^  push:", "  pull_request:", "event pull_request"),
        ("comment", "^  workflow_run:", "  issue_comment:", "event issue_comment"),
    ],
    rules.an_end_and_a_place_for_every_job: [
        ("ci", "^    timeout-minutes:.*\n", "", "no timeout-minutes"),
        ("ci", "^    timeout-minutes:.*", "    timeout-minutes: 3600", "timeout"),
        ("release", "^concurrency:\n(  .*\n)+", "", "no group"),
        ("comment", "^  cancel-in-progress:.*\n", "", "no cancel-in-progress"),
        ("ci", "runs-on: ubuntu-24.04", "runs-on: [self-hosted, gpu]", "runs-on"),
    ],
    rules.pinned_actions: [
        ("ci", PINNED, "actions/checkout@v7", "checkout@v7 is not pinned"),
        ("ci", PINNED, "actions/checkout@3d3c42e", "not pinned"),
        ("ci", rf"({PINNED}) #.*", r"\1", "no version"),
        ("release", r"uses: \./\.github/workflows/deploy\.yml", "uses: a/b/.github/workflows/c.yml@main", "pinned"),
    ],
    rules.allowed_actions: [
        ("comment", "iterative/setup-cml@", "someone/setup-cml@", "someone/setup-cml"),
    ],
    rules.no_credentials_left_behind: [
        ("ci", "persist-credentials: false", "persist-credentials: true", "check, step 1"),
        ("release", "persist-credentials: false, ", "", "find, step 1"),
    ],
    rules.one_plain_command_a_line: [
        ("ci", "run: make check", 'run: echo "${{ github.head_ref }}"', "an expression"),
        ("ci", "run: make check", "run: if make check; then make data; fi", "a program"),
        ("ci", "run: make check", "run: make check || true", "a program"),
        ("ci", "run: make check", "run: jq . a.json", "a program"),
        ("ci", "run: make check", "run: python -c pass", "a program"),
        ("ci", "run: make check", r'run: "a\\nb\\nc"', "a program"),
        (
            "ci",
            "run: make check",
            "uses: actions/github-script@v8\n        with: {script: 'f(${{ github.ref }})'}",
            "an expression",
        ),
    ],
    rules.no_secret_where_foreign_code_runs: [
        ("ci", "^env:", "env:\n  T: ${{ secrets.T }}", "at the top"),
        ("ci", r"\$\{\{ github\.token \}\}", "${{ secrets.T }}", "plan: secrets"),
        ("ci", "^    environment: cloud-gpu.*\n", "", "launch: secrets"),
        ("ci", in_job("remove", r", ref: \S+ \S+ \S+ }"), r"\1 }", "remove: secrets"),
        ("rows", "^    environment: rows.*\n", "", "pull: secrets"),
        ("rows", r"ref: \S+ \S+ \S+, ", 'ref: "${{ inputs.branch }}", ', "pull: secrets"),
        ("release", "    uses: ./.github/workflows/deploy.yml", r"\g<0>\n    secrets: inherit", "deploy: secrets"),
    ],
    rules.no_write_where_foreign_code_runs: [
        ("ci", "{ contents: read }", "{ checks: write }", "check: writes on a pull request"),
        ("ci", "github.event_name == 'push' && ", "", "deploy: writes on a pull request"),
        ("ci", "(github.event_name == 'push') &&", r"\1 ||", "deploy: writes on a pull"),
        ("deploy", in_job("smoke", "contents: read"), r"\1contents: write", "smoke: contents"),
    ],
    rules.no_cache_in_privileged_workflows: [
        ("comment", PINNED, "actions/cache/restore@0", "comment, step 1: a cache"),
        ("deploy", "{ persist-credentials: false }", "{ cache: pip }", "a cache"),
        ("setup", 'python-version: "3.11"', "cache: pip", "a cache"),
        ("rows", "actions/cache/save@", "actions/cache/restore@", "a cache"),
    ],
    rules.nothing_fails_in_silence: [
        ("ci", "run: make check", r"\g<0>\n        continue-on-error: true", "check, step 3"),
        ("ci", "^    name: scan", r"\g<0>\n    continue-on-error: true", "scan: continue"),
    ],
    rules.no_job_is_skipped_by_a_distant_one: [
        ("ci", in_job("scan", "    if: .*\n"), r"\1", "scan is skipped whenever launch is"),
    ],
    rules.runs_what_it_installed: [
        (
            "ci",
            in_job("gate", r"\.venv-judge/ready"),
            r"\1.venv-ci/ready",
            "gate runs .venv-judge and does not make it",
        ),
        ("deploy", r"\.venv-ci/ready", ".venv/ready", "runs .venv-ci and does not make it"),
    ],
    rules.short: [
        ("release", "^jobs:", "#\n" * 150 + "jobs:", "lines"),
    ],
    order.jobs_in_order: [
        ("ci", in_job("model_tests", "needs: train"), r"\1needs: plan", "model_tests does not wait for train"),
        ("ci", in_job("train", r"needs: \[check, plan"), r"\1needs: [plan", "train does not wait for check"),
        ("ci", in_job("deploy", r"needs: \[plan, gate\]"), r"\1needs: plan", "deploy does not wait for gate"),
    ],
    order.failures_stop_what_follows: [
        ("ci", "needs.check.result == 'success' && ", "", "train does not look at check"),
        (
            "ci",
            "needs.plan.result == 'success' && ",
            "",
            "train does not look at plan",
        ),  # its outputs outlive a failure
        ("ci", "needs.launch.result == 'success' \\|\\| ", "", "train does not look at launch"),
    ],
    order.stages_in_order: [
        ("ci", "--stage scan", "--stage gate", "no step runs the stage scan"),
        ("ci", "id: evaluate", "id: score", "the stage evaluate under the id score"),
        ("ci", "id: data, run: (.*) data }", r"id: card, run: \1 card }", "the stage card under"),
        ("ci", "(.*id: data.*\n)(.*id: train.*\n)", r"\2\1", "train runs before data"),
        ("ci", in_job("scan", "needs: train"), r"\1needs: gate", "gate runs before scan"),
    ],
    order.gate_is_the_required_check: [
        ("ci", "model_tests, scan]", "model_tests]", "gate needs check, model_tests, plan, test, train"),
        ("ci", in_job("gate", r"if: always\(\)"), r"\1if: '!cancelled()'", "does not always run"),
        ("ci", "name: gate", "name: the gate", "not reported as gate"),
        ("ci", "NEEDS: .*, GATE", 'NEEDS: "{}", GATE', "does not end by looking"),
        ("ci", r"if: always\(\)(\n.*required.py)", r"if: success()\1", "last step"),
    ],
    order.deploys_what_was_judged_on_main: [
        ("ci", "needs.gate.result == 'success'", "needs.gate.result != 'failure'", "gate.result"),
        ("ci", "run_id: .*", 'run_id: "7" }', "with this run"),
    ],
    order.production_is_asked_for: [
        ("deploy", "^    environment: production\n", "", "publish: environment None"),
        ("deploy", "^    name: smoke", r"\g<0>\n    environment: production", "smoke: environment"),
    ],
    order.comment_trusts_nothing: [
        ("comment", "persist-credentials: false", r"\g<0>, ref: main", "comment, step 1"),
        ("comment", PINNED, "actions/download-artifact@0", "an artifact is unpacked"),
        ("comment", "^    if: .*\n", "", "not for the runs of pull requests"),
        ("comment", "types: .*", "types: [requested]", "does not follow ci"),
    ],
    order.cml_posts: [
        ("comment", " --publish=false", "", "lacks --publish=false"),
        ("comment", r"--target=pr/\S+", "--target=pr", "lacks --target=pr/"),
        ("comment", "cml comment update", "cml comment create", "not plain cml"),
        ("comment", "cml comment update", "gh pr comment", "0 steps post"),
    ],
}
