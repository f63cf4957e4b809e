#!/usr/bin/env bash
# All checks, from a clean clone on a machine with Go and apt-get. Installs what it needs, starts and
# stops its own servers on free ports, fails on any skipped test. With --long the long forms run
# as well (millions of steps, 1 GiB bodies, 1,000,000 keys).
set -euo pipefail
cd "$(dirname "$0")/.."

long=""
[ "${1:-}" = "--long" ] && long=1

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }
fail() { printf '%s\n' "$@" >&2; exit 1; }

tmp=$(mktemp -d)
policy=/usr/sbin/policy-rc.d
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
policy_ours="" # set while the file there is ours

restore_policy() {
  [ -n "$policy_ours" ] || return 0
  $sudo rm -f "$policy"
  if [ -e "$policy.postern" ]; then $sudo mv "$policy.postern" "$policy"; fi
  policy_ours=""
}
trap 'restore_policy; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

# Linters, chosen one by one, at fixed versions so that a new release cannot turn main red.
STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2    # wrong code, simplifications, unused code
ERRCHECK=github.com/kisielk/errcheck@v1.30.0             # errors that nobody looks at; .errcheck says which may be
INEFFASSIGN=github.com/gordonklaus/ineffassign@v0.2.0    # values that nobody reads
DEADCODE=golang.org/x/tools/cmd/deadcode@v0.52.0         # functions that nothing reaches

# The CA that the tests of certificates ask: go install puts both into a folder of PATH.
PEBBLE=github.com/letsencrypt/pebble/v2/cmd/...@v2.10.1
# What stands between gateways and the servers they share, and does to connections what networks do.
TOXIPROXY=github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0

step "servers and tools that the tests use"
need=()
command -v git >/dev/null || need+=(git)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || need+=(nginx-light)
command -v curl >/dev/null || need+=(curl)
command -v jq >/dev/null || need+=(jq)
command -v systemd-analyze >/dev/null || need+=(systemd)
command -v redis-server >/dev/null || need+=(redis-server)
command -v redis-sentinel >/dev/null || need+=(redis-sentinel)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || need+=(postgresql)
command -v gcc >/dev/null || need+=(gcc libc6-dev) # for the race detector, and for a clock of redis-server
if [ ${#need[@]} -gt 0 ]; then
  $sudo apt-get update -qq
  # Debian starts nginx, redis-server and PostgreSQL on installation; the tests start their own, on free ports.
  if [ -e "$policy" ]; then $sudo mv "$policy" "$policy.postern"; fi
  policy_ours=1
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod +x "$policy"
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
  restore_policy
fi
GOBIN="$tmp/bin" go install "$PEBBLE"
GOBIN="$tmp/toxiproxy" go install "$TOXIPROXY"
mv "$tmp/toxiproxy/server" "$tmp/bin/toxiproxy-server"
export PATH="$tmp/bin:$PATH:/usr/sbin"

git rev-parse --verify -q HEAD >/dev/null || fail \
  "git does not read this checkout: $(git rev-parse HEAD 2>&1 | head -1)" \
  "If it speaks of dubious ownership: git config --global --add safe.directory '$PWD'"
listed=$(git ls-files --cached --others --exclude-standard -- '*.go')
gofiles=()
while read -r file; do
  if [ -f "$file" ]; then gofiles+=("$file"); fi # a file may be deleted and not yet committed so
done <<<"$listed"
[ ${#gofiles[@]} -ge 100 ] || fail "git lists only ${#gofiles[@]} Go files: is this the whole checkout?"

step "formatting, vet, linters"
unformatted=$(gofmt -l "${gofiles[@]}")
[ -z "$unformatted" ] || fail "not gofmt'ed:" "$unformatted"
go mod verify >/dev/null
go mod tidy -diff
go vet -tags realservers ./...
go run "$STATICCHECK" -tags realservers -checks 'all,-ST1000,-ST1005' ./...
go run "$ERRCHECK" -tags realservers -exclude .errcheck -ignoretests ./...
go run "$INEFFASSIGN" ./...
dead=$(go run "$DEADCODE" -tags realservers -test ./...)
[ -z "$dead" ] || fail "unreachable functions:" "$dead"

: >"$tmp/passed"

# run_tests NAME ARGS…: go test with its events kept, so that a skip is a failure too.
run_tests() {
  step "$1"; shift
  local status=0 results="$tmp/results"
  go test -json "$@" >"$results" || status=$?
  jq -rj 'select(.Action=="output" and .Test==null) | .Output' "$results" | grep -v 'no test files' || true
  if [ $status -ne 0 ]; then
    # Everything the failed tests printed, or the build's errors.
    jq -r 'select(.Action=="fail" and .Test!=null) | .Package+" "+.Test' "$results" | sort -u >"$tmp/failed"
    jq -rj --rawfile f "$tmp/failed" '($f|split("\n")) as $failed
      | select(.Action=="output" and .Test!=null and ((.Package+" "+.Test) as $n | $failed|index($n))) | .Output' "$results"
    jq -rj 'select(.Action=="build-output") | .Output' "$results"
    fail "FAILED: go test $*"
  fi
  local skipped
  skipped=$(jq -r 'select(.Action=="skip" and .Test!=null) | .Package+" "+.Test' "$results")
  [ -z "$skipped" ] || fail "skipped tests count as failed:" "$skipped"
  jq -r 'select(.Action=="pass" and .Test!=null) | .Package+" "+.Test' "$results" >>"$tmp/passed"
}

run_tests "all tests, shuffled, with the real servers" -count=1 -shuffle=on -timeout 20m -tags realservers ./...

export CGO_ENABLED=1 # the race detector is C
run_tests "race detector: everything where state is shared" -count=1 -race -timeout 10m \
  ./gateway ./limiter ./internal/keys ./internal/store ./admin
run_tests "race detector: the whole program" -count=1 -race -timeout 10m -run 'Concurrent|Race|Demo|HTTPS|Drain' ./cmd/postern
run_tests "race detector: with the servers that gateways share" -count=1 -race -timeout 10m -tags realservers -run 'Redis|Concurrent' \
  ./limiter ./internal/store
unset CGO_ENABLED

step "fuzzing, a few seconds each"
targets=$(grep -Ho '^func Fuzz[A-Za-z0-9_]*' "${gofiles[@]}" | sed 's/:func /:/' | sort)
count=$(grep -c . <<<"$targets" || true)
[ "$count" -ge 5 ] || fail "found only $count fuzz targets, want at least 5"
while IFS=: read -r file name; do
  # The time includes running the inputs kept from earlier runs; where those took all of it, nothing
  # new was tried, and it gets more.
  execs=""
  for time in "${FUZZTIME:-5s}" 30s 120s; do
    if ! go test "./$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "$time" >"$tmp/fuzz" 2>&1 </dev/null; then
      cat "$tmp/fuzz"
      fail "FAILED: $name in $file"
    fi
    execs=$(grep -o 'execs: [1-9][0-9]*' "$tmp/fuzz" | tail -1 || true)
    [ -z "$execs" ] || break
  done
  [ -n "$execs" ] || { cat "$tmp/fuzz"; fail "$name in $file tried nothing"; }
  echo "$name: $execs"
done <<<"$targets"

if [ -n "$long" ]; then
  POSTERN_LONG=1 run_tests "long forms" -count=1 -timeout 60m -p 1 -tags realservers ./...
fi

step "make bench still measures what it says; times are not judged here"
bash scripts/bench.sh -judge=false -rounds 1 -requests 200 -keys 2000

step "the program builds without cgo"
CGO_ENABLED=0 go build -trimpath -o /dev/null ./cmd/postern

printf '\nin %ss\n%s passed, 0 failed\n' "$SECONDS" "$(sort -u "$tmp/passed" | wc -l)"
