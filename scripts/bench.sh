#!/usr/bin/env bash
# Prints and judges the figures that the documents quote. Takes about five minutes; options go to
# the program, see go run ./internal/bench -h.
set -euo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
go build -o "$tmp/bench" ./internal/bench
"$tmp/bench" "$@"
