# make build   the program, into bin/postern
# make demo    gateway, admin API and a demo upstream on loopback
# make test    quick and shuffled; needs nothing but Go; under a minute
# make check   everything CI runs: linters, tests with real components, race detector, short fuzzing
# make check-long  the long forms: millions of steps and requests, 1 GiB bodies, 1,000,000 keys
# make bench   ratios against a bare reverse proxy, and the figures the docs quote
# make fmt     gofmt
.PHONY: build demo test check check-long bench fmt

build:
	CGO_ENABLED=0 go build -trimpath -o bin/postern ./cmd/postern

demo:
	go run ./cmd/postern demo

test:
	go test -shuffle=on ./...

check:
	bash scripts/check.sh

check-long:
	bash scripts/check.sh --long

bench:
	bash scripts/bench.sh

fmt:
	gofmt -w $$(git ls-files '*.go')
