#!/usr/bin/env bash
# Makes cmd/postern/default.pgo anew, from which go build learns what the gateway is busy with: a
# processor profile of the gateway under the load of make bench. Takes about two minutes. Worth it after
# larger changes to the way of a request; an old profile does no harm.
set -euo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The profiler is in this build only, and -trimpath keeps this machine's paths out of the profile.
cat >"$tmp/profile.go" <<'GO'
package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"time"
)

func init() {
	if len(os.Args) < 2 || os.Args[1] != "run" {
		return
	}
	go func() {
		for i := 0; ; i++ {
			f, err := os.Create(fmt.Sprintf("%s/%03d.part", os.Getenv("PROFILE_DIR"), i))
			if err != nil {
				panic(err)
			}
			if err := pprof.StartCPUProfile(f); err != nil {
				panic(err)
			}
			time.Sleep(5 * time.Second)
			pprof.StopCPUProfile()
			if err := os.Rename(f.Name(), f.Name()+".cpu"); err != nil {
				panic(err)
			}
		}
	}()
}
GO
printf '{"Replace": {"%s/cmd/postern/profile_for_pgo.go": "%s/profile.go"}}' "$PWD" "$tmp" >"$tmp/overlay.json"
go build -trimpath -pgo=off -overlay "$tmp/overlay.json" -o "$tmp/postern" ./cmd/postern
go build -o "$tmp/bench" ./internal/bench
PROFILE_DIR=$tmp "$tmp/bench" -postern "$tmp/postern" -only proxy -judge=false -rounds 150

# What is left of this machine is the path of the program itself. A text of the same length keeps the
# file's structure.
go tool pprof -proto "$tmp"/*.cpu 2>/dev/null | gunzip |
  LC_ALL=C sed "s|$tmp|$(printf '%*s' ${#tmp} '' | tr ' ' 'x')|g" >"$tmp/profile"
if paths=$(grep -aoE "($tmp|$HOME/|$PWD|/tmp/)[ -~]*" "$tmp/profile"); then
  printf 'The profile names paths of this machine:\n%s\n' "$paths" >&2
  exit 1
fi
gzip -9 -n <"$tmp/profile" >cmd/postern/default.pgo
ls -l cmd/postern/default.pgo
