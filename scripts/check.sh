#!/usr/bin/env bash
# All checks, from a clean clone on a machine with Go and apt-get. Installs what it needs, starts and
# stops its own servers on free ports, fails on any skipped test. With --long the long forms run
# as well (millions of steps, 1 GiB bodies, 1,000,000 keys).
set -euo pipefail
cd "$(dirname "$0")/.."

long=""
[ "${1:-}" = "--long" ] && long=1

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

# Linters, chosen one by one, at fixed versions so that a new release cannot turn main red.
STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2    # wrong code, simplifications, unused code
ERRCHECK=github.com/kisielk/errcheck@v1.30.0             # errors that nobody looks at
INEFFASSIGN=github.com/gordonklaus/ineffassign@v0.2.0    # values that nobody reads
DEADCODE=golang.org/x/tools/cmd/deadcode@v0.52.0         # functions that nothing reaches

step "servers and tools that the tests use"
need=()
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || need+=(nginx-light)
command -v curl >/dev/null || need+=(curl)
command -v jq >/dev/null || need+=(jq)
if [ ${#need[@]} -gt 0 ]; then
  sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  # Debian starts nginx on installation; the tests start their own, on free ports.
  printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null
  $sudo chmod +x /usr/sbin/policy-rc.d
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
  $sudo rm -f /usr/sbin/policy-rc.d
fi
export PATH="$PATH:/usr/sbin"

step "formatting, vet, linters"
unformatted=$(gofmt -l $(git ls-files '*.go'))
[ -z "$unformatted" ] || { echo "not gofmt'ed:"; echo "$unformatted"; exit 1; }
go mod verify >/dev/null
go mod tidy -diff
go vet ./...
go run "$STATICCHECK" -checks 'all,-ST1000,-ST1005' ./...
go run "$ERRCHECK" -exclude .errcheck -ignoretests ./...
go run "$INEFFASSIGN" ./...
dead=$(go run "$DEADCODE" -test ./...)
[ -z "$dead" ] || { echo "unreachable functions:"; echo "$dead"; exit 1; }

results=$(mktemp)
trap 'rm -f "$results"' EXIT

# run_tests NAME ARGS…: go test with its events kept, so that a skip is a failure too.
run_tests() {
  step "$1"; shift
  local status=0
  go test -json "$@" >"$results" || status=$?
  jq -rj 'select(.Action=="output" and .Test==null) | .Output' "$results" | grep -v 'no test files' || true
  if [ $status -ne 0 ]; then
    # Everything the failed tests printed, or the build's errors.
    jq -r 'select(.Action=="fail" and .Test!=null) | .Package+" "+.Test' "$results" | sort -u >"$results.failed"
    jq -rj --rawfile f "$results.failed" '($f|split("\n")) as $failed
      | select(.Action=="output" and .Test!=null and ((.Package+" "+.Test) as $n | $failed|index($n))) | .Output' "$results"
    jq -rj 'select(.Action=="build-output") | .Output' "$results"
    rm -f "$results.failed"
    echo "FAILED: $*"
    exit 1
  fi
  local skipped
  skipped=$(jq -r 'select(.Action=="skip" and .Test!=null) | .Package+" "+.Test' "$results")
  [ -z "$skipped" ] || { echo "skipped tests count as failed:"; echo "$skipped"; exit 1; }
  passed=$((${passed:-0} + $(jq -r 'select(.Action=="pass" and .Test!=null) | .Test' "$results" | wc -l)))
}

run_tests "all tests, shuffled, with the real servers" -count=1 -shuffle=on -timeout 10m -tags realservers ./...
run_tests "concurrency tests under the race detector" -count=1 -race -timeout 10m -run 'Concurrent|Race' ./...

step "fuzzing, a few seconds each"
for target in $(git grep -l '^func Fuzz' -- '*_test.go' | sort); do
  for name in $(grep -o '^func Fuzz[A-Za-z0-9]*' "$target" | cut -c6-); do
    go test "./$(dirname "$target")" -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-5s}" | tail -1
  done
done

if [ -n "$long" ]; then
  POSTERN_LONG=1 run_tests "long forms" -count=1 -timeout 60m -p 1 -tags realservers ./...
fi

step "the program builds without cgo"
CGO_ENABLED=0 go build -trimpath -o /dev/null ./cmd/postern

printf '\n%s passed, 0 failed\n' "$passed"
echo "make check: green in ${SECONDS}s"
