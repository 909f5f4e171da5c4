.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SCHEMA := $(VENV)/bin/check-jsonschema --builtin-schema vendor
# Passed on only if given: an empty value, such as a variable that was never set, is an error and not a default.
CHOICE = $(if $(filter-out undefined,$(origin EXPERIMENT)),--experiment "$(EXPERIMENT)") \
         $(if $(filter-out undefined,$(origin CHAMPION)),--champion "$(CHAMPION)")
export PYTHONUTF8 := 1
BENCHMARKS := $(addprefix bench-,pr stats train latency batch batch-memory batch-ray serve-start serve)
BENCH_READY := $(VENV)/dev-ready $(addsuffix /ready,.venv-bench .venv-serve .venv-scan .venv-ray .venv-ci .venv-judge .venv-sign)

.PHONY: help pr test test-long test-deploy check workflows setup experiment experiments mlflow sweep \
        release verify promote retire rollback history compare reproduce data-diff \
        serve batch roll-out audit-verify ab-report image choose data train evaluate model_tests scan gate report card \
        bench $(BENCHMARKS) clean

help: ## list the targets
	@grep -E '^[a-z_/.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

pr: $(VENV)/ready .venv-scan/ready ## run all stages as a pull request does, and print its comment [EXPERIMENT=, CHAMPION=]
	@$(PY) scripts/pr.py $(CHOICE)

test: ## run the unit and integration tests
test-deploy: ## check image's file, manifests, alerts, dashboard and scoring on Ray (needs kubectl and Prometheus)
test-long: ## run the tests that take minutes: kills at fifty moments, DVC remotes, trainings reproduced, the image
test: SELECT := not long and not deploy
test-deploy: SELECT := not long and deploy
test-long: SELECT := long
test-deploy test-long: .venv-ray/ready
test test-deploy test-long: $(VENV)/dev-ready .venv-scan/ready .venv-ci/ready .venv-sign/ready .venv-serve/ready
	$(PY) -m pytest -n auto --dist loadfile -m "$(SELECT)"

check: $(VENV)/dev-ready ## lint and type-check, workflows included
	$(PY) -m ruff format --check src scripts tests model_tests benchmarks
	$(PY) -m ruff check src scripts tests model_tests benchmarks
	$(PY) -m mypy
	$(VENV)/bin/actionlint
	$(VENV)/bin/zizmor --offline --persona=pedantic --strict-collection --quiet .
	$(SCHEMA).github-workflows .github/workflows/*.yml
	$(SCHEMA).github-actions .github/actions/*/action.yml
	$(SCHEMA).dependabot .github/dependabot.yml
	$(SCHEMA).github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))

choose: $(VENV)/ready ## write down experiment, champion and row files [EXPERIMENT=, CHAMPION=]
	@$(PY) scripts/choose.py $(CHOICE)

data: ## clean, split and check the rows
train: ## train the chosen experiment and the baseline (and make data if rows changed)
evaluate: ## score candidate, champion and baseline on the same rows
data: $(VENV)/ready
	@$(PY) scripts/choose.py --again $(CHOICE)
	@$(PY) scripts/pr.py --stage $@
train: data
evaluate: train
train evaluate:
	@$(PY) scripts/pr.py --stage $@

model_tests: ## test the model in build/model: accuracy, latency, schema, behaviour
gate: ## judge the evidence in build/ by configs/gates.yaml
report: ## write build/report.md and build/report.html
card: ## write the model card from the evidence
model_tests gate report card: $(VENV)/ready
	@$(PY) scripts/$@.py

scan: $(VENV)/ready .venv-scan/ready ## scan the model in build/model
	@$(PY) scripts/scan.py

experiment: ## make pr with the experiment NAME=
	@$(MAKE) --no-print-directory pr EXPERIMENT="$(NAME)"

experiments: $(VENV)/ready ## show all recorded runs side by side [LAST=, CSV=]
	@$(PY) scripts/experiments.py $(if $(LAST),--last "$(LAST)") $(if $(CSV),--csv "$(CSV)")

mlflow: $(VENV)/ready ## open MLflow's page on the recorded runs at http://127.0.0.1:5000 [PORT=]
	@MLFLOW_DISABLE_TELEMETRY=true $(VENV)/bin/mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" \
		--host 127.0.0.1 --port $(or $(PORT),5000) --workers 1

sweep: data ## train every combination of configs/sweep.yaml and score it on validation rows
	@$(PY) scripts/sweep.py

release: $(VENV)/ready $(if $(SIGNING_KEY),.venv-sign/ready) ## release what build/ holds, as a version of the registry [VERSION=, SIGNING_KEY=]
	@$(PY) scripts/release.py --version "$(VERSION)" $(if $(SIGNING_KEY),--signing-key "$(SIGNING_KEY)")
	@$(PY) scripts/registry.py register build/release

verify: $(VENV)/ready ## check a release offline, link by link [RELEASE=]
	@$(PY) scripts/verify.py "$(RELEASE)"

promote: ## make a released version the champion [VERSION=]
retire: ## never let a version serve again [VERSION=]
promote retire: $(VENV)/ready
	@$(PY) scripts/registry.py $@ "$(VERSION)"

rollback: ## go back to the version that was the champion before
history: ## say how the champion changed
rollback history: $(VENV)/ready
	@$(PY) scripts/registry.py $@

compare: $(VENV)/ready ## the figures of two versions beside each other [A=, B=]
	@$(PY) scripts/registry.py compare "$(A)" "$(B)"

reproduce: $(VENV)/ready ## train a release again and compare the bytes [VERSION=]
	@$(PY) scripts/registry.py fetch --version "$(VERSION)" --to build/reproduce
	@$(PY) scripts/reproduce.py --release build/reproduce

data-diff: $(VENV)/ready ## show what changed between two sets of rows [A=, B= a folder or a git revision]
	@$(PY) scripts/data_diff.py -- "$(A)" "$(B)"

serve: .venv-serve/ready ## answer at http://127.0.0.1:8000 with what configs/serve.yaml names [MODEL= a folder, PORT=]
	@.venv-serve/bin/python scripts/serve.py $(if $(MODEL),--model "$(MODEL)") $(if $(PORT),--port "$(PORT)")

batch: SCORER := .venv-$(if $(filter ray,$(ENGINE)),ray,serve)
batch: .venv-$(if $(filter ray,$(ENGINE)),ray,serve)/ready ## score a file [IN=, OUT=, MODEL= a folder, ENGINE=ray, ADDRESS= of a cluster]
	@$(SCORER)/bin/python scripts/batch.py $(if $(MODEL),--model "$(MODEL)") $(if $(ENGINE),--engine "$(ENGINE)") \
		$(if $(ADDRESS),--address "$(ADDRESS)") -- "$(IN)" "$(OUT)"

roll-out: $(VENV)/ready ## fetch champion and challenger to where the service looks for them [WATCH= seconds]
	@$(PY) scripts/roll_out.py $(if $(WATCH),--watch "$(WATCH)")

audit-verify: $(VENV)/ready ## check the audit log, line by line [FOLDER=, HEAD= what the service logged]
	@$(PY) scripts/audit_verify.py "$(or $(FOLDER),build/audit)" $(if $(HEAD),--head "$(HEAD)")

ab-report: $(VENV)/ready ## compare champion and challenger by what they answered [LABELS= a file, SINCE=]
	@$(PY) scripts/ab_report.py $(if $(LABELS),--labels "$(LABELS)") $(if $(SINCE),--since "$(SINCE)")

image: $(VENV)/dev-ready ## build the image and run it, without Docker (as root; buildah, podman, runc, debootstrap)
	$(PY) -m pytest tests/test_deploy_image.py -m long

workflows: $(VENV)/dev-ready .venv-judge/ready .venv-scan/ready .venv-ci/ready .venv-sign/ready .venv-serve/ready ## run the workflows against a GitHub on this machine [SCENARIO=]
	$(PY) -m pytest tests/github -o python_files='scenario_*.py' $(if $(SCENARIO),-s -k "$(SCENARIO)",-n auto --dist loadfile)

setup: .venv-ci/ready ## show how this repository's settings on GitHub differ from configs/repository.yaml; YES=1 sets them
	.venv-ci/bin/python scripts/setup_repository.py $(if $(YES),--yes)

bench: ## measure everything beside named peers, into benchmarks/RESULTS.md (also make bench-serve, bench-train, …)
	@$(MAKE) --no-print-directory -j $(BENCH_READY)
	@$(PY) benchmarks/run.py --since $(shell date +%s)  # make asks for the time before it runs the first line

$(BENCHMARKS): $(BENCH_READY)
	@$(PY) benchmarks/run.py $(patsubst pr,pull_request,$(subst -,_,$(@:bench-%=%)))

clean: ## remove everything that was built (environments, downloads and the history in mlflow.db are kept)
	rm -rf build dvc.lock .dvc/cache .dvc/tmp

$(VENV)/ready: requirements.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 12) else "textgate needs Python 3.11 or 3.12, this is %d.%d: make PYTHON=python3.12 pr" % v)'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev-ready: $(VENV)/ready requirements-dev.txt requirements-wandb.txt requirements-serve.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -r requirements-wandb.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-serve.txt
	@touch $@

.venv-scan/ready: requirements-scan.txt
	$(PYTHON) -m venv .venv-scan
	.venv-scan/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-scan.txt
	@touch $@

.venv-%/ready: requirements-%.txt # ci, judge, ray, serve, sign: each holds what one kind of job imports
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv-bench/ready: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@
