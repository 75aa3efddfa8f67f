#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures EntroLLM beside llama.cpp on this machine, in one run, on the same
# synthetic weights: bench/peers.sh [FOLDER] --config CONFIG.json [option of bench/peers.py ...],
# or on a real model at equal divergence: bench/peers.sh FOLDER --equal-kl [option of bench/peers_kl.py ...].
# FOLDER (default: a temporary one, removed at the end) holds a throw-away Python
# environment, the checkpoint and all converted models: about 25 GB for the
# default shape. llama-cpp-python is built from PyPI's source, for this processor.
set -eu
cd "$(dirname "$0")/.."
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
  folder=$1
  shift
  mkdir -p "$folder"
else
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
tools/install_packages.sh
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build build -j "$(nproc)" --target entrollm >/dev/null
if [ ! -x "$folder/venv/bin/python" ]; then
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet llama-cpp-python gguf numpy
fi
program=bench/peers.py
for option in "$@"; do [ "$option" != --equal-kl ] || program=bench/peers_kl.py; done
"$folder/venv/bin/python" "$program" "$folder" "$@"
